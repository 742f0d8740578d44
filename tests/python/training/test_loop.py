"""What a run does with its data, its conditions and its time."""

import itertools
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from pycodec_lm.data.shards import DatasetMeta, ShardWriter
from pycodec_lm.errors import CodecLMError, UsageError
from pycodec_lm.models.checkpoint import load_checkpoint
from pycodec_lm.training.config import TrainingConfig, apply_overrides
from pycodec_lm.training.evaluate import LegalTokens, evaluate_model
from pycodec_lm.training.loop import Hooks, Trainer

from .conftest import TINY


def make_trainer(dataset: Path, out: Path, *overrides: str, **options: Any) -> Trainer:
    values = apply_overrides({}, [*TINY, f"data.folder={dataset}", *overrides])
    return Trainer(TrainingConfig.from_dict(values), out, **options)


def losses(out: Path) -> list[float]:
    entries = map(json.loads, (out / "metrics.jsonl").read_text().splitlines())
    return [entry["loss"] for entry in entries if "loss" in entry]


def test_a_run_learns_and_leaves_a_checkpoint(toy_dataset: Path, tmp_path: Path) -> None:
    told: list[str] = []
    hooks = Hooks(
        on_step=lambda step, _entry: told.append(f"step {step}"),
        on_validation=lambda step, _score: told.append(f"val {step}"),
        on_floor=lambda floor: told.append(f"floor {floor.body_bits:.0f}"),
    )
    trainer = make_trainer(
        toy_dataset, tmp_path, "train.steps=60", "train.log_every=30", "optim.lr=5e-3", hooks=hooks
    )
    summary = trainer.run()
    assert [line.split()[0] for line in told] == ["floor", "val", "step", "step", "val"]
    entries = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    validations = [entry["val"]["raw"] for entry in entries if "val" in entry]
    floor = entries[0]["floor"]
    # Counting upwards takes next to nothing once it is learned; untrained it takes over 8 bits.
    assert validations[0] > floor["body_bits"]
    assert validations[-1] < 0.5 * floor["body_bits"]
    loaded = load_checkpoint(tmp_path)
    assert loaded.conditions == {"start": ["low", "high"], "odd": ["yes"]}
    assert loaded.training["val"] == summary["val"]
    assert loaded.training["tokens"] == trainer.tokens
    for name, tensor in trainer.model.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], tensor)


def test_bits_are_those_of_the_logits(toy_dataset: Path, tmp_path: Path) -> None:
    trainer = make_trainer(toy_dataset, tmp_path)
    samples = trainer.feed.val
    assert samples is not None
    random = np.random.default_rng(0)
    legal = random.random((len(samples.labels), 259)) < 0.5
    labels = samples.labels.numpy()
    legal[np.arange(len(labels)), labels] = True
    padded = np.zeros((len(labels), 288), dtype=bool)
    padded[:, :259] = legal
    words = np.packbits(padded, axis=1, bitorder="little").view("<i4")
    forced = random.random(len(labels)) < 0.2
    score = evaluate_model(
        trainer.model, samples, LegalTokens(words.astype(np.int32), forced), batch_size=3
    )
    raw = renormalised = everything = 0.0
    model = trainer.model.eval()
    for row in range(len(samples)):
        start, end = samples.starts[row : row + 2]
        batch = samples.batch(np.array([row]))
        p = model(batch.tokens_BT, None, batch.conditions_BC)[0].detach().double().softmax(-1)
        for place in range(start, end):
            p_label = float(p[place - start, labels[place]])
            everything -= np.log2(p_label)
            if not forced[place]:
                mass = float(p[place - start, torch.from_numpy(legal[place])].sum())
                raw -= np.log2(p_label)
                renormalised -= np.log2(p_label / mass)
    n = len(samples)
    assert score.all_bits == pytest.approx(everything / n, rel=1e-5)
    assert score.raw == pytest.approx(raw / n, rel=1e-5)
    assert score.renormalised == pytest.approx(renormalised / n, rel=1e-5)


def test_streaming_from_disk_gives_the_same_losses(toy_dataset: Path, tmp_path: Path) -> None:
    options = ("train.steps=6", "train.log_every=1")
    make_trainer(toy_dataset, tmp_path / "a", *options).run()
    make_trainer(toy_dataset, tmp_path / "b", *options, "data.memory_mb=0").run()
    assert losses(tmp_path / "a") == losses(tmp_path / "b")


def test_accumulating_is_one_larger_batch(toy_dataset: Path, tmp_path: Path) -> None:
    trainer = make_trainer(
        toy_dataset,
        tmp_path,
        "train.steps=1",
        "train.accumulate=3",
        "train.log_every=1",
        "train.condition_dropout=0.0",
        "data.val_samples=0",
    )
    rows = [trainer.sampler.next() for _ in range(3)]
    trainer.sampler.load_state(trainer.sampler.state() | {"epoch": 0, "position": 0})
    batch = trainer.feed.batch(np.concatenate(rows))
    logits = trainer.model(batch.tokens_BT, None, batch.conditions_BC)
    loss = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), batch.labels_BT.flatten(), ignore_index=-100
    )
    trainer.run()
    assert trainer.tokens == batch.n_labels
    assert losses(tmp_path) == [pytest.approx(float(loss.detach()), rel=1e-5)]


def test_conditions_are_dropped_independently(toy_dataset: Path, tmp_path: Path) -> None:
    seen: list[torch.Tensor] = []
    trainer = make_trainer(toy_dataset, tmp_path, "train.steps=60", "train.condition_dropout=0.3")
    forward = trainer.forward

    def spy(tokens: torch.Tensor, annotations: None, conditions: torch.Tensor) -> torch.Tensor:
        seen.append(conditions)
        return forward(tokens, annotations, conditions)

    trainer.forward = spy
    trainer.run()
    drawn = torch.cat(seen)
    dropped = drawn[:, 0] == 2
    # 60 steps of 4: the share of 240 draws has a standard deviation of 0.03.
    assert 0.2 < dropped.float().mean() < 0.4
    # The second condition is never given in this dataset, so it is always null.
    assert (drawn[:, 1] == 1).all()
    assert set(drawn[:, 0].tolist()) == {0, 1, 2}


def test_a_time_limit_ends_the_run_and_its_schedule(
    toy_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = itertools.count()
    # A clock that moves on by 0.1 s whenever it is read.
    clock = SimpleNamespace(monotonic=lambda: next(ticks) / 10)
    monkeypatch.setattr("pycodec_lm.training.loop.time", clock)
    trainer = make_trainer(
        toy_dataset,
        tmp_path,
        "train.steps=1000000",
        "train.max_minutes=0.2",
        "optim.final_lr_ratio=0.0",
        "train.log_every=1",
    )
    summary = trainer.run()
    assert 20 <= summary["steps"] <= 60
    assert trainer.optimizer.param_groups[0]["lr"] < 0.02 * trainer.config.optim.lr
    assert load_checkpoint(tmp_path).training["steps"] == summary["steps"]


def test_averaged_weights_are_what_is_exported(toy_dataset: Path, tmp_path: Path) -> None:
    trainer = make_trainer(toy_dataset, tmp_path, "train.steps=20", "train.ema_decay=0.99")
    trainer.run()
    assert trainer.average is not None
    exported = load_checkpoint(tmp_path).model
    for name, parameter in exported.named_parameters():
        assert torch.equal(parameter, trainer.average[name])
    live = dict(trainer.model.named_parameters())
    assert not torch.equal(live["norm.weight"], trainer.average["norm.weight"])


def test_a_diverging_run_says_so(toy_dataset: Path, tmp_path: Path) -> None:
    trainer = make_trainer(toy_dataset, tmp_path, "train.steps=30", "train.log_every=1")
    with torch.no_grad():
        trainer.model.norm.weight.fill_(float("inf"))
    with pytest.raises(CodecLMError, match="the loss is nan"):
        trainer.run()


def test_datasets_that_do_not_fit_are_refused(toy_dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no dataset here"):
        make_trainer(tmp_path / "nothing", tmp_path / "out")
    with pytest.raises(UsageError, match="need a dataset with a grammar"):
        make_trainer(toy_dataset, tmp_path / "out", "model.codec_inputs=true")
    with pytest.raises(UsageError, match="max_seq_len = 20, but the longest sample has"):
        make_trainer(toy_dataset, tmp_path / "out", "model.max_seq_len=20")
    with ShardWriter(tmp_path / "val-only", DatasetMeta(259, 256, 257, 258)) as writer:
        writer.add([1, 2], split="val")
    with pytest.raises(UsageError, match="no training sample"):
        make_trainer(tmp_path / "val-only", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_resuming_with_another_vocabulary_is_refused(toy_dataset: Path, tmp_path: Path) -> None:
    make_trainer(toy_dataset, tmp_path / "out", "train.steps=1").run()
    from pycodec_lm.tokenizer import ByteTokenizer

    tokenizer = ByteTokenizer([(b"a", b"b")])
    meta = DatasetMeta(260, 257, 258, 259, tokenizer="tokenizer.json")
    with ShardWriter(tmp_path / "other", meta, tokenizer.to_json()) as writer:
        writer.add([1, 2])
    with pytest.raises(UsageError, match="a vocabulary of 259 and conditions"):
        make_trainer(tmp_path / "other", tmp_path / "out", "train.steps=1", resume=True)


@pytest.mark.parametrize("device", ["tpu9", "cuda:77"])
def test_unknown_devices_are_refused(toy_dataset: Path, tmp_path: Path, device: str) -> None:
    if device.startswith("cuda") and torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(UsageError, match=r"train\.device"):
        make_trainer(toy_dataset, tmp_path, f"train.device={device}")


@pytest.mark.gpu
@pytest.mark.parametrize("compiled", ["false", "true"])
def test_a_gpu_learns_in_bfloat16(toy_dataset: Path, tmp_path: Path, compiled: str) -> None:
    trainer = make_trainer(
        toy_dataset,
        tmp_path,
        "train.device=cuda",
        "train.steps=60",
        "train.log_every=30",
        "optim.lr=5e-3",
        f"train.compile={compiled}",
    )
    assert trainer.autocast is torch.bfloat16
    trainer.run()
    first, last = losses(tmp_path)
    assert last < 0.6 * first
    assert load_checkpoint(tmp_path).model.config == trainer.model.config
