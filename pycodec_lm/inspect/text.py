"""The syntax tree as lines of text and as one JSON object."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .field import Field
from .model import Inspection, Scan, Segment
from .verdict_text import place_of, text_preview, verdict_json, verdict_lines

__all__ = ["lines", "to_json"]

# Fields that open a line of their own: what follows them belongs to the same row of the standard's
# tables.
_ROW_STARTS = frozenset({"P", "Ci", "Ns", "Csj", "Ss", "Pq", "Tc", "Ri"})


def lines(
    inspection: Inspection, name: str, *, tables: bool = False, mcus: bool = False
) -> Iterator[str]:
    """The syntax tree, a line at a time.

    Args:
        inspection: of the file.
        name: of the file, as it may stand in a line.
        tables: True lists the contents of tables, False sums them up.
        mcus: True lists where each MCU and each restart marker begins.
    """
    yield f"{name}: {_summary(inspection)}"
    yield from verdict_lines(inspection.verdict, inspection.place if inspection.segments else "")
    if not inspection.segments:
        return
    yield ""
    yield f"{'byte':>10} {'bytes':>8}"
    scans = list(inspection.scans)
    for segment in inspection.segments:
        yield from _segment(segment, tables)
        if segment.name == "SOS" and scans and scans[0].offset == _end(segment):
            scan = scans.pop(0)
            yield from _scan(scan, len(inspection.scans) - len(scans))
            if mcus:
                yield from _mcus(scan)
    if inspection.n_fields_left_out:
        yield f"{'':>20} and {inspection.n_fields_left_out:,} more fields, too many to list"


def to_json(inspection: Inspection, *, tables: bool = False, mcus: bool = False) -> dict[str, Any]:
    """The syntax tree as what `json` takes; options as in `lines`."""
    return {
        "n_bytes": inspection.n_bytes,
        **verdict_json(inspection.verdict),
        "place": inspection.place,
        "process": inspection.process,
        "width": inspection.width,
        "height": inspection.height,
        "segments": [_segment_json(segment, tables) for segment in inspection.segments],
        "n_fields_left_out": inspection.n_fields_left_out,
        "scans": [_scan_json(scan, mcus) for scan in inspection.scans],
    }


def code_words(counts: bytes) -> list[str]:
    """The Huffman codes of a table, in order (T.81 Figure C.2).

    Args:
        counts: codes of each length from 1 on (Li).
    """
    words = []
    code = 0
    for i, n in enumerate(counts):
        for _ in range(n):
            words.append(f"{code:0{i + 1}b}")
            code += 1
        code <<= 1
    return words


def _end(segment: Segment) -> int:
    return segment.offset + segment.n_bytes


def _summary(inspection: Inspection) -> str:
    parts = [f"{inspection.n_bytes:,} bytes"]
    if inspection.width:
        n = len(inspection.components)
        parts += [
            f"{inspection.width} x {inspection.height} pixels",
            f"{n} component{'s' if n > 1 else ''}",
            f"{inspection.process} JPEG",
        ]
    return ", ".join(parts)


def _segment(segment: Segment, tables: bool) -> Iterator[str]:
    fill = f", after {segment.n_fill_bytes} fill bytes" if segment.n_fill_bytes else ""
    yield f"{segment.offset:>10} {segment.n_bytes:>8}  {segment.name:5} {segment.title}{fill}"
    row: list[str] = []
    counts = b""
    for field in segment.fields:
        if row and field.element in _ROW_STARTS:
            yield f"{'':>20}  {', '.join(row)}"
            row = []
        row.append(_field(field))
        if field.element == "Li":
            counts = bytes(field.values)
        if tables and field.element in ("Qk", "Vi,j"):
            yield f"{'':>20}  {', '.join(row)}"
            row = []
            yield from (f"{'':>20}    {line}" for line in _contents(field, counts))
    if row:
        yield f"{'':>20}  {', '.join(row)}"


def _field(field: Field) -> str:
    n = len(field.values)
    if field.element in ("Api", "Cmi"):
        return f'{field.element} {n} bytes "{text_preview(bytes(field.values))}"'
    if field.element == "Qk":
        return f"Qk {min(field.values)}..{max(field.values)}"
    if field.element == "Li":
        return "Li " + " ".join(map(str, field.values))
    if field.element == "Vi,j":
        return f"Vi,j {n} symbol{'s' if n > 1 else ''}"
    return f"{field.element} {field.value}"


def _contents(field: Field, counts: bytes) -> Iterator[str]:
    if field.element == "Qk":
        for start in range(0, len(field.values), 8):
            yield " ".join(f"{value:5}" for value in field.values[start : start + 8])
        return
    words = code_words(counts)
    for word, symbol in zip(words, field.values, strict=False):
        yield f"{word:16} {symbol:02X}"


def _scan(scan: Scan, number: int) -> Iterator[str]:
    read = (
        f"{scan.n_mcus:,} MCUs"
        if scan.is_whole
        else f"{scan.n_mcus_read:,} of {scan.n_mcus:,} MCUs"
    )
    every = f"{scan.restart_interval:,} MCUs" if scan.restart_interval > 1 else "MCU"
    restarts = f"a restart every {every}" if scan.restart_interval else "no restarts"
    width, height = scan.mcu_size
    yield (
        f"{scan.offset:>10} {scan.n_bytes:>8}  scan {number}: {read} of {width} x {height} pixels,"
        f" {scan.mcus_wide:,} in a row; {restarts}"
    )
    n_bits = 8 * scan.n_bytes or 1
    for c in scan.components:
        yield (
            f"{'':>20}  component {c.c}: {c.n_bits:,} bits ({100 * c.n_bits / n_bits:.1f} %),"
            f" DC {c.dc_bits:,}, AC {c.ac_bits:,}"
        )
    yield (
        f"{'':>20}  padding {scan.n_padding_bits:,} bits, stuffing {scan.n_stuffed_bytes:,} bytes,"
        f" restart markers {scan.n_marker_bytes:,} bytes"
    )


def _mcus(scan: Scan) -> Iterator[str]:
    starts = scan.mcu_starts.tolist()
    totals = scan.mcu_bits.sum((1, 2), dtype=int).tolist()
    marker_of = {
        int(i["first_mcu"]): int(i["marker_byte"]) for i in scan.intervals if i["marker_byte"] >= 0
    }
    for mcu, (start, n_bits) in enumerate(zip(starts, totals, strict=True)):
        if mcu in marker_of:
            yield f"{marker_of[mcu]:>10} {2:>8}    restart before MCU {mcu}"
        yield f"{place_of(start):>10} {'':>8}    MCU {mcu}: {n_bits} bits"
    if len(starts) < scan.n_mcus_read:
        yield f"{'':>20}  and {scan.n_mcus_read - len(starts):,} more MCUs, too many to list"


def _segment_json(segment: Segment, tables: bool) -> dict[str, Any]:
    return {
        "marker": segment.name,
        "title": segment.title,
        "offset": segment.offset,
        "n_bytes": segment.n_bytes,
        "n_fill_bytes": segment.n_fill_bytes,
        "fields": [_field_json(field, tables) for field in segment.fields],
    }


def _field_json(field: Field, tables: bool) -> dict[str, Any]:
    out = field.place_json()
    if field.element not in ("Api", "Cmi", "Qk", "Li", "Vi,j"):
        return {**out, "value": field.value}
    out["n_values"] = len(field.values)
    if field.element in ("Api", "Cmi"):
        out["text"] = text_preview(bytes(field.values))
    elif tables or field.element == "Li":
        out["values"] = list(field.values)
    return out


def _scan_json(scan: Scan, mcus: bool) -> dict[str, Any]:
    out: dict[str, Any] = {
        "offset": scan.offset,
        "n_bytes": scan.n_bytes,
        "is_whole": scan.is_whole,
        "n_mcus": scan.n_mcus,
        "n_mcus_read": scan.n_mcus_read,
        "mcus_wide": scan.mcus_wide,
        "mcu_size": list(scan.mcu_size),
        "restart_interval": scan.restart_interval,
        "n_intervals": len(scan.intervals),
        "components": [
            {
                "c": c.c,
                "td": c.td,
                "ta": c.ta,
                "dc_code_bits": c.dc_code_bits,
                "dc_amplitude_bits": c.dc_amplitude_bits,
                "ac_code_bits": c.ac_code_bits,
                "ac_amplitude_bits": c.ac_amplitude_bits,
            }
            for c in scan.components
        ],
        "n_padding_bits": scan.n_padding_bits,
        "n_stuffed_bytes": scan.n_stuffed_bytes,
        "n_marker_bytes": scan.n_marker_bytes,
    }
    if mcus:
        out["mcus"] = [
            {"byte": start // 8, "bit": start % 8, "bits": bits}
            for start, bits in zip(scan.mcu_starts.tolist(), scan.mcu_bits.tolist(), strict=True)
        ]
        out["restarts"] = [
            {"byte": int(i["marker_byte"]), "mcu": int(i["first_mcu"])}
            for i in scan.intervals
            if i["marker_byte"] >= 0
        ]
    return out
