"""A clip that the masks led to its end, played in a browser to its last frame."""

import random
from pathlib import Path

import numpy as np
import pytest
from chromium import CHROMIUM
from clip_files import pan
from numpy.typing import NDArray
from PIL import Image
from played_clip import play

from pycodec_lm import AvcGrammar, GrammarMatcher, TokenizerInfo, check, compile_grammar
from pycodec_lm.bench.mask_walk import legal_tokens
from pycodec_lm.codecs.avc import AvcSettings, decode, encode, prefix_of_frames, to_mp4

pytestmark = [
    pytest.mark.decoders,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium on the PATH"),
]


def continued(stream: bytes, n_frames: int, seed: int) -> bytes:
    """The first frames of a clip, and others that bytes drawn from the masks are."""
    info = TokenizerInfo([bytes([i]) for i in range(256)], stop_token_ids=())
    kept = prefix_of_frames(stream, n_frames)
    matcher = GrammarMatcher(
        compile_grammar(AvcGrammar.like(stream), info), max_tokens=len(stream), prompt=kept
    )
    mask = np.zeros((1, 8), np.int32)
    choose = random.Random(seed)
    tail = bytearray()
    while not matcher.is_completed():
        matcher.fill_next_token_bitmask(mask)
        token = choose.choice(legal_tokens(mask[0]))
        assert matcher.accept_token(int(token))
        tail.append(token)
    return kept + bytes(tail)


@pytest.mark.parametrize("seed", [1, 2])
def test_chromium_shows_the_last_frame(seed: int, tmp_path: Path) -> None:
    settings = AvcSettings(width=64, height=48, frames=6)
    stream = continued(encode(pan(6, 64, 48), settings), 3, seed)
    assert check(stream)
    played = play(to_mp4(stream, None, fps=3), tmp_path)
    assert played.pixels.shape == (48, 64, 3)
    assert played.seconds == pytest.approx(6 / 3, abs=0.1)
    assert played.n_frames > 0
    frames = decode(stream)
    assert len(frames) == 6

    def distance(frame: NDArray[np.uint8]) -> float:
        # Means of 4x4 samples: browsers and FFmpeg interpolate chroma in ways of their own.
        blocks = (played.pixels.astype(int) - frame).reshape(12, 4, 16, 4, 3)
        return float(np.abs(blocks.mean((1, 3))).mean())

    assert 2 * distance(frames[-1]) < min(distance(frame) for frame in frames[:-1])


def test_the_committed_frame_is_what_chromium_shows(tmp_path: Path) -> None:
    # Frames 4 to 7 are from the model of examples/clips, behind a pan over an emoji.
    folder = Path(__file__).parents[1]
    clip = folder / "clips" / "melon.mp4"
    assert check(clip)
    played = play(clip.read_bytes(), tmp_path)
    with Image.open(folder.parent / "docs" / "figures" / "clip-in-chromium.png") as picture:
        committed = np.asarray(picture.convert("RGB"), dtype=int)
    assert played.seconds == pytest.approx(8 / 6, abs=0.1)
    # Browsers differ by roundings.
    assert np.abs(played.pixels - committed).mean() < 2
