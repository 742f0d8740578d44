"""What `pycodec-lm bench attention` and `decode` run: inputs, peers, and what is right."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from .. import ops, reference
from .op_peers import attention_peers, decode_peers
from .op_speed import OURS, OpCase, assert_near, n_inputs_of

__all__ = ["attention_cases", "decode_cases"]

# VAR's ten scales at 256 x 256: 680 tokens (arXiv 2404.02905).
_SCALES = (1, 2, 3, 4, 5, 6, 8, 10, 13, 16)
# Of the largest number: twice what rounding the inputs' type leaves.
_TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 3e-2}
# Scores that a chain may make: it holds several times as many numbers.
_MAX_SCORES = 1 << 31


def attention_cases() -> Iterator[OpCase]:
    """Forward, and forward with backward; full, causal and by segments; turned by positions."""
    is_gpu = torch.cuda.is_available()
    shapes = [(1, 16, 16384, 64), (1, 16, 16384, 128), (4, 16, 4096, 128)] if is_gpu else []
    for shape in shapes or [(2, 4, 256, 64), (1, 4, 1024, 64)]:
        for causal in (False, True) if is_gpu else (True,):
            for has_backward in (False, True):
                yield _plain_case(shape, causal=causal, has_backward=has_backward)
    scales = (64, 16, 680, 64) if is_gpu else (2, 4, 680, 64)
    for has_backward in (False, True):
        yield _segments_case(scales, has_backward=has_backward)
    yield _rotary_case((4, 16, 4096, 128) if is_gpu else (2, 4, 256, 64))


def decode_cases() -> Iterator[OpCase]:
    """One query a row against a cache, laid out as the backbone has it: token by token."""
    device, dtype = _device_and_dtype()
    shapes = [(16, 32, 8, 4096, 128), (16, 16, 16, 1024, 64)]
    for n_rows, n_heads, n_shared, n_slots, width in (
        shapes if device.type == "cuda" else [(4, 8, 2, 1024, 64)]
    ):
        n_bytes = 2 * n_rows * n_shared * n_slots * width * dtype.itemsize
        inputs = []
        for _ in range(n_inputs_of(n_bytes)):
            q = torch.randn(n_rows, n_heads, width, device=device, dtype=dtype)
            caches = torch.randn(2, n_rows, n_slots, n_shared, width, device=device, dtype=dtype)
            k, v = caches.transpose(2, 3)
            inputs.append((q, k, v, torch.full((n_rows,), n_slots, device=device)))
        run = {OURS: lambda x: ops.attention_decode(*x), "torch SDPA": _decode_of_torch}
        yield OpCase(
            f"attention_decode B={n_rows} H={n_heads} K={n_shared} T={n_slots} D={width}",
            inputs,
            run | decode_peers(),
            _check_decoded,
            n_bytes,
        )


def _device_and_dtype() -> tuple[torch.device, torch.dtype]:
    if torch.cuda.is_available():
        return torch.device("cuda"), torch.bfloat16
    return torch.device("cpu"), torch.float32


def _tensors(shape: tuple[int, ...], *, has_backward: bool) -> Any:
    device, dtype = _device_and_dtype()
    q, k, v, d_out = torch.randn(4, *shape, device=device, dtype=dtype).unbind()
    return [x.requires_grad_(has_backward) for x in (q, k, v)], d_out if has_backward else None


def _run(attend: Callable[[Any], Any], inputs: Any) -> list[Tensor]:
    tensors, d_out = inputs
    out = attend(tensors)
    if d_out is None:
        return [out]
    return [out.detach(), *torch.autograd.grad(out, tensors, d_out)]


def _plain_case(shape: tuple[int, ...], *, causal: bool, has_backward: bool) -> OpCase:
    is_gpu = torch.cuda.is_available()
    attends: dict[str, Callable[[Any], Any]] = {OURS: lambda x: ops.attention(*x, causal=causal)}
    if is_gpu:
        attends |= {
            f"torch SDPA, {name}": _forced(name, causal=causal)
            for name in ("FLASH_ATTENTION", "CUDNN_ATTENTION", "EFFICIENT_ATTENTION")
        }
    else:
        attends["torch SDPA"] = lambda x: _sdpa(x, is_causal=causal)
    if shape[0] * shape[1] * shape[2] ** 2 <= _MAX_SCORES:
        attends["torch chain"] = functools.partial(_chain, causal=causal)
        if is_gpu:  # on a CPU it needs a C++ compiler
            compiled: Any = torch.compile(_chain)
            attends["torch chain, torch.compile"] = functools.partial(compiled, causal=causal)
    attends |= attention_peers(causal=causal, n_rows=shape[0], has_backward=has_backward)
    kind = "causal" if causal else "full"
    n_pairs = shape[2] * (shape[2] + 1) // 2 if causal else shape[2] ** 2
    mask = _causal_mask if causal else lambda _: None
    return _case(f"attention {kind} {_name(shape)}", shape, attends, mask, n_pairs, has_backward)


def _segments_case(shape: tuple[int, ...], *, has_backward: bool) -> OpCase:
    device, _ = _device_and_dtype()
    sizes = torch.tensor([side * side for side in _SCALES])
    ids = torch.arange(len(sizes)).repeat_interleave(sizes).to(device)
    mask = ids[None] <= ids[:, None]
    attends: dict[str, Callable[[Any], Any]] = {
        OURS: lambda x: ops.attention(*x, segments=ids),
        "torch SDPA with a mask": lambda x: _sdpa(x, attn_mask=mask),
    }
    if torch.cuda.is_available():
        attends["FlexAttention"] = _flex(ids)
    name = f"attention by scales {_name(shape)}"
    return _case(name, shape, attends, lambda _: mask, int(mask.sum()), has_backward)


def _rotary_case(shape: tuple[int, ...]) -> OpCase:
    """What positions cost, inside the kernel and beside it."""
    device, _ = _device_and_dtype()
    rope = ops.rotary_table(shape[2], shape[3], device=device)

    def turned(tensors: Any) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = tensors
        return ops.rotate(q, rope), ops.rotate(k, rope), v

    attends: dict[str, Callable[[Any], Any]] = {
        OURS: lambda x: ops.attention(*x, causal=True, rope=rope),
        "turned by torch before": lambda x: ops.attention(*turned(x), causal=True),
        "torch SDPA, turned by torch": lambda x: _sdpa(turned(x), is_causal=True),
    }
    n_pairs = shape[2] * (shape[2] + 1) // 2
    name = f"attention causal, rotary {_name(shape)}"
    return _case(name, shape, attends, _causal_mask, n_pairs, False, turned)


def _case(
    name: str,
    shape: tuple[int, ...],
    attends: dict[str, Callable[[Any], Any]],
    mask: Callable[[Any], Tensor | None],
    n_pairs: int,
    has_backward: bool,
    turned: Callable[[Any], Any] = tuple,
) -> OpCase:
    _, dtype = _device_and_dtype()

    def check(found: list[Tensor], inputs: Any) -> float:
        # A row of the batch, a head: the definition holds all scores of it.
        tensors, d_out = inputs
        part = [x[:1, :1].detach().double().requires_grad_() for x in tensors]
        q, k, v = turned(part)
        out, _ = reference.attention(q, k, v, is_seen=mask(tensors), scale=shape[3] ** -0.5)
        expected = [out.detach()]
        if d_out is not None:
            expected += torch.autograd.grad(out, part, d_out[:1, :1].double())
        names = ("the output", "dq", "dk", "dv")
        return max(
            assert_near(one[:1, :1], other, _TOLERANCE[dtype], what)
            for what, one, other in zip(names, found, expected, strict=False)
        )

    n_bytes = (8 if has_backward else 4) * torch.Size(shape).numel() * dtype.itemsize
    # Two products forward, five more backward.
    flops = (14 if has_backward else 4) * shape[0] * shape[1] * n_pairs * shape[3]
    return OpCase(
        name + (", forward and backward" if has_backward else ", forward"),
        [_tensors(shape, has_backward=has_backward) for _ in range(n_inputs_of(n_bytes))],
        {who: functools.partial(_run, attend) for who, attend in attends.items()},
        check,
        n_bytes,
        flops,
    )


def _name(shape: tuple[int, ...]) -> str:
    return " ".join(f"{letter}={n}" for letter, n in zip("BHSD", shape, strict=True))


def _causal_mask(tensors: Any) -> Tensor:
    n_tokens, device = tensors[0].shape[2], tensors[0].device
    return torch.ones(n_tokens, n_tokens, dtype=torch.bool, device=device).tril()


def _chain(tensors: Any, *, causal: bool) -> Tensor:
    q, k, v = tensors
    scores = (q @ k.transpose(2, 3)) * q.shape[3] ** -0.5
    if causal:
        scores = scores.masked_fill(~_causal_mask(tensors), -torch.inf)
    out: Tensor = scores.softmax(dim=3) @ v
    return out


def _sdpa(tensors: Any, **settings: Any) -> Tensor:
    q, k, v = tensors
    return F.scaled_dot_product_attention(q, k, v, **settings)


def _forced(backend: str, *, causal: bool) -> Callable[[Any], Tensor]:
    from torch.nn.attention import SDPBackend, sdpa_kernel

    def attend(tensors: Any) -> Tensor:
        with sdpa_kernel(SDPBackend.__members__[backend]):
            return _sdpa(tensors, is_causal=causal)

    return attend


def _flex(ids: Tensor) -> Callable[[Any], Any]:
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    n_tokens = len(ids)
    blocks = create_block_mask(
        lambda b, h, i, j: ids[j] <= ids[i],  # noqa: ARG005
        None,
        None,
        n_tokens,
        n_tokens,
        device=str(ids.device),
    )
    compiled: Any = torch.compile(flex_attention)
    return lambda x: compiled(*x, block_mask=blocks)


def _decode_of_torch(inputs: Any) -> Tensor:
    q, k, v, _ = inputs  # all rows are full
    out = F.scaled_dot_product_attention(q[:, :, None], k, v, enable_gqa=True)
    return out[:, :, 0]


def _check_decoded(found: Tensor, inputs: Any) -> float:
    q, k, v, _ = (x.double() for x in inputs)
    expected, _ = reference.attention(q[:, :, None], k, v, is_seen=None, scale=q.shape[2] ** -0.5)
    return assert_near(found, expected[:, :, 0], _TOLERANCE[inputs[0].dtype], "the output")
