"""Batches: what stands in them, and an order that a resumed run repeats exactly."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pycodec_lm.data.dataset import IGNORED, BatchSampler, Samples
from pycodec_lm.data.shards import DatasetMeta, ShardWriter, TokenDataset
from pycodec_lm.errors import UsageError

META = DatasetMeta(259, 256, 257, 258, conditions={"name": ["moon", "star"]})
BODIES = [[1, 2, 3], [4], [5, 6, 7, 8, 9], [10, 11]]


def fake_annotate(ids: np.ndarray) -> np.ndarray:
    """Row t holds t and the sum of the tokens before t, so that shifts would be seen."""
    sums = np.concatenate(([0], np.cumsum(ids.astype(np.int64))))
    rows = np.zeros((len(ids) + 1, 8), dtype=np.uint8)
    rows[:, 3], rows[:, 7] = np.arange(len(rows)), sums % 256
    return rows


@pytest.fixture
def dataset(tmp_path: Path) -> TokenDataset:
    with ShardWriter(tmp_path / "set", META) as writer:
        for number, body in enumerate(BODIES):
            writer.add(body, (number % 3,))
    return TokenDataset(tmp_path / "set")


def test_a_batch_is_shifted_padded_and_annotated(dataset: TokenDataset) -> None:
    samples = Samples(dataset.train, None, dataset.meta, fake_annotate)
    batch = samples.batch(np.array([2, 1, 0]))
    assert batch.tokens_BT.tolist() == [
        [257, 5, 6, 7, 8, 9],
        [257, 4, 256, 256, 256, 256],
        [257, 1, 2, 3, 256, 256],
    ]
    no = IGNORED
    assert batch.labels_BT.tolist() == [
        [5, 6, 7, 8, 9, 258],
        [4, 258, no, no, no, no],
        [1, 2, 3, 258, no, no],
    ]
    assert batch.n_labels == 12
    assert batch.conditions_BC.tolist() == [[2], [1], [0]]
    assert batch.annotations_BTF is not None
    assert batch.annotations_BTF.dtype == torch.uint8
    assert batch.annotations_BTF[0, :, 3].tolist() == [0, 1, 2, 3, 4, 5]
    assert batch.annotations_BTF[0, :, 7].tolist() == [0, 5, 11, 18, 26, 35]
    assert batch.annotations_BTF[2, :4, 7].tolist() == [0, 1, 3, 6]
    # Labels are found again in the flat arrays.
    valid = batch.labels_BT != no
    assert torch.equal(samples.labels[batch.flat_BT][valid].long(), batch.labels_BT[valid])


def test_some_rows_give_the_same_batch_as_all(dataset: TokenDataset) -> None:
    rows = np.array([3, 0, 2])
    packed = Samples(dataset.train, None, dataset.meta, fake_annotate).batch(rows)
    alone = Samples(dataset.train, rows, dataset.meta, fake_annotate).batch(np.arange(3))
    for name in ("tokens_BT", "labels_BT", "annotations_BTF", "conditions_BC"):
        assert torch.equal(getattr(packed, name), getattr(alone, name)), name


def test_padding_to_a_multiple(dataset: TokenDataset) -> None:
    batch = Samples(dataset.train, None, dataset.meta, None).batch(np.array([0]), pad_multiple=8)
    assert batch.annotations_BTF is None
    assert batch.tokens_BT.tolist() == [[257, 1, 2, 3, 256, 256, 256, 256]]
    assert (batch.labels_BT[0, 4:] == IGNORED).all()


LENGTHS = np.random.default_rng(1).integers(1, 300, size=1003)


def test_an_epoch_has_every_sample_once() -> None:
    sampler = BatchSampler(LENGTHS, 16, seed=3)
    n_batches = -(-len(LENGTHS) // 16)
    for epoch in range(3):
        drawn = np.concatenate([sampler.next() for _ in range(n_batches)])
        assert sampler.epoch == epoch
        assert sorted(drawn.tolist()) == list(range(len(LENGTHS)))


def test_order_follows_the_seed_and_the_epoch() -> None:
    def first(seed: int) -> list[list[int]]:
        sampler = BatchSampler(LENGTHS, 16, seed)
        return [sampler.next().tolist() for _ in range(70)]

    assert first(3) == first(3)
    assert first(3) != first(4)
    assert first(3)[:7] != first(3)[63:]


def test_batches_hold_similar_lengths() -> None:
    sampler = BatchSampler(LENGTHS, 16, seed=3)
    batches = [LENGTHS[sampler.next()] for _ in range(len(LENGTHS) // 16)]
    share_of_padding = 1 - sum(map(np.sum, batches)) / sum(16 * batch.max() for batch in batches)
    assert share_of_padding < 0.1
    # But the batches themselves come in no order of length.
    longest = [batch.max() for batch in batches]
    assert longest != sorted(longest)


@pytest.mark.parametrize("n_before", [0, 1, 62, 63, 64, 150])
def test_a_restored_sampler_goes_on_exactly(n_before: int) -> None:
    sampler = BatchSampler(LENGTHS, 16, seed=3)
    for _ in range(n_before):
        sampler.next()
    other = BatchSampler(LENGTHS, 16, seed=3)
    other.load_state(sampler.state())
    for _ in range(100):
        assert np.array_equal(sampler.next(), other.next())


def test_a_state_of_other_data_is_refused() -> None:
    state = BatchSampler(LENGTHS, 16, seed=3).state()
    with pytest.raises(UsageError, match="n_samples = 1003, this one has 10"):
        BatchSampler(LENGTHS[:10], 16, seed=3).load_state(state)
    with pytest.raises(UsageError, match="seed"):
        BatchSampler(LENGTHS, 16, seed=4).load_state(state)
    with pytest.raises(UsageError, match="batch_size"):
        BatchSampler(LENGTHS, 8, seed=3).load_state(state)
    with pytest.raises(UsageError, match="no sample"):
        BatchSampler(LENGTHS[:0], 8, seed=3)
