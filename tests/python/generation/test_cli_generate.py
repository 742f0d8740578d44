"""`pycodec-lm generate`: what it prints, what it writes, how it gives up."""

import io
import json
import re
from pathlib import Path

import pytest
from PIL import Image

import pycodec_lm as pcl
from pycodec_lm.cli.main import main
from pycodec_lm.generation import generate
from pycodec_lm.models.checkpoint import save_checkpoint

from .conftest import make_checkpoint


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("model") / "checkpoint"
    save_checkpoint(path, make_checkpoint())
    return str(path)


def error_of(capsys: pytest.CaptureFixture[str], exit_code: int, *arguments: str) -> str:
    """The one line on standard error of a command that gives up."""
    assert main(["generate", *arguments]) == exit_code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.fullmatch(r"pycodec-lm generate: error: [^\n]+\n", captured.err)
    return captured.err


def test_files_sheet_and_lines(
    folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "samples"
    arguments = ["--checkpoint", folder, "-n", "4", "-o", str(out), "--max-tokens", "80"]
    assert main(["generate", *arguments, "--class", "red apple", "star"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    names = ["000-red-apple.jpg", "001-star.jpg", "002-red-apple.jpg", "003-star.jpg"]
    assert sorted(path.name for path in out.iterdir()) == [*names, "sheet.png"]
    expected = generate(folder, n=4, classes=["red apple", "star"], max_tokens=80)
    for name, file in zip(names, expected, strict=True):
        assert (out / name).read_bytes() == file.data
        assert pcl.check(out / name).valid
    with Image.open(out / "sheet.png") as sheet:
        sheet.load()
        assert sheet.format == "PNG"
    lines = captured.out.splitlines()
    assert [line.split(":")[0] for line in lines[:4]] == [str(out / name) for name in names]
    assert re.fullmatch(
        r".*: valid, \d+ bytes, \d+ tokens \(\d+ forced\), vetoed \d+\.\d %,"
        r" allowed mass \d+\.\d\d %, log-probability -\d+\.\d(, ended by the budget)?",
        lines[0],
    )
    assert lines[4] == str(out / "sheet.png")
    assert re.fullmatch(
        r"4 files, 4 valid, \d+\.\d s, the mask vetoed \d+\.\d % of draws", lines[5]
    )
    assert len(lines) == 6


def test_json_has_an_object_a_file_and_one_for_all(
    folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--checkpoint", folder, "-n", "2", "-o", str(tmp_path), "--max-tokens", "50"]
    assert main(["generate", *arguments, "--no-class", "--seed", "9", "--json"]) == 0
    first, second, whole = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["file"], first["seed"]) == (str(tmp_path / "000.jpg"), 9)
    assert (second["file"], second["seed"]) == (str(tmp_path / "001.jpg"), 10)
    assert first["valid"]
    assert first["ended_by_budget"]
    assert 0 < first["mean_allowed_mass"] <= 1
    assert (whole["files"], whole["valid"], whole["ended_by_budget"]) == (2, 2, 2)
    assert whole["sheet"] == str(tmp_path / "sheet.png")


def test_without_mask_broken_files_are_kept_and_the_exit_code_says_so(
    folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--checkpoint", folder, "-n", "2", "-o", str(tmp_path), "--max-tokens", "50"]
    assert main(["generate", *arguments, "--no-mask", "--temperature", "1.5", "--top-p", "1"]) == 1
    out = capsys.readouterr().out
    assert ": corrupt: T.81 " in out
    assert re.search(r"^2 files, 0 valid, \d+\.\d s, without a mask$", out, re.MULTILINE)
    assert len(list(tmp_path.glob("00*.jpg"))) == 2


def test_stream_writes_the_file_to_standard_output(
    folder: str, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    out = tmp_path / "samples"
    arguments = ["--checkpoint", folder, "-n", "1", "-o", str(out), "--max-tokens", "50"]
    assert main(["generate", *arguments, "--stream", "--class", "star"]) == 0
    captured = capfdbinary.readouterr()
    assert captured.out == generate(folder, classes=["star"], max_tokens=50)[0].data
    assert captured.err.startswith(b"standard output: valid, ")
    assert not out.exists()


def test_prompts_are_taken_from_a_picture(
    folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.linear_gradient("L").save(tmp_path / "picture.png")
    arguments = ["--checkpoint", folder, "-n", "2", "-o", str(tmp_path), "--max-tokens", "60"]
    prompt = ["--prompt", str(tmp_path / "picture.png"), "--keep", "0.75"]
    assert main(["generate", *arguments, *prompt, "--no-class"]) == 0
    assert "2 files, 2 valid" in capsys.readouterr().out
    both = [(tmp_path / f"00{i}.jpg").read_bytes() for i in (0, 1)]
    first_difference = next(i for i, (a, b) in enumerate(zip(*both, strict=False)) if a != b)
    assert b"\xff\xd2" in both[0][:first_difference]
    with Image.open(io.BytesIO(both[0])) as image:
        assert image.convert("L").getpixel((4, 4)) < 60 < image.convert("L").getpixel((4, 28))


def test_list_classes(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "--checkpoint", folder, "--list-classes"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "name (3):",
        "  red apple",
        "  full moon",
        "  star",
        "subgroup (2):",
        "  food-fruit",
        "  sky & weather",
    ]
    assert main(["generate", "--checkpoint", folder, "--list-classes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == ["red apple", "full moon", "star"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--max-tokens", "10"], "max_tokens leaves 10 tokens, but the shortest file .* takes 25"),
        (["--max-tokens", "9999"], "the model has positions for 512 tokens"),
        (["--class", "apple"], r"no class 'apple'; did you mean red apple\?"),
        (["-n", "0"], "-n 0: ask for at least one file"),
        (["--batch", "0"], "batch = 0"),
        (["--temperature", "-1"], "temperature = -1.0"),
        (["--top-p", "0"], r"top_p = 0.0, must be in \(0, 1\]"),
        (["--prompt", "missing.png"], r"missing\.png: No such file"),
        (["--keep", "2", "--prompt", "missing.png"], "keep = 2.0"),
        (["--stream"], "--stream writes one file"),
        (["--class", "star", "--no-class"], "--class or --no-class, not both"),
        (["--device", "abacus"], "device 'abacus' cannot be used"),
        (["--checkpoint", "missing"], "missing: no checkpoint here"),
    ],
)
def test_misuse_is_one_line_and_leaves_nothing_behind(
    folder: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    complaint: str,
) -> None:
    out = tmp_path / "samples"
    line = error_of(capsys, 2, "--checkpoint", folder, "-o", str(out), *arguments)
    assert re.search(complaint, line)
    assert not out.exists()


def test_a_file_in_the_place_of_the_folder(
    folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "samples"
    place.write_bytes(b"mine")
    assert "is a file" in error_of(capsys, 2, "--checkpoint", folder, "-o", str(place))
    assert place.read_bytes() == b"mine"


def test_a_checkpoint_of_another_vocabulary(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "checkpoint"
    save_checkpoint(folder, make_checkpoint())
    config = json.loads((folder / "config.json").read_text())
    config["tokenizer"] = "tokenizer.json"
    (folder / "config.json").write_text(json.dumps(config))
    pcl.ByteTokenizer([(b"\xff", b"\xd9")]).save(folder / "tokenizer.json")
    line = error_of(capsys, 2, "--checkpoint", str(folder))
    assert "vocabulary of 259 tokens, its tokenizer one of 260" in line


def test_a_vocabulary_that_misses_a_byte(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "checkpoint"
    save_checkpoint(folder, make_checkpoint(merges=[(b"\xff", b"\xd9")]))
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text())
    del content["model"]["vocab"][chr(0x2800 + 0x41)]
    path.write_text(json.dumps(content))
    line = error_of(capsys, 2, "--checkpoint", str(folder))
    assert "tokenizer.json" in line


def test_a_build_without_a_default_model_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pycodec_lm.generation.api._EMBEDDED", "assets/nothing")
    line = error_of(capsys, 2, "-o", str(tmp_path / "samples"))
    assert "without its default model: name a checkpoint" in line


def test_a_disk_that_fails_leaves_no_half_a_file(
    folder: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(Path, "replace", fail)
    line = error_of(capsys, 2, "--checkpoint", folder, "-n", "1", "-o", str(tmp_path))
    assert "No space left on device" in line
    assert list(tmp_path.iterdir()) == []
