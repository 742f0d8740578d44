"""Pictures and clips as streams of a grammar, and vocabularies learned from others."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from .._core import transcode
from ..avc_grammar import AvcGrammar
from ..errors import UsageError
from ..grammar import JpegGrammar
from ..inspect import inspect_h264
from ..jpeg_tables import SUBSAMPLINGS
from .structure import read_structure
from .vocabularies import train_tokenizer

if TYPE_CHECKING:
    from ..tokenizer import ByteTokenizer

__all__ = [
    "AVC_FORMS",
    "FORMS",
    "Encoded",
    "FileCounts",
    "Streams",
    "Vocabulary",
    "encode",
    "is_clip",
    "streams_of",
]

# Learning 32,768 tokens from so many pictures of 5 KB takes some seconds.
_MAX_TRAIN = 400


@dataclass(frozen=True)
class FileCounts:
    """How many files are for what; vocabularies are learned from the rest, up to 400."""

    measured: int
    batch: int
    warm_up: int


@dataclass(frozen=True)
class Streams:
    """Pictures or clips in the form of a grammar, without the header that it pins."""

    name: str
    grammar: JpegGrammar | AvcGrammar
    measured: list[bytes]
    batch: list[bytes]
    warm_up: list[bytes]
    train: list[bytes]
    # Without a sample nothing bounds what endings of clips take: under a budget each step works
    # them out, for tens of milliseconds.
    has_budgets: bool = field(default=True, kw_only=True)


@dataclass(frozen=True)
class Vocabulary:
    """What a vocabulary is, and what of it occurs along the measured files."""

    grammar: str
    vocab_size: int
    n_train: int
    train_seconds: float
    mean_bytes: float
    max_bytes: int
    share_used: float
    bytes_a_token: float


@dataclass(frozen=True)
class Encoded:
    """Streams as tokens."""

    streams: Streams
    tokenizer: ByteTokenizer
    vocabulary: Vocabulary
    measured: list[list[int]]
    batch: list[list[int]]
    warm_up: list[list[int]]


def _jpeg_lm(sample: bytes, restart_interval: int) -> JpegGrammar:
    structure = read_structure(sample)
    for name, sampling in SUBSAMPLINGS.items():
        if tuple(tuple(hv) for hv in sampling) == structure.sampling:
            return JpegGrammar.jpeg_lm(
                structure.width,
                structure.height,
                restart_interval=restart_interval,
                subsampling=name,
            )
    raise UsageError(f"jpeg_lm() has no name for sampling factors {structure.sampling}")


# By the names of the command: what a report calls it, and the grammar of files like a sample.
FORMS: dict[str, tuple[str, Callable[[bytes], JpegGrammar]]] = {
    "jpeg_lm": (".jpeg_lm()", lambda sample: _jpeg_lm(sample, 1)),
    "dense": (".jpeg_lm(restart_interval=0)", lambda sample: _jpeg_lm(sample, 0)),
    "like": (".like(file)", JpegGrammar.like),
    "any": ("(portable=False)", lambda sample: JpegGrammar(portable=False)),  # noqa: ARG005
}


def _any_clip(sample: bytes) -> AvcGrammar:
    """All clips of the standard that have as many pictures, of the same size."""
    found = inspect_h264(sample)
    return AvcGrammar(
        portable=False,
        width=found.width,
        height=found.height,
        frames=len(found.pictures),
    )


AVC_FORMS: dict[str, tuple[str, Callable[[bytes], AvcGrammar]]] = {
    "like": ("AvcGrammar.like(clip)", AvcGrammar.like),
    "any": ("AvcGrammar(width, height, frames)", _any_clip),
}


def is_clip(data: bytes) -> bool:
    """It begins like an H.264 byte stream."""
    return data.startswith((b"\0\0\0\1", b"\0\0\1"))


def streams_of(
    files: Sequence[bytes], counts: FileCounts, forms: Sequence[str]
) -> Iterator[Streams]:
    """The files in each of the FORMS named, or of the AVC_FORMS for each profile.

    Args:
        files: valid JPEG files of one size and subsampling, or H.264 streams with the same
            parameter sets in each profile; of these, what the check does not support is left out.

    Raises:
        UsageError: there are too few files, or they do not fit a grammar.
    """
    if files and is_clip(files[0]):
        yield from _streams_of_clips(files, counts, forms)
        return
    files = files[: _n_wanted(files, counts)]
    for form in forms:
        name, pictures_like = FORMS[form]
        grammar = pictures_like(files[0])
        streams = _transcoded(files, grammar, name) if grammar.header else [*files]
        yield Streams(name, grammar, *_parts(streams, counts))


def _streams_of_clips(
    files: Sequence[bytes], counts: FileCounts, forms: Sequence[str]
) -> Iterator[Streams]:
    """Without SEI messages, which are text. Clips with B slices have no form "like"."""
    from ..codecs.avc import without_sei
    from .avc_by_profile import by_profile

    for profile, group in by_profile(files).items():
        clips = [without_sei(data) for data in group[: _n_wanted(group, counts)]]
        for form in forms:
            name, clips_like = AVC_FORMS[form]
            if form == "like" and _has_b(clips[0]):
                continue
            grammar = clips_like(clips[0])
            streams = _without_header(clips, grammar.header)
            yield Streams(
                f"{name}, {profile}", grammar, *_parts(streams, counts), has_budgets=form == "like"
            )


def _has_b(clip: bytes) -> bool:
    pictures = inspect_h264(clip).pictures
    return any(part.type == "B" for picture in pictures for part in picture.slices)


def _n_wanted(files: Sequence[bytes], counts: FileCounts) -> int:
    """How many files are used at most.

    Raises:
        UsageError: there are too few.
    """
    n = counts.measured + counts.batch + counts.warm_up
    if len(files) <= n:
        raise UsageError(
            f"{len(files)} files are not enough to time {counts.measured}, to fill a batch of"
            f" {counts.batch}, to warm up with {counts.warm_up} and to learn vocabularies from"
            " others"
        )
    return n + _MAX_TRAIN


def _parts(streams: list[bytes], counts: FileCounts) -> list[list[bytes]]:
    """Those that are measured, in a batch, to warm up with, and to learn from."""
    ends = [0, *accumulate((counts.measured, counts.batch, counts.warm_up)), len(streams)]
    return [streams[a:b] for a, b in pairwise(ends)]


def _transcoded(files: Sequence[bytes], grammar: JpegGrammar, name: str) -> list[bytes]:
    try:
        return [transcode(data, grammar)[len(grammar.header) :] for data in files]
    except UsageError as error:
        raise UsageError(f"the files do not fit JpegGrammar{name}: {error}") from error


def _without_header(files: Sequence[bytes], header: bytes) -> list[bytes]:
    if not all(data.startswith(header) for data in files):
        raise UsageError("the clips do not all begin with the parameter sets of the first")
    return [data[len(header) :] for data in files]


def encode(streams: Streams, vocab_size: int) -> Encoded:
    """Learns a vocabulary from the pictures for that, and encodes the others."""
    start = time.perf_counter()
    tokenizer = train_tokenizer(streams.train, vocab_size)
    train_seconds = time.perf_counter() - start
    measured = tokenizer.encode_batch(streams.measured)
    # A file that is read to its end takes the stop token too.
    used = {tokenizer.eos_id, *(token for ids in measured for token in ids)}
    lengths = [len(token) for token in tokenizer.encoded_vocab if token]
    vocabulary = Vocabulary(
        grammar=streams.name,
        vocab_size=vocab_size,
        n_train=len(streams.train),
        train_seconds=train_seconds,
        mean_bytes=sum(lengths) / len(lengths),
        max_bytes=max(lengths),
        share_used=len(used) / vocab_size,
        bytes_a_token=sum(map(len, streams.measured)) / sum(map(len, measured)),
    )
    batch, warm_up = map(tokenizer.encode_batch, (streams.batch, streams.warm_up))
    return Encoded(streams, tokenizer, vocabulary, measured, batch, warm_up)
