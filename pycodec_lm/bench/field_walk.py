"""The field-uniform walk: a legal value for every syntax element, spelled by the writer.

A walk over masks seldom leaves the header. Here each field takes a value drawn from sensible
buckets, so the deep states are reached: several scans, restarts, long blocks, extreme coefficients.
What was written is kept beside the file, worked out without the engine (T.81 A.2, F.2.2.1, G.1.2).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .._core import JpegWriter
from ..errors import CodecLMError
from ..grammar import JpegGrammar
from .field_progressive import ProgressiveScript, random_band_table, write_progressive_scan
from .field_scan import SequentialScanWriter
from .field_tables import (
    AC,
    DC,
    TableDesign,
    random_huffman_table,
    random_quantization_table,
    useless_huffman_table,
)
from .structure import DHT, DQT, DRI, EOI, SOF0, SOF1, SOF2, SOS, Component, Scan, Structure

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["FieldWalk", "WrittenFile", "write_random_file"]

_APP0, _COM, _FILL = 0xE0, 0xFE, 0xFF
_SLOTS = 4
_BASELINE_HUFFMAN_SLOTS = 2
_BLOCK_SIZE = 64
_MANY_BLOCKS = ((1031, 1024), (1457, 1447), (2041, 600))  # for end-of-band runs of any length
_FRAMES = {  # by process
    None: (SOF0, SOF0, SOF1),
    "baseline": (SOF0,),
    "extended": (SOF1,),
    "progressive": (SOF2,),
}


class RefusedValueError(CodecLMError):
    """The grammar refused a value that T.81 allows, or offered none."""


@dataclass
class WrittenFile:
    """A file of a field-uniform walk, and what was put in it."""

    data: bytes
    planes: list[NDArray[np.int16]]  # [high, wide, 64] a component, as its first scan has blocks
    n_fields: int


def write_random_file(
    seed: int,
    *,
    portable: bool = True,
    process: str | None = None,
    several_scans: bool = False,
) -> WrittenFile:
    """The file of a seed.

    Args:
        seed: of all that is drawn.
        portable: what every decoder reads; else samples may have 12 bits.
        process: "baseline", "extended" or "progressive"; None for one of the first two.
        several_scans: a sequential picture has components that are coded apart.

    Raises:
        RefusedValueError: the grammar refused a value that should be legal.
    """
    rng = random.Random(seed)
    return FieldWalk(rng, portable=portable, process=process, several_scans=several_scans).run()


def _draw_layout(rng: random.Random, n_components: int) -> Sequence[tuple[int, int]] | None:
    """(H, V) of each component; None for any that is legal."""
    if rng.random() < 0.3:
        return None
    fine = rng.choice(((1, 1), (2, 1), (1, 2), (2, 2), (4, 1)))
    if n_components == 4:
        # What CMYK encoders write, and what fits an MCU of 10 blocks.
        return rng.choice(([(1, 1)] * 4, [(2, 2), (1, 1), (1, 1), (2, 2)], [fine, *[(1, 1)] * 3]))
    return [fine, *[(1, 1)] * (n_components - 1)]


class FieldWalk:
    """One walk; see `write_random_file`."""

    def __init__(
        self,
        rng: random.Random,
        *,
        portable: bool = True,
        process: str | None = None,
        several_scans: bool = False,
    ) -> None:
        self.rng = rng
        self.writer = JpegWriter(JpegGrammar(portable=portable))
        self.is_portable = portable
        self._frames = _FRAMES[process]
        self._several_scans = several_scans
        self.n_fields = 0
        self.structure = Structure()
        self.planes: list[NDArray[np.int16]] = []
        self.restart_interval = 0
        self.huffman_tables: dict[tuple[int, int], TableDesign] = {}  # by (Tc, Th)
        self._script: ProgressiveScript | None = None
        self._quantization_bits = [0] * _SLOTS
        self._usable = {(c, slot): False for c in (DC, AC) for slot in range(_SLOTS)}
        self._coded: set[int] = set()
        self._n_extras = rng.choice((0, 0, 1, 2, 5, 12))
        # Else a scan starts as soon as some component can be coded.
        self._wants_whole_scans = rng.random() < 0.6 and not several_scans

    def run(self) -> WrittenFile:
        """Writes the whole file."""
        while not self.writer.is_complete():
            self._write_segment(self._choose_marker())
        return WrittenFile(self.writer.to_bytes(), self.planes, self.n_fields)

    def put(self, element: str, value: int) -> None:
        """Writes a value that must be legal for the element that must be due."""
        due, _, _ = self.writer.field()
        if due != element:
            raise RefusedValueError(f"{due} is due where {element} should be")
        status = self.writer.write(value)
        if not status:
            raise RefusedValueError(f"{element} = {value} was refused: {status.message}")
        self.n_fields += 1

    def put_any(self, element: str, limit: int = 65536) -> int:
        """Writes one of the legal values of a short field."""
        value = self.rng.choice(self.legal_values(element, limit))
        self.put(element, value)
        return value

    def legal_values(self, element: str, limit: int = 65536) -> list[int]:
        """What the grammar allows now, which must be something."""
        values = self.writer.legal_values(limit)
        if not values:
            raise RefusedValueError(f"no value of {element} is legal: {self.writer.describe()}")
        return values

    def expect_values(self, expected: set[int]) -> None:
        """The grammar must allow these now and no others."""
        values = self.writer.legal_values()
        if {*values} != expected:
            refused, added = sorted(expected - {*values}), sorted({*values} - expected)
            raise RefusedValueError(
                f"refused: {refused}, allowed beyond the standard: {added}, at"
                f" {self.writer.describe()}"
            )

    # Markers: T.81 B.2.1.

    def _choose_marker(self) -> int:
        rng = self.rng
        if not self.structure.scans and rng.random() < 0.05:
            return _FILL
        if self._is_done():
            return EOI
        if self._n_extras > 0:
            self._n_extras -= 1
            return rng.choice((DQT, DHT, DRI, _COM, *[_APP0 + rng.randrange(16)] * 2))
        return rng.choice(self._missing_segments() or [SOS])

    def _is_done(self) -> bool:
        if self._script is not None:
            return self._script.is_done()
        frame = self.structure.components
        return bool(frame) and len(self._coded) == len(frame)

    def _missing_segments(self) -> list[int]:
        """What a scan wants before it."""
        frame = self.structure.components
        needed = [] if frame else [self.rng.choice(self._frames)]
        if self._script is not None:
            scan = self._script.next_scan()
            if scan.kind == "DC first" and not all(self._is_ready(i) for i in scan.components):
                needed.append(DQT)
            if not self._script.has_tables(scan):
                needed.append(DHT)
            return needed
        left = [i for i in range(len(frame)) if i not in self._coded]
        is_enough = all if self._wants_whole_scans else any
        if frame and not is_enough(self._is_ready(i) for i in left):
            needed.append(DQT)
        slots = range(self._n_slots())
        if not all(any(self._usable[c, s] for s in slots) for c in (DC, AC)):
            needed.append(DHT)
        return needed

    def _is_ready(self, component: int) -> bool:
        slot = self.structure.components[component].quantization_slot
        return component not in self._coded and self._quantization_bits[slot] in self._useful_bits()

    def _useful_bits(self) -> tuple[int, ...]:
        """Of quantization tables: T.81 B.2.4.1."""
        return (8,) if self.structure.precision == 8 else (8, 16)

    def _n_slots(self) -> int:
        """For Huffman tables of a class that scans may name."""
        return _BASELINE_HUFFMAN_SLOTS if self.structure.sof == SOF0 else _SLOTS

    def _write_segment(self, marker: int) -> None:
        self.put("marker", marker)
        if marker in (SOF0, SOF1, SOF2):
            self._write_frame(marker)
        elif marker == DQT:
            self._write_quantization_tables()
        elif marker == DHT:
            self._write_huffman_tables()
        elif marker == DRI:
            self.put("Lr", 4)
            self.restart_interval = self._draw_restart_interval()
            self.put("Ri", self.restart_interval)
        elif marker == SOS:
            if self._script is not None:
                scan = write_progressive_scan(self, self._script)
            else:
                scan = self._write_scan()
            self._coded.update(scan.components)
            self._n_extras = self.rng.choice((0, 0, 1, 2, 4))
        elif marker == _COM or marker & 0xF0 == _APP0:
            self._write_free_segment(marker)

    def _draw_restart_interval(self) -> int:
        rng = self.rng
        several = (rng.randint(2, 9), rng.randint(10, 40), rng.randint(100, 300))
        longest = 65279  # more make ffmpeg complain
        if self._script is not None and self._script.is_vast:
            return rng.choice((0, longest))
        return rng.choice((0, 1, *several, rng.randint(65, longest), longest))

    def _write_free_segment(self, marker: int) -> None:
        # Shorter APPn segments make ffmpeg complain.
        least = 2 if marker == _COM else 8
        length = least + self.rng.choice((0, 1, 2, self.rng.randrange(40), self.rng.randrange(300)))
        self.put("Lc" if marker == _COM else "Lp", length)
        element = "Cmi" if marker == _COM else "Api"
        highest = self._highest_number(8)
        for i in range(length - 2):
            if i == 0:
                self.put_any(element)  # the portable language leaves some out
            else:
                self.put(element, self.rng.choice((0, highest, self.rng.randint(0, highest))))

    def _highest_number(self, n_bits: int) -> int:
        # Behind a scan ffmpeg can mistake an FF, and what follows it, for a marker.
        if self.structure.scans:
            return 0xFE if n_bits == 8 else 0xBFFF
        return (1 << n_bits) - 1

    # Frame header: B.2.2.

    def _write_frame(self, sof: int) -> None:
        rng = self.rng
        self.structure.sof = sof
        n_components = rng.choice((3, 3, 4) if self._several_scans else (1, 3, 3, 4))
        self.put("Lf", 8 + 3 * n_components)
        precisions = (8,) if self.is_portable else (8, 12)
        self.structure.precision = 8 if sof == SOF0 else rng.choice(precisions)
        self.put("P", self.structure.precision)
        width, height = self._draw_size()
        if sof == SOF2 and n_components == 1 and rng.random() < 0.35:
            width, height = rng.choice(_MANY_BLOCKS)
        self.put("Y", height)
        self.put("X", width)
        self.put("Nf", n_components)
        identifiers = rng.sample(range(255), n_components) if rng.random() < 0.5 else [1, 2, 3, 4]
        components = []
        layout = _draw_layout(rng, n_components)
        for i in range(n_components):
            self.put("Ci", identifiers[i])
            if layout is not None:
                h, v = layout[i]
                self.put("Hi", h)
                self.put("Vi", v)
            else:
                h = self.put_any("Hi")
                v = self.put_any("Vi")
            slot = rng.randrange(_SLOTS)
            self.put("Tqi", slot)
            components.append(Component(identifiers[i], h, v, slot))
        self.structure.width, self.structure.height = width, height
        self.structure.components = tuple(components)
        self.planes = [None] * n_components  # type: ignore[list-item]
        if sof == SOF2:
            self._script = ProgressiveScript(self)

    def _draw_size(self) -> tuple[int, int]:
        rng = self.rng
        kind = rng.choice(("pixel", "tiny", "small", "blocks", "blocks", "mcus", "mcus", "strip"))
        if kind == "pixel":
            return 1, 1
        if kind == "tiny":
            return rng.randint(1, 8), rng.randint(1, 8)
        if kind == "small":
            return rng.randint(1, 70), rng.randint(1, 70)
        if kind == "blocks":  # 64 of them, or more
            return rng.randint(57, 130), rng.randint(57, 130)
        if kind == "mcus":  # at least 64 of 32 x 32 pixels
            return rng.randint(225, 280), rng.randint(225, 280)
        long, short = rng.choice((600, 2041, 2100, 2400)), rng.randint(1, 16)
        return (long, short) if rng.random() < 0.5 else (short, long)

    # Tables: B.2.4.

    def _write_quantization_tables(self) -> None:
        rng = self.rng
        needed = [
            c.quantization_slot
            for i, c in enumerate(self.structure.components)
            if not self._is_ready(i)
        ]
        sizes = [8] * rng.randint(1, 4) + [16] * rng.choice((0, 0, 0, 1))
        rng.shuffle(sizes)
        self.put("Lq", 2 + sum(1 + 8 * n_bits for n_bits in sizes))
        for n_bits in sizes:
            slot = rng.choice(needed) if needed and rng.random() < 0.7 else rng.randrange(_SLOTS)
            self.put("Pq", 0 if n_bits == 8 else 1)
            self.put("Tq", slot)
            for value in random_quantization_table(rng, self._highest_number(n_bits)):
                self.put("Qk", value)
            self._quantization_bits[slot] = n_bits

    def _write_huffman_tables(self) -> None:
        rng = self.rng
        # Slots 2 and 3 may be defined before a baseline frame header, and never be used.
        n_slots = self._n_slots() if self.structure.components else _SLOTS
        tables: list[tuple[TableDesign, bool, int]] = []
        for _ in range(rng.randint(1, 4)):
            table_class = rng.choice((DC, AC))
            useless = rng.random() < 0.05
            if useless:
                design = useless_huffman_table(rng, table_class)
            elif self._script is not None and table_class == AC:
                design = random_band_table(rng, self._script.next_scan())
            else:
                design = random_huffman_table(rng, table_class)
            slot = rng.randrange(n_slots) if rng.random() < 0.3 else rng.randrange(2)
            tables.append((design, not useless, slot))
        self.put("Lh", 2 + sum(design.n_bytes for design, _, _ in tables))
        for design, is_usable, slot in tables:
            self.put("Tc", design.table_class)
            self.put("Th", slot)
            for count in design.bits:
                self.put("Li", count)
            for symbol in design.values:
                self.put("Vi,j", symbol)
            self._usable[design.table_class, slot] = is_usable
            self.huffman_tables[design.table_class, slot] = design

    # Scans: B.2.3.

    def _write_scan(self) -> Scan:
        if self._wants_whole_scans:
            self.put("Ls", self.writer.legal_values()[-1])
        elif self._several_scans and not self._coded:
            lengths = self.writer.legal_values()
            self.put("Ls", self.rng.choice(lengths[: len(self.planes) - 1]))
        else:
            self.put_any("Ls")
        n_components = self.put_any("Ns")
        identifiers = [c.identifier for c in self.structure.components]
        chosen: list[tuple[int, int, int]] = []
        for _ in range(n_components):
            component = identifiers.index(self.put_any("Csj"))
            chosen.append((component, self.put_any("Tdj"), self.put_any("Taj")))
        for element, value in (("Ss", 0), ("Se", 63), ("Ah", 0), ("Al", 0)):
            self.put(element, value)
        components, dc_slots, ac_slots = zip(*chosen, strict=True)
        mcus = self.structure.mcus_of(components)
        scan = Scan(components, dc_slots, ac_slots, self.restart_interval, *mcus)
        self.structure.scans.append(scan)
        SequentialScanWriter(self, scan, self.new_planes(scan)).run()
        return scan

    def new_planes(self, scan: Scan) -> list[NDArray[np.int16]]:
        """Zeros for the components of a scan, with the blocks that it has (A.2.2-A.2.4)."""
        for component in scan.components:
            c = self.structure.components[component]
            h, v = (c.h, c.v) if scan.is_interleaved else (1, 1)
            shape = (scan.mcus_high * v, scan.mcus_wide * h, _BLOCK_SIZE)
            self.planes[component] = np.zeros(shape, np.int16)
        return [self.planes[component] for component in scan.components]
