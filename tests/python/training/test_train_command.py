"""`pycodec-lm train` as a user meets it: output, exit codes, one line for what is wrong."""

import json
from pathlib import Path

import pytest

from pycodec_lm.cli.main import main
from pycodec_lm.models.checkpoint import load_checkpoint

from .conftest import TINY


def sets(*overrides: str) -> list[str]:
    return [word for override in (*TINY, *overrides) for word in ("--set", override)]


def test_train_prints_validation_and_leaves_a_checkpoint(
    toy_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "model"
    assert main(["train", "--data", str(toy_dataset), "-o", str(out), "--steps", "3", *sets()]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "bits per image: file" in captured.out
    assert "step 3: raw" in captured.out
    assert load_checkpoint(out).training["steps"] == 3


def test_a_config_file_and_json(
    toy_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "run.toml"
    config.write_text(f'[data]\nfolder = "{toy_dataset}"\n[train]\nsteps = 50\n')
    out = tmp_path / "model"
    arguments = ["train", str(config), "-o", str(out), "--json", *sets("train.steps=2")]
    assert main(arguments) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["checkpoint"] == str(out)
    assert summary["steps"] == 2
    assert summary["val"]["raw"] > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "{tmp}/nothing"], "no dataset here"),
        (["--data", "{tmp}"], "make one with `pycodec-lm prepare`"),
        ([], "use --data"),
        (["{tmp}/missing.toml"], "unreadable config"),
        (["--data", "{toy}", "--set", "optim.speed=3"], "unknown key 'speed'"),
        (["--data", "{toy}", "--steps", "0"], "train.steps = 0"),
        (["--data", "{toy}", "--resume", "--set", "model.dim=33"], "even width"),
    ],
)
def test_misuse_is_one_line_and_exit_code_2(
    toy_dataset: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    filled = [word.format(tmp=tmp_path, toy=toy_dataset) for word in arguments]
    assert main(["train", *filled, "-o", str(tmp_path / "model")]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("pycodec-lm train: error: ")
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert not (tmp_path / "model").exists()


def test_out_that_is_a_file(
    toy_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model").write_text("mine")
    assert main(["train", "--data", str(toy_dataset), "-o", str(tmp_path / "model")]) == 2
    assert "is a file" in capsys.readouterr().err
    assert (tmp_path / "model").read_text() == "mine"


def test_a_broken_state_is_refused(
    toy_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "model"
    out.mkdir()
    (out / "training_state.pt").write_bytes(b"rubbish")
    assert main(["train", "--data", str(toy_dataset), "-o", str(out), "--resume"]) == 2
    assert "unreadable training state" in capsys.readouterr().err
