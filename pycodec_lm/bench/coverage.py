"""Which parts of the format the walks have reached, counted in walks."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable

import numpy as np

from .._core import ELEMENTS, AvcCursor, JpegCursor, read_coefficients, symbol_counts, trace_jpeg
from ..grammar import JpegGrammar
from .mask_walk import BrokenWalkError
from .structure import DHT, DQT, DRI, EOI, RST0, SOF0, SOF1, SOF2, SOI, SOS, Scan, Structure

__all__ = [
    "PROCESSES",
    "SCOPE",
    "Coverage",
    "codes_of_wrong_bytes",
    "error_codes",
    "scope_of",
]

# What walks may be asked for.
PROCESSES = ("sequential", "multi-scan", "progressive")

_APP0, _COM, _FILL = 0xE0, 0xFE, 0xFF
_MARKER_NAMES = {
    SOI: "SOI",
    SOF0: "SOF0",
    SOF1: "SOF1",
    SOF2: "SOF2",
    DHT: "DHT",
    DQT: "DQT",
    DRI: "DRI",
    SOS: "SOS",
    EOI: "EOI",
    _COM: "COM",
    **{_APP0 + i: f"APP{i}" for i in range(16)},
    **{RST0 + i: f"RST{i}" for i in range(8)},
}
_ELEMENTS = {
    SOF0: ("Lf", "P", "Y", "X", "Nf", "Ci", "Hi", "Vi", "Tqi"),
    SOS: ("Ls", "Ns", "Csj", "Tdj", "Taj", "Ss", "Se", "Ah", "Al"),
    DQT: ("Lq", "Pq", "Tq", "Qk"),
    DHT: ("Lh", "Tc", "Th", "Li", "Vij"),
    DRI: ("Lr", "Ri"),
    _COM: ("Lc", "Cmi"),
    _APP0: ("Lp", "Api"),
}
_RESTARTS = ("none", "1", "2-9", "10-99", "100 or more", "never reached")
_SIZES = ("1 MCU", "2-63 MCUs", "64 MCUs or more")
_AC_SYMBOLS = [0x00, 0xF0, *(run << 4 | size for run in range(16) for size in range(1, 11))]
_RUNS_OF_BANDS = [n << 4 for n in range(15)]  # EOBn
_BANDS = ("1-63", "one coefficient", "from 1", "to 63", "inside")
_SCAN_COUNTS = ("1", "2-4", "5-12", "13-30", "more than 30")
# Of csrc/grammar/status.cpp; those of narrower grammars and of callers are out of scope.
_ERROR_CODES = [
    "truncated",
    "missing_soi",
    "marker_expected",
    "unexpected_marker",
    "reserved_marker",
    "second_frame",
    "frame_missing",
    "scan_missing",
    "scan_not_ready",
    "segment_length",
    "reserved_value",
    "zero_dimension",
    "component_repeated",
    "sampling_factor",
    "quantization_table_undefined",
    "quantization_table_precision",
    "zero_quantizer",
    "huffman_code_overfull",
    "huffman_all_ones_code",
    "huffman_code_count",
    "huffman_dc_symbol",
    "huffman_table_undefined",
    "huffman_table_unusable",
    "component_unknown",
    "component_order",
    "component_coded_twice",
    "too_many_blocks_in_mcu",
    "spectral_selection",
    "successive_approximation",
    "huffman_code_invalid",
    "dc_category",
    "dc_range",
    "ac_size",
    "ac_symbol_reserved",
    "ac_run_past_end",
    "ac_zrl_past_end",
    "ac_dead_end",
    "padding_bit",
    "unstuffed_ff",
    "fill_before_stuffing",
    "restart_missing",
    "restart_number",
    "restart_unexpected",
    "entropy_data_after_interval",
    "process_unsupported",
    "arithmetic_coding",
    "hierarchical",
    "jpeg_extension",
    "component_count_unsupported",
]
# A progressive frame has four components at most (Table B.2): more are no matter of support.
_SEQUENTIAL_ONLY = ("ac_symbol_reserved", "component_count_unsupported")
_PROGRESSIVE_ERROR_CODES = [
    *(code for code in _ERROR_CODES if code not in _SEQUENTIAL_ONLY),
    "band_order",
    "band_accuracy",
    "ac_interleaved",
    "ac_before_dc",
    "coefficient_coded_twice",
    "components_differ",
    "eob_run",
    "refinement_size",
    "refinement_run",
]

# Where wrong bytes are tried.
_RANDOM_PLACES = 20
_MAX_PLACES = 80
_STANDARD = JpegGrammar(portable=False)
_TRACED = ("element", "scan", "value")

# Every value that the walks should reach, by group.
_SEQUENTIAL_SCOPE: dict[str, tuple[str, ...]] = {
    "components": ("1", "3", "4"),
    "sampling factors": tuple(f"{h}x{v}" for h in range(1, 5) for v in range(1, 5)),
    "components in a scan": ("1", "2", "3", "4"),
    "scans": ("1", "2", "3", "4"),
    "restart interval": _RESTARTS,
    "size": _SIZES,
    "quantization slot": ("0", "1", "2", "3"),
    "DC table slot": ("0", "1", "2", "3"),
    "AC table slot": ("0", "1", "2", "3"),
    "tables": ("16-bit quantization", "Huffman slot 2", "Huffman slot 3", "changed between scans"),
    "markers": (*(name for name in _MARKER_NAMES.values() if name != "SOF2"), "fill byte"),
    "elements": (
        *(name for names in _ELEMENTS.values() for name in names),
        "DC code",
        "DC bits",
        "AC code",
        "AC bits",
        "stuffing",
    ),
    "DC category": tuple(str(size) for size in range(12)),
    "AC symbol": tuple(f"{symbol:02x}" for symbol in _AC_SYMBOLS),
    "coefficient": ("DC -1024", "DC 1023", "AC -1023", "AC 1023", "the last, 63"),
    "error code": tuple(_ERROR_CODES),
}
_PROGRESSIVE_SCOPE: dict[str, tuple[str, ...]] = {
    **_SEQUENTIAL_SCOPE,
    "scans": _SCAN_COUNTS,
    "markers": (
        *(name for name in _MARKER_NAMES.values() if name not in ("SOF0", "SOF1")),
        "fill byte",
    ),
    "elements": (*_SEQUENTIAL_SCOPE["elements"], "DC bit", "EOB bits", "correction bit"),
    "kind of scan": (
        "DC first",
        "DC first, interleaved",
        "DC refinement",
        "DC refinement, interleaved",
        "AC first",
        "AC refinement",
    ),
    "Al of DC first": tuple(str(al) for al in range(14)),
    "Al of DC refinement": tuple(str(al) for al in range(13)),
    "Al of AC first": tuple(str(al) for al in range(10)),
    "Al of AC refinement": tuple(str(al) for al in range(9)),
    "band of AC first": _BANDS,
    "band of AC refinement": _BANDS,
    # What the portable language has: sizes up to 9.
    "AC symbol": tuple(
        f"{symbol:02x}"
        for symbol in [*(s for s in _AC_SYMBOLS if s & 15 < 10), *_RUNS_OF_BANDS[1:]]
    ),
    "coefficient": ("DC -1024", "DC 1023", "AC -511", "AC 511", "the last, 63"),
    "refinement symbol": tuple(
        f"{symbol:02x}" for symbol in [0xF0, *_RUNS_OF_BANDS, *(run << 4 | 1 for run in range(16))]
    ),
    "error code": tuple(_PROGRESSIVE_ERROR_CODES),
}
_PREFIX = "progressive: "
# Progressive files are counted apart.
SCOPE: dict[str, tuple[str, ...]] = {
    **_SEQUENTIAL_SCOPE,
    **{_PREFIX + group: values for group, values in _PROGRESSIVE_SCOPE.items()},
}
# Not in the portable language, and yet met: pinned samples have symbols of their own, and broken
# files what the language leaves out.
_LATE_HEIGHTS = {"lines_missing", "number_of_lines"}
_MAY_OCCUR: dict[str, set[str]] = {
    "error code": _LATE_HEIGHTS,
    _PREFIX + "error code": _LATE_HEIGHTS,
    _PREFIX + "AC symbol": {f"{symbol:02x}" for symbol in _AC_SYMBOLS if symbol & 15 == 10},
}


def scope_of(process: str | None) -> dict[str, tuple[str, ...]]:
    """What walks of one of PROCESSES should reach; None: all that is in SCOPE."""
    if process is None:
        return SCOPE
    of_process = {
        group: values
        for group, values in SCOPE.items()
        if group.startswith(_PREFIX) == (process == "progressive")
    }
    if process == "multi-scan":
        of_process |= {
            "components": ("3", "4"),
            "components in a scan": ("1", "2", "3"),
            "scans": ("2", "3", "4"),
        }
    return of_process


class Coverage:
    """Counts in how many walks each value of a scope occurred.

    Args:
        process: of the walks; see `scope_of`.
    """

    def __init__(self, process: str | None = None) -> None:
        self.scope = scope_of(process)
        self.walks: dict[str, Counter[str]] = {group: Counter() for group in SCOPE}
        self.sampling: Counter[str] = Counter()
        self.n_walks = 0

    def add(self, data: bytes, structure: Structure, codes: Iterable[str] = ()) -> None:
        """Counts a valid file.

        Args:
            data: the file.
            structure: what read_structure says of it.
            codes: the error codes that were met on its way.
        """
        self.n_walks += 1
        self.sampling[" ".join(f"{h}x{v}" for h, v in structure.sampling)] += 1
        seen = {*_of_structure(structure)}
        if structure.is_progressive:
            seen.update(_of_progressive_scans(data, structure))
        else:
            seen.update(_of_scans(data))
        seen.update(_of_coefficients(data, structure))
        seen.update(("error code", code) for code in codes)
        prefix = _PREFIX if structure.is_progressive else ""
        for group, value in seen:
            self.walks[prefix + group][value] += 1

    def rare(self, least: int) -> list[tuple[str, str, int]]:
        """(group, value, walks) of values of the scope that fewer walks than `least` reached."""
        return [
            (group, value, self.walks[group][value])
            for group, values in self.scope.items()
            for value in values
            if self.walks[group][value] < least
        ]

    def unexpected(self) -> list[tuple[str, str]]:
        """What occurred and is not in SCOPE."""
        return [
            (group, value)
            for group, values in SCOPE.items()  # mask walks also make what was not asked for
            for value in self.walks[group]
            if value not in values and value not in _MAY_OCCUR.get(group, ())
        ]


def _of_structure(s: Structure) -> Iterable[tuple[str, str]]:
    yield "components", str(len(s.components))
    yield "scans", _scan_count(len(s.scans)) if s.is_progressive else str(len(s.scans))
    yield "size", _SIZES[(s.n_mcus > 1) + (s.n_mcus >= 64)]
    for c in s.components:
        yield "sampling factors", f"{c.h}x{c.v}"
        yield "quantization slot", str(c.quantization_slot)
    for scan in s.scans:
        yield "components in a scan", str(len(scan.components))
        yield "restart interval", _restart_kind(scan.restart_interval, scan.n_mcus)
        if scan.kind in ("sequential", "DC first"):
            yield from (("DC table slot", str(slot)) for slot in scan.dc_slots)
        if scan.kind not in ("DC first", "DC refinement"):
            yield from (("AC table slot", str(slot)) for slot in scan.ac_slots)
    if any(precision for precision, _ in s.quantization_tables):
        yield "tables", "16-bit quantization"
    for slot in (2, 3):
        if any(th == slot for _, th in s.huffman_tables):
            yield "tables", f"Huffman slot {slot}"
    after_scan = False
    for segment in s.segments:
        after_scan = after_scan or segment.marker == SOS
        if after_scan and segment.marker in (DHT, DQT):
            yield "tables", "changed between scans"
        kind = _APP0 if segment.marker & 0xF0 == _APP0 else segment.marker
        kind = SOF0 if kind in (SOF1, SOF2) else kind
        yield from (("elements", name) for name in _ELEMENTS.get(kind, ()))
    yield from (("markers", _MARKER_NAMES[marker]) for marker in s.markers())
    if s.n_fill_bytes:
        yield "markers", "fill byte"
    if s.n_stuffed:
        yield "elements", "stuffing"


def _restart_kind(interval: int, n_mcus: int) -> str:
    if interval == 0:
        return "none"
    if interval >= n_mcus:
        return "never reached"
    if interval >= 100:
        return "100 or more"
    return "10-99" if interval >= 10 else "2-9" if interval > 1 else "1"


def _of_scans(data: bytes) -> Iterable[tuple[str, str]]:
    counts = symbol_counts(data)
    dc, ac = counts.sum(axis=1)
    yield from (("DC category", str(size)) for size in np.flatnonzero(dc))
    yield from (("AC symbol", f"{symbol:02x}") for symbol in np.flatnonzero(ac))
    yield from (("elements", name) for name in ("DC code", "AC code"))
    if dc[1:].any():
        yield "elements", "DC bits"
    if any(ac[symbol] for symbol in range(256) if symbol & 15):
        yield "elements", "AC bits"


def _of_progressive_scans(data: bytes, s: Structure) -> Iterable[tuple[str, str]]:
    for scan in s.scans:
        yield "kind of scan", scan.kind + (", interleaved" if scan.is_interleaved else "")
        yield f"Al of {scan.kind}", str(scan.al)
        if scan.ss > 0:
            yield f"band of {scan.kind}", _band_kind(scan)
    fields = trace_jpeg(data, symbols=(0, len(data)))["symbols"]
    for element, number, value in {*zip(*(fields[x].tolist() for x in _TRACED), strict=True)}:
        name = ELEMENTS[element][0]
        if name in _PROGRESSIVE_SCOPE["elements"]:
            yield "elements", name
        if name == "DC code":
            yield "DC category", str(value)
        elif name == "AC code":
            refines = s.scans[number].ah > 0
            yield "refinement symbol" if refines else "AC symbol", f"{value:02x}"


def _scan_count(n: int) -> str:
    return _SCAN_COUNTS[(n > 1) + (n > 4) + (n > 12) + (n > 30)]


def _band_kind(scan: Scan) -> str:
    if scan.ss == scan.se:
        return "one coefficient"
    if scan.ss == 1:
        return "1-63" if scan.se == 63 else "from 1"
    return "to 63" if scan.se == 63 else "inside"


def _of_coefficients(data: bytes, s: Structure) -> Iterable[tuple[str, str]]:
    for plane in read_coefficients(data):
        for value in (-1024, 1023):
            if (plane[..., 0] == value).any():
                yield "coefficient", f"DC {value}"
        for value in (-511, 511) if s.is_progressive else (-1023, 1023):
            if (plane[..., 1:] == value).any():
                yield "coefficient", f"AC {value}"
        if plane[..., 63].any():
            yield "coefficient", "the last, 63"


def error_codes(data: bytes, structure: Structure, rng: random.Random) -> set[str]:
    """What the checker says to wrong bytes in a valid file.

    Each byte that may not come next is tried: all through frame and scan headers, where other
    segments start, and at random places.

    Raises:
        BrokenWalkError: a byte outside allowed() was accepted, or one inside refused.
    """
    places = {
        0,
        1,
        *(offset for _, offset in structure.restarts[:2]),
        *(rng.randrange(len(data)) for _ in range(_RANDOM_PLACES)),
    }
    for segment in structure.segments:
        is_header = segment.marker in (SOF0, SOF1, SOF2, SOS)
        n_bytes = 4 + len(segment.payload) if is_header else 6
        places.update(range(segment.offset, min(segment.offset + n_bytes, len(data))))
    if len(places) > _MAX_PLACES:
        places = {*rng.sample(sorted(places), _MAX_PLACES)}
    return {"truncated", *codes_of_wrong_bytes(JpegCursor(_STANDARD), data, places)}


def codes_of_wrong_bytes(
    cursor: JpegCursor | AvcCursor, data: bytes, places: Iterable[int]
) -> set[str]:
    """What is said to each byte that may not come next, at these places of a valid file.

    Raises:
        BrokenWalkError: a byte outside allowed() was accepted, or one inside refused.
    """
    codes: set[str] = set()
    at = 0
    for place in sorted(places):
        if not cursor.push(data[at:place]):
            raise BrokenWalkError(f"the file is refused before byte {place}")
        at = place
        allowed = cursor.allowed()
        for byte in range(256):
            status = cursor.copy().push(bytes([byte]))
            if bool(status) != bool(allowed[byte >> 3] >> (byte & 7) & 1):
                raise BrokenWalkError(f"allowed() and push() disagree about {byte:02x} at {place}")
            if not status:
                codes.add(status.code)
    return codes
