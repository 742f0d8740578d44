"""Pictures of emoji: the glyphs of Noto Color Emoji, moved, scaled and mirrored on a plain ground.

Each glyph is drawn once at the font's own size and then resampled for every picture, so a picture
costs a fraction of a millisecond. A seed gives the same pictures on every machine that has the same
version of Pillow.
"""

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pycodec_lm.codecs.jpeg import JpegSettings
from pycodec_lm.errors import UsageError

NAMES_FILE = Path(__file__).with_name("names.txt")
# Debian: fonts-noto-color-emoji and unicode-data.
FONT_FILE = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
UNICODE_FILE = Path("/usr/share/unicode/emoji/emoji-test.txt")

SIZE_PX = 32
SETTINGS = JpegSettings(
    width=SIZE_PX, height=SIZE_PX, quality=25, subsampling="4:2:0", restart_interval=0
)
# The font's only strike: 109 pixels per em, glyphs of 136 x 128.
_STRIKE_PX = 109
_GLYPH_PX = 136
# Room for the largest shift of the smallest scale.
_MARGIN_PX = 80

_SCALES = (0.85, 1.0)
_HELD_OUT_SCALES = (0.92, 0.93)
# Training pictures keep this far away from the held-out scales.
_GAP = 0.005
_LARGEST_SHIFT_PX = 3.0

_PALE_SHARE = 0.5
_WHITE = (255, 255, 255)
_PALE = (
    (255, 248, 216),
    (220, 238, 255),
    (224, 244, 224),
    (255, 226, 230),
    (235, 229, 250),
    (234, 234, 234),
)


@dataclass(frozen=True, slots=True)
class Emoji:
    """One emoji: its CLDR short name, its Unicode subgroup, and how it may be drawn."""

    name: str
    subgroup: str
    character: str
    may_flip: bool = True


def read_emoji(names_file: Path = NAMES_FILE, unicode_file: Path = UNICODE_FILE) -> list[Emoji]:
    """The emoji that `names_file` lists, with what Unicode says of them.

    Raises:
        UsageError: a name is unknown, or its emoji is a sequence of several characters.
    """
    known: dict[str, tuple[str, str]] = {}
    subgroup = ""
    line_form = re.compile(r"([0-9A-F ]+?)\s*; fully-qualified\s*# \S+ E[\d.]+ (.+)")
    for line in unicode_file.read_text(encoding="utf-8").splitlines():
        if line.startswith("# subgroup:"):
            subgroup = line.partition(":")[2].strip()
        elif match := line_form.fullmatch(line):
            known[match[2]] = (match[1], subgroup)

    emoji = []
    for line in names_file.read_text(encoding="utf-8").splitlines():
        name, _, note = (part.strip() for part in line.partition(";"))
        if not name or name.startswith("#"):
            continue
        if name not in known:
            raise UsageError(f"{names_file}: {unicode_file} has no emoji named '{name}'")
        code_points, subgroup = known[name]
        if " " in code_points:
            raise UsageError(f"{names_file}: '{name}' is a sequence, U+{code_points}")
        emoji.append(Emoji(name, subgroup, chr(int(code_points, 16)), note != "no flip"))
    return emoji


class Renderer:
    """Draws pictures of emoji.

    Held-out pictures differ from all training pictures in their scale, and one in seven stands on a
    ground on which training never shows that emoji.

    Args:
        emoji: what to draw.
        font_file: Noto Color Emoji with bitmaps (CBDT).

    >>> renderer = Renderer(read_emoji())
    >>> image, conditions = next(renderer.pictures(1, seed=0))
    >>> image.size, conditions
    ((32, 32), {'name': 'red apple', 'subgroup': 'food-fruit'})
    """

    def __init__(self, emoji: Sequence[Emoji], font_file: Path = FONT_FILE) -> None:
        self.emoji = list(emoji)
        font = ImageFont.truetype(str(font_file), _STRIKE_PX)
        drawn = [_draw(one, font) for one in self.emoji]
        mirrored = [image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for image in drawn]
        self._glyphs = [
            [image.convert("RGBa") for image in pair] for pair in zip(drawn, mirrored, strict=True)
        ]
        self._boxes = [
            [image.getbbox() or (0, 0, 0, 0) for image in pair]
            for pair in zip(drawn, mirrored, strict=True)
        ]

    @property
    def classes(self) -> dict[str, list[str]]:
        """The classes of both conditions, in the order that numbers them."""
        return {
            "name": [one.name for one in self.emoji],
            "subgroup": sorted({one.subgroup for one in self.emoji}),
        }

    def pictures(
        self, n: int, *, seed: int, held_out: bool = False
    ) -> Iterator[tuple[Image.Image, dict[str, str]]]:
        """Yields `n` pictures with their conditions, the emoji in turn.

        Args:
            n: how many.
            seed: the same seed gives the same pictures.
            held_out: True for pictures of the kind that training never sees.
        """
        rng = random.Random(f"{seed} {'held out' if held_out else 'train'}")
        for i in range(n):
            index = i % len(self.emoji)
            one = self.emoji[index]
            image = self._draw_one(index, rng, held_out)
            yield image, {"name": one.name, "subgroup": one.subgroup}

    def _draw_one(self, index: int, rng: random.Random, held_out: bool) -> Image.Image:
        mirror = rng.random() < 0.5 and self.emoji[index].may_flip
        scale = rng.uniform(*_SCALES)
        while not held_out and _HELD_OUT_SCALES[0] - _GAP < scale < _HELD_OUT_SCALES[1] + _GAP:
            scale = rng.uniform(*_SCALES)
        if held_out:
            scale = rng.uniform(*_HELD_OUT_SCALES)
        reserved = _PALE[index % len(_PALE)]
        grounds = [colour for colour in _PALE if held_out or colour != reserved]
        ground = rng.choice(grounds) if rng.random() < _PALE_SHARE else _WHITE
        shift = (rng.uniform(-1, 1), rng.uniform(-1, 1))
        glyph, box = self._glyphs[index][mirror], self._boxes[index][mirror]
        return _resample(glyph, box, scale, shift, ground)


def _draw(emoji: Emoji, font: ImageFont.FreeTypeFont) -> Image.Image:
    """The glyph in the middle of an empty square that leaves room for the largest shift."""
    side = _GLYPH_PX + 2 * _MARGIN_PX
    image = Image.new("RGBA", (side, side))
    corner = (_MARGIN_PX, _MARGIN_PX)
    ImageDraw.Draw(image).text(corner, emoji.character, font=font, embedded_color=True)
    if image.getbbox() is None:
        raise UsageError(f"the font has no glyph for '{emoji.name}'")
    return image


def _resample(
    glyph: Image.Image,
    box: tuple[int, int, int, int],
    scale: float,
    shift: tuple[float, float],
    ground: tuple[int, int, int],
) -> Image.Image:
    """The glyph at `scale` on a ground.

    Args:
        glyph: with premultiplied alpha, so that resampling does not bleed the empty parts' colour.
        box: where its ink is.
        scale: 1 makes the font's square as large as the picture.
        shift: shares of the room that the ink has in the picture, -1..1 each way.
        ground: the colour behind it.
    """
    glyph_px_per_px = _GLYPH_PX / (SIZE_PX * scale)
    side = SIZE_PX * glyph_px_per_px
    corner = []
    for low, high, share in zip(box[:2], box[2:], shift, strict=True):
        room_px = (SIZE_PX - (high - low) / glyph_px_per_px) / 2
        shift_px = share * min(max(room_px, 0.0), _LARGEST_SHIFT_PX)
        corner.append((low + high - side) / 2 - shift_px * glyph_px_per_px)
    x, y = corner
    small = glyph.resize(
        (SIZE_PX, SIZE_PX), Image.Resampling.HAMMING, box=(x, y, x + side, y + side)
    )
    values = np.asarray(small).astype(np.uint16)
    behind = ((255 - values[:, :, 3:]) * np.array(ground, dtype=np.uint16) + 127) // 255
    return Image.fromarray(np.minimum(values[:, :, :3] + behind, 255).astype(np.uint8))
