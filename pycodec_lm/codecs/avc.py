"""Clips as canonical H.264 bytes, in the form of AVC-LM: Annex B, one IDR picture at the start.

Encoding is x264's, decoding and containers are FFmpeg's, both through PyAV. `clips.py` reads the
frames that are encoded here.

Source: arXiv 2408.08459 for size, rate, quantizer and profile of AVC-LM, which is baseline; its
authors did not publish their options of x264, so whether a picture is one slice or many is a
setting.
"""

import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.bitstream import BitStreamFilterContext
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

from pycodec_lm._core import recode_avc
from pycodec_lm._files import write_file
from pycodec_lm.avc_profiles import PROFILES
from pycodec_lm.codecs.containers import (
    MAX_PIXELS,
    ClipSource,
    ffmpeg_errors,
    open_clip,
    video_stream,
)
from pycodec_lm.errors import CodecLMError, UsageError

__all__ = [
    "SLICES",
    "AvcSettings",
    "annex_b",
    "decode",
    "encode",
    "nal_units",
    "prefix_of_frames",
    "rgb",
    "to_mp4",
    "without_sei",
]

SLICES = ("picture", "macroblock")
MAX_B_FRAMES = 16  # in a row, of libx264
# Within these every clip has a level (Table A-1): 6.2 has 139,264 macroblocks a picture and
# 16,711,680 a second.
MAX_SIDE_PX = 4096
MAX_FPS = 240
# A few bytes are enough for another frame that is like the one before, of any size.
_MAX_DECODED_BYTES = 4 << 30

_SEI = 6
_SLICES_WITH_HEADER = (1, 2, 5)  # non-IDR, partition A, IDR
_SLICES = (*_SLICES_WITH_HEADER, 3, 4)  # partitions B and C
# B pictures have their places by number, not by what is in them, and no other refers to them.
_X264 = "keyint=infinite:scenecut=0:b-adapt=0:b-pyramid=none:weightp=0:sliced-threads=0:annexb=1"
# Rounds alike on every processor.
_SCALER = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT


@dataclass(frozen=True, slots=True)
class AvcSettings:
    """How clips become H.264.

    Args:
        width, height: in pixels; even, since chroma has half of them.
        fps: frames a second.
        frames: how many frames a clip has.
        qp: x264's constant quantizer, 1 to 51: that of P pictures, the first picture has 3 less.
        slices: "picture" for one slice a picture, "macroblock" for one slice a macroblock.
        profile: "baseline" (the constrained one, CAVLC), "main" (CABAC), or "high" (CABAC and the
            8x8 transform).
        b_frames: B pictures in a row between two others, 0 to 16; none in baseline. The last
            picture is not one of them.

    Raises:
        UsageError: a value is out of range.
    """

    width: int = 256
    height: int = 144
    fps: int = 3
    frames: int = 15
    qp: int = 37
    slices: str = "picture"
    profile: str = "baseline"
    b_frames: int = 0

    def __post_init__(self) -> None:
        for name, low, high in (
            ("width", 2, MAX_SIDE_PX),
            ("height", 2, MAX_SIDE_PX),
            ("fps", 1, MAX_FPS),
            ("frames", 1, 65535),
            ("qp", 1, 51),  # 0 is lossless, which none of these profiles has
            ("b_frames", 0, MAX_B_FRAMES),
        ):
            if not low <= getattr(self, name) <= high:
                raise UsageError(f"{name} = {getattr(self, name)}, must be in [{low}, {high}]")
        for name in ("width", "height"):
            if getattr(self, name) % 2:
                raise UsageError(f"{name} = {getattr(self, name)}, must be even")
        if self.slices not in SLICES:
            raise UsageError(f"slices '{self.slices}' is not one of {', '.join(SLICES)}")
        if self.profile not in PROFILES.values():
            names = ", ".join(PROFILES.values())
            raise UsageError(f"profile '{self.profile}' is not one of {names}")
        if self.b_frames and self.profile == "baseline":
            raise UsageError(
                f"b_frames = {self.b_frames}, but the baseline profile has no B pictures; "
                "ask for the profile main or high"
            )


def encode(frames: NDArray[np.uint8], settings: AvcSettings) -> bytes:
    """The frames as an Annex B stream: SPS, PPS, one IDR picture, and P and B pictures to the end.

    The same frames and settings give the same bytes, for one version of x264. They are as the
    standard has them: of CABAC slices x264 marks many behind their end, which is taken out.

    Args:
        frames: uint8 [frames, height, width, 3], RGB, as many and as large as the settings say.
        settings: size, rate, quantizer, slices and profile.

    Returns:
        The stream, without the SEI in which x264 names its version and options.

    Raises:
        UsageError: the frames have another shape or type.
        CodecLMError: this build of PyAV has no x264, or it fails.
    """
    expected = (settings.frames, settings.height, settings.width, 3)
    if frames.shape != expected or frames.dtype != np.uint8:
        raise UsageError(
            f"the frames are {frames.dtype} {frames.shape}, the settings say uint8 {expected}"
        )
    parts: list[bytes] = []
    with ffmpeg_errors("encode with libx264"):
        encoder = _encoder(settings)
        for number, frame in enumerate(frames):
            picture = _reformatted(VideoFrame.from_ndarray(frame, format="rgb24"), "yuv420p")
            picture.pts, picture.time_base = number, encoder.time_base
            parts += map(bytes, encoder.encode(picture))
        parts += map(bytes, encoder.encode(None))
    stream = without_sei(b"".join(parts))
    if settings.profile == "baseline":
        return stream
    # 7.3.2.11: behind rbsp_stop_one_bit there are zeros, which this writes anew.
    canonical, _ = recode_avc(stream, cabac=True)
    return canonical


def _encoder(settings: AvcSettings) -> VideoCodecContext:
    encoder = VideoCodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = settings.width, settings.height, "yuv420p"
    encoder.framerate = Fraction(settings.fps)
    encoder.time_base = Fraction(1, settings.fps)
    # With more, the bytes would depend on their number.
    encoder.thread_count = 1
    one_macroblock = ":slice-max-mbs=1" if settings.slices == "macroblock" else ""
    encoder.options = {
        "preset": "medium",
        "profile": settings.profile,
        "qp": str(settings.qp),
        "x264-params": f"{_X264}:bframes={settings.b_frames}{one_macroblock}",
    }
    return encoder


def _reformatted(frame: VideoFrame, pixel_format: str) -> VideoFrame:
    # More threads than one would cost more than such small pictures take.
    return frame.reformat(format=pixel_format, interpolation=int(_SCALER), threads=1)


def rgb(frame: VideoFrame) -> NDArray[np.uint8]:
    """A frame's pixels: uint8 [height, width, 3], RGB."""
    pixels: NDArray[Any] = _reformatted(frame, "rgb24").to_ndarray()
    return pixels


def nal_units(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The NAL units of a byte stream (H.264 Annex B).

    Args:
        data: start codes and NAL units, with zero bytes between them or without.

    Yields:
        The offset of a NAL unit's first byte, behind its start code, and its bytes, emulation
        prevention included. Where one ends the zero bytes and the start code of the next begin.

    Raises:
        UsageError: the data does not start with a start code, or no start code follows where a NAL
            unit ended or began.
    """
    starts = [match.end() for match in re.finditer(b"\0\0\1", data)]
    if not starts or data[: starts[0] - 1].strip(b"\0"):
        raise UsageError("these bytes do not start like an H.264 byte stream (Annex B)")
    ends = [start - 3 for start in starts[1:]] + [len(data)]
    for start, end in zip(starts, ends, strict=True):
        nal = data[start:end].rstrip(b"\0")
        if not nal:
            raise UsageError(f"there is no NAL unit behind the start code before byte {start}")
        # B.1.2: a NAL unit ends before three zero bytes, too, and then a start code must follow.
        if (zeros := nal.find(b"\0\0\0")) >= 0:
            raise UsageError(f"there is no start code behind the zero bytes at {start + zeros}")
        yield start, nal


def without_sei(data: bytes) -> bytes:
    """The stream without its SEI messages and the start codes before them."""
    kept, end = [], 0
    for start, nal in nal_units(data):
        before, end = end, start + len(nal)
        if nal[0] & 31 != _SEI:
            kept.append(data[before:end])
    return b"".join(kept)


def prefix_of_frames(data: bytes, n: int) -> bytes:
    """The stream up to the end of its n-th picture: what a model gets that shall go on from there.

    A picture is all slices that follow one another, up to the next whose first macroblock is the
    picture's first. Behind B pictures comes, in the stream, what is shown before others of it: a
    prefix is one only where the first n pictures of the stream are the first n that are shown.

    Args:
        data: an Annex B stream.
        n: how many pictures, at least 1.

    Raises:
        UsageError: `n` is out of range, the first n pictures are not the first n frames, or the
            data is no such stream.
    """
    ends: list[int] = []
    for start, nal in nal_units(data):
        kind = nal[0] & 31
        # 7.3.3: the header begins with first_mb_in_slice, ue(v), of which a single bit 1 is 0.
        if kind in _SLICES_WITH_HEADER and nal[1:2] >= b"\x80":
            ends.append(0)
        if ends and kind in _SLICES:
            ends[-1] = start + len(nal)
    if not 1 <= n <= len(ends):
        raise UsageError(f"{n} frames of a stream of {len(ends)}, must be in [1, {len(ends)}]")
    order = _order_of_frames(data)
    if not _is_coded_order(order) and max(order[:n]) != n - 1:
        raise UsageError(
            f"{n} frames: the stream has its pictures in another order than they are shown in, and "
            f"its first {n} are not the first {n} frames"
        )
    return data[: ends[n - 1]]


def _order_of_frames(data: bytes) -> list[int]:
    """The pictures' numbers in the stream, in the order in which FFmpeg shows them.

    Those that are broken may be left out.
    """
    decoder = VideoCodecContext.create("h264", "r")
    decoder.thread_count = 1
    decoder.options = {"max_pixels": str(MAX_PIXELS)}
    order: list[int] = []
    for number, packet in enumerate([*decoder.parse(data), *decoder.parse(None), None]):
        if packet is not None:
            packet.pts = number
        with suppress(av.FFmpegError):
            order += [frame.pts for frame in decoder.decode(packet) if frame.pts is not None]
    return order


def _is_coded_order(order: Sequence[int]) -> bool:
    return list(order) == sorted(order)


def decode(data: bytes) -> NDArray[np.uint8]:
    """The frames of an Annex B stream.

    Returns:
        uint8 [n, height, width, 3], RGB, in the order in which they are shown.

    Raises:
        CodecLMError: there is no frame, something is damaged, frames differ in size, or they take
            more than 4 GiB.
    """
    frames: list[NDArray[np.uint8]] = []
    with ffmpeg_errors("decode the stream"):
        for frame in _decoded(data):
            if frame.is_corrupt:
                raise CodecLMError(f"PyAV cannot decode the stream: frame {len(frames)} is damaged")
            frames.append(rgb(frame))
            if frames[-1].shape != frames[0].shape:
                raise CodecLMError("the frames of the stream differ in size")
            if len(frames) * frames[0].nbytes > _MAX_DECODED_BYTES:
                raise CodecLMError(f"the frames take more than {_MAX_DECODED_BYTES >> 30} GiB")
    if not frames:
        raise CodecLMError("PyAV cannot decode the stream: there is no frame in it")
    return np.stack(frames)


def _decoded(data: bytes) -> Iterator[VideoFrame]:
    decoder = VideoCodecContext.create("h264", "r")
    decoder.thread_count = 1
    # Unasked, FFmpeg paints over what is broken.
    decoder.options = {"err_detect": "explode", "max_pixels": str(MAX_PIXELS)}
    for packet in [*decoder.parse(data), *decoder.parse(None)]:
        yield from decoder.decode(packet)
    yield from decoder.decode(None)


def to_mp4(data: bytes, path: str | os.PathLike[str] | None, fps: int) -> bytes:
    """The stream in an MP4 file that browsers play; its pictures stay bit for bit what they are.

    Args:
        data: an Annex B stream.
        path: where to write the file; None writes none.
        fps: frames a second.

    Returns:
        The file's contents, its index at the front (so that it plays while it is loaded).

    Raises:
        UsageError: `fps` is out of range.
        CodecLMError: FFmpeg finds no picture in the data, or cannot tell when one is shown: some
            are shown in another order than the stream has them, and it is broken.
    """
    if not 1 <= fps <= MAX_FPS:
        raise UsageError(f"fps = {fps}, must be in [1, {MAX_FPS}]")
    # FFmpeg reads the file again to put the index at its front, which needs a file with a name.
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "clip.mp4"
        with ffmpeg_errors("put the stream into an MP4 file"):
            n_pictures = _remux(data, file, fps)
        if not n_pictures:
            raise CodecLMError("PyAV cannot put the stream into an MP4 file: no picture is in it")
        contents = file.read_bytes()
    if path is not None:
        write_file(path, contents)
    return contents


def _remux(data: bytes, file: Path, fps: int) -> int:
    """Writes the file; returns how many pictures it has."""
    # Without bitexact the file would name FFmpeg's version.
    options = {"movflags": "+faststart", "fflags": "+bitexact"}
    with open_clip(data, "h264") as source:
        video = video_stream(source)
        packets = [packet for packet in source.demux(video) if packet.size]  # the end has none
        times = _times_of_frames(data, len(packets))
        # A picture is decoded before it is shown.
        delay = max((number - time for number, time in enumerate(times)), default=0)
        with av.open(str(file), "w", format="mp4", options=options) as target:
            track = target.add_stream_from_template(video)
            track.time_base = Fraction(1, fps)
            for number, (packet, time) in enumerate(zip(packets, times, strict=True)):
                packet.pts, packet.dts = time, number - delay
                packet.duration, packet.time_base = 1, Fraction(1, fps)
                packet.stream = track
                target.mux(packet)
    return len(packets)


def _times_of_frames(data: bytes, n_pictures: int) -> list[int]:
    """Which frame each picture of the stream is, by the order in which they are shown."""
    order = _order_of_frames(data)
    if _is_coded_order(order):
        return list(range(n_pictures))
    if len(order) != n_pictures:
        raise CodecLMError(
            f"FFmpeg shows {len(order)} of the stream's {n_pictures} pictures, and not in their "
            "order: there is no telling when the others come"
        )
    return sorted(range(n_pictures), key=order.__getitem__)


def annex_b(source: ClipSource) -> bytes:
    """The H.264 stream of a container as Annex B, its pictures bit for bit what they are.

    Args:
        source: a path, or the contents of a file; MP4, Matroska, or any container that FFmpeg
            reads.

    Raises:
        OSError: the file cannot be opened.
        CodecLMError: it is no clip, or its video is not H.264.
    """
    with open_clip(source) as container:
        video = video_stream(container)
        if video.codec_context.name != "h264":
            raise CodecLMError(f"the video is {video.codec_context.name}, not H.264")
        with ffmpeg_errors("read the stream"):
            convert = BitStreamFilterContext("h264_mp4toannexb", video)
            return b"".join(
                bytes(part)
                for packet in container.demux(video)
                for part in convert.filter(packet if packet.size else None)
            )
