"""Clips as phones and libx264 write them: high profile, CABAC, B pyramids, 8x8 transform, MP4."""

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import pycodec_lm as pcl
from pycodec_lm import _core
from pycodec_lm.avc_grammar import AvcGrammar

av = pytest.importorskip("av", reason="needs PyAV")

STYLES = [
    ("ultrafast", "film"),
    ("superfast", "animation"),
    ("veryfast", "film"),
    ("faster", "animation"),
    ("fast", "film"),
    ("medium", "animation"),
    ("medium", "film"),
    ("slow", "animation"),
    ("slower", "film"),
    ("veryslow", "animation"),
]
N_FRAMES = 14


def filmed(seed: int) -> NDArray[np.uint8]:
    """A hand-held picture with grain."""
    import clip_files

    rng = np.random.default_rng(seed)
    frames = clip_files.pan(N_FRAMES, 160, 96, seed).astype(int)
    frames += rng.integers(-9, 10, frames.shape)
    return frames.clip(0, 255).astype(np.uint8)


def phone_clip(preset: str, tune: str) -> bytes:
    """An MP4 file."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as target:
        track = target.add_stream("libx264", rate=30)
        track.height, track.width = 96, 160
        track.pix_fmt = "yuv420p"
        track.options = {"preset": preset, "tune": tune, "threads": "1", "crf": "27"}
        for picture in filmed(len(preset)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            target.mux(track.encode(frame))
        target.mux(track.encode())
    return buffer.getvalue()


@pytest.mark.parametrize(("preset", "tune"), STYLES)
def test_mp4_files_of_libx264_are_valid(preset: str, tune: str, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(phone_clip(preset, tune))
    verdict = pcl.check(path)
    assert verdict, verdict.message
    assert f"{N_FRAMES} pictures" in verdict.notes


def test_like_follows_pictures_that_libx264_signed() -> None:
    import avc_pixels

    options = {"x264-params": "bframes=0:ref=1:scenecut=0:mbtree=0:weightp=0:aq-mode=0:qp=30"}
    clip = avc_pixels.x264_stream(filmed(3), preset="medium", **options)
    assert pcl.check(clip), pcl.check(clip).message
    plain, counts = _core.recode_avc(clip, cabac=True)
    assert counts["marked slices"] > 0
    grammar = AvcGrammar.like(clip)
    assert not _core.AvcCursor(grammar).push(clip)
    status = _core.AvcCursor(AvcGrammar.like(plain)).push(plain)
    assert status, status.message
