"""The frames of a stream, as far as they can be decoded, as data URIs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .picture import data_uri, image_uri

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.frame import VideoFrame

    from .avc_model import AvcInspection

__all__ = ["frame_uris"]

# What keeps decoding short and a page small, whatever the stream.
_MAX_FRAMES = 300
_MAX_PIXELS = 200_000_000
_MAX_CHARACTERS = 1_000_000
# Sides and qualities to try, the best first.
_FORMS = ((1024, 88), (640, 80), (384, 70), (256, 50), (128, 40))
_START_CODE = b"\0\0\1"


def frame_uris(inspection: AvcInspection) -> tuple[list[str], str]:
    """Decodes what is there.

    Returns:
        A data URI for each picture, empty where it was not decoded, and a sentence for the caption.
    """
    uris = [""] * len(inspection.pictures)
    n_pixels = max(1, inspection.width * inspection.height)
    n_frames = min(len(uris), _MAX_FRAMES, _MAX_PIXELS // n_pixels)
    if not n_frames:
        return uris, f"Not decoded: more than {_MAX_PIXELS // 1_000_000} million pixels."
    reduced = False
    for index, frame in _decoded(inspection, n_frames):
        uris[index], is_smaller = _uri(frame, _MAX_CHARACTERS // n_frames)
        reduced = reduced or is_smaller
    n_decoded = sum(map(bool, uris))
    if not n_decoded:
        return uris, "FFmpeg decodes no frame of it."
    notes = "Decoded by FFmpeg" if inspection.verdict.valid else "As far as FFmpeg decodes it"
    notes += ", reduced." if reduced else "."
    if n_decoded < len(uris):
        notes += f" {n_decoded:,} of {len(uris):,} pictures are in this page."
    if not inspection.verdict.valid:
        notes += " Where there is no map, nothing was read."
    return uris, notes


def _decoded(inspection: AvcInspection, n_frames: int) -> Iterator[tuple[int, VideoFrame]]:
    """Frames with the index of their picture, in the order in which FFmpeg gives them."""
    import av
    from av.video.codeccontext import VideoCodecContext

    from ..codecs.containers import MAX_PIXELS

    decoder = VideoCodecContext.create("h264", "r")
    decoder.thread_count = 1
    decoder.options = {"max_pixels": str(MAX_PIXELS)}
    packets = [*_packets(inspection, n_frames), None]
    seen = set()
    for packet in packets:
        try:
            frames = decoder.decode(packet)
        except av.FFmpegError:  # of a broken picture; those before it may still come
            continue
        for frame in frames:
            if frame.pts is not None and frame.pts not in seen:
                seen.add(frame.pts)
                yield frame.pts, frame


def _packets(inspection: AvcInspection, n_frames: int) -> Iterator[Packet[Any]]:
    """A packet for each picture, with the NAL units before it; its time is the picture's index."""
    import av

    start = 0
    data = inspection.data
    for i, picture in enumerate(inspection.pictures[:n_frames]):
        end = picture.end
        if not picture.is_whole:
            next_start = data.find(_START_CODE, inspection.verdict.offset)
            end = len(data) if next_start < 0 else next_start
        packet = av.Packet(data[start:end])
        packet.pts = packet.dts = i
        start = end
        yield packet


def _uri(frame: VideoFrame, n_characters: int) -> tuple[str, bool]:
    """The best form that takes so many characters, and whether it is smaller than the frame."""
    from PIL import Image

    largest, _ = _FORMS[0]
    # FFmpeg makes it smaller, since as RGB a large frame takes much memory.
    share = min(1.0, largest / max(frame.width, frame.height))
    size = max(1, round(share * frame.width)), max(1, round(share * frame.height))
    image = Image.fromarray(frame.reformat(*size, "rgb24", threads=1).to_ndarray())
    uri = data_uri(image)
    if len(uri) <= n_characters:
        return uri, share < 1
    for side, quality in _FORMS:
        smaller = image.copy()
        smaller.thumbnail((side, side))
        uri = image_uri(smaller, "JPEG", quality=quality)
        if len(uri) <= n_characters:
            return uri, share < 1 or smaller.size != image.size
    return "", True
