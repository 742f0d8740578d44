"""Contact sheets: many small pictures in one PNG, broken ones in red frames."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from pycodec_lm.codecs.jpeg import decode
from pycodec_lm.errors import CodecLMError
from pycodec_lm.generation.result import GeneratedFile

__all__ = ["Cell", "cells_of", "contact_sheet", "png"]

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
    n_rows = math.ceil(len(cells) / n_columns)
    pictures = [_picture(cell, size_px) for cell in cells]
    inner = max((max(picture.size) for picture, _ in pictures), default=size_px)
    font = ImageFont.load_default(_TEXT_PX)
    messages = [_wrap(message, font, inner) for _, message in pictures]
    caption_lines = 1 if any(cell.caption for cell in cells) else 0
    n_lines = caption_lines + max(map(len, messages), default=0)
    cell_width = inner + 2 * _FRAME_PX + _MARGIN_PX
    cell_height = cell_width + n_lines * _LINE_PX
    top = _MARGIN_PX + (_TITLE_PX + _MARGIN_PX if title else 0)
    sheet = Image.new(
        "RGB", (_MARGIN_PX + n_columns * cell_width, top + n_rows * cell_height), _GROUND
    )
    pen = ImageDraw.Draw(sheet)
    if title:
        pen.text((_MARGIN_PX, _MARGIN_PX // 2), title, _TEXT, ImageFont.load_default(_TITLE_PX))
    for i, (cell, (picture, _), message) in enumerate(zip(cells, pictures, messages, strict=True)):
        row, column = divmod(i, n_columns)
        left, upper = _MARGIN_PX + column * cell_width, top + row * cell_height
        frame = (left, upper, left + inner + 2 * _FRAME_PX - 1, upper + inner + 2 * _FRAME_PX - 1)
        pen.rectangle(frame, _EMPTY if message else _GROUND, _BAD if message else None, _FRAME_PX)
        sheet.paste(
            picture,
            (
                left + _FRAME_PX + (inner - picture.width) // 2,
                upper + _FRAME_PX + (inner - picture.height) // 2,
            ),
        )
        lines = [(_shorten(cell.caption, font, inner), _TEXT)] * caption_lines
        lines += [(line, _BAD) for line in message]
        for n, (line, color) in enumerate(lines):
            pen.text((left, frame[3] + 2 + n * _LINE_PX), line, color, font)
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
        return Image.new("RGB", (1, 1), _EMPTY), cell.error or str(error)
    longer = max(picture.size)
    if longer > 2 * size_px:
        picture.thumbnail((2 * size_px, 2 * size_px), Image.Resampling.LANCZOS)
    elif longer <= size_px // 2:
        factor = size_px // longer
        picture = picture.resize(
            (picture.width * factor, picture.height * factor), Image.Resampling.NEAREST
        )
    return picture, cell.error


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
