"""What a matcher takes of memory in the middle of a B picture of 1920x1088, High profile, CABAC."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from .._core import CompiledGrammar, GrammarMatcher, compile_grammar
from ..avc_grammar import AvcGrammar
from ..codecs.avc import nal_units
from .matcher_memory import bytes_in_use
from .vocabularies import byte_vocabulary

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["LARGE_HEIGHT", "LARGE_WIDTH", "LargeMemory", "large_clip", "measure_large_memory"]

LARGE_WIDTH, LARGE_HEIGHT = 1920, 1088
_BAND_PX = 32
_FRAMES = 4  # coded as I, P, B that is kept for reference, B that is not
_SLICES = (1, 5)
_N_FORKS = 16
_WRITTEN_BYTES = 16  # of the stream, by each fork


@dataclass(frozen=True)
class LargeMemory:
    """Bytes by the allocator, of matchers without history."""

    n_mbs: int
    matcher_bytes: int  # half a B picture behind two reference pictures with motion
    motion_bytes: int  # of one reference picture: what a P picture adds, once it is whole
    fork_bytes: float
    written_bytes: float  # what a fork adds besides, once it has gone on

    @property
    def state_bytes(self) -> int:
        """Without the motion of the two reference pictures, which all copies share."""
        return self.matcher_bytes - 2 * self.motion_bytes


@cache
def large_clip() -> bytes:
    """Four pictures of patches in bands, each of which moves at a speed of its own."""
    from av.video.codeccontext import VideoCodecContext
    from av.video.frame import VideoFrame

    encoder = VideoCodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = LARGE_WIDTH, LARGE_HEIGHT, "yuv420p"
    encoder.framerate, encoder.time_base = Fraction(25), Fraction(1, 25)
    encoder.thread_count = 1
    params = "keyint=infinite:bframes=2:b-adapt=0:b-pyramid=normal"
    encoder.options = {"profile": "high", "preset": "veryfast", "qp": "30", "x264-params": params}
    stream = b""
    for number in range(_FRAMES):
        picture = VideoFrame.from_ndarray(_moved(number), format="rgb24")
        picture.pts, picture.time_base = number, encoder.time_base
        stream += b"".join(map(bytes, encoder.encode(picture)))
    return stream + b"".join(map(bytes, encoder.encode(None)))


def _moved(number: int) -> NDArray[np.uint8]:
    """uint8 [LARGE_HEIGHT, LARGE_WIDTH, 3]."""
    rng = np.random.default_rng(5)
    bands = LARGE_HEIGHT // _BAND_PX
    ground = rng.integers(0, 256, (bands, LARGE_WIDTH // 16 + 4, 3), np.uint8)
    ground = ground.repeat(_BAND_PX, axis=0).repeat(16, axis=1)
    shifts = number * (1 + np.arange(bands) % 7)
    columns = shifts.repeat(_BAND_PX)[:, None] + np.arange(LARGE_WIDTH)
    moved: NDArray[np.uint8] = np.take_along_axis(ground, columns[..., None], axis=1)
    return moved


def measure_large_memory() -> LargeMemory:
    """Measures matchers of the grammar of that size along `large_clip()`."""
    clip = large_clip()
    grammar = AvcGrammar(portable=False, width=LARGE_WIDTH, height=LARGE_HEIGHT)
    compiled = compile_grammar(grammar, byte_vocabulary())
    slices = [range(at, at + len(nal)) for at, nal in nal_units(clip) if nal[0] & 31 in _SLICES]
    idr, p, _, last = slices
    middle = (last.start + last.stop) // 2
    GrammarMatcher(compiled, prompt=clip[:middle])  # what all share is there now
    behind_idr, behind_p, half = (
        _bytes_of(compiled, clip[:end]) for end in (idr.stop, p.stop, middle)
    )
    matcher = GrammarMatcher(compiled, prompt=clip[:middle])
    before = bytes_in_use()
    forks = [matcher.fork() for _ in range(_N_FORKS)]
    forked = bytes_in_use()
    for fork in forks:
        fork.accept_bytes(clip[middle : middle + _WRITTEN_BYTES])
    return LargeMemory(
        n_mbs=LARGE_WIDTH * LARGE_HEIGHT // 256,
        matcher_bytes=half,
        motion_bytes=behind_p - behind_idr,
        fork_bytes=(forked - before) / _N_FORKS,
        written_bytes=(bytes_in_use() - forked) / _N_FORKS,
    )


def _bytes_of(compiled: CompiledGrammar, prompt: bytes) -> int:
    before = bytes_in_use()
    matcher = GrammarMatcher(compiled, prompt=prompt)
    taken = bytes_in_use() - before
    del matcher
    return taken
