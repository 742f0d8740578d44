"""What else generation calls: a batch of rows, a fork, and a bitmask put to logits."""

from __future__ import annotations

import importlib.util
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core import (
    BatchGrammarMatcher,
    CompiledGrammar,
    GrammarMatcher,
    allocate_token_bitmask,
    compile_grammar,
)
from ..errors import CodecLMError
from ..grammar import JpegGrammar
from ..ops import apply_token_bitmask_inplace
from .mask_streams import Encoded
from .mask_walk import legal_tokens, prompt_of
from .matcher_memory import allocated_bytes
from .measure import Spread

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "ALLOWED",
    "THREADS",
    "ApplyTimes",
    "BatchTimes",
    "ForkTimes",
    "measure_apply",
    "measure_batch",
    "measure_forks",
    "time_apply",
    "time_batch",
    "time_forks",
]

THREADS = (1, 2)
ALLOWED = (0.01, 0.5, 0.99)

_MAX_BATCH_STEPS = 600
_N_FORKS = 1001
_N_APPLY_ROUNDS = 31

Fill = Callable[[], object]


@dataclass(frozen=True)
class BatchTimes:
    """Microseconds of one call that fills the masks of all rows, by number of threads."""

    name: str
    vocab_size: int
    n_rows: int
    by_threads: dict[int, Spread]


@dataclass(frozen=True)
class ForkTimes:
    """Microseconds, and bytes that a fork adds, by the tokens taken before."""

    name: str
    by_tokens: dict[int, Spread]
    bytes_by_tokens: dict[int, float | None]


@dataclass(frozen=True)
class ApplyTimes:
    """Microseconds on a CPU, by the share of tokens allowed."""

    name: str
    by_allowed: dict[float, Spread]


def time_batch(
    fills: Mapping[int, Fill], step_on: Callable[[int], None], n_steps: int
) -> dict[int, list[int]]:
    """Nanoseconds of calls that fill a batch, by threads.

    Threads take turns over the steps of the same matchers, so that none finds masks that another
    has made for the same step.

    Args:
        fills: by number of threads.
        step_on: looks at the masks, and takes the tokens of a step.
        n_steps: how many.
    """
    clock = time.perf_counter_ns
    times: dict[int, list[int]] = {n: [] for n in fills}
    turns = [*fills]
    for step in range(n_steps):
        n_threads = turns[step % len(turns)]
        fill = fills[n_threads]
        start = clock()
        fill()
        times[n_threads].append(clock() - start)
        step_on(step)
    return times


def measure_batch(compiled: CompiledGrammar, encoded: Encoded, floor_ns: float) -> BatchTimes:
    """Times batch_fill_next_token_bitmask along files that the caches have not seen.

    Raises:
        CodecLMError: a mask forbids what a valid file goes on with.
    """
    rows = encoded.batch
    matchers = [GrammarMatcher(compiled, prompt=prompt_of(compiled)) for _ in rows]
    batches = {n: BatchGrammarMatcher(matchers, max_threads=n) for n in THREADS}
    bitmask = allocate_token_bitmask(len(rows), compiled.vocab_size)
    at_row = np.arange(len(rows))

    def step_on(step: int) -> None:
        tokens = np.array([ids[step] for ids in rows])
        is_allowed = bitmask[at_row, tokens >> 5] >> (tokens & 31) & 1
        if not (is_allowed.all() and all(batches[1].batch_accept_token(tokens.tolist()))):
            raise CodecLMError(f"a batch forbids what a valid file goes on with, at token {step}")

    n_steps = min(_MAX_BATCH_STEPS, *map(len, rows))
    fills = {n: _fill_of(batch, bitmask) for n, batch in batches.items()}
    times = time_batch(fills, step_on, n_steps)
    name = f"pycodec_lm, {encoded.streams.name}"
    spreads = {n: Spread.of(spent, floor=floor_ns, scale=1e-3) for n, spent in times.items()}
    return BatchTimes(name, compiled.vocab_size, len(rows), spreads)


def _fill_of(batch: BatchGrammarMatcher, bitmask: NDArray[np.int32]) -> Fill:
    return lambda: batch.batch_fill_next_token_bitmask(bitmask)


def time_forks(
    name: str,
    fork: Callable[[], object],
    walk_to: Callable[[int], object],
    n_tokens: Sequence[int],
    floor_ns: float,
) -> ForkTimes:
    """Times forks after each of some numbers of tokens.

    Args:
        name: of the engine.
        fork: makes one.
        walk_to: goes on until so many tokens are taken.
        n_tokens: in rising order.
        floor_ns: what taking the time takes.
    """
    clock = time.perf_counter_ns
    spreads: dict[int, Spread] = {}
    n_bytes: dict[int, float | None] = {}
    for n in n_tokens:
        walk_to(n)
        times = []
        for _ in range(_N_FORKS):
            start = clock()
            forked = fork()
            times.append(clock() - start)
            del forked
        spreads[n] = Spread.of(times, floor=floor_ns, scale=1e-3)
        kept: list[object] = [None] * 64
        before = allocated_bytes()
        for i in range(len(kept)):
            kept[i] = fork()
        after = allocated_bytes()
        n_bytes[n] = None if before is None or after is None else (after - before) / len(kept)
    return ForkTimes(name, spreads, n_bytes)


def measure_forks(encoded: Encoded, floor_ns: float, n_tokens: Sequence[int]) -> ForkTimes:
    """Times forks along a random picture of 4096 x 4096, after each of some numbers of tokens.

    Raises:
        CodecLMError: a token of the mask was refused.
    """
    compiled = compile_grammar(JpegGrammar.jpeg_lm(4096, 4096), encoded.tokenizer.info())
    matcher = GrammarMatcher(compiled, prompt=prompt_of(compiled))
    bitmask = allocate_token_bitmask(1, compiled.vocab_size)
    rng = random.Random(0)
    n_taken = 0

    def walk_to(n: int) -> None:
        nonlocal n_taken
        for _ in range(n - n_taken):
            matcher.fill_next_token_bitmask(bitmask)
            legal = legal_tokens(bitmask)
            if not matcher.accept_token(int(legal[rng.randrange(len(legal))])):
                raise CodecLMError(f"a token of the mask was refused after {n_taken} tokens")
            n_taken += 1

    return time_forks("pycodec_lm", matcher.fork, walk_to, n_tokens, floor_ns)


def time_apply(
    name: str,
    apply: Callable[[Any, Any], object],
    convert: Callable[[NDArray[Any]], Any],
    floor_ns: float,
    shape: tuple[int, int],
) -> ApplyTimes:
    """Times a function that sets forbidden logits to -inf, at several shares of allowed tokens.

    Args:
        name: of the engine.
        apply: takes logits and bitmask.
        convert: makes of an array what `apply` takes, on the same memory.
        floor_ns: what taking the time takes.
        shape: rows and vocabulary.

    Raises:
        CodecLMError: the result is wrong.
    """
    clock = time.perf_counter_ns
    spreads = {}
    for share in ALLOWED:
        rng = np.random.default_rng(0)
        allowed = rng.random(shape) < share
        bitmask = np.packbits(allowed, axis=1, bitorder="little").view(np.int32)
        logits = rng.random(shape, np.float32)
        expected = np.where(allowed, logits, np.float32(-np.inf))
        given = convert(logits), convert(bitmask)
        times = []
        for _ in range(_N_APPLY_ROUNDS):
            start = clock()
            apply(*given)
            times.append(clock() - start)
        if not np.array_equal(logits, expected):
            raise CodecLMError(f"{name} masks other logits than the bitmask says")
        spreads[share] = Spread.of(times, floor=floor_ns, scale=1e-3)
    return ApplyTimes(name, spreads)


def measure_apply(floor_ns: float, shape: tuple[int, int]) -> list[ApplyTimes]:
    """Times apply_token_bitmask_inplace on arrays, and on tensors where torch is installed."""
    apply = apply_token_bitmask_inplace
    measured = [time_apply("pycodec_lm, numpy", apply, np.asarray, floor_ns, shape)]
    if importlib.util.find_spec("torch") is not None:
        import torch

        times = time_apply("pycodec_lm, torch", apply, torch.from_numpy, floor_ns, shape)
        measured.append(times)
    return measured
