"""Lookup-free quantisation: signs, packed indices, the commitment term (arXiv 2310.05737).

Deterministic: partial sums go to places of their own and are added by torch.

Shape suffixes: N rows, D channels, G groups.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

__all__ = ["quantize", "quantize_backward"]


@triton.jit
def quantize_kernel(
    z_ptr,
    quantized_ptr,
    indices_ptr,
    partial_ptr,
    n_rows,
    GROUPS: tl.constexpr,
    D: tl.constexpr,
    D_BLOCK: tl.constexpr,
    LITTLE: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    rows = tl.program_id(0).to(tl.int64) * BLOCK_N + tl.arange(0, BLOCK_N)
    channels = tl.arange(0, D_BLOCK)
    inside = (rows < n_rows)[:, None] & (channels < D)[None, :]
    offsets = rows[:, None] * D + channels[None, :]
    z = tl.load(z_ptr + offsets, mask=inside, other=0.0).to(tl.float32)
    is_one = z > 0
    quantized = tl.where(z != z, z, tl.where(is_one, 1.0, -1.0))
    tl.store(quantized_ptr + offsets, quantized.to(quantized_ptr.dtype.element_ty), mask=inside)
    distance = tl.where(inside, z - quantized, 0.0)
    squares = tl.sum(tl.sum(distance * distance, axis=1), axis=0)
    tl.store(partial_ptr + tl.program_id(0), squares)
    bits = is_one.to(tl.int64)
    first = 0
    for g in tl.static_range(len(GROUPS)):
        place = channels - first
        if not LITTLE:
            place = GROUPS[g] - 1 - place
        is_here = (channels >= first) & (channels < first + GROUPS[g])
        place = tl.where(is_here, place, 0)
        index = tl.sum(tl.where(is_here[None, :], bits << place[None, :].to(tl.int64), 0), axis=1)
        tl.store(indices_ptr + rows * len(GROUPS) + g, index, mask=rows < n_rows)
        first += GROUPS[g]


@triton.jit
def quantize_backward_kernel(
    z_ptr,
    d_quantized_ptr,
    d_commitment_ptr,
    dz_ptr,
    n_values,
    factor,
    BLOCK: tl.constexpr,
):
    offsets = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = offsets < n_values
    z = tl.load(z_ptr + offsets, mask=inside, other=0.0).to(tl.float32)
    d_quantized = tl.load(d_quantized_ptr + offsets, mask=inside, other=0.0).to(tl.float32)
    slope = tl.load(d_commitment_ptr).to(tl.float32) * factor
    distance = z - tl.where(z != z, z, tl.where(z > 0, 1.0, -1.0))
    dz = d_quantized + slope * distance
    tl.store(dz_ptr + offsets, dz.to(dz_ptr.dtype.element_ty), mask=inside)


def quantize(
    z_ND: Tensor,
    groups: Sequence[int],
    little: bool,
    *,
    block_n: int,
    block: int,  # noqa: ARG001  # of the backward pass, which shares the entry of the table
    num_warps: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Signs, packed indices and commitment term: arguments as in `pycodec_lm.ops.lfq`."""
    z_ND = z_ND.contiguous()
    n_rows, n_channels = z_ND.shape
    quantized_ND = torch.empty_like(z_ND)
    indices_NG = z_ND.new_empty((n_rows, len(groups)), dtype=torch.int64)
    n_programs = triton.cdiv(n_rows, block_n)
    partial = z_ND.new_empty(n_programs, dtype=torch.float32)
    if n_programs:
        quantize_kernel[(n_programs,)](
            z_ptr=z_ND,
            quantized_ptr=quantized_ND,
            indices_ptr=indices_NG,
            partial_ptr=partial,
            n_rows=n_rows,
            GROUPS=tuple(groups),
            D=n_channels,
            D_BLOCK=triton.next_power_of_2(n_channels),
            LITTLE=little,
            BLOCK_N=block_n,
            num_warps=num_warps,
        )
    return quantized_ND, indices_NG, partial.sum() / z_ND.numel()


def quantize_backward(
    z_ND: Tensor,
    d_quantized_ND: Tensor,
    d_commitment: Tensor,
    *,
    block_n: int,  # noqa: ARG001
    block: int,
    num_warps: int,
) -> Tensor:
    """The gradient of z: straight through, and that of the commitment term."""
    z_ND = z_ND.contiguous()
    dz_ND = torch.empty_like(z_ND)
    if z_ND.numel():
        quantize_backward_kernel[(triton.cdiv(z_ND.numel(), block),)](
            z_ptr=z_ND,
            d_quantized_ptr=d_quantized_ND.contiguous(),
            d_commitment_ptr=d_commitment,
            dz_ptr=dz_ND,
            n_values=z_ND.numel(),
            factor=2.0 / z_ND.numel(),
            BLOCK=block,
            num_warps=num_warps,
        )
    return dz_ND
