"""The vectors of tests/vectors/h264: each rule of H.264 with streams that keep it and streams that
break only it."""

import itertools
import re
from pathlib import Path

import pytest
from vectors.avc_assemble import ALIGNMENT, START_CODE, TRAILING, Unit
from vectors.avc_elements import Piece
from vectors.avc_vectors import AvcVector, all_avc_vectors

import pycodec_lm as pcl
from pycodec_lm import _core
from pycodec_lm.avc_grammar import AvcGrammar
from pycodec_lm.bench.avc_tables import CHROMA_DC_TABLE, COEFF_TOKENS

ROOT = Path(__file__).parents[3]
VECTORS = all_avc_vectors()
KEPT = [vector for vector in VECTORS if vector.expected is None]
BROKEN = [vector for vector in VECTORS if vector.expected is not None]
STANDARD = AvcGrammar(portable=False)
# Vectors spell slice data by CAVLC; test_cabac.py has these.
CABAC_CODES = {"cabac_start", "end_of_slice", "bin_count"}

# The writer writes these when they are due.
AUTOMATIC = {START_CODE, TRAILING, ALIGNMENT}


def _parameters(vectors: list[AvcVector]) -> list[object]:
    return [pytest.param(vector, id=f"{vector.source}: {vector.name}") for vector in vectors]


@pytest.mark.parametrize("vector", _parameters(KEPT))
def test_what_keeps_the_rules_is_accepted(vector: AvcVector) -> None:
    verdict = pcl.check(vector.data)
    assert verdict.valid, verdict.message
    assert verdict.notes == (f"{vector.n_pictures} pictures",)
    for size in (1, 7):
        cursor = _core.AvcCursor(STANDARD)
        for at in range(0, len(vector.data), size):
            status = cursor.push(vector.data[at : at + size])
            assert status, status.message
        assert cursor.is_complete()


@pytest.mark.parametrize("vector", _parameters(BROKEN))
def test_what_breaks_a_rule_is_named(vector: AvcVector) -> None:
    expected = vector.expected
    assert expected is not None
    wanted = (expected.code, expected.element, expected.byte, expected.bit)
    status, _ = _core.check_h264(vector.data)
    assert (status.code, status.element, status.offset, status.bit) == wanted, status.message
    for size in (1, 7):
        cursor = _core.AvcCursor(STANDARD)
        for at in range(0, len(vector.data), size):
            status = cursor.push(vector.data[at : at + size])
            if not status:
                break
        if expected.code == "truncated":
            assert status and not cursor.is_complete() and cursor.offset == expected.byte
        else:
            assert (status.code, status.element, status.offset, status.bit) == wanted
            family = "unsupported" if expected.code.endswith("unsupported") else "corrupt"
            assert status.family == family


@pytest.mark.parametrize("vector", _parameters(BROKEN))
def test_the_byte_named_is_the_first_that_no_stream_goes_on_with(vector: AvcVector) -> None:
    at = vector.expected.byte
    cursor = _core.AvcCursor(STANDARD)
    assert cursor.push(vector.data[:at])
    if at < len(vector.data):
        byte = vector.data[at]
        assert not cursor.allowed()[byte >> 3] >> (byte & 7) & 1
    cursor.push(cursor.complete())
    assert cursor.is_complete()


def _is_for_the_writer(vector: AvcVector) -> bool:
    """It writes no bytes as they are, and no trailing zeros."""
    return all(unit.name != "RAW" for unit in vector.units)


@pytest.mark.parametrize("vector", _parameters([v for v in KEPT if _is_for_the_writer(v)]))
def test_the_writer_spells_as_the_vectors_do(vector: AvcVector) -> None:
    writer = _core.AvcWriter(STANDARD)
    for unit in vector.units:
        for piece in unit.pieces:
            _write(writer, piece)
        _end(writer)
    assert writer.to_bytes() == vector.data
    assert writer.is_complete() and writer.n_pictures == vector.n_pictures


@pytest.mark.parametrize(
    "vector", _parameters([v for v in BROKEN if v.legal and _is_for_the_writer(v)])
)
def test_what_a_vector_calls_legal_is_what_the_engine_does(vector: AvcVector) -> None:
    assert vector.at is not None and vector.expected is not None
    writer = _core.AvcWriter(STANDARD)
    _write_up_to(vector.units, vector.at, writer)
    if vector.at.element != START_CODE:
        assert writer.field()[0] == vector.expected.element
        _check_legal(writer, vector.legal)


def _check_legal(writer: _core.AvcWriter, legal: tuple[tuple[int, int], ...]) -> None:
    least, most = -(2**31) - 1, 2**32
    assert writer.lowest_legal(least, most) == legal[0][0]
    assert writer.highest_legal(least, most) == legal[-1][1]
    for (_, low), (high, _) in itertools.pairwise(legal):
        assert not writer.any_legal(low + 1, high - 1)
    for low, high in legal:
        n_steps = min(high - low, 50)
        for i in range(n_steps + 1):
            value = low + (high - low) * i // max(n_steps, 1)
            assert writer.any_legal(value, value)


def _write_up_to(units: tuple[Unit, ...], end: Piece, writer: _core.AvcWriter) -> None:
    for unit in units:
        for piece in unit.pieces:
            if piece is end:
                return
            _write(writer, piece)
        _end(writer)


def _write(writer: _core.AvcWriter, piece: Piece) -> None:
    if piece.element == START_CODE:
        assert writer.write_start_code(piece.value)
    elif piece.element not in AUTOMATIC:
        assert writer.field()[0] == piece.element
        status = writer.write(_value(writer, piece))
        assert status, status.message


def _end(writer: _core.AvcWriter) -> None:
    if not writer.is_between_units():
        assert writer.may_end_unit()
        writer.end_unit()


def _value(writer: _core.AvcWriter, piece: Piece) -> int:
    """What the writer takes for bits: codes of tables are known by their rows."""
    if piece.value is not None:
        return piece.value
    _, spelling, table = writer.field()
    return CODES[piece.element, table].index(piece.bits) if spelling == "code" else _u(piece.bits)


def _u(bits: str) -> int:
    return int(bits, 2)


def _columns(text: str, name: str) -> list[list[str]]:
    """The columns of codes of a table of csrc/h264/residual_tables.hpp."""
    body = re.search(name + r"\{\{(.*?)\}\};", text, re.DOTALL)
    rows = [re.findall(r'"([^"]*)"', line) for line in body[1].splitlines() if '"' in line]
    return [[code.replace(" ", "") for code in column] for column in zip(*rows, strict=True)]


def _codes() -> dict[tuple[str, int], list[str]]:
    text = (ROOT / "csrc" / "h264" / "residual_tables.hpp").read_text()
    codes = {("coeff_token", i): column for i, column in enumerate(_columns(text, "kTable9_5"))}
    zeros = _columns(text, "kTable9_7") + _columns(text, "kTable9_8")
    codes |= {("total_zeros", i): column for i, column in enumerate(zeros, start=1)}
    dc = _columns(text, "kTable9_9")
    codes |= {("total_zeros", 16 + i): column for i, column in enumerate(dc, start=1)}
    runs = enumerate(_columns(text, "kTable9_10"), start=1)
    return codes | {("run_before", i): column for i, column in runs}


CODES = _codes()


def test_the_tables_of_codes_are_read_whole() -> None:
    assert len(CODES["coeff_token", CHROMA_DC_TABLE]) == len(COEFF_TOKENS)
    assert len(CODES) == 5 + 15 + 3 + 7


def test_each_vector_breaks_something_of_its_own() -> None:
    seen: dict[tuple, str] = {}
    for vector in BROKEN:
        e = vector.expected
        key = (vector.rule.says, e.code, e.element, vector.place, vector.data)
        assert key not in seen, f"{vector.name} breaks what {seen[key]} breaks"
        seen[key] = vector.name


def test_there_are_enough_vectors() -> None:
    assert len(BROKEN) >= 240
    assert len(KEPT) >= 120
    assert len({vector.data for vector in VECTORS}) == len(VECTORS)


def test_every_code_has_a_vector() -> None:
    rows = (ROOT / "csrc" / "grammar" / "status_h264.cpp").read_text()
    codes = set(re.findall(r"\{Code::\w+,\s*\{k[A-Z]\w+, \"(\w+)\"", rows))
    assert len(codes) > 40
    assert {vector.expected.code for vector in BROKEN} == codes - CABAC_CODES
