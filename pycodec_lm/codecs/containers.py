"""Opening clips of unknown origin: which containers, how large, and what is said when it fails."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from pycodec_lm.errors import CodecLMError

__all__ = ["MAX_PIXELS", "ClipSource", "ffmpeg_errors", "open_clip", "video_stream"]

ClipSource = str | os.PathLike[str] | bytes

# Of one frame; a frame of a damaged file may claim any size, and is decoded whole.
MAX_PIXELS = 100_000_000

# FFmpeg's other demuxers read single pictures, draw text files as video, or follow what is written
# in a file to other files and servers (playlists).
_CONTAINERS = (
    "mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,obu,ivf,flv,asf,ogg,mxf,nut,"
    "gxf,dv,rm,mjpeg,yuv4mpegpipe,gif,apng"
)

# PyAV passes on what a file raises when FFmpeg looks for a place that it does not have, and has
# IndexErrors of its own where a damaged file seems to have a further stream in its middle.
_FAILURES = (av.FFmpegError, OSError, ValueError, IndexError)


@contextmanager
def ffmpeg_errors(action: str) -> Iterator[None]:
    """Turns what PyAV raises into a CodecLMError that says what could not be done.

    Raises:
        CodecLMError: "PyAV cannot `action`", and FFmpeg's reason.
    """
    try:
        yield
    except CodecLMError:
        raise
    except _FAILURES as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CodecLMError(f"PyAV cannot {action}: {reason}") from error


@contextmanager
def open_clip(source: ClipSource, container_format: str | None = None) -> Iterator[InputContainer]:
    """A clip opened for reading; closed when the block ends.

    Args:
        source: a path, or the contents of a file.
        container_format: FFmpeg's name of the format; None to find it out.

    Raises:
        OSError: the file cannot be opened.
        CodecLMError: it is not in a format that holds clips.
    """
    # Never by its name: FFmpeg takes names for addresses and for patterns of names.
    with io.BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb") as file:
        try:
            container = av.open(
                file,
                "r",
                format=container_format,
                container_options={"format_whitelist": _CONTAINERS},
                options={"max_pixels": str(MAX_PIXELS)},
                metadata_errors="replace",
            )
        # FFmpeg's reasons do not help: it has the same few for whatever is wrong.
        except _FAILURES as error:
            raise CodecLMError("not a clip that PyAV can read") from error
        with container:
            yield container


def video_stream(container: InputContainer) -> VideoStream:
    """The first video of a clip.

    Raises:
        CodecLMError: there is none, or FFmpeg has no decoder for it. The picture on a record's
            cover does not count.
    """
    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            # Contrary to PyAV's annotations it is None for codecs that are not known.
            if getattr(stream, "codec_context", None) is None:
                raise CodecLMError("FFmpeg has no decoder for its video")
            return stream
    raise CodecLMError("there is no video in it")
