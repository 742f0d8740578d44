"""The page of a JPEG: bytes and picture side by side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core
from .model import Inspection, Scan, Segment, inspect_jpeg
from .page import MAX_TRAILING_BYTES, Part, differences, page_html, shared_data, stage_html
from .picture import picture_uri
from .tree import spent_html, tree_html

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["jpeg_to_html"]

# What keeps a page below 4 MB, whatever the file: bytes shown of segments and of scans, segments,
# MCUs with their total, MCUs with each component's bits.
_MAX_SEGMENT_BYTES = 16 << 10
_MAX_BYTES_OF_A_SEGMENT = 1 << 10
_MAX_SEGMENTS = 256
_MAX_SCAN_BYTES = 16 << 10
_BEFORE_ERROR, _AFTER_ERROR = 2048, 64
_MAX_MCUS = 200_000
_MAX_MCUS_IN_DETAIL = 20_000

_BYTE_KINDS = (
    ("m", "marker"),
    ("l", "length"),
    ("f", "field"),
    ("q", "table"),
    ("t", "text"),
)


def jpeg_to_html(
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
        _symbols(data, window, scan, abbreviated, tables)
        for part, scan in parts
        if scan >= 0
        for window in part.shown
    ]
    page = page_html(
        name,
        inspection.verdict,
        _page_data(data, inspection, [part for part, _ in parts], symbols),
        script="jpeg.js",
        facts=_facts(inspection),
        legend=_legend(inspection),
        message=_message(inspection),
        map_word="Scan",
        view_word="Bits",
        picture=_picture_html(data, inspection, None if tables is None else bytes(tables)),
        spent=spent_html(inspection),
        table="",
        tree_word="Segments",
        tree=tree_html(inspection, max_segments=_MAX_SEGMENTS),
        standard="ITU-T T.81",
    )
    return inspection, page


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


def _legend(inspection: Inspection) -> Iterator[tuple[str, str]]:
    yield from _BYTE_KINDS
    if inspection.scans:
        yield from ((f"c{i}", f"component {c.c}") for i, c in enumerate(inspection.components))
        yield "p", "padding, stuffing"
        yield "s", "an MCU begins"


def _picture_html(data: bytes, inspection: Inspection, tables: bytes | None) -> str:
    if not inspection.width:
        return '<p class="soft">No frame header could be read, so there is no picture.</p>'
    uri, note = picture_uri(data, inspection, tables)
    label = "Map of the bits of each MCU"
    return stage_html(uri, inspection.width, inspection.height, note, label)


def _parts(inspection: Inspection) -> list[tuple[Part, int]]:
    """What the hex view shows, in the order of the file, and of which scan it is; -1 for none."""
    end = min(inspection.n_bytes, inspection.verdict.offset)
    parts: list[tuple[Part, int]] = []
    left = _MAX_SEGMENT_BYTES
    scans_left = _MAX_SCAN_BYTES
    at = 0
    scans = {scan.offset: (i, scan) for i, scan in enumerate(inspection.scans)}
    for segment in inspection.segments[:_MAX_SEGMENTS]:
        offset = segment.offset - segment.n_fill_bytes
        segment_end = min(segment.offset + segment.n_bytes, inspection.n_bytes)
        shown = min(segment_end - offset, _MAX_BYTES_OF_A_SEGMENT, left)
        left -= shown
        parts.append((_segment_part(segment, offset, segment_end, shown), -1))
        at = segment_end
        if segment.name == "SOS" and segment_end in scans:
            i, scan = scans[segment_end]
            part = _scan_part(i, scan, scans_left, inspection)
            scans_left -= sum(last - first for first, last in part.shown)
            parts.append((part, i))
            at = part.offset + part.n_bytes
    if at < inspection.n_bytes:
        if at < end:
            name, title = "Rest", "read, but too much to list"
        elif inspection.verdict.valid:
            name, title = "After the end", "not part of the file"
        else:
            name, title = "Rest", "not read"
        shown = min(MAX_TRAILING_BYTES, inspection.n_bytes - at)
        parts.append((Part(name, title, at, inspection.n_bytes - at, ((at, at + shown),)), -1))
    return parts


def _segment_part(segment: Segment, offset: int, end: int, n_shown: int) -> Part:
    ranges = ((offset, offset + n_shown),) if n_shown else ()
    return Part(segment.name, segment.title, offset, end - offset, ranges)


def _scan_part(index: int, scan: Scan, n_left: int, inspection: Inspection) -> Part:
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
    return Part(name, title, scan.offset, end - scan.offset, tuple(ranges))


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
        "map": scan,
        "delta": differences(8 * rows["byte"].astype(np.int64) + rows["bit"]),
        "unit": differences(mcus),
        "n": rows["n_bits"].tolist(),
        "element": rows["element"].tolist(),
        "block": rows["block"].tolist(),
        "component": rows["component"].tolist(),
        "k": rows["coefficient"].tolist(),
        "value": rows["value"].tolist(),
    }


def _page_data(
    data: bytes, inspection: Inspection, parts: list[Part], symbols: list[dict[str, Any]]
) -> dict[str, Any]:
    left = _MAX_MCUS_IN_DETAIL
    scans = []
    for scan in inspection.scans:
        in_detail = len(scan.mcu_starts) <= left
        left -= len(scan.mcu_starts) if in_detail else 0
        scans.append(_scan_data(scan, in_detail, inspection))
    return {
        **shared_data(data, inspection.verdict, parts),
        "components": [c.c for c in inspection.components],
        "fields": list(_field_rows(inspection)),
        "symbols": symbols,
        "maps": scans,
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


def _scan_data(scan: Scan, in_detail: bool, inspection: Inspection) -> dict[str, Any]:
    return {
        "offset": scan.offset,
        "end": scan.end if scan.is_whole else scan.end + 1,
        "n": scan.n_mcus,
        "read": scan.n_mcus_read,
        "whole": scan.is_whole,
        "wide": scan.mcus_wide,
        "size": scan.mcu_size,
        "width": max(1, inspection.width),
        "height": max(1, inspection.height),
        "crop": (0, 0),
        "components": [c.index for c in scan.components],
        "deltas": differences(scan.mcu_starts.astype(np.int64)),
        "bits": scan.mcu_bits.sum((1, 2), dtype=np.int64).tolist(),
        "costs": scan.mcu_bits.ravel().tolist() if in_detail else None,
    }
