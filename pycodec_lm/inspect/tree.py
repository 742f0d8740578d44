"""The parts of the page that need no script: where the bits go, and the segments."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from ..jpeg_tables import zigzag_order
from .field import Field
from .model import Inspection, Scan, Segment
from .text import code_words
from .verdict_text import text_preview

__all__ = ["spent_html", "tree_html"]

_MAX_FIELDS_OF_A_SEGMENT = 64
_MAX_TABLES = 64
_TEXT_BYTES = 200


def spent_html(inspection: Inspection) -> str:
    """A table for each scan: bits of each component, and of what is no component's."""
    if not inspection.scans:
        return '<p class="soft">No scan could be read.</p>'
    return "".join(_scan_html(scan, i + 1) for i, scan in enumerate(inspection.scans))


def tree_html(inspection: Inspection, *, max_segments: int) -> str:
    """The segments with their fields and tables, folded up."""
    if not inspection.segments:
        return '<p class="soft">No segment could be read.</p>'
    n_tables = 0
    out = ['<div class="tree">']
    for segment in inspection.segments[:max_segments]:
        n_tables += sum(field.element in ("Qk", "Vi,j") for field in segment.fields)
        out.append(_segment_html(segment, n_tables <= _MAX_TABLES))
    out.append("</div>")
    n_left_out = len(inspection.segments) - max_segments
    if n_left_out > 0:
        out.append(f'<p class="soft">{n_left_out:,} more segments are left out.</p>')
    return "".join(out)


def _scan_html(scan: Scan, number: int) -> str:
    n_bits = 8 * scan.n_bytes or 1
    others = (
        ("padding", scan.n_padding_bits),
        ("stuffed bytes", 8 * scan.n_stuffed_bytes),
        ("restart markers", 8 * scan.n_marker_bytes),
    )
    meter = [
        f'<i class="k{c.index}{kind}" style="flex:{bits}"></i>'
        for c in scan.components
        for kind, bits in ((" dc", c.dc_bits), ("", c.ac_bits))
        if bits
    ]
    n_others = sum(bits for _, bits in others)
    if n_others:
        meter.append(f'<i class="kx" style="flex:{n_others}"></i>')
    rows = [
        f'<tr><th scope="row">Component {c.c}</th><td>{c.dc_bits:,}</td><td>{c.ac_bits:,}</td>'
        f"<td>{100 * c.n_bits / n_bits:.1f} %</td></tr>"
        for c in scan.components
    ]
    rows += [
        f'<tr><th scope="row">{name.capitalize()}</th><td></td><td>{bits:,}</td>'
        f"<td>{100 * bits / n_bits:.1f} %</td></tr>"
        for name, bits in others
        if bits
    ]
    per_mcu = sum(c.n_bits for c in scan.components) / max(1, scan.n_mcus_read)
    return (
        f'<div class="meter" aria-hidden="true">{"".join(meter)}</div>'
        f'<table class="spent"><caption>Scan {number}: {scan.n_bytes:,} bytes,'
        f" {scan.n_mcus_read:,} of {scan.n_mcus:,} MCUs, {per_mcu:,.0f} bits each on average."
        " The darker part of a colour is DC.</caption>"
        '<thead><tr><th scope="col">Bits of</th><th scope="col">DC</th><th scope="col">AC</th>'
        '<th scope="col">share</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def _segment_html(segment: Segment, with_tables: bool) -> str:
    fields = segment.fields[:_MAX_FIELDS_OF_A_SEGMENT]
    body = "".join(_fields_html(fields, with_tables)) or "<p>no fields</p>"
    if len(segment.fields) > len(fields):
        body += f"<p>{len(segment.fields) - len(fields):,} more fields are left out.</p>"
    return (
        f"<details><summary><strong>{segment.name}</strong><span>{escape(segment.title)}</span>"
        f'<span class="soft">byte {segment.offset:,}, {segment.n_bytes:,} bytes</span></summary>'
        f'<div class="fields">{body}</div></details>'
    )


def _fields_html(fields: tuple[Field, ...], with_tables: bool) -> Iterator[str]:
    """Fields side by side, a paragraph for each clause's group; tables below them."""
    row: list[str] = []
    counts = b""
    for field in fields:
        if row and field.element in ("P", "Ci", "Ns", "Csj", "Ss", "Pq", "Tc"):
            yield f"<p>{', '.join(row)}</p>"
            row = []
        n = len(field.values)
        label = f'<b title="{escape(field.clause)}">{field.element}</b>'
        if field.element in ("Api", "Cmi"):
            text = escape(text_preview(bytes(field.values), _TEXT_BYTES))
            row.append(f"{label} {n:,} bytes <code>{text}</code>")
        elif field.element == "Li":
            counts = bytes(field.values)
            row.append(f"{label} {' '.join(map(str, field.values))}")
        elif field.element in ("Qk", "Vi,j"):
            row.append(f"{label} {n} values")
            if with_tables:
                yield f"<p>{', '.join(row)}</p>"
                row = []
                yield _matrix(field) if field.element == "Qk" else _codes(field, counts)
        else:
            row.append(f"{label} {field.value}")
    if row:
        yield f"<p>{', '.join(row)}</p>"


def _matrix(field: Field) -> str:
    """A quantization table in rows and columns, not in the order of the file."""
    cells = [""] * 64
    for place, value in zip(zigzag_order(), field.values, strict=False):
        cells[place] = str(value)
    return f'<div class="matrix">{"".join(f"<span>{cell}</span>" for cell in cells)}</div>'


def _codes(field: Field, counts: bytes) -> str:
    items = [
        f"<li>{word} {symbol:02X}</li>"
        for word, symbol in zip(code_words(counts), field.values, strict=False)
    ]
    return f'<ul class="codes">{"".join(items)}</ul>'
