"""Checkpoint folders: what is saved comes back, and what does not fit is refused in one line."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from pycodec_lm.errors import UsageError
from pycodec_lm.models.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from pycodec_lm.models.transformer import Transformer, TransformerConfig
from pycodec_lm.tokenizer import ByteTokenizer

CLASSES = {"name": ["moon", "star"], "group": ["sky"]}
GRAMMAR = {"kind": "jpeg", "quality": 25}


def make_checkpoint(tokenizer: ByteTokenizer | None = None, **changes: object) -> Checkpoint:
    tokenizer = tokenizer or ByteTokenizer.bytes_only()
    values = {
        "vocab_size": tokenizer.vocab_size,
        "dim": 16,
        "n_layers": 1,
        "n_heads": 2,
        "max_seq_len": 32,
        "conditions": (("name", 2), ("group", 1)),
    }
    torch.manual_seed(0)
    model = Transformer(TransformerConfig(**(values | changes)))
    return Checkpoint(model, GRAMMAR, tokenizer, CLASSES, {"steps": 3})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_checkpoint(tmp_path / "model", make_checkpoint())
    return tmp_path / "model"


def edit_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config.update(changes)
    path.write_text(json.dumps(config))


@pytest.mark.parametrize("merges", [[], [(b"\xff", b"\xd8"), (b"\x00", b"\x00")]])
def test_round_trip(tmp_path: Path, merges: list[tuple[bytes, bytes]]) -> None:
    saved = make_checkpoint(ByteTokenizer(merges))
    save_checkpoint(tmp_path / "model", saved)
    loaded = load_checkpoint(tmp_path / "model")
    assert loaded.model.config == saved.model.config
    assert not loaded.model.training
    assert loaded.grammar == GRAMMAR
    assert json.loads(loaded.grammar_bytes or b"") == GRAMMAR
    assert loaded.conditions == CLASSES
    assert loaded.training == {"steps": 3}
    assert loaded.tokenizer.merges == merges
    for name, tensor in saved.model.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], tensor)
    expected = {"config.json", "model.safetensors"} | ({"tokenizer.json"} if merges else set())
    assert {path.name for path in (tmp_path / "model").iterdir()} == expected


def test_the_codec_is_kept_and_jpeg_when_nothing_is_said(tmp_path: Path, folder: Path) -> None:
    pictures = load_checkpoint(folder)
    assert pictures.codec == "jpeg"
    assert "codec" not in json.loads((folder / "config.json").read_text())
    save_checkpoint(tmp_path / "clips", dataclasses.replace(pictures, codec="avc"))
    assert load_checkpoint(tmp_path / "clips").codec == "avc"


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_16_bit_weights_take_half_and_come_back_rounded(tmp_path: Path, dtype: str) -> None:
    saved = make_checkpoint()
    save_checkpoint(tmp_path / "model", saved, dtype=dtype)
    n_bytes = (tmp_path / "model" / "model.safetensors").stat().st_size
    assert n_bytes < 2 * saved.model.n_parameters + 4096
    loaded = load_checkpoint(tmp_path / "model")
    for name, tensor in saved.model.state_dict().items():
        rounded = tensor.to(getattr(torch, dtype)).float()
        assert torch.equal(loaded.model.state_dict()[name], rounded)


def test_saving_leaves_other_files_alone_and_nothing_behind(folder: Path) -> None:
    (folder / "metrics.jsonl").write_text("kept")
    (folder / ".checkpoint.part").mkdir()  # left by a run that was killed
    save_checkpoint(folder, make_checkpoint())
    names = {path.name for path in folder.iterdir()}
    assert names == {"config.json", "model.safetensors", "metrics.jsonl"}


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no checkpoint here"):
        load_checkpoint(tmp_path / "nothing")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "other"}'])
def test_foreign_config(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text)
    with pytest.raises(UsageError, match=r"config\.json"):
        load_checkpoint(folder)


def test_version_from_the_future(folder: Path) -> None:
    edit_config(folder, version=99)
    with pytest.raises(UsageError, match="version 99"):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [("model", None), ("model", {"dim": "wide"}), ("conditions", 3), ("training", 1)],
)
def test_malformed_entries(folder: Path, key: str, value: object) -> None:
    edit_config(folder, **{key: value})
    with pytest.raises(UsageError, match=r"config\.json"):
        load_checkpoint(folder)


@pytest.mark.parametrize("data", [b"", b"\x00" * 100, b"\xff" * 20])
def test_broken_weights(folder: Path, data: bytes) -> None:
    (folder / "model.safetensors").write_bytes(data)
    with pytest.raises(UsageError, match="unreadable weights"):
        load_checkpoint(folder)


def test_missing_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(UsageError, match="no weights here"):
        load_checkpoint(folder)


def test_weights_of_another_shape(folder: Path) -> None:
    model = json.loads((folder / "config.json").read_text())["model"]
    edit_config(folder, model=model | {"ffn_dim": 48})
    with pytest.raises(UsageError, match=r"'blocks\.0\.feed_forward"):
        load_checkpoint(folder)


def test_missing_and_unknown_tensors(folder: Path) -> None:
    path = folder / "model.safetensors"
    weights = load_file(path)
    save_file({name: t for name, t in weights.items() if name != "norm.weight"}, path)
    with pytest.raises(UsageError, match=r"'norm\.weight' is missing"):
        load_checkpoint(folder)
    save_file(weights | {"extra": torch.zeros(1)}, path)
    with pytest.raises(UsageError, match="'extra' is unknown"):
        load_checkpoint(folder)


def test_another_vocabulary(tmp_path: Path, folder: Path) -> None:
    other = tmp_path / "other"
    save_checkpoint(other, make_checkpoint(ByteTokenizer([(b"a", b"b")])))
    shutil.copy(other / "tokenizer.json", folder)
    edit_config(folder, tokenizer="tokenizer.json")
    with pytest.raises(UsageError, match="vocabulary of 259 tokens, its tokenizer one of 260"):
        load_checkpoint(folder)


def test_missing_tokenizer(folder: Path) -> None:
    edit_config(folder, tokenizer="tokenizer.json")
    with pytest.raises(UsageError, match=r"tokenizer\.json"):
        load_checkpoint(folder)


def test_saving_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    checkpoint = make_checkpoint()
    with pytest.raises(UsageError, match="dtype 'int8'"):
        save_checkpoint(tmp_path / "a", checkpoint, dtype="int8")
    with pytest.raises(UsageError, match="condition classes"):
        save_checkpoint(tmp_path / "a", dataclasses.replace(checkpoint, conditions={}))
    assert not (tmp_path / "a").exists()
