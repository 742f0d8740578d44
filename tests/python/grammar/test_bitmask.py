"""Bitmasks: what they may be, and how they are applied to logits."""

import array

import numpy as np
import pytest

import pycodec_lm as pcl
from pycodec_lm import _core


@pytest.fixture
def matcher(byte_info: pcl.TokenizerInfo) -> pcl.GrammarMatcher:
    return pcl.GrammarMatcher(pcl.compile_grammar(pcl.JpegGrammar(), byte_info))


@pytest.mark.parametrize("vocab_size", [1, 31, 32, 33, 1024])
def test_a_new_bitmask_allows_the_vocabulary_and_no_more(vocab_size: int) -> None:
    bitmask = pcl.allocate_token_bitmask(3, vocab_size)
    assert bitmask.dtype == np.int32
    assert bitmask.shape == (3, -(-vocab_size // 32))
    bits = np.unpackbits(bitmask.view(np.uint8), axis=1, bitorder="little")
    assert bits[:, :vocab_size].all()
    assert not bits[:, vocab_size:].any()


@pytest.mark.parametrize(("batch_size", "vocab_size"), [(-1, 5), (1, 0), (1, -3)])
def test_sizes_that_make_no_sense(batch_size: int, vocab_size: int) -> None:
    with pytest.raises(pcl.UsageError, match="a bitmask needs"):
        pcl.allocate_token_bitmask(batch_size, vocab_size)


def test_kinds_of_bitmask(matcher: pcl.GrammarMatcher) -> None:
    expected = np.zeros(9, np.int32)
    expected[7] = np.iinfo(np.int32).min  # FF alone
    flat = np.full(9, -1, np.int32)
    assert matcher.fill_next_token_bitmask(flat)
    assert np.array_equal(flat, expected)
    rows = np.full((4, 9), -1, np.int32)
    assert matcher.fill_next_token_bitmask(rows, 2)
    assert matcher.fill_next_token_bitmask(bitmask=rows, index=0)
    assert np.array_equal(rows[[0, 2]], np.stack([expected] * 2))
    assert (rows[[1, 3]] == -1).all()
    strided = np.full((4, 18), -1, np.int32)[:, :9]
    assert matcher.fill_next_token_bitmask(strided, 3)
    assert np.array_equal(strided[3], expected)
    plain = array.array("i", [-1] * 9)
    assert matcher.fill_next_token_bitmask(plain)
    assert np.array_equal(np.array(plain), expected)
    assert matcher.fill_next_token_bitmask(memoryview(plain))


def test_bitmasks_that_are_refused(matcher: pcl.GrammarMatcher) -> None:
    fill = matcher.fill_next_token_bitmask
    read_only = np.zeros(9, np.int32)
    read_only.flags.writeable = False
    for bitmask, message in (
        (np.zeros(8, np.int32), "has 8 words, but the vocabulary needs 9"),
        (np.zeros(9, np.int64), "must hold int32"),
        (np.zeros(9, np.uint32), "must hold int32"),
        (np.zeros(9, np.float32), "must hold int32"),
        (np.zeros(18, np.int32)[::2], "rows of the bitmask must be contiguous"),
        (np.zeros((1, 1, 9), np.int32), "one or two dimensions"),
        (read_only, "that can be written"),
        (bytes(36), "that can be written"),
        ([0] * 9, "must be an array or a CPU tensor, not list"),
    ):
        with pytest.raises(pcl.UsageError, match=message):
            fill(bitmask)
    for index in (-1, 1):
        with pytest.raises(pcl.UsageError, match=f"no row {index}: it has 1"):
            fill(np.zeros(9, np.int32), index)
    with pytest.raises(TypeError):
        fill(np.zeros(9, np.int32), index="0")
    with pytest.raises(TypeError, match="rows"):
        fill(np.zeros(9, np.int32), rows=0)


def expected_logits(logits: np.ndarray, bitmask: np.ndarray) -> np.ndarray:
    bits = np.unpackbits(bitmask.view(np.uint8), axis=1, bitorder="little").astype(bool)
    allowed = np.zeros(logits.shape, bool)
    n = min(bits.shape[1], logits.shape[1])
    allowed[:, :n] = bits[:, :n]
    return np.where(allowed, logits, -np.inf).astype(logits.dtype)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("n_logits", [1, 31, 32, 100, 256, 300, 320, 1000])
def test_apply(dtype: type, n_logits: int) -> None:
    rng = np.random.default_rng(n_logits)
    bitmask = rng.integers(-(2**31), 2**31, (5, 10), np.int64).astype(np.int32)
    bitmask[1] = 0
    bitmask[2] = -1
    logits = rng.standard_normal((5, n_logits)).astype(dtype)
    before = logits.copy()
    _core.apply_token_bitmask_inplace(logits, bitmask)
    assert np.array_equal(logits, expected_logits(before, bitmask))
    some = before.copy()
    _core.apply_token_bitmask_inplace(some, bitmask, indices=[4, 0])
    assert np.array_equal(some[[0, 4]], logits[[0, 4]])
    assert np.array_equal(some[1:4], before[1:4])
    padded = np.zeros((5, n_logits + 7), dtype)
    padded[:, :n_logits] = before
    _core.apply_token_bitmask_inplace(padded[:, :n_logits], bitmask)
    assert np.array_equal(padded[:, :n_logits], logits)
    assert not padded[:, n_logits:].any()
    flat = before[3].copy()
    _core.apply_token_bitmask_inplace(flat, bitmask[3])
    assert np.array_equal(flat, logits[3])


def test_logits_that_are_refused() -> None:
    apply = _core.apply_token_bitmask_inplace
    bitmask = np.zeros((2, 1), np.int32)
    for logits, message in (
        (np.zeros((2, 8), np.int32), "must be float16"),
        (np.zeros((3, 8), np.float32), "3 rows of logits, but 2 of the bitmask"),
        (np.zeros((8, 2), np.float32).T, "rows of the array of logits must be contiguous"),
    ):
        with pytest.raises(pcl.UsageError, match=message):
            apply(logits, bitmask)
    for index in (-1, 2):
        with pytest.raises(pcl.UsageError, match=f"index {index} is no row"):
            apply(np.zeros((2, 8), np.float32), bitmask, indices=[index])


def test_tensors(matcher: pcl.GrammarMatcher) -> None:
    torch = pytest.importorskip("torch")
    by_array = pcl.allocate_token_bitmask(2, 259)
    matcher.fill_next_token_bitmask(by_array, 1)
    by_tensor = torch.zeros((2, 9), dtype=torch.int32)
    for _ in range(2):
        assert matcher.fill_next_token_bitmask(by_tensor, 1)
        assert np.array_equal(by_tensor[1].numpy(), by_array[1])
    assert not by_tensor[0].any()
    assert matcher.fill_next_token_bitmask(by_tensor[0])
    assert torch.equal(by_tensor[0], by_tensor[1])
    for tensor, message in (
        (torch.zeros(9, dtype=torch.int64), "must hold int32"),
        (torch.zeros(9), "must hold int32"),
        (torch.zeros((9, 2), dtype=torch.int32).T[0], "must be contiguous"),
        (torch.zeros(8, dtype=torch.int32), "needs 9"),
        (torch.zeros((1, 1, 9), dtype=torch.int32), "one or two dimensions"),
        (torch.zeros(9, dtype=torch.int32, device="meta"), "on the CPU"),
    ):
        with pytest.raises(pcl.UsageError, match=message):
            matcher.fill_next_token_bitmask(tensor)
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        logits = torch.randn((2, 259)).to(dtype)
        expected = logits.clone()
        allowed = np.unpackbits(by_array.view(np.uint8), axis=1, bitorder="little")[:, :259]
        expected[torch.from_numpy(allowed == 0)] = -torch.inf
        _core.apply_token_bitmask_inplace(logits, by_array)
        assert torch.equal(logits, expected)
