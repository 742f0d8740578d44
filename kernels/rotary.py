"""Queries and keys turned by their rotary positions, in one launch.

Letters: B rows of a batch, H query heads, K key/value heads, S tokens, D head width.
Source: arXiv 2104.09864.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from .attention_tiles import (
    Rotary,
    load_rotary,
    load_turned,
    place,
    rotary_arguments,
    store_tile,
    strides_of,
)

__all__ = ["turn"]


@triton.jit
def turn_kernel(
    q_ptr,
    k_ptr,
    turned_q_ptr,
    turned_k_ptr,
    cos_ptr,
    sin_ptr,
    stride_qb,
    stride_qh,
    stride_qs,
    stride_kb,
    stride_kh,
    stride_ks,
    stride_table,
    n_tokens,
    H: tl.constexpr,
    K: tl.constexpr,
    D: tl.constexpr,
    D_BLOCK: tl.constexpr,
    ROTARY: tl.constexpr,
    HEADS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """A program takes a block of tokens and some heads, first those of queries; tables are read
    once for all of them.
    """
    n_parts = tl.cdiv(H + K, HEADS)
    batch_part, block = place(n_tokens, BLOCK, LAST_FIRST=False)
    batch = (batch_part // n_parts).to(tl.int64)
    rows = block * BLOCK + tl.arange(0, BLOCK)
    cos_ptr += batch * stride_table
    sin_ptr += batch * stride_table
    cos, sin = load_rotary(cos_ptr, sin_ptr, rows, n_tokens, D, D_BLOCK, ROTARY)
    for member in range(HEADS):
        head = (batch_part % n_parts).to(tl.int64) * HEADS + member
        if head < H:
            q_head_ptr = q_ptr + batch * stride_qb + head * stride_qh
            q = load_turned(
                q_head_ptr, rows, n_tokens, stride_qs, cos, sin, BLOCK, D, D_BLOCK, ROTARY
            )
            base = (batch * H + head) * n_tokens * D
            store_tile(turned_q_ptr + base, q, rows, n_tokens, D, D, D_BLOCK)
        elif head < H + K:
            k_head_ptr = k_ptr + batch * stride_kb + (head - H) * stride_kh
            k = load_turned(
                k_head_ptr, rows, n_tokens, stride_ks, cos, sin, BLOCK, D, D_BLOCK, ROTARY
            )
            base = (batch * K + head - H) * n_tokens * D
            store_tile(turned_k_ptr + base, k, rows, n_tokens, D, D, D_BLOCK)


def turn(
    q: Tensor | None,
    k: Tensor,
    rotary: Rotary,
    *,
    block: int,
    heads: int,
    num_warps: int,
) -> tuple[Tensor | None, Tensor]:
    """Dense copies, turned in float32 and rounded once.

    Args:
        q: [B, H, S, D], or None where only keys are turned; k: [B, K, S, D]. Any strides, but the
            last is 1.
        rotary: cos, sin (float32 [1, S, D / 2] or [B, S, D / 2], dense), interleaved.
        block: tokens of a program.
        heads: of a program.
    """
    n_batch, n_kv_heads, n_tokens, width = k.shape
    n_heads = 0 if q is None else q.shape[1]
    turned_q = None if q is None else torch.empty(q.shape, dtype=q.dtype, device=q.device)
    turned_k = torch.empty(k.shape, dtype=k.dtype, device=k.device)
    if n_batch * n_tokens == 0:
        return turned_q, turned_k
    n_parts = triton.cdiv(n_heads + n_kv_heads, heads)
    turn_kernel[(triton.cdiv(n_tokens, block) * n_parts * n_batch,)](
        # Without queries nothing is read there, but an address it must be.
        q_ptr=k if q is None else q,
        k_ptr=k,
        turned_q_ptr=turned_k if turned_q is None else turned_q,
        turned_k_ptr=turned_k,
        **strides_of("q", k if q is None else q),
        **strides_of("k", k),
        **rotary_arguments(rotary, k),
        n_tokens=n_tokens,
        H=n_heads,
        K=n_kv_heads,
        D=width,
        D_BLOCK=max(16, triton.next_power_of_2(width)),
        HEADS=heads,
        BLOCK=block,
        num_warps=num_warps,
    )
    return turned_q, turned_k
