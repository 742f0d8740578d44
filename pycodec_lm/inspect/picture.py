"""The picture of a file, as far as it can be decoded, as a data URI."""

from __future__ import annotations

import io
from base64 import b64encode
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

    from .model import Inspection

__all__ = ["data_uri", "image_uri", "picture_uri"]

# A decoder needs memory for all pixels of the header, whatever the data say.
_MAX_PIXELS = 50_000_000
_MAX_SIDE_PX = 1024
_MAX_LOSSLESS_PIXELS = 256 * 256


def picture_uri(data: bytes, inspection: Inspection, tables: bytes | None) -> tuple[str, str]:
    """Decodes what is there.

    Args:
        data: the file.
        inspection: of the file; its frame header was read.
        tables: those of an abbreviated stream.

    Returns:
        A data URI, empty where the picture cannot be decoded, and a sentence for its caption.
    """
    if inspection.width * inspection.height > _MAX_PIXELS:
        return "", f"Not decoded: more than {_MAX_PIXELS // 1_000_000} million pixels."
    if tables is not None:
        data = data[:2] + tables[2:-2] + data[2:]
    try:
        image = _decode(data)
    # Broken files make Pillow raise these, among them UnidentifiedImageError.
    except (OSError, SyntaxError, ValueError) as error:
        return "", f"Not decoded: {error}."
    reduced = max(image.size) > _MAX_SIDE_PX
    if reduced:
        image.thumbnail((_MAX_SIDE_PX, _MAX_SIDE_PX))
    note = "Decoded by Pillow" + (", reduced." if reduced else ".")
    if not inspection.verdict.valid:
        note = f"As far as Pillow decodes it{', reduced' if reduced else ''}."
        if inspection.scans:
            note += " Where there is no map, nothing was read."
    return data_uri(image), note


def _decode(data: bytes) -> Image:
    from PIL import Image, ImageFile

    before = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
            return image.convert("RGB")
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


def data_uri(image: Image) -> str:
    """A small image without loss, another as JPEG."""
    is_small = image.width * image.height <= _MAX_LOSSLESS_PIXELS
    return image_uri(image, "PNG") if is_small else image_uri(image, "JPEG", quality=88)


def image_uri(image: Image, kind: str, **options: int) -> str:
    """The image in a format of Pillow's, as a data URI."""
    out = io.BytesIO()
    image.save(out, kind, **options)
    return f"data:image/{kind.lower()};base64,{b64encode(out.getvalue()).decode()}"
