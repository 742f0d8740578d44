"""The attention kernels, interpreted, against softmax written out in float64."""

import itertools
import math

import pytest
import torch
from pycodec_lm.kernels.attention import forward
from pycodec_lm.kernels.attention_backward import backward
from pycodec_lm.kernels.rotary import turn

BLOCKS = {"block_m": 32, "block_n": 16, "num_warps": 4, "num_stages": 1}
TURN = {"block": 16, "heads": 2, "num_warps": 4}
Rotary = tuple[torch.Tensor, torch.Tensor, bool]
# Of the largest number. Narrow types hold 11 and 8 bits, and so do the probabilities inside.
TOLERANCE = {torch.float32: 1e-5, torch.float16: 4e-3, torch.bfloat16: 3e-2}


def inputs(
    heads: tuple[int, int], sizes: tuple[int, int], width: int, dtype: torch.dtype, batch: int = 2
) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(sizes[0] * 1000 + width)
    shapes = [
        (heads[0], sizes[0]),
        (heads[1], sizes[1]),
        (heads[1], sizes[1]),
        (heads[0], sizes[0]),
    ]
    return [torch.randn(batch, h, n, width, generator=generator).to(dtype) for h, n in shapes]


def exact(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, is_seen: torch.Tensor, scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    group = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)
    scores = (scale * q @ k.transpose(2, 3)).masked_fill(~is_seen, -math.inf)
    lse = scores.logsumexp(dim=3)
    p = (scores - torch.where(lse.isinf(), 0, lse)[..., None]).exp()
    return p @ v, lse


def rotated(x: torch.Tensor, rotary: Rotary | None) -> torch.Tensor:
    """By complex numbers: a turn is a product."""
    if rotary is None:
        return x
    cos, sin, interleaved = rotary
    pairs = x.unflatten(-1, (-1, 2)) if interleaved else x.unflatten(-1, (2, -1)).transpose(-1, -2)
    turns = torch.complex(cos.double(), sin.double())[:, None]
    parts = torch.view_as_real(torch.view_as_complex(pairs.contiguous()) * turns)
    return (parts if interleaved else parts.transpose(-1, -2)).flatten(-2)


def compare(
    tensors: list[torch.Tensor],
    is_seen: torch.Tensor,
    **settings: object,
) -> None:
    q, k, v, d_out = tensors
    tolerance = TOLERANCE[q.dtype]
    scale = 0.3
    doubles = [x.double().requires_grad_() for x in (q, k, v)]
    rotary = settings.get("rotary")
    seen_by_us = [rotated(x, rotary) for x in doubles[:2]]
    expected, expected_lse = exact(*seen_by_us, doubles[2], is_seen, scale)
    gradients = torch.autograd.grad(expected, doubles, d_out.double())
    turned_q, turned_k = (q, k) if rotary is None else turn(q, k, rotary, **TURN)
    out, lse = forward(q, turned_k, v, scale=scale, **settings, **BLOCKS)  # type: ignore[arg-type]
    assert out.dtype == q.dtype
    torch.testing.assert_close(out.double(), expected, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(lse.double(), expected_lse, rtol=tolerance, atol=tolerance)
    found = backward(turned_q, turned_k, v, out, lse, d_out, scale=scale, **settings, **BLOCKS)  # type: ignore[arg-type]
    for name, one, other in zip("qkv", found, gradients, strict=True):
        assert one.isfinite().all()
        size = max(1.0, other.abs().max().item())
        torch.testing.assert_close(
            one.double(),
            other,
            rtol=tolerance,
            atol=tolerance * size,
            msg=f"d{name} differs",
        )


@pytest.mark.parametrize(
    ("sizes", "heads"),
    [((1, 1), (2, 2)), ((33, 33), (6, 2)), ((40, 70), (2, 1)), ((70, 40), (1, 1))],
    ids=str,
)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_full_and_causal(
    sizes: tuple[int, int], heads: tuple[int, int], causal: bool, dtype: torch.dtype
) -> None:
    tensors = inputs(heads, sizes, 16, dtype)
    n_queries, n_keys = sizes
    is_seen = torch.ones(n_queries, n_keys, dtype=torch.bool)
    if causal:
        is_seen = is_seen.tril(n_keys - n_queries)
    compare(tensors, is_seen, causal=causal)


@pytest.mark.parametrize("width", [1, 24, 64, 80, 200])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_widths_and_types(width: int, dtype: torch.dtype) -> None:
    is_seen = torch.ones(35, 35, dtype=torch.bool).tril()
    compare(inputs((2, 1), (35, 35), width, dtype, 1), is_seen, causal=True)


def intervals(kind: str, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """lo and hi, [R, n]."""
    ends = {"packed": [5, 6, 30, n], "packed causal": [16, 32, 33, n], "scales": [1, 5, 14, 30, n]}
    if kind == "falling":
        generator = torch.Generator().manual_seed(n)
        lo = torch.randint(0, n, (2, n), generator=generator)
        return lo.int(), torch.randint(0, n + 1, (2, n), generator=generator).sort(
            descending=True
        ).values.int()
    if kind == "padding":
        lo = torch.tensor([[0] * n, [0] * (n - 7) + [n] * 7])
        hi = torch.tensor([[n] * n, [n - 7] * (n - 7) + [n] * 7])
        return lo.int(), hi.int()
    bounds = [0, *ends[kind]]
    lo, hi = torch.zeros(1, n), torch.zeros(1, n)
    for start, end in itertools.pairwise(bounds):
        lo[:, start:end] = 0 if kind == "scales" else start
        hi[:, start:end] = end
    if kind == "packed causal":
        hi = torch.arange(1, n + 1)[None]
    return lo.int(), hi.int()


@pytest.mark.parametrize("kind", ["packed", "packed causal", "scales", "padding", "falling"])
@pytest.mark.parametrize("n", [50, 71])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_intervals(kind: str, n: int, dtype: torch.dtype) -> None:
    lo, hi = intervals(kind, n)
    keys = torch.arange(n)
    is_seen = (keys >= lo[..., None]) & (keys < hi[..., None])
    compare(inputs((2, 1), (n, n), 16, dtype), is_seen[:, None], lo=lo, hi=hi)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_query_that_sees_nothing_has_no_output(dtype: torch.dtype) -> None:
    q, k, v, d_out = inputs((1, 1), (40, 10), 16, dtype, 1)
    out, lse = forward(q, k, v, scale=1.0, causal=True, **BLOCKS)
    assert not out[:, :, :30].any()
    assert lse[:, :, :30].eq(-math.inf).all()
    dq, _, _ = backward(q, k, v, out, lse, d_out, scale=1.0, causal=True, **BLOCKS)
    assert not dq[:, :, :30].any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_broken_intervals_give_nan(dtype: torch.dtype) -> None:
    q, k, v, _ = inputs((1, 1), (20, 20), 16, dtype, 1)
    lo, hi = torch.full((1, 20), -1).int(), torch.full((1, 20), 20).int()
    out, lse = forward(q, k, v, scale=1.0, lo=lo, hi=hi, **BLOCKS)
    assert out.isnan().all()
    assert lse.isnan().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_nobody_may_read_is_not_read(dtype: torch.dtype) -> None:
    """Rows of other heads and rows behind the last are NaN: none of it comes through."""
    padded = [torch.full((2, 3, 60, 40), math.nan, dtype=dtype) for _ in range(4)]
    parts = inputs((2, 2), (37, 37), 24, dtype)
    for whole, part in zip(padded, parts, strict=True):
        whole[:, :2, :37, :24] = part
    views = [whole[:, :2, :37, :24] for whole in padded]
    compare(views, torch.ones(37, 37, dtype=torch.bool).tril(), causal=True)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_gradients_are_the_same_every_time(dtype: torch.dtype) -> None:
    q, k, v, d_out = inputs((4, 2), (50, 50), 16, dtype)
    out, lse = forward(q, k, v, scale=0.2, causal=True, **BLOCKS)
    runs = [backward(q, k, v, out, lse, d_out, scale=0.2, causal=True, **BLOCKS) for _ in range(2)]
    assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("width", [2, 16, 24, 64])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_rotary_positions(width: int, interleaved: bool, dtype: torch.dtype) -> None:
    angles = torch.rand(1, 35, width // 2, generator=torch.Generator().manual_seed(width)) * 6
    is_seen = torch.ones(35, 35, dtype=torch.bool).tril()
    rotary = angles.cos(), angles.sin(), interleaved
    compare(inputs((3, 1), (35, 35), width, dtype), is_seen, causal=True, rotary=rotary)


@pytest.mark.parametrize("interleaved", [False, True])
def test_rotary_positions_of_each_row_and_strides(interleaved: bool) -> None:
    angles = torch.rand(2, 37, 12, generator=torch.Generator().manual_seed(0)) * 6
    cos, sin = angles.cos(), angles.sin()
    cos[:, :3] = sin[:, :3] = 0  # a prefix of zeros
    padded = [torch.full((2, 60, 5, 40), math.nan).transpose(1, 2) for _ in range(4)]
    for whole, part in zip(padded, inputs((4, 2), (37, 37), 24, torch.float32), strict=True):
        whole[:, : part.shape[1], :37, :24] = part
    views = [whole[:, :n, :37, :24] for whole, n in zip(padded, (4, 2, 2, 4), strict=True)]
    lo, hi = intervals("packed", 37)
    keys = torch.arange(37)
    is_seen = ((keys >= lo[..., None]) & (keys < hi[..., None]))[:, None]
    compare(views, is_seen, lo=lo, hi=hi, rotary=(cos, sin, interleaved))


def test_keys_alone_are_turned_as_with_queries() -> None:
    q, k, *_ = inputs((3, 2), (20, 20), 16, torch.bfloat16)
    angles = torch.rand(1, 20, 8, generator=torch.Generator().manual_seed(0))
    rotary = angles.cos(), angles.sin(), False
    nothing, turned_k = turn(None, k, rotary, **TURN)
    assert nothing is None
    assert torch.equal(turned_k, turn(q, k, rotary, **TURN)[1])
