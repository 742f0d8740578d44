"""What operators do on a GPU, interpreted: with the table's configurations, all memory spoilt."""

from typing import Any

import pytest
import torch
from sampling_cases import bitmask_of, keys_of, logits_of

from pycodec_lm import ops
from pycodec_lm.ops import _attention_operators as operators
from pycodec_lm.ops import _lfq_operators, _sampling_operators
from pycodec_lm.ops._configs import choose

pytestmark = pytest.mark.usefixtures("spoilt_memory")


@pytest.fixture(autouse=True)
def hopper(monkeypatch: pytest.MonkeyPatch) -> None:
    def config(kernel: str, like: torch.Tensor, **facts: object) -> dict[str, int]:
        dtype = str(like.dtype).removeprefix("torch.")
        return choose(kernel, {"arch": 90, "dtype": dtype, **facts})

    for module in (operators, _lfq_operators, _sampling_operators):
        monkeypatch.setattr(module, "config_of", config)


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


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("groups", [[7], [3, 5]])
def test_lfq(dtype: torch.dtype, groups: list[int]) -> None:
    generator = torch.Generator().manual_seed(0)
    z, d_quantized = torch.randn(2, sum(groups), 70, generator=generator).to(dtype).transpose(1, 2)
    d_scalar, d_mean = torch.tensor(0.7), torch.randn(sum(1 << g for g in groups))
    for little in (False, True):
        expected = _lfq_operators._quantize(z, groups, little)
        found = _lfq_operators._quantize_on_gpu(z, groups, little)
        assert torch.equal(found[0], expected[0])
        assert torch.equal(found[1], expected[1])
        assert_near(found[2], expected[2])
    inputs = (z, d_quantized, d_scalar)
    dz = _lfq_operators._quantize_backward(*inputs)
    assert_near(_lfq_operators._quantize_backward_on_gpu(*inputs), dz)
    for precise in (False, True):
        rest: Any = (0.5, groups, precise)
        assigned = _lfq_operators._mean_assignment(z, *rest)
        for one, other in zip(
            _lfq_operators._mean_assignment_on_gpu(z, *rest), assigned, strict=True
        ):
            assert_near(one, other)
        dz = _lfq_operators._mean_assignment_backward(z, d_scalar, d_mean, *rest)
        assert_near(_lfq_operators._mean_assignment_backward_on_gpu(z, d_scalar, d_mean, *rest), dz)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("n_tokens", [300, 16500], ids=["one launch", "two"])
@pytest.mark.parametrize("numbers", ["of all", "of each row"])
def test_cfg_sample(dtype: torch.dtype, n_tokens: int, numbers: str) -> None:
    logits, unconditional = (logits_of(3, n_tokens, seed).to(dtype) for seed in (1, 2))
    logits[2] = torch.nan
    rows = None
    if numbers == "of each row":
        rows = torch.tensor([[2.0, 0.0, 5, 0.9, 0.0], [1.5, 0.8, 50, 0.9, 0.0], [1.0, 1, 0, 1, 0]])
    bitmask, keys = bitmask_of(3, n_tokens - 40, 0.5), keys_of(3)
    inputs: Any = (logits, unconditional, bitmask, *keys.values(), rows)
    inputs = (*inputs, 1.5, 0.8, 50.0, 0.9, 0.0, True)
    expected = _sampling_operators.sample_on_cpu(*inputs)
    found = _sampling_operators._sample_on_gpu(*inputs)
    assert found[0].tolist() == expected[0].tolist()
    assert found[3].tolist() == expected[3].tolist() == [0, 0, 2]
    for one, other in zip(found[1:3], expected[1:3], strict=True):
        # Sums of thousands of exponentials in float32.
        torch.testing.assert_close(one, other, rtol=2e-5, atol=1e-5, equal_nan=True)
