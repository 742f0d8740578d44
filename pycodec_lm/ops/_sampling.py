"""From logits to tokens: guidance, bitmask, temperature, top-k, top-p, min-p, and one draw a row.

A draw cuts the tokens that are left, laid end to end in the order of their numbers, at a place that
one random number gives. That number hangs on the row's seed and step alone, so no row sees its
neighbours, and "the token that the same number gives without the mask" has a meaning.

Shape suffixes: B rows, V vocabulary, W words of a bitmask, P the five numbers of a row.
"""
# ruff: noqa: N806  # names carry the shape of their tensor

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..errors import UsageError
from ._checks import check_tensors
from ._sampling_operators import sample_on_cpu

__all__ = ["Sampled", "cfg_sample"]

_MAX_VOCAB = 1 << 24
_NUMBERS = ("scale", "temperature", "top_k", "top_p", "min_p")


class Sampled(NamedTuple):
    """What `cfg_sample` gives, one entry a row; docs/ops.md says what each is."""

    tokens: Tensor
    log_probs: Tensor
    log_zs: Tensor
    flags: Tensor


def cfg_sample(
    logits: Tensor,
    unconditional: Tensor | None = None,
    *,
    seeds: Tensor,
    steps: Tensor,
    scale: float | Tensor = 1.0,
    guidance: str = "interpolate",
    bitmask: Tensor | None = None,
    temperature: float | Tensor = 1.0,
    top_k: int | Tensor = 0,
    top_p: float | Tensor = 1.0,
    min_p: float | Tensor = 0.0,
) -> Sampled:
    """Draws one token a row.

    Args:
        logits: floating point [B, V], with the condition.
        unconditional: the same without it; None for no guidance.
        seeds, steps: int64 [B]: key and counter of a row's random number.
        scale: of guidance, one for all or [B].
        guidance: "interpolate", u + s (c - u), or "extrapolate", (1 + s) c - s u.
        bitmask: int32 [B, W], least significant bit first; None for all tokens.
        temperature: one for all or [B]; 0 takes the most probable token.
        top_k: one for all or [B]; 0 for all tokens.
        top_p, min_p: one for all or [B], in [0, 1].

    Returns:
        tokens int64, log_probs and log_zs float32, flags int32, each [B]. A row that is flagged has
        token -1.

    Raises:
        UsageError: a shape, a type, a device or a number does not fit.

    Source: `pycodec_lm.reference.sample`; guidance arXiv 2207.12598; top-p arXiv 1904.09751; min-p
    arXiv 2407.01082.

    >>> import torch
    >>> logits, zero = torch.tensor([[0.0, 4.0, 1.0]]), torch.tensor([0])
    >>> cfg_sample(logits, seeds=zero, steps=zero, top_k=1).tokens.tolist()
    [1]
    """
    _check_tensors(logits, unconditional, bitmask, seeds, steps)
    if guidance not in ("interpolate", "extrapolate"):
        raise UsageError(f"guidance = {guidance!r}, must be 'interpolate' or 'extrapolate'")
    numbers = dict(zip(_NUMBERS, (scale, temperature, top_k, top_p, min_p), strict=True))
    plain: dict[str, float] = {}
    for name, value in numbers.items():
        if isinstance(value, Tensor):
            _check_row_numbers(name, value, logits)
        else:
            plain[name] = _checked_number(name, value, logits.shape[1])
    rows_BP = None
    if len(plain) < len(numbers):
        # One tensor, so that a kernel has one address to read from.
        rows_BP = torch.stack(
            [
                value.detach().float()
                if isinstance(value, Tensor)
                else torch.full(logits.shape[:1], value, dtype=torch.float32, device=logits.device)
                for value in numbers.values()
            ],
            dim=1,
        )
    arguments: tuple[Any, ...] = (
        logits.detach(),
        None if unconditional is None else unconditional.detach(),
        bitmask,
        seeds,
        steps,
        rows_BP,
        *(plain.get(name, 0.0) for name in _NUMBERS),
        guidance == "interpolate",
    )
    if logits.is_cpu and type(logits) is Tensor and not torch.compiler.is_compiling():
        # The same without the operator, whose first call imports torch's compiler: seconds.
        return Sampled(*sample_on_cpu(*arguments))
    return Sampled(*torch.ops.pycodec_lm.cfg_sample(*arguments))


def _check_tensors(
    logits: Tensor,
    unconditional: Tensor | None,
    bitmask: Tensor | None,
    seeds: Tensor,
    steps: Tensor,
) -> None:
    check_tensors(logits=logits)
    if not logits.is_floating_point() or logits.ndim != 2:
        raise UsageError(
            f"logits must be floating point [B, V], not {logits.dtype} {list(logits.shape)}"
        )
    if not 1 <= logits.shape[1] <= _MAX_VOCAB:
        raise UsageError(f"a vocabulary of {logits.shape[1]} tokens, must be 1 to {_MAX_VOCAB}")
    if logits.device.type not in ("cpu", "cuda", "meta"):
        raise UsageError(f"logits are on {logits.device}; there is a kernel for cuda, one for cpu")
    if logits.is_cuda and logits.dtype == torch.float64:
        raise UsageError("logits are float64: the kernel takes float32, float16 and bfloat16")
    for name, value in (
        ("unconditional", unconditional),
        ("bitmask", bitmask),
        ("seeds", seeds),
        ("steps", steps),
    ):
        if value is None:
            continue
        check_tensors(**{name: value})
        if value.device != logits.device:
            raise UsageError(f"{name} is on {value.device}, the logits are on {logits.device}")
    if unconditional is not None and (
        unconditional.shape != logits.shape or unconditional.dtype != logits.dtype
    ):
        raise UsageError(
            f"unconditional is {unconditional.dtype} {list(unconditional.shape)}, the logits are"
            f" {logits.dtype} {list(logits.shape)}"
        )
    n_rows = logits.shape[0]
    if bitmask is not None and (
        bitmask.dtype != torch.int32 or bitmask.ndim != 2 or bitmask.shape[0] != n_rows
    ):
        raise UsageError(
            f"a bitmask must be int32 [{n_rows}, W], not {bitmask.dtype} {list(bitmask.shape)}"
        )
    for name, value in (("seeds", seeds), ("steps", steps)):
        if value.dtype != torch.int64 or value.shape != (n_rows,):
            raise UsageError(
                f"{name} must be int64 [{n_rows}], not {value.dtype} {list(value.shape)}"
            )


def _check_row_numbers(name: str, value: Tensor, logits: Tensor) -> None:
    if value.shape != logits.shape[:1] or value.is_complex() or value.dtype == torch.bool:
        raise UsageError(
            f"{name} must be a number or [{logits.shape[0]}], not {value.dtype} {list(value.shape)}"
        )
    if value.device != logits.device:
        raise UsageError(f"{name} is on {value.device}, the logits are on {logits.device}")


def _checked_number(name: str, value: float, vocab_size: int) -> float:
    if name == "scale":
        if not math.isfinite(value):
            raise UsageError(f"scale = {value}, must be finite")
    elif name == "temperature":
        if not 0 <= value < math.inf:
            raise UsageError(f"temperature = {value}, must be 0 or more, and finite")
    elif name == "top_k":
        if not isinstance(value, int) or not 0 <= value <= vocab_size:
            raise UsageError(f"top_k = {value}, must be a whole number from 0 to {vocab_size}")
    elif not 0 <= value <= 1:
        raise UsageError(f"{name} = {value}, must be in [0, 1]")
    return float(value)
