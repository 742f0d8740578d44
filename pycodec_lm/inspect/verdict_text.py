"""What text and JSON say alike of any file: the verdict, places, text that a file holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..check import Verdict

__all__ = ["place_of", "text_preview", "verdict_json", "verdict_lines"]

_MAX_TEXT_BYTES = 48


def verdict_lines(verdict: Verdict, place: str) -> Iterator[str]:
    """The verdict, and of a broken file where reading ended: `place`, empty if it never began."""
    if verdict.valid:
        yield "".join(["valid", *(f"; note: {note}" for note in verdict.notes)])
        return
    yield f"{verdict.family}: {verdict.message}"
    if place:
        yield f"reading ended at byte {verdict.offset}, {place}"


def verdict_json(verdict: Verdict) -> dict[str, Any]:
    """The verdict as what `json` takes."""
    return {
        "valid": verdict.valid,
        "format": verdict.format,
        "family": verdict.family,
        "code": verdict.code,
        "clause": verdict.clause,
        "element": verdict.element,
        "offset": verdict.offset,
        "bit": verdict.bit,
        "message": verdict.message,
        "notes": list(verdict.notes),
    }


def place_of(position_bits: int) -> str:
    """A position as "byte.bit", such as 623.5."""
    return f"{position_bits // 8}.{position_bits % 8}"


def text_preview(values: bytes, limit: int = _MAX_TEXT_BYTES) -> str:
    """The printable ASCII of a text; dots for other bytes, and dots where it was cut."""
    shown = "".join(chr(b) if 32 <= b < 127 else "." for b in values[:limit])
    return shown if len(values) <= limit else f"{shown}..."
