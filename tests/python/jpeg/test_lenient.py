"""Reading on where decoders do: `check(strict=False)`."""

import csv
import random
from pathlib import Path

import pytest

import pycodec_lm as pcl
from pycodec_lm import _core
from pycodec_lm.bench.field_walk import write_random_file

EOI = b"\xff\xd9"
_FILE = next(
    data
    for data in (write_random_file(seed).data for seed in range(100))
    if len(data) < 3000 and data.count(b"\xff\xda") == 1
)
_BODY = _FILE[:-2]

_PASSED_OVER = {
    "RST after the last interval": (_BODY + b"\xff\xd3" + EOI, ["restart_unexpected"]),
    "RST after SOI": (b"\xff\xd8\xff\xd0" + _FILE[2:], ["restart_unexpected"]),
    "comment after the last scan": (_BODY + b"\xff\xfe\0\x05abc" + EOI, ["unexpected_marker"]),
    "spare bytes": (_BODY + b"\0\1\2" + EOI, ["entropy_data_after_interval"]),
    "spare bytes, then RST": (
        _BODY + b"\0\xff\xd1" + EOI,
        ["entropy_data_after_interval", "restart_unexpected"],
    ),
}


@pytest.mark.parametrize("case", _PASSED_OVER)
def test_what_decoders_pass_over_is_noted(case: str) -> None:
    data, codes = _PASSED_OVER[case]
    strict, _, _ = _core.check_jpeg(data)
    status, end, trailing, notes = _core.check_jpeg_leniently(data)
    assert (status.code, end, trailing) == ("ok", len(data), 0)
    assert [note.code for note, _ in notes] == codes
    assert notes[0][0] == strict

    verdict = pcl.check(data, strict=False)
    assert verdict.valid and verdict.notes[0].startswith(strict.message)
    assert not pcl.check(data)


def test_a_valid_file_has_no_notes() -> None:
    for seed in range(20):
        data = write_random_file(seed, portable=False).data
        assert _core.check_jpeg_leniently(data) == (*_core.check_jpeg(data), [])


def test_the_first_note_is_what_strict_says() -> None:
    """On mutants: lenient differs from strict only by going on past the first finding."""
    rng = random.Random(3)
    n_notes = 0
    for _ in range(3000):
        data = bytearray(_FILE)
        at = rng.randrange(2, len(data))
        if rng.random() < 0.5:
            data[at] ^= 1 << rng.randrange(8)
        else:
            data[at:at] = rng.randbytes(1)
        strict, end, trailing = _core.check_jpeg(data)
        lenient, its_end, its_trailing, notes = _core.check_jpeg_leniently(data)
        if notes:
            n_notes += 1
            assert notes[0][0] == strict
            assert its_end > strict.offset
        else:
            assert (lenient, its_end, its_trailing) == (strict, end, trailing)
    assert n_notes > 50


def test_the_command_line_has_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from pycodec_lm.cli.main import main

    path = tmp_path / "late.jpg"
    path.write_bytes(_PASSED_OVER["spare bytes"][0])
    assert main(["check", str(path)]) == 1
    assert main(["check", "--lenient", str(path)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert "corrupt" in out[0]
    assert "valid (JPEG); note: T.81 B.2.1" in out[1] and "3 times in a row" in out[1]


@pytest.mark.corpora
def test_lenient_refuses_no_more_than_strict() -> None:
    corpora = Path(__file__).parents[4] / "shared" / "corpora"
    if not (corpora / "jpeg.tsv").exists():
        pytest.skip("the corpora are not beside this checkout")
    with (corpora / "jpeg.tsv").open(newline="") as rows:
        names = [(row["folder"], row["file"]) for row in csv.DictReader(rows, delimiter="\t")]
    for folder, name in names:
        data = (corpora / folder / name).read_bytes()
        status = _core.check_jpeg(data)[0]
        lenient, end, _, notes = _core.check_jpeg_leniently(data)
        assert end <= len(data)
        assert bool(notes) or lenient == status
