"""What a JPEG file consists of, read a second time: T.81 Annex B without the grammar engine.

Walks are counted and decoders are excused by what this module sees, so that a mistake of the engine
does not hide itself. It reads files that are known to be valid, and judges nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

__all__ = ["Component", "Scan", "Segment", "Structure", "read_structure"]

SOF0, SOF1, SOF2, DHT, RST0, SOI, EOI = 0xC0, 0xC1, 0xC2, 0xC4, 0xD0, 0xD8, 0xD9
SOS, DQT, DRI = 0xDA, 0xDB, 0xDD
_FILL = 0xFF


@dataclass(frozen=True)
class Component:
    """A component of the frame: B.2.2."""

    identifier: int
    h: int
    v: int
    quantization_slot: int


@dataclass(frozen=True)
class Segment:
    """A marker and what belongs to it, without the length."""

    marker: int
    offset: int
    payload: bytes


@dataclass(frozen=True)
class Scan:
    """A scan: which components it codes, with which tables, in how many MCUs."""

    components: tuple[int, ...]  # indexes in the frame
    dc_slots: tuple[int, ...]
    ac_slots: tuple[int, ...]
    restart_interval: int
    mcus_wide: int
    mcus_high: int
    ss: int = 0  # the band of coefficients: first and last
    se: int = 63
    ah: int = 0  # Al of the scan that this one refines; 0: it is the first of its band
    al: int = 0  # point transform

    @property
    def n_mcus(self) -> int:
        """MCUs of the scan; of a single component, its blocks (A.2.2)."""
        return self.mcus_wide * self.mcus_high

    @property
    def is_interleaved(self) -> bool:
        """More than one component takes turns."""
        return len(self.components) > 1

    @property
    def kind(self) -> str:
        """What it codes: T.81 F.1.2 and the clauses of G.1.2."""
        if self.ss == 0 and self.se > 0:
            return "sequential"
        return f"{'AC' if self.ss else 'DC'} {'refinement' if self.ah else 'first'}"


@dataclass
class Structure:
    """All that stands outside entropy-coded data, and how the scans are cut."""

    sof: int = SOF0
    precision: int = 8  # of samples, in bits
    width: int = 0
    height: int = 0
    components: tuple[Component, ...] = ()
    segments: list[Segment] = field(default_factory=list)
    scans: list[Scan] = field(default_factory=list)
    n_fill_bytes: int = 0
    n_stuffed: int = 0
    restarts: list[tuple[int, int]] = field(default_factory=list)  # (marker, its offset)
    quantization_tables: list[tuple[int, int]] = field(default_factory=list)  # (Pq, Tq)
    huffman_tables: list[tuple[int, int]] = field(default_factory=list)  # (Tc, Th)

    @property
    def sampling(self) -> tuple[tuple[int, int], ...]:
        """(H, V) of each component."""
        return tuple((c.h, c.v) for c in self.components)

    @property
    def is_progressive(self) -> bool:
        """The frame is coded in bands and bit by bit (T.81 Annex G)."""
        return self.sof == SOF2

    @property
    def n_mcus(self) -> int:
        """MCUs of the longest scan."""
        return max((scan.n_mcus for scan in self.scans), default=0)

    def markers(self) -> Iterator[int]:
        """Every marker of the file, restarts included."""
        yield from (segment.marker for segment in self.segments)
        yield from (marker for marker, _ in self.restarts)

    def blocks_of(self, component: int) -> tuple[int, int]:
        """(wide, high): the blocks of a component that hold samples (A.1.1, A.2.2)."""
        c = self.components[component]
        max_h, max_v = self.max_sampling()
        samples_wide = -(-self.width * c.h // max_h)
        samples_high = -(-self.height * c.v // max_v)
        return -(-samples_wide // 8), -(-samples_high // 8)

    def mcus_of(self, components: Sequence[int]) -> tuple[int, int]:
        """(wide, high): the MCUs of a scan; those of a single component are its blocks (A.2)."""
        if len(components) == 1:
            return self.blocks_of(components[0])
        max_h, max_v = self.max_sampling()
        return -(-self.width // (8 * max_h)), -(-self.height // (8 * max_v))

    def max_sampling(self) -> tuple[int, int]:
        """(Hmax, Vmax)."""
        return max(c.h for c in self.components), max(c.v for c in self.components)


def read_structure(data: bytes) -> Structure:
    """The structure of a valid file.

    Raises:
        ValueError: a marker is missing where one must stand.
    """
    found = Structure()
    restart_interval = 0
    at = 0
    while at < len(data):
        if data[at] != _FILL:
            raise ValueError(f"no marker at byte {at}")
        start = at
        while data[at] == _FILL:
            at += 1
        found.n_fill_bytes += at - start - 1
        marker = data[at]
        at += 1
        payload = b""
        if marker not in (SOI, EOI):
            n_bytes = int.from_bytes(data[at : at + 2], "big")
            payload = data[at + 2 : at + n_bytes]
            at += n_bytes
        found.segments.append(Segment(marker, start, payload))
        if marker in (SOF0, SOF1, SOF2):
            found.sof = marker
            _read_frame(payload, found)
        elif marker == DQT:
            found.quantization_tables += _quantization_heads(payload)
        elif marker == DHT:
            found.huffman_tables += _huffman_heads(payload)
        elif marker == DRI:
            restart_interval = int.from_bytes(payload, "big")
        elif marker == SOS:
            found.scans.append(_read_scan(payload, found, restart_interval))
            at = _skip_entropy_coded(data, at, found)
        elif marker == EOI:
            break
    return found


def _read_frame(payload: bytes, found: Structure) -> None:
    found.precision = payload[0]
    found.height = int.from_bytes(payload[1:3], "big")
    found.width = int.from_bytes(payload[3:5], "big")
    found.components = tuple(
        Component(payload[i], payload[i + 1] >> 4, payload[i + 1] & 15, payload[i + 2])
        for i in range(6, len(payload), 3)
    )


def _read_scan(payload: bytes, found: Structure, restart_interval: int) -> Scan:
    identifiers = [c.identifier for c in found.components]
    chosen = [
        (identifiers.index(payload[i]), payload[i + 1] >> 4, payload[i + 1] & 15)
        for i in range(1, len(payload) - 3, 2)
    ]
    components, dc_slots, ac_slots = zip(*chosen, strict=True)
    ss, se, approximation = payload[-3:]
    return Scan(
        components,
        dc_slots,
        ac_slots,
        restart_interval,
        *found.mcus_of(components),
        ss,
        se,
        approximation >> 4,
        approximation & 15,
    )


def _quantization_heads(payload: bytes) -> Iterator[tuple[int, int]]:
    at = 0
    while at < len(payload):
        precision, slot = payload[at] >> 4, payload[at] & 15
        yield precision, slot
        at += 1 + 64 * (1 + precision)


def _huffman_heads(payload: bytes) -> Iterator[tuple[int, int]]:
    at = 0
    while at < len(payload):
        yield payload[at] >> 4, payload[at] & 15
        at += 17 + sum(payload[at + 1 : at + 17])


def _skip_entropy_coded(data: bytes, at: int, found: Structure) -> int:
    """The offset of the marker after the last interval of a scan."""
    while True:
        at = data.index(b"\xff", at)
        marker_at = at + 1
        while data[marker_at] == _FILL:
            marker_at += 1
        marker = data[marker_at]
        if marker == 0:
            found.n_stuffed += 1
        elif RST0 <= marker < RST0 + 8:
            found.restarts.append((marker, marker_at))
            found.n_fill_bytes += marker_at - at - 1
        else:
            return at
        at = marker_at + 1
