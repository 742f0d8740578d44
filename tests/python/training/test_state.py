"""The schedule, the log and the state file."""

import json
from pathlib import Path

import pytest
import torch

from pycodec_lm.errors import UsageError
from pycodec_lm.training.state import MetricsLog, lr_factor, read_state, write_state

COMMON = {"warmup_steps": 10, "final_ratio": 0.1, "decay_share": 0.25}


def test_cosine_rises_then_falls_to_its_end() -> None:
    factors = [lr_factor(s, s / 100, schedule="cosine", **COMMON) for s in range(101)]
    assert factors[0] == pytest.approx(0.1, abs=1e-3)
    assert max(factors) == max(factors[8:12])
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert factors[50] == pytest.approx(0.55)
    assert factors[100] == pytest.approx(0.1)


def test_wsd_is_constant_until_its_decay() -> None:
    factors = [lr_factor(s, s / 100, schedule="wsd", **COMMON) for s in range(101)]
    assert factors[9:76] == [1.0] * 67
    assert factors[88] == pytest.approx(0.1 + 0.9 * 12 / 25)
    assert factors[100] == pytest.approx(0.1)


def test_no_warmup_and_no_decay() -> None:
    assert (
        lr_factor(0, 1.0, schedule="wsd", warmup_steps=0, final_ratio=0.0, decay_share=0.0) == 1.0
    )


def test_the_log_forgets_what_came_after_a_checkpoint(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "metrics.jsonl")
    assert log.read() == []
    for step in range(5):
        log.write({"step": step, "loss": 1 / (step + 1)})
    with log.path.open("a") as stream:
        stream.write('{"step": 5, "lo')  # killed while writing
    assert len(log.read()) == 5
    log.forget_after(2)
    assert [entry["step"] for entry in log.read()] == [0, 1, 2]
    assert log.read()[2]["loss"] == 1 / 3
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_state_round_trip(tmp_path: Path) -> None:
    state = {"step": 7, "model": {"w": torch.arange(3.0)}, "rng": torch.get_rng_state()}
    write_state(tmp_path, state)
    read = read_state(tmp_path)
    assert read["step"] == 7
    assert torch.equal(read["model"]["w"], torch.arange(3.0))
    assert [path.name for path in tmp_path.iterdir()] == ["training_state.pt"]


def test_broken_states_are_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing to resume"):
        read_state(tmp_path)
    path = tmp_path / "training_state.pt"
    write_state(tmp_path, {"step": 1})
    whole = path.read_bytes()
    for data in (b"", b"rubbish", whole[: len(whole) // 2], json.dumps({}).encode()):
        path.write_bytes(data)
        with pytest.raises(UsageError, match="unreadable training state") as caught:
            read_state(tmp_path)
        assert "\n" not in str(caught.value)
    torch.save({"step": 1}, path)
    with pytest.raises(UsageError, match="not a training state"):
        read_state(tmp_path)
