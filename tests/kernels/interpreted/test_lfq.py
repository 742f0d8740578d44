"""The LFQ kernels, interpreted, against the definition."""

import math

import pytest
import torch

from pycodec_lm import reference
from pycodec_lm.kernels import lfq as kernels
from pycodec_lm.kernels import lfq_mean

QUANTIZE = {"block_n": 16, "block": 64, "num_warps": 4}
MEAN = {"block_n": 16, "block_codes": 16, "num_warps": 4, "num_stages": 1}
BACKWARD = {
    "block_n": 16,
    "block_own": 16,
    "block_other": 16,
    "num_warps": 4,
    "num_stages": 1,
}


def rows(n: int, d: int, *, dtype: torch.dtype = torch.float32, scale: float = 1.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(n * 100 + d)
    return (torch.randn(n, d, generator=generator) * scale).to(dtype)


@pytest.mark.parametrize("n", [1, 16, 37])
@pytest.mark.parametrize("groups", [(18,), (6, 12), (9, 9), (1, 3), (13,), (40,)])
@pytest.mark.parametrize("bit_order", ["little", "big"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_quantize(n: int, groups: tuple[int, ...], bit_order: str, dtype: torch.dtype) -> None:
    z = rows(n, sum(groups), dtype=dtype)
    z[0, 0] = 0
    quantized, indices, commitment = kernels.quantize(z, groups, bit_order == "little", **QUANTIZE)
    expected = reference.lfq(z.double(), groups, bit_order)
    assert quantized.dtype == dtype
    assert torch.equal(quantized.double(), expected[0])
    assert torch.equal(indices, expected[1])
    # The sum of up to 1480 float32 numbers.
    assert commitment.item() == pytest.approx(expected[2].item(), rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_quantize_keeps_nan_visible(dtype: torch.dtype) -> None:
    z = rows(5, 4, dtype=dtype)
    z[2, 1] = math.nan
    quantized, _, commitment = kernels.quantize(z, (4,), True, **QUANTIZE)
    assert quantized.isnan().nonzero().tolist() == [[2, 1]]
    assert commitment.isnan()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_quantize_reads_any_strides(dtype: torch.dtype) -> None:
    z = rows(3, 20, dtype=dtype).T[::2]
    quantized, indices, _ = kernels.quantize(z, (3,), True, **QUANTIZE)
    expected = reference.lfq(z, (3,), "little")
    assert torch.equal(quantized, expected[0])
    assert torch.equal(indices, expected[1])


@pytest.mark.parametrize("n", [1, 33])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 4e-3)])
def test_quantize_backward(n: int, dtype: torch.dtype, tolerance: float) -> None:
    z = rows(n, 18, dtype=dtype)
    exact = z.double().requires_grad_()
    d_quantized, d_commitment = rows(n + 1, 18, dtype=dtype)[:n], torch.tensor(0.7)
    quantized, _, commitment = reference.lfq(exact, (18,), "little")
    gradients = d_quantized.double(), d_commitment.double()
    torch.autograd.backward((quantized, commitment), gradients)
    dz = kernels.quantize_backward(z, d_quantized, d_commitment, **QUANTIZE)
    assert exact.grad is not None
    assert dz.dtype == dtype
    torch.testing.assert_close(dz.double(), exact.grad, rtol=tolerance, atol=1e-7)


@pytest.mark.parametrize("n", [1, 17, 100])
@pytest.mark.parametrize("groups", [(1,), (2,), (7,), (4, 3), (8,)])
@pytest.mark.parametrize("temperature", [1.0, 0.1])
@pytest.mark.parametrize("precise", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_mean_assignment(
    n: int, groups: tuple[int, ...], temperature: float, precise: bool, dtype: torch.dtype
) -> None:
    z = rows(n, sum(groups), scale=0.4, dtype=dtype)
    sample, mean = lfq_mean.mean_assignment(z, temperature, groups, precise, **MEAN)
    expected_sample, _ = reference.lfq_entropy(z.double(), temperature, groups)
    expected = []
    for part in z.double().split(list(groups), dim=1):
        codes = reference.sign_codes(part.shape[1], torch.float64)
        expected.append((2 * part @ codes.T / temperature).softmax(dim=1).mean(dim=0))
    assert sample.item() == pytest.approx(expected_sample.item(), rel=1e-5, abs=1e-7)
    # The interpreter computes TF32 products in float32.
    torch.testing.assert_close(mean.double(), torch.cat(expected), rtol=2e-5, atol=1e-9)


@pytest.mark.parametrize("n", [1, 17, 100])
@pytest.mark.parametrize("groups", [(1,), (2,), (7,), (4, 3), (10,)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_mean_assignment_backward(n: int, groups: tuple[int, ...], dtype: torch.dtype) -> None:
    z = rows(n, sum(groups), scale=0.4).to(dtype)
    exact = z.double().requires_grad_()
    n_codes = sum(1 << size for size in groups)
    d_sample, d_mean = torch.tensor(0.3), rows(n_codes, 1)[:, 0]
    sample = reference.lfq_entropy(exact, 0.5, groups)[0]
    means = []
    for part in exact.split(list(groups), dim=1):
        codes = reference.sign_codes(part.shape[1], torch.float64)
        means.append((2 * part @ codes.T / 0.5).softmax(dim=1).mean(dim=0))
    torch.autograd.backward((sample, torch.cat(means)), (d_sample.double(), d_mean.double()))
    dz = lfq_mean.mean_assignment_backward(z, d_sample, d_mean, 0.5, groups, False, **BACKWARD)
    assert dz.dtype == dtype
    assert exact.grad is not None
    # Narrow types round the result.
    tolerance = {torch.float32: 1e-5, torch.float16: 1e-3, torch.bfloat16: 8e-3}[dtype]
    scale = exact.grad.abs().max().item()
    torch.testing.assert_close(dz.double(), exact.grad, rtol=tolerance, atol=tolerance * scale)
