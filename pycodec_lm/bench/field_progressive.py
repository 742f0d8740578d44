"""The progressive part of a field-uniform walk: T.81 Annex G, read without the engine.

Which scans may come (G.1.1.1), what a band's symbols mean (G.1.2.2, G.1.2.3), what becomes of the
coefficients.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from .field_scan import ScanWriter
from .field_tables import AC, DC, TableDesign, with_random_code
from .structure import Scan

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .field_walk import FieldWalk

__all__ = ["ProgressiveScript", "random_band_table", "write_progressive_scan"]

_EOB0, _ZRL = 0x00, 0xF0
_LAST = 63  # coefficient of a block
_MAX_AL = 13
_MAX_PORTABLE_BAND_AL = 9
_NOT_CODED = -1
_ENDS = [n << 4 for n in range(15)]  # EOBn
_MAX_SIZE = {8: 10, 12: 14}  # of AC coefficients, by precision
_HALF_DC_RANGE = {8: 1024, 12: 16384}
_BLOCK_STYLES = ("empty", "ends", "uniform", "full", "runs", "large")
# Fields that one scan may take for blocks that are not empty, roughly.
_TARGET_FIELDS = 1500
_MANY_SCANS = 30
_MANY_BLOCKS = 1 << 14  # the shortest EOB14
# Longer intervals need an end-of-band run in a refinement's table (scan_script.hpp).
_MAX_BLOCKS_WITHOUT_RUN = 64
# One block in so many has the engine's legal symbols compared with those of the standard.
_COMPARED_BLOCKS = 20


def _is_end(symbol: int) -> bool:
    return symbol & 15 == 0 and symbol != _ZRL


def random_band_table(rng: random.Random, scan: Scan) -> TableDesign:
    """A table of AC symbols for a scan, of one of several sorts."""
    refines = scan.ah > 0
    has_long_runs = scan.n_mcus > _MANY_BLOCKS
    coefficients = [run << 4 | size for run in range(16) for size in range(1, 2 if refines else 11)]
    sort = rng.choice(("all", "some", "few", "ends", "some ends", "no ends", "odd"))
    if has_long_runs or sort == "all":
        symbols = [*coefficients, *_ENDS, _ZRL]
    elif sort == "some":
        n = rng.randint(1, len(coefficients))
        symbols = [*rng.sample(coefficients, n), *rng.sample(_ENDS, rng.randint(1, 15)), _EOB0]
        symbols.append(_ZRL)
    elif sort == "few":
        symbols = [rng.randint(0, 15) << 4 | 1, _EOB0]
    elif sort == "ends":
        symbols = rng.sample(_ENDS, rng.randint(1, 15))
    elif sort == "some ends":
        # Without EOB0: what is left of an interval may be too short for the shortest run.
        symbols = [0x01, *rng.sample(coefficients, rng.randint(0, len(coefficients)))]
        symbols += rng.sample(_ENDS[1:6], rng.randint(1, 4))
    elif sort == "no ends":
        # Blocks must be filled to their last coefficient.
        symbols = [rng.randint(0, 2) << 4 | 1, *rng.sample(coefficients, rng.randint(0, 6))]
    else:
        # Sizes and runs that no scan can use, but for FF, which the portable language leaves out.
        unused = [run << 4 | size for run in range(16) for size in range(11, 16)][:-1]
        symbols = [*rng.sample(unused, 10), *rng.sample(coefficients, 10), *rng.sample(_ENDS, 5)]
        symbols = [*symbols, _EOB0, symbols[-1]]
    rng.shuffle(symbols)
    return with_random_code(rng, AC, symbols)


class ProgressiveScript:
    """The scans of a walk: G.1.1.1."""

    def __init__(self, walk: FieldWalk) -> None:
        self.walk = walk
        self.rng = walk.rng
        n_components = len(walk.structure.components)
        # Al of the last scan of each coefficient.
        self.accuracy = np.full((n_components, _LAST + 1), _NOT_CODED)
        self._wanted_scans = self.rng.choice((0, 1, 3, 6, 12, _MANY_SCANS, 10**6))
        # Runs of all lengths are wanted there, and little else: each scan takes long.
        wide, high = walk.structure.blocks_of(0)
        self.is_vast = wide * high > _MANY_BLOCKS
        if self.is_vast:
            self._wanted_scans = 8
        self._next: Scan | None = None

    def is_done(self) -> bool:
        """The file ends here: it must, or it may and the walk had as many scans as it wanted."""
        if not self.accuracy.any():
            return True
        may_end = bool((self.accuracy[:, 0] != _NOT_CODED).all())
        return may_end and len(self.walk.structure.scans) >= self._wanted_scans

    def next_scan(self) -> Scan:
        """The scan that comes next, but for its tables."""
        if self._next is None:
            self._next = self._draw_scan()
        return replace(self._next, restart_interval=self.walk.restart_interval)

    def end_scan(self, scan: Scan) -> None:
        """Notes what a scan has coded."""
        for component in scan.components:
            self.accuracy[component, scan.ss : scan.se + 1] = scan.al
        self._next = None

    def has_tables(self, scan: Scan) -> bool:
        """All tables that the scan needs are defined."""
        if scan.kind == "DC refinement":
            return True
        return bool(self.usable_slots(scan, DC if scan.ss == 0 else AC))

    def usable_slots(self, scan: Scan, table_class: int) -> list[int]:
        """Of Huffman tables that the scan can be coded with."""
        tables = self.walk.huffman_tables
        return [
            slot
            for slot in range(4)
            if (table_class, slot) in tables
            and self._is_usable(tables[table_class, slot].values, scan)
        ]

    def _is_usable(self, symbols: bytes, scan: Scan) -> bool:
        precision = self.walk.structure.precision
        if scan.ss == 0:
            return min(symbols) <= last_dc_category(precision, scan.al)
        if scan.n_mcus > _MANY_BLOCKS:
            return _EOB0 in symbols and _ENDS[-1] in symbols
        if _EOB0 in symbols:
            return True
        interval = scan.restart_interval or scan.n_mcus
        intervals = {min(interval, scan.n_mcus), scan.n_mcus % interval} - {0}
        least_run = min((1 << (s >> 4) for s in symbols if _is_end(s)), default=1 << 16)
        if least_run <= min(intervals):
            return True
        fillable = _fillable(symbols, max_ac_size(self.walk, scan))
        if scan.kind == "AC first":
            return fillable[scan.se - scan.ss + 1]
        if scan.n_mcus > _MAX_BLOCKS_WITHOUT_RUN:
            return False
        # More than has to be: also the blocks of intervals that a run fits.
        high, wide = scan.mcus_high, scan.mcus_wide
        known = self.walk.planes[scan.components[0]][:high, :wide, scan.ss : scan.se + 1] != 0
        n_zeros = known.shape[-1] - known.sum(axis=-1)
        return not known[..., -1].any() and all(fillable[n] for n in n_zeros.flat)

    def _draw_scan(self) -> Scan:
        coded = self.accuracy[:, 0] != _NOT_CODED
        kinds = []
        if not coded.all():
            kinds.append("DC first")
        if (self.accuracy[:, 0] > 0).any():
            kinds.append("DC refinement")
        bands = self.accuracy[coded, 1:]
        if (bands == _NOT_CODED).any():
            kinds += ["AC first"] * 2
        if (bands > 0).any():
            kinds += ["AC refinement"] * 2
        # Many files have their DC coefficients first.
        if not coded.all() and self.rng.random() < 0.5:
            kinds = ["DC first"]
        kind = self.rng.choice(kinds)
        if kind == "DC first":
            return self._scan(self._draw_dc_components(_NOT_CODED), 0, 0, 0, self._draw_al(_MAX_AL))
        if kind == "DC refinement":
            ah = int(self.rng.choice([al for al in self.accuracy[:, 0] if al > 0]))
            return self._scan(self._draw_dc_components(ah), 0, 0, ah, ah - 1)
        return self._draw_band(refines=kind == "AC refinement")

    def _draw_al(self, highest: int) -> int:
        if self.is_vast:
            return self.rng.randint(0, 1)
        if len(self.walk.structure.scans) > _MANY_SCANS:
            return 0
        if self.rng.random() < 0.4:
            return self.rng.randint(0, highest)
        return self.rng.choice((0, 0, 0, 1, 1, 2, 3))

    def _draw_dc_components(self, accuracy: int) -> tuple[int, ...]:
        """Some of the components whose DC coefficients have an accuracy, as an MCU holds them."""
        all_components = self.walk.structure.components
        left = [i for i in range(len(all_components)) if self.accuracy[i, 0] == accuracy]
        n = len(left) if self.rng.random() < 0.5 else self.rng.randint(1, len(left))
        chosen = sorted(self.rng.sample(left, n))
        while len(chosen) > 1:
            if sum(all_components[i].h * all_components[i].v for i in chosen) <= 10:  # B.2.3
                break
            chosen.remove(self.rng.choice(chosen))
        return tuple(chosen)

    def _draw_band(self, *, refines: bool) -> Scan:
        """Neighbours of one accuracy: all of them or a part."""
        rng = self.rng
        places = [
            (component, k)
            for component in range(len(self.accuracy))
            if self.accuracy[component, 0] != _NOT_CODED
            for k in range(1, _LAST + 1)
            if (self.accuracy[component, k] > 0) == refines and self.accuracy[component, k] != 0
        ]
        component, k = rng.choice(places)
        accuracy = int(self.accuracy[component, k])
        ss = se = k
        while ss > 1 and self.accuracy[component, ss - 1] == accuracy:
            ss -= 1
        while se < _LAST and self.accuracy[component, se + 1] == accuracy:
            se += 1
        if len(self.walk.structure.scans) <= _MANY_SCANS:
            kind = rng.random()
            if kind < 0.1:
                ss = se = k
            elif kind < 0.25:
                ss = k
            elif kind < 0.4:
                se = k
            elif kind < 0.5:
                ss, se = rng.randint(ss, k), rng.randint(k, se)
        if refines:
            return self._scan((component,), ss, se, accuracy, accuracy - 1)
        max_al = _MAX_PORTABLE_BAND_AL if self.walk.is_portable else _MAX_AL
        return self._scan((component,), ss, se, 0, self._draw_al(max_al))

    def _scan(self, components: Sequence[int], ss: int, se: int, ah: int, al: int) -> Scan:
        mcus = self.walk.structure.mcus_of(components)
        return Scan(tuple(components), (), (), 0, *mcus, ss, se, ah, al)


def last_dc_category(precision: int, al: int) -> int:
    """The largest with a difference that stays in the range (F.1.2.1), from any coefficient."""
    half_range = max(1, _HALF_DC_RANGE[precision] >> al)
    return half_range.bit_length()


def max_ac_size(walk: FieldWalk, scan: Scan) -> int:
    """SSSS of the coefficients of a band: F.1.2.2, G.1.2.2 and G.1.2.3."""
    # Of portable files coefficients stay below 512: ffmpeg multiplies in 16 bits.
    largest = _MAX_SIZE[walk.structure.precision] - (1 if walk.is_portable else 0)
    return 1 if scan.ah else max(0, largest - scan.al)


def _fillable(symbols: bytes, max_size: int) -> list[bool]:
    """By coefficients left: whether symbols can code all of them, the last one not 0."""
    is_fillable = [True] + [False] * _LAST
    for left in range(1, _LAST + 1):
        for symbol in symbols:
            run, size = symbol >> 4, symbol & 15
            if symbol == _ZRL:
                after = left - 16 if left > 16 else -1
            else:
                after = left - run - 1 if 0 < size <= max_size else -1
            is_fillable[left] |= after >= 0 and is_fillable[after]
    return is_fillable


def write_progressive_scan(walk: FieldWalk, script: ProgressiveScript) -> Scan:
    """SOS and the scan that the script wants next."""
    scan = script.next_scan()
    identifiers = [c.identifier for c in walk.structure.components]
    walk.put("Ls", 6 + 2 * len(scan.components))
    walk.put("Ns", len(scan.components))
    slots: list[tuple[int, int]] = []
    for component in scan.components:
        walk.put("Csj", identifiers[component])
        dc_slot = _write_slot(walk, script, scan, DC)
        slots.append((dc_slot, _write_slot(walk, script, scan, AC)))
    for element, value in (("Ss", scan.ss), ("Se", scan.se), ("Ah", scan.ah), ("Al", scan.al)):
        walk.put(element, value)
    dc_slots, ac_slots = zip(*slots, strict=True)
    scan = replace(scan, dc_slots=dc_slots, ac_slots=ac_slots)
    walk.structure.scans.append(scan)
    if scan.kind == "DC first":
        walk.new_planes(scan)
    planes = [walk.planes[component] for component in scan.components]
    _WRITERS[scan.kind](walk, scan, planes).run()
    script.end_scan(scan)
    return scan


def _write_slot(walk: FieldWalk, script: ProgressiveScript, scan: Scan, table_class: int) -> int:
    element = "Taj" if table_class == AC else "Tdj"
    is_used = scan.kind == "DC first" if table_class == DC else scan.ss > 0
    if is_used:
        slot = walk.rng.choice(script.usable_slots(scan, table_class))
    else:
        # ffmpeg wants a table there, used or not.
        slot = 0 if walk.is_portable else walk.rng.randrange(4)
    walk.put(element, slot)
    return slot


class _FirstDcWriter(ScanWriter):
    """DC coefficients without their last Al bits: G.1.2.1."""

    def _write_block(self, j: int, y: int, x: int) -> None:
        if self.mcus_left == self.scan.n_mcus:
            table = self.walk.huffman_tables[DC, self.scan.dc_slots[j]].values
            last = last_dc_category(self.walk.structure.precision, self.scan.al)
            self.walk.expect_values({size for size in table if size <= last})
        self.planes[j][y, x, 0] = self._write_dc(j) * (1 << self.scan.al)


class _DcRefinementWriter(ScanWriter):
    """One more bit of DC coefficients: G.1.2.1."""

    def _write_block(self, j: int, y: int, x: int) -> None:
        bit = self.rng.randrange(2)
        self.walk.put("DC bit", bit)
        high, wide, _ = self.planes[j].shape
        # Blocks that only fill MCUs are not kept where the first scan had none of them.
        if y < high and x < wide:
            self.planes[j][y, x, 0] += bit << self.scan.al


class _BandWriter(ScanWriter):
    """Bands, first or refined; what they have in common is the way blocks end."""

    def __init__(self, walk: FieldWalk, scan: Scan, planes: Sequence[NDArray[np.int16]]) -> None:
        super().__init__(walk, scan, planes)
        self._run = 0  # blocks of the end of band that is going on
        self._style = self.rng.choice(_BLOCK_STYLES)
        self._share_of_styled = min(1.0, _TARGET_FIELDS / (scan.n_mcus * 30))
        self._table = {*walk.huffman_tables[AC, scan.ac_slots[0]].values}
        self._max_size = max_ac_size(walk, scan)

    def _write_symbol(self, n_left: int, style: str) -> int:
        """A symbol where so many coefficients are left that it counts; a run's bits too."""
        walk, rng = self.walk, self.rng
        if _EOB0 in self._table:
            # There are no dead ends: what the standard allows is legal.
            symbols = self._allowed(n_left)
            if rng.randrange(_COMPARED_BLOCKS) == 0:
                walk.expect_values({*symbols})
        else:
            symbols = walk.legal_values("AC code")
        symbol = self._choose(symbols, style)
        walk.put("AC code", symbol)
        if _is_end(symbol):
            self._run = self._write_run(symbol >> 4, style)
        return symbol

    def _allowed(self, n_left: int) -> list[int]:
        """By G.1.2.2 and G.1.2.3; a run of 16 zeros is followed by a coefficient of the band."""
        return [
            symbol
            for symbol in self._table
            if (
                n_left >= 17
                if symbol == _ZRL
                else 1 << (symbol >> 4) <= self.mcus_left
                if _is_end(symbol)
                else symbol & 15 <= self._max_size and (symbol >> 4) < n_left
            )
        ]

    def _choose(self, symbols: Sequence[int], style: str) -> int:
        ends = [s for s in symbols if _is_end(s)]
        others = [s for s in symbols if not _is_end(s)]
        if ends and (style in ("empty", "ends") or not others):
            # Long runs, mostly: there are many blocks, and fields take time.
            ends.sort()
            return self.rng.choice([ends[-1], *ends[-5:]] if self.rng.random() < 0.8 else ends)
        if style == "empty":
            return max(others, key=lambda symbol: symbol >> 4)
        wanted = others
        if style == "uniform":
            wanted = [*others, *ends]
        elif style == "full":
            wanted = [s for s in others if s >> 4 <= 1]
        elif style == "runs":
            wanted = [s for s in others if s >> 4 >= 8]
        elif style == "large":
            wanted = [s for s in others if s & 15 >= self._max_size - 1]
        return self.rng.choice(wanted or symbols)

    def _write_run(self, n: int, style: str) -> int:
        """EOBn: 2^n to 2^(n+1)-1 blocks, in this interval (G.1.2.2)."""
        if n == 0:
            return 1
        rng, walk = self.rng, self.walk
        least = 1 << n
        if _EOB0 in self._table:
            most = min(2 * least - 1, self.mcus_left)
            run = rng.choice((least, most, rng.randint(least, most)))
            if style == "empty":
                run = most
        else:
            run = least + rng.choice(walk.legal_values("EOB bits"))
        walk.put("EOB bits", run - least)
        return run


class _FirstBandWriter(_BandWriter):
    """G.1.2.2."""

    def _write_block(self, j: int, y: int, x: int) -> None:
        if self._run > 0:
            self._run -= 1
            return
        rng = self.rng
        block = self.planes[j][y, x]
        style = self._style if rng.random() < self._share_of_styled else "empty"
        k = self.scan.ss
        while k <= self.scan.se:
            symbol = self._write_symbol(self.scan.se + 1 - k, style)
            run, size = symbol >> 4, symbol & 15
            if _is_end(symbol):
                self._run -= 1
                return
            if size == 0:
                k += 16
                continue
            k += run
            bits = rng.choice((0, (1 << size) - 1, rng.randrange(1 << size)))
            self.walk.put("AC bits", bits)
            value = bits if bits >> (size - 1) else bits - (1 << size) + 1
            block[k] = value * (1 << self.scan.al)
            k += 1


class _BandRefinementWriter(_BandWriter):
    """G.1.2.3: runs count coefficients that were 0; the others take a correction bit in passing."""

    def _write_block(self, j: int, y: int, x: int) -> None:
        block = self.planes[j][y, x]
        ss, se = self.scan.ss, self.scan.se
        was_zero = block[: se + 1] == 0
        k = ss
        if self._run == 0:
            style = self._style if self.rng.random() < self._share_of_styled else "empty"
            while k <= se and self._run == 0:
                symbol = self._write_symbol(int(was_zero[k:].sum()), style)
                if _is_end(symbol):
                    break
                k = self._write_run_of_zeros(block, was_zero, k, symbol)
        if self._run > 0:
            for known in np.flatnonzero(~was_zero[k:]).tolist():
                self._correct(block, k + known)
            self._run -= 1

    def _write_run_of_zeros(
        self, block: NDArray[np.int16], was_zero: NDArray[np.bool_], k: int, symbol: int
    ) -> int:
        """The sign of a symbol's coefficient and what is passed on the way to it; the next k."""
        sign = 0
        if symbol != _ZRL:
            bit = self.rng.randrange(2)
            self.walk.put("AC bits", bit)
            sign = 1 if bit else -1
        zeros_to_pass = symbol >> 4
        while not was_zero[k] or zeros_to_pass > 0:
            if was_zero[k]:
                zeros_to_pass -= 1
            else:
                self._correct(block, k)
            k += 1
        # Of a ZRL this is the sixteenth zero.
        block[k] = sign * (1 << self.scan.al)
        return k + 1

    def _correct(self, block: NDArray[np.int16], k: int) -> None:
        bit = self.rng.randrange(2)
        self.walk.put("correction bit", bit)
        block[k] += (bit << self.scan.al) * (1 if block[k] > 0 else -1)


_WRITERS: dict[str, type[ScanWriter]] = {
    "DC first": _FirstDcWriter,
    "DC refinement": _DcRefinementWriter,
    "AC first": _FirstBandWriter,
    "AC refinement": _BandRefinementWriter,
}
