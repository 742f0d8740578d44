"""Clips made by panning: a window that moves over a picture in a straight line, at a steady speed.

A seed gives the same clips on every machine that has the same version of Pillow. Clips of the two
splits come from different pictures.
"""

import random
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pycodec_lm.codecs.avc import AvcSettings
from pycodec_lm.errors import UsageError

# Of the width of the window, from one frame to the next.
_SPEEDS = (0.02, 0.1)
# Of the picture's shorter side, whichever way it is turned: the length of the window's longer side.
_WINDOWS = (0.3, 0.6)
_HELD_OUT_SHARE = 0.1
_MAX_SIDE_PX = 1024


class Panner:
    """Pans over the pictures of a folder.

    Args:
        folder: pictures, in sub-folders too; what Pillow cannot read is passed over.
        settings: size and number of frames of a clip.

    Raises:
        UsageError: there are fewer than two pictures.
    """

    def __init__(self, folder: Path, settings: AvcSettings) -> None:
        self.settings = settings
        pictures = [picture for path in sorted(folder.rglob("*")) if (picture := _read(path))]
        if len(pictures) < 2:
            raise UsageError(f"{folder}: two pictures are needed at least, one to be held out")
        n_held_out = max(1, round(_HELD_OUT_SHARE * len(pictures)))
        random.Random("held out").shuffle(pictures)
        self._pictures = {"val": pictures[:n_held_out], "train": pictures[n_held_out:]}

    def n_pictures(self, split: str) -> int:
        """How many pictures the clips of a split are of."""
        return len(self._pictures[split])

    def clips(self, n: int, split: str, seed: int) -> Iterator[NDArray[np.uint8]]:
        """Clips, uint8 [frames, height, width, 3], each of the next picture in turn."""
        pictures = self._pictures[split]
        for i in range(n):
            yield self._clip(pictures[i % len(pictures)], random.Random(f"{split} {seed} {i}"))

    def _clip(self, picture: Image.Image, chance: random.Random) -> NDArray[np.uint8]:
        width, height, n = self.settings.width, self.settings.height, self.settings.frames
        scale = min(picture.size) * chance.uniform(*_WINDOWS) / max(width, height)
        window = (width * scale, height * scale)
        room = [side - part for side, part in zip(picture.size, window, strict=True)]
        angle = chance.uniform(0, 2 * np.pi)
        length = chance.uniform(*_SPEEDS) * window[0] * (n - 1)
        # A path that is longer than the room is cut short, and so slower.
        path = [
            max(-most, min(most, length * part))
            for part, most in zip((np.cos(angle), np.sin(angle)), room, strict=True)
        ]
        start = [
            chance.uniform(max(0.0, -way), most - max(0.0, way))
            for way, most in zip(path, room, strict=True)
        ]
        frames = []
        for i in range(n):
            left, top = (at + way * i / max(1, n - 1) for at, way in zip(start, path, strict=True))
            right = min(left + window[0], picture.width)
            lower = min(top + window[1], picture.height)
            box = (max(0.0, left), max(0.0, top), right, lower)
            frames.append(picture.resize((width, height), Image.Resampling.BILINEAR, box=box))
        return np.stack([np.asarray(frame) for frame in frames])


def _read(path: Path) -> Image.Image | None:
    if not path.is_file() or path.name.startswith("."):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of oddities in files
            with Image.open(path) as image:
                image.draft("RGB", (_MAX_SIDE_PX, _MAX_SIDE_PX))
                picture = image.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
    picture.thumbnail((_MAX_SIDE_PX, _MAX_SIDE_PX))
    return picture
