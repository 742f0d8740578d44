"""How fast H.264 streams are checked, beside libavcodec decoding them in the same run."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path

import av
from av.video.codeccontext import VideoCodecContext

from .._core import check_h264
from ..errors import CodecLMError
from .avc_by_profile import by_profile
from .check_speed import CheckTimes, cpu_per_file
from .measure import Spread

__all__ = ["measure_avc_check"]


def measure_avc_check(
    paths: Sequence[Path], repeats: int, on_round: Callable[[], object] = lambda: None
) -> list[CheckTimes]:
    """Times a check of each stream, libavcodec decoding it with a decoder that is open already, and
    the same as PyAV opens a file, which looks for streams first. All take turns, in one thread, and
    so do the profiles, each of which has times of its own.

    Args:
        paths: H.264 byte streams; those that the check does not support are left out.
        repeats: rounds over all files.
        on_round: called after each round.

    Raises:
        CodecLMError: no stream is valid, or libavcodec decodes another number of pictures.
    """
    groups = by_profile(path.read_bytes() for path in paths)
    if not groups:
        raise CodecLMError("none of the streams is one that the check accepts")
    decoder = _OpenDecoder()
    for data in chain.from_iterable(groups.values()):
        n, n_pictures = decoder.decode(data), check_h264(data)[1]
        if n != n_pictures:
            raise CodecLMError(f"libavcodec decodes {n} pictures of {n_pictures}")
    readers: dict[str, Callable[[bytes], object]] = {
        "check": check_h264,
        "libavcodec, decoder already open": decoder.decode,
        "libavcodec, opened by PyAV": _decode_file,
    }
    times: dict[str, dict[str, list[float]]] = {
        profile: {name: [] for name in readers} for profile in groups
    }
    for _ in range(repeats):
        for profile, streams in groups.items():
            for name, read in readers.items():
                times[profile][name].append(cpu_per_file(read, streams))
        on_round()
    return [
        CheckTimes(
            f"in {profile} profile",
            len(streams),
            sum(map(len, streams)),
            {name: Spread.of(values) for name, values in times[profile].items()},
        )
        for profile, streams in groups.items()
    ]


class _OpenDecoder:
    """One decoder for all streams: what it keeps of one is flushed before the next."""

    def __init__(self) -> None:
        self._decoder = VideoCodecContext.create("h264", "r")
        self._decoder.thread_count = 1

    def decode(self, data: bytes) -> int:
        """Pictures of a stream."""
        packets = [*self._decoder.parse(data), *self._decoder.parse(None)]
        n = sum(len(self._decoder.decode(packet)) for packet in packets)
        n += len(self._decoder.decode(None))
        self._decoder.flush_buffers()
        return n


def _decode_file(data: bytes) -> int:
    with av.open(io.BytesIO(data), "r", format="h264") as container:
        container.streams.video[0].thread_count = 1
        return len([*container.decode(video=0)])
