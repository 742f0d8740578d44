"""The mean soft assignment of rows to sign codes, and the entropy of it (arXiv 2310.05737).

Both factorise, which docs/kernels/lfq.md shows. Deterministic: partial sums go to places of their
own and are added by torch.

Shape suffixes: N rows, D channels of the input, C codes of a group.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

__all__ = ["mean_assignment", "mean_assignment_backward"]

# Enough programs for any GPU of today while the partial sums stay small.
_MAX_SPLITS = 16
_PROGRAMS_WANTED = 256


@triton.jit
def bit_logits(z_ptr, rows, n_rows, channel, scale, D: tl.constexpr):
    """Logits of one bit for a block of rows; 0 behind the last row."""
    return tl.load(z_ptr + rows * D + channel, mask=rows < n_rows, other=0.0).to(tl.float32) * scale


@triton.jit
def half_products(
    z_ptr,
    rows,
    n_rows,
    codes,
    first,
    scale,
    D: tl.constexpr,
    BITS: tl.constexpr,
    ROWS_FIRST: tl.constexpr,
):
    """Probabilities of codes of one half of a group, made from the input wherever they are needed.

    Returns:
        [rows, codes], or [codes, rows] where not ROWS_FIRST; 0 behind the last row and code.
    """
    if ROWS_FIRST:
        row_axis: tl.constexpr = 1
        code_axis: tl.constexpr = 0
    else:
        row_axis: tl.constexpr = 0  # type: ignore[no-redef]
        code_axis: tl.constexpr = 1  # type: ignore[no-redef]
    codes_2d = tl.expand_dims(codes, code_axis)
    inside = tl.expand_dims(rows < n_rows, row_axis) & (codes_2d < (1 << BITS))
    products = tl.where(inside, 1.0, 0.0)
    for i in tl.static_range(BITS):
        logits = bit_logits(z_ptr, rows, n_rows, first + i, scale, D)
        one = tl.expand_dims(tl.sigmoid(logits), row_axis)
        zero = tl.expand_dims(tl.sigmoid(-logits), row_axis)
        products *= tl.where(((codes_2d >> i) & 1) != 0, one, zero)
    return products


@triton.jit
def mean_kernel(
    z_ptr,
    partial_ptr,
    n_rows,
    rows_per_split,
    first,
    scale,
    D: tl.constexpr,
    BITS_LOW: tl.constexpr,
    BITS_HIGH: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_LOW: tl.constexpr,
    BLOCK_HIGH: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Sums of the outer products of half products over some of the rows."""
    n_low: tl.constexpr = 1 << BITS_LOW
    low = tl.program_id(0) * BLOCK_LOW + tl.arange(0, BLOCK_LOW)
    high = tl.program_id(1) * BLOCK_HIGH + tl.arange(0, BLOCK_HIGH)
    split = tl.program_id(2).to(tl.int64)
    sums = tl.zeros([BLOCK_HIGH, BLOCK_LOW], tl.float32)
    last = tl.minimum((split + 1) * rows_per_split, n_rows)
    for start in range(split * rows_per_split, last, BLOCK_N):
        rows = start + tl.arange(0, BLOCK_N)
        a = half_products(
            z_ptr, rows, last, high, first + BITS_LOW, scale, D, BITS_HIGH, ROWS_FIRST=False
        )
        b = half_products(z_ptr, rows, last, low, first, scale, D, BITS_LOW, ROWS_FIRST=True)
        sums = tl.dot(a, b, sums, input_precision=PRECISION)
    offsets = high[:, None] * n_low + low[None, :]
    inside = (high < (1 << BITS_HIGH))[:, None] & (low < n_low)[None, :]
    tl.store(partial_ptr + (split << (BITS_LOW + BITS_HIGH)) + offsets, sums, mask=inside)


@triton.jit
def entropy_kernel(z_ptr, partial_ptr, n_values, scale, BLOCK: tl.constexpr):
    """Sums of the entropies of bits: softplus(-|l|) + |l| sigmoid(-|l|)."""
    offsets = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = offsets < n_values
    size = tl.abs(tl.load(z_ptr + offsets, mask=inside, other=0.0).to(tl.float32) * scale)
    rest = tl.exp(-size)
    # log(1 + x) for x in [0, 1]; below 2 ** -12 the series keeps what 1 + x would drop.
    log1p = tl.where(rest < 2.44140625e-4, rest * (1 - 0.5 * rest), tl.log(1 + rest))
    entropy = log1p + size * (rest / (1 + rest))
    tl.store(partial_ptr + tl.program_id(0), tl.sum(tl.where(inside, entropy, 0.0), axis=0))


@triton.jit
def mean_backward_kernel(
    z_ptr,
    slope_ptr,
    d_sample_ptr,
    dz_ptr,
    n_rows,
    first_own,
    first_other,
    slope_stride_own,
    slope_stride_other,
    scale,
    factor,
    D: tl.constexpr,
    BITS_OWN: tl.constexpr,
    BITS_OTHER: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_OWN: tl.constexpr,
    BLOCK_OTHER: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Gradient of the channels of one half of a group, both terms."""
    rows = tl.program_id(0).to(tl.int64) * BLOCK_N + tl.arange(0, BLOCK_N)
    columns = tl.arange(0, 16)
    # Column i sums the weights of codes that have bit i, column BITS_OWN those of all codes.
    by_bit = tl.zeros([BLOCK_N, 16], tl.float32)
    for own_start in range(0, 1 << BITS_OWN, BLOCK_OWN):
        own = own_start + tl.arange(0, BLOCK_OWN)
        d_products = tl.zeros([BLOCK_N, BLOCK_OWN], tl.float32)
        for other_start in range(0, 1 << BITS_OTHER, BLOCK_OTHER):
            other = other_start + tl.arange(0, BLOCK_OTHER)
            a = half_products(
                z_ptr, rows, n_rows, other, first_other, scale, D, BITS_OTHER, ROWS_FIRST=True
            )
            slopes = tl.load(
                slope_ptr + other[:, None] * slope_stride_other + own[None, :] * slope_stride_own,
                mask=(other < (1 << BITS_OTHER))[:, None] & (own < (1 << BITS_OWN))[None, :],
                other=0.0,
            )
            d_products = tl.dot(a, slopes, d_products, input_precision=PRECISION)
        products = half_products(
            z_ptr, rows, n_rows, own, first_own, scale, D, BITS_OWN, ROWS_FIRST=True
        )
        has_bit = ((own[:, None] >> columns[None, :]) & 1 != 0) & (columns < BITS_OWN)[None, :]
        selector = tl.where(has_bit | (columns == BITS_OWN)[None, :], 1.0, 0.0)
        by_bit = tl.dot(products * d_products, selector, by_bit, input_precision=PRECISION)
    total = tl.sum(tl.where((columns == BITS_OWN)[None, :], by_bit, 0.0), axis=1)
    inside = (rows < n_rows)[:, None] & (columns < BITS_OWN)[None, :]
    offsets = rows[:, None] * D + first_own + columns[None, :]
    logits = tl.load(z_ptr + offsets, mask=inside, other=0.0).to(tl.float32) * scale
    one = tl.sigmoid(logits)
    # d H(bit) / dl = -l p (1 - p)
    d_sample = tl.load(d_sample_ptr).to(tl.float32)
    d_logits = by_bit - one * total[:, None] - d_sample * logits * one * tl.sigmoid(-logits)
    tl.store(dz_ptr + offsets, (d_logits * factor).to(dz_ptr.dtype.element_ty), mask=inside)


def mean_assignment(
    z_ND: Tensor,
    temperature: float,
    groups: Sequence[int],
    precise: bool,
    *,
    block_n: int,
    block_codes: int,
    num_warps: int,
    num_stages: int,
) -> tuple[Tensor, Tensor]:
    """E[H(q)], and E[q] of all groups one behind the other: see pycodec_lm/ops/_lfq.py."""
    z_ND = z_ND.contiguous()
    n_rows, n_channels = z_ND.shape
    block = 1024
    entropies = z_ND.new_empty(triton.cdiv(z_ND.numel(), block), dtype=torch.float32)
    entropy_kernel[(len(entropies),)](
        z_ptr=z_ND,
        partial_ptr=entropies,
        n_values=z_ND.numel(),
        scale=4.0 / temperature,
        BLOCK=block,
        num_warps=4,
    )
    means = []
    first = 0
    for size in groups:
        bits_low, bits_high = size // 2, size - size // 2
        block_low, block_high = _block(bits_low, block_codes), _block(bits_high, block_codes)
        tiles = triton.cdiv(1 << bits_low, block_low), triton.cdiv(1 << bits_high, block_high)
        n_splits = min(
            _MAX_SPLITS,
            triton.cdiv(_PROGRAMS_WANTED, tiles[0] * tiles[1]),
            triton.cdiv(n_rows, block_n),
        )
        # Splits start at whole blocks, and the last may find nothing left.
        rows_per_split = triton.cdiv(triton.cdiv(n_rows, n_splits), block_n) * block_n
        partial = z_ND.new_empty((n_splits, 1 << size), dtype=torch.float32)
        mean_kernel[(*tiles, n_splits)](
            z_ptr=z_ND,
            partial_ptr=partial,
            n_rows=n_rows,
            rows_per_split=rows_per_split,
            first=first,
            scale=4.0 / temperature,
            D=n_channels,
            BITS_LOW=bits_low,
            BITS_HIGH=bits_high,
            BLOCK_N=block_n,
            BLOCK_LOW=block_low,
            BLOCK_HIGH=block_high,
            PRECISION=_precision(precise),
            num_warps=num_warps,
            num_stages=num_stages,
        )
        means.append(partial.sum(dim=0))
        first += size
    mean = means[0] if len(means) == 1 else torch.cat(means)
    return entropies.sum() / n_rows, mean.div_(n_rows)


def mean_assignment_backward(
    z_ND: Tensor,
    d_sample: Tensor,
    d_mean: Tensor,
    temperature: float,
    groups: Sequence[int],
    precise: bool,
    *,
    block_n: int,
    block_own: int,
    block_other: int,
    num_warps: int,
    num_stages: int,
) -> Tensor:
    """The gradient of z, of both results of `mean_assignment`."""
    z_ND = z_ND.contiguous()
    n_rows, n_channels = z_ND.shape
    dz_ND = torch.empty_like(z_ND)
    first = 0
    for size, d_mean_C in zip(groups, d_mean.split([1 << g for g in groups]), strict=True):
        # Each row's assignment sums to 1, so a constant changes nothing but the rounding.
        slopes = d_mean_C - d_mean_C.mean()
        bits_low, bits_high = size // 2, size - size // 2
        low, high = (first, bits_low, 1), (first + bits_low, bits_high, 1 << bits_low)
        for own, other in ((low, high), (high, low)):
            if own[1] == 0:
                continue
            mean_backward_kernel[(triton.cdiv(n_rows, block_n),)](
                z_ptr=z_ND,
                slope_ptr=slopes,
                d_sample_ptr=d_sample,
                dz_ptr=dz_ND,
                n_rows=n_rows,
                first_own=own[0],
                first_other=other[0],
                slope_stride_own=own[2],
                slope_stride_other=other[2],
                scale=4.0 / temperature,
                factor=4.0 / temperature / n_rows,
                D=n_channels,
                BITS_OWN=own[1],
                BITS_OTHER=other[1],
                BLOCK_N=block_n,
                BLOCK_OWN=_block(own[1], block_own),
                BLOCK_OTHER=_block(other[1], block_other),
                PRECISION=_precision(precise),
                num_warps=num_warps,
                num_stages=num_stages,
            )
        first += size
    return dz_ND


def _block(bits: int, most: int) -> int:
    """Codes of a block: at least 16, the least that a matrix instruction takes."""
    return max(16, min(most, 1 << bits))


def _precision(precise: bool) -> str:
    return "tf32x3" if precise else "tf32"
