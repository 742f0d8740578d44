"""Contact sheets: many small pictures or clips in one PNG, broken ones in red frames."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pycodec_lm.codecs.jpeg import decode
from pycodec_lm.errors import CodecLMError
from pycodec_lm.generation.result import GeneratedFile

__all__ = ["Cell", "ClipRow", "cells_of", "clip_sheet", "contact_sheet", "png"]

_MARGIN_PX = 8
_FRAME_PX = 3
_TEXT_PX = 12
_TITLE_PX = 15
_LINE_PX = 15
_MAX_MESSAGE_LINES = 3
_GROUND, _TEXT, _BAD, _EMPTY = (255, 255, 255), (32, 32, 32), (208, 16, 16), (232, 232, 232)


@dataclass(frozen=True, slots=True)
class Cell:
    """One place of a sheet.

    Args:
        data: a picture file.
        caption: a line under it.
        error: what is wrong with the file, "" for nothing; shown in red.
    """

    data: bytes
    caption: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class ClipRow:
    """One clip of a sheet.

    Args:
        frames: uint8 [n, height, width, 3], RGB; none for a clip that cannot be decoded.
        caption: a line under its first frame.
        error: what is wrong with the clip, "" for nothing; shown in red.
    """

    frames: NDArray[np.uint8]
    caption: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class _Tile:
    """What is drawn in one place of a sheet."""

    picture: Image.Image
    caption: str
    message: str
    is_bad: bool


def cells_of(files: Sequence[GeneratedFile]) -> list[Cell]:
    """Cells that show generated files with their classes and what is wrong with them."""
    return [
        Cell(file.data, file.label, "" if file.valid else file.verdict.message) for file in files
    ]


def contact_sheet(
    cells: Sequence[Cell], *, columns: int | None = None, title: str = "", size_px: int = 128
) -> Image.Image:
    """Draws the sheet.

    Args:
        cells: in reading order.
        columns: None for about as many as rows.
        title: a line above all.
        size_px: what the longer side of a picture comes near to. Smaller ones are enlarged by a
            whole factor, each pixel a square; larger ones than twice this are reduced.
    """
    n_columns = columns or max(1, math.ceil(math.sqrt(len(cells))))
    tiles = []
    for cell in cells:
        picture, message = _picture(cell, size_px)
        tiles.append(_Tile(picture, cell.caption, message, bool(message)))
    inner = max((max(tile.picture.size) for tile in tiles), default=size_px)
    return _draw(tiles, n_columns, (inner, inner), title)


def clip_sheet(rows: Sequence[ClipRow], *, title: str = "", size_px: int = 128) -> Image.Image:
    """Draws a sheet of clips, one a row, its frames from left to right.

    Args:
        rows: the clips; they may differ in length and size.
        title: a line above all.
        size_px: as for `contact_sheet`, of a frame.
    """
    n_columns = max((len(row.frames) for row in rows), default=1) or 1
    tiles: list[_Tile | None] = []
    for row in rows:
        pictures = [_in_size(Image.fromarray(frame), size_px) for frame in row.frames]
        is_bad = bool(row.error) or not pictures
        for i, picture in enumerate(pictures or [_no_picture()]):
            text = (row.caption, row.error) if i == 0 else ("", "")
            tiles.append(_Tile(picture, *text, is_bad))
        tiles += [None] * (-len(tiles) % n_columns)
    sizes = [tile.picture.size for tile in tiles if tile is not None]
    inner = (
        max((width for width, _ in sizes), default=size_px),
        max((height for _, height in sizes), default=size_px),
    )
    return _draw(tiles, n_columns, inner, title)


def _draw(
    tiles: Sequence[_Tile | None], n_columns: int, inner: tuple[int, int], title: str
) -> Image.Image:
    """The tiles in reading order, each with room of `inner` pixels; None leaves a place empty."""
    n_rows = math.ceil(len(tiles) / n_columns)
    inner_width, inner_height = inner
    font = ImageFont.load_default(_TEXT_PX)
    messages = [_wrap(tile.message, font, inner_width) if tile else [] for tile in tiles]
    caption_lines = 1 if any(tile.caption for tile in tiles if tile) else 0
    n_lines = caption_lines + max(map(len, messages), default=0)
    cell_width = inner_width + 2 * _FRAME_PX + _MARGIN_PX
    cell_height = inner_height + 2 * _FRAME_PX + _MARGIN_PX + n_lines * _LINE_PX
    top = _MARGIN_PX + (_TITLE_PX + _MARGIN_PX if title else 0)
    sheet = Image.new(
        "RGB", (_MARGIN_PX + n_columns * cell_width, top + n_rows * cell_height), _GROUND
    )
    pen = ImageDraw.Draw(sheet)
    if title:
        pen.text((_MARGIN_PX, _MARGIN_PX // 2), title, _TEXT, ImageFont.load_default(_TITLE_PX))
    for i, (tile, message) in enumerate(zip(tiles, messages, strict=True)):
        if tile is None:
            continue
        row, column = divmod(i, n_columns)
        left, upper = _MARGIN_PX + column * cell_width, top + row * cell_height
        right = left + inner_width + 2 * _FRAME_PX - 1
        lower = upper + inner_height + 2 * _FRAME_PX - 1
        fill, outline = (_EMPTY, _BAD) if tile.is_bad else (_GROUND, None)
        pen.rectangle((left, upper, right, lower), fill, outline, _FRAME_PX)
        sheet.paste(
            tile.picture,
            (
                left + _FRAME_PX + (inner_width - tile.picture.width) // 2,
                upper + _FRAME_PX + (inner_height - tile.picture.height) // 2,
            ),
        )
        lines = [(_shorten(tile.caption, font, inner_width), _TEXT)] * caption_lines
        lines += [(line, _BAD) for line in message]
        for n, (line, color) in enumerate(lines):
            pen.text((left, lower + 2 + n * _LINE_PX), line, color, font)
    return sheet


def png(sheet: Image.Image) -> bytes:
    """The sheet as a PNG file."""
    buffer = io.BytesIO()
    sheet.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _picture(cell: Cell, size_px: int) -> tuple[Image.Image, str]:
    """What a decoder makes of the file, in the size to show, and what is wrong with it."""
    try:
        picture = decode(cell.data).convert("RGB")
    except CodecLMError as error:
        return _no_picture(), cell.error or str(error)
    return _in_size(picture, size_px), cell.error


def _no_picture() -> Image.Image:
    return Image.new("RGB", (1, 1), _EMPTY)


def _in_size(picture: Image.Image, size_px: int) -> Image.Image:
    """The picture in the size to show."""
    longer = max(picture.size)
    if longer > 2 * size_px:
        picture.thumbnail((2 * size_px, 2 * size_px), Image.Resampling.LANCZOS)
    elif longer <= size_px // 2:
        factor = size_px // longer
        picture = picture.resize(
            (picture.width * factor, picture.height * factor), Image.Resampling.NEAREST
        )
    return picture


def _wrap(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> list[str]:
    """The text in a few lines that fit a width; what does not fit ends in '...'."""
    lines: list[str] = []
    for word in text.split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    if len(lines) > _MAX_MESSAGE_LINES:
        lines = [*lines[: _MAX_MESSAGE_LINES - 1], f"{lines[_MAX_MESSAGE_LINES - 1]} ..."]
    return [_shorten(line, font, width) for line in lines]


def _shorten(line: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    if font.getlength(line) <= width:
        return line
    while line and font.getlength(f"{line}...") > width:
        line = line[:-1]
    return f"{line}..."
