"""How tokens are chosen, and what a step of generation gives.

The drawing itself is `pycodec_lm.ops.cfg_sample`, one path for CPU and GPU. A draw cuts the tokens
that are left, laid end to end in the order of their numbers, at a place that one random number
gives. So "the token that the same number gives without the mask" has a meaning, and no row sees the
numbers of another.

Shape suffixes: B rows, V vocabulary, W words of a bitmask.
"""
# ruff: noqa: N803, N806, N815  # names carry the shape of their tensor

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pycodec_lm import ops
from pycodec_lm.errors import CodecLMError, UsageError

__all__ = ["Draws", "Logits", "Sampling", "are_allowed", "draw", "draw_beside_mask"]


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


@dataclass(frozen=True, slots=True)
class Logits:
    """What the model said of the rows that are drawn.

    Attributes:
        conditional_BV: floating point.
        unconditional_BV: the same without the condition; None where nothing is guided.
        seeds, steps: seed of each row, and how many tokens it has.
    """

    conditional_BV: Tensor
    unconditional_BV: Tensor | None
    seeds: Sequence[int]
    steps: Sequence[int]


def draw(
    logits: Logits, sampling: Sampling, bitmask_BW: NDArray[np.int32] | None = None
) -> ops.Sampled:
    """Draws one token a row.

    Args:
        logits: of the model.
        sampling: how to choose. Where the vocabulary is smaller than its top_k, that keeps all.
        bitmask_BW: allowed tokens; None for all.

    Raises:
        CodecLMError: some logits are not numbers, or no allowed token has any probability.
    """
    conditional_BV = logits.conditional_BV
    device = conditional_BV.device
    keys = np.array([[*logits.seeds], [*logits.steps]], dtype=object) & 0xFFFFFFFFFFFFFFFF
    seeds_B, steps_B = torch.from_numpy(keys.astype(np.uint64).view(np.int64)).to(device)
    sampled = ops.cfg_sample(
        conditional_BV,
        logits.unconditional_BV,
        seeds=seeds_B,
        steps=steps_B,
        scale=sampling.cfg_scale,
        bitmask=None if bitmask_BW is None else torch.from_numpy(bitmask_BW).to(device),
        temperature=sampling.temperature,
        top_k=min(sampling.top_k, conditional_BV.shape[1]),
        top_p=sampling.top_p,
    )
    if bool(sampled.flags.any()):
        raise CodecLMError("the model's logits are not finite: its weights are broken")
    return sampled


def draw_beside_mask(
    logits: Logits, bitmask_BW: NDArray[np.int32], sampling: Sampling, *, mask: bool = True
) -> Draws:
    """Draws tokens, and measures what the mask takes away.

    Args:
        logits, sampling: as in `draw`.
        bitmask_BW: allowed tokens.
        mask: False to draw from all tokens, and only measure with the mask.
    """
    masked, free = draw(logits, sampling, bitmask_BW), draw(logits, sampling)
    chosen = masked if mask else free
    return Draws(
        tokens=chosen.tokens.tolist(),
        vetoed=[not legal for legal in are_allowed(bitmask_BW, free.tokens.tolist())],
        log_probs=chosen.log_probs.tolist(),
        log_zs=masked.log_zs.tolist(),
    )


def are_allowed(bitmask_BW: NDArray[np.int32], tokens: Sequence[int]) -> list[bool]:
    """Whether the token of each row is allowed there."""
    words = bitmask_BW[np.arange(len(tokens)), np.array(tokens) // 32]
    return [bool(bit) for bit in words >> (np.array(tokens) % 32) & 1]
