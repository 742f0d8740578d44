"""The page, of whatever codec: its template, and what stands in it alike."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core
from ..check import Verdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "MAX_TRAILING_BYTES",
    "Part",
    "differences",
    "page_html",
    "shared_data",
    "stage_html",
]

MAX_TRAILING_BYTES = 256
"""Bytes shown of what follows all that was read."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the file in the hex view; `shown` are ranges of its bytes, end not included."""

    name: str
    title: str
    offset: int
    n_bytes: int
    shown: tuple[tuple[int, int], ...]


def page_html(
    name: str,
    verdict: Verdict,
    data: dict[str, Any],
    *,
    script: str,
    facts: Iterable[str],
    legend: Iterable[tuple[str, str]],
    **parts: str,
) -> str:
    """Fills the template.

    Args:
        name: what the page calls the file.
        verdict: on the file.
        data: for the script, as JSON takes it.
        script: the file with what the codec adds to page.js.
        facts: a few words each, below the name.
        legend: classes of bytes in page.css, and what they mean.
        parts: the other places of page.html, as HTML; `message` as text.
    """
    items = [f'<li><i class="b {kind}"></i>{escape(text)}</li>' for kind, text in legend]
    if not verdict.valid:
        items.append('<li><i class="b wrong"></i>the error</li>')
    values = {
        **parts,
        "title": escape(f"{name}, inspected"),
        "name": escape(name),
        "state": "good" if verdict.valid else "bad",
        "state_word": "Valid." if verdict.valid else f"{verdict.family.capitalize()}.",
        "message": escape(parts["message"]),
        "facts": "".join(f"<li>{escape(fact)}</li>" for fact in facts),
        "legend": "".join(items),
        "data": _script_json(data),
        "style": _resource("page.css"),
        "script": "\n".join(map(_resource, (script, "contents.js", "page.js"))),
    }
    # In one pass, so that nothing from the file is looked into for places to fill.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], _resource("page.html"))


def stage_html(uri: str, width: int, height: int, note: str, label: str) -> str:
    """The picture with room for its map.

    Args:
        uri: of the picture; empty for none.
        width, height: in pixels.
        note: its caption.
        label: what the map shows, for those who do not see it.
    """
    # A picture thinner than this would be a line.
    ratio = min(max(width / height, 1 / 16), 16)
    small = " small" if max(width, height) <= 320 else ""
    img = f'<img id="image" src="{uri}" alt="The picture of the file">' if uri else ""
    return (
        f'<figure><div class="stage{small}" id="stage" style="--ratio:{ratio:.4f}" tabindex="0"'
        f' role="application" aria-label="{escape(label)}; arrow keys move">'
        f'{img}<canvas id="map" width="1" height="1"></canvas>'
        '<div class="box error" id="wrong" hidden></div><div class="box" id="box" hidden></div>'
        '</div><div class="strip" id="strip" hidden></div>'
        '<div class="scale" id="scale" hidden><div class="ramp" id="ramp"></div>'
        '<div class="ends"><span id="low"></span><span id="middle"></span><span id="high"></span>'
        '</div></div><ul class="legend" id="classes" hidden></ul>'
        f"<figcaption>{escape(note)}</figcaption></figure>"
    )


def shared_data(data: bytes, verdict: Verdict, parts: Iterable[Part]) -> dict[str, Any]:
    """What page.js needs of any file."""
    error = {"offset": verdict.offset, "bit": verdict.bit, "message": verdict.message}
    return {
        "n": len(data),
        "end": verdict.offset,
        "elements": _core.ELEMENTS,
        "parts": [_part_data(data, part) for part in parts],
        "error": None if verdict.valid else error,
    }


def _part_data(data: bytes, part: Part) -> dict[str, Any]:
    return {
        "name": part.name,
        "title": part.title,
        "offset": part.offset,
        "n": part.n_bytes,
        "chunks": [[first, b64encode(data[first:last]).decode()] for first, last in part.shown],
    }


def differences(values: NDArray[np.int64]) -> list[int]:
    """Each value less the one before: shorter in JSON."""
    found: list[int] = np.diff(values, prepend=0).tolist()
    return found


def _resource(name: str) -> str:
    return (files(__package__) / name).read_text("utf-8").rstrip()


def _script_json(value: object) -> str:
    """JSON that cannot end the script element that it stands in."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
