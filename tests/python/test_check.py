"""`pycodec_lm.check`: what it reads, what it calls things, and hostile data."""

import dataclasses
import io
import random
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pycodec_lm as pcl

SIGNATURES = {
    "png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "gif": b"GIF89a",
    "webp": b"RIFF\x10\0\0\0WEBPVP8 ",
    "mp4": b"\0\0\0\x18ftypisom",
}


def jpeg(width: int = 40, height: int = 24, **options: object) -> bytes:
    pixels = np.random.default_rng(7).integers(0, 256, (height, width, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", **options)
    return out.getvalue()


JPEG = jpeg()


def test_accepts_a_file_of_pillow() -> None:
    verdict = pcl.check(JPEG)
    assert verdict == pcl.Verdict(
        valid=True,
        format="jpeg",
        family="valid",
        code="ok",
        clause="",
        element="",
        offset=len(JPEG),
        bit=0,
        message="valid",
    )
    assert verdict


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, lambda b: np.frombuffer(b, "u1")])
def test_takes_any_kind_of_bytes(kind: type) -> None:
    assert pcl.check(kind(JPEG)).valid


def test_takes_a_path_as_text_and_as_path(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(JPEG)
    assert pcl.check(path) == pcl.check(str(path)) == pcl.check(JPEG)


def test_bytes_after_the_end_are_a_note() -> None:
    verdict = pcl.check(JPEG + b"trailer")
    assert verdict.valid
    assert verdict.offset == len(JPEG)
    assert len(verdict.notes) == 1


def test_truncated_file_says_where_it_stops() -> None:
    for n_bytes in (1, 2, 3, 100, len(JPEG) // 2, len(JPEG) - 1):
        verdict = pcl.check(JPEG[:n_bytes])
        assert (verdict.valid, verdict.family, verdict.offset) == (False, "truncated", n_bytes)
        assert not verdict


def test_corrupt_file_names_clause_byte_and_bit() -> None:
    # T.81 B.2.2: Nf components take 8 + 3 Nf bytes; the length of SOF0 says otherwise.
    at = JPEG.index(b"\xff\xc0") + 2
    verdict = pcl.check(JPEG[:at] + b"\0\x02" + JPEG[at + 2 :])
    assert verdict.family == "corrupt"
    assert verdict.clause.startswith("T.81 B.")
    assert at <= verdict.offset < at + 2
    assert f"byte {verdict.offset}, bit {verdict.bit})" in verdict.message


def test_lossless_file_is_unsupported_not_corrupt() -> None:
    verdict = pcl.check(jpeg().replace(b"\xff\xc0", b"\xff\xc3"))
    assert (verdict.format, verdict.family) == ("jpeg", "unsupported")


def test_abbreviated_stream_needs_the_option_and_its_tables() -> None:
    stream, tables = jpeg(streamtype=2), jpeg(streamtype=1)
    assert not pcl.check(stream).valid
    assert pcl.check(stream, abbreviated=True, tables=tables).valid


def test_tables_may_stand_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "tables.jpg"
    path.write_bytes(jpeg(streamtype=1))
    assert pcl.check(jpeg(streamtype=2), abbreviated=True, tables=path).valid


@pytest.mark.parametrize("name", SIGNATURES)
def test_other_formats_are_called_by_their_names(name: str) -> None:
    verdict = pcl.check(SIGNATURES[name])
    assert (verdict.valid, verdict.format, verdict.family) == (False, name, "unsupported")
    assert verdict.message.startswith("this is ")


def test_h264_stream_is_checked() -> None:
    stream = pcl.AvcCursor(pcl.AvcGrammar()).complete()
    verdict = pcl.check(stream)
    assert (verdict.valid, verdict.format, verdict.notes) == (True, "h264", ("1 pictures",))
    assert pcl.check(stream[:-1]).family == "truncated"
    broken = pcl.check(stream[:5] + b"\x6e" + stream[6:])
    assert (broken.code, broken.element) == ("profile_unsupported", "profile_idc")
    assert (broken.clause, broken.offset) == ("H.264 A.2", 5)


def test_empty_data_are_truncated() -> None:
    verdict = pcl.check(b"")
    assert (verdict.format, verdict.family, verdict.offset) == ("unknown", "truncated", 0)
    assert "empty" in verdict.message


def test_random_bytes_are_no_jpeg() -> None:
    generator = random.Random(1)
    for _ in range(200):
        verdict = pcl.check(b"\x01" + generator.randbytes(generator.randrange(200)))
        assert (verdict.format, verdict.family) == ("unknown", "unsupported")


def test_random_bytes_after_a_valid_beginning_never_pass() -> None:
    generator = random.Random(2)
    for _ in range(300):
        verdict = pcl.check(JPEG[: generator.randrange(2, 600)] + generator.randbytes(300))
        assert not verdict.valid
        assert verdict.family in ("corrupt", "unsupported", "truncated")


def hostile_files() -> dict[str, bytes]:
    dht = JPEG[JPEG.index(b"\xff\xc4") :][: 2 + 0x1F]
    at = JPEG.index(b"\xff\xc0") + 5
    return {
        "length that lies": b"\xff\xd8\xff\xe0\xff\xff",
        "length of zero": b"\xff\xd8\xff\xe0\0\0",
        "10,000 DHT": b"\xff\xd8" + dht * 10_000,
        "a million fill bytes": b"\xff\xd8" + b"\xff" * 1_000_000,
        "65,535 x 65,535 pixels": JPEG[:at] + b"\xff" * 4 + JPEG[at + 4 :],
        "0 x 0 pixels": JPEG[:at] + bytes(4) + JPEG[at + 4 :],
        "255 components": b"\xff\xd8\xff\xc0\x03\x05\x08\0\x10\0\x10\xff" + bytes(765),
        "SOI without end": b"\xff\xd8" * 1000,
        "zip bomb": b"\xff\xd8" + zlib.compress(bytes(1_000_000)),
    }


@pytest.mark.parametrize("name", hostile_files())
def test_hostile_file_is_refused_in_one_line(name: str) -> None:
    verdict = pcl.check(hostile_files()[name])
    assert not verdict.valid
    assert "\n" not in verdict.message
    assert 10 < len(verdict.message) < 250


def test_folder_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(pcl.UsageError, match="is a folder"):
        pcl.check(tmp_path)


def test_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        pcl.check(tmp_path / "none.jpg")


def test_endless_file_is_not_read_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    path.write_bytes(JPEG)
    monkeypatch.setattr("pycodec_lm._files.MAX_FILE_BYTES", len(JPEG) - 1)
    with pytest.raises(pcl.UsageError, match="too large to read"):
        pcl.check(path)


@pytest.mark.parametrize("source", [3, None, io.BytesIO(JPEG), [255, 216]])
def test_what_is_neither_path_nor_bytes_is_a_usage_error(source: object) -> None:
    with pytest.raises(pcl.UsageError, match="expected a path or bytes"):
        pcl.check(source)


def test_array_of_other_numbers_is_a_usage_error() -> None:
    with pytest.raises(pcl.UsageError, match="uint8"):
        pcl.check(np.zeros(8, np.int32))


def test_verdict_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        pcl.check(JPEG).valid = False
