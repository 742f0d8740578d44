"""What `pycodec-lm bench lfq`, `sampling` and `bitmask` run: inputs, peers, and what is right.

Shape suffixes: N rows, D channels, B rows of a batch, V vocabulary, W words of a bitmask.
"""
# ruff: noqa: N803, N806  # names carry the shape of their tensor

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from .. import ops, reference
from ..errors import CodecLMError
from .attention_cases import attention_cases, decode_cases
from .op_peers import bitmask_peers, entropy_peers, sampling_peers
from .op_speed import OURS, OpCase, assert_near, n_inputs_of

__all__ = ["BUILDERS"]

_TEMPERATURE = 0.1
# What a chain may hold at once: rows x codes of float32, several of them.
_MAX_CHAIN_NUMBERS = 1 << 26

# Sums in float32, in other orders; products of a GPU's TF32 have 10 bits, and so has the gradient.
_VALUE_TOLERANCE = 2e-5
_GRADIENT_TOLERANCE = {"cpu": 2e-4, "cuda": 5e-3}
# What logarithms clamped at 1e-5, as a public trainer has them, may be off.
_CLAMPED_TOLERANCE = 5e-2

_TOP_K, _TOP_P = 100, 0.95


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _with_compiled(run: dict[str, Callable[[Any], Any]]) -> dict[str, Callable[[Any], Any]]:
    """Adds torch.compile's version of each chain on a GPU; on a CPU it needs a C++ compiler."""
    if not torch.cuda.is_available():
        return run
    compiled = {
        f"{name}, torch.compile": torch.compile(f) for name, f in run.items() if name != OURS
    }
    return run | compiled


# LFQ


def _lfq_cases() -> Iterator[OpCase]:
    device = _device()
    is_gpu = device.type == "cuda"
    n_rows = 16384 if is_gpu else 4096
    yield OpCase(
        f"lfq N={n_rows} d=18, forward and backward",
        _rows(n_rows, 18),
        _with_compiled({OURS: _quantize, "torch chain": _quantize_chain}),
        _check_quantized,
        n_rows * 18 * 4 * 4 + n_rows * 8,
    )
    for n, d in ((n_rows, 18), *([(65536, 18)] if is_gpu else []), (1024, 12)):
        run: dict[str, Callable[[Any], Any]] = {OURS: _entropy}
        if is_gpu:
            run[f"{OURS}, precise"] = functools.partial(_entropy, precise=True)
        if n << d <= _MAX_CHAIN_NUMBERS:
            run = _with_compiled(run | {"torch chain": _entropy_chain})
            peers = entropy_peers(d, _TEMPERATURE)
            run |= {name: functools.partial(_of_peer, peer) for name, peer in peers.items()}
        yield OpCase(
            f"lfq_entropy N={n} d={d}, forward and backward",
            _rows(n, d),
            run,
            _check_entropy,
            2 * n * d * 4 + (4 << d),
            3 * 2 * n << d,
        )


def _rows(n: int, d: int) -> list[Tensor]:
    return [torch.randn(n, d, device=_device()) for _ in range(n_inputs_of(4 * n * d))]


def _quantize(z_ND: Tensor) -> Any:
    z_ND = z_ND.detach().requires_grad_()
    result = ops.lfq(z_ND)
    (dz,) = torch.autograd.grad(result.quantized.sum() + result.commitment, z_ND)
    return result.indices[:, 0], dz


def _quantize_chain(z_ND: Tensor) -> Any:
    z_ND = z_ND.detach().requires_grad_()
    signs = torch.where(z_ND > 0, 1.0, -1.0)
    indices = ((z_ND > 0).long() << torch.arange(z_ND.shape[1], device=z_ND.device)).sum(dim=1)
    quantized = z_ND + (signs - z_ND).detach()
    commitment = (z_ND - signs.detach()).square().mean()
    (dz,) = torch.autograd.grad(quantized.sum() + commitment, z_ND)
    return indices, dz


def _check_quantized(found: Any, z_ND: Tensor) -> float:
    z_ND = z_ND.double().cpu().requires_grad_()
    quantized, indices, commitment = reference.lfq(z_ND, (z_ND.shape[1],), "little")
    (dz,) = torch.autograd.grad(quantized.sum() + commitment, z_ND)
    if not torch.equal(found[0].cpu(), indices[:, 0]):
        raise CodecLMError("an index differs from the reference")
    return assert_near(found[1].cpu(), dz, 1e-6, "the gradient")


def _entropy(z_ND: Tensor, *, precise: bool = False) -> Any:
    z_ND = z_ND.detach().requires_grad_()
    value = ops.lfq_entropy(z_ND, temperature=_TEMPERATURE, precise=precise)
    assert isinstance(value, Tensor)
    return value.detach(), torch.autograd.grad(value, z_ND)[0]


def _entropy_chain(z_ND: Tensor) -> Any:
    """As public trainers write it, without their eps."""
    z_ND = z_ND.detach().requires_grad_()
    codes = reference.sign_codes(z_ND.shape[1], torch.float32).to(z_ND.device)
    logits = 2 * z_ND @ codes.T / _TEMPERATURE
    q = logits.softmax(dim=1)
    sample = -(q * logits.log_softmax(dim=1)).sum(dim=1).mean()
    mean = q.mean(dim=0)
    value = sample + (mean * mean.clamp(min=1e-38).log()).sum()
    return value.detach(), torch.autograd.grad(value, z_ND)[0]


def _of_peer(peer: Callable[[Any], Any], z_ND: Tensor) -> Any:
    return *peer(z_ND), _CLAMPED_TOLERANCE


def _check_entropy(found: Any, z_ND: Tensor) -> float:
    """The error of the value."""
    exact = z_ND.double().cpu().requires_grad_()
    n, d = exact.shape
    if n << d <= _MAX_CHAIN_NUMBERS:
        sample, codebook = reference.lfq_entropy(exact, _TEMPERATURE, (d,))
        value = sample - codebook
    else:  # the definition does not fit; the factorised form in float64 is held to it by tests
        factorised = ops.lfq_entropy(exact, temperature=_TEMPERATURE)
        assert isinstance(factorised, Tensor)
        value = factorised
    (dz,) = torch.autograd.grad(value, exact)
    tolerances = _VALUE_TOLERANCE, _GRADIENT_TOLERANCE[z_ND.device.type]
    if len(found) == 3:
        tolerances = found[2], found[2]
    assert_near(found[1].cpu(), dz, tolerances[1], "the gradient")
    return assert_near(found[0].cpu(), value.detach(), tolerances[0], "the value")


# Sampling


def _sampling_cases() -> Iterator[OpCase]:
    device = _device()
    sizes = ((64, 16384), (128, 32768)) if device.type == "cuda" else ((64, 1024), (8, 16384))
    for n_rows, n_tokens in sizes:
        dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
        n_bytes = n_rows * n_tokens * (2 * dtype.itemsize) + n_rows * n_tokens // 8
        inputs = [_logits(n_rows, n_tokens, dtype, device) for _ in range(n_inputs_of(n_bytes))]
        yield OpCase(
            f"cfg_sample B={n_rows} V={n_tokens}, guidance, mask, top-k 100, top-p 0.95",
            inputs,
            _with_compiled({OURS: _sample, "torch chain": _sample_chain}),
            _check_sampled,
            n_bytes,
        )
    peers = sampling_peers(_TOP_K, _TOP_P)
    yield OpCase(
        f"cfg_sample B={n_rows} V={n_tokens}, top-k 100, top-p 0.95 alone",
        inputs,
        _with_compiled({OURS: _sample_plainly, "torch chain": _sample_plainly_by_chain})
        | {name: functools.partial(_of_logits, peer) for name, peer in peers.items()},
        _check_sampled_plainly,
        n_rows * n_tokens * dtype.itemsize,
    )


def _logits(n_rows: int, n_tokens: int, dtype: torch.dtype, device: torch.device) -> Any:
    c_BV, u_BV = (3 * torch.randn(2, n_rows, n_tokens, device=device)).to(dtype)
    words = torch.randint(-(2**31), 2**31, (n_rows, n_tokens // 32), device=device)
    return c_BV, u_BV, words.int(), torch.randint(2**62, (n_rows,), device=device)


def _sample(inputs: Any) -> Any:
    c_BV, u_BV, bitmask_BW, seeds_B = inputs
    found = ops.cfg_sample(
        c_BV,
        u_BV,
        seeds=seeds_B,
        steps=seeds_B,
        scale=2.0,
        bitmask=bitmask_BW,
        temperature=0.9,
        top_k=_TOP_K,
        top_p=_TOP_P,
    )
    return found[:3]


def _sample_chain(inputs: Any) -> Any:
    c_BV, u_BV, bitmask_BW, _ = inputs
    x_BV = u_BV.float() + 2.0 * (c_BV.float() - u_BV.float())
    bits = torch.arange(32, dtype=torch.int32, device=x_BV.device)
    allowed_BV = (bitmask_BW[:, :, None] >> bits & 1).flatten(1).bool()
    log_p_BV = x_BV.log_softmax(dim=1)
    x_BV = x_BV.masked_fill(~allowed_BV, -torch.inf)
    log_q_BV = x_BV.log_softmax(dim=1)
    tokens_B1 = _drawn_by_chain(x_BV / 0.9)
    log_q_B = log_q_BV.gather(1, tokens_B1)[:, 0]
    return tokens_B1[:, 0], log_q_B, log_p_BV.gather(1, tokens_B1)[:, 0] - log_q_B


def _drawn_by_chain(x_BV: Tensor) -> Tensor:
    least = x_BV.topk(_TOP_K, dim=1).values[:, -1:]
    x_BV = x_BV.masked_fill(x_BV < least, -torch.inf)
    best_first_BV, order_BV = x_BV.sort(dim=1, descending=True)
    p_BV = best_first_BV.softmax(dim=1)
    best_first_BV = best_first_BV.masked_fill(p_BV.cumsum(dim=1) - p_BV >= _TOP_P, -torch.inf)
    p_BV = torch.zeros_like(p_BV).scatter(1, order_BV, best_first_BV.softmax(dim=1))
    return torch.multinomial(p_BV, 1)


def _check_sampled(found: Any, inputs: Any) -> float:
    """Tokens are among those that the rules leave, with the log-probabilities they must have."""
    c_BV, u_BV, bitmask_BW, _ = (tensor.cpu() for tensor in inputs)
    tokens_B, log_probs_B, log_zs_B = (tensor.cpu() for tensor in found)
    x_BV = (u_BV.float() + 2.0 * (c_BV.float() - u_BV.float())).double()
    masked_BV = x_BV.masked_fill(~reference.is_allowed(bitmask_BW, x_BV.shape[1]), -torch.inf)
    _check_tokens(tokens_B, masked_BV / 0.9)
    rows_B = torch.arange(len(x_BV))
    expected_B = masked_BV.log_softmax(dim=1)[rows_B, tokens_B]
    error = assert_near(log_probs_B, expected_B, 1e-5, "a log-probability")
    expected_B = x_BV.log_softmax(dim=1)[rows_B, tokens_B] - expected_B
    return max(error, assert_near(log_zs_B, expected_B, 1e-5, "log Z"))


def _check_tokens(tokens_B: Tensor, x_BV: Tensor) -> None:
    chosen_B1 = x_BV.gather(1, tokens_B[:, None])
    top_BK = x_BV.topk(_TOP_K, dim=1).values
    above_B = (top_BK.softmax(dim=1) * (top_BK > chosen_B1)).sum(dim=1)
    if bool((chosen_B1[:, 0] < top_BK[:, -1]).any() or (above_B > _TOP_P + 1e-6).any()):
        raise CodecLMError("a token was drawn that top-k or top-p cuts off")


def _sample_plainly(inputs: Any) -> Tensor:
    logits_BV, _, _, seeds_B = inputs
    return ops.cfg_sample(
        logits_BV, seeds=seeds_B, steps=seeds_B, top_k=_TOP_K, top_p=_TOP_P
    ).tokens


def _sample_plainly_by_chain(inputs: Any) -> Tensor:
    return _drawn_by_chain(inputs[0].float())[:, 0]


def _of_logits(peer: Callable[[Any], Any], inputs: Any) -> Any:
    return peer(inputs[0])


def _check_sampled_plainly(found: Tensor, inputs: Any) -> float:
    """A token either may come or may not."""
    _check_tokens(found.cpu(), inputs[0].cpu().double())
    return 0.0


# Bitmasks


def _bitmask_cases() -> Iterator[OpCase]:
    device = _device()
    n_rows, n_tokens = 64, 32768
    run: dict[str, Callable[[Any], Any]] = {OURS: _mask, "torch chain": _mask_chain}
    run = _with_compiled(run)
    run |= bitmask_peers()
    for share in (0.01, 0.5, 0.99):
        inputs = []
        for _ in range(n_inputs_of(4 * n_rows * n_tokens)):
            bits_BV = torch.rand(n_rows, n_tokens // 32, 32) < share
            places = torch.arange(32, dtype=torch.int64)
            words_BW = (bits_BV.long() << places).sum(dim=2)
            # From 0..2**32 to the int32 of the same bits.
            words_BW = torch.where(words_BW >= 1 << 31, words_BW - (1 << 32), words_BW).int()
            logits_BV = torch.randn(n_rows, n_tokens, device=device)
            inputs.append((logits_BV, words_BW.to(device)))
        n_forbidden = (1 - share) * n_rows * n_tokens
        yield OpCase(
            f"apply_token_bitmask_inplace B={n_rows} V={n_tokens}, {share:.0%} allowed",
            inputs,
            run,
            _check_masked,
            int(4 * n_forbidden) + n_rows * n_tokens // 8,
        )


def _mask(inputs: Any) -> Tensor:
    logits_BV: Tensor = inputs[0]
    ops.apply_token_bitmask_inplace(*inputs)
    return logits_BV


def _mask_chain(inputs: Any) -> Tensor:
    logits_BV, bitmask_BW = inputs
    bits = torch.arange(32, dtype=torch.int32, device=logits_BV.device)
    allowed_BV = (bitmask_BW[:, :, None] >> bits & 1).flatten(1).bool()
    masked: Tensor = logits_BV.masked_fill_(~allowed_BV, -torch.inf)
    return masked


def _check_masked(found: Tensor, inputs: Any) -> float:
    allowed_BV = reference.is_allowed(inputs[1].cpu(), found.shape[1])
    if not torch.equal(found.cpu().isfinite(), allowed_BV):
        raise CodecLMError("a token is masked that is allowed, or the other way round")
    return 0.0


BUILDERS: dict[str, Callable[[], Iterator[OpCase]]] = {
    "attention": attention_cases,
    "decode": decode_cases,
    "lfq": _lfq_cases,
    "sampling": _sampling_cases,
    "bitmask": _bitmask_cases,
}
