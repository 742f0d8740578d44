"""What is in the pictures of an H.264 stream, and clips of it in all colours of libx264."""

import hashlib
import io
from fractions import Fraction

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from numpy.typing import NDArray


def frame_hashes(data: bytes) -> list[str]:
    """A hash of each picture that libavcodec gives, in the order they come out.

    Raises:
        av.FFmpegError: it finds anything wrong.
    """
    hashes = []
    strict = {"err_detect": "explode"}
    with av.open(io.BytesIO(data), format="h264", options=strict) as container:
        for frame in container.decode(video=0):
            hashed = hashlib.sha256()
            for i, plane in enumerate(frame.planes):
                width = frame.width if i == 0 else (frame.width + 1) // 2
                rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
                hashed.update(rows[:, :width].tobytes())
            hashes.append(hashed.hexdigest())
    return hashes


def x264_stream(frames: NDArray[np.uint8], **options: str) -> bytes:
    """Frames, uint8 [n, height, width, 3], as an Annex B stream.

    Args:
        options: of libx264.
    """
    encoder = av.CodecContext.create("libx264", "w")
    assert isinstance(encoder, VideoCodecContext)
    encoder.height, encoder.width = frames.shape[1:3]
    encoder.pix_fmt = "yuv420p"
    encoder.time_base = Fraction(1, 25)
    encoder.options = {"threads": "1", **options}
    data = b""
    for frame in frames:
        picture = VideoFrame.from_ndarray(frame, format="rgb24")
        data += b"".join(bytes(packet) for packet in encoder.encode(picture))
    return data + b"".join(bytes(packet) for packet in encoder.encode(None))
