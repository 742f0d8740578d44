"""The bitmask operator: bits by the definition, shapes, tracing, versions."""

import math

import numpy as np
import pytest
import torch

from pycodec_lm import ops
from pycodec_lm.errors import UsageError


def bits_of(bitmask: np.ndarray, vocab_size: int) -> np.ndarray:
    """Token t of a row: bit t % 32 of word t // 32."""
    allowed = np.zeros((len(bitmask), vocab_size), bool)
    for row, words in enumerate(bitmask.tolist()):
        for token in range(min(vocab_size, 32 * len(words))):
            allowed[row, token] = words[token // 32] >> (token % 32) & 1
    return allowed


def random_bitmask(n_rows: int, n_words: int) -> np.ndarray:
    rng = np.random.default_rng(n_rows * 100 + n_words)
    return rng.integers(-(2**31), 2**31, (n_rows, n_words), np.int32, endpoint=False)


@pytest.mark.parametrize("vocab_size", [1, 31, 32, 70, 96, 130])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", ["functional", "in place", "transposed"])
def test_tensors_are_masked_by_their_bits(vocab_size: int, dtype: torch.dtype, kind: str) -> None:
    bitmask = random_bitmask(3, 3)
    logits = torch.randn(3, vocab_size, generator=torch.Generator().manual_seed(0)).to(dtype)
    before = logits.clone()
    if kind == "functional":
        result = ops.apply_token_bitmask(logits, bitmask)
        assert torch.equal(logits, before)
    else:
        result = logits.T.contiguous().T if kind == "transposed" else logits
        ops.apply_token_bitmask_inplace(result, torch.from_numpy(bitmask))
    allowed = torch.from_numpy(bits_of(bitmask, vocab_size))
    assert result.dtype == dtype
    assert torch.equal(result, before.masked_fill(~allowed, -math.inf))


@pytest.mark.parametrize("vocab_size", [70, 130])
def test_numpy_and_torch_agree(vocab_size: int) -> None:
    bitmask = random_bitmask(4, 3)
    array = np.random.default_rng(0).normal(size=(4, vocab_size)).astype(np.float32)
    for indices in (None, [2, 0]):
        from_numpy, from_torch = array.copy(), torch.from_numpy(array.copy())
        ops.apply_token_bitmask_inplace(from_numpy, bitmask, indices)
        ops.apply_token_bitmask_inplace(from_torch, bitmask, indices)
        assert np.array_equal(from_numpy, from_torch.numpy())


def test_only_the_rows_named_are_masked() -> None:
    bitmask = np.zeros((3, 1), np.int32)
    logits = torch.zeros(3, 8)
    ops.apply_token_bitmask_inplace(logits, bitmask, [1])
    assert logits.isneginf().all(dim=1).tolist() == [False, True, False]
    ops.apply_token_bitmask_inplace(logits, bitmask, [])
    ops.apply_token_bitmask_inplace(logits, bitmask, torch.tensor([2]))
    assert logits.isneginf().all(dim=1).tolist() == [False, True, True]


@pytest.mark.parametrize("vocab_size", [40, 64])
def test_what_lies_between_rows_stays(vocab_size: int) -> None:
    bitmask = np.zeros((2, 2), np.int32)
    padded = torch.zeros(2, 70)
    ops.apply_token_bitmask_inplace(padded[:, :vocab_size], bitmask)
    assert padded.isneginf().sum(dim=1).tolist() == [vocab_size] * 2
    assert not padded[:, vocab_size:].any()


def test_rows_that_share_memory_are_refused() -> None:
    with pytest.raises(RuntimeError, match="single memory location"):
        ops.apply_token_bitmask_inplace(torch.zeros(1, 8).expand(2, 8), np.zeros((2, 1), np.int32))


def test_autograd_notices_the_change_in_place() -> None:
    weight = torch.ones(8, requires_grad=True)
    logits = torch.ones(1, 8)
    loss = (logits * weight).sum()
    ops.apply_token_bitmask_inplace(logits, np.zeros((1, 1), np.int32))
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()  # type: ignore[no-untyped-call]
    with torch.inference_mode():
        frozen = torch.zeros(1, 8)
        ops.apply_token_bitmask_inplace(frozen, np.zeros((1, 1), np.int32))
        assert frozen.isneginf().all()


def test_a_single_row_needs_no_batch_dimension() -> None:
    bitmask = np.array([0b101], np.int32)
    for logits in (torch.zeros(3), np.zeros(3, np.float32)):
        ops.apply_token_bitmask_inplace(logits, bitmask)
        assert logits.tolist() == [0, -math.inf, 0]
    assert ops.apply_token_bitmask(torch.zeros(3), bitmask).shape == (3,)


def test_gradient_passes_through_allowed_tokens_only() -> None:
    bitmask = random_bitmask(2, 1)
    logits = torch.zeros(2, 20, dtype=torch.float64, requires_grad=True)
    ops.apply_token_bitmask(logits, bitmask).exp().sum().backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert logits.grad.tolist() == bits_of(bitmask, 20).astype(float).tolist()


@pytest.mark.parametrize("rows", [None, torch.tensor([1])])
@pytest.mark.parametrize("transposed", [False, True])
def test_operators_are_registered_as_torch_asks(
    rows: torch.Tensor | None, transposed: bool
) -> None:
    logits = torch.randn(3, 70, generator=torch.Generator().manual_seed(0))
    if transposed:
        logits = logits.T.contiguous().T
    bitmask = torch.from_numpy(random_bitmask(3, 2))
    operators = torch.ops.pycodec_lm
    torch.library.opcheck(
        operators.apply_token_bitmask.default, (logits.clone().requires_grad_(), bitmask, rows)
    )
    torch.library.opcheck(operators.apply_token_bitmask_.default, (logits, bitmask, rows))


def test_whole_graph_compiles() -> None:
    bitmask = torch.from_numpy(random_bitmask(2, 2))

    def both(logits: torch.Tensor) -> torch.Tensor:
        masked = ops.apply_token_bitmask(logits, bitmask)
        scaled = logits * 2
        ops.apply_token_bitmask_inplace(scaled, bitmask, [0])
        return torch.cat((masked, scaled))

    logits = torch.randn(2, 50, generator=torch.Generator().manual_seed(0))
    compiled = torch.compile(both, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(logits), both(logits))


@pytest.mark.parametrize(
    ("logits", "bitmask", "indices", "complaint"),
    [
        (torch.zeros(2, 3, dtype=torch.int64), np.zeros((2, 1), np.int32), None, "floating point"),
        (torch.zeros(2, 3, 1), np.zeros((2, 1), np.int32), None, "floating point"),
        (torch.zeros(2, 3), np.zeros((2, 1), np.int64), None, "must be int32"),
        (torch.zeros(2, 3), np.zeros((3, 1), np.int32), None, "3 rows for logits of 2"),
        (torch.zeros(2, 3), np.zeros((2, 1), np.int32), [2], "logits of 2 rows"),
        (torch.zeros(2, 3), np.zeros((2, 1), np.int32), torch.tensor([-1]), "logits of 2 rows"),
        (torch.zeros(2, 3), np.zeros((2, 1), np.int32), torch.tensor([True]), "indices must be"),
        (torch.zeros(2, 3), np.zeros((2, 1), np.int32), torch.tensor([[1]]), "indices must be"),
        (torch.zeros(2, 3), np.zeros((2, 1), np.int32), [True, False], "indices must be"),
    ],
)
def test_misuse_is_named(
    logits: torch.Tensor, bitmask: np.ndarray, indices: list[int] | None, complaint: str
) -> None:
    with pytest.raises(UsageError, match=complaint):
        ops.apply_token_bitmask_inplace(logits, bitmask, indices)


@pytest.mark.parametrize(
    ("torch_version", "triton_version", "to_install"),
    [
        ("2.13.0+cpu", "3.7.1", None),
        ("2.13.0", None, None),
        ("2.11.0+cu128", "3.6.0", None),
        ("2.11.0", "3.7.1", "triton==3.6.0"),
        ("2.13.1", "3.6.0", "triton==3.7.1"),
        ("2.10.0", "3.6.0", "'torch>=2.11,<2.14'"),
        ("2.14.0", "3.8.0", "'torch>=2.11,<2.14'"),
    ],
)
def test_versions_that_do_not_fit_are_reported_with_the_one_to_install(
    torch_version: str, triton_version: str | None, to_install: str | None
) -> None:
    problem = ops.version_problem(torch_version, triton_version)
    if to_install is None:
        assert problem is None
    else:
        assert problem is not None
        assert f"python -m pip install {to_install}" in problem
