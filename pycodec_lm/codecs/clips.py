"""Reading clips: any video that FFmpeg decodes, as frames of one size at a steady rate."""

import math
from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray
from PIL import Image

from pycodec_lm.codecs.avc import AvcSettings, rgb
from pycodec_lm.codecs.containers import (
    MAX_PIXELS,
    ClipSource,
    ffmpeg_errors,
    open_clip,
    video_stream,
)
from pycodec_lm.codecs.jpeg import fit
from pycodec_lm.errors import CodecLMError, UsageError

__all__ = ["Clip"]

# What FFmpeg assumes of streams that say nothing.
_DEFAULT_FPS = Fraction(25)
# Containers that know where their key frames are. In MPEG's streams FFmpeg has to search for a
# place, and the first frames behind it get the times of others.
_INDEXED = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")
# Of the width of a pixel to its height; what says more is mistaken.
_MAX_ASPECT = Fraction(8)
# By quarter turns against the clock.
_TURNS = {
    1: Image.Transpose.ROTATE_90,
    2: Image.Transpose.ROTATE_180,
    3: Image.Transpose.ROTATE_270,
}


class Clip:
    """A video file and what it holds; each read opens it anew.

    Its length is found from its packets, not from what its header says, which may be wrong.

    Args:
        source: a path, or the contents of a file.

    Attributes:
        length_s: from its first frame to the end of its last, in seconds.

    Raises:
        OSError: the file cannot be opened.
        CodecLMError: it is no clip, or has no video.

    Example:
        >>> clip = Clip("holidays.mp4")  # doctest: +SKIP
        >>> first_seconds = clip.frames(AvcSettings())  # doctest: +SKIP
    """

    def __init__(self, source: ClipSource) -> None:
        self._source = source
        with open_clip(source) as container, ffmpeg_errors("read the clip"):
            video = video_stream(container)
            rate = video.average_rate or video.guessed_rate or _DEFAULT_FPS
            self._frame_s = 1 / Fraction(rate)
            spans: list[tuple[Fraction, Fraction]] = []
            n_frames = 0
            for packet in container.demux(video):
                if packet.size == 0 or packet.is_discard or packet.is_corrupt:
                    continue
                n_frames += 1
                if packet.pts is not None:
                    start_s = packet.pts * packet.time_base
                    duration = packet.duration
                    duration_s = duration * packet.time_base if duration else self._frame_s
                    spans.append((start_s, start_s + duration_s))
            aspect = video.sample_aspect_ratio or Fraction(1)
            self._pixel_aspect = aspect if _MAX_ASPECT >= aspect >= 1 / _MAX_ASPECT else Fraction(1)
        # Raw streams have no times, and some old containers only those of key frames.
        self._has_times = len(spans) == n_frames > 0
        if not self._has_times:
            spans = [(i * self._frame_s, (i + 1) * self._frame_s) for i in range(n_frames)]
        if not spans:
            raise CodecLMError("there is no frame in it")
        self._first_s = min(spans)[0]
        self._last_s = max(spans)[0] - self._first_s
        self.length_s = max(end for _, end in spans) - self._first_s

    def n_frames(self, fps: int) -> int:
        """How many frames the clip has at a rate of `fps`."""
        # A file that rounds its times may seem shorter, or longer, than all of its frames take.
        return math.floor(self.length_s * fps + Fraction(1, 2))

    def n_windows(self, settings: AvcSettings) -> int:
        """How many windows of `settings.frames` frames the clip holds, one after the other."""
        return self.n_frames(settings.fps) // settings.frames

    def window_starts(self, settings: AvcSettings, most: int = 1) -> list[Fraction]:
        """Where windows start that lie evenly spaced in the clip, each with the same room around.

        Args:
            settings: rate and number of frames.
            most: how many windows are wanted; there are fewer where the clip holds fewer.

        Returns:
            Start times in seconds from the clip's first frame, in whole frames at `settings.fps`.

        Raises:
            UsageError: `most` is below 1.
            CodecLMError: the clip is shorter than one window.
        """
        if most < 1:
            raise UsageError(f"{most} windows of a clip, must be at least 1")
        n = min(most, self.n_windows(settings))
        if n == 0:
            raise CodecLMError(
                f"shorter than one window: it lasts {float(self.length_s):.2f} s, "
                f"{settings.frames} frames at {settings.fps} a second take "
                f"{settings.frames / settings.fps:.2f} s"
            )
        room = self.n_frames(settings.fps) - n * settings.frames
        return [
            Fraction(i * settings.frames + room * (2 * i + 1) // (2 * n), settings.fps)
            for i in range(n)
        ]

    def frames(self, settings: AvcSettings, start_s: float | Fraction = 0) -> NDArray[np.uint8]:
        """One window of the clip: of each moment the frame that is shown nearest to it.

        Args:
            settings: size, rate and number of frames. A frame is cut to the proportions and
                resampled.
            start_s: where the window starts, in seconds from the clip's first frame.

        Returns:
            uint8 [frames, height, width, 3], RGB.

        Raises:
            UsageError: the window is not inside the clip.
            OSError: the file cannot be opened.
            CodecLMError: a frame cannot be decoded.
        """
        start = Fraction(start_s)
        n_after = math.floor((self.length_s - start) * settings.fps + Fraction(1, 2))
        if start < 0 or n_after < settings.frames:
            raise UsageError(
                f"{settings.frames} frames at {settings.fps} a second from second "
                f"{float(start):.2f} are not in a clip of {float(self.length_s):.2f} s"
            )
        moments = [start + Fraction(i, settings.fps) for i in range(settings.frames)]
        fitted: list[NDArray[np.uint8]] = []
        last: VideoFrame | None = None
        with ffmpeg_errors("decode the clip"):
            for moment, frame in zip(moments, self._nearest(moments), strict=False):
                if frame.is_corrupt:
                    raise CodecLMError(f"the frame at second {float(moment):.2f} is damaged")
                # A clip of fewer frames a second gives one frame several times.
                if frame is not last:
                    last, picture = frame, self._upright(frame)
                    pixels = np.asarray(fit(picture, settings.width, settings.height))
                fitted.append(pixels)
        if len(fitted) < len(moments):
            raise CodecLMError(
                f"PyAV cannot decode the clip beyond second {float(moments[len(fitted)]):.2f}"
            )
        return np.stack(fitted)

    def _nearest(self, moments: list[Fraction]) -> Iterator[VideoFrame]:
        """The frame nearest to each moment, the earlier of two; ends where nothing is left."""
        i = 0
        before: tuple[Fraction, VideoFrame] | None = None
        for time_s, frame in self._decoded(moments[0]):
            while i < len(moments) and moments[i] <= time_s:
                is_nearer = before is None or time_s - moments[i] < moments[i] - before[0]
                yield frame if before is None or is_nearer else before[1]
                i += 1
            if i == len(moments):
                return
            before = time_s, frame
        # Frames that get lost at the end are not made up for by the last that there is; but what
        # one packet holds may be a field, or a frame that is never shown.
        if before is not None and before[0] >= self._last_s - 2 * self._frame_s:
            yield from [before[1]] * (len(moments) - i)

    def _decoded(self, from_s: Fraction) -> Iterator[tuple[Fraction, VideoFrame]]:
        """(seconds from the clip's first frame, frame), from `from_s` or somewhat before it on."""
        with open_clip(self._source) as container:
            video = video_stream(container)
            video.codec_context.thread_count = 1  # whoever reads many clips has many processes
            video.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
            has_sought = from_s > 0 and self._has_times and self._seek(container, video, from_s)
            time_s = -self._frame_s
            for frame in container.decode(video):
                if self._has_times and frame.pts is not None and frame.time_base is not None:
                    time_s = frame.pts * frame.time_base - self._first_s
                else:
                    time_s += self._frame_s
                if has_sought and time_s > from_s:
                    break  # too far
                has_sought = False
                yield time_s, frame
        if has_sought:
            yield from self._decoded(Fraction(0))

    def _seek(self, container: InputContainer, video: VideoStream, to_s: Fraction) -> bool:
        """Goes to a key frame before the moment; False where the format cannot."""
        if container.format.name not in _INDEXED or not video.time_base:
            return False
        try:
            container.seek(math.floor((self._first_s + to_s) / video.time_base), stream=video)
        except av.FFmpegError:
            return False
        return True

    def _upright(self, frame: VideoFrame) -> Image.Image:
        """The frame as it is to be shown: square pixels, and turned as the camera was."""
        image = Image.fromarray(rgb(frame))
        if self._pixel_aspect != 1:
            width = round(frame.width * self._pixel_aspect)
            image = image.resize((width, frame.height), Image.Resampling.LANCZOS)
        turn = _TURNS.get(round(frame.rotation / 90) % 4)
        return image if turn is None else image.transpose(turn)
