"""The operator behind `cfg_sample`: what the CPU computes, the kernels, shapes for tracers.

Shape suffixes: B rows, V vocabulary, W words of a bitmask, P the five numbers of a row (scale,
temperature, top_k, top_p, min_p), K tokens that are kept.
"""
# ruff: noqa: N803, N806  # names carry the shape of their tensor

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ._configs import config_of
from ._gpu import on_its_device
from ._versions import check_versions

__all__ = ["INVALID_NUMBER", "NOT_A_NUMBER", "NO_TOKEN", "sample_on_cpu"]

NO_TOKEN = 1
NOT_A_NUMBER = 2
INVALID_NUMBER = 4

_LEAST_SHARE = 1e-25

check_versions()

# The CPU. Draws are in float64, so that rounding decides nothing that anyone could notice.


def sample_on_cpu(
    logits_BV: Tensor,
    unconditional_BV: Tensor | None,
    bitmask_BW: Tensor | None,
    seeds_B: Tensor,
    steps_B: Tensor,
    rows_BP: Tensor | None,
    scale: float,
    temperature: float,
    top_k: float,
    top_p: float,
    min_p: float,
    interpolate: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    n_rows, n_tokens = logits_BV.shape
    if rows_BP is None:
        numbers_BP = np.tile([scale, temperature, top_k, top_p, min_p], (n_rows, 1))
    else:
        numbers_BP = rows_BP.double().numpy()
    flags_B = np.where(_are_in_range(numbers_BP, n_tokens), 0, INVALID_NUMBER).astype(np.int32)
    guided_BV = _guided(logits_BV, unconditional_BV, numbers_BP[:, 0], interpolate=interpolate)
    masked_BV, allowed_BV = guided_BV, None
    if bitmask_BW is not None:
        allowed_BV = _allowed(bitmask_BW, n_tokens)
        # 1 - 1 or 1 - inf is added: where() and masked_fill() take several times as long.
        masked_BV = allowed_BV.reciprocal().neg_().add_(1).to(guided_BV.dtype).add_(guided_BV)
    best_B = masked_BV.numpy().argmax(axis=1)  # of equal ones the first; a NaN counts as most
    is_finite_B = guided_BV.amax(dim=1).numpy() < math.inf  # false for NaN as well
    is_empty_B = masked_BV.numpy()[np.arange(n_rows), best_B] == -math.inf
    flags_B |= np.where(is_finite_B, np.where(is_empty_B, NO_TOKEN, 0), NOT_A_NUMBER)

    is_drawn_B = (numbers_BP[:, 1] > 0) & (flags_B == 0)
    tokens_B = best_B
    if is_drawn_B.any():
        drawn_B = np.flatnonzero(is_drawn_B)
        whole = len(drawn_B) == n_rows
        uniforms_B = _uniforms(seeds_B.numpy()[drawn_B], steps_B.numpy()[drawn_B])
        tokens_B[drawn_B] = _draw(
            masked_BV if whole else masked_BV[torch.from_numpy(drawn_B)],
            uniforms_B,
            numbers_BP[drawn_B],
        )

    tokens = torch.from_numpy(tokens_B)
    log_probs_B, log_zs_B = _log_shares(guided_BV, allowed_BV, tokens)
    flags = torch.from_numpy(flags_B)
    is_flagged = flags != 0
    return (
        tokens.masked_fill(is_flagged, -1),
        log_probs_B.masked_fill(is_flagged, math.nan).float(),
        log_zs_B.masked_fill(is_flagged, math.nan).float(),
        flags,
    )


def _allowed(bitmask_BW: Tensor, n_tokens: int) -> Tensor:
    """`reference.is_allowed` as numbers, float32: 1 for what is allowed, else 0."""
    words_BW = np.ascontiguousarray(bitmask_BW.numpy(), "<i4")
    bits_BV = np.unpackbits(words_BW.view(np.uint8), axis=1, bitorder="little", count=n_tokens)
    return torch.from_numpy(bits_BV).float()


def _log_shares(
    guided_BV: Tensor, allowed_BV: Tensor | None, tokens_B: Tensor
) -> tuple[Tensor, Tensor]:
    """Log-probabilities of tokens among the allowed ones, and log of the share of these."""
    rows_B = torch.arange(len(tokens_B))
    # softmax() and log_softmax() work row by row with the same instructions wherever the row lies,
    # which exp() over a whole batch does not.
    p_BV = torch.softmax(guided_BV, dim=1)
    p_B = p_BV[rows_B, tokens_B].double()
    if allowed_BV is None:
        log_zs_B = torch.zeros_like(p_B)
    else:
        share_B = (p_BV * allowed_BV).sum(dim=1, dtype=torch.float64)
        rest_B = p_BV.sum(dim=1, dtype=torch.float64) - share_B
        # Of two shares the smaller one is known better.
        log_zs_B = torch.where(rest_B < 0.5, (-rest_B).log1p(), share_B.log())
    log_probs_B = p_B.log() - log_zs_B
    tiny_B = (p_B < _LEAST_SHARE).nonzero()[:, 0]
    if len(tiny_B):
        # The same by logarithms, for what float32 holds badly or not at all.
        picked_B1 = tokens_B[tiny_B, None]
        log_p_BV = torch.log_softmax(guided_BV[tiny_B], dim=1, dtype=torch.float64)
        log_p_B = log_p_BV.gather(1, picked_B1)[:, 0]
        if allowed_BV is not None:
            masked_BV = torch.where(allowed_BV[tiny_B] == 0, -math.inf, guided_BV[tiny_B])
            log_q_BV = torch.log_softmax(masked_BV, dim=1, dtype=torch.float64)
            log_probs_B[tiny_B] = log_q_BV.gather(1, picked_B1)[:, 0]
            log_zs_B[tiny_B] = log_p_B - log_probs_B[tiny_B]
        else:
            log_probs_B[tiny_B] = log_p_B
    # Rounding may put either above 0.
    return log_probs_B.clamp(max=0), log_zs_B.clamp(max=0)


def _are_in_range(numbers_BP: NDArray[np.float64], n_tokens: int) -> NDArray[np.bool_]:
    scale, temperature, top_k, top_p, min_p = numbers_BP.T
    fits: NDArray[np.bool_] = np.isfinite(scale) & (temperature >= 0) & (temperature < math.inf)
    fits &= (top_k >= 0) & (top_k <= n_tokens)
    for share in (top_p, min_p):
        fits &= (share >= 0) & (share <= 1)
    return fits


def _guided(
    logits_BV: Tensor,
    unconditional_BV: Tensor | None,
    scale_B: NDArray[np.float64],
    *,
    interpolate: bool,
) -> Tensor:
    """Guided logits in float32, as in the kernel, or in float64 where they come so."""
    work = torch.float64 if logits_BV.dtype == torch.float64 else torch.float32
    c_BV = logits_BV.to(work)
    if unconditional_BV is None:
        return c_BV.contiguous()
    u_BV = unconditional_BV.to(work)
    s_B1 = torch.from_numpy(np.ascontiguousarray(scale_B)).to(work)[:, None]
    if interpolate:
        guided_BV = (c_BV - u_BV).mul_(s_B1).add_(u_BV)
    else:
        guided_BV = ((1 + s_B1) * c_BV).sub_(s_B1 * u_BV)
    # A row with a NaN is flagged whatever else it holds.
    if (c_BV.amin(dim=1) == -math.inf).any():
        guided_BV = torch.where(c_BV == -math.inf, c_BV, guided_BV)
    return guided_BV.contiguous()


def _uniforms(seeds_B: NDArray[np.int64], steps_B: NDArray[np.int64]) -> NDArray[np.float64]:
    """`reference.philox_uniform` of many rows."""
    word, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    factors, steps_of_key = (
        np.array([[a], [b]], np.uint64)
        for a, b in ((0xD2511F53, 0xCD9E8D57), (0x9E3779B9, 0xBB67AE85))
    )
    key_2B = _halves(seeds_B)
    # The words 0 and 2 are multiplied, 1 and 3 only mixed in: each pair is one array.
    mixed_2B = np.zeros_like(key_2B)
    counter_2B = _halves(steps_B)
    multiplied_2B = np.stack((counter_2B[0], mixed_2B[0]))
    mixed_2B[0] = counter_2B[1]
    for _ in range(10):
        products_2B = multiplied_2B * factors
        multiplied_2B = (products_2B >> half)[::-1] ^ mixed_2B ^ key_2B
        mixed_2B = (products_2B & word)[::-1]
        key_2B = (key_2B + steps_of_key) & word
    uniforms_B: NDArray[np.float64] = (multiplied_2B[0] >> np.uint64(8)).astype(np.float64)
    return uniforms_B * 2.0**-24


def _halves(numbers_B: NDArray[np.int64]) -> NDArray[np.uint64]:
    """The low and the high 32 bits of numbers, [2, B]."""
    bits_B = numbers_B.view(np.uint64)
    return np.stack((bits_B & np.uint64(0xFFFFFFFF), bits_B >> np.uint64(32)))


def _draw(
    masked_BV: Tensor, uniforms_B: NDArray[np.float64], numbers_BP: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Tokens of rows that have a temperature and something to draw from."""
    temperature_B1 = torch.from_numpy(np.ascontiguousarray(numbers_BP[:, 1:2]))
    is_cut = (numbers_BP[:, 2] > 0) | (numbers_BP[:, 3] < 1) | (numbers_BP[:, 4] > 0)
    tokens_BK = None
    if is_cut.any():
        # From here on only what is kept, in the order of token numbers, and -inf to fill rows up.
        n_rows, n_tokens = masked_BV.shape
        kept_BV, n_kept_B = _kept(masked_BV.numpy(), temperature_B1, numbers_BP)
        flat = np.flatnonzero(kept_BV)
        is_place_BK = np.arange(n_kept_B.max()) < n_kept_B[:, None]
        tokens_BK = np.zeros(is_place_BK.shape, np.int64)
        tokens_BK[is_place_BK] = flat
        tokens_BK -= np.arange(n_rows)[:, None] * n_tokens
        kept_BK = np.full(tokens_BK.shape, -np.inf)
        kept_BK[is_place_BK] = masked_BV.numpy().ravel()[flat]
        masked_BV = torch.from_numpy(kept_BK)
    p_BV = torch.softmax(masked_BV.double() / temperature_B1, dim=1)
    mass_BV = p_BV.cumsum(dim=1)
    targets_B1 = torch.from_numpy(uniforms_B)[:, None] * mass_BV[:, -1:]
    chosen_B: NDArray[np.int64] = torch.searchsorted(mass_BV, targets_B1, right=True)[:, 0].numpy()
    return chosen_B if tokens_BK is None else tokens_BK[np.arange(len(chosen_B)), chosen_B]


def _kept(
    masked_BV: NDArray[Any], temperature_B1: Tensor, numbers_BP: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """What top-k, top-p and min-p leave, and how many tokens that is in each row.

    All three keep the first so many of the tokens in order (logit, most first; number), and whether
    a token is among them shows by its logit, or by its number where logits are equal. So logits are
    sorted, without their places, which is several times as fast; and no more of them than k.
    """
    n_rows, n_tokens = masked_BV.shape
    top_k_B, top_p_B, min_p_B = numbers_BP[:, 2], numbers_BP[:, 3], numbers_BP[:, 4]
    n_kept_B = np.where(top_k_B > 0, top_k_B, n_tokens).astype(np.int64)
    n_columns = int(n_kept_B.max())
    best_first_BK = np.negative(masked_BV)
    if n_columns < n_tokens:
        best_first_BK.partition(n_columns - 1, axis=1)
        best_first_BK = best_first_BK[:, :n_columns].copy()
    best_first_BK.sort(axis=1)
    np.negative(best_first_BK, out=best_first_BK)
    if (top_p_B < 1).any() or (min_p_B > 0).any():
        best_first = torch.from_numpy(best_first_BK)
        p_BK = torch.softmax(best_first.double() / temperature_B1, dim=1).numpy()
        p_BK[np.arange(n_columns) >= n_kept_B[:, None]] = 0
        mass_BK = p_BK.cumsum(axis=1)
        before_BK = mass_BK - p_BK
        before_BK[:, 1:] = mass_BK[:, :-1]
        is_in_BK = before_BK < top_p_B[:, None] * mass_BK[:, -1:]
        is_in_BK[top_p_B == 1] = True
        is_in_BK &= p_BK >= min_p_B[:, None] * p_BK[:, :1]
        n_kept_B = np.minimum(n_kept_B, np.maximum(is_in_BK.sum(axis=1), 1))
    last_B1 = best_first_BK[np.arange(n_rows), n_kept_B - 1][:, None]
    kept_BV: NDArray[np.bool_] = masked_BV >= last_B1
    n_spare_B = np.count_nonzero(kept_BV, axis=1) - n_kept_B
    for row in np.flatnonzero(n_spare_B):
        equal = np.flatnonzero(masked_BV[row] == last_B1[row])
        kept_BV[row, equal[len(equal) - n_spare_B[row] :]] = False
    return kept_BV, n_kept_B


# On a GPU: the same by the kernels.


def _sample_on_gpu(logits_BV: Tensor, *arguments: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    import pycodec_lm.kernels.cfg_sampling as kernels

    config: Any = config_of("cfg_sample", logits_BV, vocab=logits_BV.shape[1])
    result: tuple[Tensor, Tensor, Tensor, Tensor] = kernels.cfg_sample(
        logits_BV, *arguments, **config
    )
    return result


def _define() -> None:
    sampler = torch.library.custom_op(
        "pycodec_lm::cfg_sample",
        sample_on_cpu,
        mutates_args=(),
        device_types="cpu",
        schema="(Tensor logits, Tensor? unconditional, Tensor? bitmask, Tensor seeds, Tensor steps,"
        " Tensor? rows, float scale, float temperature, float top_k, float top_p, float min_p,"
        " bool interpolate) -> (Tensor, Tensor, Tensor, Tensor)",
    )

    sampler.register_kernel("cuda")(on_its_device(_sample_on_gpu))

    @sampler.register_fake
    def _(logits_BV: Tensor, *arguments: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # noqa: ARG001
        n_rows = logits_BV.shape[0]
        return (
            logits_BV.new_empty(n_rows, dtype=torch.int64),
            logits_BV.new_empty(n_rows, dtype=torch.float32),
            logits_BV.new_empty(n_rows, dtype=torch.float32),
            logits_BV.new_empty(n_rows, dtype=torch.int32),
        )


_define()
