"""The syntax tree as one page that needs nothing else: bytes and picture side by side."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core
from .model import Inspection, Scan, Segment, inspect_jpeg
from .picture import picture_uri
from .tree import spent_html, tree_html

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from typing_extensions import Buffer

__all__ = ["inspect_to_html"]

# What keeps a page below 4 MB, whatever the file: bytes shown of segments and of scans, segments,
# MCUs with their total, MCUs with each component's bits.
_MAX_SEGMENT_BYTES = 16 << 10
_MAX_BYTES_OF_A_SEGMENT = 1 << 10
_MAX_SEGMENTS = 256
_MAX_SCAN_BYTES = 16 << 10
_BEFORE_ERROR, _AFTER_ERROR = 2048, 64
_MAX_MCUS = 200_000
_MAX_MCUS_IN_DETAIL = 20_000
_MAX_TRAILING_BYTES = 256
_MAX_FIELDS = 20_000

_BYTE_KINDS = (
    ("m", "marker"),
    ("l", "length"),
    ("f", "field"),
    ("q", "table"),
    ("t", "text"),
)


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of the file in the hex view; `shown` are ranges of its bytes, end not included."""

    name: str
    title: str
    offset: int
    n_bytes: int
    shown: tuple[tuple[int, int], ...]
    scan: int = -1


def inspect_to_html(
    data: Buffer,
    name: str,
    *,
    abbreviated: bool = False,
    tables: Buffer | None = None,
) -> tuple[Inspection, str]:
    """Reads a JPEG and makes the page.

    Args:
        data: the file, broken or not.
        name: what the page calls it.
        abbreviated, tables: as `inspect_jpeg` takes them.

    Returns:
        What was read, and the page: HTML without any reference to the outside, below 4 MB.

    Raises:
        UsageError: `tables` makes no sense.
    """
    data = bytes(data)
    inspection = inspect_jpeg(data, abbreviated=abbreviated, tables=tables, max_mcus=_MAX_MCUS)
    parts = _parts(inspection)
    symbols = [
        _symbols(data, window, part.scan, abbreviated, tables)
        for part in parts
        if part.scan >= 0
        for window in part.shown
    ]
    values = {
        "title": escape(f"{name}, inspected"),
        "name": escape(name),
        "state": "good" if inspection.verdict.valid else "bad",
        "state_word": "Valid." if inspection.verdict.valid else f"{_word(inspection)}.",
        "message": escape(_message(inspection)),
        "facts": "".join(f"<li>{escape(fact)}</li>" for fact in _facts(inspection)),
        "picture": _picture_html(data, inspection, None if tables is None else bytes(tables)),
        "legend": _legend(inspection),
        "spent": spent_html(inspection),
        "tree": tree_html(inspection, max_segments=_MAX_SEGMENTS),
        "data": _script_json(_page_data(data, inspection, parts, symbols)),
        "style": _resource("page.css"),
        "script": _resource("page.js"),
    }
    # In one pass, so that nothing from the file is looked into for places to fill.
    page = re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], _resource("page.html"))
    return inspection, page


def _resource(name: str) -> str:
    return (files(__package__) / name).read_text("utf-8").rstrip()


def _script_json(value: object) -> str:
    """JSON that cannot end the script element that it stands in."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _word(inspection: Inspection) -> str:
    return inspection.verdict.family.capitalize()


def _message(inspection: Inspection) -> str:
    verdict = inspection.verdict
    if verdict.valid:
        return "; ".join(verdict.notes)
    if not inspection.scans:
        return verdict.message
    read = sum(scan.n_mcus_read for scan in inspection.scans)
    n_mcus = sum(scan.n_mcus for scan in inspection.scans)
    return f"{verdict.message}. {read:,} of {n_mcus:,} MCUs could be read."


def _facts(inspection: Inspection) -> Iterator[str]:
    yield f"{inspection.n_bytes:,} bytes"
    if not inspection.width:
        return
    yield f"{inspection.width:,} x {inspection.height:,} pixels"
    yield f"{inspection.process} JPEG"
    sampling = ", ".join(f"{c.h}x{c.v}" for c in inspection.components)
    n = len(inspection.components)
    yield f"{n} component{'s' if n > 1 else ''}, sampled {sampling}"
    for scan in inspection.scans:
        if scan.restart_interval:
            n_mcus = scan.restart_interval
            yield f"restart every {'MCU' if n_mcus == 1 else f'{n_mcus:,} MCUs'}"
            break


def _legend(inspection: Inspection) -> str:
    kinds = list(_BYTE_KINDS)
    if inspection.scans:
        kinds += [(f"c{i}", f"component {c.c}") for i, c in enumerate(inspection.components)]
        kinds += [("p", "padding, stuffing")]
    items = [f'<li><i class="b {kind}"></i>{text}</li>' for kind, text in kinds]
    if inspection.scans:
        items.append('<li><i class="b s"></i>an MCU begins</li>')
    if not inspection.verdict.valid:
        items.append('<li><i class="b wrong"></i>the error</li>')
    return "".join(items)


def _picture_html(data: bytes, inspection: Inspection, tables: bytes | None) -> str:
    if not inspection.width:
        return '<p class="soft">No frame header could be read, so there is no picture.</p>'
    uri, note = picture_uri(data, inspection, tables)
    # A picture thinner than this would be a line.
    ratio = min(max(inspection.width / inspection.height, 1 / 16), 16)
    small = " small" if max(inspection.width, inspection.height) <= 320 else ""
    img = f'<img src="{uri}" alt="The picture of the file">' if uri else ""
    return (
        f'<figure><div class="stage{small}" id="stage" style="--ratio:{ratio:.4f}" tabindex="0"'
        ' role="application" aria-label="Map of the bits of each MCU; arrow keys move">'
        f'{img}<canvas id="map" width="1" height="1"></canvas>'
        '<div class="box error" id="wrong" hidden></div><div class="box" id="box" hidden></div>'
        '</div><div class="scale" id="scale" hidden><div class="ramp" id="ramp"></div>'
        '<div class="ends"><span id="low"></span><span id="middle"></span><span id="high"></span>'
        f"</div></div><figcaption>{escape(note)}</figcaption></figure>"
    )


def _parts(inspection: Inspection) -> list[_Part]:
    """What the hex view shows, in the order of the file."""
    end = min(inspection.n_bytes, inspection.verdict.offset)
    parts: list[_Part] = []
    left = _MAX_SEGMENT_BYTES
    scans_left = _MAX_SCAN_BYTES
    at = 0
    scans = {scan.offset: (i, scan) for i, scan in enumerate(inspection.scans)}
    for segment in inspection.segments[:_MAX_SEGMENTS]:
        offset = segment.offset - segment.n_fill_bytes
        segment_end = min(segment.offset + segment.n_bytes, inspection.n_bytes)
        shown = min(segment_end - offset, _MAX_BYTES_OF_A_SEGMENT, left)
        left -= shown
        parts.append(_segment_part(segment, offset, segment_end, shown))
        at = segment_end
        if segment.name == "SOS" and segment_end in scans:
            i, scan = scans[segment_end]
            part = _scan_part(i, scan, scans_left, inspection)
            scans_left -= sum(last - first for first, last in part.shown)
            parts.append(part)
            at = part.offset + part.n_bytes
    if at < inspection.n_bytes:
        if at < end:
            name, title = "Rest", "read, but too much to list"
        elif inspection.verdict.valid:
            name, title = "After the end", "not part of the file"
        else:
            name, title = "Rest", "not read"
        shown = min(_MAX_TRAILING_BYTES, inspection.n_bytes - at)
        parts.append(_Part(name, title, at, inspection.n_bytes - at, ((at, at + shown),)))
    return parts


def _segment_part(segment: Segment, offset: int, end: int, n_shown: int) -> _Part:
    ranges = ((offset, offset + n_shown),) if n_shown else ()
    return _Part(segment.name, segment.title, offset, end - offset, ranges)


def _scan_part(index: int, scan: Scan, n_left: int, inspection: Inspection) -> _Part:
    """All of a scan, or its beginning and what stands around the error."""
    name, title = f"Scan {index + 1}", "entropy-coded data"
    end = scan.end
    error = inspection.verdict.offset
    is_broken = not inspection.verdict.valid and scan.offset <= error <= scan.end
    if is_broken and not scan.is_whole:
        end = min(inspection.n_bytes, max(end, error + 1))
    if end - scan.offset <= n_left:
        ranges = [(scan.offset, end)]
    elif not is_broken:
        ranges = [(scan.offset, scan.offset + n_left)]
    else:
        n_first = max(0, n_left - _BEFORE_ERROR - _AFTER_ERROR)
        ranges = [(scan.offset, scan.offset + n_first), (max(error - _BEFORE_ERROR, 0), end)]
    ranges = [(first, last) for first, last in ranges if first < last]
    return _Part(name, title, scan.offset, end - scan.offset, tuple(ranges), index)


def _symbols(
    data: bytes, window: tuple[int, int], scan: int, abbreviated: bool, tables: Buffer | None
) -> dict[str, Any]:
    """The fields of some bytes of a scan, column by column; positions and MCUs as differences."""
    rows = _core.trace_jpeg(
        # What comes after the window has no say in it, but a code may end behind it.
        data[: window[1] + 8],
        abbreviated=abbreviated,
        tables=tables,
        symbols=window,
        max_mcus=0,
        max_fields=0,
    )["symbols"]
    mcus = np.maximum(rows["mcu"], 0)
    return {
        "scan": scan,
        "delta": _differences(8 * rows["byte"].astype(np.int64) + rows["bit"]),
        "mcu": _differences(mcus),
        "n": rows["n_bits"].tolist(),
        "element": rows["element"].tolist(),
        "block": rows["block"].tolist(),
        "component": rows["component"].tolist(),
        "k": rows["coefficient"].tolist(),
        "value": rows["value"].tolist(),
    }


def _differences(values: NDArray[np.int64]) -> list[int]:
    differences: list[int] = np.diff(values, prepend=0).tolist()
    return differences


def _page_data(
    data: bytes, inspection: Inspection, parts: list[_Part], symbols: list[dict[str, Any]]
) -> dict[str, Any]:
    verdict = inspection.verdict
    error = {"offset": verdict.offset, "bit": verdict.bit, "message": verdict.message}
    left = _MAX_MCUS_IN_DETAIL
    scans = []
    for scan in inspection.scans:
        in_detail = len(scan.mcu_starts) <= left
        left -= len(scan.mcu_starts) if in_detail else 0
        scans.append(_scan_data(scan, in_detail))
    return {
        "n": inspection.n_bytes,
        "end": verdict.offset,
        "width": max(1, inspection.width),
        "height": max(1, inspection.height),
        "elements": _core.ELEMENTS,
        "components": [c.c for c in inspection.components],
        "parts": [
            {
                "name": part.name,
                "title": part.title,
                "offset": part.offset,
                "n": part.n_bytes,
                "chunks": [
                    [first, b64encode(data[first:last]).decode()] for first, last in part.shown
                ],
            }
            for part in parts
        ],
        "fields": list(_field_rows(inspection)),
        "symbols": symbols,
        "scans": scans,
        "error": None if verdict.valid else error,
    }


def _field_rows(inspection: Inspection) -> Iterator[list[int]]:
    """Position in bits, number of bits, element, number of values; markers are fields too."""
    elements = {name: i for i, (name, _) in enumerate(_core.ELEMENTS)}
    for segment in inspection.segments[:_MAX_SEGMENTS]:
        for i in range(segment.n_fill_bytes):
            yield [8 * (segment.offset - 1 - i), 8, elements["marker prefix"], 1]
        if segment.name == "SOI":
            yield [8 * segment.offset, 16, elements["SOI"], 1]
        else:
            yield [8 * segment.offset, 8, elements["marker prefix"], 1]
            yield [8 * segment.offset + 8, 8, elements["marker"], 1]
        for field in segment.fields:
            yield [
                8 * field.offset + field.bit,
                field.n_bits,
                elements[field.element],
                len(field.values),
            ]


def _scan_data(scan: Scan, in_detail: bool) -> dict[str, Any]:
    return {
        "offset": scan.offset,
        "end": scan.end if scan.is_whole else scan.end + 1,
        "mcus": scan.n_mcus,
        "read": scan.n_mcus_read,
        "whole": scan.is_whole,
        "wide": scan.mcus_wide,
        "size": scan.mcu_size,
        "components": [c.index for c in scan.components],
        "deltas": _differences(scan.mcu_starts.astype(np.int64)),
        "bits": scan.mcu_bits.sum((1, 2), dtype=np.int64).tolist(),
        "costs": scan.mcu_bits.ravel().tolist() if in_detail else None,
    }
