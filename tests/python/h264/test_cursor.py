"""The cursor's contract (csrc/grammar/cursor.hpp), at random states of random streams; and what it
says about broken ones."""

import itertools
import random

import pytest
from cursor_walks import members, walk_from

import pycodec_lm as pcl
from pycodec_lm import _core
from pycodec_lm.avc_grammar import AvcGrammar

from .streams import (
    GREY,
    HEAD,
    LONG_START,
    START,
    STREAM,
    idr,
    nal,
    p_picture,
    pps,
    sps,
    ue,
)

GRAMMARS = {
    "any": AvcGrammar(portable=False),
    "portable": AvcGrammar(frames=2),
    "avc_lm picture": AvcGrammar.avc_lm(32, 32, 3),
    "avc_lm macroblock": AvcGrammar.avc_lm(32, 16, 2, slices="macroblock"),
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


_AUD = nal(0x09, "000")
_SEI = bytes((0x06, 4, 8))  # a message of 8 bytes, of a type that any bytes may follow
_IDR = START + idr()

# What is wrong: the stream, what is said about it: code, element, byte, bit.
BROKEN: dict[str, tuple[bytes, tuple[str, str, int, int]]] = {
    "no start code": (
        HEAD + b"\0\0\2" + idr(),
        ("start_code_expected", "start code", len(HEAD) + 2, 6),
    ),
    "a short start code before the PPS": (
        LONG_START + sps() + START + pps(),
        ("zero_byte_missing", "nal_unit_type", len(LONG_START + sps()) + 3, 5),
    ),
    "04 behind 00 00 03": (
        HEAD + START + _SEI + b"\1\0\0\3\4",
        ("emulation_prevention", "emulation_prevention_three_byte", len(HEAD) + 10, 5),
    ),
    "00 00 02 in a NAL unit": (
        HEAD + START + _SEI + b"\1\0\0\2",
        ("forbidden_sequence", "sei_payload", len(HEAD) + 9, 6),
    ),
    "a NAL unit's first bit": (
        HEAD + START + b"\xe5" + idr()[1:],
        ("forbidden_zero_bit", "forbidden_zero_bit", len(HEAD) + 3, 0),
    ),
    "an IDR picture that is no reference": (
        HEAD + START + idr(header=0x05),
        ("nal_ref_idc", "nal_unit_type", len(HEAD) + 3, 6),
    ),
    "an access unit delimiter behind a PPS": (
        HEAD + LONG_START + _AUD,
        ("nal_order", "nal_unit_type", len(HEAD) + 4, 5),
    ),
    "a P picture first": (
        HEAD + START + p_picture(),
        ("idr_expected", "nal_unit_type", len(HEAD) + 3, 5),
    ),
    "a P slice in an IDR picture": (
        HEAD + START + idr(slice_type=5),
        ("slice_type", "slice_type", len(HEAD) + 4, 3),
    ),
    "a PPS that is not there": (
        HEAD + START + idr(pps_id=1),
        ("parameter_set_missing", "pic_parameter_set_id", len(HEAD) + 5, 0),
    ),
    "a gap in frame_num": (
        HEAD + _IDR + LONG_START + p_picture(frame_num=3),
        ("frame_num_gap", "frame_num", len(HEAD + _IDR) + 6, 1),
    ),
    "a slice too late": (
        HEAD + _IDR + LONG_START + p_picture(first_mb=1),
        ("first_mb_in_slice", "first_mb_in_slice", len(HEAD + _IDR) + 5, 0),
    ),
    "more skipped than there are": (
        HEAD + _IDR + LONG_START + p_picture(ue(3)),
        ("mb_skip_run", "mb_skip_run", len(HEAD + _IDR) + 7, 0),
    ),
    "mb_type 26 in an I slice": (
        HEAD + START + idr(ue(26)),
        ("range", "mb_type", len(HEAD) + 7, 1),
    ),
    "vertical prediction without a row above": (
        HEAD + START + idr(ue(1) + ue(0) + "11"),
        ("intra_pred_mode", "mb_type", len(HEAD) + 6, 2),
    ),
    "a 1 behind the trailing bit": (
        LONG_START + sps(trailing="101"),
        ("rbsp_trailing_bits", "rbsp_trailing_bits", len(LONG_START + sps()) - 1, 3),
    ),
    "one macroblock of two": (
        HEAD + START + idr(GREY) + LONG_START + p_picture(),
        ("picture_incomplete", "nal_unit_type", len(HEAD + START + idr(GREY)) + 4, 7),
    ),
    "CABAC": (
        LONG_START + sps() + LONG_START + pps(entropy_coding_mode="1"),
        ("cabac_unsupported", "entropy_coding_mode_flag", len(LONG_START + sps()) + 5, 2),
    ),
    "too wide for level 1": (
        LONG_START + sps(width_in_mbs=100),
        ("level_limit", "pic_width_in_mbs_minus1", len(LONG_START) + 5, 5),
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_said_about_a_broken_stream(name: str) -> None:
    stream, expected = BROKEN[name]
    status, _ = _core.check_h264(stream)
    assert (status.code, status.element, status.offset, status.bit) == expected
    family = "unsupported" if status.code.endswith("unsupported") else "corrupt"
    assert status.family == family
    assert f"byte {status.offset}" in status.message


@pytest.mark.parametrize("n_missing", range(1, 5))
def test_a_stream_that_stops_too_early_is_truncated(n_missing: int) -> None:
    cut = STREAM[:-n_missing]
    status, n_pictures = _core.check_h264(cut)
    assert (status.family, status.code, status.offset) == ("truncated", "truncated", len(cut))
    assert n_pictures == 1
