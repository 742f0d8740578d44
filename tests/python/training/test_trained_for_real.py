"""A minute of training on photographs: the model must come below the bytes it models."""

import json
import os
from pathlib import Path

import pytest

from pycodec_lm.cli.main import main

pytestmark = pytest.mark.corpora

_BESIDE_THE_CHECKOUT = Path(__file__).parents[3].parent / "shared" / "corpora"


@pytest.fixture
def photos() -> Path:
    folder = Path(os.environ.get("PYCODEC_LM_CORPORA", _BESIDE_THE_CHECKOUT)) / "photos"
    if not folder.is_dir():
        pytest.skip(f"no photographs at {folder}; set PYCODEC_LM_CORPORA to the corpora")
    return folder


# Bytes of standard tables are packed tight and have a bit phase: a minute takes a few per cent off.
# Aligned ones have room.
@pytest.mark.parametrize(("huffman", "share"), [("standard", 1.0), ("aligned", 0.7)])
def test_crops_of_photographs_cost_less_than_their_bytes(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], huffman: str, share: float
) -> None:
    data, out = tmp_path / "data", tmp_path / "model"
    prepare = ["prepare", str(photos), "-o", str(data), "--size", "32", "--crops", "10"]
    assert main([*prepare, "--restart-interval", "0", "--huffman", huffman, "--json"]) == 0
    capsys.readouterr()
    options = {
        "model.dim": 64,
        "model.n_layers": 2,
        "data.batch_size": 16,
        "data.val_samples": 64,
        "optim.lr": 4e-3,
        "optim.warmup_steps": 20,
        "train.steps": 120,
        "train.threads": 1,
    }
    sets = [word for key, value in options.items() for word in ("--set", f"{key}={value}")]
    assert main(["train", "--data", str(data), "-o", str(out), "--json", *sets]) == 0
    summary = json.loads(capsys.readouterr().out)
    log = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    untrained = next(entry["val"] for entry in log if "val" in entry)
    # Bodies are compared, not whole files: their headers are the same for all and cost nothing.
    body_bits = summary["floor"]["body_bits"]
    assert untrained["all_bits"] > body_bits
    assert summary["val"]["all_bits"] < share * body_bits
    assert summary["val"]["renormalised"] <= summary["val"]["raw"] <= summary["val"]["all_bits"]
