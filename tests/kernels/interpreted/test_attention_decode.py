"""The decoding kernels, interpreted, against softmax written out in float64."""

import math

import pytest
import torch

from pycodec_lm.kernels import attention_decode as kernels


def decode(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, lengths: torch.Tensor, programs: int
) -> tuple[torch.Tensor, torch.Tensor]:
    return kernels.decode(
        q, k, v, lengths, scale=0.3, block_n=16, programs=programs, num_warps=4, num_stages=1
    )


@pytest.mark.parametrize("heads", [(1, 1), (4, 2), (6, 1), (20, 1)], ids=str)
@pytest.mark.parametrize("n_slots", [1, 16, 75])
@pytest.mark.parametrize("programs", [1, 12, 1000])
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float32, 1e-5), (torch.float16, 4e-3), (torch.bfloat16, 2e-2)],
)
def test_each_row_sees_its_own_keys(
    heads: tuple[int, int], n_slots: int, programs: int, dtype: torch.dtype, tolerance: float
) -> None:
    generator = torch.Generator().manual_seed(n_slots)
    lengths = torch.tensor([n_slots, 0, (n_slots + 1) // 2, n_slots + 9, -3])
    q = torch.randn(5, heads[0], 24, generator=generator).to(dtype)
    k, v = torch.randn(2, 5, heads[1], n_slots, 24, generator=generator).to(dtype)
    is_key = torch.arange(n_slots) < lengths[:, None]
    for cache in (k, v):
        cache.masked_fill_(~is_key[:, None, :, None], math.nan)
    out, lse = decode(q, k, v, lengths, programs)
    assert out.dtype == dtype
    group = heads[0] // heads[1]
    for row, length in enumerate(lengths.clamp(0, n_slots).tolist()):
        for head in range(heads[0]):
            keys = k[row, head // group, :length].double()
            scores = 0.3 * keys @ q[row, head].double()
            expected = scores.softmax(dim=0) @ v[row, head // group, :length].double()
            torch.testing.assert_close(
                out[row, head].double(), expected, rtol=tolerance, atol=tolerance
            )
            torch.testing.assert_close(
                lse[row, head].double(), scores.logsumexp(dim=0), rtol=tolerance, atol=tolerance
            )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_strides_of_a_cache_that_is_a_part(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    cache = torch.full((3, 40, 4, 32), math.nan, dtype=dtype)
    cache[:2, :30, :2, :16] = torch.randn(2, 30, 2, 16, generator=generator)
    part = cache[:2, :30, :2, :16].transpose(1, 2)
    q = torch.randn(2, 4, 16, generator=generator).to(dtype)
    lengths = torch.tensor([30, 11], dtype=torch.int32)
    found = decode(q, part, part, lengths, 8)
    expected = decode(q, part.contiguous(), part.contiguous(), lengths, 8)
    assert torch.equal(found[0], expected[0])
    assert found[0].isfinite().all()


def test_many_splits_are_added_in_parts() -> None:
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(2, 1, 16, generator=generator)
    k, v = torch.randn(2, 2, 1, 700, 16, generator=generator)
    lengths = torch.tensor([700, 100])
    out, lse = decode(q, k, v, lengths, 1000)  # 44 splits
    expected, expected_lse = decode(q, k, v, lengths, 1)
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(lse, expected_lse, rtol=1e-5, atol=1e-5)


def test_lengths_beyond_32_bits_are_cut_too() -> None:
    generator = torch.Generator().manual_seed(0)
    q, (k, v) = torch.randn(2, 2, 16, generator=generator), torch.randn(2, 2, 1, 40, 16)
    out, lse = decode(q, k, v, torch.tensor([5 - (1 << 40), (1 << 40) + 5]), 4)
    expected, expected_lse = decode(q, k, v, torch.tensor([0, 40]), 4)
    assert torch.equal(out, expected)
    assert torch.equal(lse, expected_lse)


@pytest.mark.parametrize("programs", [1, 1000])
def test_nan_is_not_lost(programs: int) -> None:
    q, cache = torch.randn(3, 2, 16), torch.randn(3, 1, 40, 16)
    q[0, 1] = math.nan
    cache[2, 0, 3] = math.nan
    out, lse = decode(q, cache, cache, torch.tensor([40, 40, 9]), programs)
    assert out.isnan().all(dim=2).tolist() == [[False, True], [False, False], [True, True]]
    assert lse.isnan().tolist() == [[False, True], [False, False], [True, True]]
