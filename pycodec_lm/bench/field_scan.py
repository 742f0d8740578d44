"""The entropy-coded data of a field-uniform walk: T.81 A.2 (order of blocks) and F.2.2."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from .structure import RST0, Scan

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .field_walk import FieldWalk

__all__ = ["ScanWriter", "SequentialScanWriter"]

_EOB, _ZRL = 0x00, 0xF0
_BLOCK_SIZE = 64
_HALF_DC_RANGE = {8: 1024, 12: 16384}  # by precision of the samples
# Fields a scan may take, roughly: larger pictures get emptier blocks.
_TARGET_FIELDS = 6000
_BLOCK_STYLES = ("empty", "uniform", "full", "runs", "large", "short")


class ScanWriter:
    """Writes the blocks of one scan through the walk's writer, and keeps their coefficients.

    Args:
        walk: has the writer.
        scan: whose header has been written.
        planes: [high, wide, 64] of its components, which the scan fills or refines.
    """

    def __init__(self, walk: FieldWalk, scan: Scan, planes: Sequence[NDArray[np.int16]]) -> None:
        self.walk = walk
        self.rng = walk.rng
        self.scan = scan
        self.planes = planes
        self.mcus_left = 0  # in the restart interval, with the one that is written
        self._predictors = [0] * len(scan.components)
        self._symbols: dict[tuple[int, int], list[int]] = {}

    def run(self) -> None:
        """Writes the scan."""
        n_mcus = self.scan.n_mcus
        interval = self.scan.restart_interval or n_mcus
        for mcu in range(n_mcus):
            if mcu and mcu % interval == 0:
                self._write_restart(mcu // interval - 1)
                self._predictors = [0] * len(self._predictors)
            self.mcus_left = min(interval - mcu % interval, n_mcus - mcu)
            for j, y, x in self._blocks_of_mcu(mcu):
                self._write_block(j, y, x)

    def _write_block(self, j: int, y: int, x: int) -> None:
        """Block (y, x) of the j-th component of the scan."""
        raise NotImplementedError

    def _blocks_of_mcu(self, mcu: int) -> Iterator[tuple[int, int, int]]:
        """(component of the scan, row, column) of each block, in order (A.2.2, A.2.3)."""
        row, column = divmod(mcu, self.scan.mcus_wide)
        if not self.scan.is_interleaved:
            yield 0, row, column
            return
        for j, component in enumerate(self.scan.components):
            c = self.walk.structure.components[component]
            for y in range(c.v):
                for x in range(c.h):
                    yield j, row * c.v + y, column * c.h + x

    def _write_restart(self, number: int) -> None:
        while self.rng.random() < 0.03:
            self.walk.put("marker", 0xFF)
        self.walk.put("marker", RST0 + number % 8)

    def _legal_symbols(self, j: int, k: int) -> list[int]:
        """The symbols that may stand at coefficient k, where all blocks of a component agree."""
        known = self._symbols.get((j, k))
        if known is None:
            known = self._symbols[j, k] = self.walk.writer.legal_values()
        return known

    def _write_dc(self, j: int) -> int:
        """DC code and bits (F.2.2.1); the coefficient, without its point transform."""
        walk, rng = self.walk, self.rng
        predictor = self._predictors[j]
        symbols = self._legal_symbols(j, 0)
        size = rng.choice(symbols) if rng.random() < 0.7 else symbols[0]
        walk.put("DC code", size)
        if size == 0:
            return predictor
        kind = rng.random()
        half_range = _HALF_DC_RANGE[walk.structure.precision]
        lowest, highest = -half_range >> self.scan.al, (half_range - 1) >> self.scan.al
        values = _legal_dc_values(size, lowest - predictor, highest - predictor)
        if kind < 0.15:
            value = values[0]
        elif kind < 0.3:
            value = values[-1]
        else:
            value = rng.choice(values)
        walk.put("DC bits", _spelled(value, size))
        self._predictors[j] = predictor + value
        return predictor + value


class SequentialScanWriter(ScanWriter):
    """Whole blocks: F.1.2."""

    def __init__(self, walk: FieldWalk, scan: Scan, planes: Sequence[NDArray[np.int16]]) -> None:
        super().__init__(walk, scan, planes)
        self._style = self.rng.choice(_BLOCK_STYLES)
        # A full block has 130 fields, an empty one 3.
        n_blocks = sum(plane.shape[0] * plane.shape[1] for plane in planes)
        self._share_of_styled = min(1.0, _TARGET_FIELDS / (n_blocks * 30))

    def _write_block(self, j: int, y: int, x: int) -> None:
        block = self.planes[j][y, x]
        block[0] = self._write_dc(j)
        self._write_ac(j, block)

    def _write_ac(self, j: int, block: NDArray[np.int16]) -> None:
        """AC codes and bits up to the end of the block (F.2.2.2)."""
        walk, rng = self.walk, self.rng
        style = self._style if rng.random() < self._share_of_styled else "empty"
        k = 1
        while k < _BLOCK_SIZE:
            symbol = self._choose_symbol(style, self._legal_symbols(j, k))
            walk.put("AC code", symbol)
            run, size = symbol >> 4, symbol & 15
            if size == 0:
                k = _BLOCK_SIZE if symbol == _EOB else k + 16
                continue
            k += run
            bits = rng.choice((0, (1 << size) - 1, rng.randrange(1 << size)))
            walk.put("AC bits", bits)
            block[k] = bits if bits >> (size - 1) else bits - (1 << size) + 1
            k += 1

    def _choose_symbol(self, style: str, symbols: list[int]) -> int:
        rng = self.rng
        if style in ("empty", "short"):
            if _EOB in symbols and (style == "empty" or rng.random() < 0.5):
                return _EOB
            if style == "empty":
                return max(symbols, key=lambda symbol: symbol >> 4)
        wanted = symbols
        if style == "full":
            wanted = [s for s in symbols if s not in (_EOB, _ZRL) and s >> 4 <= 1]
        elif style == "runs":
            wanted = [s for s in symbols if s >> 4 >= 8]
        elif style == "large":
            wanted = [s for s in symbols if s & 15 >= 9]
        return rng.choice(wanted or symbols)


def _spelled(value: int, size: int) -> int:
    """The additional bits of a value: F.1.2.1.1."""
    return value if value > 0 else value + (1 << size) - 1


def _legal_dc_values(size: int, lowest: int, highest: int) -> list[int]:
    """Differences of a category that are from `lowest` to `highest`."""
    low, high = 1 << (size - 1), (1 << size) - 1
    return [
        *range(max(-high, lowest), min(-low, highest) + 1),
        *range(max(low, lowest), min(high, highest) + 1),
    ]
