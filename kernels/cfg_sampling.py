"""Logits to tokens: guidance, bitmask, temperature, top-k, top-p, min-p, and one draw a row.

Nothing is sorted. A threshold is found by halving the interval of ordered bits of float32 in which
it lies, counting (or weighing) the logits above its middle. A row that fits in registers takes one
launch; a longer one takes two (cfg_sampling_two_pass.py).

Letters: V vocabulary, W words of a bitmask.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from .cfg_sampling_rows import (
    LOG2_E,
    LOWEST,
    exp_sum,
    from_ordered_bits,
    load_guided,
    load_numbers,
    middle,
    ordered_bits,
    philox_uniform,
    row_flags,
    store_row,
    ties_under_mass,
)
from .cfg_sampling_two_pass import draw_kernel, guide_kernel

__all__ = ["cfg_sample"]


@triton.jit
def top_k_cut(key, top, top_k):
    """Ordered bits of the logit that is the k-th from above; `top` of the first."""
    low = LOWEST
    high = top
    while low < high:
        mid = middle(low, high)
        n_above = tl.sum((key > mid).to(tl.int32), axis=0)
        if n_above < top_k:
            high = mid
        else:
            low = mid + 1
            if n_above == top_k:
                low = tl.min(tl.where(key > mid, key, high), axis=0)
                high = low
    return low


@triton.jit
def top_p_cut(key, weights, share, low, high):
    """The least ordered bits, from low to high, above which less than a share of weight lies."""
    while low < high:
        mid = middle(low, high)
        if tl.sum(tl.where(key > mid, weights, 0.0), axis=0) < share:
            high = mid
        else:
            low = mid + 1
    return low


@triton.jit
def sample_kernel(
    logits_ptr,
    unconditional_ptr,
    bitmask_ptr,
    seeds_ptr,
    steps_ptr,
    rows_ptr,
    tokens_ptr,
    log_probs_ptr,
    log_zs_ptr,
    flags_ptr,
    scale,
    temperature,
    top_k,
    top_p,
    min_p,
    n_tokens,
    n_words,
    stride_logits,
    stride_unconditional,
    stride_bitmask,
    HAS_UNCONDITIONAL: tl.constexpr,
    HAS_BITMASK: tl.constexpr,
    HAS_ROWS: tl.constexpr,
    INTERPOLATE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """A program takes a row and keeps it in registers."""
    row = tl.program_id(0).to(tl.int64)
    scale, temperature, top_k, top_p, min_p, flag = load_numbers(
        rows_ptr, row, scale, temperature, top_k, top_p, min_p, n_tokens, HAS_ROWS
    )
    tokens = tl.arange(0, BLOCK)
    guided, x = load_guided(
        logits_ptr,
        unconditional_ptr,
        bitmask_ptr,
        row,
        tokens,
        n_tokens,
        n_words,
        stride_logits,
        stride_unconditional,
        stride_bitmask,
        scale,
        HAS_UNCONDITIONAL,
        HAS_BITMASK,
        INTERPOLATE,
    )
    highest_all = tl.max(guided, axis=0)
    highest = tl.max(x, axis=0)
    is_nan = tl.sum((guided != guided).to(tl.int32), axis=0)
    flag |= row_flags(highest_all, highest, is_nan)
    log_sum_all = highest_all + tl.log(exp_sum(guided, highest_all))
    log_sum = highest + tl.log(exp_sum(x, highest))
    token = tl.min(tl.where(x == highest, tokens, n_tokens), axis=0)
    logit = highest
    if (temperature > 0) & (flag == 0):
        slope = LOG2_E * tl.minimum(1 / tl.maximum(temperature, 1e-30), 1e30)
        weights = tl.exp2((x - highest) * slope)
        key = ordered_bits(x)
        top = ordered_bits(highest)
        cut = LOWEST
        n_ties = n_tokens
        total = tl.sum(weights, axis=0)
        if top_k > 0:
            cut = top_k_cut(key, top, top_k)
            n_ties = top_k - tl.sum((key > cut).to(tl.int32), axis=0)
            at_cut = tl.exp2((from_ordered_bits(cut) - highest) * slope)
            total = tl.sum(tl.where(key > cut, weights, 0.0), axis=0) + n_ties * at_cut
        if top_p < 1:
            share = top_p * total
            low = top_p_cut(key, weights, share, cut, top)
            above = tl.sum(tl.where(key > low, weights, 0.0), axis=0)
            at_cut = tl.exp2((from_ordered_bits(low) - highest) * slope)
            n_started = ties_under_mass(share, above, at_cut)
            n_ties = tl.where(low > cut, n_started, tl.minimum(n_started, n_ties))
            cut = low
        is_tie = key == cut
        if tl.sum(is_tie.to(tl.int32), axis=0) > n_ties:
            is_tie = is_tie & (tl.cumsum(is_tie.to(tl.int32), axis=0) <= n_ties)
        weights = tl.where(((key > cut) | is_tie) & (weights >= min_p), weights, 0.0)
        mass = tl.cumsum(weights, axis=0)
        uniform = philox_uniform(tl.load(seeds_ptr + row), tl.load(steps_ptr + row))
        target = uniform * tl.sum(weights, axis=0)
        # A scan in parts need not rise everywhere: so only tokens that have a weight count, and
        # the last of them where rounding leaves none above the target.
        drawn = tl.min(tl.where((weights > 0) & (mass > target), tokens, BLOCK), axis=0)
        last = tl.max(tl.where(weights > 0, tokens, 0), axis=0)
        token = tl.minimum(drawn, last)
        logit = from_ordered_bits(tl.max(tl.where(tokens == token, key, LOWEST), axis=0))
    store_row(
        tokens_ptr,
        log_probs_ptr,
        log_zs_ptr,
        flags_ptr,
        row,
        token,
        logit,
        log_sum,
        log_sum_all,
        flag,
    )


def cfg_sample(
    logits: Tensor,
    unconditional: Tensor | None,
    bitmask: Tensor | None,
    seeds: Tensor,
    steps: Tensor,
    rows: Tensor | None,
    scale: float,
    temperature: float,
    top_k: float,
    top_p: float,
    min_p: float,
    interpolate: bool,
    *,
    block: int,
    num_warps: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Arguments as in `pycodec_lm.ops.cfg_sample`, checked there.

    Args:
        rows: float32 [B, 5], the five numbers of each row; None where those behind it hold for all.
        block: tokens that a program holds; a longer row takes two launches.
    """
    n_rows, n_tokens = logits.shape
    logits = _dense_rows(logits)
    unconditional = None if unconditional is None else _dense_rows(unconditional)
    bitmask = None if bitmask is None else _dense_rows(bitmask)
    outputs = {
        "tokens_ptr": logits.new_empty(n_rows, dtype=torch.int64),
        "log_probs_ptr": logits.new_empty(n_rows, dtype=torch.float32),
        "log_zs_ptr": logits.new_empty(n_rows, dtype=torch.float32),
        "flags_ptr": logits.new_empty(n_rows, dtype=torch.int32),
    }
    inputs = {
        "logits_ptr": logits,
        "unconditional_ptr": unconditional,
        "bitmask_ptr": bitmask,
        "n_words": 0 if bitmask is None else bitmask.shape[1],
        "stride_logits": logits.stride(0),
        "stride_unconditional": 0 if unconditional is None else unconditional.stride(0),
        "stride_bitmask": 0 if bitmask is None else bitmask.stride(0),
        "HAS_UNCONDITIONAL": unconditional is not None,
        "HAS_BITMASK": bitmask is not None,
        "INTERPOLATE": interpolate,
    }
    common = {
        "rows_ptr": None if rows is None else rows.contiguous(),
        "scale": scale,
        "n_tokens": n_tokens,
        "HAS_ROWS": rows is not None,
        "num_warps": num_warps,
        # So that u + s (c - u) is rounded as it is on the CPU, and ties are the same.
        "enable_fp_fusion": False,
    }
    numbers = {
        "seeds_ptr": seeds.contiguous(),
        "steps_ptr": steps.contiguous(),
        "temperature": temperature,
        "top_k": int(top_k),
        "top_p": top_p,
        "min_p": min_p,
    }
    if n_rows and n_tokens <= block:
        sample_kernel[(n_rows,)](
            **inputs, **common, **numbers, **outputs, BLOCK=triton.next_power_of_2(n_tokens)
        )
    elif n_rows:
        n_parts = triton.cdiv(n_tokens, block)
        masked = logits.new_empty((n_rows, n_tokens), dtype=torch.float32)
        partial = logits.new_empty((n_rows, n_parts, 5), dtype=torch.float32)
        between = {"masked_ptr": masked, "partial_ptr": partial}
        guide_kernel[(n_rows, n_parts)](**inputs, **common, **between, BLOCK=block)
        draw_kernel[(n_rows,)](
            **common,
            **numbers,
            **between,
            **outputs,
            n_parts=n_parts,
            PARTS_BLOCK=triton.next_power_of_2(n_parts),
            BLOCK=block,
        )
    tokens, log_probs, log_zs, flags = outputs.values()
    return tokens, log_probs, log_zs, flags


def _dense_rows(matrix: Tensor) -> Tensor:
    return matrix if matrix.stride(1) == 1 else matrix.contiguous()
