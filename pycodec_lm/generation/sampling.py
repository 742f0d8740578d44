"""From logits to tokens: guidance, temperature, top-k, top-p, and one random number a draw.

A draw cuts the tokens that are left, laid end to end in the order of their numbers, at a place that
one uniform random number gives. So "the token that the same number gives without the mask" has a
meaning, and no row sees the numbers of another.

The definition is `pycodec_lm.reference.sample`, a plain loop over one row.

Shape suffixes: B rows, V vocabulary.
"""
# ruff: noqa: N803, N806  # names carry the shape of their tensor

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from pycodec_lm.errors import UsageError

__all__ = ["Draws", "Sampling", "draw", "draw_beside_mask", "guide", "uniform"]

_U64 = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a token is chosen.

    Args:
        temperature: divides the logits; 0 takes the most probable token.
        top_k: keep this many most probable tokens; 0 for all.
        top_p: keep the fewest most probable tokens that make up this share.
        cfg_scale: strength of the condition, u + s (c - u) on the logits; 1 for plain sampling.

    Raises:
        UsageError: a value is out of range.
    """

    temperature: float = 0.8
    top_k: int = 0
    top_p: float = 0.95
    cfg_scale: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < math.inf:
            raise UsageError(f"temperature = {self.temperature}, must be 0 or more")
        if self.top_k < 0:
            raise UsageError(f"top_k = {self.top_k}, must be 0 (all tokens) or more")
        if not 0 < self.top_p <= 1:
            raise UsageError(f"top_p = {self.top_p}, must be in (0, 1]")
        if not math.isfinite(self.cfg_scale):
            raise UsageError(f"cfg_scale = {self.cfg_scale}, must be a number")


@dataclass(frozen=True, slots=True)
class Draws:
    """What one step gave, one entry a row.

    Attributes:
        tokens: the tokens drawn.
        vetoed: whether the mask forbids the token that the same random number gives without it.
        log_probs: of `tokens` at temperature 1; among allowed tokens where the mask holds.
        log_zs: log of the share that the model gives to all allowed tokens.
    """

    tokens: list[int]
    vetoed: list[bool]
    log_probs: list[float]
    log_zs: list[float]


def uniform(seed: int, step: int) -> float:
    """A random number in [0, 1) that depends on nothing but its two arguments.

    Output number `step` of the generator splitmix64, started at a scrambled `seed`.
    Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
    """
    start = _mix(seed + 0x9E3779B97F4A7C15)
    return (_mix(start + (step + 1) * 0x9E3779B97F4A7C15) >> 11) * 2.0**-53


def _mix(z: int) -> int:
    z &= _U64
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _U64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _U64
    return z ^ (z >> 31)


def guide(conditional_BV: Tensor, unconditional_BV: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance on logits, u + s (c - u) (arXiv 2207.12598)."""
    return unconditional_BV + scale * (conditional_BV - unconditional_BV)


def draw(logits_BV: Tensor, uniforms: Sequence[float], sampling: Sampling) -> Tensor:
    """Draws one token a row.

    Args:
        logits_BV: floating point; tokens that may not come have -inf.
        uniforms: a number in [0, 1) for each row.
        sampling: its guidance is not applied here.

    Returns:
        int64 [B].
    """
    if sampling.temperature == 0:
        return logits_BV.argmax(dim=-1)
    # In float64, so that rounding decides nothing that anyone could notice. softmax() works row by
    # row with the same instructions wherever the row lies, which exp() over a whole batch does not.
    p_BV = torch.softmax(logits_BV.double() / sampling.temperature, dim=-1)
    n_tokens = p_BV.shape[1]
    if 0 < sampling.top_k < n_tokens or sampling.top_p < 1:
        # A stable sort of the logits, not of the shares: these may be equal by underflow.
        order_BV = logits_BV.sort(dim=-1, descending=True, stable=True).indices
        best_first_BV = p_BV.gather(1, order_BV)
        if sampling.top_k:
            best_first_BV[:, sampling.top_k :] = 0
        if sampling.top_p < 1:
            mass_BV = best_first_BV.cumsum(dim=-1)
            before_BV = F.pad(mass_BV[:, :-1], (1, 0))
            best_first_BV[before_BV >= sampling.top_p * mass_BV[:, -1:]] = 0
        p_BV = torch.zeros_like(p_BV).scatter_(1, order_BV, best_first_BV)
    mass_BV = p_BV.cumsum(dim=-1)
    uniforms_B1 = torch.tensor(uniforms, dtype=torch.float64, device=p_BV.device)[:, None]
    return torch.searchsorted(mass_BV, uniforms_B1 * mass_BV[:, -1:], right=True)[:, 0]


def draw_beside_mask(
    logits_BV: Tensor,
    masked_BV: Tensor,
    uniforms: Sequence[float],
    sampling: Sampling,
    *,
    mask: bool = True,
) -> Draws:
    """Draws tokens, and measures what the mask takes away.

    Args:
        logits_BV: what the model said.
        masked_BV: the same, with -inf for the tokens that the mask forbids.
        uniforms, sampling: as in `draw`.
        mask: False to draw from `logits_BV`, and only measure with the other.
    """
    n_rows = len(uniforms)
    if mask:
        both = draw(torch.cat((masked_BV, logits_BV)), [*uniforms, *uniforms], sampling)
        tokens_B, unmasked_B = both[:n_rows], both[n_rows:]
    else:
        tokens_B = unmasked_B = draw(logits_BV, uniforms, sampling)
    log_p_BV = torch.log_softmax(logits_BV.double(), dim=-1)
    log_q_BV = torch.log_softmax(masked_BV.double(), dim=-1)
    # p = q Z for every allowed token, so any of them tells Z; rounding may put it above 1.
    allowed_B1 = masked_BV.argmax(dim=-1, keepdim=True)
    log_z_B1 = (log_p_BV.gather(1, allowed_B1) - log_q_BV.gather(1, allowed_B1)).clamp(max=0)
    log_probs_B1 = (log_q_BV if mask else log_p_BV).gather(1, tokens_B[:, None])
    return Draws(
        tokens=tokens_B.tolist(),
        vetoed=masked_BV.gather(1, unmasked_B[:, None])[:, 0].isneginf().tolist(),
        log_probs=log_probs_B1[:, 0].tolist(),
        log_zs=log_z_B1[:, 0].tolist(),
    )
