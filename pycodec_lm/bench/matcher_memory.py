"""What matchers take of memory, as the allocator counts it: not what they say of themselves."""

from __future__ import annotations

import ctypes
import gc
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from .._core import CompiledGrammar, GrammarMatcher, compile_grammar, read_coefficients
from ..grammar import JpegGrammar
from .mask_streams import Encoded
from .mask_walk import prompt_of
from .vocabularies import byte_vocabulary

__all__ = [
    "MatcherMemory",
    "ProgressiveMemory",
    "allocated_bytes",
    "bytes_in_use",
    "history_bytes_a_token",
    "measure_memory",
    "measure_progressive_memory",
    "state_bytes",
]

_N_COPIES = 64
# The state of a progressive matcher is looked at after so many bytes.
_PIECE_BYTES = 64
_TILES = 4


class _Mallinfo2(ctypes.Structure):
    # mallinfo(3): uordblks is what is in use of the heaps, hblkhd what has pages of its own.
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd",
            "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    ]  # fmt: skip


@cache
def _mallinfo2() -> ctypes._NamedFuncPointer | None:
    function = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if function is not None:
        function.restype = _Mallinfo2
    return function


def allocated_bytes() -> int | None:
    """What this process has in use of memory from malloc; None where nobody counts (glibc does).

    Python's own small objects do not come from there, so that differences are C++'s.
    """
    function = _mallinfo2()
    if function is None:
        return None
    info = function()
    in_use = int(info.uordblks + info.hblkhd)
    return in_use or None  # 0 under sanitizers, which have an allocator of their own


@dataclass(frozen=True)
class MatcherMemory:
    """Bytes that matchers of one grammar take."""

    grammar: str
    state_bytes: float  # a matcher that was given half a file as its prompt
    fork_bytes: float  # what a fork of one adds that has walked a file
    history_bytes_a_token: float
    n_tokens: int


@dataclass(frozen=True)
class ProgressiveMemory:
    """Bytes of the live states of two progressive pictures, the second made of 16 such tiles."""

    n_blocks: tuple[int, int]
    n_nonzero_blocks: tuple[int, int]  # with an AC coefficient that is not 0
    peak_bytes: tuple[int, int]
    end_bytes: tuple[int, int]
    history_bytes_a_token: tuple[float, float]  # a token being a byte

    @property
    def peak_bytes_a_block(self) -> float:
        """More bytes for each more block with a coefficient that is not 0."""
        return _slope(self.peak_bytes, self.n_nonzero_blocks)

    @property
    def end_bytes_a_block(self) -> float:
        """The same at the end of the file."""
        return _slope(self.end_bytes, self.n_nonzero_blocks)


def _slope(values: tuple[int, int], counts: tuple[int, int]) -> float:
    return (values[1] - values[0]) / (counts[1] - counts[0])


def bytes_in_use() -> int:
    """`allocated_bytes()` without what is waiting to be collected; 0 where nobody counts."""
    gc.collect()
    return allocated_bytes() or 0


def state_bytes(compiled: CompiledGrammar, prompt: bytes) -> float:
    """What a matcher takes that was given a prompt, and so has no history."""
    matchers: list[GrammarMatcher | None] = [None] * _N_COPIES
    GrammarMatcher(compiled, prompt=prompt)  # what all share is there now
    before = bytes_in_use()
    for i in range(_N_COPIES):
        matchers[i] = GrammarMatcher(compiled, prompt=prompt)
    return (bytes_in_use() - before) / _N_COPIES


def history_bytes_a_token(
    compiled: CompiledGrammar, ids: Sequence[int]
) -> tuple[float, GrammarMatcher]:
    """What each token adds that a matcher takes, and the matcher that has taken them."""
    matcher = GrammarMatcher(compiled, prompt=prompt_of(compiled))
    before = bytes_in_use()
    for token in ids:
        matcher.accept_token(token)
    return (bytes_in_use() - before) / len(ids), matcher


def measure_memory(encoded: Encoded) -> MatcherMemory:
    """Measures matchers along the longest of the measured files."""
    compiled = compile_grammar(encoded.streams.grammar, encoded.tokenizer.info())
    n, longest = max((len(ids), i) for i, ids in enumerate(encoded.measured))
    stream = encoded.streams.measured[longest]
    history, matcher = history_bytes_a_token(compiled, encoded.measured[longest])
    forks: list[GrammarMatcher | None] = [None] * _N_COPIES
    before = bytes_in_use()
    for i in range(_N_COPIES):
        forks[i] = matcher.fork()
    fork_bytes = (bytes_in_use() - before) / _N_COPIES
    prompt = prompt_of(compiled) + stream[: len(stream) // 2]
    return MatcherMemory(
        encoded.streams.name, state_bytes(compiled, prompt), fork_bytes, history, n
    )


def live_bytes(compiled: CompiledGrammar, data: bytes) -> tuple[int, int]:
    """What a matcher takes along a file without any history: at most, and at the end."""
    matcher = GrammarMatcher(compiled)
    before = bytes_in_use()
    peak = 0
    for at in range(0, len(data), _PIECE_BYTES):
        matcher.accept_bytes(data[at : at + _PIECE_BYTES])
        peak = max(peak, (allocated_bytes() or 0) - before)
    return peak, bytes_in_use() - before


def measure_progressive_memory(pictures: Sequence[bytes]) -> ProgressiveMemory:
    """Measures progressive matchers: 16 pictures side by side, and the first of them alone.

    Args:
        pictures: JPEG files of one size; the first is taken again where there are fewer than 16.
    """
    compiled = compile_grammar(JpegGrammar(portable=False), byte_vocabulary())
    small, large = (_along(compiled, _progressive(pictures, n)) for n in (1, _TILES))
    return ProgressiveMemory(
        (small.n_blocks, large.n_blocks),
        (small.n_nonzero, large.n_nonzero),
        (small.peak_bytes, large.peak_bytes),
        (small.end_bytes, large.end_bytes),
        (small.history_bytes_a_token, large.history_bytes_a_token),
    )


@dataclass(frozen=True)
class _Along:
    """ProgressiveMemory of one picture."""

    n_blocks: int
    n_nonzero: int
    peak_bytes: int
    end_bytes: int
    history_bytes_a_token: float


def _along(compiled: CompiledGrammar, data: bytes) -> _Along:
    blocks = [plane.reshape(-1, 64) for plane in read_coefficients(data)]
    n_nonzero = sum(int(np.any(plane[:, 1:] != 0, axis=1).sum()) for plane in blocks)
    live_bytes(compiled, data)  # tables that all matchers share are there now
    peak_bytes, end_bytes = live_bytes(compiled, data)
    history, _ = history_bytes_a_token(compiled, [*data])
    return _Along(sum(map(len, blocks)), n_nonzero, peak_bytes, end_bytes, history)


def _progressive(pictures: Sequence[bytes], n_across: int) -> bytes:
    from PIL import Image

    tiles = [Image.open(io.BytesIO(pictures[i % len(pictures)])) for i in range(n_across**2)]
    width, height = tiles[0].size
    whole = Image.new("RGB", (n_across * width, n_across * height))
    for i, tile in enumerate(tiles):
        whole.paste(tile, (i % n_across * width, i // n_across * height))
    stream = io.BytesIO()
    whole.save(stream, "JPEG", quality=25, progressive=True)
    return stream.getvalue()
