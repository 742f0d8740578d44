"""The syntax of an H.264 stream as lines of text and as one JSON object."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import groupby, islice
from textwrap import wrap
from typing import Any

import numpy as np

from .avc_model import BIT_KINDS, MB_TYPES, AvcInspection, Bin, NalUnit, Picture, Slice
from .field import Field
from .verdict_text import place_of, text_preview, verdict_json, verdict_lines

__all__ = ["lines", "slice_table", "spent", "summary", "to_json", "value_text"]

_FIELDS_WIDTH = 78
_SLICE_COLUMNS = (
    *("byte", "picture", "slice", "first_mb", "frame_num", "idr_pic_id", "order", "QP"),
    *("macroblocks", "intra", "skipped", "bits"),
)
_BIN_COLUMNS = ("bins", "information")
# What is the same in every NAL unit.
_SAYS_NOTHING = (
    *("forbidden_zero_bit", "nal_unit_type", "emulation_prevention_three_byte"),
    "rbsp_trailing_bits",
)
_BINS_ARE = (
    "Bins by CABAC: value@ctxIdx(pStateIdx,valMPS), before the bin; 276 ends a slice or begins PCM"
    " samples"
)
_I_PCM = MB_TYPES.index("I_PCM")
_SKIPPED = (MB_TYPES.index("P_Skip"), MB_TYPES.index("B_Skip"))


def lines(
    inspection: AvcInspection, name: str, *, tables: bool = False, mcus: bool = False
) -> Iterator[str]:
    """NAL units with their fields, then the slices, a line at a time.

    Args:
        inspection: of the stream.
        name: of the file, as it may stand in a line.
        tables: True gives each field a line with its place, False puts them side by side.
        mcus: True lists where each macroblock begins. Bins that the inspection has are listed below
            their macroblocks.
    """
    yield f"{name}: {', '.join(summary(inspection))}"
    yield from verdict_lines(inspection.verdict, inspection.place if inspection.nal_units else "")
    if not inspection.nal_units:
        return
    yield ""
    yield f"{'byte':>10} {'bytes':>8}"
    for nal in inspection.nal_units:
        yield from _nal_unit(nal, tables)
    if inspection.n_nal_units_left_out:
        yield f"{'':>20} and {inspection.n_nal_units_left_out:,} more NAL units, too many to list"
    if inspection.n_fields_left_out:
        yield f"{'':>20} and {inspection.n_fields_left_out:,} more fields, too many to list"
    if inspection.pictures:
        yield ""
        yield from _slices(inspection)
        yield from _wrapped(_spent(tuple(inspection.slices)))
    bins = _bins_of_macroblocks(inspection)
    if bins:
        yield ""
        yield from _wrapped([_BINS_ARE])
    for i, picture in enumerate(inspection.pictures if mcus or bins else ()):
        yield ""
        yield from _picture(picture, i, bins)
    if inspection.n_bins_left_out:
        yield f"{'':>20} and {inspection.n_bins_left_out:,} more bins, too many to list"


def to_json(
    inspection: AvcInspection, *, tables: bool = False, mcus: bool = False
) -> dict[str, Any]:
    """The syntax as what `json` takes; options as in `lines`.

    Args:
        tables: True gives the bytes of payloads too, as hexadecimal digits.
    """
    return {
        "n_bytes": inspection.n_bytes,
        "container": inspection.container,
        **verdict_json(inspection.verdict),
        "place": inspection.place,
        "profile": inspection.profile,
        "level": inspection.level,
        "width": inspection.width,
        "height": inspection.height,
        "nal_units": [_nal_unit_json(nal, tables) for nal in inspection.nal_units],
        "n_nal_units_left_out": inspection.n_nal_units_left_out,
        "n_fields_left_out": inspection.n_fields_left_out,
        "slices": [_slice_json(each, inspection) for each in inspection.slices],
        "pictures": [_picture_json(picture, mcus) for picture in inspection.pictures],
        **_bins_json(inspection.bins, inspection.n_bins_left_out),
    }


def summary(inspection: AvcInspection) -> Iterator[str]:
    """Size, kind and so on of a stream, a few words each."""
    container = f" taken out of {inspection.container}" if inspection.container else ""
    yield f"{inspection.n_bytes:,} bytes{container}"
    if inspection.width:
        n = len(inspection.pictures)
        yield f"{inspection.width:,} x {inspection.height:,} pixels"
        yield f"{n:,} picture{'s' if n > 1 else ''}"
    if inspection.profile:
        yield f"{inspection.profile} H.264"
    if inspection.level:
        yield f"level {inspection.level}"


def value_text(field: Field, limit: int = 48) -> str:
    """The value of a field; of several bytes how many they are, and those that are text."""
    n = len(field.values)
    if n == 1:
        return str(field.value)
    return f'{n:,} bytes "{text_preview(bytes(field.values), limit)}"'


def _nal_unit(nal: NalUnit, tables: bool) -> Iterator[str]:
    broken = "" if nal.is_whole else ", not whole"
    emulation = f", {nal.n_emulation_bytes} emulation prevention bytes"
    yield (
        f"{nal.offset:>10} {nal.n_bytes:>8}  {nal.name:5} {nal.title}"
        f"{emulation if nal.n_emulation_bytes else ''}{broken}"
    )
    if tables:
        for field in nal.fields:
            position = place_of(8 * field.offset + field.bit)
            n_bits = f"{field.n_bits} bit{'s' if field.n_bits > 1 else ''}"
            yield f"{position:>12} {n_bits:>9}    {field.element} {value_text(field)}"
        return
    yield from _wrapped(
        f"{field.element} {value_text(field)}"
        for field in nal.fields
        if field.element not in _SAYS_NOTHING
    )


def _wrapped(items: Iterable[str]) -> Iterator[str]:
    """Items side by side, as many as a line takes."""
    row = ", ".join(item.replace(" ", "\xa0") for item in items)  # no line ends inside of one
    for line in wrap(row, _FIELDS_WIDTH, break_long_words=False, break_on_hyphens=False):
        yield f"{'':>20}  {line}".replace("\xa0", " ")


def _slices(inspection: AvcInspection) -> Iterator[str]:
    columns, rows = slice_table(inspection)
    widths = [max(len(name), 8) for name in columns]
    for row in (columns, *rows):
        yield " ".join(f"{value:>{width}}" for value, width in zip(row, widths, strict=True))


def slice_table(
    inspection: AvcInspection, most: int | None = None
) -> tuple[tuple[str, ...], list[tuple[int | str, ...]]]:
    """The columns of the slice table and its first rows; bins where there are any.

    "order" is PicOrderCnt, "information" what the bins of a slice say, in bits.
    """
    slices = tuple(islice(inspection.slices, most))
    has_bins = any(each.n_bins for each in slices)
    columns = _SLICE_COLUMNS + (_BIN_COLUMNS if has_bins else ())
    return columns, [_slice_row(each, inspection)[: len(columns)] for each in slices]


def _slice_row(each: Slice, inspection: AvcInspection) -> tuple[int | str, ...]:
    return (
        *(inspection.nal_units[each.nal].offset, each.picture, each.type, each.first_mb),
        *(each.frame_num, "" if each.idr_pic_id is None else each.idr_pic_id),
        *(each.pic_order_cnt, each.qp, each.n_mbs, each.n_intra, each.n_skipped, each.n_bits),
        *(each.n_bins, f"{each.information_bits:.1f}"),
    )


def _spent(slices: tuple[Slice, ...]) -> Iterator[str]:
    n_bits = sum(each.n_bits for each in slices) or 1
    for name, bits in spent(slices):
        if bits:
            yield f"{name} {bits:,} bits ({100 * bits / n_bits:.1f} %)"


def spent(slices: tuple[Slice, ...]) -> Iterator[tuple[str, int]]:
    """What the bits of slices are for, and how many."""
    yield "headers", sum(each.header_bits for each in slices)
    yield "skip runs", sum(each.skip_bits for each in slices)
    for i, name in enumerate(BIT_KINDS):
        yield name, sum(each.mb_bits[i] for each in slices)
    yield "trailing bits", sum(each.trailing_bits for each in slices)
    yield "emulation prevention", sum(each.emulation_bits for each in slices)


def _bins_of_macroblocks(inspection: AvcInspection) -> dict[tuple[int, int], list[Bin]]:
    """Bins by picture and macroblock."""
    groups = groupby(inspection.bins, key=lambda each: (each.picture, each.mb))
    return {place: list(bins) for place, bins in groups}


def _elements(bins: list[Bin]) -> Iterator[str]:
    """The elements of a macroblock, each with its bins."""
    for i, each in enumerate(bins):
        if not each.is_first:
            continue
        end = next((k for k in range(i + 1, len(bins)) if bins[k].is_first), len(bins))
        those = bins[i:end]
        n_bits = sum(one.information_bits for one in those)
        yield f"{each.element} {n_bits:.2f} bits: {' '.join(map(_bin_text, those))}"


def _bin_text(each: Bin) -> str:
    if each.ctx_idx is None:
        return f"{each.value}@bypass"
    if each.p_state_idx is None:
        return f"{each.value}@{each.ctx_idx}"
    return f"{each.value}@{each.ctx_idx}({each.p_state_idx},{each.val_mps})"


def _information(n_bins: int, n_bits: float) -> str:
    if not n_bins:
        return ""
    return f", {n_bins} bin{'s' if n_bins > 1 else ''} that say {n_bits:.2f} bits"


def _picture(
    picture: Picture, number: int, bins: dict[tuple[int, int], list[Bin]]
) -> Iterator[str]:
    n_read = picture.n_mbs_read
    read = f"{n_read:,}" if picture.is_whole else f"{n_read:,} of {picture.n_mbs:,}"
    yield (
        f"{'':>20}  picture {number}: {read} macroblocks, {picture.width_mbs:,} in a row,"
        f" {len(picture.slices):,} slice{'s' if len(picture.slices) > 1 else ''}"
    )
    yield from _wrapped(_spent(picture.slices))
    columns = (
        picture.mb_starts.tolist(),
        picture.mb_bits.sum(1, dtype=int).tolist(),
        picture.mb_types.tolist(),
        picture.mb_qps.tolist(),
        picture.mb_bins.tolist(),
        picture.mb_information.tolist(),
    )
    for mb, (start, n_bits, mb_type, qp, *said) in enumerate(zip(*columns, strict=True)):
        what = MB_TYPES[mb_type]
        if mb_type not in _SKIPPED:
            what += f", {n_bits} bits" if mb_type == _I_PCM else f", QP {qp}, {n_bits} bits"
        yield f"{place_of(start):>12} {'':>8}    macroblock {mb}: {what}{_information(*said)}"
        for line in _elements(bins.get((number, mb), [])):
            yield f"{'':>24}  {line}"
    n_left_out = picture.n_mbs_read - len(picture.mb_starts)
    if n_left_out > 0:
        yield f"{'':>20}  and {n_left_out:,} more macroblocks, too many to list"


def _nal_unit_json(nal: NalUnit, tables: bool) -> dict[str, Any]:
    return {
        "start": nal.start,
        "offset": nal.offset,
        "n_bytes": nal.n_bytes,
        "nal_ref_idc": nal.nal_ref_idc,
        "nal_unit_type": nal.nal_unit_type,
        "name": nal.name,
        "title": nal.title,
        "is_whole": nal.is_whole,
        "n_emulation_bytes": nal.n_emulation_bytes,
        "fields": [_field_json(field, tables) for field in nal.fields],
    }


def _field_json(field: Field, tables: bool) -> dict[str, Any]:
    out = field.place_json()
    if len(field.values) == 1:
        return {**out, "value": field.value}
    out["n_values"] = len(field.values)
    out["text"] = text_preview(bytes(field.values))
    if tables:
        out["hex"] = bytes(field.values).hex()
    return out


def _slice_json(each: Slice, inspection: AvcInspection) -> dict[str, Any]:
    return {
        "nal_unit": each.nal,
        "offset": inspection.nal_units[each.nal].offset,
        "picture": each.picture,
        "type": each.type,
        "slice_type": each.slice_type,
        "first_mb_in_slice": each.first_mb,
        "frame_num": each.frame_num,
        "idr_pic_id": each.idr_pic_id,
        "pic_order_cnt": each.pic_order_cnt,
        "pic_parameter_set_id": each.pic_parameter_set_id,
        "qp": each.qp,
        "n_mbs": each.n_mbs,
        "n_intra": each.n_intra,
        "n_skipped": each.n_skipped,
        "n_bits": each.n_bits,
        "header_bits": each.header_bits,
        "skip_bits": each.skip_bits,
        "n_bins": each.n_bins,
        "information_bits": each.information_bits,
        "mb_bits": dict(zip(BIT_KINDS, each.mb_bits, strict=True)),
        "trailing_bits": each.trailing_bits,
        "emulation_bits": each.emulation_bits,
    }


def _picture_json(picture: Picture, mcus: bool) -> dict[str, Any]:
    out: dict[str, Any] = {
        "width": picture.width,
        "height": picture.height,
        "width_mbs": picture.width_mbs,
        "height_mbs": picture.height_mbs,
        "n_slices": len(picture.slices),
        "is_whole": picture.is_whole,
        "n_mbs": picture.n_mbs,
        "n_mbs_read": picture.n_mbs_read,
        "n_skipped": int(np.count_nonzero(np.isin(picture.mb_types, _SKIPPED))),
    }
    if mcus:
        columns = (
            *(picture.mb_starts, picture.mb_types, picture.mb_qps, picture.mb_bits),
            *(picture.mb_bins, picture.mb_information),
        )
        rows = zip(*(c.tolist() for c in columns), strict=True)
        out["macroblocks"] = [
            {
                "byte": start // 8,
                "bit": start % 8,
                "type": MB_TYPES[kind],
                "qp": qp,
                "bits": bits,
                "n_bins": n_bins,
                "information_bits": information_bits,
            }
            for start, kind, qp, bits, n_bins, information_bits in rows
        ]
    return out


def _bins_json(bins: tuple[Bin, ...], n_left_out: int) -> dict[str, Any]:
    if not bins:
        return {}
    return {"bins": [asdict(each) for each in bins], "n_bins_left_out": n_left_out}
