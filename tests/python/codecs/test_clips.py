"""Reading clips: the right frames by their times, upright and in proportion, or a clear refusal."""

import io
from fractions import Fraction

import numpy as np
import pytest
from clip_files import audio_file, clip_file, numbered, numbers, pan
from PIL import Image

from pycodec_lm.codecs import clips
from pycodec_lm.codecs.avc import AvcSettings
from pycodec_lm.codecs.clips import Clip
from pycodec_lm.errors import CodecLMError, UsageError

FORM = AvcSettings(80, 32, fps=3, frames=6)
KINDS = [
    ("mp4", "libx264", 0),
    ("mp4", "libx264", 2),
    ("matroska", "libx264", 2),
    ("mpegts", "libx264", 2),
    ("h264", "libx264", 2),  # which has no times
    ("avi", "mpeg4", 2),
    ("mpeg", "mpeg2video", 2),
    ("gif", "gif", 0),
]


@pytest.mark.parametrize(("container", "codec", "b_frames"), KINDS)
def test_frames_are_those_nearest_in_time(container, codec, b_frames):
    clip = Clip(clip_file(numbered(150), 25, container, codec, b_frames=b_frames))
    assert clip.length_s == pytest.approx(6, abs=0.05)
    assert (clip.n_frames(3), clip.n_windows(FORM)) == (18, 3)
    for start in (0, Fraction(1), 3.6):
        expected = [round(25 * (start + i / 3)) for i in range(6)]
        assert numbers(clip.frames(FORM, start)) == expected


def test_frames_at_uneven_times():
    times_ms = [0, 40, 300, 340, 660, 670, 1300, 1390, 1700]
    clip = Clip(clip_file(numbered(9), times_ms=times_ms))
    form = AvcSettings(80, 32, fps=4, frames=7)
    nearest = [0, 2, 3, 5, 6, 6, 7]  # at 0, 250, 500 ms, ...; of two as near the earlier
    assert numbers(clip.frames(form)) == nearest


def test_slow_clips_repeat_their_frames():
    clip = Clip(clip_file(numbered(4), 1))
    assert numbers(clip.frames(FORM)) == [0, 0, 1, 1, 1, 2]


def test_clips_at_the_rate_come_out_frame_by_frame():
    clip = Clip(clip_file(numbered(20), 3))
    assert [numbers(clip.frames(FORM, start))[0] for start in clip.window_starts(FORM, 3)] == [
        0,
        7,
        13,
    ]
    assert numbers(clip.frames(FORM, Fraction(14, 3))) == list(range(14, 20))


@pytest.mark.parametrize(
    ("n_frames", "most", "starts"),
    [
        (6, 1, [0]),
        (6, 5, [0]),
        (16, 1, [5]),
        (16, 2, [1, 9]),
        (18, 9, [0, 6, 12]),
        (60, 3, [7, 27, 47]),
    ],
)
def test_windows_lie_evenly_spaced(n_frames, most, starts):
    clip = Clip(clip_file(numbered(n_frames), 3))
    assert clip.window_starts(FORM, most) == [Fraction(start, 3) for start in starts]


def test_clips_shorter_than_a_window_say_so():
    clip = Clip(clip_file(numbered(5), 3))
    assert clip.n_windows(FORM) == 0
    message = "shorter than one window: it lasts 1.67 s, 6 frames at 3 a second take 2.00 s"
    with pytest.raises(CodecLMError, match=message):
        clip.window_starts(FORM)


@pytest.mark.parametrize("start", [-0.1, 0.5, 100])
def test_windows_outside_the_clip_are_refused(start):
    clip = Clip(clip_file(numbered(6), 3))
    with pytest.raises(UsageError, match=r"6 frames at 3 a second from second .* are not in a"):
        clip.frames(FORM, start)
    with pytest.raises(UsageError, match="0 windows of a clip"):
        clip.window_starts(FORM, 0)


def test_seeking_that_fails_or_overshoots_does_no_harm(monkeypatch):
    data = clip_file(numbered(100))
    expected = Clip(data).frames(FORM, 2)
    seek = Clip._seek

    def too_far(self, container, video, to_s):
        return seek(self, container, video, to_s + 1)

    def nowhere(self, container, video, to_s):
        return False

    for broken in (too_far, nowhere):
        monkeypatch.setattr(Clip, "_seek", broken)
        np.testing.assert_array_equal(Clip(data).frames(FORM, 2), expected)


def test_frames_are_cut_to_the_proportions():
    wide = np.zeros((1, 48, 160, 3), np.uint8)
    wide[:, :, 40:120] = 255
    form = AvcSettings(40, 24, fps=25, frames=1)
    assert Clip(clip_file(wide)).frames(form).min() > 200


def test_pixels_that_are_not_square_are_made_so():
    narrow = np.zeros((1, 48, 80, 3), np.uint8)
    narrow[:, :, 20:60] = 255  # 80 of 160 when shown
    data = clip_file(narrow, pixel_aspect=Fraction(2))
    form = AvcSettings(40, 24, fps=25, frames=1)
    assert Clip(data).frames(form).min() > 200
    whole = Clip(data).frames(AvcSettings(160, 48, fps=25, frames=1))
    assert whole[0, 24, 50:110].min() > 200 and whole[0, 24, 10:30].max() < 50


def test_clips_of_turned_cameras_are_turned_upright():
    picture = np.zeros((1, 48, 64, 3), np.uint8)
    picture[:, :, :32] = 255
    data = clip_file(picture)
    # The matrix of tkhd (ISO 14496-12, 8.3.2): from none to a quarter turn clockwise.
    place = data.index(b"tkhd") + 4 + 40
    one, minus_one = (1 << 16).to_bytes(4, "big"), (-1 << 16).to_bytes(4, "big", signed=True)
    assert data[place : place + 4] == one
    turned = bytes(4) + one + bytes(4) + minus_one + bytes(20 + 4)
    data = data[:place] + turned[:32] + data[place + 32 :]
    upright = Clip(data).frames(AvcSettings(48, 64, fps=25, frames=1))[0]
    assert upright[:28].min() > 200 and upright[36:].max() < 50


def picture_file():
    buffer = io.BytesIO()
    Image.fromarray(pan(1, 64, 48)[0]).save(buffer, "PNG")
    return buffer.getvalue()


HOSTILE = {
    "empty": b"",
    "text": b"Notes on clips.\n" * 5000,
    "playlist": b"#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:6,\nclip.mp4\n#EXT-X-ENDLIST\n",
    "list of files": b"ffconcat version 1.0\nfile clip.mp4\n",
    "noise": np.random.default_rng(1).bytes(5000),
    "picture": picture_file(),
    "audio": audio_file("wav", "pcm_s16le"),
    "truncated": clip_file(numbered(150))[:3000],
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("on_disk", [False, True])
def test_what_is_no_clip_is_refused(name, on_disk, tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(HOSTILE[name])
    with pytest.raises(CodecLMError, match="not a clip that PyAV can read"):
        Clip(path if on_disk else HOSTILE[name])


def test_clips_without_video_are_refused():
    with pytest.raises(CodecLMError, match="there is no video in it"):
        Clip(audio_file())


def test_files_that_cannot_be_opened_are_the_systems_errors(tmp_path):
    with pytest.raises(FileNotFoundError):
        Clip(tmp_path / "nothing.mp4")
    with pytest.raises(OSError, match="directory"):
        Clip(tmp_path)


def test_names_are_never_addresses(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("http:clip.mp4", "concat:a|b", "clip%03d.mp4", "-"):
        (tmp_path / name).write_bytes(clip_file(numbered(4), 3))
        assert Clip(name).n_frames(3) == 4


def test_truncated_clips_are_as_long_as_what_is_there():
    data = clip_file(pan(50, 80, 32), options={"movflags": "faststart+frag_keyframe"})
    clip = Clip(data[: len(data) // 2])
    assert 0 < clip.length_s < 2
    with pytest.raises(UsageError, match="not in a clip of"):
        clip.frames(FORM)


def test_damaged_frames_are_refused():
    data = bytearray(clip_file(pan(50, 80, 32)))
    start = data.index(b"mdat")
    for place in range(start + 1500, start + 4000, 50):
        data[place] ^= 0xFF
    with pytest.raises(CodecLMError, match=r"is damaged|PyAV cannot decode the clip"):
        Clip(bytes(data)).frames(FORM)


def test_frames_that_claim_to_be_vast_are_refused(monkeypatch):
    data = clip_file(numbered(6), 3)
    monkeypatch.setattr(clips, "MAX_PIXELS", 80 * 32 - 1)
    with pytest.raises(CodecLMError, match="PyAV cannot decode the clip"):
        Clip(data).frames(FORM)
