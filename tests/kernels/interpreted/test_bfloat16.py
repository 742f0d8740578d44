"""The interpreter's bfloat16 is that of torch, operation by operation."""
# ruff: noqa: N803  # constants of a kernel are in capitals

import pytest
import torch
import triton
import triton.language as tl

BITS = torch.arange(-(1 << 15), 1 << 15, dtype=torch.int32).to(torch.int16)
EVERY = BITS.view(torch.bfloat16)


def operands() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 4096, generator=generator).bfloat16().unbind()


def assert_same(found: torch.Tensor, expected: torch.Tensor) -> None:
    assert found.dtype == expected.dtype
    torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)


@triton.jit
def convert_kernel(x_ptr, out_ptr, BLOCK: tl.constexpr):
    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out_ptr + offsets, tl.load(x_ptr + offsets).to(out_ptr.dtype.element_ty))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float16])
def test_every_number_is_read_and_converted(dtype: torch.dtype) -> None:
    out = torch.empty(len(EVERY), dtype=dtype)
    convert_kernel[(16,)](EVERY, out, BLOCK=4096)
    assert_same(out, EVERY.to(dtype))


def test_conversion_rounds_to_the_nearest_even() -> None:
    # Around every number of one octave, and where rounding reaches infinity.
    bits = torch.arange(0x3F800000, 0x40000000, 0x800, dtype=torch.int32)
    near = torch.cat((bits - 1, bits, bits + 1, torch.tensor([0x7F7F7FFF, 0x7F7F8000]).int()))
    x = torch.nn.functional.pad(near.view(torch.float32), (0, 16384 - len(near)))
    out = torch.empty_like(x, dtype=torch.bfloat16)
    convert_kernel[(4,)](x, out, BLOCK=4096)
    assert_same(out, x.bfloat16())


@triton.jit
def arithmetic_kernel(x_ptr, y_ptr, out_ptr, is_less_ptr, BLOCK: tl.constexpr):
    offsets = tl.arange(0, BLOCK)
    x, y = tl.load(x_ptr + offsets), tl.load(y_ptr + offsets)
    tl.store(out_ptr + offsets, x + y)
    tl.store(out_ptr + BLOCK + offsets, x - y)
    tl.store(out_ptr + 2 * BLOCK + offsets, x * y)
    tl.store(out_ptr + 3 * BLOCK + offsets, -x)
    tl.store(out_ptr + 4 * BLOCK + offsets, tl.abs(x))
    tl.store(out_ptr + 5 * BLOCK + offsets, tl.maximum(x, y))
    tl.store(out_ptr + 6 * BLOCK + offsets, tl.where(x < y, x, y * 2.0))
    tl.store(is_less_ptr + offsets, x < y)


def test_arithmetic_and_comparisons() -> None:
    x, y = operands()
    out, is_less = torch.empty(7, 4096, dtype=torch.bfloat16), torch.empty(4096, dtype=torch.bool)
    arithmetic_kernel[(1,)](x, y, out, is_less, BLOCK=4096)
    expected = [x + y, x - y, x * y, -x, x.abs(), torch.maximum(x, y), torch.where(x < y, x, 2 * y)]
    assert_same(out, torch.stack(expected))
    assert torch.equal(is_less, x < y)


@triton.jit
def product_kernel(x_ptr, y_ptr, out_ptr, sum_ptr, SIZE: tl.constexpr):
    i = tl.arange(0, SIZE)
    offsets = i[:, None] * SIZE + i[None, :]
    x, y = tl.load(x_ptr + offsets), tl.load(y_ptr + offsets)
    tl.store(out_ptr + offsets, tl.dot(x, tl.trans(y)))
    tl.store(sum_ptr + i, tl.max(x, axis=1))
    tl.store(sum_ptr + SIZE + i, tl.sum(x, axis=1))


def test_products_and_sums_are_in_float32() -> None:
    x, y = (part.view(64, 64) for part in operands())
    out, sums = torch.empty(64, 64), torch.empty(2, 64)
    product_kernel[(1,)](x, y, out, sums, SIZE=64)
    torch.testing.assert_close(out, x.float() @ y.float().T, rtol=1e-5, atol=1e-5)
    assert_same(sums[0], x.float().amax(dim=1))
    torch.testing.assert_close(sums[1], x.float().sum(dim=1), rtol=1e-5, atol=1e-5)


@triton.jit
def masked_kernel(x_ptr, out_ptr, bits_ptr, n, BLOCK: tl.constexpr):
    offsets = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + offsets, mask=offsets < n, other=-1.5)
    tl.store(out_ptr + offsets, x, mask=offsets < n + 1)
    tl.store(bits_ptr + offsets, x.to(tl.int16, bitcast=True))


def test_masks_and_bits() -> None:
    x, out, bits = torch.ones(8).bfloat16(), torch.zeros(8).bfloat16(), torch.empty(8).short()
    masked_kernel[(1,)](x, out, bits, 5, BLOCK=8)
    assert out.tolist() == [1.0] * 5 + [-1.5, 0.0, 0.0]
    assert bits.tolist() == [0x3F80] * 5 + [0xBFC0 - (1 << 16)] * 3
