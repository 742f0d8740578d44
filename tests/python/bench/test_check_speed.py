import io
import json
import shutil
from pathlib import Path

import avc_pixels
import numpy as np
import pytest
from clip_files import pan
from PIL import Image

from pycodec_lm.bench.avc_check_speed import measure_avc_check
from pycodec_lm.bench.check_speed import measure_check
from pycodec_lm.cli.main import main
from pycodec_lm.codecs.avc import AvcSettings, encode
from pycodec_lm.errors import CodecLMError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed in range(2):
        pixels = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
        data = io.BytesIO()
        Image.fromarray(pixels).resize((48, 40)).save(data, "JPEG", quality=25)
        (tmp_path / f"{seed}.jpg").write_bytes(data.getvalue())
    return tmp_path


def test_files_are_timed_as_they_are(folder: Path) -> None:
    paths = sorted(folder.iterdir())
    times = measure_check(paths, 3)[0]
    assert (times.coding, times.n_files) == ("as they are", 2)
    assert times.n_bytes == sum(path.stat().st_size for path in paths)
    assert {"check", "Pillow, decoding to RGB"} <= times.readers.keys()
    assert all(spread.n == 3 and spread.median > 0 for spread in times.readers.values())


@pytest.mark.skipif(shutil.which("jpegtran") is None, reason="jpegtran is not installed")
def test_other_codings_are_timed_beside_them(folder: Path) -> None:
    first, own_tables, progressive = measure_check(sorted(folder.iterdir()), 1)
    assert own_tables.coding == "each with its own Huffman tables"
    assert own_tables.n_bytes < first.n_bytes
    assert progressive.coding == "progressive"
    assert first.readers.keys() == own_tables.readers.keys() == progressive.readers.keys()


def test_a_broken_file_is_not_timed(folder: Path) -> None:
    (folder / "0.jpg").write_bytes((folder / "0.jpg").read_bytes()[:-2])
    with pytest.raises(CodecLMError, match="only valid files"):
        measure_check(sorted(folder.iterdir()), 1)


def test_the_command_reports_each_coding(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "check", str(folder), "--rounds", "1", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["as they are"]["check"]["n"] == 1


@pytest.fixture
def streams(tmp_path: Path) -> Path:
    for seed in range(2):
        data = encode(pan(3, 64, 48, seed), AvcSettings(width=64, height=48, frames=3))
        (tmp_path / f"{seed}.264").write_bytes(data)
    return tmp_path


def test_streams_are_timed_beside_libavcodec(streams: Path) -> None:
    (streams / "2.264").write_bytes((streams / "1.264").read_bytes()[:-9])
    (times,) = measure_avc_check(sorted(streams.iterdir()), 2)
    assert times.n_files == 2  # a broken one is left out
    assert list(times.readers) == [
        "check",
        "libavcodec, decoder already open",
        "libavcodec, opened by PyAV",
    ]
    assert all(spread.n == 2 and spread.median > 0 for spread in times.readers.values())


def test_profiles_are_timed_by_themselves(streams: Path) -> None:
    high = avc_pixels.x264_stream(pan(3, 64, 48), profile="high")
    (streams / "2.264").write_bytes(high)
    times = measure_avc_check(sorted(streams.iterdir()), 2)
    assert [group.coding for group in times] == ["in baseline profile", "in high profile"]
    assert [group.n_files for group in times] == [2, 1]
    assert times[1].n_bytes == len(high)


def test_no_stream_to_time(streams: Path) -> None:
    for path in streams.iterdir():
        path.write_bytes(b"no stream")
    with pytest.raises(CodecLMError, match="none of the streams"):
        measure_avc_check(sorted(streams.iterdir()), 1)


def test_the_command_reports_streams(streams: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "check", str(streams), "--rounds", "1"]) == 0
    assert "Checking H.264 streams" in capsys.readouterr().out
