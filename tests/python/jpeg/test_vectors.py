"""The vectors of tests/vectors/jpeg: each rule of T.81 with files that keep it and files that break
only it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from vectors.assemble import AC_CODE, DC_CODE, PADDING, PREFIX, STUFFING
from vectors.vectors import Vector, all_vectors

import pycodec_lm as pcl
from pycodec_lm import _core
from pycodec_lm.grammar import JpegGrammar

ROOT = Path(__file__).parents[3]
VECTORS = all_vectors()
KEPT = [vector for vector in VECTORS if vector.expected is None]
BROKEN = [vector for vector in VECTORS if vector.expected is not None]

# The writer writes these when they are due, and nobody asks it what is legal.
AUTOMATIC = {"SOI", PREFIX, PADDING, STUFFING}
# Codes that check cannot give.
UNREACHABLE = {
    "ok": "no error",
    "not_in_grammar": "check has no grammar narrower than the standard",
    "after_end": "check stops at EOI",
    "too_large": "a limit of those who decode",
}


def _parameters(vectors: list[Vector]) -> list[object]:
    return [pytest.param(vector, id=f"{vector.source}: {vector.name}") for vector in vectors]


def _has_open_height(vector: Vector) -> bool:
    """The writer is given values, and none of a scan says that it ends before DNL (B.2.5)."""
    at = vector.at[1] if vector.at else None
    pieces = [piece for part in vector.parts for piece in part.pieces]
    return any(p.element == "Y" and p.value == 0 and p is not at for p in pieces)


def _cursor(vector: Vector) -> _core.JpegCursor:
    return _core.JpegCursor(JpegGrammar(portable=False, **vector.options))


def _writer(vector: Vector) -> _core.JpegWriter:
    return _core.JpegWriter(JpegGrammar(portable=False, **vector.options))


@pytest.mark.parametrize("vector", _parameters(KEPT))
def test_what_keeps_the_rules_is_accepted(vector: Vector) -> None:
    verdict = pcl.check(vector.data, **vector.options)
    assert verdict.valid, verdict.message
    fast = _core.check_jpeg(vector.data, **vector.options)
    assert fast == _core.check_jpeg(vector.data, by_push=True, **vector.options)
    end = fast[1]
    for size in (1, 7):
        cursor = _cursor(vector)
        for at in range(0, end, size):
            status = cursor.push(vector.data[at : min(at + size, end)])
            assert status, status.message
        assert cursor.is_complete()


def _is_left_to_the_writer(vector: Vector) -> bool:
    """It writes SOI by itself, without fill bytes before it."""
    return vector.data.startswith(b"\xff\xff")


@pytest.mark.parametrize(
    "vector",
    _parameters([v for v in KEPT if not _has_open_height(v) and not _is_left_to_the_writer(v)]),
)
def test_the_writer_spells_as_the_vectors_do(vector: Vector) -> None:
    writer = _writer(vector)
    for part in vector.parts:
        for piece in part.pieces:
            if piece.element in AUTOMATIC or writer.is_complete():
                continue
            assert writer.field()[0] == piece.element
            status = writer.write(piece.value)
            assert status, status.message
    assert writer.is_complete()
    data = writer.to_bytes()
    assert data == vector.data[: len(data)]


@pytest.mark.parametrize("vector", _parameters(BROKEN))
def test_what_breaks_a_rule_is_named(vector: Vector) -> None:
    expected = vector.expected
    assert expected is not None
    wanted = (expected.code, expected.element, expected.byte, expected.bit)
    for by_push in (False, True):
        status, _, _ = _core.check_jpeg(vector.data, by_push=by_push, **vector.options)
        said = (status.code, status.element, status.offset, status.bit)
        assert said == wanted, status.message
    for size in (1, 7):
        cursor = _cursor(vector)
        status = cursor.push(b"")
        for at in range(0, len(vector.data), size):
            status = cursor.push(vector.data[at : at + size])
            if not status:
                break
        if expected.code == "truncated":
            assert status and not cursor.is_complete() and cursor.offset == expected.byte
        else:
            assert (status.code, status.element, status.offset, status.bit) == wanted


@pytest.mark.parametrize(
    "vector",
    _parameters(
        [
            v
            for v in BROKEN
            if v.at and v.expected.element not in AUTOMATIC and not _has_open_height(v)
        ]
    ),
)
def test_what_a_vector_calls_legal_is_what_the_engine_does(vector: Vector) -> None:
    assert vector.at is not None and vector.expected is not None
    writer = _writer(vector)
    for piece in _pieces_before_the_break(vector):
        if piece.element not in AUTOMATIC:
            assert writer.field()[0] == piece.element
            status = writer.write(piece.value)
            assert status, status.message
    assert writer.field()[0] == vector.expected.element
    assert set(writer.legal_values()) == _legal_values(vector)


def _pieces_before_the_break(vector: Vector) -> Iterator:
    for part in vector.parts:
        for piece in part.pieces:
            if piece is vector.at[1]:
                return
            yield piece


def _legal_values(vector: Vector) -> set[int]:
    if vector.expected.element in (DC_CODE, AC_CODE):
        symbols = {code: symbol for symbol, code in vector.at[1].codes.items()}
        return {symbols[code] for code in vector.legal}
    ends = [legal.split("..") for legal in vector.legal]
    return {v for low, *_, high in [(*e, e[-1]) for e in ends] for v in _range(low, high)}


def _range(low: str, high: str) -> range:
    return range(int(low, 2), int(high, 2) + 1)


def test_each_vector_breaks_something_of_its_own() -> None:
    seen: dict[tuple, str] = {}
    for vector in BROKEN:
        e = vector.expected
        key = (vector.rule.says, e.code, e.element, vector.place, vector.after, e.bit)
        assert key not in seen, f"{vector.name} breaks what {seen[key]} breaks"
        seen[key] = vector.name


def test_there_are_enough_vectors() -> None:
    assert len(BROKEN) >= 120
    assert len(KEPT) >= 60
    assert len({(v.data, v.abbreviated, v.tables) for v in VECTORS}) == len(VECTORS)


def test_every_code_has_a_vector() -> None:
    rows = (ROOT / "csrc" / "grammar" / "status.cpp").read_text()
    codes = re.findall(r"\{Code::\w+,\s*\{k[A-Z]\w+, \"(\w+)\"", rows)
    assert len(codes) > 50
    assert set(UNREACHABLE) <= set(codes)
    produced = {vector.expected.code for vector in BROKEN}
    assert set(codes) - set(UNREACHABLE) - produced == set()
    assert set(UNREACHABLE) & produced == set()


@pytest.mark.parametrize("vector", _parameters(BROKEN))
def test_what_is_noted_is_what_strict_refuses(vector: Vector) -> None:
    strict, _, _ = _core.check_jpeg(vector.data, **vector.options)
    lenient, _, _, notes = _core.check_jpeg_leniently(vector.data, **vector.options)
    if notes:
        assert notes[0][0] == strict
    else:
        assert lenient == strict
