"""Attention of one new query a row to a key/value cache, split over the keys.

The query heads that share a key/value head go through its keys together. Lengths are read on the
device. Each split leaves its output and logsumexp, and a second kernel puts them together.

Letters: B rows, H query heads, K key/value heads, T slots of the cache, D head width.
Source: "Flash-Decoding" (Dao, Haziza, Massa, Sizov, 2023).
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

__all__ = ["decode"]

_LN_2 = tl.constexpr(0.6931471805599453)
# Splits of a head that are in registers together: 16 x 256 numbers at most.
_SPLITS_AT_ONCE = 16


@triton.jit
def split_kernel(
    q_ptr,
    k_ptr,
    v_ptr,
    lengths_ptr,
    partial_ptr,
    partial_lse_ptr,
    stride_qb,
    stride_qh,
    stride_kb,
    stride_kh,
    stride_ks,
    stride_vb,
    stride_vh,
    stride_vs,
    n_slots,
    keys_per_split,
    slope,
    K: tl.constexpr,
    GROUP: tl.constexpr,
    GROUP_BLOCK: tl.constexpr,
    D: tl.constexpr,
    D_BLOCK: tl.constexpr,
    BLOCK_N: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """A program takes a part of the keys of one row and key/value head."""
    row = (tl.program_id(0) // K).to(tl.int64)
    head = (tl.program_id(0) % K).to(tl.int64)
    members = tl.arange(0, GROUP_BLOCK)
    columns = tl.arange(0, D_BLOCK)
    is_column = columns < D
    is_query = (members < GROUP)[:, None] & is_column[None, :]
    q_ptr += row * stride_qb + head * GROUP * stride_qh
    query_offsets = members.to(tl.int64)[:, None] * stride_qh + columns[None, :]
    q = tl.load(q_ptr + query_offsets, mask=is_query, other=0.0)
    k_ptr += row * stride_kb + head * stride_kh
    v_ptr += row * stride_vb + head * stride_vh
    # Cut while it is as wide as it came: of 64 bits the lower half could be any length.
    length = tl.maximum(tl.load(lengths_ptr + row), 0)
    length = tl.minimum(length, n_slots).to(tl.int32)
    first = tl.program_id(1) * keys_per_split
    last = tl.minimum(first + keys_per_split, length)
    accumulated = tl.zeros([GROUP_BLOCK, D_BLOCK], tl.float32)
    total = tl.zeros([GROUP_BLOCK], tl.float32)
    highest = tl.full([GROUP_BLOCK], float("-inf"), tl.float32)
    for start in range(first, last, BLOCK_N):
        keys = start + tl.arange(0, BLOCK_N)
        mask = (keys < last)[:, None] & is_column[None, :]
        places = keys.to(tl.int64)[:, None]
        k = tl.load(k_ptr + places * stride_ks + columns[None, :], mask=mask, other=0.0)
        scores = tl.dot(q, tl.trans(k), input_precision=PRECISION) * slope
        scores = tl.where((keys < last)[None, :], scores, float("-inf"))
        now = tl.maximum(highest, tl.max(scores, axis=1))
        p = tl.exp2(scores - now[:, None])
        fade = tl.exp2(highest - now)
        v = tl.load(v_ptr + places * stride_vs + columns[None, :], mask=mask, other=0.0)
        accumulated = tl.dot(
            p.to(v.dtype), v, accumulated * fade[:, None], input_precision=PRECISION
        )
        total = total * fade + tl.sum(p, axis=1)
        highest = now
    is_empty = total == 0
    out = accumulated / tl.where(is_empty, 1.0, total)[:, None]
    lse = tl.where(is_empty, float("-inf"), highest + tl.log2(tl.where(is_empty, 1.0, total)))
    heads = (row * K + head) * GROUP + members
    places = heads * tl.num_programs(1) + tl.program_id(1)
    tl.store(partial_ptr + places[:, None] * D + columns[None, :], out, mask=is_query)
    tl.store(partial_lse_ptr + places, lse, mask=members < GROUP)


@triton.jit
def combine_kernel(
    partial_ptr,
    partial_lse_ptr,
    out_ptr,
    lse_ptr,
    n_splits,
    SPLITS_BLOCK: tl.constexpr,
    D: tl.constexpr,
    D_BLOCK: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """A program takes one head of one row, and adds some of its splits at a time."""
    head = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, D_BLOCK)
    partial_ptr += head * n_splits * D
    partial_lse_ptr += head * n_splits
    splits = tl.arange(0, SPLITS_BLOCK)
    lse = tl.load(partial_lse_ptr + splits, mask=splits < n_splits, other=float("-inf"))
    highest = tl.max(lse, axis=0)
    shift = tl.where(highest == float("-inf"), 0.0, highest)
    total = tl.sum(tl.exp2(lse - shift), axis=0)
    is_empty = total == 0  # not so where a NaN is among them, which a maximum may pass over
    out = tl.zeros([D_BLOCK], tl.float32)
    for start in range(0, n_splits, BLOCK):
        some = start + tl.arange(0, BLOCK)
        is_split = some < n_splits
        mask = is_split[:, None] & (columns < D)[None, :]
        partial = tl.load(partial_ptr + some[:, None] * D + columns[None, :], mask=mask, other=0.0)
        some_lse = tl.load(partial_lse_ptr + some, mask=is_split, other=float("-inf"))
        out += tl.sum(partial * tl.exp2(some_lse - shift)[:, None], axis=0)
    out /= tl.where(is_empty, 1.0, total)
    tl.store(out_ptr + head * D + columns, out.to(out_ptr.dtype.element_ty), mask=columns < D)
    whole = (highest + tl.log2(tl.where(is_empty, 1.0, total))) * _LN_2
    tl.store(lse_ptr + head, tl.where(is_empty, float("-inf"), whole))


def decode(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    lengths: Tensor,
    *,
    scale: float,
    block_n: int,
    programs: int,
    num_warps: int,
    num_stages: int,
) -> tuple[Tensor, Tensor]:
    """Output [B, H, D], as q, and logsumexp, float32 [B, H].

    Args:
        q: [B, H, D]; k, v: [B, K, T, D]. Any strides, but the last is 1.
        lengths: integer [B], the keys of each row.
        scale: of the scores.
        programs: about how many there should be; they decide the number of splits.
    """
    n_rows, n_heads, width = q.shape
    n_kv_heads, n_slots = k.shape[1:3]
    out = torch.empty((n_rows, n_heads, width), dtype=q.dtype, device=q.device)
    lse = torch.empty((n_rows, n_heads), dtype=torch.float32, device=q.device)
    if out.numel() == 0:
        return out, lse
    n_blocks = max(1, triton.cdiv(n_slots, block_n))
    n_splits = min(n_blocks, max(1, programs // (n_rows * n_kv_heads)))
    keys_per_split = triton.cdiv(n_blocks, n_splits) * block_n
    n_splits = max(1, triton.cdiv(n_slots, keys_per_split))
    partial = torch.empty((n_rows, n_heads, n_splits, width), dtype=torch.float32, device=q.device)
    partial_lse = torch.empty((n_rows, n_heads, n_splits), dtype=torch.float32, device=q.device)
    d_block = max(16, triton.next_power_of_2(width))
    split_kernel[(n_rows * n_kv_heads, n_splits)](
        q_ptr=q,
        k_ptr=k,
        v_ptr=v,
        lengths_ptr=lengths,
        partial_ptr=partial,
        partial_lse_ptr=partial_lse,
        stride_qb=q.stride(0),
        stride_qh=q.stride(1),
        stride_kb=k.stride(0),
        stride_kh=k.stride(1),
        stride_ks=k.stride(2),
        stride_vb=v.stride(0),
        stride_vh=v.stride(1),
        stride_vs=v.stride(2),
        n_slots=n_slots,
        keys_per_split=keys_per_split,
        slope=scale * 1.4426950408889634,
        K=n_kv_heads,
        GROUP=n_heads // n_kv_heads,
        GROUP_BLOCK=max(16, triton.next_power_of_2(n_heads // n_kv_heads)),
        D=width,
        D_BLOCK=d_block,
        BLOCK_N=block_n,
        PRECISION="ieee" if q.dtype == torch.float32 else "tf32",
        num_warps=num_warps,
        num_stages=num_stages,
    )
    combine_kernel[(n_rows * n_heads,)](
        partial_ptr=partial,
        partial_lse_ptr=partial_lse,
        out_ptr=out,
        lse_ptr=lse,
        n_splits=n_splits,
        SPLITS_BLOCK=triton.next_power_of_2(n_splits),
        D=width,
        D_BLOCK=d_block,
        BLOCK=_SPLITS_AT_ONCE,
        num_warps=4,
    )
    return out, lse
