"""Slow, obvious twins: they define what the fast paths compute, and the tests compare the two.

Shape suffixes: B rows, V vocabulary, W words of a bitmask (32 tokens each); N rows, D channels, C
codes of a quantiser, G groups; in attention H query and K key/value heads, S queries, T keys.
"""
# ruff: noqa: N803, N806  # names carry the shape of their tensor

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = [
    "apply_token_bitmask",
    "attention",
    "guide",
    "is_allowed",
    "lfq",
    "lfq_entropy",
    "log_share",
    "philox_uniform",
    "rotate",
    "sample",
    "sign_codes",
]


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
    conditional: Sequence[float],
    unconditional: Sequence[float],
    scale: float,
    guidance: str = "interpolate",
) -> list[float]:
    """Classifier-free guidance on logits: u + s (c - u), or "extrapolate": (1 + s) c - s u.

    The second is what the paper writes (arXiv 2207.12598, equation 6); it is the first with s + 1.
    A token that has -inf with the condition keeps it.
    """
    guided = []
    for c, u in zip(conditional, unconditional, strict=True):
        if c == -math.inf:
            guided.append(c)
        elif guidance == "interpolate":
            guided.append(u + scale * (c - u))
        else:
            guided.append((1 + scale) * c - scale * u)
    return guided


def philox_uniform(seed: int, step: int) -> float:
    """The random number in [0, 1) of a row: the top 24 bits of Philox4x32-10.

    Args:
        seed: the key; of it and of `step` the low 64 bits count.
        step: the counter.

    Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
    """
    word = (1 << 32) - 1
    c0, c1, c2, c3 = step & word, step >> 32 & word, 0, 0
    k0, k1 = seed & word, seed >> 32 & word
    for _ in range(10):
        product_0, product_1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1 = product_1 >> 32 ^ c1 ^ k0, product_1 & word
        c2, c3 = product_0 >> 32 ^ c3 ^ k1, product_0 & word
        k0, k1 = (k0 + 0x9E3779B9) & word, (k1 + 0xBB67AE85) & word
    return (c0 >> 8) * 2.0**-24


def sample(
    logits: Sequence[float],
    uniform: float,
    *,
    allowed: Sequence[bool] | None = None,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    min_p: float = 0.0,
) -> int:
    """Draws one token of one row with one random number.

    Tokens that are not allowed go first, so that what follows chooses among legal ones. Then come
    temperature, the `top_k` most probable tokens, the fewest most probable ones (at least one)
    whose share of the rest reaches `top_p`, and those whose share is at least `min_p` times the
    largest; of equally probable tokens the lower number counts as more probable. What is left is
    laid end to end in the order of token numbers, and `uniform` says where to cut.

    Args:
        logits: one number a token.
        uniform: in [0, 1).
        allowed: None for all.
        temperature: 0 takes the most probable token.
        top_k: 0 for all.
        top_p: in [0, 1].
        min_p: in [0, 1].
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
        kept: list[int] = []
        mass = 0.0
        for t in best_first:
            if not kept or mass < top_p * total:
                kept.append(t)
            mass += weights[t]
        best_first = kept
    in_order = sorted(t for t in best_first if weights[t] >= min_p)
    target = uniform * sum(weights[t] for t in in_order)
    mass = 0.0
    for t in in_order:
        mass += weights[t]
        if mass > target:
            return t
    raise ValueError(f"uniform = {uniform}, must be in [0, 1)")


def log_share(logits: Sequence[float], some: Sequence[int]) -> float:
    """Log of the share that some tokens have of the softmax of all logits."""
    highest = max(logits)
    part = max(logits[t] for t in some)
    total = math.log(sum(math.exp(x - highest) for x in logits)) + highest
    return math.log(sum(math.exp(logits[t] - part) for t in some)) + part - total


def sign_codes(n_channels: int, dtype: torch.dtype) -> Tensor:
    """All codes of a sign quantiser, [2 ** n, n] of -1 and 1; bit i of a code is channel i."""
    import torch

    codes_C = torch.arange(1 << n_channels)[:, None]
    return (codes_C >> torch.arange(n_channels) & 1).to(dtype) * 2 - 1


def lfq(z_ND: Tensor, groups: Sequence[int], bit_order: str) -> tuple[Tensor, Tensor, Tensor]:
    """Sign quantisation (arXiv 2310.05737, section 3.1): `pycodec_lm.ops.lfq` by its definition.

    Returns:
        quantized_ND, the indices, int64 [N, G], and the commitment term.
    """
    import torch

    bits_ND = (z_ND > 0).long()
    indices = []
    for bits_Nd in bits_ND.split_with_sizes(list(groups), dim=1):
        places = torch.arange(bits_Nd.shape[1])
        if bit_order == "big":
            places = places.flip(0)
        indices.append((bits_Nd << places).sum(dim=1))
    signs_ND = torch.where(z_ND.isnan(), z_ND, (2 * bits_ND - 1).to(z_ND.dtype)).detach()
    commitment = ((z_ND - signs_ND) ** 2).mean()
    return z_ND + (signs_ND - z_ND).detach(), torch.stack(indices, dim=1), commitment


def lfq_entropy(
    z_ND: Tensor, temperature: float, groups: Sequence[int], eps: float = 0.0, eps_form: str = "add"
) -> tuple[Tensor, Tensor]:
    """E[H(q)] and H(E[q]), summed over groups (arXiv 2310.05737, equation 5), in nats.

    q is the softmax of 2 z.c / temperature over all codes c; `eps` enters the second term only.
    """
    import torch

    sample, codebook = z_ND.new_zeros(()), z_ND.new_zeros(())
    for z_Nd in z_ND.split_with_sizes(list(groups), dim=1):
        logits_NC = 2 * z_Nd @ sign_codes(z_Nd.shape[1], z_Nd.dtype).T / temperature
        q_NC = logits_NC.softmax(dim=1)
        mean_C = q_NC.mean(dim=0)
        if eps == 0:
            log_C = torch.where(mean_C > 0, mean_C, 1).log()  # 0 log 0 = 0
        elif eps_form == "add":
            log_C = (mean_C + eps).log()
        else:
            log_C = mean_C.clamp(min=eps).log()
        sample = sample - (q_NC * logits_NC.log_softmax(dim=1)).sum(dim=1).mean()
        codebook = codebook - (mean_C * log_C).sum()
    return sample, codebook


def attention(
    q_BHSD: Tensor, k_BKTD: Tensor, v_BKTD: Tensor, *, is_seen: Tensor | None, scale: float
) -> tuple[Tensor, Tensor]:
    """Attention by its formula (arXiv 1706.03762, equation 1).

    Query head h reads key/value head h K / H. A query that sees nothing has output 0.

    Args:
        is_seen: bool, broadcastable to [B, H, S, T]; None for all.

    Returns:
        The output, and the logsumexp of the scaled scores, [B, H, S].
    """
    import torch

    n_shared = q_BHSD.shape[1] // k_BKTD.shape[1]
    k_BHTD, v_BHTD = (x.repeat_interleave(n_shared, dim=1) for x in (k_BKTD, v_BKTD))
    scores_BHST = scale * (q_BHSD @ k_BHTD.transpose(2, 3))
    if is_seen is not None:
        scores_BHST = scores_BHST.masked_fill(~is_seen, -math.inf)
    lse_BHS = scores_BHST.logsumexp(dim=3)
    shift_BHS = torch.where(lse_BHS == -math.inf, 0.0, lse_BHS)
    return (scores_BHST - shift_BHS[..., None]).exp() @ v_BHTD, lse_BHS


def rotate(x_BHSD: Tensor, cos: Tensor, sin: Tensor, *, interleaved: bool) -> Tensor:
    """Rotates pairs of numbers of each head (arXiv 2104.09864): (i, i + D/2), or (2i, 2i + 1).

    Args:
        cos, sin: broadcastable to [B, H, S, D / 2].
    """
    import torch

    if interleaved:
        a, b = x_BHSD[..., ::2], x_BHSD[..., 1::2]
        return torch.stack((a * cos - b * sin, b * cos + a * sin), dim=-1).flatten(-2)
    a, b = x_BHSD.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)
