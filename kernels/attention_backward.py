"""Gradients of attention (see attention.py), the same to the last bit every time.

A kernel for the gradients of queries and one for those of keys and values, without atomics: each
program adds in a fixed order. With rotary positions queries and keys have been turned before, and
their gradients are turned back where they are stored.

Letters: B rows of a batch, H query heads, K key/value heads, S queries, T keys, D head width.
Source: FlashAttention-2, arXiv 2307.08691, algorithm 2.
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
    place,
    range_arguments,
    rotary_arguments,
    store_tile,
    strides_of,
    turned,
)

__all__ = ["backward", "query_ranges"]

# Rows of a program that only multiplies outputs with their gradients.
_DELTA_ROWS = 32


@triton.jit
def delta_kernel(
    out_ptr,
    d_out_ptr,
    delta_ptr,
    stride_ob,
    stride_oh,
    stride_os,
    stride_gb,
    stride_gh,
    stride_gs,
    n_queries,
    H: tl.constexpr,
    D: tl.constexpr,
    D_BLOCK: tl.constexpr,
    BLOCK_M: tl.constexpr,
):
    """The product of each output with its gradient."""
    batch_head, block = place(n_queries, BLOCK_M, LAST_FIRST=False)
    batch = (batch_head // H).to(tl.int64)
    head = (batch_head % H).to(tl.int64)
    rows = block * BLOCK_M + tl.arange(0, BLOCK_M)
    out_ptr += batch * stride_ob + head * stride_oh
    d_out_ptr += batch * stride_gb + head * stride_gh
    out = load_tile(out_ptr, rows, n_queries, stride_os, D, D_BLOCK).to(tl.float32)
    d_out = load_tile(d_out_ptr, rows, n_queries, stride_gs, D, D_BLOCK).to(tl.float32)
    delta_ptr += batch_head.to(tl.int64) * n_queries
    tl.store(delta_ptr + rows, tl.sum(out * d_out, axis=1), mask=rows < n_queries)


@triton.jit
def query_gradient_kernel(
    q_ptr,
    k_ptr,
    v_ptr,
    d_out_ptr,
    lse_ptr,
    delta_ptr,
    dq_ptr,
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
    stride_gb,
    stride_gh,
    stride_gs,
    stride_range,
    n_queries,
    n_keys,
    scale,
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
    """As `forward_kernel`, with the probabilities made again from the logsumexp."""
    batch_head, block = place(n_queries, BLOCK_M, LAST_FIRST=MODE == CAUSAL)
    batch = (batch_head // H).to(tl.int64)
    head = (batch_head % H).to(tl.int64)
    row_base = batch_head.to(tl.int64) * n_queries
    rows = block * BLOCK_M + tl.arange(0, BLOCK_M)
    is_row = rows < n_queries
    k_ptr += batch * stride_kb + head // GROUP * stride_kh
    v_ptr += batch * stride_vb + head // GROUP * stride_vh
    q_ptr += batch * stride_qb + head * stride_qh
    d_out_ptr += batch * stride_gb + head * stride_gh
    q = load_tile(q_ptr, rows, n_queries, stride_qs, D, D_BLOCK)
    d_out = load_tile(d_out_ptr, rows, n_queries, stride_gs, D, D_BLOCK)
    lse = tl.load(lse_ptr + row_base + rows, mask=is_row, other=0.0) * LOG2_E
    delta = tl.load(delta_ptr + row_base + rows, mask=is_row, other=0.0)
    lo, hi = key_ranges(
        lo_ptr + batch * stride_range,
        hi_ptr + batch * stride_range,
        rows,
        n_queries,
        n_keys,
        MODE,
    )
    first = tl.maximum(tl.min(lo, axis=0), 0) // BLOCK_N * BLOCK_N
    last = tl.minimum(tl.max(hi, axis=0), n_keys)
    dq = tl.zeros([BLOCK_M, D_BLOCK], tl.float32)
    for start in range(first, last, BLOCK_N):
        keys = start + tl.arange(0, BLOCK_N)
        k = load_tile(k_ptr, keys, n_keys, stride_ks, D, D_BLOCK)
        v = load_tile(v_ptr, keys, n_keys, stride_vs, D, D_BLOCK)
        scores = tl.dot(q, tl.trans(k), input_precision=PRECISION) * (scale * LOG2_E)
        is_seen = (keys[None, :] >= lo[:, None]) & (keys[None, :] < hi[:, None])
        p = tl.where(is_seen, tl.exp2(scores - lse[:, None]), 0.0)
        dp = tl.dot(d_out, tl.trans(v), input_precision=PRECISION)
        ds = p * (dp - delta[:, None])
        dq = tl.dot(ds.to(k.dtype), k, dq, input_precision=PRECISION)
    dq = tl.where((lo < 0)[:, None], float("nan"), dq * scale)
    if ROTARY != NOT_ROTATED:
        cos_ptr += batch * stride_table
        sin_ptr += batch * stride_table
        cos, sin = load_rotary(cos_ptr, sin_ptr, rows, n_queries, D, D_BLOCK, ROTARY)
        dq = turned(dq, cos, -sin, BLOCK_M, D, D_BLOCK, ROTARY)
    dq_ptr += batch_head.to(tl.int64) * n_queries * D
    store_tile(dq_ptr, dq, rows, n_queries, D, D, D_BLOCK)


@triton.jit
def key_gradient_kernel(
    q_ptr,
    k_ptr,
    v_ptr,
    d_out_ptr,
    lse_ptr,
    delta_ptr,
    dk_ptr,
    dv_ptr,
    lo_ptr,
    hi_ptr,
    first_query_ptr,
    last_query_ptr,
    stride_qb,
    stride_qh,
    stride_qs,
    stride_kb,
    stride_kh,
    stride_ks,
    stride_vb,
    stride_vh,
    stride_vs,
    stride_gb,
    stride_gh,
    stride_gs,
    stride_range,
    stride_blocks,
    n_queries,
    n_keys,
    scale,
    cos_ptr,
    sin_ptr,
    stride_table,
    K: tl.constexpr,
    GROUP: tl.constexpr,
    D: tl.constexpr,
    D_BLOCK: tl.constexpr,
    MODE: tl.constexpr,
    ROTARY: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """A program takes a block of keys of one head, and goes through the queries that see them."""
    batch_head, block = place(n_keys, BLOCK_N, LAST_FIRST=False)
    batch = (batch_head // K).to(tl.int64)
    head = (batch_head % K).to(tl.int64)
    keys = block * BLOCK_N + tl.arange(0, BLOCK_N)
    k_ptr += batch * stride_kb + head * stride_kh
    v_ptr += batch * stride_vb + head * stride_vh
    k = load_tile(k_ptr, keys, n_keys, stride_ks, D, D_BLOCK)
    v = load_tile(v_ptr, keys, n_keys, stride_vs, D, D_BLOCK)
    first = 0
    last = n_queries
    if MODE == CAUSAL:
        first = tl.maximum(block * BLOCK_N - (n_keys - n_queries), 0)
    if MODE == INTERVALS:
        first = tl.load(first_query_ptr + batch * stride_blocks + block).to(tl.int32)
        last = tl.load(last_query_ptr + batch * stride_blocks + block).to(tl.int32)
    first = first // BLOCK_M * BLOCK_M
    dk = tl.zeros([BLOCK_N, D_BLOCK], tl.float32)
    dv = tl.zeros([BLOCK_N, D_BLOCK], tl.float32)
    for member in range(GROUP):
        query_head = head * GROUP + member
        row_base = (batch * K * GROUP + query_head) * n_queries
        q_head_ptr = q_ptr + batch * stride_qb + query_head * stride_qh
        d_out_head_ptr = d_out_ptr + batch * stride_gb + query_head * stride_gh
        for start in range(first, last, BLOCK_M):
            rows = start + tl.arange(0, BLOCK_M)
            is_row = rows < n_queries
            q = load_tile(q_head_ptr, rows, n_queries, stride_qs, D, D_BLOCK)
            d_out = load_tile(d_out_head_ptr, rows, n_queries, stride_gs, D, D_BLOCK)
            lse = tl.load(lse_ptr + row_base + rows, mask=is_row, other=0.0) * LOG2_E
            delta = tl.load(delta_ptr + row_base + rows, mask=is_row, other=0.0)
            lo, hi = key_ranges(
                lo_ptr + batch * stride_range,
                hi_ptr + batch * stride_range,
                rows,
                n_queries,
                n_keys,
                MODE,
            )
            scores = tl.dot(k, tl.trans(q), input_precision=PRECISION) * (scale * LOG2_E)
            is_seen = (keys[:, None] >= lo[None, :]) & (keys[:, None] < hi[None, :])
            p = tl.where(is_seen, tl.exp2(scores - lse[None, :]), 0.0)
            dv = tl.dot(p.to(d_out.dtype), d_out, dv, input_precision=PRECISION)
            dp = tl.dot(v, tl.trans(d_out), input_precision=PRECISION)
            ds = p * (dp - delta[None, :])
            dk = tl.dot(ds.to(q.dtype), q, dk, input_precision=PRECISION)
    base = batch_head.to(tl.int64) * n_keys * D
    store_tile(dv_ptr + base, dv, keys, n_keys, D, D, D_BLOCK)
    dk *= scale
    if ROTARY != NOT_ROTATED:
        cos_ptr += batch * stride_table
        sin_ptr += batch * stride_table
        cos, sin = load_rotary(cos_ptr, sin_ptr, keys, n_keys, D, D_BLOCK, ROTARY)
        dk = turned(dk, cos, -sin, BLOCK_N, D, D_BLOCK, ROTARY)
    store_tile(dk_ptr + base, dk, keys, n_keys, D, D, D_BLOCK)


def query_ranges(lo: Tensor, hi: Tensor, n_keys: int, block: int) -> tuple[Tensor, Tensor]:
    """The queries between the first and the last that see some of each block of keys.

    Args:
        lo, hi: int32 [R, S].
        n_keys: how many there are.
        block: keys of a block.

    Returns:
        first, and one behind the last, int64 [R, blocks]; nobody sees a block where they are equal
        or the first is larger.
    """
    starts = torch.arange(0, n_keys, block, device=lo.device, dtype=lo.dtype)
    starts = starts.expand(lo.shape[0], -1).contiguous()
    ends = (starts + block - 1).clamp(max=n_keys - 1)
    # The first query that ends behind a key is the first at which the highest end so far does.
    highest_hi = hi.cummax(dim=1).values
    lowest_lo = lo.flip(1).cummin(dim=1).values.flip(1)
    first = torch.searchsorted(highest_hi, starts, right=True)
    return first, torch.searchsorted(lowest_lo, ends, right=True)


def backward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    out: Tensor,
    lse: Tensor,
    d_out: Tensor,
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
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of q, k and v; arguments as in `forward`, with its results.

    With `rotary`, q and k have both been turned by `rotary.turn`, and the gradients are those of
    what they were before.
    """
    n_batch, n_heads, n_queries, width = q.shape
    n_kv_heads, n_keys = k.shape[1:3]
    dq = torch.empty(q.shape, dtype=q.dtype, device=q.device)
    dk = torch.empty(k.shape, dtype=k.dtype, device=k.device)
    dv = torch.empty(v.shape, dtype=v.dtype, device=v.device)
    delta = torch.empty_like(lse)
    constants = constants_of(q, k, causal, lo)
    launch = {"num_warps": num_warps, "num_stages": num_stages}
    if dq.numel() == 0:
        return dq, dk.zero_(), dv.zero_()
    query_grid = (triton.cdiv(n_queries, block_m) * n_batch * n_heads,)
    delta_kernel[(triton.cdiv(n_queries, _DELTA_ROWS) * n_batch * n_heads,)](
        out_ptr=out,
        d_out_ptr=d_out,
        delta_ptr=delta,
        **strides_of("o", out),
        **strides_of("g", d_out),
        n_queries=n_queries,
        H=n_heads,
        D=width,
        D_BLOCK=constants["D_BLOCK"],
        BLOCK_M=_DELTA_ROWS,
        num_warps=4,
    )
    inputs = {
        "q_ptr": q,
        "k_ptr": k,
        "v_ptr": v,
        "d_out_ptr": d_out,
        "lse_ptr": lse,
        "delta_ptr": delta,
        **strides_of("q", q),
        **strides_of("k", k),
        **strides_of("v", v),
        **strides_of("g", d_out),
        **range_arguments(lo, hi, q),
        **rotary_arguments(rotary, q),
        **constants,
        "n_keys": n_keys,
        "scale": scale,
    }
    query_gradient_kernel[query_grid](
        **inputs, dq_ptr=dq, H=n_heads, BLOCK_M=block_m, BLOCK_N=block_n, **launch
    )
    # Blocks change places: the longer side is the one that a program keeps.
    block_queries, block_keys = block_n, block_m
    first = last = None
    if lo is not None and hi is not None:
        first, last = query_ranges(lo, hi, n_keys, block_keys)
    key_gradient_kernel[(triton.cdiv(n_keys, block_keys) * n_batch * n_kv_heads,)](
        **inputs,
        dk_ptr=dk,
        dv_ptr=dv,
        first_query_ptr=first,
        last_query_ptr=last,
        stride_blocks=0 if first is None or first.shape[0] == 1 else first.shape[1],
        K=n_kv_heads,
        BLOCK_M=block_queries,
        BLOCK_N=block_keys,
        **launch,
    )
    return dq, dk, dv
