"""Canonical H.264 bytes: x264's, without its SEI; containers and prompts keep them bit for bit."""

import shutil
import subprocess
from fractions import Fraction
from unittest.mock import ANY

import av
import numpy as np
import pytest
from clip_files import audio_file, clip_file, pan

from pycodec_lm import AvcCursor, AvcGrammar, check
from pycodec_lm._core import recode_avc
from pycodec_lm.codecs.avc import (
    AvcSettings,
    annex_b,
    decode,
    encode,
    nal_units,
    prefix_of_frames,
    rgb,
    to_mp4,
)
from pycodec_lm.errors import CodecLMError, UsageError

SPS, PPS, SEI, IDR, NON_IDR = 7, 8, 6, 5, 1
FORMS = [
    AvcSettings(),
    AvcSettings(slices="macroblock"),
    AvcSettings(width=18, height=34, fps=25, frames=3, qp=1),
    AvcSettings(width=64, height=48, frames=1, qp=51, slices="macroblock"),
    AvcSettings(width=64, height=48, frames=6, profile="main"),
    AvcSettings(width=64, height=48, frames=6, profile="high", qp=20, slices="macroblock"),
    AvcSettings(width=64, height=48, frames=8, profile="high", b_frames=2),
    AvcSettings(width=34, height=50, frames=7, profile="main", b_frames=3, slices="macroblock"),
]
PROFILE_IDCS = {"baseline": 66, "main": 77, "high": 100}


@pytest.fixture(params=FORMS, ids=lambda f: f"{f.width}x{f.height} {f.slices} {f.profile}")
def form(request):
    return request.param


def frames_of(form):
    return pan(form.frames, form.width, form.height)


def kinds(data):
    return [nal[0] & 31 for _, nal in nal_units(data)]


def test_streams_are_one_idr_picture_and_what_follows(form):
    data = encode(frames_of(form), form)
    n_macroblocks = -(-form.width // 16) * -(-form.height // 16)
    n_slices = n_macroblocks if form.slices == "macroblock" else 1
    assert kinds(data) == [SPS, PPS] + [IDR] * n_slices + [NON_IDR] * (form.frames - 1) * n_slices
    assert b"x264" not in data
    (_, sps), *_ = nal_units(data)
    assert sps[1] == PROFILE_IDCS[form.profile]
    if form.profile == "baseline":
        assert sps[2] >> 6 == 3  # constrained: constraint_set0-1
    assert check(data).valid


@pytest.mark.parametrize("seed", range(4))
def test_streams_are_valid_to_the_last_bit(seed):
    # What x264 marks is legal in no stream that is made here.
    form = AvcSettings(64, 48, frames=4, profile="high")
    data = encode(pan(4, 64, 48, seed), form)
    assert recode_avc(data, cabac=True) == (data, ANY)
    cursor = AvcCursor(AvcGrammar.like(data))
    assert cursor.push(data).ok and cursor.is_complete()


def test_the_same_frames_are_the_same_bytes(form):
    assert encode(frames_of(form), form) == encode(frames_of(form), form)


def test_decoding_gives_what_was_encoded(form):
    frames = frames_of(form)
    decoded = decode(encode(frames, form))
    assert decoded.dtype == np.uint8
    assert decoded.shape == frames.shape
    # Coarse quantization; but no frame may be another.
    apart = [np.abs(decoded.astype(int) - frame).mean(axis=(1, 2, 3)) for frame in frames]
    assert [int(np.argmin(row)) for row in apart] == list(range(form.frames))


def test_colours_come_back():
    form = AvcSettings(32, 32, frames=1, qp=1)
    for colour in ((255, 255, 255), (0, 0, 0), (200, 30, 60), (20, 60, 220)):
        frame = np.full((1, 32, 32, 3), colour, np.uint8)
        assert np.abs(decode(encode(frame, form)).astype(int) - colour).max() <= 4


def test_settings_decide_size_and_quality():
    def size(**changes):
        form = AvcSettings(width=64, height=48, frames=4, **changes)
        return len(encode(pan(4, 64, 48), form))

    assert size(qp=20) > size(qp=37) > size(qp=51)
    assert size(slices="macroblock") > size()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 0}, r"width = 0, must be in \[2, 4096\]"),
        ({"height": 4098}, "height = 4098"),
        ({"width": 15}, "width = 15, must be even"),
        ({"height": 33}, "height = 33, must be even"),
        ({"fps": 0}, r"fps = 0, must be in \[1, 240\]"),
        ({"frames": 0}, "frames = 0"),
        ({"qp": 0}, r"qp = 0, must be in \[1, 51\]"),
        ({"qp": 52}, "qp = 52"),
        ({"slices": "row"}, "slices 'row' is not one of picture, macroblock"),
        ({"profile": "extended"}, "profile 'extended' is not one of baseline, main, high"),
        ({"profile": "main", "b_frames": 17}, r"b_frames = 17, must be in \[0, 16\]"),
        ({"b_frames": 1}, "the baseline profile has no B pictures; ask for the profile main or"),
    ],
)
def test_settings_out_of_range_are_refused(changes, message):
    with pytest.raises(UsageError, match=message):
        AvcSettings(**changes)


def test_the_largest_and_smallest_settings_encode():
    for form in (
        AvcSettings(4096, 4096, fps=240, frames=1, qp=51),
        AvcSettings(2, 2, fps=1, frames=2, qp=51),
    ):
        frames = np.zeros((form.frames, form.height, form.width, 3), np.uint8)
        assert decode(encode(frames, form)).shape == frames.shape


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((14, 144, 256, 3), np.uint8),
        np.zeros((15, 256, 144, 3), np.uint8),
        np.zeros((15, 144, 256), np.uint8),
        np.zeros((15, 144, 256, 3), np.float32),
    ],
)
def test_other_frames_than_the_settings_say_are_refused(frames):
    with pytest.raises(UsageError, match=r"the settings say uint8 \(15, 144, 256, 3\)"):
        encode(frames, AvcSettings())


def test_nal_units_lie_between_start_codes():
    stream = b"\0\0\0\1\x67\1\0\0\1\x68\0\0\3\1\0\0\0\0\1\x65\x88\0\0"
    units = [(4, b"\x67\1"), (9, b"\x68\0\0\3\1"), (19, b"\x65\x88")]
    assert list(nal_units(stream)) == units
    assert all(stream[start : start + len(nal)] == nal for start, nal in units)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "do not start like an H.264 byte stream"),
        (b"hello", "do not start like"),
        (b"x\0\0\1\x67", "do not start like"),
        (b"\0\0\1", "no NAL unit behind the start code before byte 3"),
        (b"\0\0\1\0\0\1\x67", "no NAL unit behind the start code before byte 3"),
        (b"\0\0\1\x67\0\0\0\x42", "no start code behind the zero bytes at 4"),
    ],
)
def test_what_is_no_byte_stream_is_named(data, message):
    with pytest.raises(UsageError, match=message):
        list(nal_units(data))


@pytest.mark.parametrize("slices", ["picture", "macroblock"])
@pytest.mark.parametrize("profile", ["baseline", "high"])
def test_prefixes_hold_whole_pictures(slices, profile):
    form = AvcSettings(64, 48, frames=5, slices=slices, profile=profile)
    data = encode(pan(5, 64, 48), form)
    frames = decode(data)
    for n in range(1, 6):
        prefix = prefix_of_frames(data, n)
        assert data.startswith(prefix)
        np.testing.assert_array_equal(decode(prefix), frames[:n])
    assert prefix_of_frames(data, 5) == data
    # What stands between two pictures belongs to the later one.
    one = prefix_of_frames(data, 1)
    assert prefix_of_frames(one + b"\0\0\1\x06\x05\x80" + data[len(one) :], 1) == one
    for n in (0, -1, 6):
        with pytest.raises(UsageError, match=rf"{n} frames of a stream of 5, must be in \[1, 5\]"):
            prefix_of_frames(data, n)


@pytest.mark.parametrize(("b_frames", "whole"), [(1, {1, 3, 5, 6}), (2, {1, 4, 6}), (4, {1, 6})])
def test_prefixes_of_streams_with_b_pictures_end_where_all_is_shown(b_frames, whole):
    form = AvcSettings(64, 48, frames=6, profile="main", b_frames=b_frames)
    data = encode(pan(6, 64, 48), form)
    frames = decode(data)
    for n in range(1, 7):
        if n in whole:
            np.testing.assert_array_equal(decode(prefix_of_frames(data, n)), frames[:n])
        else:
            with pytest.raises(UsageError, match=f"its first {n} are not the first {n} frames"):
                prefix_of_frames(data, n)


def test_what_is_shown_when_is_not_made_up():
    form = AvcSettings(64, 48, frames=8, profile="main", b_frames=2)
    data = encode(pan(8, 64, 48), form)
    starts = [start for start, nal in nal_units(data) if nal[0] & 31 == NON_IDR]
    broken = data[: starts[3] + 3] + data[starts[4] - 3 :]  # of a picture hardly the header
    with pytest.raises(CodecLMError, match="7 of the stream's 8 pictures, and not in their order"):
        to_mp4(broken, None, 3)


def test_mp4_files_hold_the_same_stream(form, tmp_path):
    data = encode(frames_of(form), form)
    contents = to_mp4(data, tmp_path / "clip.mp4", form.fps)
    assert (tmp_path / "clip.mp4").read_bytes() == contents == to_mp4(data, None, form.fps)
    assert annex_b(contents) == annex_b(tmp_path / "clip.mp4") == annex_b(data) == data
    assert contents.index(b"moov") < contents.index(b"mdat")
    assert b"avc1" in contents
    with av.open(tmp_path / "clip.mp4") as clip:
        video = clip.streams.video[0]
        shown = list(clip.decode(video))
        assert video.duration * video.time_base == Fraction(form.frames, form.fps)
    assert [frame.time for frame in shown] == pytest.approx(
        [i / form.fps for i in range(form.frames)]
    )
    np.testing.assert_array_equal(np.stack([rgb(frame) for frame in shown]), decode(data))


@pytest.mark.parametrize("container", ["mp4", "matroska", "mpegts", "flv", "h264"])
def test_streams_come_out_of_containers(container):
    data = clip_file(pan(12, 64, 48), container=container)
    stream = annex_b(data)
    assert {SPS, PPS, IDR, NON_IDR} <= set(kinds(stream))
    assert len(decode(stream)) == 12


HOSTILE = {
    "empty": b"",
    "text": b"Notes on clips.\n" * 50,
    "start code": b"\0\0\1",
    "truncated": clip_file(pan(12, 64, 48))[:1500],
    "picture": b"\x89PNG\r\n\x1a\n" + bytes(100),
    "audio": audio_file(),
    "noise": np.random.default_rng(1).bytes(3000),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_stream_is_refused(name):
    data = HOSTILE[name]
    with pytest.raises(CodecLMError, match="PyAV cannot decode the stream"):
        decode(data)
    with pytest.raises(CodecLMError, match=r"PyAV cannot|PyAV can read|no video"):
        to_mp4(data, None, 3)
    with pytest.raises(CodecLMError, match=r"PyAV cannot|PyAV can read|no video"):
        annex_b(data)


def test_other_codecs_are_named():
    with pytest.raises(CodecLMError, match=r"the video is mpeg4, not H\.264"):
        annex_b(clip_file(pan(3, 64, 48), codec="mpeg4"))


def test_damage_is_not_painted_over():
    data = encode(pan(15, 256, 144), AvcSettings())
    rng = np.random.default_rng(1)
    n_refused = 0
    for _ in range(40):
        broken = bytearray(data)
        broken[rng.integers(100, len(data))] ^= 1 << rng.integers(8)
        try:
            decode(bytes(broken))
        except CodecLMError:
            n_refused += 1
    assert n_refused > 10  # many a bit is a coefficient's sign


def test_frames_of_two_sizes_are_refused():
    streams = [encode(pan(1, size, 32), AvcSettings(size, 32, frames=1)) for size in (32, 48)]
    with pytest.raises(CodecLMError, match="differ in size"):
        decode(b"".join(streams))


def test_frames_that_take_too_much_memory_are_refused(monkeypatch):
    form = AvcSettings(64, 48, frames=5)
    data = encode(pan(5, 64, 48), form)
    monkeypatch.setattr("pycodec_lm.codecs.avc._MAX_DECODED_BYTES", 4 * 64 * 48 * 3)
    with pytest.raises(CodecLMError, match="the frames take more than"):
        decode(data)


@pytest.mark.parametrize("fps", [0, 241])
def test_rates_out_of_range_are_refused(fps):
    with pytest.raises(UsageError, match=rf"fps = {fps}, must be in \[1, 240\]"):
        to_mp4(b"", None, fps)


@pytest.mark.decoders
def test_ffmpeg_has_nothing_to_say(form, tmp_path):
    data = encode(frames_of(form), form)
    (tmp_path / "clip.h264").write_bytes(data)
    to_mp4(data, tmp_path / "clip.mp4", form.fps)
    assert shutil.which("ffmpeg"), "this test compares with ffmpeg"
    for name in ("clip.h264", "clip.mp4"):
        strictly = ["-v", "error", "-err_detect", "explode", "-xerror"]
        result = subprocess.run(
            ["ffmpeg", *strictly, "-i", tmp_path / name, "-f", "framemd5", "-"],
            capture_output=True,
            check=False,
        )
        assert (result.returncode, result.stderr) == (0, b"")
        lines = [line for line in result.stdout.splitlines() if not line.startswith(b"#")]
        assert len(lines) == form.frames
