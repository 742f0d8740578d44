"""Logits to tokens: guidance, bitmask, temperature, top-k, top-p, min-p, and one draw a row.

Nothing is sorted. A threshold is found by halving the interval of ordered bits of float32 in which
it lies, counting (or weighing) the logits above its middle. A row that fits in registers takes one
launch; of a longer one the guided logits are written down first, in a launch of their own.

Letters: V vocabulary, W words of a bitmask.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

__all__ = ["cfg_sample"]

_LOWEST = tl.constexpr(-2139095041)  # ordered bits of -inf
_LOG2_E = tl.constexpr(1.4426950408889634)

# Of flags; as in pycodec_lm/ops/_sampling.py.
_NO_TOKEN = tl.constexpr(1)
_NOT_A_NUMBER = tl.constexpr(2)
_INVALID_NUMBER = tl.constexpr(4)


@triton.jit
def ordered_bits(x):
    """Integers in the order of the numbers; -0 and 0 are one."""
    bits = tl.where(x == 0, 0.0, x).to(tl.int32, bitcast=True)
    return tl.where(bits < 0, bits ^ 0x7FFFFFFF, bits)


@triton.jit
def from_ordered_bits(key):
    bits = tl.where(key < 0, key ^ 0x7FFFFFFF, key)
    return bits.to(tl.float32, bitcast=True)


@triton.jit
def middle(low, high):
    """Half of the sum, rounded down, without overflow."""
    return (low & high) + ((low ^ high) >> 1)


@triton.jit
def load_guided(
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
    HAS_UNCONDITIONAL: tl.constexpr,
    HAS_BITMASK: tl.constexpr,
    INTERPOLATE: tl.constexpr,
):
    """Guided logits, -inf behind the last; and the same with -inf where a token is not allowed."""
    inside = tokens < n_tokens
    c = tl.load(logits_ptr + row * stride_logits + tokens, mask=inside, other=0.0).to(tl.float32)
    if HAS_UNCONDITIONAL:
        u_ptr = unconditional_ptr + row * stride_unconditional
        u = tl.load(u_ptr + tokens, mask=inside, other=0.0).to(tl.float32)
        guided = u + scale * (c - u) if INTERPOLATE else (1 + scale) * c - scale * u
        guided = tl.where(c == float("-inf"), c, guided)
    else:
        guided = c
    guided = tl.where(inside, guided, float("-inf"))
    masked = guided
    if HAS_BITMASK:
        has_word = inside & (tokens // 32 < n_words)
        word_ptr = bitmask_ptr + row * stride_bitmask + tokens // 32
        words = tl.load(word_ptr, mask=has_word, other=0)
        masked = tl.where(((words >> (tokens % 32)) & 1) != 0, guided, float("-inf"))
    return guided, masked


@triton.jit
def exp_sum(x, highest):
    """Sum of exp(x - highest); 0 where all is -inf."""
    shift = tl.where(highest == float("-inf"), 0.0, highest)
    return tl.sum(tl.exp2((x - shift) * _LOG2_E), axis=0)


@triton.jit
def philox_uniform(seed, step):
    c0 = step.to(tl.uint32)
    c1 = (step >> 32).to(tl.uint32)
    random, _, _, _ = tl.philox(seed, c0, c1, c0 * 0, c0 * 0)
    return (random >> 8).to(tl.float32) * 5.9604644775390625e-08


@triton.jit
def load_numbers(
    rows_ptr, row, scale, temperature, top_k, top_p, min_p, n_tokens, HAS_ROWS: tl.constexpr
):
    """The five numbers of a row, and its flag where one is out of range."""
    if HAS_ROWS:
        scale = tl.load(rows_ptr + row * 5)
        temperature = tl.load(rows_ptr + row * 5 + 1)
        k = tl.load(rows_ptr + row * 5 + 2)
        top_p = tl.load(rows_ptr + row * 5 + 3)
        min_p = tl.load(rows_ptr + row * 5 + 4)
        fits = (tl.abs(scale) < float("inf")) & (temperature >= 0) & (temperature < float("inf"))
        fits = fits & (k >= 0) & (k <= n_tokens)
        fits = fits & (top_p >= 0) & (top_p <= 1) & (min_p >= 0) & (min_p <= 1)
        # A NaN is not turned into an integer, which could be any.
        top_k = tl.where(fits, k, 0.0).to(tl.int32)
        flag = tl.where(fits, 0, _INVALID_NUMBER)
    else:
        flag = 0
    return scale, temperature, top_k, top_p, min_p, flag


@triton.jit
def row_flags(highest_all, highest, is_nan):
    """Flags of the logits. `is_nan`: a count of NaNs."""
    no_token = tl.where(highest == float("-inf"), _NO_TOKEN, 0)
    return tl.where((is_nan > 0) | (highest_all == float("inf")), _NOT_A_NUMBER, no_token)


@triton.jit
def store_row(
    tokens_ptr, log_probs_ptr, log_zs_ptr, flags_ptr, row, token, logit, log_sum, log_sum_all, flag
):
    nan = float("nan")
    is_fine = flag == 0
    tl.store(tokens_ptr + row, tl.where(is_fine, token, -1).to(tl.int64))
    tl.store(log_probs_ptr + row, tl.where(is_fine, logit - log_sum, nan))
    tl.store(log_zs_ptr + row, tl.where(is_fine, tl.minimum(log_sum - log_sum_all, 0.0), nan))
    tl.store(flags_ptr + row, flag)


@triton.jit
def ties_under_mass(share, above, weight):
    """How many of equal tokens start below a share of the mass: the least n, n weight >= rest."""
    rest = share - above
    n = tl.ceil(rest / tl.maximum(weight, 1.1754943508222875e-38))
    return tl.maximum(tl.minimum(n, 16777216.0), 1.0).to(tl.int32)


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
        slope = _LOG2_E * tl.minimum(1 / tl.maximum(temperature, 1e-30), 1e30)
        weights = tl.exp2((x - highest) * slope)
        key = ordered_bits(x)
        top = ordered_bits(highest)
        cut = _LOWEST
        n_ties = n_tokens
        total = tl.sum(weights, axis=0)
        if top_k > 0:
            low = _LOWEST
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
            cut = low
            n_ties = top_k - tl.sum((key > cut).to(tl.int32), axis=0)
            at_cut = tl.exp2((from_ordered_bits(cut) - highest) * slope)
            total = tl.sum(tl.where(key > cut, weights, 0.0), axis=0) + n_ties * at_cut
        if top_p < 1:
            share = top_p * total
            low = cut
            high = top
            while low < high:
                mid = middle(low, high)
                if tl.sum(tl.where(key > mid, weights, 0.0), axis=0) < share:
                    high = mid
                else:
                    low = mid + 1
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
        logit = from_ordered_bits(tl.max(tl.where(tokens == token, key, _LOWEST), axis=0))
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
            slope = _LOG2_E * tl.minimum(1 / tl.maximum(temperature, 1e-30), 1e30)
            top = ordered_bits(highest)
            cut = _LOWEST
            n_ties = n_tokens
            total = 0.0
            if top_k > 0:
                low = _LOWEST
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
                cut = low
                n_above, least = count_above(masked_ptr, n_tokens, cut, BLOCK)
                n_ties = top_k - n_above
            if top_p < 1:
                total = mass_above(masked_ptr, n_tokens, cut, highest, slope, BLOCK)
                if top_k > 0:
                    total += n_ties * tl.exp2((from_ordered_bits(cut) - highest) * slope)
                share = top_p * total
                low = cut
                high = top
                while low < high:
                    mid = middle(low, high)
                    if mass_above(masked_ptr, n_tokens, mid, highest, slope, BLOCK) < share:
                        high = mid
                    else:
                        low = mid + 1
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
