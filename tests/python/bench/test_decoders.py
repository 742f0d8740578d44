import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pycodec_lm import read_coefficients
from pycodec_lm.bench.decoders import (
    LibjpegPeer,
    complaints,
    ffmpeg_reads_sampling,
    planes_differ,
)
from pycodec_lm.errors import CodecLMError


def picture(tmp_path: Path) -> Path:
    noise = np.random.default_rng(0).integers(0, 256, (40, 52, 3), np.uint8)
    path = tmp_path / "picture.jpg"
    Image.fromarray(noise).save(path, quality=50, subsampling="4:2:0")
    return path


def libjpeg(tmp_path: Path) -> LibjpegPeer:
    try:
        return LibjpegPeer(tmp_path)
    except CodecLMError as error:
        pytest.skip(str(error))


def test_a_good_file_is_clean_and_a_cut_one_is_not(tmp_path: Path) -> None:
    path = picture(tmp_path)
    assert complaints(path) == []
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(path.read_bytes()[:900])
    assert "Pillow" in {complaint.decoder for complaint in complaints(cut)}
    assert not any(complaint.is_excused for complaint in complaints(cut))


def test_what_is_no_jpeg_at_all_is_a_complaint_not_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "text.jpg"
    path.write_bytes(b"hello")
    assert "Pillow" in {complaint.decoder for complaint in complaints(path)}


def test_libjpeg_reads_the_coefficients_that_we_read(tmp_path: Path) -> None:
    path = picture(tmp_path)
    ours = read_coefficients(path.read_bytes())
    theirs, again = libjpeg(tmp_path).coefficients([path, path])
    assert isinstance(theirs, list)
    assert isinstance(again, list)
    assert [plane.shape for plane in theirs] == [(6, 8, 64), (3, 4, 64), (3, 4, 64)]
    assert planes_differ(ours, theirs) is None
    assert planes_differ(theirs, again) is None


def test_libjpeg_says_what_it_cannot_read_and_goes_on(tmp_path: Path) -> None:
    path = picture(tmp_path)
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(path.read_bytes()[:300] + b"\xff\xd9")
    text = tmp_path / "text.jpg"
    text.write_bytes(b"hello")
    answers = [*libjpeg(tmp_path).coefficients([broken, text, path])]
    assert [isinstance(answer, list) for answer in answers] == [False, False, True]


def test_libjpeg_is_timed_per_file(tmp_path: Path) -> None:
    times = libjpeg(tmp_path).time_entropy_decoding([picture(tmp_path)], repeats=3)
    assert len(times) == 3
    assert min(times) > 0


def test_a_coefficient_that_differs_is_named() -> None:
    ours = [np.zeros((2, 3, 64), np.int16)]
    theirs = [np.zeros((2, 4, 64), np.int16)]
    assert planes_differ(ours, theirs) is None
    theirs[0][1, 2, 5] = 7
    assert planes_differ(ours, theirs) == (
        "component 0, block (2, 1), coefficient 5 is 0, in libjpeg 7"
    )
    theirs[0][1, 2, 5] = 0
    theirs[0][0, 3, 0] = 1
    assert planes_differ(ours, theirs) is None, "a refinement of DC, filling an MCU"
    theirs[0][0, 3, 1] = 1
    assert (
        planes_differ(ours, theirs)
        == "component 0 has more AC coefficients that are not 0 in libjpeg"
    )
    assert planes_differ(ours, []) == "1 components, but libjpeg reads 0"
    assert planes_differ(theirs, ours) == "component 0 has 4 x 2 blocks, in libjpeg 3 x 2"


@pytest.mark.parametrize(
    ("sampling", "is_read"),
    [
        ([(3, 3)], True),
        ([(1, 1), (1, 1), (1, 1)], True),
        ([(2, 2), (2, 2), (2, 2)], True),
        ([(2, 2), (1, 1), (1, 1)], True),
        ([(2, 2), (1, 2), (1, 2)], True),
        ([(4, 1), (1, 1), (1, 1)], True),
        ([(1, 3), (1, 1), (1, 1)], False),
        ([(1, 1), (2, 2), (1, 1)], False),
        ([(2, 2), (1, 1), (1, 1), (2, 2)], True),
        ([(4, 4), (1, 1), (1, 1), (4, 4)], False),
    ],
)
def test_ffmpeg_has_pixel_formats_for_some_samplings(
    sampling: list[tuple[int, int]], is_read: bool
) -> None:
    assert ffmpeg_reads_sampling(sampling) is is_read


def test_the_same_words_excuse_ffmpeg_only_for_factors_it_does_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pycodec_lm.bench import decoders

    message = "Not yet implemented in FFmpeg, patches welcome"
    monkeypatch.setattr(decoders, "_RUN", {"ffmpeg": lambda _path: message})
    monkeypatch.setattr(decoders, "available_decoders", lambda: ["ffmpeg"])
    path = picture(tmp_path)
    assert [c.is_excused for c in complaints(path)] == [False]
    data = path.read_bytes()
    at = data.index(b"\xff\xc0") + 11  # H and V of the first component, 2 x 2
    assert data[at] == 0x22
    path.write_bytes(data[:at] + b"\x13" + data[at + 1 :])
    assert [c.is_excused for c in complaints(path)] == [True]


def test_pillow_warnings_are_complaints(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.new("L", (8, 8)).save(stream, "JPEG")
    data = stream.getvalue()
    # An MPF segment that leads nowhere: Pillow only warns.
    segment = b"MPF\x00MM\x00*\x00\x00\x00\x08\x00\x00"
    path = tmp_path / "mpf.jpg"
    app2 = b"\xff\xe2" + (len(segment) + 2).to_bytes(2, "big") + segment
    path.write_bytes(data[:20] + app2 + data[20:])
    assert [c.decoder for c in complaints(path) if c.decoder == "Pillow"] == ["Pillow"]
