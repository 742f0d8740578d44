"""Slow, obvious twins: they define what the fast paths compute, and the tests compare the two.

Shape suffixes: B rows, V vocabulary, W words of a bitmask (32 tokens each).
"""
# ruff: noqa: N803, N806  # names carry the shape of their tensor

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["apply_token_bitmask", "guide", "is_allowed", "sample"]


def is_allowed(bitmask_BW: Tensor, vocab_size: int) -> Tensor:
    """The bits of a bitmask, one boolean a token.

    Args:
        bitmask_BW: int32, least significant bit first.
        vocab_size: how many columns the result has; tokens beyond the bitmask are not allowed.

    Returns:
        bool [B, vocab_size].
    """
    import torch

    bits = torch.arange(32, dtype=torch.int32, device=bitmask_BW.device)
    allowed = ((bitmask_BW[:, :, None] >> bits) & 1).flatten(1).bool()
    n_missing = vocab_size - allowed.shape[1]
    return torch.nn.functional.pad(allowed, (0, n_missing))  # a negative number cuts off


def apply_token_bitmask(
    logits_BV: Tensor, bitmask_BW: Tensor, rows: Tensor | None, fill: float = -math.inf
) -> Tensor:
    """A copy of the logits in which every token that is not allowed has the value `fill`.

    Args:
        logits_BV: floating point.
        bitmask_BW: int32; row i of it belongs to row i of the logits.
        rows: int64, the rows to mask; None for all. The others stay as they are.
        fill: -inf for logits; 0 for their gradient.
    """
    forbidden_BV = ~is_allowed(bitmask_BW, logits_BV.shape[1])
    if rows is not None:
        others = forbidden_BV.new_ones(len(logits_BV))
        others[rows] = False
        forbidden_BV[others] = False
    return logits_BV.masked_fill(forbidden_BV, fill).contiguous()


def guide(
    conditional: Sequence[float], unconditional: Sequence[float], scale: float
) -> list[float]:
    """Classifier-free guidance on logits, u + s (c - u) (arXiv 2207.12598)."""
    return [u + scale * (c - u) for c, u in zip(conditional, unconditional, strict=True)]


def sample(
    logits: Sequence[float],
    uniform: float,
    *,
    allowed: Sequence[bool] | None = None,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
) -> int:
    """Draws one token of one row with one random number.

    Tokens that are not allowed go first, so that top-k and top-p choose among legal ones. Then come
    temperature, the `top_k` most probable tokens, and the fewest most probable ones whose share of
    the rest reaches `top_p`; of equally probable tokens the lower number counts as more probable.
    What is left is laid end to end in the order of token numbers, and `uniform` says where to cut.

    Args:
        logits: one number a token.
        uniform: in [0, 1).
        allowed: None for all.
        temperature: 0 takes the most probable token.
        top_k: 0 for all.
        top_p: in (0, 1].
    """
    legal = [t for t in range(len(logits)) if allowed is None or allowed[t]]
    best_first = sorted(legal, key=lambda t: (-logits[t], t))
    if temperature == 0:
        return best_first[0]
    highest = logits[best_first[0]] / temperature
    weights = {t: math.exp(logits[t] / temperature - highest) for t in best_first}
    if top_k:
        best_first = best_first[:top_k]
    if top_p < 1:
        total = sum(weights[t] for t in best_first)
        kept, mass = [], 0.0
        for t in best_first:
            if mass < top_p * total:
                kept.append(t)
            mass += weights[t]
        best_first = kept
    in_order = sorted(best_first)
    target = uniform * sum(weights[t] for t in in_order)
    mass = 0.0
    for t in in_order:
        mass += weights[t]
        if mass > target:
            return t
    raise ValueError(f"uniform = {uniform}, must be in [0, 1)")
