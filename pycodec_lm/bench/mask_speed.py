"""How long a mask takes along real files, per Python call."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .._core import (
    CompiledGrammar,
    GrammarMatcher,
    allocate_token_bitmask,
    compile_grammar,
    transcode,
)
from ..errors import CodecLMError, UsageError
from ..grammar import JpegGrammar
from ..tokenizer import ByteTokenizer
from .mask_walk import prompt_of
from .measure import Spread, timer_floor_ns
from .vocabularies import train_tokenizer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["MaskTimes", "measure_masks"]

BYTES_ONLY = 259  # the tokens of a ByteTokenizer without merges


@dataclass(frozen=True)
class MaskTimes:
    """What one grammar, vocabulary and budget gave, in microseconds a call."""

    grammar: str
    vocab_size: int
    max_tokens: int | None
    fill: Spread
    accept: Spread
    stats: dict[str, int]


@dataclass
class _Streams:
    """Pictures in the form of a grammar: some to learn from, others to time."""

    name: str
    grammar: JpegGrammar
    train: list[bytes] = field(default_factory=list)
    warm_up: list[bytes] = field(default_factory=list)
    measured: list[bytes] = field(default_factory=list)


def measure_masks(
    files: Sequence[bytes],
    vocab_sizes: Sequence[int],
    *,
    n_warm_up: int = 60,
    n_measured: int = 20,
    on_row: Callable[[], object] = lambda: None,
) -> Iterator[MaskTimes]:
    """Times fill_next_token_bitmask and accept_token along files after a warm-up.

    Vocabularies are learned from, and caches warmed with, other files than are timed. The bit of
    the token that the file goes on with is looked at in every step.

    Args:
        files: valid JPEG files of one size and subsampling.
        vocab_sizes: BYTES_ONLY for no merges.
        n_warm_up: files that fill the caches.
        n_measured: files that are timed.
        on_row: called after each row.

    Raises:
        UsageError: there are too few files, or they are of several sizes.
        CodecLMError: a mask forbids what a valid file goes on with; nothing is reported then.
    """
    if len(files) <= n_warm_up + n_measured:
        raise UsageError(
            f"{len(files)} files are not enough to warm up with {n_warm_up}, to time {n_measured}"
            " and to learn vocabularies from others"
        )
    floor = timer_floor_ns()
    for form in _forms(files):
        streams = _in_form(form, files, n_warm_up, n_measured)
        for vocab_size in vocab_sizes:
            tokenizer = train_tokenizer(streams.train, vocab_size)
            for has_budget in (False, True):
                yield _measure(streams, tokenizer, has_budget, floor)
                on_row()


def _forms(files: Sequence[bytes]) -> list[_Streams]:
    return [
        _Streams("JpegGrammar(portable=False)", JpegGrammar(portable=False)),
        _Streams("JpegGrammar.like(file)", JpegGrammar.like(files[0])),
        _Streams("JpegGrammar.jpeg_lm()", JpegGrammar.jpeg_lm()),
    ]


def _in_form(
    streams: _Streams, files: Sequence[bytes], n_warm_up: int, n_measured: int
) -> _Streams:
    """The files as streams of the grammar, without what it pins."""
    header = streams.grammar.header
    if header:
        try:
            files = [transcode(data, streams.grammar)[len(header) :] for data in files]
        except UsageError as error:
            raise UsageError(f"the files do not fit {streams.name}: {error}") from error
    streams.measured = [*files[:n_measured]]
    streams.warm_up = [*files[n_measured : n_measured + n_warm_up]]
    streams.train = [*files[n_measured + n_warm_up :]]
    return streams


def _measure(
    streams: _Streams, tokenizer: ByteTokenizer, has_budget: bool, floor: float
) -> MaskTimes:
    measured = tokenizer.encode_batch(streams.measured)
    warm_up = tokenizer.encode_batch(streams.warm_up)
    longest = max(len(ids) for ids in (*measured, *warm_up))
    # A budget that a model would be given: room for half as much again.
    max_tokens = longest * 3 // 2 if has_budget else None
    compiled = compile_grammar(streams.grammar, tokenizer.info())
    fill: list[int] = []
    accept: list[int] = []
    for ids in warm_up:
        _walk(compiled, ids, max_tokens, [], [])
    for ids in measured:
        _walk(compiled, ids, max_tokens, fill, accept)
    return MaskTimes(
        grammar=streams.name,
        vocab_size=tokenizer.vocab_size,
        max_tokens=max_tokens,
        fill=Spread.of(fill, floor=floor, scale=1e-3),
        accept=Spread.of(accept, floor=floor, scale=1e-3),
        stats=compiled.stats(),
    )


def _walk(
    compiled: CompiledGrammar,
    ids: Sequence[int],
    max_tokens: int | None,
    fill: list[int],
    accept: list[int],
) -> None:
    matcher = GrammarMatcher(compiled, max_tokens=max_tokens, prompt=prompt_of(compiled))
    bitmask: NDArray[np.int32] = allocate_token_bitmask(1, compiled.vocab_size)
    words = bitmask[0]
    clock = time.perf_counter_ns
    stop = compiled.tokenizer_info.stop_token_ids[0]
    for step, token in enumerate([*ids, stop]):
        start = clock()
        matcher.fill_next_token_bitmask(bitmask)
        filled = clock()
        if not int(words[token >> 5]) >> (token & 31) & 1:
            raise CodecLMError(
                f"the mask forbids token {token}, with which a valid file goes on after {step}"
                f" tokens, at {matcher.describe()}"
            )
        before = clock()
        is_accepted = matcher.accept_token(token)
        accepted = clock()
        if not is_accepted:
            raise CodecLMError(f"token {token} was refused after {step} tokens")
        fill.append(filled - start)
        accept.append(accepted - before)
