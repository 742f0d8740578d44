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
# Slice headers differ in counters only.
PLAIN = {"x264-params": "bframes=0:ref=1:scenecut=0:mbtree=0:weightp=0:aq-mode=0:qp=30"}


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

    clip = avc_pixels.x264_stream(filmed(3), preset="medium", **PLAIN)
    assert pcl.check(clip), pcl.check(clip).message
    plain, counts = _core.recode_avc(clip, cabac=True)
    assert counts["marked slices"] > 0
    grammar = AvcGrammar.like(clip)
    assert not _core.AvcCursor(grammar).push(clip)
    status = _core.AvcCursor(AvcGrammar.like(plain)).push(plain)
    assert status, status.message


def test_budgets_hold_by_cabac() -> None:
    import avc_pixels

    from pycodec_lm.bench.mask_walk import MaskWalk, least_tokens
    from pycodec_lm.bench.vocabularies import byte_vocabulary, pair_vocabulary

    clip = avc_pixels.x264_stream(filmed(3)[:4, :48, :64], preset="medium", **PLAIN)
    grammar = AvcGrammar.like(clip)
    for info in (byte_vocabulary(), pair_vocabulary([clip], 60)):
        compiled = pcl.compile_grammar(grammar, info)
        least = least_tokens(compiled)
        for seed, factor in enumerate((1.0, 1.2, 2.0)):
            for chooser in ("token", "highest"):
                budget = int(least * factor)
                walk = MaskWalk(compiled, budget=budget, chooser=chooser, seed=seed).run()
                assert walk.n_tokens <= budget + 1  # and the stop token
                status, n_pictures = _core.check_h264(walk.stream)
                assert (status.code, n_pictures) == ("ok", 4)
