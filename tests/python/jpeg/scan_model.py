"""What may stand in a scan of a small progressive picture of one component, by search.

A second reading of T.81 Annex G that counts nothing in advance: whether a scan can be gone on with
is found by trying every symbol to its end. It knows no formula of the engine.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

ZRL = 0xF0
# ("code", block, k, bits read), ("EOB bits", block, k, n, bits read), ("free", n bits, block, k),
# ("DC bits", block, predictor, size, bits read), ("end",)
State = tuple
# (interval, State, a stuffed 00 is due); ("marker", interval); ("number", interval)
Place = tuple


def canonical_codes(bits: tuple[int, ...], values: bytes) -> dict[str, int]:
    """{code as a bit string: symbol}: T.81 C.2."""
    codes = {}
    code = at = 0
    for length, count in enumerate(bits, 1):
        for _ in range(count):
            codes[f"{code:0{length}b}"] = values[at]
            code, at = code + 1, at + 1
        code <<= 1
    return codes


def is_end(symbol: int) -> bool:
    """EOBn."""
    return symbol & 15 == 0 and symbol != ZRL


def _spellings(n: int, prefix: str) -> range:
    """The numbers of n bits that begin so, in rising order."""
    first = int(prefix or "0", 2) << (n - len(prefix))
    return range(first, first + (1 << (n - len(prefix))))


def _extended(bits: int, size: int) -> int:
    """EXTEND: F.2.2.1, Figure F.12."""
    return bits if bits >> (size - 1) else bits - (1 << size) + 1


class BandModel:
    """A scan of AC coefficients.

    Args:
        codes: of the AC table.
        ss, se: the band.
        max_size: SSSS of a coefficient.
        known: of a refinement, the coefficients of each block that were not 0; None: a first scan.
    """

    def __init__(
        self,
        codes: dict[str, int],
        ss: int,
        se: int,
        max_size: int,
        known: list[set[int]] | None,
    ) -> None:
        self.codes, self.ss, self.se, self.max_size = codes, ss, se, max_size
        self.known = known
        self.can_go_on = cache(self.can_go_on)  # type: ignore[method-assign]

    def start(self, block: int, end: int) -> State | None:
        """An interval of the blocks from one to another; None where it cannot be coded."""
        for earlier in range(end - 1, block - 1, -1):  # from behind: the search stays shallow
            for k in range(self.se, self.ss - 1, -1):
                self.can_go_on(earlier, k, end)
        return ("code", block, self.ss, "") if self.can_go_on(block, self.ss, end) else None

    def can_go_on(self, block: int, k: int, end: int) -> bool:
        """Some symbols lead from here to the end of the interval."""
        if block >= end:
            return block == end
        if k > self.se:
            return self.can_go_on(block + 1, self.ss, end)
        return any(self.is_legal(s, block, k, end) for s in {*self.codes.values()})

    def is_legal(self, symbol: int, block: int, k: int, end: int) -> bool:
        """The standard allows the symbol, and it leads into no dead end."""
        if is_end(symbol):
            return any(self._runs(symbol >> 4, "", block, end))
        after = self._after(symbol, block, k)
        return after is not None and self.can_go_on(block, after, end)

    def _runs(self, n: int, prefix: str, block: int, end: int) -> Iterator[bool]:
        for value in _spellings(n, prefix):
            run = (1 << n) + value
            if block + run > end:
                return
            yield self.can_go_on(block + run, self.ss, end)

    def _after(self, symbol: int, block: int, k: int) -> int | None:
        """The next coefficient; None where the symbol does not fit the band."""
        known = self.known[block] if self.known is not None else set()
        zeros = [i for i in range(k, self.se + 1) if i not in known]
        if symbol == ZRL:
            return zeros[15] + 1 if len(zeros) > 16 else None
        fits = 0 < symbol & 15 <= self.max_size and symbol >> 4 < len(zeros)
        return zeros[symbol >> 4] + 1 if fits else None

    def _n_known(self, block: int, first: int, end: int) -> int:
        return 0 if self.known is None else len(self.known[block] & {*range(first, end)})

    def step(self, state: State, bit: str, end: int) -> State | None:
        """The state after a bit; None where no legal scan has it."""
        if state[0] == "free":
            _, n, block, k = state
            return self._settled(n - 1, block, k, end)
        if state[0] == "EOB bits":
            _, block, k, n, prefix = state
            return self._take_run(block, k, n, prefix + bit, end)
        _, block, k, prefix = state
        prefix += bit
        symbol = self.codes.get(prefix)
        if symbol is None:
            ahead = (s for code, s in self.codes.items() if code.startswith(prefix))
            is_open = any(self.is_legal(s, block, k, end) for s in ahead)
            return ("code", block, k, prefix) if is_open else None
        if not self.is_legal(symbol, block, k, end):
            return None
        if is_end(symbol):
            return self._take_run(block, k, symbol >> 4, "", end)
        after = self._after(symbol, block, k)
        assert after is not None
        return self._settled((symbol & 15) + self._n_known(block, k, after), block, after, end)

    def _take_run(self, block: int, k: int, n: int, bits: str, end: int) -> State | None:
        if not any(self._runs(n, bits, block, end)):
            return None
        if len(bits) < n:
            return ("EOB bits", block, k, n, bits)
        run = (1 << n) + (int(bits, 2) if bits else 0)
        n_free = self._n_known(block, k, self.se + 1)
        n_free += sum(self._n_known(block + i, self.ss, self.se + 1) for i in range(1, run))
        return self._settled(n_free, block + run, self.ss, end)

    def _settled(self, n_free: int, block: int, k: int, end: int) -> State:
        if n_free:
            return ("free", n_free, block, k)
        if k > self.se:
            block, k = block + 1, self.ss
        return ("end",) if block == end else ("code", block, k, "")


class DcModel:
    """A first scan of DC coefficients, from `lowest` to `highest`."""

    def __init__(self, codes: dict[str, int], lowest: int, highest: int) -> None:
        self.codes, self.lowest, self.highest = codes, lowest, highest
        self._is_in_range = cache(self._is_in_range)  # type: ignore[method-assign]

    def start(self, block: int, end: int) -> State | None:
        """As BandModel's."""
        state = ("code", block, 0, "")
        return state if any(self.step(state, bit, end) for bit in "01") else None

    def _is_in_range(self, predictor: int, size: int, prefix: str) -> bool:
        """Some difference whose bits start so keeps the coefficient in its range."""
        values = (_extended(value, size) for value in _spellings(size, prefix))
        return any(self.lowest <= predictor + value <= self.highest for value in values)

    def step(self, state: State, bit: str, end: int) -> State | None:
        """As BandModel's. No state is a dead end: a step back is as large as a step away."""
        if state[0] == "DC bits":
            _, block, predictor, size, prefix = state
            prefix += bit
            if not self._is_in_range(predictor, size, prefix):
                return None
            if len(prefix) < size:
                return ("DC bits", block, predictor, size, prefix)
            value = _extended(int(prefix, 2), size)
            return ("end",) if block + 1 == end else ("code", block + 1, predictor + value, "")
        _, block, predictor, prefix = state
        prefix += bit
        ahead = [size for code, size in self.codes.items() if code.startswith(prefix)]
        if not any(size == 0 or self._is_in_range(predictor, size, "") for size in ahead):
            return None
        if prefix not in self.codes:
            return ("code", block, predictor, prefix)
        if (size := self.codes[prefix]) > 0:
            return ("DC bits", block, predictor, size, "")
        return ("end",) if block + 1 == end else ("code", block + 1, predictor, "")


class ScanModel:
    """Bytes of a scan: padding, stuffing, restart markers (F.1.2.3, B.1.1.5, E.1.4)."""

    def __init__(self, contents: BandModel | DcModel, n_blocks: int, interval: int) -> None:
        step = interval or n_blocks
        self._contents = contents
        self._intervals = [(i, min(i + step, n_blocks)) for i in range(0, n_blocks, step)]
        self._starts = [contents.start(*ends) for ends in self._intervals]
        self.next_places = cache(self.next_places)  # type: ignore[method-assign]

    @property
    def is_codable(self) -> bool:
        """Every interval can be coded."""
        return None not in self._starts

    @property
    def first_place(self) -> Place:
        """After the scan header."""
        return (0, self._starts[0], False)

    def next_places(self, place: Place) -> dict[int, Place | None]:
        """By each byte that may come next, what follows; None where the scan is over."""
        if place[0] == "marker":
            is_last = place[1] + 1 == len(self._intervals)
            return {0xFF: None if is_last else ("number", place[1])}
        if place[0] == "number":
            after = place[1] + 1
            # Fill bytes may stand before the marker (B.1.1.2).
            return {0xD0 + place[1] % 8: (after, self._starts[after], False), 0xFF: place}
        interval, state, is_stuffing_due = place
        if is_stuffing_due:
            is_over = state == ("end",)
            return {0: ("marker", interval) if is_over else (interval, state, False)}
        found: dict[int, Place | None] = {}
        for byte, after_byte in self._spelled(state, "", self._intervals[interval][1]):
            if byte == 0xFF:
                found[byte] = (interval, after_byte, True)
            else:
                is_over = after_byte == ("end",)
                found[byte] = ("marker", interval) if is_over else (interval, after_byte, False)
        return found

    def _spelled(self, state: State, bits: str, end: int) -> Iterator[tuple[int, State]]:
        if state == ("end",):
            yield int(bits.ljust(8, "1"), 2), state
        elif len(bits) == 8:
            yield int(bits, 2), state
        else:
            for bit in "01":
                after = self._contents.step(state, bit, end)
                if after is not None:
                    yield from self._spelled(after, bits + bit, end)
