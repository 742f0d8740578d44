"""The page of an H.264 stream: bytes and frames side by side."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core
from .avc_frames import frame_uris
from .avc_model import BIT_KINDS, MB_TYPES, AvcInspection, Picture, inspect_h264
from .avc_text import summary
from .avc_tree import slices_html, spent_html, tree_html
from .page import MAX_TRAILING_BYTES, Part, differences, page_html, shared_data, stage_html

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from typing_extensions import Buffer

__all__ = ["h264_to_html"]

# What keeps a page below 4 MB, whatever the stream: bytes shown of NAL units, NAL units,
# macroblocks with their total, macroblocks with each kind of bits, fields of slice data.
_MAX_NAL_UNITS = 256
_MAX_BYTES = 16 << 10
_MAX_BYTES_OF_A_NAL_UNIT = 1 << 10
_MAX_SLICE_BYTES = 12 << 10
_MAX_HEADER_BYTES = 16
_BEFORE_ERROR, _AFTER_ERROR = 512, 64
_MAX_MBS = 100_000
_MAX_MBS_IN_DETAIL = 20_000
_MAX_SYMBOLS = 40_000
_MAX_PICTURES = 500

_MB_PX = 16
_START_CODE_BYTES = 4
_FIRST_CHROMA_BLOCK = 17  # csrc/h264/macroblock.hpp, namespace block

_BYTE_KINDS = (
    ("m", "start code, NAL unit header"),
    ("f", "field"),
    ("t", "payload"),
    ("l", "skip run"),
    *((f"c{i}", name) for i, name in enumerate(BIT_KINDS)),
    ("p", "trailing bits, emulation prevention"),
    ("s", "a macroblock begins"),
)


def h264_to_html(data: Buffer, name: str) -> tuple[AvcInspection, str]:
    """Reads an H.264 stream and makes the page.

    Args:
        data: a byte stream, or an MP4 or Matroska file with H.264 in it; broken or not.
        name: what the page calls it.

    Returns:
        What was read, and the page: HTML without any reference to the outside, below 4 MB.
    """
    inspection = inspect_h264(data, max_mbs=_MAX_MBS)
    uris, note = frame_uris(inspection)
    page = page_html(
        name,
        inspection.verdict,
        _page_data(inspection, uris),
        script="avc.js",
        facts=summary(inspection),
        legend=_BYTE_KINDS,
        message=_message(inspection),
        map_word="Picture",
        view_word="Map",
        picture=_pictures_html(inspection, uris, note),
        spent=spent_html(inspection),
        table=slices_html(inspection),
        tree_word="NAL units",
        tree=tree_html(inspection, max_nal_units=_MAX_NAL_UNITS),
        standard="ITU-T H.264",
    )
    return inspection, page


def _message(inspection: AvcInspection) -> str:
    verdict = inspection.verdict
    if verdict.valid:
        return "; ".join(verdict.notes)
    if not inspection.pictures:
        return verdict.message
    last = inspection.pictures[-1]
    n_whole = sum(picture.is_whole for picture in inspection.pictures)
    read = [f"{n_whole:,} whole picture{'s' if n_whole != 1 else ''}"] if n_whole else []
    if not last.is_whole:
        of = f"picture {len(inspection.pictures) - 1}"
        read.append(f"{last.n_mbs_read:,} of {last.n_mbs:,} macroblocks of {of}")
    return f"{verdict.message}. {' and '.join(read)} could be read."


def _pictures_html(inspection: AvcInspection, uris: list[str], note: str) -> str:
    if not inspection.pictures:
        return '<p class="soft">No slice header could be read, so there is no picture.</p>'
    first = next(filter(None, uris), "")
    label = "Map of the bits of each macroblock"
    return stage_html(first, max(1, inspection.width), max(1, inspection.height), note, label)


def _page_data(inspection: AvcInspection, uris: list[str]) -> dict[str, Any]:
    parts = list(_parts(inspection))
    left = _MAX_MBS_IN_DETAIL
    maps = []
    for picture, uri in zip(inspection.pictures[:_MAX_PICTURES], uris, strict=False):
        in_detail = len(picture.mb_starts) <= left
        left -= len(picture.mb_starts) if in_detail else 0
        maps.append(_map(picture, inspection, uri, in_detail))
    return {
        **shared_data(inspection.data, inspection.verdict, parts),
        "kinds": [name.capitalize() for name in BIT_KINDS],
        "types": MB_TYPES,
        "chroma": _FIRST_CHROMA_BLOCK,
        "fields": list(_field_rows(inspection)),
        "symbols": list(_symbols(inspection, parts)),
        "maps": maps,
    }


def _parts(inspection: AvcInspection) -> Iterator[Part]:
    """What the hex view shows, in the order of the stream."""
    left, slices_left = _MAX_BYTES, _MAX_SLICE_BYTES
    at = 0
    slices = {each.nal: each for each in inspection.slices}
    verdict = inspection.verdict
    for i, nal in enumerate(inspection.nal_units[:_MAX_NAL_UNITS]):
        end = nal.end
        if not nal.is_whole and not verdict.valid:
            end = min(inspection.n_bytes, max(end, verdict.offset + 1))
        offset = max(at, nal.start)
        name, title = nal.name, nal.title
        if i in slices:
            name, title = f"{slices[i].type} slice", f"of picture {slices[i].picture}"
            n_shown = min(end - offset, max(slices_left, _MAX_HEADER_BYTES))
            slices_left -= min(n_shown, slices_left)
        else:
            n_shown = min(end - offset, _MAX_BYTES_OF_A_NAL_UNIT, left)
            left -= n_shown
        yield Part(name, title, offset, end - offset, _ranges(inspection, offset, end, n_shown))
        at = end
    if at < inspection.n_bytes:
        is_read = at < min(inspection.n_bytes, verdict.offset)
        title = "read, but too much to list" if is_read else "not read"
        n_bytes = inspection.n_bytes - at
        shown = _ranges(inspection, at, inspection.n_bytes, min(n_bytes, MAX_TRAILING_BYTES))
        yield Part("Rest", title, at, n_bytes, shown)


def _ranges(
    inspection: AvcInspection, offset: int, end: int, n_shown: int
) -> tuple[tuple[int, int], ...]:
    """The first bytes of a part, and what stands around the error if it is in the part."""
    first = (offset, offset + n_shown)
    verdict = inspection.verdict
    if verdict.valid or not first[1] <= verdict.offset < end:
        return (first,) if n_shown else ()
    around = (
        max(first[1], verdict.offset - _BEFORE_ERROR),
        min(end, verdict.offset + _AFTER_ERROR),
    )
    return (first, around) if n_shown else (around,)


def _field_rows(inspection: AvcInspection) -> Iterator[list[int]]:
    """Position in bits, bits, element, number of values, value; start codes are fields too."""
    elements = {name: i for i, (name, _) in enumerate(_core.ELEMENTS)}
    for nal in inspection.nal_units[:_MAX_NAL_UNITS]:
        start = max(nal.start, nal.offset - _START_CODE_BYTES)
        yield [8 * start, 8 * (nal.offset - start), elements["start code"], 1, 1]
        for field in nal.fields[:_MAX_BYTES_OF_A_NAL_UNIT]:
            yield [
                8 * field.offset + field.bit,
                field.n_bits,
                elements[field.element],
                len(field.values),
                field.value,
            ]


def _symbols(inspection: AvcInspection, parts: list[Part]) -> Iterator[dict[str, Any]]:
    """The fields of slice data in the bytes shown, column by column, for each picture."""
    for window in _windows([part for part in parts if part.name.endswith(" slice")]):
        rows = _core.trace_h264(
            # What comes after the window has no say in it, but a code may end behind it.
            inspection.data[: window[1] + 8],
            symbols=window,
            max_mbs=0,
            max_fields=0,
            max_symbols=_MAX_SYMBOLS,
        )["symbols"]
        for picture in np.unique(rows["picture"]).tolist():
            yield _columns(rows[rows["picture"] == picture], picture)


def _windows(slices: list[Part]) -> Iterator[tuple[int, int]]:
    """The bytes of slices that are shown: up to where only headers are, and around the error."""
    end = 0
    for part in slices:
        end = part.shown[0][1]
        if end < part.offset + part.n_bytes:
            break
    if end:
        yield slices[0].offset, end
    for part in slices:
        yield from part.shown[1:]


def _columns(rows: NDArray[np.void], picture: int) -> dict[str, Any]:
    """Rows of one picture; positions and macroblocks as differences."""
    return {
        "map": picture,
        "delta": differences(8 * rows["byte"].astype(np.int64) + rows["bit"]),
        "unit": differences(rows["mb"]),
        "n": rows["n_bits"].tolist(),
        "element": rows["element"].tolist(),
        "block": rows["block"].tolist(),
        "value": rows["value"].tolist(),
    }


def _map(picture: Picture, inspection: AvcInspection, uri: str, in_detail: bool) -> dict[str, Any]:
    first = inspection.nal_units[picture.slices[0].nal].offset
    return {
        "offset": first,
        "end": picture.end if picture.is_whole else inspection.verdict.offset + 1,
        "n": picture.n_mbs,
        "read": picture.n_mbs_read,
        "whole": picture.is_whole,
        "wide": picture.width_mbs,
        "size": (_MB_PX, _MB_PX),
        "width": max(1, picture.width),
        "height": max(1, picture.height),
        "crop": (picture.crop[0], picture.crop[2]),
        "image": uri,
        "total": sum(each.n_bits for each in picture.slices),
        "kind": "".join(sorted({each.type for each in picture.slices})),
        "deltas": differences(picture.mb_starts.astype(np.int64)),
        "bits": picture.mb_bits.sum(1, dtype=np.int64).tolist(),
        "bins": picture.mb_bins.tolist() if picture.mb_bins.any() else None,
        "information": picture.mb_information.round(2).tolist() if picture.mb_bins.any() else None,
        "types": b64encode(picture.mb_types.tobytes()).decode(),
        "qps": b64encode(picture.mb_qps.tobytes()).decode(),
        "costs": picture.mb_bits.ravel().tolist() if in_detail else None,
    }
