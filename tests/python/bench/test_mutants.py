import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pycodec_lm as pcl
from pycodec_lm.bench import mutants
from pycodec_lm.bench.decoders import Complaint
from pycodec_lm.bench.evidence_figures import mutant_report
from pycodec_lm.bench.mutants import ALWAYS_WRONG, KINDS, make_mutant, try_mutants
from pycodec_lm.errors import UsageError


def picture(seed: int, **options: object) -> bytes:
    rng = np.random.default_rng(seed)
    pixels = Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8)).resize((48, 48))
    out = io.BytesIO()
    pixels.save(out, "JPEG", quality=25, **options)
    return out.getvalue()


@pytest.mark.parametrize("kind", KINDS)
def test_a_mutant_has_one_fault_and_is_made_again_by_its_seed(kind: str) -> None:
    for seed in range(12):
        data = picture(seed)
        mutant = make_mutant(data, "a.jpg", kind, seed)
        if mutant is None:
            assert kind == "a padding bit cleared"
            continue
        again = make_mutant(data, "a.jpg", kind, seed)
        assert again == mutant
        assert mutant.data != data
        # The header and EOI are what they were.
        first = data.index(b"\xff\xda") + 14
        assert mutant.data[:first] == data[:first]
        assert mutant.data.endswith(b"\xff\xd9")
        if kind in ALWAYS_WRONG:
            assert not pcl.check(mutant.data).valid


@pytest.mark.parametrize("restarts", [0, 1])
def test_the_padding_bit_is_padding(restarts: int) -> None:
    n_made = 0
    for seed in range(30):
        data = picture(seed, restart_marker_blocks=restarts)
        mutant = make_mutant(data, "a.jpg", "a padding bit cleared", seed)
        if mutant is None:
            continue
        n_made += 1
        verdict = pcl.check(mutant.data)
        assert verdict.code == "padding_bit"
    assert n_made > 10


def test_who_flags_what_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def says(paths: list[Path], _n_threads: int) -> list[tuple[Path, list[Complaint]]]:
        message = "exit code 1: Premature end of JPEG file"
        return [(path, [Complaint("djpeg", message)] if i == 0 else []) for i, path in
                enumerate(paths)]  # fmt: skip

    monkeypatch.setattr(mutants, "all_complaints", says)
    path = tmp_path / "a.jpg"
    path.write_bytes(picture(0))
    *_, report = try_mutants([path], tmp_path, seed=3)
    assert set(report.n) <= set(KINDS)
    for kind in ALWAYS_WRONG:
        assert report.flagged[kind, "check"] == report.n[kind]
    assert sum(report.flagged[kind, "djpeg"] for kind in KINDS) == 1
    assert "Mutants flagged" in mutant_report(report, 1, "command").to_markdown()


def test_what_only_djpeg_flags_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = "exit code 1: Corrupt JPEG data: bad Huffman code"

    def says(paths: list[Path], _n_threads: int) -> list[tuple[Path, list[Complaint]]]:
        return [(path, [Complaint("djpeg", message)]) for path in paths]

    monkeypatch.setattr(mutants, "all_complaints", says)
    monkeypatch.setattr(mutants, "KINDS", {"nothing": lambda *_: None})
    path = tmp_path / "a.jpg"
    path.write_bytes(picture(0))
    *_, report = try_mutants([path], tmp_path, seed=0)
    ((mutant, text),) = report.problems
    assert mutant.kind == "nothing"
    assert "bad Huffman code" in text


def test_a_file_that_is_not_valid_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(picture(0)[:-2])
    with pytest.raises(UsageError, match="no valid file to begin with"):
        next(try_mutants([path], tmp_path, seed=0))
