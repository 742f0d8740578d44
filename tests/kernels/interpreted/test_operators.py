"""What operators do on a GPU, interpreted: with the table's configurations, all memory spoilt."""

from typing import Any

import pytest
import torch

from pycodec_lm import ops
from pycodec_lm.ops import _attention_operators as operators
from pycodec_lm.ops._configs import choose

pytestmark = pytest.mark.usefixtures("spoilt_memory")


@pytest.fixture(autouse=True)
def hopper(monkeypatch: pytest.MonkeyPatch) -> None:
    def config(kernel: str, like: torch.Tensor, **facts: object) -> dict[str, int]:
        dtype = str(like.dtype).removeprefix("torch.")
        return choose(kernel, {"arch": 90, "dtype": dtype, **facts})

    monkeypatch.setattr(operators, "config_of", config)


def assert_near(found: torch.Tensor, expected: torch.Tensor) -> None:
    assert found.dtype == expected.dtype
    tolerance = {torch.float32: 1e-5, torch.bfloat16: 3e-2}[found.dtype]
    size = max(1.0, expected.abs().max().item())
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance * size)


@pytest.mark.parametrize("mask", ["full", "causal", "intervals"])
@pytest.mark.parametrize("pairs", [None, "halves", "interleaved"])
@pytest.mark.parametrize(("width", "dtype"), [(64, torch.bfloat16), (40, torch.float32)])
def test_attention(mask: str, pairs: str | None, width: int, dtype: torch.dtype) -> None:
    n = 45
    generator = torch.Generator().manual_seed(0)
    # Turned and cut, so that no axis is dense but the last.
    whole = torch.randn(3, 2, n, 5, width, generator=generator).to(dtype).transpose(2, 3)
    q, k, v = whole[0, :, :4], whole[1, :, :2], whole[2, :, :2]
    d_out = torch.randn(2, 4, width, n, generator=generator).to(dtype).transpose(2, 3)
    lo = hi = cos = sin = None
    if mask == "intervals":
        bounds = torch.tensor([0, 7, 30, n])
        document = torch.searchsorted(bounds, torch.arange(n), right=True) - 1
        lo, hi = bounds[document][None].int(), bounds[document + 1][None].int()
    if pairs is not None:
        cos, sin = (x[None] for x in ops.rotary_table(n, width, pairs=pairs)[:2])
    rest: Any = (lo, hi, cos, sin, pairs == "interleaved", mask == "causal", 0.3)
    expected = operators._forward(q, k, v, *rest)
    found = operators._forward_on_gpu(q, k, v, *rest)
    for one, other in zip(found, expected, strict=True):
        assert_near(one, other)
    inputs = (q, k, v, *expected, d_out, *rest)
    gradients = operators._backward(*inputs)
    for one, other in zip(operators._backward_on_gpu(*inputs), gradients, strict=True):
        assert_near(one, other)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_decoding(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(3, 8, 64, generator=generator).to(dtype)
    k, v = torch.randn(2, 3, 90, 2, 64, generator=generator).to(dtype).transpose(2, 3)
    lengths = torch.tensor([90, 0, 33])
    expected = operators._decode(q, k, v, lengths, 0.2)
    for one, other in zip(operators._decode_on_gpu(q, k, v, lengths, 0.2), expected, strict=True):
        assert_near(one, other)
