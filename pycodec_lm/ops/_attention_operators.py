"""The operators behind `attention` and `attention_decode`: CPU twins, kernels, fakes, gradients.

Shape suffixes: B rows, H query heads, K key/value heads, S queries, T keys, D head width, R rows of
intervals and of rotary tables (1 where all rows have the same).
"""
# ruff: noqa: N803, N806  # names carry the shape of their tensor

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from .. import reference
from ._configs import config_of
from ._gpu import on_its_device
from ._rotary import turned
from ._versions import check_versions

__all__ = ["seen"]


def seen(lo_RS: Tensor, hi_RS: Tensor, n_keys: int) -> Tensor:
    """The keys between lo and hi: bool [R, 1, S, T]."""
    keys_T = torch.arange(n_keys, device=lo_RS.device)
    return ((keys_T >= lo_RS[..., None]) & (keys_T < hi_RS[..., None]))[:, None]


check_versions()


def _mask(q: Tensor, k: Tensor, lo: Tensor | None, hi: Tensor | None, causal: bool) -> Any:
    if lo is not None and hi is not None:
        return seen(lo, hi, k.shape[2])
    if not causal:
        return None
    shape = q.shape[2], k.shape[2]
    return torch.ones(shape, dtype=torch.bool, device=q.device).tril(shape[1] - shape[0])


def _forward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    lo: Tensor | None,
    hi: Tensor | None,
    cos: Tensor | None,
    sin: Tensor | None,
    interleaved: bool,
    causal: bool,
    scale: float,
) -> tuple[Tensor, Tensor]:
    work = torch.float64 if q.dtype == torch.float64 else torch.float32
    q, k = _turned_both(q, k, cos, sin, interleaved)
    out, lse = reference.attention(
        q.to(work), k.to(work), v.to(work), is_seen=_mask(q, k, lo, hi, causal), scale=scale
    )
    if lo is not None:
        is_broken = (lo < 0)[:, None]
        out = out.masked_fill(is_broken[..., None], math.nan)
        lse = lse.masked_fill(is_broken, math.nan)
    return out.to(q.dtype).contiguous(), lse.float().contiguous()


def _backward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    out: Tensor,
    lse: Tensor,
    d_out: Tensor,
    lo: Tensor | None,
    hi: Tensor | None,
    cos: Tensor | None,
    sin: Tensor | None,
    interleaved: bool,
    causal: bool,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of softmax(scores) v, from the logsumexp (arXiv 2307.08691, section 2.3)."""
    work = torch.float64 if q.dtype == torch.float64 else torch.float32
    q, k = _turned_both(q, k, cos, sin, interleaved)
    n_shared = q.shape[1] // k.shape[1]
    wide_q, wide_out, wide_d_out = (x.to(work) for x in (q, out, d_out))
    wide_k, wide_v = (x.to(work).repeat_interleave(n_shared, dim=1) for x in (k, v))
    scores = scale * (wide_q @ wide_k.transpose(2, 3))
    mask = _mask(q, k, lo, hi, causal)
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    # In float64 the sum is taken anew: lse is float32.
    exact = scores.logsumexp(dim=3) if work == torch.float64 else lse
    p = (scores - torch.where(exact == -math.inf, 0.0, exact)[..., None]).exp()
    dp = wide_d_out @ wide_v.transpose(2, 3)
    ds = scale * p * (dp - (wide_out * wide_d_out).sum(dim=3, keepdim=True))
    dq = ds @ wide_k
    if lo is not None:
        dq = dq.masked_fill((lo < 0)[:, None, :, None], math.nan)
    split = (k.shape[0], k.shape[1], n_shared, k.shape[2], k.shape[3])
    dk = (ds.transpose(2, 3) @ wide_q).view(split).sum(dim=2)
    dv = (p.transpose(2, 3) @ wide_d_out).view(split).sum(dim=2)
    if cos is not None and sin is not None:
        dq, dk = (turned(x, cos, -sin, interleaved=interleaved) for x in (dq, dk))
    return dq.to(q.dtype).contiguous(), dk.to(k.dtype), dv.to(v.dtype)


def _decode(
    q: Tensor, k: Tensor, v: Tensor, lengths: Tensor, scale: float
) -> tuple[Tensor, Tensor]:
    is_key = torch.arange(k.shape[2], device=k.device) < lengths[:, None]
    # What lies behind a row's length may be anything, NaN included.
    k, v = (torch.where(is_key[:, None, :, None], x, 0) for x in (k, v))
    lo = torch.zeros_like(lengths)[:, None].int()
    hi = lengths.clamp(0, k.shape[2])[:, None].int()
    out, lse = _forward(q[:, :, None], k, v, lo, hi, None, None, False, False, scale)
    return out[:, :, 0].contiguous(), lse[:, :, 0].contiguous()


def _turned_both(
    q: Tensor, k: Tensor, cos: Tensor | None, sin: Tensor | None, interleaved: bool
) -> tuple[Tensor, Tensor]:
    if cos is None or sin is None:
        return q, k
    return (
        turned(q, cos, sin, interleaved=interleaved),
        turned(k, cos, sin, interleaved=interleaved),
    )


def _turned_on_gpu(
    q: Tensor | None, k: Tensor, rotary: tuple[Tensor, Tensor, bool]
) -> tuple[Tensor | None, Tensor]:
    import pycodec_lm.kernels.rotary as kernels

    config: Any = config_of("rotary", k, head_dim=k.shape[3])
    result: tuple[Tensor | None, Tensor] = kernels.turn(q, k, rotary, **config)
    return result


def _mode(lo: Tensor | None, cos: Tensor | None, causal: bool) -> str:
    """What the table of configurations calls it."""
    mask = "intervals" if lo is not None else "causal" if causal else "full"
    return mask if cos is None else f"{mask}, rotary"


def _dense(*tensors: Tensor) -> list[Tensor]:
    """With their last axis dense, as the kernels want it."""
    return [x if x.stride(-1) == 1 else x.contiguous() for x in tensors]


def _forward_on_gpu(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    lo: Tensor | None,
    hi: Tensor | None,
    cos: Tensor | None,
    sin: Tensor | None,
    interleaved: bool,
    causal: bool,
    scale: float,
) -> tuple[Tensor, Tensor]:
    import pycodec_lm.kernels.attention as kernels

    config: Any = config_of("attention", q, head_dim=q.shape[3], mode=_mode(lo, cos, causal))
    q, k, v = _dense(q, k, v)
    rotary = None if cos is None or sin is None else (cos, sin, interleaved)
    if rotary is not None:
        _, k = _turned_on_gpu(None, k, rotary)  # queries are turned inside
    result: tuple[Tensor, Tensor] = kernels.forward(
        q, k, v, lo=lo, hi=hi, rotary=rotary, causal=causal, scale=scale, **config
    )
    return result


def _backward_on_gpu(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    out: Tensor,
    lse: Tensor,
    d_out: Tensor,
    lo: Tensor | None,
    hi: Tensor | None,
    cos: Tensor | None,
    sin: Tensor | None,
    interleaved: bool,
    causal: bool,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    import pycodec_lm.kernels.attention_backward as kernels

    mode = _mode(lo, cos, causal)
    config: Any = config_of("attention_backward", q, head_dim=q.shape[3], mode=mode)
    q, k, v, d_out = _dense(q, k, v, d_out)
    rotary = None if cos is None or sin is None else (cos, sin, interleaved)
    if rotary is not None:
        turned_q, k = _turned_on_gpu(q, k, rotary)
        q = q if turned_q is None else turned_q
    ranges: Any = {"lo": lo, "hi": hi, "causal": causal}
    result: tuple[Tensor, Tensor, Tensor] = kernels.backward(
        q, k, v, out, lse, d_out, **ranges, rotary=rotary, scale=scale, **config
    )
    return result


def _decode_on_gpu(
    q: Tensor, k: Tensor, v: Tensor, lengths: Tensor, scale: float
) -> tuple[Tensor, Tensor]:
    import pycodec_lm.kernels.attention_decode as kernels

    config: Any = config_of("attention_decode", q, head_dim=q.shape[2])
    q, k, v = _dense(q, k, v)
    result: tuple[Tensor, Tensor] = kernels.decode(
        q, k, v, lengths.contiguous(), scale=scale, **config
    )
    return result


def _define() -> None:
    library = torch.library
    rest = (
        "Tensor? lo, Tensor? hi, Tensor? cos, Tensor? sin, bool interleaved, bool causal,"
        " float scale"
    )
    attend = library.custom_op(
        "pycodec_lm::attention",
        _forward,
        mutates_args=(),
        device_types="cpu",
        schema=f"(Tensor q, Tensor k, Tensor v, {rest}) -> (Tensor, Tensor)",
    )
    attend_backward = library.custom_op(
        "pycodec_lm::attention_backward",
        _backward,
        mutates_args=(),
        device_types="cpu",
        schema="(Tensor q, Tensor k, Tensor v, Tensor out, Tensor lse, Tensor d_out,"
        f" {rest}) -> (Tensor, Tensor, Tensor)",
    )
    decode = library.custom_op(
        "pycodec_lm::attention_decode",
        _decode,
        mutates_args=(),
        device_types="cpu",
        schema="(Tensor q, Tensor k, Tensor v, Tensor lengths, float scale) -> (Tensor, Tensor)",
    )

    attend.register_kernel("cuda")(on_its_device(_forward_on_gpu))
    attend_backward.register_kernel("cuda")(on_its_device(_backward_on_gpu))
    decode.register_kernel("cuda")(on_its_device(_decode_on_gpu))

    @attend.register_fake
    def _(q: Tensor, *arguments: Any) -> tuple[Tensor, Tensor]:  # noqa: ARG001
        return q.new_empty(q.shape), q.new_empty(q.shape[:3], dtype=torch.float32)

    @attend_backward.register_fake
    def _(q: Tensor, k: Tensor, v: Tensor, *arguments: Any) -> tuple[Tensor, Tensor, Tensor]:  # noqa: ARG001
        return q.new_empty(q.shape), k.new_empty(k.shape), v.new_empty(v.shape)

    @decode.register_fake
    def _(q: Tensor, *arguments: Any) -> tuple[Tensor, Tensor]:  # noqa: ARG001
        return q.new_empty(q.shape), q.new_empty(q.shape[:2], dtype=torch.float32)

    def save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        q, k, v, lo, hi, cos, sin, ctx.interleaved, ctx.causal, ctx.scale = inputs
        ctx.save_for_backward(q, k, v, *output, lo, hi, cos, sin)

    def gradient(ctx: Any, d_out: Tensor, d_lse: Tensor) -> Any:  # noqa: ARG001
        q, k, v, out, lse, *tables = ctx.saved_tensors
        rest = (*tables, ctx.interleaved, ctx.causal, ctx.scale)
        dq, dk, dv = attend_backward(q, k, v, out, lse, d_out, *rest)
        return dq, dk, dv, *[None] * len(rest)

    attend.register_autograd(gradient, setup_context=save)


_define()
