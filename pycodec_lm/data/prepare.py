"""From pictures to a dataset of tokens, and what writes the samples of all codecs.

`prepare_images` takes pictures from anywhere; `prepare_folder` (prepare_folder.py) finds them on
disk. Both write every picture as the body of a JPEG stream of one grammar: the header is the same
for all and stands in the dataset once. Clips are in prepare_clips.py.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pycodec_lm import check, symbol_counts
from pycodec_lm._core import transcode
from pycodec_lm.codecs.jpeg import JpegSettings, abbreviate, encode
from pycodec_lm.data.shards import BYTES_TOKENIZER, TOKENIZER_FILE, DatasetMeta, ShardWriter
from pycodec_lm.errors import CodecLMError
from pycodec_lm.grammar import JpegGrammar
from pycodec_lm.grammars import Grammar
from pycodec_lm.jpeg_tables import HuffmanTables
from pycodec_lm.tokenizer import ByteTokenizer

if TYPE_CHECKING:  # pictures do without PyAV
    from pycodec_lm.codecs.avc import AvcSettings

__all__ = [
    "Coder",
    "Picture",
    "PictureCoder",
    "Sample",
    "SampleWriter",
    "count_symbols",
    "prepare_images",
]


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of the size that the dataset has, and what is known of it.

    Args:
        image: the picture.
        conditions: class by condition name; a missing condition is stored as not said.
        split: "train" or "val".
    """

    image: Image.Image
    conditions: Mapping[str, str] = field(default_factory=dict)
    split: str = "train"


@dataclass(frozen=True, slots=True)
class Sample:
    """A picture or clip as the dataset keeps it.

    Attributes:
        body: the stream's bytes after the pinned header.
        file_bytes: the size of the whole file with header and tables.
    """

    body: bytes
    file_bytes: int


class Coder(Protocol):
    """What a SampleWriter has to know of where its samples come from."""

    @property
    def codec(self) -> str:
        """What the samples are, as `DatasetMeta.codec` says it."""

    @property
    def settings(self) -> "JpegSettings | AvcSettings":
        """How they were encoded."""

    @property
    def grammar(self) -> Grammar:
        """The language of the streams, its header pinned."""


class PictureCoder:
    """Writes pictures as bodies of one grammar's streams.

    Args:
        settings: how pictures become JPEG.
        huffman_tables: the tables of all streams; the standard's by default.

    Attributes:
        codec: "jpeg".
        grammar: the language of the streams, its header pinned.
    """

    codec = "jpeg"

    def __init__(self, settings: JpegSettings, huffman_tables: HuffmanTables | None = None) -> None:
        self.settings = settings
        self.huffman_tables = huffman_tables
        self.grammar = JpegGrammar.jpeg_lm(
            width=settings.width,
            height=settings.height,
            quality=settings.quality,
            restart_interval=settings.restart_interval,
            subsampling=settings.subsampling,
            huffman_tables=huffman_tables,
        )
        tables = self.grammar.tables or b""
        self._quant_tables = tables[: tables.index(b"\xff\xc4")]

    def encode(self, image: Image.Image) -> Sample:
        """One picture of the settings' size.

        Raises:
            CodecLMError: what came out is not in the grammar.
        """
        data = encode(image, self.settings)
        stream, tables = abbreviate(data)
        header = self.grammar.header
        if not (stream.startswith(header) and tables.startswith(self._quant_tables)):
            raise CodecLMError("this version of Pillow writes other JPEG headers than expected")
        if self.huffman_tables is not None:
            stream = transcode(data, self.grammar)  # which checks it as well
        elif not (verdict := check(data)).valid:
            raise CodecLMError(f"Pillow wrote an invalid file: {verdict.message}")
        return Sample(stream[len(header) :], len(self.grammar.to_file(stream)))


def count_symbols(images: Iterable[Image.Image], settings: JpegSettings) -> NDArray[np.int64]:
    """How often each Huffman symbol stands in the pictures' scans: int64 [2, 4, 256]."""
    total = np.zeros((2, 4, 256), dtype=np.int64)
    for image in images:
        total += symbol_counts(encode(image, settings))
    return total


class SampleWriter:
    """Writes samples as a dataset; used as a context manager, like the ShardWriter below it.

    Args:
        out: the folder to write; it must not exist.
        coder: what the samples come from.
        tokenizer: by default a token is a byte.
        conditions: the classes of each condition, in the order that numbers them.
        extra: notes to keep with the dataset.

    Attributes:
        meta: what the dataset says of itself; its counts are filled in at the end.

    Raises:
        UsageError: `out` exists.
    """

    def __init__(
        self,
        out: str | os.PathLike[str],
        coder: Coder,
        *,
        tokenizer: ByteTokenizer | None = None,
        conditions: Mapping[str, Sequence[str]] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        self._tokenizer = ByteTokenizer.bytes_only() if tokenizer is None else tokenizer
        is_bytes = not self._tokenizer.merges
        meta = DatasetMeta(
            vocab_size=self._tokenizer.vocab_size,
            pad_id=self._tokenizer.pad_id,
            bos_id=self._tokenizer.bos_id,
            eos_id=self._tokenizer.eos_id,
            tokenizer=BYTES_TOKENIZER if is_bytes else TOKENIZER_FILE,
            codec=coder.codec,
            grammar=json.loads(coder.grammar.serialize()),
            header=coder.grammar.header,
            conditions={name: list(classes) for name, classes in (conditions or {}).items()},
            extra={"settings": asdict(coder.settings), **(extra or {})},
        )
        self._shards = ShardWriter(out, meta, None if is_bytes else self._tokenizer.to_json())

    @property
    def meta(self) -> DatasetMeta:
        """What the dataset says of itself."""
        return self._shards.meta

    def add(self, sample: Sample, conditions: Mapping[str, str], split: str) -> None:
        """Adds one sample.

        Raises:
            UsageError: an unknown condition, class or split.
        """
        ids = np.array(self._tokenizer.encode(sample.body))
        self._shards.add(ids, conditions, split=split, raw_bytes=sample.file_bytes)

    def __enter__(self) -> Self:
        self._shards.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._shards.__exit__(kind, error, trace)


def prepare_images(
    pictures: Iterable[Picture],
    out: str | os.PathLike[str],
    *,
    settings: JpegSettings,
    huffman_tables: HuffmanTables | None = None,
    tokenizer: ByteTokenizer | None = None,
    conditions: Mapping[str, Sequence[str]] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> DatasetMeta:
    """Writes pictures that are in memory as a dataset.

    Args:
        pictures: the pictures, each of the settings' size; taken one by one.
        out: the folder to write; it must not exist, and appears when it is whole.
        settings: how pictures become JPEG.
        huffman_tables: the tables of all streams, made from training pictures (`count_symbols` and
            `design_tables`); the standard's by default.
        tokenizer: by default a token is a byte.
        conditions: the classes of each condition, in the order that numbers them.
        extra: notes to keep with the dataset.

    Returns:
        What the dataset says of itself, counts included.

    Raises:
        UsageError: `out` exists, a picture has another size, a class is unknown, or there is no
            picture at all.
    """
    coder = PictureCoder(settings, huffman_tables)
    writer = SampleWriter(out, coder, tokenizer=tokenizer, conditions=conditions, extra=extra)
    with writer:
        for picture in pictures:
            writer.add(coder.encode(picture.image), picture.conditions, picture.split)
    return writer.meta
