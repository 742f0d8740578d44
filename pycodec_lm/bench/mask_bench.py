"""All that `pycodec-lm bench mask` measures, one thing after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .mask_speed import MaskTimes, measure_masks
from .mask_streams import Streams, Vocabulary, encode, is_clip
from .matcher_memory import (
    MatcherMemory,
    ProgressiveMemory,
    allocated_bytes,
    measure_memory,
    measure_progressive_memory,
)
from .matcher_speed import (
    ApplyTimes,
    BatchTimes,
    ForkTimes,
    measure_apply,
    measure_batch,
    measure_forks,
)
from .measure import timer_floor_ns
from .peers import (
    PeerTimes,
    available_peers,
    measure_peer,
    measure_peer_apply,
    measure_peer_batch,
    measure_peer_forks,
    token_kinds,
)

if TYPE_CHECKING:
    from .avc_large_memory import LargeMemory

__all__ = ["APPLY_SHAPE", "FORK_TOKENS", "MaskResults", "measure_all", "n_steps"]

FORK_TOKENS = (1_000, 10_000, 40_000)
APPLY_SHAPE = (64, 32768)


@dataclass
class MaskResults:
    """What was measured; empty where a peer, torch or a counting allocator is missing."""

    floor_ns: float
    vocabularies: list[Vocabulary] = field(default_factory=list)
    masks: list[MaskTimes] = field(default_factory=list)
    peers: list[PeerTimes] = field(default_factory=list)
    batches: list[BatchTimes] = field(default_factory=list)
    forks: list[ForkTimes] = field(default_factory=list)
    applied: list[ApplyTimes] = field(default_factory=list)
    memory: list[MatcherMemory] = field(default_factory=list)
    progressive: ProgressiveMemory | None = None
    large: LargeMemory | None = None


def n_steps(vocab_sizes: Sequence[int], all_streams: Sequence[Streams]) -> int:
    """How often measure_all() calls `on_step`."""
    n_peer_steps = len(available_peers()) * len(vocab_sizes)
    n_mask_steps = sum(3 if streams.has_budgets else 2 for streams in all_streams)
    return n_mask_steps * len(vocab_sizes) + n_peer_steps + 4


def measure_all(
    files: Sequence[bytes],
    all_streams: Sequence[Streams],
    vocab_sizes: Sequence[int],
    on_step: Callable[[str], object] = lambda what: None,  # noqa: ARG005
) -> MaskResults:
    """Measures masks along files, batches, forks, logits, memory, and peers in the same run.

    Args:
        files: valid JPEG files of one size, or H.264 streams.
        all_streams: those of them, by `streams_of`.
        vocab_sizes: 259 for no merges.
        on_step: called after each step, with what comes next.

    Raises:
        CodecLMError: something is not correct; nothing is reported then.
    """
    results = MaskResults(timer_floor_ns())
    floor_ns = results.floor_ns
    # The vocabulary that forks and memory are measured with: 1024, or the next smaller one.
    usual_size = max([v for v in vocab_sizes if v <= 1024] or [min(vocab_sizes)])
    for streams in all_streams:
        for vocab_size in vocab_sizes:
            encoded = encode(streams, vocab_size)
            results.vocabularies.append(encoded.vocabulary)
            for has_budget in (False, True) if streams.has_budgets else (False,):
                times, compiled = measure_masks(encoded, has_budget=has_budget, floor_ns=floor_ns)
                results.masks.append(times)
                on_step("masks")
                if not has_budget:
                    results.batches.append(measure_batch(compiled, encoded, floor_ns))
                    on_step("masks")
                del compiled  # and its caches
            if vocab_size == usual_size:
                if not results.forks:
                    results.forks.append(measure_forks(encoded, floor_ns, FORK_TOKENS))
                if allocated_bytes() is not None:
                    results.memory.append(measure_memory(encoded))
    on_step("memory")
    if allocated_bytes() is not None:
        if is_clip(files[0]):
            results.large = _measure_large_memory()
        else:
            results.progressive = measure_progressive_memory(files)
    on_step("logits")
    results.applied += measure_apply(floor_ns, APPLY_SHAPE)
    on_step("peers")
    _measure_peers(results, vocab_sizes, len(all_streams[0].batch), on_step)
    on_step("")
    return results


def _measure_large_memory() -> LargeMemory:
    from .avc_large_memory import measure_large_memory  # needs PyAV

    return measure_large_memory()


def _measure_peers(
    results: MaskResults,
    vocab_sizes: Sequence[int],
    n_rows: int,
    on_step: Callable[[str], object],
) -> None:
    peers = available_peers()
    for name in peers:
        results.forks.append(measure_peer_forks(name, results.floor_ns, FORK_TOKENS))
        for vocab_size in vocab_sizes:
            for tokens in token_kinds(vocab_size):
                results.peers.append(measure_peer(name, vocab_size, tokens))
            if name == "xgrammar":
                results.batches.append(measure_peer_batch(vocab_size, n_rows, results.floor_ns))
            on_step("peers")
    if "xgrammar" in peers:
        results.applied.append(measure_peer_apply(results.floor_ns, APPLY_SHAPE))
