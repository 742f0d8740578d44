"""Picture prompts: the first part of a picture's file, for a model to finish.

The picture is encoded as the model's training data were, then cut after a share of its MCUs.
JPEG-LM (arXiv 2408.08459) cuts its 256 x 256 streams just after the `int(32 r)`-th RST7, which is
after 8 int(32 r) of 256 MCUs; the rule here gives the same.
"""

from __future__ import annotations

import io
import os
import re
from typing import TYPE_CHECKING, cast

from PIL import Image, JpegImagePlugin

from pycodec_lm import _core
from pycodec_lm._files import read_file
from pycodec_lm.codecs.jpeg import fit, scan_start, to_rgb
from pycodec_lm.errors import UsageError

if TYPE_CHECKING:
    from pycodec_lm.grammar import JpegGrammar

__all__ = ["Picture", "cut", "encode_like", "picture_prompt"]

Picture = str | os.PathLike[str] | bytes | Image.Image

# A stream with fewer rounds of RST0..RST7 is cut at any restart marker.
_MIN_ROUNDS = 32
_MCU = re.compile(r"MCU (\d+) of (\d+)")


def picture_prompt(grammar: JpegGrammar, picture: Picture, keep: float) -> bytes:
    """The beginning of a stream of the grammar that shows a picture's upper part.

    Args:
        grammar: of the model.
        picture: a path, the bytes of a picture file, or a Pillow image. It is cropped to the
            proportions of the grammar's pictures and resampled.
        keep: the share of the MCUs, 0 to 1.

    Raises:
        UsageError: `keep` is out of range, or the picture cannot be a file of this grammar.
        OSError: the path cannot be read.
    """
    if not 0 <= keep <= 1:
        raise UsageError(f"keep = {keep}, must be in [0, 1]")
    if grammar.header:
        stream = encode_like(grammar, _image(picture))
    elif isinstance(picture, Image.Image):
        raise UsageError("this model takes JPEG files of any shape: give a file, not an image")
    else:
        stream = picture if isinstance(picture, bytes) else read_file(picture)
    return cut(grammar, stream, keep)


def encode_like(grammar: JpegGrammar, image: Image.Image) -> bytes:
    """The picture as a stream of a grammar with a pinned header.

    Raises:
        UsageError: Pillow cannot write the sampling or the tables that the header asks for.
    """
    header = grammar.to_file(grammar.header)
    sample = cast(JpegImagePlugin.JpegImageFile, Image.open(io.BytesIO(header), formats=("JPEG",)))
    components = sample.layer
    sampling = JpegImagePlugin.get_sampling(sample)
    if sampling == -1 and len(components) != 1:
        factors = ", ".join(f"{h}x{v}" for _, h, v, _ in components)
        raise UsageError(f"prompts cannot be encoded with the sampling factors {factors}")
    fitted = fit(image, *sample.size)
    buffer = io.BytesIO()
    (fitted.convert("L") if len(components) == 1 else to_rgb(fitted)).save(
        buffer,
        format="JPEG",
        qtables=[sample.quantization[table] for *_, table in components],
        subsampling=sampling,
        keep_rgb=False,
    )
    # The same coefficients, with the Huffman tables and restart markers of the grammar.
    return _core.transcode(buffer.getvalue(), grammar)


def cut(grammar: JpegGrammar, stream: bytes, keep: float) -> bytes:
    """The beginning of a stream, up to a share of its MCUs.

    With restart markers the cut falls just after a marker: after a whole number of rounds of RST0
    to RST7 where there are 32 rounds or more, as at 256 x 256 with a marker after every MCU.
    Without them it falls after the last byte that holds nothing of the first MCU to leave out.

    Args:
        grammar: the grammar of the stream.
        stream: one with a single scan.
        keep: the share, 0 to 1.

    Raises:
        UsageError: the stream is not one of this grammar.
    """
    start = len(grammar.header) or scan_start(stream)
    ends = [
        match.end() for match in re.finditer(rb"\xff[\xd0-\xd7]", stream) if match.start() >= start
    ]
    if not ends:
        return stream[: _end_of_whole_mcus(grammar, stream, start, keep)]
    n_intervals = len(ends) + 1
    round_size = 8 if n_intervals >= 8 * _MIN_ROUNDS else 1
    n_kept = int(keep * n_intervals / round_size) * round_size
    if n_kept == 0:
        return stream[:start]
    if n_kept > len(ends):
        return stream[:-2]  # all but EOI
    return stream[: ends[n_kept - 1]]


def _end_of_whole_mcus(grammar: JpegGrammar, stream: bytes, start: int, keep: float) -> int:
    """Where the last byte ends that holds nothing but the MCUs to keep."""
    cursor = _core.JpegCursor(grammar)
    status = cursor.push(stream[:start])
    if not status.ok:
        raise UsageError(f"the prompt is no file of this model: {status.message}")
    end = start
    for offset in range(start, len(stream)):
        place = _MCU.search(cursor.describe())
        if place is None:  # behind the last MCU
            return end
        mcu, n_mcus = int(place[1]), int(place[2])
        n_kept = int(keep * n_mcus)
        if mcu > n_kept or (mcu == n_kept and not _is_at_mcu_start(cursor)):
            return end
        end = offset
        status = cursor.push(stream[offset : offset + 1])
        if not status.ok:
            raise UsageError(f"the prompt is no file of this model: {status.message}")
    return end


def _is_at_mcu_start(cursor: _core.JpegCursor) -> bool:
    kind, _, block, _, _, coefficient, n_bits, _ = map(int, cursor.annotation())
    return kind == 1 and block == 1 and coefficient == 0 and n_bits == 0


def _image(picture: Picture) -> Image.Image:
    if isinstance(picture, Image.Image):
        return picture
    data = picture if isinstance(picture, bytes) else read_file(picture)
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        name = "the prompt" if isinstance(picture, bytes) else os.fspath(picture)
        raise UsageError(f"{name} is not a picture that Pillow can read ({error})") from error
    return image
