"""Attention in which each query sees an interval of keys, and decoding against a cache.

Full, causal and packed attention and attention by segments differ in these intervals alone, so a
kernel knows no more than two numbers for each query: lo and hi, the first key that it sees and the
one behind the last. They are made on the device, and nothing is read on the host.

Shape suffixes: B rows, H query heads, K key/value heads, S queries, T keys, D head width, R rows of
intervals (1 where all rows have the same).
"""
# ruff: noqa: N806  # names carry the shape of their tensor

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import UsageError
from ._attention_operators import seen
from ._checks import INTEGERS, check_tensors
from ._rotary import RotaryTable, checked_table, turned

__all__ = ["attention", "attention_decode"]

_MAX_HEAD_DIM = 256
_DTYPES = (torch.float32, torch.float16, torch.bfloat16)
# torch's kernel for CPUs takes keys in blocks of 512, and masked blocks change no bit; of one query
# alone it shares the keys among threads.
_KEY_MULTIPLE = 512
_QUERY_MULTIPLE = 4


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    causal: bool = False,
    scale: float | None = None,
    cu_seqlens: Tensor | None = None,
    segments: Tensor | None = None,
    key_ranges: tuple[Tensor, Tensor] | None = None,
    rope: RotaryTable | None = None,
    return_lse: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """Attention, with gradients.

    Args:
        q: floating point [B, H, S, D].
        k, v: [B, K, T, D], K a divisor of H.
        causal: query i sees the keys up to i + T - S.
        scale: of the scores; None for D ** -0.5.
        cu_seqlens: int32 or int64 [N + 1], 0 = first, ascending, last = S: documents end to end.
        segments: integer [S] or [B, S], not falling: a token sees those of its own and of smaller
            ids. -1 at the end of a row is padding.
        key_ranges: integer (lo, hi), each [S] or [B, S]: query i sees the keys lo[i] to hi[i] - 1.
        rope: turns q and k first, as many as there are of each. It has no gradient.
        return_lse: give the logsumexp of the scaled scores too, float32 [B, H, S].

    Raises:
        UsageError: a shape, a type or a device does not fit, or two masks are given.

    Source: arXiv 2307.08691 (GPU), arXiv 1706.03762.

    >>> import torch
    >>> q = torch.randn(1, 4, 10, 16)
    >>> attention(q, q[:, :2], q[:, :2], causal=True).shape
    torch.Size([1, 4, 10, 16])
    """
    _check_heads(q, k, v, 4)
    n_masks = sum(mask is not None for mask in (cu_seqlens, segments, key_ranges))
    if n_masks > 1 or (causal and (segments is not None or key_ranges is not None)):
        raise UsageError("give one of cu_seqlens, segments, key_ranges; causal with the first only")
    cos, sin = (None, None) if rope is None else checked_table(rope, q, k)
    interleaved = rope is not None and rope.interleaved
    lo = hi = None
    if key_ranges is not None:
        # A kernel goes as far as hi says.
        lo, hi = (
            _range_tensor(name, x, q).clamp(-1, k.shape[2]).int()
            for name, x in zip(("lo", "hi"), key_ranges, strict=True)
        )
    elif cu_seqlens is not None:
        lo, hi = _document_ranges(cu_seqlens, q, k, causal=causal)
    elif segments is not None:
        lo, hi = _segment_ranges(segments, q, k)
    is_causal = causal and cu_seqlens is None
    scale = q.shape[3] ** -0.5 if scale is None else float(scale)
    if q.is_cpu and not return_lse:
        if cos is not None and sin is not None:
            q, k = (turned(x, cos, sin, interleaved=interleaved) for x in (q, k))
        return _attention_of_torch(q, k, v, lo, hi, causal=is_causal, scale=scale)
    out, lse = torch.ops.pycodec_lm.attention(
        q, k, v, lo, hi, cos, sin, interleaved, is_causal, scale
    )
    return (out, lse.detach()) if return_lse else out


def attention_decode(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    lengths: Tensor,
    *,
    scale: float | None = None,
    return_lse: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """Attention of one new query a row to a cache; without gradients.

    Args:
        q: floating point [B, H, D].
        k, v: [B, K, T, D], K a divisor of H. What lies behind a row's length is never used.
        lengths: int32 or int64 [B], on the device: keys of each row, taken as 0 to T.
        scale: of the scores; None for D ** -0.5.
        return_lse: give the logsumexp too, float32 [B, H].

    Raises:
        UsageError: a shape, a type or a device does not fit.
    """
    _check_heads(q, k, v, 3)
    check_tensors(lengths=lengths)
    if lengths.dtype not in (torch.int32, torch.int64) or lengths.shape != q.shape[:1]:
        raise UsageError(
            f"lengths must be int32 or int64 [{q.shape[0]}], not {lengths.dtype}"
            f" {list(lengths.shape)}"
        )
    if lengths.device != q.device:
        raise UsageError(f"lengths are on {lengths.device}, the queries on {q.device}")
    scale = q.shape[2] ** -0.5 if scale is None else float(scale)
    q, k, v = q.detach(), k.detach(), v.detach()
    if q.is_cpu and not return_lse and not torch.compiler.is_compiling():
        return _decode_of_torch(q, k, v, lengths, scale)
    out, lse = torch.ops.pycodec_lm.attention_decode(q, k, v, lengths, scale)
    return (out, lse) if return_lse else out


def _check_heads(q: Tensor, k: Tensor, v: Tensor, n_dims: int) -> None:
    check_tensors(q=q, k=k, v=v)
    for name, x in (("k", k), ("v", v)):
        if x.device != q.device or x.dtype != q.dtype:
            raise UsageError(f"{name} is {x.dtype} on {x.device}, q is {q.dtype} on {q.device}")
    if q.dtype not in _DTYPES and not (q.dtype == torch.float64 and not q.is_cuda):
        raise UsageError(f"q is {q.dtype}: must be float32, float16 or bfloat16")
    if q.device.type not in ("cpu", "cuda", "meta"):
        raise UsageError(f"q is on {q.device}; there is a kernel for cuda and one for cpu")
    if q.ndim != n_dims or k.ndim != 4 or k.shape != v.shape:
        wanted = "[B, H, S, D]" if n_dims == 4 else "[B, H, D]"
        raise UsageError(
            f"q must be {wanted} and k and v [B, K, T, D], not {list(q.shape)}, {list(k.shape)},"
            f" {list(v.shape)}"
        )
    if k.shape[0] != q.shape[0] or k.shape[3] != q.shape[-1]:
        raise UsageError(f"q of {list(q.shape)} does not go with k of {list(k.shape)}")
    if k.shape[1] < 1 or q.shape[1] % k.shape[1]:
        raise UsageError(f"{k.shape[1]} key/value heads do not divide {q.shape[1]} query heads")
    if not 1 <= q.shape[-1] <= _MAX_HEAD_DIM:
        raise UsageError(f"a head width of {q.shape[-1]}, must be 1 to {_MAX_HEAD_DIM}")


def _range_tensor(name: str, x: Tensor, q: Tensor) -> Tensor:
    check_tensors(**{name: x})
    shapes = (q.shape[2:3], torch.Size((1, q.shape[2])), torch.Size((q.shape[0], q.shape[2])))
    if x.shape not in shapes or x.dtype not in INTEGERS or x.device != q.device:
        raise UsageError(
            f"{name} must be integers [{q.shape[2]}] or [{q.shape[0]}, {q.shape[2]}] on {q.device},"
            f" not {x.dtype} {list(x.shape)} on {x.device}"
        )
    return x.view(-1, q.shape[2]).long()


def _document_ranges(
    cu_seqlens: Tensor, q: Tensor, k: Tensor, *, causal: bool
) -> tuple[Tensor, Tensor]:
    check_tensors(cu_seqlens=cu_seqlens)
    n_tokens = q.shape[2]
    if q.shape[0] != 1 or k.shape[2] != n_tokens:
        raise UsageError("cu_seqlens needs one row, and as many keys as queries")
    if cu_seqlens.dtype not in (torch.int32, torch.int64) or cu_seqlens.ndim != 1:
        raise UsageError(
            f"cu_seqlens must be int32 [N + 1], not {cu_seqlens.dtype} {list(cu_seqlens.shape)}"
        )
    if cu_seqlens.shape[0] < 2 or cu_seqlens.device != q.device:
        raise UsageError(f"cu_seqlens must have two numbers or more, on {q.device}")
    is_fine = (cu_seqlens[1:] >= cu_seqlens[:-1]).all()
    is_fine = is_fine & (cu_seqlens[0] == 0) & (cu_seqlens[-1] == n_tokens)
    tokens_S = torch.arange(n_tokens, device=q.device, dtype=cu_seqlens.dtype)
    document_S = torch.searchsorted(cu_seqlens, tokens_S, right=True) - 1
    document_S = document_S.clamp(0, cu_seqlens.shape[0] - 2)
    hi_S = tokens_S + 1 if causal else cu_seqlens[document_S + 1]
    lo_S = torch.where(is_fine, cu_seqlens[document_S], -1)
    return lo_S[None].int(), hi_S[None].int()


def _segment_ranges(segments: Tensor, q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
    n_tokens = q.shape[2]
    if k.shape[2] != n_tokens:
        raise UsageError("segments needs as many keys as queries")
    ids_RS = _range_tensor("segments", segments, q)
    is_padding_RS = ids_RS < 0
    ids_RS = torch.where(is_padding_RS, torch.iinfo(ids_RS.dtype).max, ids_RS).contiguous()
    is_fine_R1 = (ids_RS[:, 1:] >= ids_RS[:, :-1]).all(dim=1, keepdim=True)
    hi_RS = torch.searchsorted(ids_RS, ids_RS, right=True)
    # Padding sees the empty interval at the end, so that neither bound falls along the row.
    hi_RS = torch.where(is_padding_RS, n_tokens, hi_RS)
    lo_RS = torch.where(is_padding_RS, n_tokens, 0)
    return torch.where(is_fine_R1, lo_RS, -1).int(), hi_RS.int()


def _attention_of_torch(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    lo: Tensor | None,
    hi: Tensor | None,
    *,
    causal: bool,
    scale: float,
) -> Tensor:
    """What torch has for CPUs, with its own gradients."""
    is_shared = q.shape[1] != k.shape[1]
    if lo is None or hi is None:
        n_queries, n_keys = q.shape[2], k.shape[2]
        if not causal or n_queries == n_keys:
            return F.scaled_dot_product_attention(
                q, k, v, is_causal=causal, scale=scale, enable_gqa=is_shared
            )
        hi = torch.arange(n_queries, device=q.device)[None] + (1 + n_keys - n_queries)
        lo = torch.zeros_like(hi)
    is_seen = seen(lo, hi, k.shape[2])
    # A query that sees nothing is shown everything and its output dropped, or gradients are NaN.
    is_empty = (hi <= lo)[:, None, :, None]
    out = F.scaled_dot_product_attention(
        q, k, v, attn_mask=is_seen | is_empty, scale=scale, enable_gqa=is_shared
    )
    out = out.masked_fill(is_empty, 0)
    return out.masked_fill((lo < 0)[:, None, :, None], math.nan)


def _decode_of_torch(q: Tensor, k: Tensor, v: Tensor, lengths: Tensor, scale: float) -> Tensor:
    """What torch has for CPUs, on about as many keys as any row has.

    A row's result does not hang on its neighbours, not even in the last bit: masked keys add exact
    zeros, and how torch groups its sums hangs on the sizes alone, so these are whole multiples.
    """
    hi = lengths.clamp(0, k.shape[2])[:, None]
    longest = -(-int(hi.max()) // _KEY_MULTIPLE) * _KEY_MULTIPLE if len(hi) else 0
    k, v = k[:, :, :longest], v[:, :, :longest]
    queries = F.pad(q[:, :, None], (0, 0, 0, _QUERY_MULTIPLE - 1))
    hi = hi.expand(-1, _QUERY_MULTIPLE)
    lo = torch.zeros_like(hi)
    out = _attention_of_torch(queries, k, v, lo, hi, causal=False, scale=scale)[:, :, 0]
    if out.isfinite().all():
        return out
    # What lies behind a row's length may be anything, and 0 times NaN is NaN.
    is_key = torch.arange(k.shape[2]) < hi[:, :1]
    k, v = (torch.where(is_key[:, None, :, None], x, 0) for x in (k, v))
    return _attention_of_torch(queries, k, v, lo, hi, causal=False, scale=scale)[:, :, 0]
