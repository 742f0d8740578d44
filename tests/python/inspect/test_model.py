"""The trace of a file: against values checked by hand, the cursor, the check, coefficients."""

import re

import numpy as np
import pytest

import pycodec_lm as pcl
from pycodec_lm import _core
from pycodec_lm.bench.field_walk import write_random_file
from pycodec_lm.errors import UsageError
from pycodec_lm.grammar import JpegGrammar
from pycodec_lm.inspect import Scan, inspect_jpeg

from .samples import FILES, HOSTILE, by_hand, damaged, jpeg


def bits_of(scan: Scan) -> int:
    return (
        sum(c.n_bits for c in scan.components)
        + scan.n_padding_bits
        + 8 * scan.n_stuffed_bytes
        + 8 * scan.n_marker_bytes
    )


def test_segments_of_a_file_written_by_hand() -> None:
    found = inspect_jpeg(by_hand())
    assert [(s.name, s.offset, s.n_bytes) for s in found.segments] == [
        ("SOI", 0, 2),
        ("DQT", 2, 69),
        ("SOF0", 71, 13),
        ("DHT", 84, 23),
        ("DHT", 107, 23),
        ("SOS", 130, 10),
        ("EOI", 142, 2),
    ]
    frame = found.segments[2]
    assert [(f.element, f.offset, f.bit, f.n_bits, f.value) for f in frame.fields] == [
        ("Lf", 73, 0, 16, 11),
        ("P", 75, 0, 8, 8),
        ("Y", 76, 0, 16, 8),
        ("X", 78, 0, 16, 16),
        ("Nf", 80, 0, 8, 1),
        ("Ci", 81, 0, 8, 7),
        ("Hi", 82, 0, 4, 1),
        ("Vi", 82, 4, 4, 1),
        ("Tqi", 83, 0, 8, 0),
    ]
    assert frame.fields[2].clause == "T.81 B.2.2"
    assert (found.width, found.height, found.process) == (16, 8, "baseline")
    quantizers = found.segments[1].fields[-1]
    assert (quantizers.element, [*quantizers.values]) == ("Qk", [*range(1, 65)])
    codes = [f for f in found.segments[4].fields if f.element in ("Li", "Vi,j")]
    assert [(f.offset, [*f.values]) for f in codes] == [(112, [1, 1] + [0] * 14), (128, [0, 1])]


def test_scan_of_a_file_written_by_hand() -> None:
    (scan,) = inspect_jpeg(by_hand()).scans
    assert (scan.offset, scan.end, scan.is_whole) == (140, 142, True)
    assert (scan.n_mcus, scan.n_mcus_read, scan.mcus_wide, scan.mcu_size) == (2, 2, 2, (8, 8))
    (c,) = scan.components
    assert (c.c, c.dc_code_bits, c.dc_amplitude_bits) == (7, 3, 3)
    assert (c.ac_code_bits, c.ac_amplitude_bits, scan.n_padding_bits) == (4, 1, 5)
    assert scan.mcu_starts.tolist() == [8 * 140, 8 * 141 + 1]
    assert scan.mcu_bits.tolist() == [[[5, 4]], [[1, 1]]]


def test_restarts_of_a_file_written_by_hand() -> None:
    (scan,) = inspect_jpeg(by_hand(restarts=True)).scans
    assert (scan.n_marker_bytes, scan.n_padding_bits, scan.restart_interval) == (2, 13, 1)
    names = ("marker_byte", "first_byte", "end_bit", "first_mcu")
    assert [[int(row[name]) for name in names] for row in scan.intervals] == [
        [-1, 146, 8 * 147 + 1, 0],
        [148, 150, 8 * 150 + 2, 1],
    ]


def test_symbols_of_a_file_written_by_hand() -> None:
    symbols = inspect_jpeg(by_hand(), symbols=(140, 142)).symbols
    names = [_core.ELEMENTS[row["element"]][0] for row in symbols]
    columns = ("byte", "bit", "n_bits", "value", "mcu", "coefficient")
    rows = [tuple(int(row[name]) for name in columns) for row in symbols]
    assert list(zip(names, rows, strict=True)) == [
        ("DC code", (140, 0, 2, 3, 0, 0)),
        ("DC bits", (140, 2, 3, 5, 0, 0)),
        ("AC code", (140, 5, 2, 1, 0, 1)),
        ("AC bits", (140, 7, 1, 1, 0, 1)),
        ("AC code", (141, 0, 1, 0, 0, 2)),
        ("DC code", (141, 1, 1, 0, 1, 0)),
        ("AC code", (141, 2, 1, 0, 1, 1)),
        ("padding", (141, 3, 5, 31, -1, -1)),
    ]
    assert len(inspect_jpeg(by_hand(), symbols=(141, 142)).symbols) == 4


@pytest.mark.parametrize("name", FILES)
def test_bits_of_a_scan_add_up_to_its_length(name: str) -> None:
    data = FILES[name]
    found = inspect_jpeg(data, symbols=(0, len(data)))
    assert found.verdict.valid
    assert sum(s.n_bytes + s.n_fill_bytes for s in found.segments) + sum(
        scan.n_bytes for scan in found.scans
    ) == len(data) - 4 * (name == "trailing")
    for scan in found.scans:
        assert bits_of(scan) == 8 * scan.n_bytes
        assert scan.mcu_bits.sum() == sum(c.n_bits for c in scan.components)
        assert len(scan.mcu_starts) == scan.n_mcus == scan.n_mcus_read
    assert found.symbols["n_bits"].sum() == sum(8 * scan.n_bytes for scan in found.scans)


@pytest.mark.parametrize("name", FILES)
def test_mcus_begin_where_the_cursor_says(name: str) -> None:
    data = FILES[name]
    (scan,) = inspect_jpeg(data).scans
    cursor = _core.JpegCursor(JpegGrammar(portable=False))
    # For each byte: the MCU that it begins in, and whether that begins with it.
    at_boundary: list[tuple[int, bool] | None] = []
    for i in range(scan.end):
        place = re.search(r"MCU (\d+) of", cursor.describe()) if i >= scan.offset else None
        is_start = "block 0, coefficient 0: DC code" in cursor.describe()
        is_inside = "DC code after bit" in cursor.describe() or not is_start
        at_boundary.append((int(place[1]), not is_inside) if place else None)
        assert cursor.push(data[i : i + 1])
    at_boundary.append(None)
    for mcu, start in enumerate(scan.mcu_starts.tolist()):
        before, after = at_boundary[start // 8], at_boundary[start // 8 + 1]
        assert before is not None
        assert before == (mcu, True) if start % 8 == 0 else before[0] < mcu
        assert after is None or after[0] >= mcu


@pytest.mark.parametrize("seed", range(40))
def test_random_file_is_traced_to_its_end(seed: int) -> None:
    data = write_random_file(seed).data
    found = inspect_jpeg(data, symbols=(0, len(data)))
    assert found.verdict.valid
    assert found.segments[-1].name == "EOI"
    for i, scan in enumerate(found.scans):
        assert bits_of(scan) == 8 * scan.n_bytes
        assert scan.n_mcus == scan.n_mcus_read == len(scan.mcu_starts)
        rows = found.symbols[found.symbols["scan"] == i]
        assert rows["n_bits"].sum() == 8 * scan.n_bytes
        # Component after component, what the rows say is what the arrays say.
        for j, c in enumerate(scan.components):
            per_mcu = np.zeros(scan.n_mcus, int)
            of_component = rows[rows["component"] == c.index]
            np.add.at(per_mcu, of_component["mcu"], of_component["n_bits"])
            assert (per_mcu == scan.mcu_bits[:, j].sum(1)).all()


def test_values_of_symbols_are_the_coefficients() -> None:
    data = FILES["gray"]
    symbols = inspect_jpeg(data, symbols=(0, len(data))).symbols
    (expected,) = pcl.read_coefficients(data)
    found = np.zeros((expected.shape[0] * expected.shape[1], 64), np.int16)
    kinds = np.array([name for name, _ in _core.ELEMENTS])[symbols["element"]]
    for row in symbols[(kinds == "AC bits") | (kinds == "DC bits")]:
        found[row["mcu"], row["coefficient"]] = row["value"]
    found[:, 0] = np.cumsum(found[:, 0])
    assert (found.reshape(expected.shape) == expected).all()


@pytest.mark.parametrize("name", FILES)
def test_trace_of_a_damaged_file_ends_as_its_check(name: str) -> None:
    for data in damaged(FILES[name], 60):
        trace = _core.trace_jpeg(data)
        status, end, n_trailing = _core.check_jpeg(data)
        assert trace["status"] == status
        assert (trace["end_offset"], trace["trailing_bytes"]) == (end, n_trailing)
        found = inspect_jpeg(data)
        for scan in found.scans:
            is_cut = status.offset == scan.end and not status.ok and not scan.is_whole
            in_block = status.element[:2] in ("DC", "AC") or status.element == "padding"
            assert bits_of(scan) == 8 * scan.n_bytes + (status.bit if is_cut and in_block else 0)
            assert scan.n_mcus_read <= len(scan.mcu_starts) <= scan.n_mcus_read + 1


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_file_is_read_within_bounds(name: str) -> None:
    data = HOSTILE[name]
    found = inspect_jpeg(data)
    assert found.verdict == pcl.check(data)
    n_fields = sum(len(segment.fields) for segment in found.segments)
    assert n_fields <= 1 << 17
    assert sum(len(scan.mcu_starts) for scan in found.scans) <= 8 * len(data)


def test_limits_are_kept_and_what_they_leave_out_is_counted() -> None:
    data = FILES["restarts"]
    whole = _core.trace_jpeg(data, symbols=(0, len(data)))
    little = _core.trace_jpeg(
        data, symbols=(0, len(data)), max_fields=7, max_mcus=4, max_symbols=100
    )
    assert len(little["fields"]) == 7 and little["n_fields_left_out"] > 0
    assert (little["fields"] == whole["fields"][:7]).all()
    (scan,), (expected,) = little["scans"], whole["scans"]
    assert scan["mcu_bits"].tolist() == expected["mcu_bits"][:4].tolist()
    assert (scan["mcu_costs"] == expected["mcu_costs"][:4]).all()
    assert (scan["intervals"] == expected["intervals"][:2]).all()
    assert scan["components"] == expected["components"]
    assert scan["n_mcus_read"] == expected["n_mcus_read"]
    n_symbols = len(little["symbols"]) + little["n_symbols_left_out"]
    assert (len(little["symbols"]), n_symbols) == (100, len(whole["symbols"]))


def test_outside_tables_are_for_abbreviated_streams() -> None:
    tables, stream = jpeg(streamtype=1), jpeg(streamtype=2)
    assert not inspect_jpeg(stream).verdict.valid
    assert inspect_jpeg(stream, abbreviated=True, tables=tables).scans[0].is_whole
    with pytest.raises(UsageError, match="abbreviated=True"):
        inspect_jpeg(stream, tables=tables)
    with pytest.raises(UsageError, match="no JPEG table stream"):
        inspect_jpeg(stream, abbreviated=True, tables=b"nonsense")


def test_fill_bytes_stand_before_their_marker() -> None:
    data = by_hand()
    found = inspect_jpeg(data[:142] + b"\xff\xff" + data[142:])
    end = found.segments[-1]
    assert found.verdict.valid
    assert (end.name, end.offset, end.n_bytes, end.n_fill_bytes) == ("EOI", 144, 2, 2)
