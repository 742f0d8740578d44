"""The vectors of tests/vectors/h264: each rule of ITU-T H.264 with streams that keep and break it.

A vector is a whole `file`, or a `base` (another vector) with edits:

    with: {UNIT: {ELEMENT: VALUE}}   other values for some elements; null: the default
    replace: {UNIT: BODY}            another body for the unit
    delete: [UNIT]
    before, after: {UNIT: [UNITS]}   more units beside it
    add: [UNITS]                     more units at the end
    cut: PLACE                       the stream ends before the byte in which this begins

all of it spelled anew (avc_assemble.py). A UNIT is a name and which of that name it is ("SPS 2";
the first needs no number), a PLACE is a unit and an element ("IDR/mb_type 2"). A vector that breaks
its rule says

    at: PLACE        where it breaks
    element: NAME    the element that is due there, if it is not the one the stream means
    legal: VALUES    what may stand there: "0..3, 5"
    bit: NUMBER      in the place of `legal`, where a table says it: bits of the place that are good

Byte and bit are worked out: the first bit at which no legal value is left. `pictures` is how many
there are in a stream that keeps its rule; otherwise 2.
"""

from __future__ import annotations

import copy
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .avc_assemble import AvcSpeller, Unit, assemble
from .avc_elements import Piece, code_num_of
from .rules import Expected, Row, Rule, find_item, lineage, make_all, name_of, place_of, read_rows

FOLDER = Path(__file__).with_name("h264")

_EDITS = ("with", "replace", "delete", "before", "after", "add")
_KEYS = {"name", "file", "base", "cut", "at", "element", "legal", "bit", "pictures", *_EDITS}
_MOST_ZEROS = 32  # of ue(v) and se(v)

Range = tuple[int, int]


@dataclass(frozen=True)
class AvcVector:
    """One stream, its rule, and what check must say: `expected` is None where it keeps the rule."""

    name: str
    rule: Rule
    source: str  # the file of vectors
    data: bytes
    units: tuple[Unit, ...]
    expected: Expected | None
    place: str  # where it breaks, as the vector says
    at: Piece | None
    legal: tuple[Range, ...]  # empty where `bit` was given
    n_pictures: int


@functools.cache
def all_avc_vectors() -> tuple[AvcVector, ...]:
    """Every vector, in the order of the standard.

    Raises:
        ValueError: a vector says what cannot be; the message names it.
    """
    rows = read_rows(FOLDER, _KEYS)
    return tuple(make_all(rows, functools.partial(_vector, rows)))


def _vector(rows: dict[str, Row], name: str) -> AvcVector:
    rule, source, says, is_broken = rows[name]
    units = AvcSpeller().spell(_items(rows, name))
    made = assemble(units)
    data, expected, piece, legal, place = made.data, None, None, (), ""
    if "cut" in says:
        place = says["cut"]
        end = made.places[id(_find_piece(units, place))][0] // 8
        data, expected = data[:end], Expected("truncated", says["element"], end, 0)
    elif is_broken:
        place = says["at"]
        piece = _find_piece(units, place)
        legal = () if "bit" in says else _ranges(str(says["legal"]))
        good = says["bit"] if "bit" in says else _n_good_bits(piece, legal)
        at = made.places[id(piece)][good]
        expected = Expected(rule.code, says.get("element", piece.element), at // 8, at % 8)
    n_pictures = says.get("pictures", 2)
    return AvcVector(
        name, rule, source, data, tuple(units), expected, place, piece, legal, n_pictures
    )


def _items(rows: dict[str, Row], name: str) -> list[Any]:
    first, *edits = lineage(rows, name)
    items = copy.deepcopy(first["file"])
    for says in edits:
        _edit(items, says)
    return items


def _edit(items: list[Any], says: dict[str, Any]) -> None:
    """Units are found as they were before the edit."""
    found = {
        unit: items[find_item(items, unit)]
        for edit in ("with", "replace", "delete", "before", "after")
        for unit in says.get(edit, [])
    }

    def index(unit: str) -> int:
        return next(i for i, item in enumerate(items) if item is found[unit])

    for unit in found:  # strings of one name may be one object
        at = find_item(items, unit)
        items[at] = found[unit] = {name_of(items[at]): copy.deepcopy(_body_of(items[at]))}
    for unit, values in says.get("with", {}).items():
        body = _body_of(found[unit])
        if not isinstance(body, dict):
            raise ValueError(f"{unit} has no elements")
        body.update(values)
        for element in [name for name, value in values.items() if value is None]:
            del body[element]
    for unit, body in says.get("replace", {}).items():
        found[unit][name_of(found[unit])] = body
    for shift, edit in ((0, "before"), (1, "after")):
        for unit, more in says.get(edit, {}).items():
            at = index(unit) + shift
            items[at:at] = copy.deepcopy(more)
    for unit in says.get("delete", []):
        del items[index(unit)]
    items += copy.deepcopy(says.get("add", []))


def _body_of(item: Any) -> Any:
    return {} if isinstance(item, str) else next(iter(item.values()))


def _find_piece(units: list[Unit], place: str) -> Piece:
    name, n, element, k = place_of(place)
    unit = [unit for unit in units if unit.name == name][n]
    return [piece for piece in unit.pieces if piece.element == element][k]


def _ranges(legal: str) -> tuple[Range, ...]:
    """'0..3, 5' is (0, 3), (5, 5)."""
    pairs = [text.strip().split("..") for text in legal.split(",")]
    return tuple((int(pair[0], 0), int(pair[-1], 0)) for pair in pairs)


def _n_good_bits(piece: Piece, legal: tuple[Range, ...]) -> int:
    """Bits of a piece with which a legal value begins."""
    for n in range(1, len(piece.bits) + 1):
        if not any(_goes_on(piece, piece.bits[:n], low, high) for low, high in legal):
            return n - 1
    raise ValueError(f"{piece.bits} is legal")


def _goes_on(piece: Piece, prefix: str, low: int, high: int) -> bool:
    """Some value of low..high begins with these bits."""
    if piece.spelling in ("u", "te"):
        flip = piece.spelling == "te"
        ends = (1 - high, 1 - low) if flip else (low, high)
        texts = [f"{end:0{len(piece.bits)}b}"[: len(prefix)] for end in ends]
        return texts[0] <= prefix <= texts[1]
    if piece.spelling == "unary":
        n_zeros = len(prefix) - len(prefix.lstrip("0"))
        return low <= n_zeros <= high if "1" in prefix else n_zeros <= high
    first, last = _code_nums(prefix)
    if piece.spelling == "ue":
        return low <= last and first <= high
    # se(v): positive values have the odd numbers.
    odd = (code_num_of(max(low, 1)), code_num_of(high)) if high > 0 else None
    even = (code_num_of(min(high, 0)), code_num_of(low)) if low <= 0 else None
    return any(
        ends is not None and _any_of_parity(max(first, ends[0]), min(last, ends[1]), parity)
        for ends, parity in ((odd, 1), (even, 0))
    )


def _any_of_parity(low: int, high: int, parity: int) -> bool:
    return low + (low % 2 != parity) <= high


def _code_nums(prefix: str) -> Range:
    """Of all codes of 9.1 that begin so."""
    n_zeros = len(prefix) - len(prefix.lstrip("0"))
    if n_zeros == len(prefix):
        return (1 << n_zeros) - 1, (1 << _MOST_ZEROS) - 2 if n_zeros < _MOST_ZEROS else 0
    n_left = 2 * n_zeros + 1 - len(prefix)
    first = (int(prefix, 2) << n_left) - 1
    return first, first + (1 << n_left) - 1
