"""Clips for tests: a camera that pans over a picture, and frames that carry their number."""

import io
import math
from fractions import Fraction

import av
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

N_BITS = 10


def pan(n: int, width: int, height: int, seed: int = 0) -> NDArray[np.uint8]:
    """uint8 [n, height, width, 3]: a window that moves over smooth patches of colour."""
    rng = np.random.default_rng(seed)
    size = (height // 8 + n // 2 + 2, width // 8 + n // 2 + 2, 3)
    patches = rng.integers(0, 256, size, dtype=np.uint8)
    ground = patches.repeat(8, axis=0).repeat(8, axis=1)
    return np.stack([ground[2 * i : 2 * i + height, 3 * i : 3 * i + width] for i in range(n)])


def numbered(n: int, width: int = 80, height: int = 32) -> NDArray[np.uint8]:
    """uint8 [n, height, width, 3]: N_BITS bars across, white where the number has a 1."""
    bits = np.arange(n)[:, None] >> np.arange(N_BITS) & 1
    bars = (255 * bits).astype(np.uint8).repeat(width // N_BITS, axis=1)
    return np.broadcast_to(bars[:, None, :, None], (n, height, width, 3)).copy()


def numbers(frames: NDArray[np.uint8]) -> list[int]:
    """What `numbered` wrote into frames, whatever became of their size."""
    n, height, width, _ = frames.shape
    middles = (2 * np.arange(N_BITS) + 1) * width // (2 * N_BITS)
    bits = frames[:, height // 2, middles, 1] > 127
    return [int(value) for value in (bits << np.arange(N_BITS)).sum(axis=1).reshape(n)]


def clip_file(
    frames: NDArray[np.uint8],
    fps: int = 25,
    container: str = "mp4",
    codec: str = "libx264",
    *,
    times_ms: list[int] | None = None,
    b_frames: int = 0,
    pixel_aspect: Fraction = Fraction(1),
    options: dict[str, str] | None = None,
) -> bytes:
    """A video file with a key frame every 10 frames."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container, options=options or {}) as target:
        track = target.add_stream(codec, rate=fps)
        track.width, track.height = frames.shape[2], frames.shape[1]
        track.pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
        track.gop_size = 10
        track.codec_context.max_b_frames = b_frames
        track.codec_context.thread_count = 1
        track.codec_context.sample_aspect_ratio = pixel_aspect
        if times_ms is not None:
            track.codec_context.time_base = Fraction(1, 1000)
        for i, pixels in enumerate(frames):
            frame = VideoFrame.from_ndarray(pixels, format="rgb24")
            if times_ms is not None:
                frame.pts, frame.time_base = times_ms[i], Fraction(1, 1000)
            target.mux(track.encode(frame))
        target.mux(track.encode(None))
    return buffer.getvalue()


def audio_file(container: str = "mp4", codec: str = "aac") -> bytes:
    """Half a second of a tone."""
    buffer = io.BytesIO()
    rate = 8000
    with av.open(buffer, "w", format=container) as target:
        track = target.add_stream(codec, rate=rate)
        wave = [math.sin(2 * math.pi * 440 * i / rate) for i in range(rate // 2)]
        frame = av.AudioFrame.from_ndarray(
            np.array([wave], dtype=np.float32), format="fltp", layout="mono"
        )
        frame.sample_rate = rate
        target.mux(track.encode(frame))
        target.mux(track.encode(None))
    return buffer.getvalue()
