"""Shards on disk: round trip, whole or not at all, and one clear line for what is broken."""

import json
from pathlib import Path

import numpy as np
import pytest

from pycodec_lm.data import shards
from pycodec_lm.data.shards import DatasetMeta, ShardWriter, TokenDataset
from pycodec_lm.errors import UsageError
from pycodec_lm.tokenizer import ByteTokenizer

META = DatasetMeta(
    vocab_size=259,
    pad_id=256,
    bos_id=257,
    eos_id=258,
    grammar={"kind": "jpeg"},
    header=b"\xff\xd8",
    conditions={"name": ["moon", "star"], "group": ["sky"]},
    extra={"quality": 25},
)


def write(folder: Path, n_train: int = 5, n_val: int = 2) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    bodies = [random.integers(0, 256, size=random.integers(1, 9)) for _ in range(n_train + n_val)]
    with ShardWriter(folder, META) as writer:
        for number, body in enumerate(bodies):
            split = "train" if number < n_train else "val"
            writer.add(body, {"name": "star"}, split=split, raw_bytes=100 + number)
    return bodies


@pytest.mark.parametrize("shard_tokens", [1, 7, 1000])
def test_round_trip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shard_tokens: int) -> None:
    monkeypatch.setattr(shards, "_SHARD_TOKENS", shard_tokens)
    bodies = write(tmp_path / "set")
    dataset = TokenDataset(tmp_path / "set")
    assert len(dataset.train) == 5
    assert len(dataset.val) == 2
    read = [dataset.train.tokens(i) for i in range(5)] + [dataset.val.tokens(i) for i in range(2)]
    for body, tokens in zip(bodies, read, strict=True):
        assert tokens.dtype == np.uint16
        assert tokens.tolist() == body.tolist()
    assert dataset.train.lengths.tolist() == [len(body) for body in bodies[:5]]
    # "group" was not given, so it is null: class number 1 of one class.
    assert dataset.train.conditions.tolist() == [[1, 1]] * 5
    meta = dataset.meta
    assert (meta.header, meta.grammar, meta.extra) == (META.header, META.grammar, META.extra)
    assert meta.conditions == {"name": ["moon", "star"], "group": ["sky"]}
    assert meta.n_samples == {"train": 5, "val": 2}
    assert meta.n_tokens["val"] == sum(len(body) for body in bodies[5:])
    assert meta.raw_bytes == {"train": 510, "val": 211}
    assert dataset.tokenizer().vocab_size == 259


def test_the_tokenizer_travels_with_the_tokens(tmp_path: Path) -> None:
    tokenizer = ByteTokenizer([(b"\x00", b"\x00")])
    meta = DatasetMeta(260, 257, 258, 259, tokenizer="tokenizer.json")
    with ShardWriter(tmp_path / "set", meta, tokenizer.to_json()) as writer:
        writer.add(tokenizer.encode(b"\x00\x00\x01"))
    assert TokenDataset(tmp_path / "set").tokenizer().merges == tokenizer.merges
    (tmp_path / "set" / "tokenizer.json").write_text(ByteTokenizer().to_json())
    with pytest.raises(UsageError, match="has 259 tokens"):
        TokenDataset(tmp_path / "set").tokenizer()
    (tmp_path / "set" / "tokenizer.json").unlink()
    with pytest.raises(UsageError, match="tokenizer is missing"):
        TokenDataset(tmp_path / "set").tokenizer()


def test_condition_numbers_and_no_conditions(tmp_path: Path) -> None:
    with ShardWriter(tmp_path / "set", META) as writer:
        writer.add([1], (0, 1))
        writer.add([2])
    assert TokenDataset(tmp_path / "set").train.conditions.tolist() == [[0, 1], [2, 1]]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (([],), "at least one token"),
        (([259],), "vocabulary"),
        (([-1],), "vocabulary"),
        (([1], {"colour": "red"}), "unknown condition 'colour'"),
        (([1], {"name": "sun"}), "no class 'sun'"),
        (([1], (3, 0)), "do not fit"),
        (([1], (0,)), "do not fit"),
    ],
)
def test_bad_samples_are_refused(tmp_path: Path, arguments: tuple[object, ...], word: str) -> None:
    writer = ShardWriter(tmp_path / "set", META)
    with pytest.raises(UsageError, match=word):
        writer.add(*arguments)
    with pytest.raises(UsageError, match="split"):
        writer.add([1], split="test")
    # The refused samples left no trace, so there is nothing to write.
    with pytest.raises(UsageError, match="no sample"):
        writer.close()
    assert list(tmp_path.iterdir()) == []


def test_an_exception_leaves_nothing_behind(tmp_path: Path) -> None:
    def fail_half_way() -> None:
        with ShardWriter(tmp_path / "set", META) as writer:
            writer.add([1])
            raise RuntimeError("disk on fire")

    with pytest.raises(RuntimeError, match="disk on fire"):
        fail_half_way()
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_not_touched(tmp_path: Path) -> None:
    write(tmp_path / "set")
    with pytest.raises(UsageError, match="exists already"):
        ShardWriter(tmp_path / "set", META)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_tokenizer_must_fit_the_meta(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="tokenizer"):
        ShardWriter(tmp_path / "set", META, "{}")
    with pytest.raises(UsageError, match="vocab_size"):
        DatasetMeta(70000, 0, 1, 2)
    with pytest.raises(UsageError, match="eos_id"):
        DatasetMeta(259, 256, 257, 259)


def test_missing_and_foreign_folders(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="pycodec-lm prepare"):
        TokenDataset(tmp_path)
    for text in ("", "[]", "{}", '{"format": "other"}', '{"format": "pycodec_lm.dataset"}'):
        (tmp_path / "meta.json").write_text(text)
        with pytest.raises(UsageError, match=r"meta\.json"):
            TokenDataset(tmp_path)


def test_a_version_from_the_future(tmp_path: Path) -> None:
    write(tmp_path / "set")
    path = tmp_path / "set" / "meta.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": 2}))
    with pytest.raises(UsageError, match="version 2"):
        TokenDataset(tmp_path / "set")


@pytest.mark.parametrize("name", ["tokens", "offsets", "conditions"])
def test_broken_shards(tmp_path: Path, name: str) -> None:
    write(tmp_path / "set")
    path = tmp_path / "set" / "train" / f"{name}-00000.npy"
    array = np.load(path)
    np.save(path, array[:-1])
    with pytest.raises(UsageError, match="do not agree"):
        TokenDataset(tmp_path / "set")
    path.write_bytes(b"rubbish")
    with pytest.raises(UsageError, match="unreadable shard"):
        TokenDataset(tmp_path / "set")


def test_a_lost_shard_is_noticed(tmp_path: Path) -> None:
    write(tmp_path / "set")
    (tmp_path / "set" / "train" / "tokens-00000.npy").unlink()
    with pytest.raises(UsageError, match=r"0 train samples, meta\.json says 5"):
        TokenDataset(tmp_path / "set")
