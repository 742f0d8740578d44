"""Files for these tests: one written by hand, and some of Pillow's."""

import io
import random

import numpy as np
from PIL import Image


def segment(marker: int, payload: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(payload) + 2).to_bytes(2, "big") + payload


def by_hand(*, restarts: bool = False) -> bytes:
    """A gray picture of 16 x 8 pixels, two MCUs.

    DC codes: 0 is category 0, 10 is category 3. AC codes: 0 ends the block, 10 is a coefficient of
    one bit. The first block: 10 101 (DC 5), 10 1 (AC 1), 0. The second: 0 (the same DC), 0.
    """
    counts = bytes((1, 1)) + bytes(14)
    return b"".join(
        [
            b"\xff\xd8",
            segment(0xDB, b"\0" + bytes(range(1, 65))),
            segment(0xC0, b"\x08\0\x08\0\x10\x01\x07\x11\0"),
            segment(0xC4, b"\0" + counts + b"\0\x03"),
            segment(0xC4, b"\x10" + counts + b"\0\x01"),
            segment(0xDD, b"\0\x01") if restarts else b"",
            segment(0xDA, b"\x01\x07\0\0\x3f\0"),
            # 10101101 0|0011111, or with the padding before and after RST0.
            b"\xad\x7f\xff\xd0\x3f" if restarts else b"\xad\x1f",
            b"\xff\xd9",
        ]
    )


def picture(width: int = 40, height: int = 24, *, noise: bool = False) -> Image.Image:
    if noise:
        pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
        return Image.fromarray(pixels)
    return Image.linear_gradient("L").resize((width, height)).convert("RGB")


def jpeg(image: Image.Image | None = None, **options: object) -> bytes:
    out = io.BytesIO()
    (image or picture()).save(out, "JPEG", **options)
    return out.getvalue()


FILES = {
    "by hand": by_hand(),
    "by hand, restarts": by_hand(restarts=True),
    "gradient": jpeg(),
    "noise": jpeg(picture(72, 64, noise=True), quality=90),
    "restarts": jpeg(picture(72, 64, noise=True), restart_marker_blocks=3),
    "4:4:4": jpeg(picture(33, 17, noise=True), subsampling=0),
    "gray": jpeg(picture(50, 20).convert("L"), optimize=True),
    "cmyk": jpeg(picture().convert("CMYK")),
    "comment": jpeg(comment=b"</script><b>&amp;" * 20),
    "trailing": jpeg() + b"more",
}


def damaged(data: bytes, n: int, seed: int = 0) -> list[bytes]:
    """Copies with one byte changed, and cuts."""
    rng = random.Random(seed)
    copies = []
    for _ in range(n):
        copy = bytearray(data)
        copy[rng.randrange(len(copy))] = rng.randrange(256)
        copies.append(bytes(copy))
    return copies + [data[: rng.randrange(len(data))] for _ in range(n)]


_DHT = b"\xff\xc4\0\x14\0" + b"\1" + bytes(15) + b"\0"
HOSTILE = {
    "empty": b"",
    "one byte": b"\xff",
    "text": b"hello, world\n",
    "length that lies": b"\xff\xd8\xff\xe0\xff\xff",
    "half a header": jpeg()[:170],
    "10,000 DHT": b"\xff\xd8" + _DHT * 10_000 + jpeg()[2:],
    "fill bytes": b"\xff\xd8" + b"\xff" * 200_000 + jpeg()[3:],
    "65,535 x 65,535 pixels": jpeg().replace(b"\0\x18\0\x28", b"\xff\xff\xff\xff", 1),
    "1 x 65,535 pixels": jpeg().replace(b"\0\x18\0\x28", b"\xff\xff\0\x01", 1),
    "much text": b"\xff\xd8" + segment(0xFE, b"<i>" * 21_844) * 320 + jpeg()[2:],
    "lossless": jpeg().replace(b"\xff\xc0", b"\xff\xc3"),
}
