"""The parts of the page that need no script: where the bits go, slices, and NAL units."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from .avc_model import AvcInspection, NalUnit, Slice
from .avc_text import slice_table, spent, value_text
from .field import Field
from .verdict_text import place_of

__all__ = ["slices_html", "spent_html", "tree_html"]

_MAX_SLICES = 1000
_MAX_FIELDS_OF_A_NAL_UNIT = 128
_TEXT_BYTES = 80
# Classes of colours in page.css, by the names of `spent`.
_COLOURS = {"types": "k0", "prediction": "k1", "luma": "k2", "chroma": "k3"}


def spent_html(inspection: AvcInspection) -> str:
    """A table of what bits are for, of the slices of each type."""
    slices = tuple(inspection.slices)
    if not slices:
        return '<p class="soft">No slice could be read.</p>'
    kinds = [kind for kind in "IPB" if any(s.type == kind for s in slices)]
    of_kind = {kind: dict(spent(tuple(s for s in slices if s.type == kind))) for kind in kinds}
    n_bits = sum(each.n_bits for each in slices) or 1
    meter, rows = [], []
    for name, bits in spent(slices):
        if not bits:
            continue
        meter.append(f'<i class="{_COLOURS.get(name, "kx")}" style="flex:{bits}"></i>')
        rows.append(
            f'<tr><th scope="row">{name.capitalize()}</th>'
            f"{''.join(f'<td>{of_kind[kind][name]:,}</td>' for kind in kinds)}"
            f"<td>{100 * bits / n_bits:.1f} %</td></tr>"
        )
    n_mbs = sum(each.n_mbs for each in slices)
    heads = "".join(f'<th scope="col">{kind} slices</th>' for kind in kinds)
    return (
        f'<div class="meter" aria-hidden="true">{"".join(meter)}</div>'
        f'<table class="spent"><caption>{len(slices):,} slices, {n_bits // 8:,} bytes,'
        f" {n_mbs:,} macroblocks, {n_bits / max(1, n_mbs):,.1f} bits each on average."
        f"{_information(slices)}</caption>"
        '<thead><tr><th scope="col">Bits of</th>'
        f"{heads}"
        '<th scope="col">share</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def _information(slices: tuple[Slice, ...]) -> str:
    n_bins = sum(each.n_bins for each in slices)
    if not n_bins:
        return " Skipped macroblocks have no bits of their own, only skip runs."
    n_bits = sum(each.information_bits for each in slices)
    return f" {n_bins:,} bins by CABAC say {n_bits:,.1f} bits, {n_bits / n_bins:.2f} each."


def slices_html(inspection: AvcInspection) -> str:
    """A section with a row for each slice; nothing where there is none."""
    columns, shown = slice_table(inspection, _MAX_SLICES)
    if not shown:
        return ""
    head = "".join(f'<th scope="col">{name}</th>' for name in columns)
    rows = "".join(f"<tr>{''.join(f'<td>{value}</td>' for value in row)}</tr>" for row in shown)
    n_left_out = sum(1 for _ in inspection.slices) - _MAX_SLICES
    note = f'<p class="soft">{n_left_out:,} more slices are left out.</p>' if n_left_out > 0 else ""
    return (
        '<section class="card wide" aria-labelledby="slices-title">'
        '<h2 id="slices-title">Slices</h2><div class="scroll" tabindex="0">'
        f'<table class="spent slices"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
        f"</div>{note}</section>"
    )


def tree_html(inspection: AvcInspection, *, max_nal_units: int) -> str:
    """The NAL units with their fields, folded up."""
    if not inspection.nal_units:
        return '<p class="soft">No NAL unit could be read.</p>'
    out = ['<div class="tree">', *map(_nal_html, inspection.nal_units[:max_nal_units]), "</div>"]
    n_left_out = len(inspection.nal_units) - max_nal_units + inspection.n_nal_units_left_out
    if n_left_out > 0:
        out.append(f'<p class="soft">{n_left_out:,} more NAL units are left out.</p>')
    return "".join(out)


def _nal_html(nal: NalUnit) -> str:
    title = nal.title if nal.is_whole else f"{nal.title}, not whole"
    return (
        f"<details><summary><strong>{nal.name}</strong><span>{escape(title)}</span>"
        f'<span class="soft">nal_ref_idc {nal.nal_ref_idc}, byte {nal.offset:,},'
        f" {nal.n_bytes:,} bytes</span></summary>"
        f'<div class="fields">{_fields_html(nal.fields)}</div></details>'
    )


def _fields_html(fields: tuple[Field, ...]) -> str:
    shown = fields[:_MAX_FIELDS_OF_A_NAL_UNIT]
    more = len(fields) - len(shown)
    head = "".join(f'<th scope="col">{name}</th>' for name in ("element", "value", "bits", "place"))
    return (
        f'<table class="spent elements"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(_rows(shown))}</tbody></table>"
        f"{f'<p>{more:,} more fields are left out.</p>' if more else ''}"
    )


def _rows(fields: Iterable[Field]) -> Iterable[str]:
    for field in fields:
        yield (
            f'<tr><th scope="row" title="{escape(field.clause)}">{escape(field.element)}</th>'
            f"<td>{escape(value_text(field, _TEXT_BYTES))}</td><td>{field.n_bits:,}</td>"
            f"<td>{place_of(8 * field.offset + field.bit)}</td></tr>"
        )
