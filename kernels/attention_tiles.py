"""What the attention kernels share: tiles of rows, the keys a query sees, rotary positions.

Query i of a row sees the keys lo[i] to hi[i] - 1. That is all of full, causal and packed attention,
and of attention by segments that ascend (VAR's scales, prefixes): the caller says what lo and hi
are, and no kernel knows more. Without them the intervals are all keys or, causal, those up to
i + T - S.

Letters: B rows of a batch, H query heads, K key/value heads, S queries, T keys, D head width.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

__all__ = [
    "CAUSAL",
    "INTERVALS",
    "LOG2_E",
    "NOT_ROTATED",
    "constants_of",
    "key_ranges",
    "load_rotary",
    "load_tile",
    "load_turned",
    "place",
    "range_arguments",
    "rotary_arguments",
    "store_tile",
    "strides_of",
    "turned",
]

LOG2_E = tl.constexpr(1.4426950408889634)

_ALL = tl.constexpr(0)
CAUSAL = tl.constexpr(1)
INTERVALS = tl.constexpr(2)

NOT_ROTATED = tl.constexpr(0)
_HALVES = tl.constexpr(1)
_INTERLEAVED = tl.constexpr(2)

# cos, sin and whether pairs are interleaved: float32 [1, S, D / 2] or [B, S, D / 2], dense.
Rotary = tuple[Tensor, Tensor, bool]


@triton.jit
def place(n_rows, BLOCK: tl.constexpr, LAST_FIRST: tl.constexpr):
    """The row and head of the batch (one number) and the block of rows of this program.

    The grid has one axis, for the others end at 65535. Where late blocks have the most to do, they
    start first: what runs at the end alone is short then.
    """
    n_blocks = tl.cdiv(n_rows, BLOCK)
    block = tl.program_id(0) % n_blocks
    if LAST_FIRST:
        block = n_blocks - 1 - block
    return tl.program_id(0) // n_blocks, block


@triton.jit
def load_tile(ptr, rows, n_rows, stride, D: tl.constexpr, D_BLOCK: tl.constexpr):
    """Some rows of a matrix, [rows, D_BLOCK]; 0 behind the last row and column."""
    columns = tl.arange(0, D_BLOCK)
    mask = (rows < n_rows)[:, None]
    if D != D_BLOCK:
        mask = mask & (columns < D)[None, :]
    return tl.load(
        ptr + rows.to(tl.int64)[:, None] * stride + columns[None, :], mask=mask, other=0.0
    )


@triton.jit
def store_tile(ptr, values, rows, n_rows, stride, D: tl.constexpr, D_BLOCK: tl.constexpr):
    columns = tl.arange(0, D_BLOCK)
    mask = (rows < n_rows)[:, None]
    if D != D_BLOCK:
        mask = mask & (columns < D)[None, :]
    offsets = rows.to(tl.int64)[:, None] * stride + columns[None, :]
    tl.store(ptr + offsets, values.to(ptr.dtype.element_ty), mask=mask)


@triton.jit
def key_ranges(lo_ptr, hi_ptr, rows, n_queries, n_keys, MODE: tl.constexpr):
    """The keys that queries see, [lo, hi): none behind the last query, and (-1, 0) for NaN."""
    inside = rows < n_queries
    if MODE == INTERVALS:
        lo = tl.load(lo_ptr + rows, mask=inside, other=n_keys)
        hi = tl.load(hi_ptr + rows, mask=inside, other=0)
    else:
        lo = tl.where(inside, 0, n_keys)
        hi = tl.zeros_like(rows) + n_keys
        if MODE == CAUSAL:
            hi = tl.maximum(rows + 1 + n_keys - n_queries, 0)
        hi = tl.where(inside, hi, 0)
    return lo, hi


@triton.jit
def load_rotary(
    cos_ptr, sin_ptr, rows, n_rows, D: tl.constexpr, D_BLOCK: tl.constexpr, ROTARY: tl.constexpr
):
    """Cosines and sines of some rows: of interleaved pairs one each, [rows, D_BLOCK / 2], of halves
    one for each column, [rows, D_BLOCK], and the sine negative in the first half.
    """
    is_row = (rows < n_rows)[:, None]
    row_offsets = rows.to(tl.int64)[:, None] * (D // 2)
    if ROTARY == _INTERLEAVED:
        pairs = tl.arange(0, D_BLOCK // 2)
        mask = is_row & (pairs < D // 2)[None, :]
        cos = tl.load(cos_ptr + row_offsets + pairs[None, :], mask=mask, other=0.0)
        sin = tl.load(sin_ptr + row_offsets + pairs[None, :], mask=mask, other=0.0)
    else:
        columns = tl.arange(0, D_BLOCK)
        mask = is_row & (columns < D)[None, :]
        offsets = row_offsets + (columns % (D // 2))[None, :]
        cos = tl.load(cos_ptr + offsets, mask=mask, other=0.0)
        sin = tl.load(sin_ptr + offsets, mask=mask, other=0.0)
        sin = tl.where((columns < D // 2)[None, :], -sin, sin)
    return cos, sin


@triton.jit
def _turned_neighbours(x, cos, sin, ROWS: tl.constexpr, D_BLOCK: tl.constexpr):
    even, odd = tl.split(tl.reshape(x, [ROWS, D_BLOCK // 2, 2]))
    return tl.interleave(even * cos - odd * sin, odd * cos + even * sin)


@triton.jit
def load_turned(
    ptr,
    rows,
    n_rows,
    stride,
    cos,
    sin,
    ROWS: tl.constexpr,
    D: tl.constexpr,
    D_BLOCK: tl.constexpr,
    ROTARY: tl.constexpr,
):
    """`load_tile` of rows that are turned on their way."""
    x = load_tile(ptr, rows, n_rows, stride, D, D_BLOCK)
    wide = x.to(tl.float32)
    if ROTARY == _HALVES:
        # Read again: numbers of a pair lie in different threads, memory is near.
        columns = tl.arange(0, D_BLOCK)
        others = tl.where(columns < D // 2, columns + D // 2, columns - D // 2)
        mask = (rows < n_rows)[:, None]
        if D != D_BLOCK:
            mask = mask & (columns < D)[None, :]
        offsets = rows.to(tl.int64)[:, None] * stride + others[None, :]
        other = tl.load(ptr + offsets, mask=mask, other=0.0).to(tl.float32)
        wide = wide * cos + other * sin
    else:
        wide = _turned_neighbours(wide, cos, sin, ROWS, D_BLOCK)
    return wide.to(x.dtype)


@triton.jit
def turned(
    x,
    cos,
    sin,
    ROWS: tl.constexpr,
    D: tl.constexpr,
    D_BLOCK: tl.constexpr,
    ROTARY: tl.constexpr,
):
    """Float32 rows turned where they are; with -sin, back: what a gradient wants."""
    if ROTARY == _INTERLEAVED:
        x = _turned_neighbours(x, cos, sin, ROWS, D_BLOCK)
    else:
        if D == D_BLOCK:
            halves = tl.permute(tl.reshape(x, [ROWS, 2, D_BLOCK // 2]), [0, 2, 1])
            low, high = tl.split(halves)
            other = tl.reshape(tl.permute(tl.join(high, low), [0, 2, 1]), [ROWS, D_BLOCK])
        else:
            columns = tl.arange(0, D_BLOCK)
            others = tl.where(columns < D // 2, columns + D // 2, columns - D // 2)
            # Padding takes itself: no column lies behind the last.
            others = tl.where(columns < D, others, columns)
            other = tl.gather(x, tl.broadcast_to(others[None, :], [ROWS, D_BLOCK]), axis=1)
        x = x * cos + other * sin
    return x


def strides_of(name: str, tensor: Tensor) -> dict[str, int]:
    """The first three strides of a tensor, as arguments of a kernel."""
    strides = zip("bhs", tensor.stride()[:3], strict=True)
    return {f"stride_{name}{axis}": stride for axis, stride in strides}


def range_arguments(lo: Tensor | None, hi: Tensor | None, q: Tensor) -> dict[str, object]:
    """Intervals of keys and the number of queries, as arguments of a kernel."""
    return {
        # Without intervals nothing is read there, but an address it must be.
        "lo_ptr": q if lo is None else lo.contiguous(),
        "hi_ptr": q if hi is None else hi.contiguous(),
        "stride_range": 0 if lo is None or lo.shape[0] == 1 else lo.shape[1],
        "n_queries": q.shape[2],
    }


def rotary_arguments(rotary: Rotary | None, q: Tensor) -> dict[str, object]:
    """Cosines and sines, as arguments of a kernel."""
    if rotary is None:
        return {"cos_ptr": q, "sin_ptr": q, "stride_table": 0, "ROTARY": NOT_ROTATED.value}
    cos, sin, interleaved = rotary
    return {
        "cos_ptr": cos,
        "sin_ptr": sin,
        "stride_table": 0 if cos.shape[0] == 1 else cos.stride(0),
        "ROTARY": (_INTERLEAVED if interleaved else _HALVES).value,
    }


def constants_of(q: Tensor, k: Tensor, causal: bool, lo: Tensor | None) -> dict[str, object]:
    """What a kernel is compiled for."""
    width = q.shape[3]
    mode = INTERVALS if lo is not None else CAUSAL if causal else _ALL
    return {
        "GROUP": q.shape[1] // k.shape[1],
        "D": width,
        "D_BLOCK": max(16, triton.next_power_of_2(width)),
        "MODE": mode.value,
        # float32 stays float32: TF32 has an error a thousand times as large.
        "PRECISION": "ieee" if q.dtype == torch.float32 else "tf32",
    }
