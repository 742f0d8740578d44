"""Training configs: strict keys, types and ranges, and what a resumed run may change."""

from pathlib import Path

import pytest

from pycodec_lm.errors import UsageError
from pycodec_lm.training.config import TrainingConfig, apply_overrides


def test_defaults_and_round_trip() -> None:
    config = TrainingConfig()
    assert TrainingConfig.from_dict({}) == config
    assert TrainingConfig.from_dict(config.to_dict()) == config


def test_toml_sections(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text(
        '[data]\nfolder = "emoji"\n[model]\ndim = 64\nn_kv_heads = 2\n'
        "[optim]\nlr = 1\n[train]\nmax_minutes = 2.5\ncompile = true\n"
    )
    config = TrainingConfig.from_dict(TrainingConfig.read_toml(path))
    assert config.data.folder == "emoji"
    assert (config.model.dim, config.model.n_kv_heads, config.model.ffn_dim) == (64, 2, None)
    assert config.optim.lr == 1.0
    assert isinstance(config.optim.lr, float)
    assert (config.train.max_minutes, config.train.compile) == (2.5, True)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"modle": {}}, r"unknown section \[modle\]"),
        ({"model": 3}, "must be a section"),
        ({"model": {"width": 3}}, r"\[model\] has an unknown key 'width'"),
        ({"optim": {"lr": "fast"}}, "optim.lr = 'fast', must be float"),
        ({"train": {"steps": 10.0}}, "train.steps = 10.0, must be int"),
        ({"train": {"steps": True}}, "train.steps = True, must be int"),
        ({"train": {"compile": 1}}, "train.compile = 1, must be bool"),
        ({"train": {"threads": "two"}}, "must be int or none"),
        ({"train": {"steps": 0}}, r"train.steps = 0, must be in \[1"),
        ({"optim": {"lr": -1.0}}, "optim.lr = -1.0, must be in"),
        ({"optim": {"lr": float("nan")}}, "optim.lr = nan, must be in"),
        ({"optim": {"schedule": "square"}}, "must be one of cosine, wsd"),
    ],
)
def test_bad_values_are_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        TrainingConfig.from_dict(values)


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    for name, data in (("a.toml", b"[model\n"), ("b.toml", b"\xff\xfe")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UsageError, match=f"{name}: unreadable config"):
            TrainingConfig.read_toml(tmp_path / name)
    with pytest.raises(UsageError, match="unreadable config"):
        TrainingConfig.read_toml(tmp_path / "missing.toml")


def test_overrides() -> None:
    before = {"optim": {"lr": 0.1}}
    values = apply_overrides(
        before, ["optim.lr=3e-4", "data.folder=my pictures", "train.compile=true"]
    )
    config = TrainingConfig.from_dict(values)
    assert config.optim.lr == 3e-4
    assert config.data.folder == "my pictures"
    assert config.train.compile is True
    assert before == {"optim": {"lr": 0.1}}


@pytest.mark.parametrize("override", ["lr=3", "optim.lr", "optim.=3", "="])
def test_malformed_overrides(override: str) -> None:
    with pytest.raises(UsageError, match=r"section\.key=value"):
        apply_overrides({}, [override])


def test_what_a_resumed_run_may_change() -> None:
    earlier = TrainingConfig()
    free = TrainingConfig.from_dict(
        {"train": {"steps": 9, "threads": 1, "log_every": 3}, "data": {"folder": "moved"}}
    )
    free.check_resumable(earlier)
    for values in ({"optim": {"lr": 0.5}}, {"train": {"seed": 1}}, {"data": {"batch_size": 3}}):
        with pytest.raises(UsageError, match="the run to resume has"):
            TrainingConfig.from_dict(values).check_resumable(earlier)
