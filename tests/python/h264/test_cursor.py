"""The cursor's contract (csrc/grammar/cursor.hpp), at random states of random streams."""

import itertools
import random

import pytest
from cursor_walks import members, walk_from
from vectors.avc_assemble import AvcSpeller, assemble

import pycodec_lm as pcl
from pycodec_lm import _core
from pycodec_lm.avc_grammar import AvcGrammar

from .streams import (
    HEAD,
    LONG_START,
    START,
    STREAM,
    idr,
    p_picture,
)

# Four macroblocks in the high profile: three pictures, weights, the 8x8 transform.
HIGH = [
    {"SPS": {"profile_idc": 100, "constraint_set_flags": 0, "pic_width_in_mbs_minus1": 3}},
    {"PPS": {"weighted_pred_flag": 1, "transform_8x8_mode_flag": 1}},
    {"IDR": {"start": 2, "data": ["4 x GREY"]}},
    *({"P": {"frame_num": n, "data": ["mb_skip_run:4"]}} for n in (1, 2)),
]

# The second P picture has another quantizer.
DIFFERING = [*HIGH[:-1], {"P": {"frame_num": 2, "slice_qp_delta": 3, "data": ["mb_skip_run:4"]}}]

GRAMMARS = {
    "any": AvcGrammar(portable=False),
    "portable": AvcGrammar(frames=2),
    "high": AvcGrammar.like(assemble(AvcSpeller().spell(HIGH)).data),
    "avc_lm picture": AvcGrammar.avc_lm(32, 32, 3),
    "avc_lm macroblock": AvcGrammar.avc_lm(32, 16, 2, slices="macroblock"),
    "high, its headers one by one": AvcGrammar.like(assemble(AvcSpeller().spell(DIFFERING)).data),
}


@pytest.fixture(params=GRAMMARS, scope="module")
def grammar(request: pytest.FixtureRequest) -> AvcGrammar:
    return GRAMMARS[request.param]


def header_of(grammar: AvcGrammar) -> bytes:
    """The pinned header, or parameter sets for pictures that are small."""
    return grammar.header or HEAD


def behind_header(grammar: AvcGrammar) -> _core.AvcCursor:
    cursor = _core.AvcCursor(grammar)
    assert cursor.push(header_of(grammar))
    return cursor


@pytest.mark.parametrize("times", [1, 2, 6])
@pytest.mark.parametrize("seed", range(6))
def test_a_walk_keeps_the_contract(grammar: AvcGrammar, seed: int, times: int) -> None:
    rng = random.Random(seed)
    start = behind_header(grammar)
    budget = times * start.bytes_to_complete()
    checked = 0
    for cursor, data in walk_from(start, seed=seed, budget_bytes=budget, n_tries=3):
        written = data
        if rng.random() > 25 / budget and not cursor.is_complete():
            continue
        checked += 1
        allowed = members(cursor.allowed())
        assert allowed == [b for b in range(256) if cursor.copy().push(bytes([b]))]
        assert allowed or cursor.is_complete()
        _check_ending(cursor, rng)
    assert checked > 0
    assert cursor.is_complete() and len(written) <= budget
    verdict = pcl.check(header_of(grammar) + written)
    assert verdict.valid, verdict.message
    assert verdict.notes == (f"{cursor.n_pictures} pictures",)
    assert grammar.frames in (None, cursor.n_pictures)


def _check_ending(cursor: _core.AvcCursor, rng: random.Random) -> None:
    n_bytes = cursor.bytes_to_complete()
    ending = cursor.complete()
    assert len(ending) == n_bytes
    at = rng.randrange(n_bytes + 1)
    ahead = cursor.copy()
    # Behind each byte of the ending, the rest of it is the ending.
    for i, byte in enumerate(ending[:at]):
        assert ahead.push(bytes([byte]))
        assert ahead.bytes_to_complete() == n_bytes - i - 1
    assert ahead.complete() == ending[at:]
    assert ahead.push(ending[at:]) and ahead.is_complete()


def test_rejecting_push_changes_nothing(grammar: AvcGrammar) -> None:
    rng = random.Random(4)
    start = behind_header(grammar)
    budget = 2 * start.bytes_to_complete()
    n_rejected = 0
    for cursor, _ in walk_from(start, seed=8, budget_bytes=budget, n_tries=1):
        allowed = {*members(cursor.allowed())}
        rejected = [b for b in range(256) if b not in allowed]
        before = (cursor.offset, cursor.describe(), cursor.annotation().tolist())
        for byte in rng.sample(rejected, min(3, len(rejected))):
            status = cursor.push(bytes([byte]))
            assert not status and status.offset == before[0]
            n_rejected += 1
        assert (cursor.offset, cursor.describe(), cursor.annotation().tolist()) == before
        assert {*members(cursor.allowed())} == allowed
    assert n_rejected > 0


def test_a_stream_cut_anywhere_gets_the_same_verdict(grammar: AvcGrammar) -> None:
    start = behind_header(grammar)
    budget = 4 * start.bytes_to_complete()
    *_, (whole, stream) = walk_from(start, seed=2, budget_bytes=budget, n_tries=1)
    rng = random.Random(1)
    for broken in (False, True):
        data = bytearray(stream)
        if broken:
            data[len(data) // 2] ^= 0x40
        at_once = behind_header(grammar)
        expected = at_once.push(bytes(data))
        assert broken or (expected and at_once.describe() == whole.describe())
        for at in rng.sample(range(len(data) + 1), min(40, len(data) + 1)):
            cursor = behind_header(grammar)
            status = cursor.push(bytes(data[:at]))
            if status:
                status = cursor.push(bytes(data[at:]))
            assert (status.message, cursor.describe()) == (expected.message, at_once.describe())


def test_copies_go_their_own_ways(grammar: AvcGrammar) -> None:
    start = behind_header(grammar)
    states = list(
        itertools.islice(walk_from(start, 5, 3 * start.bytes_to_complete(), n_tries=1), 80)
    )
    notes = [(cursor.offset, cursor.describe()) for cursor, _ in states]
    for cursor, _ in states[::4]:
        other = cursor.copy()
        other.push(other.complete())
    assert [(cursor.offset, cursor.describe()) for cursor, _ in states] == notes


def test_the_small_stream_is_valid() -> None:
    status, n_pictures = _core.check_h264(STREAM)
    assert (status.message, n_pictures) == ("valid", 2)


@pytest.mark.parametrize("start", [START, LONG_START])
@pytest.mark.parametrize("payload", [b"\5\6", b"\5\0\6", b"\5\0\6\0\0\3\1\0\7"])
def test_zeros_in_a_unit_that_is_passed_over_are_not_its_end(start: bytes, payload: bytes) -> None:
    ignored = bytes([24]) + payload
    stream = HEAD + START + idr() + START + ignored + start + ignored + LONG_START + p_picture()
    status, n_pictures = _core.check_h264(stream)
    assert (status.message, n_pictures) == ("valid", 2)


@pytest.mark.parametrize("n_missing", range(1, 5))
def test_a_stream_that_stops_too_early_is_truncated(n_missing: int) -> None:
    cut = STREAM[:-n_missing]
    status, n_pictures = _core.check_h264(cut)
    assert (status.family, status.code, status.offset) == ("truncated", "truncated", len(cut))
    assert n_pictures == 1
