"""The vectors of tests/vectors/jpeg: each rule of ITU-T T.81 with files that keep and break it.

A vector is a whole `file`, or a `base` (another vector) with edits.
First, and what follows is spelled anew:

    replace: {PART: BODY}        another body for the part
    before, after: {PART: ITEMS} more parts beside it

then, and all other bits stay as they are:

    delete: [PART]     move: {PART: PART}   the first comes to stand before the second
    set: {PLACE: VALUE}                     another number or symbol for one element
    cut: PLACE                              the file ends before the byte in which this begins

A PART is a name of assemble.py and which of that name it is ("DHT 2"; the first needs no number), a
PLACE is a part and an element ("SOF0/Hi 2"; "ECS/stuffing 1" is what stands for the first stuffed
00, in hexadecimal). A vector that breaks its rule says

    at: PLACE          where it breaks; left out, what was set or the end of what was cut
    element: NAME      the element that is due there, if it is not the one the file means
    legal: VALUES      what may stand there: "1..4", symbols, differences, or names of markers

`abbreviated: true` and `tables: VECTOR` are options of check (B.4, B.5).

Byte and bit are worked out: the first bit at which no legal value is left.
"""

from __future__ import annotations

import copy
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .assemble import (
    AC_CODE,
    DC_BITS,
    DC_CODE,
    MARKER,
    MARKERS,
    PADDING,
    PREFIX,
    STUFFING,
    Assembled,
    Part,
    Piece,
    Speller,
    amplitude,
    assemble,
    symbol_of,
)
from .rules import (
    Expected,
    Rule,
    find_item,
    lineage,
    make_all,
    name_of,
    place_of,
    read_rows,
)

FOLDER = Path(__file__).with_name("jpeg")

_ITEM_EDITS = ("replace", "before", "after")
_PIECE_EDITS = ("delete", "move", "set")
_KEYS = {"name", "file", "base", "cut", "at", "element", "legal", "abbreviated", "tables"}

# T.81 Figure B.2: what a marker may be. Fill bytes may stand before every marker.
_FRAMES = "SOF0 SOF1 SOF2"
_TABLES = "DHT DQT DRI COM fill " + " ".join(f"APP{n}" for n in range(16))
MARKER_SETS = {
    "before the frame header": f"{_TABLES} {_FRAMES}",
    "abbreviated, before the frame header": f"{_TABLES} {_FRAMES} EOI",
    "tables only": _TABLES,
    "before a scan": f"{_TABLES} SOS",
    "after the first scan, before another": f"{_TABLES} SOS DNL",
    "after the first scan, tables only": f"{_TABLES} DNL",
    "between later scans": f"{_TABLES} SOS",
    "after the only scan": "EOI fill DNL",
    "after the last of several scans": "EOI fill",
    "DNL is due": "DNL fill",
} | {f"RST{m} is due": f"RST{m} fill" for m in range(8)}
# Lq (B.2.4.1): 2 and 65 bytes for each table of 8 bits, 129 for each of 16.
WHOLE_TABLES = "room for whole tables"
_TABLE_LENGTHS = {
    2 + n_bytes + 64 * n_wide
    for n_bytes in range(65, 65534, 65)
    for n_wide in range(n_bytes // 65 + 1)
}


@dataclass(frozen=True)
class Vector:
    """One file, its rule, and what check must say: `expected` is None where it keeps the rule."""

    name: str
    rule: Rule
    source: str  # the file of vectors
    data: bytes
    parts: tuple[Part, ...]
    expected: Expected | None
    place: str  # where it breaks, as the vector says
    after: str  # the part before that place
    at: tuple[Part, Piece] | None
    legal: tuple[str, ...]  # spelled in bits, or low and high end of a range: see _legal()
    abbreviated: bool
    tables: bytes | None

    @property
    def options(self) -> dict[str, Any]:
        """What check needs to know beside the bytes."""
        return {"abbreviated": self.abbreviated, "tables": self.tables}


@functools.cache
def all_vectors() -> tuple[Vector, ...]:
    """Every vector, in the order of the standard.

    Raises:
        ValueError: a vector says what cannot be; the message names it.
    """
    reader = _Reader()
    return tuple(make_all(reader.rows, reader.vector))


class _Reader:
    """Vectors by name, spelled when another one or the caller asks for them."""

    def __init__(self) -> None:
        self.rows = read_rows(FOLDER, _KEYS | {*_ITEM_EDITS, *_PIECE_EDITS})

    def items(self, name: str) -> list[Any]:
        """The parts of a vector as YAML gives them."""
        _, _, row, _ = self.rows[name]
        if "file" in row:
            return copy.deepcopy(row["file"])
        items = self.items(row["base"])
        for place, body in row.get("replace", {}).items():
            at = find_item(items, place)
            items[at] = {name_of(items[at]): body}
        for shift, key in ((0, "before"), (1, "after")):
            for place, more in row.get(key, {}).items():
                at = find_item(items, place) + shift
                items[at:at] = more
        return items

    def vector(self, name: str) -> Vector:
        rule, source, row, is_broken = self.rows[name]
        base = self.rows[row["base"]].says if "base" in row else {}
        parts = Speller().spell(self.items(name))
        for edits in lineage(self.rows, name):
            _edit_pieces(parts, edits)
        made = assemble(parts)
        expected, at, legal, place = None, None, (), ""
        if "cut" in row:
            place = row["cut"]
            made, expected = _cut(parts, made, place)
        elif is_broken:
            place = row.get("at") or next(iter(row["set"]))
            expected, at, legal = _expect(parts, made, place, row, rule.code)
        tables = row.get("tables", base.get("tables"))
        return Vector(
            name=name,
            rule=rule,
            source=source,
            data=made.data,
            parts=tuple(parts),
            expected=expected,
            place=place,
            after=_name_before(parts, place),
            at=at,
            legal=legal,
            abbreviated=row.get("abbreviated", base.get("abbreviated", False)),
            tables=self.vector(tables).data if tables else None,
        )


def _find_part(parts: list[Part], place: str) -> int:
    name, n, _, _ = place_of(place)
    return [i for i, part in enumerate(parts) if part.name == name][n]


def _find_piece(parts: list[Part], place: str) -> tuple[Part, Piece]:
    """Without an element, the marker of the part, or its first piece."""
    _, _, element, k = place_of(place)
    part = parts[_find_part(parts, place)]
    if not element:
        markers = [piece for piece in part.pieces if piece.element == MARKER]
        return part, (markers or part.pieces)[0]
    found = [piece for piece in part.pieces if piece.element == element]
    if k >= len(found):
        raise ValueError(f"{place}: there are {len(found)} such elements")
    return part, found[k]


def _name_before(parts: list[Part], place: str) -> str:
    at = _find_part(parts, place) if place else 0
    names = [part.name for part in parts[:at]]
    return f"{names[-1]} {names.count(names[-1])}" if names else ""


def _edit_pieces(parts: list[Part], row: dict[str, Any]) -> None:
    for place in row.get("delete", []):
        del parts[_find_part(parts, place)]
    for place, target in row.get("move", {}).items():
        part = parts.pop(_find_part(parts, place))
        parts.insert(_find_part(parts, target), part)
    for place, value in row.get("set", {}).items():
        _, _, element, k = place_of(place)
        if element == STUFFING:
            parts[_find_part(parts, place)].stuffing[k + 1] = bytes.fromhex(str(value))
            continue
        _, piece = _find_piece(parts, place)
        assert piece.bits is not None
        if piece.codes is not None:
            piece.bits = piece.codes[symbol_of(value)]
        elif isinstance(value, str) and value in MARKERS:
            piece.bits = f"{MARKERS[value]:08b}"
        else:
            piece.bits = f"{value:0{len(piece.bits)}b}"


def _cut(parts: list[Part], made: Assembled, place: str) -> tuple[Assembled, Expected]:
    """The element is the one that the first missing bit belongs to."""
    if place_of(place)[2] == STUFFING:
        part = parts[_find_part(parts, place)]
        end = made.stuffed[id(part)][place_of(place)[3]]
        first_bit = 8 * (end + 1)
    else:
        _, piece = _find_piece(parts, place)
        end = made.places[id(piece)][0] // 8
        first_bit = 8 * end
    element = next(
        piece.element
        for part in parts
        for piece in part.pieces
        if first_bit in made.places[id(piece)]
    )
    cut = Assembled(made.data[:end], made.places, made.stuffed)
    return cut, Expected("truncated", element, end, 0)


def _expect(
    parts: list[Part], made: Assembled, place: str, row: dict[str, Any], code: str
) -> tuple[Expected, tuple[Part, Piece] | None, tuple[str, ...]]:
    """The first bit at which no legal value is left."""
    if place_of(place)[2] == STUFFING:
        part = parts[_find_part(parts, place)]
        byte = made.stuffed[id(part)][place_of(place)[3]]
        legal = ("00000000",)
        bit = _first_wrong_bit(f"{made.data[byte]:08b}", legal)
        return Expected(code, STUFFING, byte, bit), None, legal
    part, piece = _find_piece(parts, place)
    element = row.get("element", piece.element)
    assert piece.bits is not None
    if element in (DC_CODE, AC_CODE) and piece.codes is None:  # bits that were meant otherwise
        piece.codes = next(
            earlier.codes
            for earlier in reversed([piece for part in parts for piece in part.pieces])
            if earlier.element == element
        )
    legal = _legal(element, row.get("legal"), piece)
    at = made.places[id(piece)][_first_wrong_bit(piece.bits, legal)]
    return Expected(code, element, at // 8, at % 8), (part, piece), legal


def _legal(element: str, stated: Any, piece: Piece) -> tuple[str, ...]:
    """Legal values in bits; "LOW..HIGH" of two such strings is all between them."""
    bits = piece.bits or ""
    n_bits = len(bits)
    always = {PREFIX: "1" * 8, STUFFING: "0" * 8, PADDING: "1" * n_bits, "SOI": f"{0xFFD8:016b}"}
    if element in always:
        return (always[element],)
    if element in (DC_CODE, AC_CODE):
        assert piece.codes is not None
        if stated is None:
            return tuple(piece.codes.values())
        symbols = stated if isinstance(stated, list) else [stated]
        return tuple(piece.codes[symbol_of(symbol)] for symbol in symbols)
    if stated is None:
        raise ValueError("say what is legal")
    if element == MARKER:
        names = MARKER_SETS.get(stated, stated).split()
        return tuple(f"{MARKERS[name]:08b}" for name in names)
    if stated == WHOLE_TABLES:
        return tuple(f"{length:016b}" for length in _TABLE_LENGTHS if length < 1 << 16)
    ranges = str(stated).split(",")
    pairs = [tuple(int(end, 0) for end in text.split("..")) for text in ranges]
    if element == DC_BITS:
        spelled = [tuple(amplitude(value, n_bits) for value in pair) for pair in pairs]
    else:
        spelled = [tuple(f"{value:0{n_bits}b}" for value in pair) for pair in pairs]
    return tuple("..".join(pair) for pair in spelled)


def _first_wrong_bit(bits: str, legal: tuple[str, ...]) -> int:
    for n in range(1, len(bits) + 1):
        if not any(_goes_on(bits[:n], allowed) for allowed in legal):
            return n - 1
    raise ValueError(f"{bits} is legal")


def _goes_on(prefix: str, allowed: str) -> bool:
    """Some of `allowed` begins with these bits."""
    low, _, high = allowed.partition("..")
    n = len(prefix)
    return low[:n] <= prefix <= (high or low)[:n]
