"""`pycodec-lm complete`: a prefix of a valid file becomes a valid file."""

import io
import json
import random
from pathlib import Path

import pytest
from clip_files import pan
from PIL import Image

import pycodec_lm as pcl
from pycodec_lm.cli.main import main
from pycodec_lm.codecs.avc import AvcSettings, decode, encode, to_mp4

from .samples import FILES, by_hand, jpeg


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    return tmp_path / "prefix.jpg"


def complete(prefix: Path, *options: str) -> bytes:
    output = prefix.with_name("whole.jpg")
    assert main(["complete", str(prefix), "-o", str(output), *options]) == 0
    return output.read_bytes()


@pytest.mark.parametrize("name", [name for name in FILES if name != "trailing"])
def test_any_cut_becomes_a_file_that_decoders_read(
    name: str, prefix: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = FILES[name]
    n_cuts = min(len(data), 60)
    for n in sorted(random.Random(1).sample(range(len(data)), n_cuts)):
        prefix.write_bytes(data[:n])
        whole = complete(prefix, "--json")
        report = json.loads(capsys.readouterr().out)
        assert whole[:n] == data[:n]
        assert pcl.check(whole).valid
        assert (report["n_bytes_kept"], report["n_bytes_added"]) == (n, len(whole) - n)
        assert 0 <= report["n_mcus_filled"] <= report["n_mcus"]
        with Image.open(io.BytesIO(whole)) as image:
            image.load()


def test_clip_cut_anywhere_has_its_frames(prefix: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = AvcSettings(width=48, height=32, frames=3)
    stream = encode(pan(3, 48, 32), settings)
    n_pictures = 1
    for n in range(9, len(stream), 7):
        prefix.write_bytes(stream[:n])
        whole = complete(prefix, "--json")
        report = json.loads(capsys.readouterr().out)
        assert whole[:n] == stream[:n]
        assert pcl.check(whole).valid
        assert len(decode(whole)) == report["n_pictures"] >= n_pictures
        n_pictures = report["n_pictures"]
    assert n_pictures == 3


def test_container_is_not_completed(prefix: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stream = encode(pan(3, 48, 32), AvcSettings(48, 32, frames=3))
    to_mp4(stream[:-4], prefix, 3)
    assert main(["complete", str(prefix), "-o", str(prefix.with_name("whole.264"))]) == 1
    assert "is a container" in capsys.readouterr().err
    assert not prefix.with_name("whole.264").exists()


def test_missing_mcus_are_counted(prefix: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # 141 bytes hold the first 8 of the 9 bits of the first MCU; the next byte ends both.
    for n, n_filled in ((140, 2), (141, 2), (142, 0)):
        prefix.write_bytes(by_hand()[:n])
        whole = complete(prefix)
        assert capsys.readouterr().out == (
            f"{prefix.with_name('whole.jpg')}: {n} bytes kept, {len(whole) - n} added;"
            f" {n_filled} of 2 MCUs filled in\n"
        )
    assert whole == by_hand()


def test_what_is_missing_comes_out_flat(prefix: Path) -> None:
    data = FILES["noise"]
    prefix.write_bytes(data[: len(data) // 2])
    with Image.open(io.BytesIO(complete(prefix))) as image:
        corner = image.crop((64, 56, 72, 64))
    assert all(low == high for low, high in corner.getextrema())


@pytest.mark.parametrize("name", ["gradient", "trailing"])
def test_complete_file_is_written_as_it_is(
    name: str, prefix: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prefix.write_bytes(FILES[name])
    assert complete(prefix) == FILES[name]
    assert "already complete" in capsys.readouterr().out


def test_abbreviated_stream_is_completed(prefix: Path) -> None:
    tables = prefix.with_name("tables.jpg")
    tables.write_bytes(jpeg(streamtype=1))
    data = jpeg(streamtype=2)
    prefix.write_bytes(data[:-20])
    whole = complete(prefix, "--tables", str(tables))
    assert pcl.check(whole, abbreviated=True, tables=tables).valid


@pytest.mark.parametrize("case", ["corrupt", "text", "lossless", "too large"])
def test_no_prefix_of_a_valid_file_is_one_line_and_nothing_written(
    case: str,
    prefix: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pycodec_lm.cli.complete.MAX_FILE_BYTES", 1 << 24)
    huge = jpeg().replace(b"\0\x18\0\x28", b"\xff\xff\xff\xff", 1)
    data = {
        "corrupt": by_hand()[:141] + b"\xff\xd0",
        "text": b"hello",
        "lossless": jpeg().replace(b"\xff\xc0", b"\xff\xc3")[:400],
        "too large": huge[: huge.index(b"\xff\xda")],
    }[case]
    prefix.write_bytes(data)
    arguments = ["complete", str(prefix), "-o", str(prefix.with_name("whole.jpg"))]
    assert main(arguments) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    if case == "corrupt":
        assert "T.81 F.2.2.3" in err and "byte 141, bit 1" in err
    assert [path.name for path in prefix.parent.iterdir()] == ["prefix.jpg"]


def test_misuse_is_one_line_and_exit_code_2(
    prefix: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["complete", str(prefix), "-o", str(prefix.with_name("whole.jpg"))]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    prefix.write_bytes(by_hand()[:50])
    assert main(["complete", str(prefix), "-o", str(prefix.parent / "none" / "x.jpg")]) == 2
    assert "there is no folder" in capsys.readouterr().err
