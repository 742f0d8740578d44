"""Pictures as canonical JPEG bytes, in whole files and in the form of JPEG-LM.

Encoding and decoding are Pillow's (libjpeg-turbo); other Huffman tables are put in by the grammar
engine, which writes the same coefficients anew.

Source: arXiv 2408.08459 and the authors' released script for the form of JPEG-LM.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image, ImageOps

from pycodec_lm.errors import CodecLMError, UsageError
from pycodec_lm.grammar import recode_jpeg
from pycodec_lm.jpeg_tables import HuffmanTables

__all__ = ["SUBSAMPLINGS", "JpegSettings", "abbreviate", "decode", "encode", "fit", "scan_start"]

SUBSAMPLINGS = ("4:4:4", "4:2:2", "4:2:0")
MAX_SIDE_PX = 65500  # what libjpeg encodes

_SOI, _EOI, _SOS, _DQT, _DHT = 0xD8, 0xD9, 0xDA, 0xDB, 0xC4
_WHITE = (255, 255, 255)


@dataclass(frozen=True, slots=True)
class JpegSettings:
    """How pictures become JPEG.

    Args:
        width, height: in pixels.
        quality: Pillow's, 1 to 100.
        subsampling: of the chroma components, one of SUBSAMPLINGS.
        restart_interval: MCUs between two restart markers; 0 for none.

    Raises:
        UsageError: a value is out of range.
    """

    width: int = 256
    height: int = 256
    quality: int = 25
    subsampling: str = "4:2:0"
    restart_interval: int = 1

    def __post_init__(self) -> None:
        for name, low, high in (
            ("width", 1, MAX_SIDE_PX),
            ("height", 1, MAX_SIDE_PX),
            ("quality", 1, 100),
            ("restart_interval", 0, 65535),
        ):
            if not low <= getattr(self, name) <= high:
                raise UsageError(f"{name} = {getattr(self, name)}, must be in [{low}, {high}]")
        if self.subsampling not in SUBSAMPLINGS:
            raise UsageError(
                f"subsampling '{self.subsampling}' is not one of {', '.join(SUBSAMPLINGS)}"
            )


def encode(
    image: Image.Image,
    settings: JpegSettings,
    huffman_tables: HuffmanTables | None = None,
) -> bytes:
    """The picture as a whole baseline JPEG file.

    Args:
        image: a picture of the size that the settings say; other modes than RGB are converted.
        settings: size, quality, subsampling and restart interval.
        huffman_tables: tables in the place of the standard ones; the coefficients stay the same.

    Raises:
        UsageError: the picture has another size.
    """
    if image.size != (settings.width, settings.height):
        raise UsageError(
            f"the picture is {image.width} x {image.height}, the settings say "
            f"{settings.width} x {settings.height}"
        )
    buffer = io.BytesIO()
    to_rgb(image).save(
        buffer,
        format="JPEG",
        quality=settings.quality,
        subsampling=settings.subsampling,
        restart_marker_blocks=settings.restart_interval,
        # Pillow would copy these from files that have them.
        exif=b"",
        icc_profile=None,
        dpi=(0, 0),
        comment=b"",
    )
    data = buffer.getvalue()
    if huffman_tables is None:
        return data
    return recode_jpeg(data, huffman_tables)


def decode(data: bytes) -> Image.Image:
    """The picture of a whole file.

    Raises:
        CodecLMError: Pillow cannot decode it.
    """
    try:
        image = Image.open(io.BytesIO(data), formats=("JPEG",))
        image.load()
    except (OSError, SyntaxError, ValueError) as error:
        raise CodecLMError(f"Pillow cannot decode the file: {error}") from error
    return image


def abbreviate(data: bytes) -> tuple[bytes, bytes]:
    """Takes the tables out of a whole file: the form of JPEG-LM.

    Returns:
        The file without DQT and DHT segments, and a table-only stream that holds them (T.81 B.4,
        B.5). The first is what Pillow writes with streamtype=2, the second with streamtype=1.

    Raises:
        UsageError: the data does not start like a JPEG file with one scan.
    """
    stream, tables = [bytes((0xFF, _SOI))], [bytes((0xFF, _SOI))]
    end = 2
    for marker, start, end in _segments(data):
        (tables if marker in (_DQT, _DHT) else stream).append(data[start:end])
    stream.append(data[end:])
    tables.append(bytes((0xFF, _EOI)))
    return b"".join(stream), b"".join(tables)


def scan_start(data: bytes) -> int:
    """The offset of the first entropy-coded byte, just after the SOS segment.

    Raises:
        UsageError: the data does not start like a JPEG file.
    """
    return max(end for _, _, end in _segments(data))


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(marker, start, end) of each segment from SOI up to and including SOS (T.81 B.1.1.4)."""
    if data[:2] != bytes((0xFF, _SOI)):
        raise UsageError("these bytes do not start like a JPEG file")
    start, marker = 2, _SOI
    while marker != _SOS:
        if start + 4 > len(data) or data[start] != 0xFF:
            raise UsageError(f"there is no JPEG segment at byte {start}")
        marker = data[start + 1]
        end = start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")
        if end > len(data):
            raise UsageError(f"the JPEG segment at byte {start} reaches past the end")
        yield marker, start, end
        start = end


def to_rgb(image: Image.Image) -> Image.Image:
    """The picture in RGB; what is transparent becomes white."""
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I"):
        # Pillow clips these at 255 where it should scale; they hold 16 bits.
        image = image.convert("I").point(lambda value: value / 256).convert("L")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, _WHITE)
        ground.alpha_composite(image)
        image = ground
    return image.convert("RGB")


def fit(
    image: Image.Image,
    width: int,
    height: int,
    *,
    share: float = 1.0,
    place: tuple[float, float] = (0.5, 0.5),
) -> Image.Image:
    """Cuts a window with the target's proportions out of the picture and resamples it.

    Args:
        image: any picture; turned upright first where its Exif data says how.
        width, height: the target's size in pixels.
        share: the window's side as a share of the largest that fits.
        place: where the window lies in the room that it has, 0..1 each way; the middle by default.

    Returns:
        A picture in RGB of width x height.
    """
    upright = ImageOps.exif_transpose(image)
    scale = min(upright.width / width, upright.height / height) * share
    window = (width * scale, height * scale)
    left = (upright.width - window[0]) * place[0]
    top = (upright.height - window[1]) * place[1]
    rgb = to_rgb(upright)
    box = (left, top, min(left + window[0], rgb.width), min(top + window[1], rgb.height))
    return rgb.resize((width, height), Image.Resampling.LANCZOS, box=box)
