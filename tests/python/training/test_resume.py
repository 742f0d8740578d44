"""A run that is killed and resumed has the losses of an undisturbed one, bit for bit."""

import random
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pycodec_lm.errors import UsageError
from pycodec_lm.training.config import TrainingConfig, apply_overrides
from pycodec_lm.training.loop import Hooks, Trainer
from pycodec_lm.training.state import MetricsLog

from .conftest import TINY

STEPS = 60
OPTIONS = [
    *TINY,
    f"train.steps={STEPS}",
    "train.log_every=1",
    "train.checkpoint_every=7",
    "train.validate_every=25",
    # Everything that is random or averaged takes part.
    "train.accumulate=2",
    "train.ema_decay=0.9",
    "train.condition_dropout=0.3",
    "model.dropout=0.1",
]


def make_config(dataset: Path, *overrides: str) -> TrainingConfig:
    values = apply_overrides({}, [*OPTIONS, f"data.folder={dataset}", *overrides])
    return TrainingConfig.from_dict(values)


def figures(out: Path) -> list[dict[str, object]]:
    """The log without what the clock says."""
    return [
        {name: value for name, value in entry.items() if name != "seconds"}
        for entry in MetricsLog(out / "metrics.jsonl").read()
    ]


@pytest.fixture(scope="module")
def undisturbed(toy_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed")
    Trainer(make_config(toy_dataset), out).run()
    return out


def kill_after(process: "subprocess.Popen[str]", out: Path, n_lines: int) -> None:
    log = out / "metrics.jsonl"
    while process.poll() is None and (not log.exists() or log.read_bytes().count(b"\n") < n_lines):
        time.sleep(0.001)
    assert process.poll() is None, process.communicate()[1]
    process.kill()
    process.communicate()


def test_sigkill_and_resume_repeat_the_losses(
    toy_dataset: Path,
    undisturbed: Path,
    tmp_path: Path,
    start_train: Callable[..., "subprocess.Popen[str]"],
) -> None:
    command = ["--data", toy_dataset, "-o", tmp_path, "--json"]
    for option in OPTIONS:
        command += ["--set", option]
    kills = sorted(random.Random(time.time_ns()).sample(range(5, STEPS - 10), 2))
    for n_lines in kills:
        kill_after(start_train(*command, "--resume"), tmp_path, n_lines)
    last = start_train("-o", tmp_path, "--resume", "--json")
    _, errors = last.communicate()
    assert last.returncode == 0, errors
    assert errors == ""
    for mine, other in zip(figures(tmp_path), figures(undisturbed), strict=True):
        assert mine == other, f"killed after {kills} lines"
    for name in ("model.safetensors", "training_state.pt"):
        assert (tmp_path / name).exists()
    weights = (tmp_path / "model.safetensors").read_bytes()
    assert weights == (undisturbed / "model.safetensors").read_bytes()
    assert not list(tmp_path.glob(".*"))


def test_the_log_of_a_run_is_complete(undisturbed: Path) -> None:
    entries = figures(undisturbed)
    assert [entry["step"] for entry in entries if "loss" in entry] == list(range(1, STEPS + 1))
    assert [entry["step"] for entry in entries if "val" in entry] == [0, 25, 50, 60]
    losses = [entry["loss"] for entry in entries if "loss" in entry]
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("stop", [1, 6, 7, 8, 25])
def test_stopping_before_and_at_a_checkpoint(
    toy_dataset: Path, undisturbed: Path, tmp_path: Path, stop: int
) -> None:
    def interrupt(step: int, _entry: object) -> None:
        if step == stop:
            raise KeyboardInterrupt

    first = Trainer(make_config(toy_dataset), tmp_path, hooks=Hooks(on_step=interrupt))
    with pytest.raises(KeyboardInterrupt):
        first.run()
    Trainer(make_config(toy_dataset), tmp_path, resume=True).run()
    for mine, other in zip(figures(tmp_path), figures(undisturbed), strict=True):
        assert mine == other


def test_a_finished_run_can_be_prolonged(toy_dataset: Path, tmp_path: Path) -> None:
    Trainer(make_config(toy_dataset, "train.steps=3"), tmp_path).run()
    summary = Trainer(make_config(toy_dataset, "train.steps=5"), tmp_path, resume=True).run()
    assert summary["steps"] == 5
    steps = [entry["step"] for entry in figures(tmp_path) if "loss" in entry]
    assert steps == [1, 2, 3, 4, 5]


def test_a_run_is_not_overwritten_or_mixed(toy_dataset: Path, undisturbed: Path) -> None:
    before = figures(undisturbed)
    with pytest.raises(UsageError, match="use --resume or another folder"):
        Trainer(make_config(toy_dataset), undisturbed)
    with pytest.raises(UsageError, match=r"model\.dim = 64, but the run to resume has 32"):
        Trainer(make_config(toy_dataset, "model.dim=64"), undisturbed, resume=True)
    assert figures(undisturbed) == before
