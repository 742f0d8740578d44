"""The syntax tree of a JPEG file: marker segments with their fields, and scans with their MCUs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .. import _core
from ..check import Verdict, check
from ..errors import UsageError
from .field import Field, fields_of

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from typing_extensions import Buffer

    from .._core import _ScanTrace, _Trace

__all__ = ["Component", "Inspection", "Scan", "ScanComponent", "Segment", "inspect_jpeg"]

_LENGTHS = ("Lf", "Ls", "Lq", "Lh", "Lr", "Lc", "Lp")
_FILL = 0xFF

# T.81 Table B.1.
_TITLES = {
    0xC4: ("DHT", "Huffman tables"),
    0xC8: ("JPG", "reserved for extensions"),
    0xCC: ("DAC", "arithmetic coding conditioning"),
    0xD8: ("SOI", "start of image"),
    0xD9: ("EOI", "end of image"),
    0xDA: ("SOS", "start of scan"),
    0xDB: ("DQT", "quantization tables"),
    0xDC: ("DNL", "number of lines"),
    0xDD: ("DRI", "restart interval"),
    0xDE: ("DHP", "hierarchical progression"),
    0xDF: ("EXP", "expand reference components"),
    0xFE: ("COM", "comment"),
}
_PROCESSES = {
    0: "baseline",
    1: "extended sequential",
    2: "progressive",
    3: "lossless",
    5: "differential sequential",
    6: "differential progressive",
    7: "differential lossless",
}


@dataclass(frozen=True, slots=True)
class Segment:
    """A marker and what belongs to it.

    Attributes:
        code: the byte after FF.
        name, title: as in Table B.1 of the standard.
        offset: of the marker's FF; fill bytes come before it.
        n_bytes: with the marker, as its length says; what is there where that was not read.
        n_fill_bytes: FF bytes before the marker (B.1.1.2).
        fields: without the marker; those that were read.
    """

    code: int
    name: str
    title: str
    offset: int
    n_bytes: int
    n_fill_bytes: int
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Component:
    """A row of the frame header, by the names of T.81 B.2.2: identifier, sampling, table."""

    c: int
    h: int
    v: int
    tq: int


@dataclass(frozen=True, slots=True)
class ScanComponent:
    """A component of a scan and the bits that its blocks take.

    Attributes:
        index: in the frame, from 0.
        c: its identifier, Ci.
        td, ta: the slots of its Huffman tables.
        blocks_wide, blocks_high: in an MCU of this scan.
        dc_code_bits, dc_amplitude_bits, ac_code_bits, ac_amplitude_bits: in the scan so far.
    """

    index: int
    c: int
    td: int
    ta: int
    blocks_wide: int
    blocks_high: int
    dc_code_bits: int
    dc_amplitude_bits: int
    ac_code_bits: int
    ac_amplitude_bits: int

    @property
    def dc_bits(self) -> int:
        """Bits of DC coefficients: codes and amplitudes."""
        return self.dc_code_bits + self.dc_amplitude_bits

    @property
    def ac_bits(self) -> int:
        """Bits of AC coefficients: codes and amplitudes."""
        return self.ac_code_bits + self.ac_amplitude_bits

    @property
    def n_bits(self) -> int:
        """All of them."""
        return self.dc_bits + self.ac_bits


@dataclass(frozen=True, slots=True)
class Scan:
    """Entropy-coded data and the MCUs in them. Letters: M MCUs, C components, I intervals.

    Attributes:
        offset, end: of its bytes; markers between restart intervals are inside.
        is_whole: its last interval is complete.
        n_mcus: as the headers say.
        n_mcus_read: whole ones.
        mcus_wide: in a row.
        mcu_size: of an MCU in pixels, (width, height).
        restart_interval: in MCUs, 0 for none.
        components: in the order of the scan.
        n_padding_bits, n_stuffed_bytes, n_marker_bytes: what is no component's.
        mcu_starts: uint64 [M], where an MCU begins: 8 times its byte, plus its bit.
        mcu_bits: uint16 [M, C, 2], the bits that each component takes of it: DC, AC.
        intervals: structured [I]: marker_byte (-1 for the first interval), first_byte, end_bit,
            first_mcu.

    M is the number of MCUs that have begun, or the limit where that is smaller.
    """

    offset: int
    end: int
    is_whole: bool
    n_mcus: int
    n_mcus_read: int
    mcus_wide: int
    mcu_size: tuple[int, int]
    restart_interval: int
    components: tuple[ScanComponent, ...]
    n_padding_bits: int
    n_stuffed_bytes: int
    n_marker_bytes: int
    mcu_starts: NDArray[np.uint64]
    mcu_bits: NDArray[np.uint16]
    intervals: NDArray[np.void]

    @property
    def n_bytes(self) -> int:
        """Bytes between SOS and the next segment, or the place where the scan breaks."""
        return self.end - self.offset


@dataclass(frozen=True, slots=True)
class Inspection:
    """All that was read of a file.

    Attributes:
        n_bytes: of the file.
        verdict: that of `check`.
        place: where reading ended, in words.
        width, height: in pixels, 0 before the frame header was read.
        components: those of the frame.
        segments: marker segments in the order of the file.
        n_fields_left_out: what was too much to keep.
        scans: in the order of the file.
        symbols: the fields inside scans that touch the bytes asked for.
    """

    n_bytes: int
    verdict: Verdict
    place: str
    width: int
    height: int
    components: tuple[Component, ...]
    segments: tuple[Segment, ...]
    n_fields_left_out: int
    scans: tuple[Scan, ...]
    symbols: NDArray[np.void]

    @property
    def process(self) -> str:
        """The coding process, such as "baseline"; empty before the frame header was read."""
        codes = [s.code for s in self.segments if s.name.startswith("SOF")]
        return _PROCESSES.get(codes[0] & 7, "") if codes else ""


def inspect_jpeg(
    data: Buffer,
    *,
    abbreviated: bool = False,
    tables: Buffer | None = None,
    symbols: tuple[int, int] = (0, 0),
    max_mcus: int = 1 << 22,
) -> Inspection:
    """Reads a JPEG field by field, up to its end or to what is wrong with it.

    Args:
        data: the file.
        abbreviated: True accepts a stream without its tables (T.81 B.4, B.5).
        tables: those of such a stream, as a stream of tables alone.
        symbols: a range of bytes; the fields inside scans that touch them are kept.
        max_mcus: how many MCUs of the file are listed; others are counted only.

    Returns:
        What was read. A file that is broken, or no JPEG at all, is not an exception.

    Raises:
        UsageError: `tables` makes no sense.

    >>> inspect_jpeg(b"\\xff\\xd8\\xff\\xd9").segments[0].name
    'SOI'
    """
    if tables is not None and not abbreviated:
        raise UsageError("tables are for abbreviated streams: give abbreviated=True too")
    data = bytes(data)
    verdict = check(data, abbreviated=abbreviated, tables=tables)
    trace = _core.trace_jpeg(
        data if verdict.format == "jpeg" else b"",
        abbreviated=abbreviated,
        tables=tables,
        symbols=symbols,
        max_mcus=max_mcus,
    )
    frame = trace["frame"]
    components = tuple(Component(*row) for row in frame["components"]) if frame else ()
    return Inspection(
        n_bytes=len(data),
        verdict=verdict,
        place=trace["place"],
        width=frame["width"] if frame else 0,
        height=frame["height"] if frame else 0,
        components=components,
        segments=tuple(_segments(data, trace)),
        n_fields_left_out=trace["n_fields_left_out"],
        scans=tuple(_scan(scan, components) for scan in trace["scans"]),
        symbols=trace["symbols"],
    )


def marker_name(code: int) -> tuple[str, str]:
    """The name of a marker and what it means (T.81 Table B.1)."""
    if code in _TITLES:
        return _TITLES[code]
    if 0xC0 <= code <= 0xCF:
        process = _PROCESSES[code & 7]
        return f"SOF{code & 15}", f"start of frame, {process}"
    if 0xD0 <= code <= 0xD7:
        return f"RST{code & 7}", "restart"
    if 0xE0 <= code <= 0xEF:
        return f"APP{code & 15}", "application data"
    return f"FF {code:02X}", "reserved"


def _segments(data: bytes, trace: _Trace) -> Iterator[Segment]:
    end_of_data = min(len(data), trace["end_offset"])
    n_fill_bytes = n_fill_of_code = 0
    code, start = 0, 0
    seen_prefix = False
    fields: list[Field] = []
    for field in fields_of(data, trace["fields"]):
        name = field.element
        if name not in ("SOI", "marker prefix", "marker"):
            fields.append(field)
            continue
        if name == "marker prefix" or (name == "SOI" and not seen_prefix):
            seen_prefix = True
            continue
        if field.value == _FILL:
            n_fill_bytes += 1
            continue
        if code:
            yield _segment(code, start, end_of_data, n_fill_of_code, fields)
        code = field.value
        start = field.offset - 1
        n_fill_of_code, n_fill_bytes, fields = n_fill_bytes, 0, []
    if code:
        yield _segment(code, start, end_of_data, n_fill_of_code, fields)


def _segment(
    code: int, offset: int, end_of_data: int, n_fill_bytes: int, fields: list[Field]
) -> Segment:
    name, title = marker_name(code)
    has_no_length = code in (0xD8, 0xD9)
    if has_no_length:
        n_bytes = 2
    elif fields and fields[0].element in _LENGTHS:
        n_bytes = 2 + fields[0].value
    else:
        n_bytes = end_of_data - offset
    return Segment(code, name, title, offset, n_bytes, n_fill_bytes, tuple(fields))


def _scan(scan: _ScanTrace, frame: tuple[Component, ...]) -> Scan:
    components = tuple(
        ScanComponent(index, frame[index].c, td, ta, wide, high, *bits)
        for index, td, ta, wide, high, bits in scan["components"]
    )
    first = frame[components[0].index]
    most_h, most_v = max(c.h for c in frame), max(c.v for c in frame)
    size = (8 * most_h, 8 * most_v)
    if len(components) == 1:  # A.2.2: an MCU is one block
        size = (size[0] // first.h, size[1] // first.v)
    return Scan(
        offset=scan["first_byte"],
        end=scan["end_byte"],
        is_whole=scan["is_whole"],
        n_mcus=scan["n_mcus"],
        n_mcus_read=scan["n_mcus_read"],
        mcus_wide=scan["mcus_wide"],
        mcu_size=size,
        restart_interval=scan["restart_interval"],
        components=components,
        n_padding_bits=scan["n_padding_bits"],
        n_stuffed_bytes=scan["n_stuffed_bytes"],
        n_marker_bytes=scan["n_marker_bytes"],
        mcu_starts=scan["mcu_bits"],
        mcu_bits=scan["mcu_costs"],
        intervals=scan["intervals"],
    )
