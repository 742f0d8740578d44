"""The bitmask kernel, interpreted, against the definition."""

import math

import pytest
import torch
from sampling_cases import bitmask_of, logits_of

from pycodec_lm import reference
from pycodec_lm.kernels import token_mask as kernels


@pytest.mark.parametrize("n_tokens", [1, 31, 32, 33, 100, 130])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("rows", [None, [2, 0], []])
@pytest.mark.parametrize("transposed", [False, True])
def test_forbidden_logits_are_filled(
    n_tokens: int, dtype: torch.dtype, rows: list[int] | None, transposed: bool
) -> None:
    bitmask = bitmask_of(4, 96, 0.5)
    logits = logits_of(4, n_tokens).to(dtype)
    if transposed:
        logits = logits.T.contiguous().T
    chosen = None if rows is None else torch.tensor(rows, dtype=torch.int64)
    for fill in (-math.inf, 0.0):
        expected = reference.apply_token_bitmask(logits, bitmask, chosen, fill)
        found = logits.clone()
        kernels.apply_token_bitmask_inplace(found, bitmask, chosen, fill, block=64, num_warps=4)
        assert torch.equal(found, expected)


def test_what_lies_between_rows_stays() -> None:
    padded = torch.zeros(2, 70)
    bitmask = torch.zeros(2, 2, dtype=torch.int32)
    kernels.apply_token_bitmask_inplace(
        padded[:, :40], bitmask, None, -math.inf, block=64, num_warps=4
    )
    assert padded.isneginf().sum(dim=1).tolist() == [40, 40]
    assert not padded[:, 40:].any()


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_numbers_that_are_no_row_mask_nothing(dtype: torch.dtype) -> None:
    whole = torch.zeros(6, 40)
    bitmask = torch.zeros(2, 2, dtype=torch.int32)
    rows = torch.tensor([-1, 1, 2, 1 << 30], dtype=dtype)
    kernels.apply_token_bitmask_inplace(whole[2:4], bitmask, rows, -math.inf, block=64, num_warps=4)
    assert whole.isneginf().all(dim=1).tolist() == [False, False, False, True, False, False]
    assert whole.isneginf().sum() == 40
