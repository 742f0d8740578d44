"""Attention forward, in which each query sees an interval of keys (see attention_tiles.py).

With rotary positions queries are turned where they are loaded, once; keys have been turned before,
or every block of queries would turn all of them again.

Letters: B rows of a batch, H query heads, K key/value heads, S queries, T keys, D head width.
Source: FlashAttention-2, arXiv 2307.08691, algorithm 1.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from .attention_tiles import (
    CAUSAL,
    INTERVALS,
    LOG2_E,
    NOT_ROTATED,
    Rotary,
    constants_of,
    key_ranges,
    load_rotary,
    load_tile,
    load_turned,
    place,
    range_arguments,
    rotary_arguments,
    store_tile,
    strides_of,
)

__all__ = ["forward"]

_LN_2 = tl.constexpr(0.6931471805599453)


@triton.jit
def add_block(
    accumulated,
    total,
    highest,
    q,
    k_ptr,
    v_ptr,
    start,
    lo,
    hi,
    n_keys,
    stride_k,
    stride_v,
    slope,
    D: tl.constexpr,
    D_BLOCK: tl.constexpr,
    BLOCK_N: tl.constexpr,
    PRECISION: tl.constexpr,
    MASKED: tl.constexpr,
):
    """One block of keys and values."""
    keys = start + tl.arange(0, BLOCK_N)
    k = load_tile(k_ptr, keys, n_keys, stride_k, D, D_BLOCK)
    scores = tl.dot(q, tl.trans(k), input_precision=PRECISION) * slope
    if MASKED:
        is_seen = (keys[None, :] >= lo[:, None]) & (keys[None, :] < hi[:, None])
        scores = tl.where(is_seen, scores, float("-inf"))
    now = tl.maximum(highest, tl.max(scores, axis=1))
    shift = tl.where(now == float("-inf"), 0.0, now)
    p = tl.exp2(scores - shift[:, None])
    fade = tl.exp2(highest - shift)
    v = load_tile(v_ptr, keys, n_keys, stride_v, D, D_BLOCK)
    accumulated = tl.dot(p.to(v.dtype), v, accumulated * fade[:, None], input_precision=PRECISION)
    return accumulated, total * fade + tl.sum(p, axis=1), now


@triton.jit
def forward_kernel(
    q_ptr,
    k_ptr,
    v_ptr,
    out_ptr,
    lse_ptr,
    lo_ptr,
    hi_ptr,
    stride_qb,
    stride_qh,
    stride_qs,
    stride_kb,
    stride_kh,
    stride_ks,
    stride_vb,
    stride_vh,
    stride_vs,
    stride_ob,
    stride_oh,
    stride_os,
    stride_range,
    n_queries,
    n_keys,
    slope,
    cos_ptr,
    sin_ptr,
    stride_table,
    H: tl.constexpr,
    GROUP: tl.constexpr,
    D: tl.constexpr,
    D_BLOCK: tl.constexpr,
    MODE: tl.constexpr,
    ROTARY: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """A program takes a block of queries of one head, and goes through the keys they see."""
    batch_head, block = place(n_queries, BLOCK_M, LAST_FIRST=MODE == CAUSAL)
    batch = (batch_head // H).to(tl.int64)
    head = (batch_head % H).to(tl.int64)
    rows = block * BLOCK_M + tl.arange(0, BLOCK_M)
    q_ptr += batch * stride_qb + head * stride_qh
    k_ptr += batch * stride_kb + head // GROUP * stride_kh
    v_ptr += batch * stride_vb + head // GROUP * stride_vh
    if ROTARY == NOT_ROTATED:
        q = load_tile(q_ptr, rows, n_queries, stride_qs, D, D_BLOCK)
    else:
        cos_ptr += batch * stride_table
        sin_ptr += batch * stride_table
        cos, sin = load_rotary(cos_ptr, sin_ptr, rows, n_queries, D, D_BLOCK, ROTARY)
        q = load_turned(q_ptr, rows, n_queries, stride_qs, cos, sin, BLOCK_M, D, D_BLOCK, ROTARY)
    lo, hi = key_ranges(
        lo_ptr + batch * stride_range,
        hi_ptr + batch * stride_range,
        rows,
        n_queries,
        n_keys,
        MODE,
    )
    is_row = rows < n_queries
    is_broken = lo < 0
    first = tl.maximum(tl.min(lo, axis=0), 0) // BLOCK_N * BLOCK_N
    last = tl.minimum(tl.max(hi, axis=0), n_keys)
    # Blocks that all queries see whole need no mask.
    whole_from = tl.cdiv(tl.max(tl.where(is_row, lo, 0), axis=0), BLOCK_N) * BLOCK_N
    whole_to = tl.minimum(tl.min(tl.where(is_row, hi, n_keys), axis=0), n_keys)
    whole_to = whole_to // BLOCK_N * BLOCK_N
    whole_from = tl.minimum(tl.maximum(whole_from, first), last)
    whole_to = tl.maximum(whole_to, whole_from)
    accumulated = tl.zeros([BLOCK_M, D_BLOCK], tl.float32)
    total = tl.zeros([BLOCK_M], tl.float32)
    highest = tl.full([BLOCK_M], float("-inf"), tl.float32)
    if MODE == INTERVALS:
        for start in range(first, whole_from, BLOCK_N):
            accumulated, total, highest = add_block(
                accumulated,
                total,
                highest,
                q,
                k_ptr,
                v_ptr,
                start,
                lo,
                hi,
                n_keys,
                stride_ks,
                stride_vs,
                slope,
                D,
                D_BLOCK,
                BLOCK_N,
                PRECISION,
                MASKED=True,
            )
    for start in range(whole_from, whole_to, BLOCK_N):
        accumulated, total, highest = add_block(
            accumulated,
            total,
            highest,
            q,
            k_ptr,
            v_ptr,
            start,
            lo,
            hi,
            n_keys,
            stride_ks,
            stride_vs,
            slope,
            D,
            D_BLOCK,
            BLOCK_N,
            PRECISION,
            MASKED=False,
        )
    for start in range(whole_to, last, BLOCK_N):
        accumulated, total, highest = add_block(
            accumulated,
            total,
            highest,
            q,
            k_ptr,
            v_ptr,
            start,
            lo,
            hi,
            n_keys,
            stride_ks,
            stride_vs,
            slope,
            D,
            D_BLOCK,
            BLOCK_N,
            PRECISION,
            MASKED=True,
        )
    is_empty = hi <= lo
    nan = float("nan")
    out = tl.where(is_empty[:, None], 0.0, accumulated / tl.where(is_empty, 1.0, total)[:, None])
    out = tl.where(is_broken[:, None], nan, out)
    lse = tl.where(is_empty, float("-inf"), (highest + tl.log2(total)) * _LN_2)
    lse = tl.where(is_broken, nan, lse)
    out_ptr += batch * stride_ob + head * stride_oh
    store_tile(out_ptr, out, rows, n_queries, stride_os, D, D_BLOCK)
    lse_ptr += batch_head.to(tl.int64) * n_queries
    tl.store(lse_ptr + rows, lse, mask=is_row)


def forward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    scale: float,
    causal: bool = False,
    lo: Tensor | None = None,
    hi: Tensor | None = None,
    rotary: Rotary | None = None,
    block_m: int,
    block_n: int,
    num_warps: int,
    num_stages: int,
) -> tuple[Tensor, Tensor]:
    """Output, as q, and logsumexp of the scaled scores, float32 [B, H, S].

    Args:
        q: [B, H, S, D]; k, v: [B, K, T, D]. Any strides, but the last is 1.
        scale: of the scores.
        causal: query i sees the keys up to i + T - S; not with lo and hi.
        lo, hi: int32 [1, S] or [B, S], the keys that a query sees; a lo below 0 makes its row NaN.
        rotary: cos, sin (float32 [1, S, D / 2] or [B, S, D / 2], dense) and whether pairs are
            interleaved: turns the queries; `k` has been turned by `rotary.turn`.
    """
    n_batch, n_heads, n_queries, width = q.shape
    out = torch.empty((n_batch, n_heads, n_queries, width), dtype=q.dtype, device=q.device)
    lse = torch.empty((n_batch, n_heads, n_queries), dtype=torch.float32, device=q.device)
    if out.numel() == 0:
        return out, lse
    forward_kernel[(triton.cdiv(n_queries, block_m) * n_batch * n_heads,)](
        q_ptr=q,
        k_ptr=k,
        v_ptr=v,
        out_ptr=out,
        lse_ptr=lse,
        **strides_of("q", q),
        **strides_of("k", k),
        **strides_of("v", v),
        **strides_of("o", out),
        **range_arguments(lo, hi, q),
        **rotary_arguments(rotary, q),
        n_keys=k.shape[2],
        slope=scale * LOG2_E.value,
        H=n_heads,
        **constants_of(q, k, causal, lo),
        BLOCK_M=block_m,
        BLOCK_N=block_n,
        num_warps=num_warps,
        num_stages=num_stages,
    )
    return out, lse
