"""Rows that do not fit in registers: one launch writes guided logits down, a second one draws.

The second reads a row again for each look at it: see cfg_sampling.py for what it looks for.
"""

from __future__ import annotations

import triton
import triton.language as tl

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

__all__ = ["draw_kernel", "guide_kernel"]


@triton.jit
def guide_kernel(
    logits_ptr,
    unconditional_ptr,
    bitmask_ptr,
    rows_ptr,
    masked_ptr,
    partial_ptr,
    scale,
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
    """First of two: guided and masked logits of a part of a row, and what its sums need."""
    row = tl.program_id(0).to(tl.int64)
    part = tl.program_id(1)
    if HAS_ROWS:
        scale = tl.load(rows_ptr + row * 5)
    tokens = part * BLOCK + tl.arange(0, BLOCK)
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
    tl.store(masked_ptr + row * n_tokens + tokens, x, mask=tokens < n_tokens)
    highest_all = tl.max(guided, axis=0)
    highest = tl.max(x, axis=0)
    is_nan = tl.sum((guided != guided).to(tl.int32), axis=0)
    here_ptr = partial_ptr + (row * tl.num_programs(1) + part) * 5
    tl.store(here_ptr, highest_all)
    tl.store(here_ptr + 1, exp_sum(guided, highest_all))
    tl.store(here_ptr + 2, highest)
    tl.store(here_ptr + 3, exp_sum(x, highest))
    tl.store(here_ptr + 4, is_nan.to(tl.float32))


@triton.jit
def count_above(masked_ptr, n_tokens, mid, BLOCK: tl.constexpr):
    """How many logits of a row have ordered bits above `mid`, and the least of those bits."""
    n_above = 0
    least = 2147483647
    for start in range(0, n_tokens, BLOCK):
        tokens = start + tl.arange(0, BLOCK)
        x = tl.load(masked_ptr + tokens, mask=tokens < n_tokens, other=float("-inf"))
        key = ordered_bits(x)
        n_above += tl.sum((key > mid).to(tl.int32), axis=0)
        least = tl.minimum(least, tl.min(tl.where(key > mid, key, 2147483647), axis=0))
    return n_above, least


@triton.jit
def mass_above(masked_ptr, n_tokens, mid, highest, slope, BLOCK: tl.constexpr):
    mass = 0.0
    for start in range(0, n_tokens, BLOCK):
        tokens = start + tl.arange(0, BLOCK)
        x = tl.load(masked_ptr + tokens, mask=tokens < n_tokens, other=float("-inf"))
        weights = tl.exp2((x - highest) * slope)
        mass += tl.sum(tl.where(ordered_bits(x) > mid, weights, 0.0), axis=0)
    return mass


@triton.jit
def top_k_cut(masked_ptr, n_tokens, top, top_k, BLOCK: tl.constexpr):
    """As in cfg_sampling.py."""
    low = LOWEST
    high = top
    while low < high:
        mid = middle(low, high)
        n_above, least = count_above(masked_ptr, n_tokens, mid, BLOCK)
        if n_above < top_k:
            high = mid
        else:
            low = mid + 1
            if n_above == top_k:
                low = least
                high = least
    return low


@triton.jit
def top_p_cut(masked_ptr, n_tokens, share, low, high, highest, slope, BLOCK: tl.constexpr):
    """As in cfg_sampling.py."""
    while low < high:
        mid = middle(low, high)
        if mass_above(masked_ptr, n_tokens, mid, highest, slope, BLOCK) < share:
            high = mid
        else:
            low = mid + 1
    return low


@triton.jit
def kept_weights(
    masked_ptr, n_tokens, start, n_ties, cut, min_p, highest, slope, BLOCK: tl.constexpr
):
    """Weights of what is kept of a part of a row; and how many ties the parts behind may take."""
    tokens = start + tl.arange(0, BLOCK)
    x = tl.load(masked_ptr + tokens, mask=tokens < n_tokens, other=float("-inf"))
    weights = tl.exp2((x - highest) * slope)
    key = ordered_bits(x)
    is_tie = key == cut
    ranks = tl.cumsum(is_tie.to(tl.int32), axis=0)
    kept = (key > cut) | (is_tie & (ranks <= n_ties))
    weights = tl.where(kept & (weights >= min_p), weights, 0.0)
    return weights, n_ties - tl.sum(is_tie.to(tl.int32), axis=0)


@triton.jit
def draw_kernel(
    masked_ptr,
    partial_ptr,
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
    n_parts,
    HAS_ROWS: tl.constexpr,
    PARTS_BLOCK: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Second of two: a program takes a row, and reads its logits again for each look at them."""
    row = tl.program_id(0).to(tl.int64)
    scale, temperature, top_k, top_p, min_p, flag = load_numbers(
        rows_ptr, row, scale, temperature, top_k, top_p, min_p, n_tokens, HAS_ROWS
    )
    masked_ptr += row * n_tokens
    parts = tl.arange(0, PARTS_BLOCK)
    is_part = parts < n_parts
    part_ptr = partial_ptr + (row * n_parts + parts) * 5
    highest_all_of = tl.load(part_ptr, mask=is_part, other=float("-inf"))
    highest_of = tl.load(part_ptr + 2, mask=is_part, other=float("-inf"))
    highest_all = tl.max(highest_all_of, axis=0)
    highest = tl.max(highest_of, axis=0)
    is_nan = tl.sum(tl.load(part_ptr + 4, mask=is_part, other=0.0), axis=0)
    flag |= row_flags(highest_all, highest, is_nan)
    sum_all = tl.load(part_ptr + 1, mask=is_part, other=0.0) * tl.exp(highest_all_of - highest_all)
    sums = tl.load(part_ptr + 3, mask=is_part, other=0.0) * tl.exp(highest_of - highest)
    log_sum_all = highest_all + tl.log(tl.sum(sum_all, axis=0))
    log_sum = highest + tl.log(tl.sum(sums, axis=0))
    token = n_tokens
    logit = highest
    if flag == 0:
        if temperature == 0:
            for start in range(0, n_tokens, BLOCK):
                tokens = start + tl.arange(0, BLOCK)
                x = tl.load(masked_ptr + tokens, mask=tokens < n_tokens, other=float("-inf"))
                token = tl.minimum(token, tl.min(tl.where(x == highest, tokens, n_tokens), axis=0))
        else:
            slope = LOG2_E * tl.minimum(1 / tl.maximum(temperature, 1e-30), 1e30)
            top = ordered_bits(highest)
            cut = LOWEST
            n_ties = n_tokens
            total = 0.0
            if top_k > 0:
                cut = top_k_cut(masked_ptr, n_tokens, top, top_k, BLOCK)
                n_above, _ = count_above(masked_ptr, n_tokens, cut, BLOCK)
                n_ties = top_k - n_above
            if top_p < 1:
                total = mass_above(masked_ptr, n_tokens, cut, highest, slope, BLOCK)
                if top_k > 0:
                    total += n_ties * tl.exp2((from_ordered_bits(cut) - highest) * slope)
                share = top_p * total
                low = top_p_cut(masked_ptr, n_tokens, share, cut, top, highest, slope, BLOCK)
                above = mass_above(masked_ptr, n_tokens, low, highest, slope, BLOCK)
                at_cut = tl.exp2((from_ordered_bits(low) - highest) * slope)
                n_started = ties_under_mass(share, above, at_cut)
                n_ties = tl.where(low > cut, n_started, tl.minimum(n_started, n_ties))
                cut = low
            kept_mass = 0.0
            ties_left = n_ties
            for start in range(0, n_tokens, BLOCK):
                weights, ties_left = kept_weights(
                    masked_ptr, n_tokens, start, ties_left, cut, min_p, highest, slope, BLOCK
                )
                kept_mass += tl.sum(weights, axis=0)
            uniform = philox_uniform(tl.load(seeds_ptr + row), tl.load(steps_ptr + row))
            target = uniform * kept_mass
            before = 0.0
            ties_left = n_ties
            last = 0
            for start in range(0, n_tokens, BLOCK):
                weights, ties_left = kept_weights(
                    masked_ptr, n_tokens, start, ties_left, cut, min_p, highest, slope, BLOCK
                )
                tokens = start + tl.arange(0, BLOCK)
                mass = before + tl.cumsum(weights, axis=0)
                is_hit = (weights > 0) & (mass > target)
                token = tl.minimum(token, tl.min(tl.where(is_hit, tokens, n_tokens), axis=0))
                last = tl.maximum(last, tl.max(tl.where(weights > 0, tokens, 0), axis=0))
                before += tl.sum(weights, axis=0)
            token = tl.minimum(token, last)
            logit = tl.load(masked_ptr + token)
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
