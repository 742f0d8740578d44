"""Packed token shards on disk: what `prepare` writes and training maps into memory.

A dataset is a folder:

    meta.json                    DatasetMeta: vocabulary, grammar, conditions, counts
    tokenizer.json               unless the tokenizer is "bytes"
    train/, val/
        tokens-00000.npy         uint16, the samples of the shard one after the other
        offsets-00000.npy        int64 [n + 1]: sample i is tokens[offsets[i] : offsets[i + 1]]
        conditions-00000.npy     int32 [n, n_conditions]

A sample holds the tokens of the body alone (the stream after the pinned header), without <bos>
and <eos>; the reader's users add those. A missing condition is stored as its null class, number
n_classes.
"""

import dataclasses
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pycodec_lm.errors import UsageError
from pycodec_lm.tokenizer import ByteTokenizer

FORMAT = "pycodec_lm.dataset"
VERSION = 1
SPLITS = ("train", "val")
_SAMPLE_NAMES = {"jpeg": "image", "avc": "clip"}
CODECS = tuple(_SAMPLE_NAMES)
BYTES_TOKENIZER = "bytes"
TOKENIZER_FILE = "tokenizer.json"
META_FILE = "meta.json"

_SHARD_TOKENS = 1 << 24  # 32 MiB a shard: small enough to hold while writing


@dataclass(frozen=True, slots=True)
class DatasetMeta:
    """What a dataset says of itself.

    Args:
        vocab_size: ids 0..vocab_size-1, specials included; at most 65,536.
        pad_id, bos_id, eos_id: the specials.
        tokenizer: "bytes" (id = byte value) or "tokenizer.json" (the copy in the folder).
        codec: what the samples are: "jpeg", or "avc" for H.264 streams (Annex B).
        grammar: `serialize()` of a grammar parsed as JSON; None when no grammar is pinned.
        header: the bytes in front of every body (`header` of the grammar), pushed to the matcher
            and never shown to the model.
        conditions: class names of each condition, in the order of the stored columns.
        extra: free notes of the writer (encoder settings, source, counts of skipped files).
        n_samples, n_tokens, raw_bytes: for each split, filled in by ShardWriter; raw_bytes sums the
            sizes of the whole files.
    """

    vocab_size: int
    pad_id: int
    bos_id: int
    eos_id: int
    tokenizer: str = BYTES_TOKENIZER
    codec: str = "jpeg"
    grammar: Any = None
    header: bytes = b""
    conditions: Mapping[str, Sequence[str]] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    n_samples: Mapping[str, int] = field(default_factory=dict)
    n_tokens: Mapping[str, int] = field(default_factory=dict)
    raw_bytes: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.codec not in CODECS:
            raise UsageError(f"codec '{self.codec}' is not one of {', '.join(CODECS)}")
        if not 1 <= self.vocab_size <= 1 << 16:
            raise UsageError(f"vocab_size = {self.vocab_size}, must be in [1, 65536]")
        for name in ("pad_id", "bos_id", "eos_id"):
            if not 0 <= getattr(self, name) < self.vocab_size:
                raise UsageError(f"{name} = {getattr(self, name)} is outside the vocabulary")

    @property
    def grammar_bytes(self) -> bytes | None:
        """The grammar as `grammar_of_codec` takes it."""
        return None if self.grammar is None else json.dumps(self.grammar).encode()

    @property
    def sample_name(self) -> str:
        """What one sample is, for people."""
        return _SAMPLE_NAMES[self.codec]

    @property
    def null_conditions(self) -> tuple[int, ...]:
        """The class number that means 'not said', for each condition."""
        return tuple(len(classes) for classes in self.conditions.values())

    def to_json(self) -> str:
        """Contents of meta.json."""
        values = dataclasses.asdict(self) | {"header": self.header.hex()}
        if self.codec == "jpeg":
            del values["codec"]  # as it was before there were others
        # Classes and conditions keep their order: it numbers them.
        return json.dumps({"format": FORMAT, "version": VERSION, **values}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str, where: str = META_FILE) -> Self:
        """Raises UsageError when the text is not the meta.json of a dataset of this version."""
        try:
            values = json.loads(text)
            if values.pop("format") != FORMAT:
                raise UsageError(f"{where}: not a pycodec_lm dataset")
            version = values.pop("version")
            if version != VERSION:
                raise UsageError(
                    f"{where}: dataset version {version}, this program reads {VERSION}"
                )
            values["header"] = bytes.fromhex(values["header"])
            return cls(**values)
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            if isinstance(error, UsageError):
                raise
            raise UsageError(f"{where}: not a pycodec_lm dataset ({error})") from error


@dataclass(slots=True)
class _OpenShard:
    """Samples of one split not yet on disk."""

    n_shards: int = 0
    tokens: list[NDArray[np.uint16]] = field(default_factory=list)
    conditions: list[tuple[int, ...]] = field(default_factory=list)
    n_tokens: int = 0


class ShardWriter:
    """Writes a dataset folder beside its place and renames it into place when it is whole.

    Used as a context manager it closes at the end, and leaves nothing behind after an exception.

    Args:
        folder: where the dataset appears; it must not exist.
        meta: a DatasetMeta; its counts are filled in.
        tokenizer_json: contents of the tokenizer file, when meta.tokenizer is not "bytes".

    Raises:
        UsageError: the folder exists; a tokenizer is missing or given for "bytes".

    Example:
        >>> meta = DatasetMeta(259, 256, 257, 258, conditions={"name": ["moon", "star"]})
        >>> with ShardWriter("moons", meta) as writer:  # doctest: +SKIP
        ...     writer.add(body_tokens, {"name": "moon"}, split="train", raw_bytes=len(data))
    """

    def __init__(
        self, folder: str | os.PathLike[str], meta: DatasetMeta, tokenizer_json: str | None = None
    ) -> None:
        self.folder, self.meta = Path(folder), meta
        if self.folder.exists():
            raise UsageError(f"{self.folder} exists already; give another folder or remove it")
        if (tokenizer_json is None) != (meta.tokenizer == BYTES_TOKENIZER):
            raise UsageError('a tokenizer file is needed unless the tokenizer is "bytes"')
        self._class_numbers = [
            {label: number for number, label in enumerate(classes)}
            for classes in meta.conditions.values()
        ]
        self._shards = {split: _OpenShard() for split in SPLITS}
        self._counts = {
            name: dict.fromkeys(SPLITS, 0) for name in ("n_samples", "n_tokens", "raw_bytes")
        }
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        self._work = Path(
            tempfile.mkdtemp(prefix=f".{self.folder.name}.", suffix=".part", dir=self.folder.parent)
        )
        for split in SPLITS:
            (self._work / split).mkdir()
        if tokenizer_json is not None:
            (self._work / TOKENIZER_FILE).write_text(tokenizer_json, encoding="utf-8")

    def add(
        self,
        tokens: ArrayLike,
        conditions: Mapping[str, str] | Sequence[int] = (),
        *,
        split: str = "train",
        raw_bytes: int = 0,
    ) -> None:
        """Adds one sample.

        Args:
            tokens: ids of the body, without <bos> and <eos>.
            conditions: class by condition name (missing ones become null), or the class numbers.
            split: "train" or "val".
            raw_bytes: size of the sample's whole file.

        Raises:
            UsageError: an id outside the vocabulary, an unknown split, condition or class.
        """
        ids = np.asarray(tokens)
        if ids.ndim != 1 or ids.size == 0:
            raise UsageError("a sample needs at least one token, in one dimension")
        if int(ids.min()) < 0 or int(ids.max()) >= self.meta.vocab_size:
            raise UsageError(
                f"a sample has a token outside the vocabulary of {self.meta.vocab_size}"
            )
        if split not in SPLITS:
            raise UsageError(f"unknown split '{split}', must be train or val")
        shard = self._shards[split]
        shard.conditions.append(self._numbers(conditions))
        shard.tokens.append(ids.astype(np.uint16))
        shard.n_tokens += ids.size
        for name, amount in (("n_samples", 1), ("n_tokens", ids.size), ("raw_bytes", raw_bytes)):
            self._counts[name][split] += amount
        if shard.n_tokens >= _SHARD_TOKENS:
            self._flush(split)

    def _numbers(self, conditions: Mapping[str, str] | Sequence[int]) -> tuple[int, ...]:
        names, nulls = list(self.meta.conditions), self.meta.null_conditions
        if not conditions:
            return nulls
        if isinstance(conditions, Mapping):
            unknown = sorted(set(conditions) - set(names))
            if unknown:
                raise UsageError(f"unknown condition '{unknown[0]}'")
            numbers = list(nulls)
            for position, name in enumerate(names):
                if name in conditions:
                    label = conditions[name]
                    if label not in self._class_numbers[position]:
                        raise UsageError(f"condition '{name}' has no class '{label}'")
                    numbers[position] = self._class_numbers[position][label]
            return tuple(numbers)
        if len(conditions) != len(nulls) or any(
            not 0 <= number <= null for number, null in zip(conditions, nulls, strict=True)
        ):
            raise UsageError(
                f"condition numbers {tuple(conditions)} do not fit {self.meta.conditions}"
            )
        return tuple(int(number) for number in conditions)

    def _flush(self, split: str) -> None:
        shard = self._shards[split]
        if not shard.tokens:
            return
        lengths = [len(ids) for ids in shard.tokens]
        arrays: dict[str, NDArray[Any]] = {
            "tokens": np.concatenate(shard.tokens),
            "offsets": np.concatenate(([0], np.cumsum(lengths, dtype=np.int64))).astype(np.int64),
            "conditions": np.array(shard.conditions, dtype=np.int32).reshape(len(lengths), -1),
        }
        for name, array in arrays.items():
            np.save(self._work / split / f"{name}-{shard.n_shards:05d}.npy", array)
        self._shards[split] = _OpenShard(n_shards=shard.n_shards + 1)

    def close(self) -> DatasetMeta:
        """Writes what is left and renames the folder into place. Raises UsageError when empty."""
        if not any(self._counts["n_samples"].values()):
            self.abort()
            raise UsageError(f"{self.folder}: no sample was added, nothing is written")
        for split in SPLITS:
            self._flush(split)
        self.meta = dataclasses.replace(
            self.meta,
            n_samples=self._counts["n_samples"],
            n_tokens=self._counts["n_tokens"],
            raw_bytes=self._counts["raw_bytes"],
        )
        (self._work / META_FILE).write_text(self.meta.to_json(), encoding="utf-8")
        self._work.chmod(0o755)  # mkdtemp made it private
        self._work.rename(self.folder)
        return self.meta

    def abort(self) -> None:
        """Removes all that was written."""
        shutil.rmtree(self._work, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()


class Split:
    """The samples of one split, memory-mapped.

    Attributes:
        lengths: int64 [n], body tokens of each sample.
        conditions: int32 [n, n_conditions].
    """

    def __init__(self, folder: Path, n_conditions: int) -> None:
        self._tokens: list[NDArray[np.uint16]] = []
        offsets: list[NDArray[np.int64]] = []
        conditions: list[NDArray[np.int32]] = []
        for path in sorted(folder.glob("tokens-*.npy")):
            number = path.stem.removeprefix("tokens-")
            try:
                tokens = np.load(path, mmap_mode="r", allow_pickle=False)
                starts = np.load(folder / f"offsets-{number}.npy", allow_pickle=False)
                classes = np.load(folder / f"conditions-{number}.npy", allow_pickle=False)
            except (OSError, ValueError) as error:
                raise UsageError(f"{path}: unreadable shard ({error})") from error
            if tokens.dtype != np.uint16 or starts.ndim != 1 or starts[-1] != len(tokens):
                raise UsageError(f"{path}: offsets and tokens of the shard do not agree")
            if classes.shape != (len(starts) - 1, n_conditions):
                raise UsageError(f"{path}: conditions and samples of the shard do not agree")
            self._tokens.append(tokens)
            offsets.append(starts)
            conditions.append(classes)
        self._offsets = offsets
        self._first = np.cumsum([0, *(len(starts) - 1 for starts in offsets)])
        self.lengths = _concatenate([np.diff(starts) for starts in offsets], np.int64, (0,))
        self.conditions = _concatenate(conditions, np.int32, (0, n_conditions))

    def __len__(self) -> int:
        return len(self.lengths)

    def tokens(self, sample: int) -> NDArray[np.uint16]:
        """Body tokens of one sample, a view of the mapped shard."""
        if not 0 <= sample < len(self):
            raise IndexError(f"sample {sample} of {len(self)}")
        shard = int(np.searchsorted(self._first, sample, side="right")) - 1
        row = sample - int(self._first[shard])
        start, end = self._offsets[shard][row : row + 2]
        return self._tokens[shard][start:end]


def _concatenate(parts: list[Any], dtype: type, empty: tuple[int, ...]) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.zeros(empty, dtype)


class TokenDataset:
    """A dataset folder, opened for reading.

    Raises:
        UsageError: the folder is missing, is no dataset, or its files do not fit one another.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        meta_path = self.folder / META_FILE
        if not meta_path.is_file():
            raise UsageError(
                f"{self.folder}: no dataset here (no {META_FILE}); "
                "make one with `pycodec-lm prepare`"
            )
        try:
            text = meta_path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{meta_path}: not a pycodec_lm dataset ({error})") from error
        self.meta = DatasetMeta.from_json(text, str(meta_path))
        n_conditions = len(self.meta.conditions)
        self.train, self.val = (Split(self.folder / split, n_conditions) for split in SPLITS)
        for name, split in (("train", self.train), ("val", self.val)):
            if len(split) != self.meta.n_samples.get(name, 0):
                raise UsageError(
                    f"{self.folder}: {len(split)} {name} samples, {META_FILE} says "
                    f"{self.meta.n_samples.get(name, 0)}"
                )

    def tokenizer(self) -> ByteTokenizer:
        """The tokenizer that made the tokens.

        Raises:
            UsageError: its file is missing or broken, or it is not the one of meta.json.
        """
        if self.meta.tokenizer == BYTES_TOKENIZER:
            tokenizer = ByteTokenizer.bytes_only()
        else:
            path = self.folder / TOKENIZER_FILE
            try:
                tokenizer = ByteTokenizer.load(path)
            except OSError as error:
                raise UsageError(f"{path}: the dataset's tokenizer is missing") from error
        meta = self.meta
        if (tokenizer.vocab_size, tokenizer.pad_id, tokenizer.bos_id, tokenizer.eos_id) != (
            meta.vocab_size,
            meta.pad_id,
            meta.bos_id,
            meta.eos_id,
        ):
            raise UsageError(
                f"{self.folder}: the tokenizer has {tokenizer.vocab_size} tokens and is not the "
                f"one of {META_FILE}, which has {meta.vocab_size}"
            )
        return tokenizer
