"""A file as one page that needs nothing else: bytes and pictures side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..check import may_be_h264

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from .avc_model import AvcInspection
    from .model import Inspection

__all__ = ["inspect_to_html"]


def inspect_to_html(
    data: Buffer,
    name: str,
    *,
    abbreviated: bool = False,
    tables: Buffer | None = None,
) -> tuple[Inspection | AvcInspection, str]:
    """Reads a file and makes the page.

    Args:
        data: a JPEG, an H.264 byte stream, or an MP4 or Matroska file with H.264 in it; broken or
            not.
        name: what the page calls it.
        abbreviated, tables: as `inspect_jpeg` takes them.

    Returns:
        What was read, and the page: HTML without any reference to the outside, below 4 MB.

    Raises:
        UsageError: `tables` makes no sense.
    """
    if may_be_h264(data):
        from .avc_page import h264_to_html

        return h264_to_html(data, name)
    from .jpeg_page import jpeg_to_html

    return jpeg_to_html(data, name, abbreviated=abbreviated, tables=tables)
