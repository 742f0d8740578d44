"""The command line: help, exit codes, one-line errors, JSON, and bad input."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import pycodec_lm as pcl
from pycodec_lm.cli import main as cli
from pycodec_lm.cli._common import fail, progress


def jpeg(**options: object) -> bytes:
    out = io.BytesIO()
    Image.linear_gradient("L").resize((40, 24)).convert("RGB").save(out, "JPEG", **options)
    return out.getvalue()


JPEG = jpeg()


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(JPEG)
    return path


def run(*arguments: object, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Runs the command in a process of its own, with the package that this process uses."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "pycodec_lm", *map(str, arguments)],
        input=stdin,
        env=os.environ | {"PYTHONPATH": str(Path(pcl.__file__).parents[1])},
        capture_output=True,
        timeout=60,
        check=False,
    )


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--help"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert [name for name in cli.COMMANDS if f"\n  {name} " not in out] == []


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_listed_exists_and_helps(command: str) -> None:
    result = run(command, "--help")
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.stdout.startswith(f"usage: pycodec-lm {command}".encode())


def test_help_imports_no_command() -> None:
    code = "import sys; from pycodec_lm.cli.main import main\ntry: main(['-h'])\nfinally: " + (
        "print([m for m in sys.modules if m.startswith('pycodec_lm.cli.')], file=sys.stderr)"
    )
    result = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env=os.environ | {"PYTHONPATH": str(Path(pcl.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stderr == "['pycodec_lm.cli.main']\n"


def test_version_is_printed() -> None:
    result = run("--version")
    assert result.returncode == 0
    assert result.stdout.decode() == f"pycodec-lm {pcl.__version__}{os.linesep}"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["chek"], "there is no command 'chek'"),
        (["--nonsense"], "unrecognized arguments: --nonsense"),
        (["check"], "the following arguments are required: FILE"),
        (["check", "--nonsense", "x.jpg"], "unrecognized arguments: --nonsense"),
        (["tokenizer"], "the following arguments are required: ACTION"),
        (["tokenizer", "train", "x", "--vocab-size", "many", "-o", "y"], "invalid int value"),
    ],
)
def test_misuse_is_one_line_and_exit_code_2(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    err = capsys.readouterr().err
    assert ended.value.code == 2
    assert err.startswith("pycodec-lm")
    assert complaint in err
    assert "error: " in err
    assert err.count("\n") == 1


def test_no_command_prints_help_and_is_misuse(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    assert "commands:" in capsys.readouterr().out


def test_check_says_valid_in_one_line(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", str(photo)]) == 0
    assert capsys.readouterr() == (f"{photo}: valid (JPEG)\n", "")


def test_check_says_where_a_file_breaks(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo.write_bytes(JPEG[:-2] + b"\xff\xd0")
    assert cli.main(["check", str(photo)]) == 1
    out = capsys.readouterr().out
    assert out.startswith(f"{photo}: corrupt: T.81 ")
    assert "byte " in out
    assert out.count("\n") == 1


def test_check_goes_on_after_a_file_that_it_cannot_read(
    photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = photo.with_name("none.jpg")
    assert cli.main(["check", str(missing), str(photo)]) == 2
    out, err = capsys.readouterr()
    assert out == f"{photo}: valid (JPEG)\n"
    assert err == f"pycodec-lm check: error: {missing}: No such file or directory\n"


def test_check_quiet_prints_only_what_is_not_valid(
    photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = photo.with_name("broken.jpg")
    broken.write_bytes(JPEG[:100])
    assert cli.main(["check", "-q", str(photo), str(broken)]) == 1
    out = capsys.readouterr().out
    assert out.startswith(f"{broken}: truncated: ")
    assert out.count("\n") == 1


def test_check_json_is_one_object_a_file(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken, missing = photo.with_name("broken.jpg"), photo.with_name("none.jpg")
    broken.write_bytes(JPEG[:100])
    assert cli.main(["check", "--json", str(photo), str(broken), str(missing)]) == 2
    valid, truncated, unreadable = map(json.loads, capsys.readouterr().out.splitlines())
    assert (valid["file"], valid["valid"], valid["offset"]) == (str(photo), True, len(JPEG))
    assert (truncated["family"], truncated["offset"]) == ("truncated", 100)
    assert "No such file" in unreadable["error"]


def test_check_reads_standard_input() -> None:
    result = run("check", "-", stdin=JPEG)
    assert (result.returncode, result.stdout) == (0, f"-: valid (JPEG){os.linesep}".encode())


def test_check_refuses_a_folder_and_names_the_option(
    photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["check", str(photo.parent)]) == 2
    err = capsys.readouterr().err
    assert "is a folder" in err
    assert "-r" in err
    assert err.count("\n") == 1


def test_check_recursive_looks_into_folders(
    photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inner = photo.parent / "inner"
    inner.mkdir()
    (inner / "b.jpg").write_bytes(JPEG)
    (inner / "a.jpg").write_bytes(JPEG)
    assert cli.main(["check", "-r", str(photo.parent)]) == 0
    names = [line.partition(": ")[0] for line in capsys.readouterr().out.splitlines()]
    assert names == [str(photo), str(inner / "a.jpg"), str(inner / "b.jpg")]


def test_check_takes_the_tables_of_an_abbreviated_stream(
    photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = photo.with_name("tables.jpg")
    tables.write_bytes(jpeg(streamtype=1))
    photo.write_bytes(jpeg(streamtype=2))
    assert cli.main(["check", str(photo)]) == 1
    assert cli.main(["check", "--tables", str(tables), str(photo)]) == 0
    assert capsys.readouterr().out.endswith(f"{photo}: valid (JPEG)\n")


def test_file_name_with_a_line_break_stays_one_line(
    photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = photo.rename(photo.with_name("two\nlines.jpg"))
    assert cli.main(["check", str(odd)]) == 0
    assert capsys.readouterr().out.endswith("two\\nlines.jpg: valid (JPEG)\n")


BAD_FILES = {
    "empty": b"",
    "one byte": b"\xff",
    "truncated": JPEG[: len(JPEG) // 2],
    "random": bytes((i * 167 + 13) % 251 for i in range(5000)),
    "text": b"hello, world\n",
    "length that lies": b"\xff\xd8\xff\xe0\xff\xff",
    "10,000 DHT": b"\xff\xd8" + (b"\xff\xc4\0\x14\0" + b"\1" + bytes(15) + b"\0") * 10_000,
    "65,535 x 65,535 pixels": JPEG.replace(b"\0\x18\0\x28", b"\xff\xff\xff\xff", 1),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_file_is_one_line_and_exit_code_1(name: str, photo: Path) -> None:
    photo.write_bytes(BAD_FILES[name])
    result = run("check", photo)
    assert result.returncode == 1
    assert result.stderr == b""
    assert result.stdout.count(b"\n") == 1


def test_tokenizer_is_trained_and_shown(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "tokenizer.json"
    arguments = ["tokenizer", "train", str(photo), "-o", str(output), "--vocab-size", "280"]
    assert cli.main(arguments) == 0
    assert capsys.readouterr().out.startswith(f"{output}: 280 tokens from 1 samples; ")
    assert cli.main(["tokenizer", "show", "--json", str(output)]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["vocab_size"], shown["eos_id"]) == (280, 279)
    assert cli.main(["tokenizer", "show", "--tokens", str(output)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1 + 277


def test_tokenizer_reads_folders_and_stops_at_the_limit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(4):
        (folder / f"{i}.bin").write_bytes(bytes([i, 1]) * 400_000)
    output = tmp_path / "tokenizer.json"
    arguments = ["tokenizer", "train", str(folder), "-o", str(output), "--max-mb", "1", "--json"]
    assert cli.main(arguments) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["n_samples"], result["n_bytes"], result["is_cut"]) == (2, 1_600_000, True)


def test_tokenizer_learns_from_a_dataset(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures, data, output = tmp_path / "pictures", tmp_path / "data", tmp_path / "tokenizer.json"
    pictures.mkdir()
    for i in range(4):
        (pictures / f"{i}.jpg").write_bytes(jpeg(quality=20 * i + 20))
    assert cli.main(["prepare", str(pictures), "-o", str(data), "--size", "16", "-q"]) == 0
    assert cli.main(["tokenizer", "train", str(data), "-o", str(output)]) == 0
    assert "tokens from 3 samples; " in capsys.readouterr().out


@pytest.mark.parametrize("case", ["missing file", "empty folder", "small vocabulary", "no folder"])
def test_tokenizer_misuse_leaves_nothing_behind(
    case: str, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    source = {"missing file": tmp_path / "none", "empty folder": empty}.get(case, photo)
    output = tmp_path / ("none/t.json" if case == "no folder" else "t.json")
    size = "100" if case == "small vocabulary" else "300"
    before = sorted(tmp_path.iterdir())
    arguments = ["tokenizer", "train", str(source), "-o", str(output), "--vocab-size", size]
    assert cli.main(arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith("pycodec-lm tokenizer: error: ")
    assert err.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


def test_reader_that_goes_away_is_not_an_error(photo: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "pycodec_lm", "check", *[str(photo)] * 5000],
        env=os.environ | {"PYTHONPATH": str(Path(pcl.__file__).parents[1])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert (process.wait(timeout=60), err) == (141, b"")


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (pcl.UsageError("two\nlines"), 2, "two lines"),
        (pcl.CodecLMError("no"), 1, "no"),
        (FileNotFoundError(2, "No such file", "x"), 2, "x: No such file"),
        (MemoryError(), 2, "out of memory"),
        (ModuleNotFoundError("No module named 'torch.nn'", name="torch.nn"), 2, "'torch'"),
    ],
)
def test_errors_become_exit_codes(
    error: Exception,
    code: int,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("pycodec_lm.cli.check.check", failing)
    monkeypatch.setattr("pycodec_lm.cli.check.read_stream", failing)
    monkeypatch.setattr("pycodec_lm.cli.check._files", failing)
    assert cli.main(["check", "x"]) == code
    err = capsys.readouterr().err
    assert err.startswith("pycodec-lm check: error: ")
    assert line in err
    assert err.count("\n") == 1


def test_interrupt_is_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pycodec_lm.cli.check._files", interrupted)
    assert cli.main(["check", "x"]) == 130
    assert capsys.readouterr().err == "pycodec-lm: interrupted\n"


def test_fail_chooses_the_exit_code() -> None:
    with pytest.raises(pcl.UsageError):
        fail("misuse")
    with pytest.raises(pcl.CodecLMError, match="the answer is no") as caught:
        fail("the answer is no", exit_code=1)
    assert not isinstance(caught.value, pcl.UsageError)


class Terminal(io.StringIO):
    """Standard error as a terminal."""

    def isatty(self) -> bool:
        return True


def test_progress_draws_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream, quiet, drawn in [
        (Terminal(), False, True),
        (Terminal(), True, False),
        (io.StringIO(), False, False),
    ]:
        monkeypatch.setattr(sys, "stderr", stream)
        assert [*progress(range(3), "reading", quiet=quiet)] == [0, 1, 2]
        assert ("reading: 3/3" in stream.getvalue()) == drawn
        with progress(5, "training", quiet=quiet) as bar:
            bar.update(2, note="loss 1.5")
        assert ("training: 2/5" in stream.getvalue()) == drawn
        assert ("loss 1.5" in stream.getvalue()) == drawn
