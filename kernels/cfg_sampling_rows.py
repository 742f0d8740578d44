"""What the sampling kernels share: guided logits, a row's numbers and flags, random numbers.

Letters: V vocabulary, W words of a bitmask.
"""

from __future__ import annotations

import triton
import triton.language as tl

__all__ = [
    "LOG2_E",
    "LOWEST",
    "exp_sum",
    "from_ordered_bits",
    "load_guided",
    "load_numbers",
    "middle",
    "ordered_bits",
    "philox_uniform",
    "row_flags",
    "store_row",
    "ties_under_mass",
]

LOWEST = tl.constexpr(-2139095041)  # ordered bits of -inf
LOG2_E = tl.constexpr(1.4426950408889634)

# Of flags; as in pycodec_lm/ops/_sampling_operators.py.
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
    return tl.sum(tl.exp2((x - shift) * LOG2_E), axis=0)


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
