"""How long a mask takes along real files, per Python call and inside C++."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .._core import (
    CompiledGrammar,
    GrammarMatcher,
    allocate_token_bitmask,
    compile_grammar,
    time_steps,
)
from ..errors import CodecLMError
from .mask_streams import Encoded
from .mask_walk import prompt_of
from .measure import Spread

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["MaskTimes", "measure_masks"]

# Files that are walked again, with a tensor and inside C++: for medians, their masks being known.
_MAX_AGAIN = 5


@dataclass(frozen=True)
class MaskTimes:
    """What one grammar, vocabulary and budget gave, in microseconds."""

    grammar: str
    vocab_size: int
    max_tokens: int | None
    n_warm_up: int
    fill: Spread  # a Python call with a numpy bitmask, along files not seen before
    tensor: Spread | None  # the same with a torch tensor, along files walked before
    inside: Spread  # C++ alone, along files walked before
    accept: Spread
    cold: Spread  # fill, along the first file of all
    hit_rate: float  # of the cache, along files not seen before
    stats: dict[str, int]


def measure_masks(
    encoded: Encoded, *, has_budget: bool, floor_ns: float
) -> tuple[MaskTimes, CompiledGrammar]:
    """Times fill_next_token_bitmask and accept_token along files, after a walk along others.

    The bit of the token that the file goes on with is looked at in every step.

    Args:
        encoded: what to walk along.
        has_budget: with max_tokens, room for half as much again as the longest file takes.
        floor_ns: what taking the time takes.

    Returns:
        The times, and the compiled grammar with its caches.

    Raises:
        CodecLMError: a mask forbids what a valid file goes on with; nothing is reported then.
    """
    longest = max(len(ids) for ids in (*encoded.measured, *encoded.warm_up))
    max_tokens = longest * 3 // 2 if has_budget else None
    compiled = compile_grammar(encoded.streams.grammar, encoded.tokenizer.info())

    array = allocate_token_bitmask(1, compiled.vocab_size)
    words, stop = array[0], encoded.tokenizer.eos_id

    def spread(times: Sequence[int]) -> Spread:
        return Spread.of(times, floor=floor_ns, scale=1e-3)

    def walk(files: Sequence[Sequence[int]], bitmask: Any) -> tuple[list[int], list[int]]:
        fill: list[int] = []
        accept: list[int] = []
        for ids in files:
            matcher = GrammarMatcher(compiled, max_tokens=max_tokens, prompt=prompt_of(compiled))
            _walk(matcher, [*ids, stop], bitmask, words, fill, accept)
        return fill, accept

    cold, _ = walk(encoded.warm_up[:1], array)
    walk(encoded.warm_up[1:], array)
    before = compiled.stats()
    fill, accept = walk(encoded.measured, array)
    after = compiled.stats()
    tensor = _as_tensor(array)
    again = encoded.measured[:_MAX_AGAIN]
    n_hits, n_misses = (after[name] - before[name] for name in ("cache_hits", "cache_misses"))
    times = MaskTimes(
        grammar=encoded.streams.name,
        vocab_size=compiled.vocab_size,
        max_tokens=max_tokens,
        n_warm_up=len(encoded.warm_up),
        fill=spread(fill),
        tensor=None if tensor is None else spread(walk(again, tensor)[0]),
        inside=_inside(compiled, again, max_tokens),
        accept=spread(accept),
        cold=spread(cold),
        hit_rate=n_hits / max(1, n_hits + n_misses),
        stats=after,
    )
    return times, compiled


def _as_tensor(bitmask: NDArray[np.int32]) -> Any:
    """A tensor on the memory of an array; None where torch is not installed."""
    if importlib.util.find_spec("torch") is None:
        return None
    import torch

    return torch.from_numpy(bitmask)


def _inside(
    compiled: CompiledGrammar, files: Sequence[Sequence[int]], max_tokens: int | None
) -> Spread:
    import numpy as np

    stop = compiled.tokenizer_info.stop_token_ids[0]
    runs = []
    for ids in files:
        matcher = GrammarMatcher(compiled, max_tokens=max_tokens, prompt=prompt_of(compiled))
        runs.append(time_steps(matcher, [*ids, stop]))
    times = np.concatenate(runs)
    return Spread.of(times[:, 1].tolist(), floor=float(np.median(times[:, 0])), scale=1e-3)


def _walk(
    matcher: GrammarMatcher,
    ids: Sequence[int],
    bitmask: Any,
    words: NDArray[np.int32],
    fill: list[int],
    accept: list[int],
) -> None:
    clock = time.perf_counter_ns
    for step, token in enumerate(ids):
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
