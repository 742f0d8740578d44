"""The count table against counting by hand."""

import math

import numpy as np
import pytest

from pycodec_lm.training.counts import CountTable, unpack_bitmask

VOCAB = 5


def make_annotations(contexts: list[tuple[int, int, int, int, int]]) -> np.ndarray:
    """Rows of (component, k, block, MCU column, MCU row); other columns hold noise."""
    rows = np.random.default_rng(0).integers(0, 5, (len(contexts), 8)).astype(np.uint8)
    for row, (component, k, block, column, mcu_row) in enumerate(contexts):
        rows[row, 1], rows[row, 5], rows[row, 2] = component, k, block
        rows[row, 3], rows[row, 4] = column, mcu_row
    return rows


def synthetic(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Tokens whose distribution hangs on (component, k) alone."""
    random = np.random.default_rng(seed)
    contexts = np.stack([random.integers(0, size, n) for size in (3, 4, 2, 3, 3)], axis=1)
    annotations = make_annotations([tuple(row) for row in contexts.tolist()])
    favourite = (contexts[:, 0] + contexts[:, 1]) % VOCAB
    tokens = np.where(random.random(n) < 0.75, favourite, random.integers(0, VOCAB, n))
    return annotations, tokens.astype(np.int32)


def fit(n: int = 4000) -> CountTable:
    annotations, tokens = synthetic(n, seed=1)
    return CountTable(annotations, tokens, np.arange(n) % 10 == 0, VOCAB)


def test_one_context_is_counted_by_hand() -> None:
    # One context, so every level has the same counts: with weight a, level after level,
    # p = (n + a p) / (N + a) moves a uniform start towards n / N.
    annotations = make_annotations([(1, 2, 1, 0, 0)] * 10)
    tokens = np.array([0] * 8 + [1] * 2, dtype=np.int32)
    table = CountTable(annotations, tokens, np.arange(10) == 0, VOCAB)
    p = np.full(VOCAB, 1 / VOCAB)
    n = np.array([8, 2, 0, 0, 0])
    for level in table._levels:
        p = (n + level.weight * p) / (10 + level.weight)
    np.testing.assert_allclose(table.probabilities(annotations[:1])[0], p, rtol=1e-6)
    assert p[0] > 0.7


def test_rows_sum_to_one_and_nothing_is_impossible() -> None:
    table = fit()
    seen = table.probabilities(synthetic(200, seed=2)[0])
    unseen = table.probabilities(make_annotations([(4, 63, 10, 63, 63), (0, 0, 0, 0, 0)]))
    for p in (seen, unseen):
        np.testing.assert_allclose(p.sum(axis=1), 1.0, rtol=1e-6)
        assert (p > 0).all()


def test_held_out_cost_nears_the_entropy_of_the_source() -> None:
    annotations, tokens = synthetic(3000, seed=3)
    raw, renormalised = fit(40000).bits(annotations, tokens, None)
    hit, miss = 0.75 + 0.25 / VOCAB, 0.25 / VOCAB
    entropy = -hit * math.log2(hit) - (VOCAB - 1) * miss * math.log2(miss)
    assert raw.mean() == pytest.approx(entropy, rel=0.06)
    np.testing.assert_array_equal(raw, renormalised)


def test_renormalising_gives_the_illegal_mass_to_the_legal_tokens() -> None:
    table = fit()
    annotations, tokens = synthetic(300, seed=4)
    legal = np.random.default_rng(5).random((300, VOCAB)) < 0.5
    legal[np.arange(300), tokens] = True
    words = (legal * (1 << np.arange(VOCAB))).sum(axis=1).astype(np.int32)[:, None]
    np.testing.assert_array_equal(unpack_bitmask(words, VOCAB), legal)
    raw, renormalised = table.bits(annotations, tokens, words)
    p = table.probabilities(annotations)
    mass = np.array([p[row, legal[row]].sum() for row in range(300)])
    np.testing.assert_allclose(renormalised, raw + np.log2(mass), rtol=1e-9)


def test_bitmask_words_are_read_past_the_sign_bit() -> None:
    words = np.array([[-(1 << 31), 1]], dtype=np.int32)
    assert np.flatnonzero(unpack_bitmask(words, 40)[0]).tolist() == [31, 32]


def test_a_level_that_is_too_large_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pycodec_lm.training.counts._MAX_CELLS", 40 * VOCAB)
    table = fit()
    # (component, k, block) has 24 contexts; with the MCU there are 216.
    assert table.n_contexts == 24
    assert len(table._levels) == 3
