"""Token bitmasks put to logits in place (see pycodec_lm/ops/_token_mask.py)."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

__all__ = ["apply_token_bitmask_inplace"]


@triton.jit
def token_mask_kernel(
    logits_ptr,
    bitmask_ptr,
    rows_ptr,
    n_rows,
    n_tokens,
    n_words,
    stride_row,
    stride_token,
    stride_bitmask,
    fill,
    HAS_ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Writes what is forbidden and reads no logits at all."""
    row = tl.program_id(0).to(tl.int64)
    if HAS_ROWS:
        row = tl.load(rows_ptr + row).to(tl.int64)
        # There is nobody to complain to: what is no row is left out.
        n_tokens = tl.where((row >= 0) & (row < n_rows), n_tokens, 0)
    tokens = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = tokens < n_tokens
    has_word = inside & (tokens // 32 < n_words)
    words = tl.load(bitmask_ptr + row * stride_bitmask + tokens // 32, mask=has_word, other=0)
    is_forbidden = ((words >> (tokens % 32)) & 1) == 0
    values = tl.full([BLOCK], fill, tl.float32).to(logits_ptr.dtype.element_ty)
    target_ptr = logits_ptr + row * stride_row + tokens.to(tl.int64) * stride_token
    tl.store(target_ptr, values, mask=is_forbidden & inside)


def apply_token_bitmask_inplace(
    logits: Tensor,
    bitmask: Tensor,
    rows: Tensor | None,
    fill: float,
    *,
    block: int,
    num_warps: int,
) -> None:
    """Sets forbidden logits to `fill`.

    Args:
        logits: [B, V], any strides.
        bitmask: int32 [B, W].
        rows: integers [n], those to mask; None for all. What is not in [0, B) masks nothing.
        fill: -inf; 0 for gradients.
    """
    bitmask = bitmask if bitmask.stride(1) == 1 else bitmask.contiguous()
    n_programs = logits.shape[0] if rows is None else rows.shape[0]
    if n_programs == 0 or logits.numel() == 0:
        return
    token_mask_kernel[(n_programs, triton.cdiv(logits.shape[1], block))](
        logits_ptr=logits,
        bitmask_ptr=bitmask,
        rows_ptr=None if rows is None else rows.contiguous(),
        n_rows=logits.shape[0],
        n_tokens=logits.shape[1],
        n_words=bitmask.shape[1],
        stride_row=logits.stride(0),
        stride_token=logits.stride(1),
        stride_bitmask=bitmask.stride(0),
        fill=fill,
        HAS_ROWS=rows is not None,
        BLOCK=block,
        num_warps=num_warps,
    )
