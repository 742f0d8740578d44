"""Progressive scans of tiny pictures against an exhaustive search (scan_model.py).

An accepted prefix goes on to a valid file, and nothing legal is refused: both at once.
"""

import random
from dataclasses import dataclass

import pytest
from cursor_walks import members

from pycodec_lm import _core
from pycodec_lm.bench.field_tables import AC, DC, TableDesign, with_random_code
from pycodec_lm.grammar import JpegGrammar

from .scan_model import BandModel, DcModel, ScanModel, canonical_codes

STANDARD = JpegGrammar(portable=False)
_RICH = TableDesign(AC, (0, 1, 2, *[0] * 13), bytes((0x00, 0x01, 0xF0)))
_MAX_PREFIXES = 12  # of two bytes and more that are looked at, a block


@dataclass
class Case:
    """A scan of a gray picture, and what was coded before it."""

    wide: int  # blocks
    high: int
    interval: int  # Ri
    table: TableDesign
    ss: int
    se: int
    ah: int
    al: int
    known: list[set[int]]  # coefficients that are not 0 before a refinement

    @property
    def n_blocks(self) -> int:
        return self.wide * self.high


def _segment(marker: int, payload: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(payload) + 2).to_bytes(2, "big") + payload


def _table_segment(table: TableDesign) -> bytes:
    return _segment(0xC4, bytes((table.table_class << 4, *table.bits)) + table.values)


def _packed(bits: str) -> bytes:
    """Padded and stuffed."""
    bits += "1" * (-len(bits) % 8)
    data = bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))
    return data.replace(b"\xff", b"\xff\x00")


def _scan_header(ss: int, se: int, ah: int, al: int) -> bytes:
    return _segment(0xDA, bytes((1, 1, 0x00, ss, se, ah << 4 | al)))


def _first_scan_of_band(case: Case) -> bytes:
    """Codes 1 << Ah for each known coefficient."""
    codes = {symbol: code for code, symbol in canonical_codes(_RICH.bits, _RICH.values).items()}
    bits = ""
    for known in case.known:
        # Runs without a symbol of their own: not needed, since known ones come without gaps
        # before them or after 16 zeros.
        k = 1
        for place in sorted(known):
            while place > k:
                assert place - k >= 16
                bits += codes[0xF0]
                k += 16
            bits += codes[0x01] + "1"
            k += 1
        if k <= 63:
            bits += codes[0x00]
    return _table_segment(_RICH) + _scan_header(1, 63, 0, case.ah) + _packed(bits)


def _before_scan(case: Case) -> bytes:
    size = (8 * case.high).to_bytes(2, "big") + (8 * case.wide).to_bytes(2, "big")
    data = b"\xff\xd8" + _segment(0xDB, bytes((0, *[1] * 64)))
    data += _segment(0xC2, bytes((8,)) + size + bytes((1, 1, 0x11, 0)))
    if case.ss > 0:
        dc = TableDesign(DC, (1, *[0] * 15), bytes((0,)))
        data += _table_segment(dc) + _scan_header(0, 0, 0, 0) + _packed("0" * case.n_blocks)
    if case.ah > 0:
        data += _first_scan_of_band(case)
    return data + _segment(0xDD, case.interval.to_bytes(2, "big")) + _table_segment(case.table)


def _model(case: Case) -> ScanModel:
    codes = canonical_codes(case.table.bits, case.table.values)
    if case.ss == 0:
        contents = DcModel(codes, -1024 >> case.al, 1023 >> case.al)
    elif case.ah > 0:
        contents = BandModel(codes, case.ss, case.se, 1, case.known)
    else:
        contents = BandModel(codes, case.ss, case.se, max(0, 10 - case.al), None)
    return ScanModel(contents, case.n_blocks, case.interval)


def _agree(case: Case, rng: random.Random) -> bool:
    """Compares the engine with the search; whether the scan can be coded."""
    model = _model(case)
    cursor = _core.JpegCursor(STANDARD)
    status = cursor.push(_before_scan(case))
    assert status, status.message
    status = cursor.push(_scan_header(case.ss, case.se, case.ah, case.al))
    assert bool(status) == model.is_codable, status.message
    if not model.is_codable:
        return False
    ahead = [(cursor, model.first_place, b"")]
    n_looked_at = 0
    while ahead:
        cursor, place, data = ahead.pop()
        expected = model.next_places(place)
        assert members(cursor.allowed()) == sorted(expected), (case, data.hex())
        n_looked_at += 1
        places = [(byte, after) for byte, after in expected.items() if after is not None]
        # All that one byte leads to, then ways chosen at random to the end of the scan.
        if data:
            places = rng.sample(places, min(len(places), 1))
        if n_looked_at > 256 + _MAX_PREFIXES * case.n_blocks:
            continue
        for byte, after in places:
            fork = cursor.copy()
            assert fork.push(bytes((byte,)))
            ahead.append((fork, after, data + bytes((byte,))))
        if not data:
            rng.shuffle(ahead)
    return True


def _random_case(rng: random.Random, kind: str) -> Case:
    wide, high = rng.choice(((1, 1), (2, 1), (3, 1), (1, 3), (2, 2), (3, 2), (3, 3)))
    n_blocks = wide * high
    interval = rng.choice((0, 0, 1, 2, 3, 4))
    if kind == "DC first":
        symbols = rng.sample((0, 1, 2, 3, 10, 11, 12, 13), rng.randint(1, 4))
        table = with_random_code(rng, DC, symbols)
        return Case(wide, high, interval, table, 0, 0, 0, rng.choice((0, 1, 2, 9, 10, 11, 13)), [])
    sizes = (1,) if kind == "AC refinement" or rng.random() < 0.5 else (1, 2, 3)
    coefficients = [run << 4 | size for run in (0, 0, 1, 2, 3, 5, 15) for size in sizes]
    ends = rng.choice(
        ([], [0x00], [0x00, 0x10], [0x10], [0x20], [0x10, 0x20], [0x30], [0x00, 0x20])
    )
    symbols = rng.sample(coefficients, rng.randint(0 if ends else 1, 4)) + ends
    if rng.random() < 0.4:
        symbols.append(0xF0)
    if rng.random() < 0.2:
        symbols.append(rng.choice((0xE0, 0x0F, 0x22, symbols[0])))
    rng.shuffle(symbols)
    table = with_random_code(rng, AC, symbols)
    ss = rng.choice((1, 1, 1, 2, 5, 40))
    se = min(63, ss + rng.choice((0, 0, 1, 2, 3, 5, 16, 17, 20, 33)))
    if kind == "AC first":
        return Case(wide, high, interval, table, ss, se, 0, rng.choice((0, 1, 9, 10, 13)), [])
    known = [_random_known(rng) for _ in range(n_blocks)]
    return Case(wide, high, interval, table, ss, se, 1, 0, known)


def _random_known(rng: random.Random) -> set[int]:
    """None, some from 1 on, or some after 16 zeros."""
    n = rng.choice((0, 0, 1, 2, 3, 4, 6, 20))
    first = rng.choice((1, 1, 17, 33))
    return {*range(first, min(first + n, 64))}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", ["DC first", "AC first", "AC refinement"])
def test_scans_are_what_a_search_finds(kind: str, seed: int) -> None:
    rng = random.Random(f"{kind} {seed}")
    codable = [_agree(_random_case(rng, kind), rng) for _ in range(12)]
    assert {*codable} == {False, True}
