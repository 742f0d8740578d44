"""The syntax of an H.264 stream: NAL units with their fields, slices, pictures, macroblocks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core
from ..avc_profiles import PROFILES
from ..check import CONTAINERS, Verdict, check, format_name, h264_stream
from .field import Field, fields_of

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from typing_extensions import Buffer

    from .._core import _AvcTrace

__all__ = [
    "BIT_KINDS",
    "MB_TYPES",
    "AvcInspection",
    "Bin",
    "NalUnit",
    "Picture",
    "Slice",
    "inspect_h264",
]

MB_TYPES = (
    "I_NxN",
    *(
        f"I_16x16_{mode}_{chroma}_{luma}"
        for luma in (0, 15)
        for chroma in range(3)
        for mode in range(4)
    ),
    "I_PCM",
    "P_L0_16x16",
    "P_L0_L0_16x8",
    "P_L0_L0_8x16",
    "P_8x8",
    "P_8x8ref0",
    "P_Skip",
    "B_Direct_16x16",
    "B_L0_16x16",
    "B_L1_16x16",
    "B_Bi_16x16",
    *(
        f"B_{first}_{second}_{shape}"
        for first, second in (
            ("L0", "L0"),
            ("L1", "L1"),
            ("L0", "L1"),
            ("L1", "L0"),
            ("L0", "Bi"),
            ("L1", "Bi"),
            ("Bi", "L0"),
            ("Bi", "L1"),
            ("Bi", "Bi"),
        )
        for shape in ("16x8", "8x16")
    ),
    "B_8x8",
    "B_Skip",
)
"""Names of macroblock types: those of Table 7-11, then those of Tables 7-13 and 7-14."""

BIT_KINDS = ("types", "prediction", "luma", "chroma")
"""What the bits of a macroblock are for: mb_type, sub_mb_type, transform_size_8x8_flag,
coded_block_pattern, mb_qp_delta; intra modes, reference indices, motion vectors; coefficients of
luma; those of chroma."""

_MB_PX = 16

# Table 7-1.
_NAL_UNITS = {
    0: ("NAL 0", "unspecified"),
    1: ("slice", "of a picture that is not IDR"),
    2: ("DPA", "data partition A"),
    3: ("DPB", "data partition B"),
    4: ("DPC", "data partition C"),
    5: ("IDR", "slice of an IDR picture"),
    6: ("SEI", "supplemental enhancement information"),
    7: ("SPS", "sequence parameter set"),
    8: ("PPS", "picture parameter set"),
    9: ("AUD", "access unit delimiter"),
    10: ("EOSEQ", "end of sequence"),
    11: ("EOS", "end of stream"),
    12: ("FD", "filler data"),
    13: ("SPSE", "extension of a sequence parameter set"),
    14: ("PFX", "prefix NAL unit"),
    15: ("SSPS", "subset sequence parameter set"),
    16: ("DPS", "depth parameter set"),
    19: ("AUX", "slice of an auxiliary picture"),
    20: ("EXT", "slice extension"),
    21: ("EXT3D", "slice extension for depth"),
}


@dataclass(frozen=True, slots=True)
class NalUnit:
    """A NAL unit.

    Attributes:
        start: the byte where the zeros and the start code before it begin.
        offset: its first byte.
        n_bytes: of those that were read.
        nal_ref_idc, nal_unit_type: of its header.
        name, title: what Table 7-1 of the standard says of the type, shortened.
        is_whole: its end was reached.
        n_emulation_bytes: bytes 03 that keep it from looking like a start code (7.4.1).
        fields: what was read of it; of slices the header, not the slice data.
    """

    start: int
    offset: int
    n_bytes: int
    nal_ref_idc: int
    nal_unit_type: int
    name: str
    title: str
    is_whole: bool
    n_emulation_bytes: int
    fields: tuple[Field, ...]

    @property
    def end(self) -> int:
        """Behind its last byte."""
        return self.offset + self.n_bytes


@dataclass(frozen=True, slots=True)
class Slice:
    """A slice whose data have begun; names as in 7.4.3 of the standard.

    Attributes:
        nal: index of its NAL unit.
        picture: index of its picture.
        idr_pic_id: None outside IDR pictures.
        pic_order_cnt: PicOrderCnt of the picture (8.2.1).
        qp: SliceQPY, the quantizer that it begins with.
        n_mbs: whole macroblocks, skipped ones included.
        n_skipped, n_intra: how many of these.
        header_bits: of the NAL unit's header and the slice header.
        skip_bits: of mb_skip_run, by CABAC of mb_skip_flag and end_of_slice_flag.
        n_bins: by CABAC; 0 otherwise.
        information_bits: what these say, and the bits of PCM samples. It is 9 - log2(255) less than
            the bits of the code up to rbsp_stop_one_bit (of each, where PCM samples part it).
        mb_bits: of macroblocks, by `BIT_KINDS`.
        trailing_bits: rbsp_trailing_bits().
        emulation_bits: of bytes for emulation prevention.
    """

    nal: int
    picture: int
    first_mb: int
    slice_type: int
    pic_parameter_set_id: int
    frame_num: int
    idr_pic_id: int | None
    pic_order_cnt: int
    qp: int
    n_mbs: int
    n_skipped: int
    n_intra: int
    header_bits: int
    skip_bits: int
    n_bins: int
    information_bits: float
    mb_bits: tuple[int, int, int, int]
    trailing_bits: int
    emulation_bits: int

    @property
    def type(self) -> str:
        """Its letter, P, B or I."""
        return "PBI"[self.slice_type % 5]

    @property
    def n_bits(self) -> int:
        """All of them: 8 times the bytes of its NAL unit where that is whole."""
        others = self.header_bits + self.skip_bits + self.trailing_bits + self.emulation_bits
        return others + sum(self.mb_bits)


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture and its macroblocks, M of them, in the order of their addresses.

    Attributes:
        slices: in the order of the stream.
        width_mbs, height_mbs: in macroblocks.
        crop: pixels that are not shown: left, right, top, bottom.
        n_mbs_read: whole ones.
        end: behind its last whole NAL unit.
        mb_starts: uint64 [M], where a macroblock begins: 8 times its byte, plus its bit. That of a
            skipped one is where its mb_skip_run begins.
        mb_bits: uint16 [M, 4], its bits by `BIT_KINDS`; none of a skipped one.
        mb_types: uint8 [M], index in `MB_TYPES`.
        mb_qps: int8 [M], QPY.
        mb_bins: uint32 [M], bins of CABAC, those of mb_skip_flag in front of the macroblock and of
            end_of_slice_flag behind it included; 0 by CAVLC and of one that is not whole.
        mb_information: float32 [M], what these say in bits, and the bits of PCM samples.

    M is the number of macroblocks that have begun, or the limit where that is smaller.
    """

    slices: tuple[Slice, ...]
    width_mbs: int
    height_mbs: int
    crop: tuple[int, int, int, int]
    n_mbs_read: int
    end: int
    mb_starts: NDArray[np.uint64]
    mb_bits: NDArray[np.uint16]
    mb_types: NDArray[np.uint8]
    mb_qps: NDArray[np.int8]
    mb_bins: NDArray[np.uint32]
    mb_information: NDArray[np.float32]

    @property
    def n_mbs(self) -> int:
        """Macroblocks that it has when it is whole."""
        return self.width_mbs * self.height_mbs

    @property
    def is_whole(self) -> bool:
        """Every macroblock of it was read."""
        return self.n_mbs_read == self.n_mbs

    @property
    def width(self) -> int:
        """In pixels, as it is shown."""
        return _MB_PX * self.width_mbs - self.crop[0] - self.crop[1]

    @property
    def height(self) -> int:
        """In pixels, as it is shown."""
        return _MB_PX * self.height_mbs - self.crop[2] - self.crop[3]


@dataclass(frozen=True, slots=True)
class Bin:
    """A bin of slice data by CABAC (9.3.3.2).

    Attributes:
        picture, mb: its macroblock: that an mb_skip_flag speaks of, that an end_of_slice_flag is
            behind.
        element: of which it is one; the first where `is_first`.
        value: 0 or 1.
        ctx_idx: ctxIdx, 276 of a terminating bin; None of a bypass bin.
        p_state_idx, val_mps: the state of its context variable in front of it; None without one.
        information_bits: log2 of codIRange by the part of it that the bin has.
    """

    picture: int
    mb: int
    element: str
    is_first: bool
    value: int
    ctx_idx: int | None
    p_state_idx: int | None
    val_mps: int | None
    information_bits: float


@dataclass(frozen=True, slots=True)
class AvcInspection:
    """All that was read of an H.264 stream.

    Attributes:
        data: the byte stream (Annex B); of a container, the one taken out of it.
        container: "MP4" or "Matroska"; empty for a byte stream.
        verdict: that of `check`.
        place: where reading ended, in words.
        nal_units: in the order of the stream.
        n_nal_units_left_out, n_fields_left_out: what was too much to keep.
        pictures: in the order of the stream, the last perhaps not whole.
        symbols: the fields inside slice data that touch the bytes asked for; csrc/h264/trace.hpp
            names the columns.
        bins: those of CABAC, if they were asked for.
        n_bins_left_out: what was too much to keep.
    """

    data: bytes = field(repr=False)
    container: str
    verdict: Verdict
    place: str
    nal_units: tuple[NalUnit, ...]
    n_nal_units_left_out: int
    n_fields_left_out: int
    pictures: tuple[Picture, ...]
    symbols: NDArray[np.void]
    bins: tuple[Bin, ...] = field(repr=False)
    n_bins_left_out: int

    @property
    def n_bytes(self) -> int:
        """Of the byte stream."""
        return len(self.data)

    @property
    def width(self) -> int:
        """Of the first picture, in pixels; 0 where there is none."""
        return self.pictures[0].width if self.pictures else 0

    @property
    def height(self) -> int:
        """Of the first picture, in pixels; 0 where there is none."""
        return self.pictures[0].height if self.pictures else 0

    @property
    def slices(self) -> Iterator[Slice]:
        """Those of all pictures."""
        for picture in self.pictures:
            yield from picture.slices

    @property
    def profile(self) -> str:
        """As the first sequence parameter set has it, such as "constrained baseline"; or empty."""
        values = self._first_sps()
        name = PROFILES.get(values.get("profile_idc", 0), "")
        is_constrained = name == "baseline" and values.get("constraint_set_flags", 0) & 0b010000
        return f"constrained {name}" if is_constrained else name

    @property
    def level(self) -> str:
        """As the first sequence parameter set has it, such as "1.1"; or empty."""
        values = self._first_sps()
        idc = values.get("level_idc", 0)
        has_flag = values.get("constraint_set_flags", 0) & 0b000100
        if idc == 9 or (idc == 11 and has_flag and values["profile_idc"] != 100):
            return "1b"
        return f"{idc // 10}.{idc % 10}".removesuffix(".0") if idc else ""

    def _first_sps(self) -> dict[str, int]:
        sps = next((nal for nal in self.nal_units if nal.nal_unit_type == 7), None)
        return {field.element: field.value for field in sps.fields} if sps else {}


def inspect_h264(
    data: Buffer, *, symbols: tuple[int, int] = (0, 0), max_mbs: int = 1 << 22, max_bins: int = 0
) -> AvcInspection:
    """Reads an H.264 stream field by field, up to its end or to what is wrong with it.

    Args:
        data: a byte stream (Annex B), or an MP4 or Matroska file with H.264 in it.
        symbols: a range of bytes of the stream; the fields inside slice data that touch them are
            kept.
        max_mbs: how many macroblocks of the stream are listed; others are counted only.
        max_bins: how many bins of CABAC are listed, with their contexts.

    Returns:
        What was read. A stream that is broken, or no H.264 at all, is not an exception.

    >>> inspect_h264(b"\\0\\0\\0\\1\\x67\\x42").nal_units[0].name
    'SPS'
    """
    data = bytes(data)
    name = format_name(data)
    verdict = check(data)
    stream = h264_stream(data) if verdict.format == "h264" else b""
    trace = _core.trace_h264(stream, symbols=symbols, max_mbs=max_mbs, max_bins=max_bins)
    return AvcInspection(
        data=stream,
        container=name if name in CONTAINERS else "",
        verdict=verdict,
        place=trace["place"],
        nal_units=tuple(_nal_units(stream, trace)),
        n_nal_units_left_out=trace["n_nals_left_out"],
        n_fields_left_out=trace["n_fields_left_out"],
        pictures=tuple(_pictures(trace)),
        symbols=trace["symbols"],
        bins=tuple(map(_bin, _rows(trace["bins"]))),
        n_bins_left_out=trace["n_bins_left_out"] if max_bins else 0,
    )


def nal_unit_name(nal_unit_type: int) -> tuple[str, str]:
    """The name of a type of NAL units and what it means (Table 7-1), shortened."""
    kind = "unspecified" if nal_unit_type >= 24 else "reserved"
    return _NAL_UNITS.get(nal_unit_type, (f"NAL {nal_unit_type}", kind))


def _rows(table: NDArray[np.void]) -> Iterator[dict[str, Any]]:
    """Rows by the names of their columns; numpy takes long to give numbers one by one."""
    names = table.dtype.names or ()
    for values in zip(*(table[name].tolist() for name in names), strict=True):
        yield dict(zip(names, values, strict=True))


def _nal_units(data: bytes, trace: _AvcTrace) -> Iterator[NalUnit]:
    fields = fields_of(data, trace["fields"])
    for row in _rows(trace["nals"]):
        yield NalUnit(
            row["start"],
            row["offset"],
            row["end"] - row["offset"],
            row["nal_ref_idc"],
            row["nal_unit_type"],
            *nal_unit_name(row["nal_unit_type"]),
            is_whole=row["is_whole"],
            n_emulation_bytes=row["n_emulation_bytes"],
            fields=tuple(islice(fields, row["n_fields"])),
        )


def _pictures(trace: _AvcTrace) -> Iterator[Picture]:
    n_emulation_bytes = trace["nals"]["n_emulation_bytes"].tolist()
    slices = [_slice(row, n_emulation_bytes[row["nal"]]) for row in _rows(trace["slices"])]
    for row in _rows(trace["pictures"]):
        mbs = slice(row["first_mb_row"], row["first_mb_row"] + row["n_mb_rows"])
        yield Picture(
            slices=tuple(slices[row["first_slice"] : row["first_slice"] + row["n_slices"]]),
            width_mbs=row["width_mbs"],
            height_mbs=row["height_mbs"],
            crop=tuple(row["crop_px"]),
            n_mbs_read=row["n_mbs"],
            end=row["end"],
            mb_starts=trace["mb_starts"][mbs],
            mb_bits=trace["mb_bits"][mbs],
            mb_types=trace["mb_types"][mbs],
            mb_qps=trace["mb_qps"][mbs],
            mb_bins=trace["mb_bins"][mbs],
            mb_information=trace["mb_information"][mbs],
        )


def _slice(row: dict[str, Any], n_emulation_bytes: int) -> Slice:
    columns = {
        **row,
        "idr_pic_id": row["idr_pic_id"] if row["idr_pic_id"] >= 0 else None,
        "mb_bits": tuple(row["mb_bits"]),
    }
    return Slice(**columns, emulation_bits=8 * n_emulation_bytes)


def _bin(row: dict[str, Any]) -> Bin:
    named = ("ctx_idx", "p_state_idx", "val_mps")
    known = {name: row[name] if row[name] >= 0 else None for name in named}
    return Bin(**{**row, **known, "element": _core.ELEMENTS[row["element"]][0]})
