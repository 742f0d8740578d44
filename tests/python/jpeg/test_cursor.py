"""The cursor's contract (csrc/grammar/cursor.hpp), at random states of random files."""

import itertools
import random

import pytest
from cursor_walks import members, walk

from pycodec_lm import _core
from pycodec_lm.bench.field_walk import write_random_file
from pycodec_lm.bench.structure import read_structure
from pycodec_lm.grammar import JpegGrammar
from pycodec_lm.jpeg_tables import standard_huffman_tables

# A DC table without category 0 (endings must step up and down), an AC table without EOB (blocks
# must be filled), and one whose codes are nearly all 1-bits (endings need stuffing).
_NO_ZERO = ((0, 0, 3) + (0,) * 13, bytes((1, 3, 11)))
_NO_END = ((0, 2, 2) + (0,) * 13, bytes((0x01, 0xF0, 0xE1, 0x31)))
_ONES = ((1, 1, 1, 1, 1, 1, 1, 1, 1, 1) + (0,) * 6, bytes((5, 1, 2, 3, 4, 6, 7, 8, 9, 0)))
_ONES_AC = ((1,) * 12 + (0,) * 4, bytes((0x11, 0x21, 0x31, 0x41, 0x51, 1, 2, 3, 4, 5, 6, 0)))
# Ends of band over 4 blocks and more only: the last ones of an interval must be filled.
_LONG_RUNS = ((1, 1, 1, 1, 1) + (0,) * 11, bytes((0x01, 0x20, 0x11, 0xF0, 0x31)))
# Few blocks and many scans; every other one is portable.
_PROGRESSIVE_SEEDS = (0, 4, 8, 19, 39, 58)


def _odd_tables(dc: tuple, ac: tuple) -> dict:
    return {("dc", 0): dc, ("ac", 0): ac}


GRAMMARS = {
    "standard": JpegGrammar(portable=False),
    "portable": JpegGrammar(),
    "narrowed": JpegGrammar(
        width=19, height=34, subsampling="4:2:0", quality=30, restart_interval=2
    ),
    "fixed tables": JpegGrammar(width=40, height=8, huffman_tables=standard_huffman_tables()),
    "jpeg_lm": JpegGrammar.jpeg_lm(48, 32),
    "no restarts": JpegGrammar.jpeg_lm(33, 17, restart_interval=0, subsampling="4:2:2"),
    "no DC zero": JpegGrammar.jpeg_lm(
        40,
        40,
        restart_interval=5,
        subsampling="gray",
        huffman_tables=_odd_tables(_NO_ZERO, _ONES_AC),
    ),
    "no end of block": JpegGrammar.jpeg_lm(
        24, 16, restart_interval=0, subsampling="gray", huffman_tables=_odd_tables(_ONES, _NO_END)
    ),
    "stuffing": JpegGrammar.jpeg_lm(
        24, 40, restart_interval=0, subsampling="4:4:4", huffman_tables=_odd_tables(_ONES, _ONES_AC)
    ),
    "progressive": JpegGrammar(process="progressive"),
    "progressive standard": JpegGrammar(process="progressive", portable=False),
    "small progressive": JpegGrammar(
        process="progressive", width=17, height=9, subsampling="4:2:0", quality=50
    ),
    "progressive runs": JpegGrammar(
        process="progressive",
        width=40,
        height=24,
        subsampling="gray",
        restart_interval=7,
        huffman_tables=_odd_tables(_ONES, _LONG_RUNS),
    ),
    # Two runs end all blocks, but not the last ones where those before them are coded.
    "progressive runs or none": JpegGrammar(
        process="progressive",
        width=112,
        height=8,
        subsampling="gray",
        restart_interval=0,
        huffman_tables=_odd_tables(_ONES, _LONG_RUNS),
    ),
    **{
        f"like progressive {seed}": JpegGrammar.like(
            write_random_file(seed, process="progressive", portable=seed % 2 == 0).data
        )
        for seed in _PROGRESSIVE_SEEDS
    },
}


@pytest.fixture(params=GRAMMARS, scope="module")
def grammar(request: pytest.FixtureRequest) -> JpegGrammar:
    return GRAMMARS[request.param]


def _least_bytes(grammar: JpegGrammar) -> int:
    return _core.JpegCursor(grammar).bytes_to_complete()


@pytest.mark.parametrize("times", [1, 2, 6])
def test_a_walk_keeps_the_contract(grammar: JpegGrammar, times: int) -> None:
    rng = random.Random(times)
    budget = times * _least_bytes(grammar)
    checked = 0
    for cursor, data in walk(grammar, seed=times, budget_bytes=budget):
        written = data
        if rng.random() > 40 / budget and not cursor.is_complete():
            continue
        checked += 1
        allowed = members(cursor.allowed())
        assert allowed == [b for b in range(256) if cursor.copy().push(bytes([b]))]
        assert bool(allowed) != cursor.is_complete()
        _check_ending(cursor, rng)
    assert checked > 0
    assert cursor.is_complete() and len(written) <= budget
    outside = grammar.tables
    status, end, trailing = _core.check_jpeg(
        written, abbreviated=outside is not None, tables=outside
    )
    assert (status.message, end, trailing) == ("valid", len(written), 0)


def _check_ending(cursor: _core.JpegCursor, rng: random.Random) -> None:
    n_bytes = cursor.bytes_to_complete()
    ending = cursor.complete()
    assert len(ending) == n_bytes
    assert n_bytes <= cursor.ending_bound(0) and n_bytes <= cursor.ending_bound(3)
    at = rng.randrange(n_bytes + 1)
    ahead = cursor.copy()
    assert ahead.push(ending[:at])
    assert ahead.bytes_to_complete() == n_bytes - at
    assert ahead.complete() == ending[at:]
    assert ahead.push(ending[at:]) and ahead.is_complete()


def test_ending_bound_holds_after_any_byte(grammar: JpegGrammar) -> None:
    before: list[tuple[int, _core.JpegCursor]] = []
    for cursor, written in walk(grammar, seed=9, budget_bytes=3 * _least_bytes(grammar)):
        for offset, earlier in before[-4:]:
            assert cursor.bytes_to_complete() <= earlier.ending_bound(len(written) - offset)
        before.append((len(written), cursor))


def test_rejecting_push_changes_nothing(grammar: JpegGrammar) -> None:
    rng = random.Random(4)
    budget = 2 * _least_bytes(grammar)
    for cursor, _ in walk(grammar, seed=4, budget_bytes=budget):
        if rng.random() > 60 / budget:
            continue
        refused = [b for b in range(256) if b not in members(cursor.allowed())]
        if not refused:
            continue
        before = (cursor.describe(), cursor.offset, cursor.allowed(), cursor.complete(64))
        status = cursor.push(bytes(refused[:1]))
        assert not status and status.family != "valid"
        assert status.offset == cursor.offset
        assert (cursor.describe(), cursor.offset, cursor.allowed(), cursor.complete(64)) == before


def test_push_stops_at_the_first_bad_byte() -> None:
    cursor = _core.JpegCursor(GRAMMARS["standard"])
    status = cursor.push(b"\xff\xd8\xff\xd8\xff")
    assert (status.code, status.offset, cursor.offset) == ("unexpected_marker", 3, 3)


def _files_of_several_scans(n: int) -> list[bytes]:
    """Small ones, with a scan that other scans follow and whose MCUs have several blocks."""

    def fits(data: bytes) -> bool:
        scans = read_structure(data).scans
        return len(data) < 2000 and any(scan.is_interleaved for scan in scans[:-1])

    files = (write_random_file(seed).data for seed in itertools.count())
    return [*itertools.islice(filter(fits, files), n)]


@pytest.mark.parametrize("data", _files_of_several_scans(4))
def test_endings_asked_for_first_in_the_middle_of_a_scan(data: bytes) -> None:
    grammar = JpegGrammar(portable=False)
    for n_bytes in range(0, len(data), 5):
        # A cursor of its own: what an earlier question found out is not remembered.
        cursor = _core.JpegCursor(grammar)
        assert cursor.push(data[:n_bytes])
        ending = cursor.complete()
        fresh = _core.JpegCursor(grammar)
        assert fresh.push(data[:n_bytes])
        assert fresh.bytes_to_complete() == len(ending)
        assert _core.check_jpeg(data[:n_bytes] + ending)[0]


def test_annotations_stay_below_their_sizes(grammar: JpegGrammar) -> None:
    kinds = set()
    for cursor, _ in walk(grammar, seed=5, budget_bytes=4 * _least_bytes(grammar)):
        row = cursor.annotation().tolist()
        assert all(
            0 <= value < size for value, size in zip(row, _core.ANNOTATION_SIZES, strict=True)
        )
        kinds.add(row[0])
    assert {1, 6, 8} <= kinds


def test_annotations_do_not_see_what_follows() -> None:
    grammar = GRAMMARS["jpeg_lm"]
    *_, (_, one) = walk(grammar, seed=1, budget_bytes=400)
    *_, (_, two) = walk(grammar, seed=2, budget_bytes=400)
    same = next(i for i, (a, b) in enumerate(zip(one, two, strict=False)) if a != b)
    assert same >= len(grammar.header)
    rows = [_core.annotate(grammar, [bytes([b]) for b in data]) for data in (one, two)]
    assert rows[0].shape == (len(one) + 1, 8)
    assert (rows[0][: same + 1] == rows[1][: same + 1]).all()
