"""Hostile streams: what they make a check and a matcher take of memory, as the allocator counts it,
and of time."""

import random
import time
from collections.abc import Iterator
from typing import Any

import pytest
from vectors.avc_assemble import AvcSpeller, assemble

import pycodec_lm as pcl
from pycodec_lm import _core
from pycodec_lm.avc_grammar import AvcGrammar
from pycodec_lm.bench.matcher_memory import allocated_bytes, history_bytes_a_token, live_bytes
from pycodec_lm.bench.vocabularies import byte_vocabulary

pytestmark = pytest.mark.skipif(
    allocated_bytes() is None, reason="the C library does not count what it has given"
)
# More than any stream may cost.
LIMIT_BYTES = 8 << 20

# As wide as level 6.2 has it, and as high as 16 reference frames allow.
WIDTH_MBS, HEIGHT_MBS = 1055, 41
N_MBS = WIDTH_MBS * HEIGHT_MBS
LARGE = {
    "level_idc": 62,
    "pic_width_in_mbs_minus1": WIDTH_MBS - 1,
    "pic_height_in_map_units_minus1": HEIGHT_MBS - 1,
    "max_num_ref_frames": 16,
    "log2_max_frame_num_minus4": 12,
}
# All lists as long as they may be, with numbers that take 63 bits.
LONG = {
    "profile_idc": 100,
    "constraint_set_flags": 0,
    "seq_scaling_matrix_present_flag": 1,
    "seq_scaling_list_present_flag": 1,
    "delta_scale": 1,
    "pic_order_cnt_type": 1,
    "offset_for_non_ref_pic": -(2**31) + 1,
    "num_ref_frames_in_pic_order_cnt_cycle": 255,
    "offset_for_ref_frame": 2**31 - 1,
    "vui_parameters_present_flag": 1,
    "nal_hrd_parameters_present_flag": 1,
    "vcl_hrd_parameters_present_flag": 1,
    "cpb_cnt_minus1": 31,
    "bit_rate_value_minus1": [2**31 + i for i in range(32)] * 2,
    "cpb_size_value_minus1": 2**32 - 3,
}


def spelled(items: list[Any]) -> bytes:
    return assemble(AvcSpeller().spell(items)).data


def _sets() -> list[Any]:
    """All there can be of parameter sets, each as long as it can be; the first is for pictures."""
    sps = [{"SPS": LARGE}]
    sps += [{"SPS": LARGE | LONG | {"seq_parameter_set_id": i}} for i in range(1, 32)]
    pps = [{"PPS": {}}]
    pps += [{"PPS": {"pic_parameter_set_id": i, "seq_parameter_set_id": 1}} for i in range(1, 256)]
    return sps + pps


def _large_pictures() -> list[Any]:
    """All references in use, motion along the whole width, and many slices."""
    moved = "mb_type:0 ref_idx_l0:{} mvd_l0[0]:1 mvd_l0[1]:-1 coded_block_pattern:0"
    row = [moved.format(i % 16) for i in range(WIDTH_MBS)]
    refs = {"num_ref_idx_active_override_flag": 1, "num_ref_idx_l0_active_minus1": 15}
    return [
        {"IDR": {"data": [f"{N_MBS} x GREY"]}},
        *({"P": {"frame_num": i, "data": [f"mb_skip_run:{N_MBS}"]}} for i in range(1, 18)),
        {"P": refs | {"frame_num": 18, "data": [*row, f"mb_skip_run:{N_MBS - WIDTH_MBS}"]}},
        *(
            {"P": refs | {"frame_num": 19, "first_mb_in_slice": i, "data": ["mb_skip_run:1"]}}
            for i in range(2000)
        ),
    ]


def _small_pictures(n: int) -> list[Any]:
    return ["SPS", "PPS", "IDR", *({"P": {"frame_num": i % 16}} for i in range(1, n))]


def _scattered_pictures(counts: list[int]) -> list[Any]:
    sps = {"pic_order_cnt_type": 0, "log2_max_pic_order_cnt_lsb_minus4": 12}
    pictures = [
        {"P": {"frame_num": i % 16, "pic_order_cnt_lsb": count}}
        for i, count in enumerate(counts, start=1)
    ]
    return [{"SPS": sps}, "PPS", "IDR", *pictures]


def _permuted(n: int) -> list[int]:
    """Even counts, each once, in any order."""
    counts = list(range(2, 2 * n + 2, 2))
    random.Random(1).shuffle(counts)
    return counts


STREAMS = {
    "parameter sets": _sets(),
    "large pictures": _sets() + _large_pictures(),
    "10,000 small pictures": _small_pictures(10_000),
    "5,000 pictures in any order": _scattered_pictures(_permuted(5_000)),
}


@pytest.fixture(scope="module", params=STREAMS)
def hostile(request: pytest.FixtureRequest) -> bytes:
    return spelled(STREAMS[request.param])


def test_a_matcher_costs_at_most_eight_megabytes(hostile: bytes) -> None:
    compiled = pcl.compile_grammar(AvcGrammar(portable=False), byte_vocabulary())
    peak, _ = live_bytes(compiled, hostile)
    assert 0 < peak < LIMIT_BYTES


def _along(data: bytes) -> Iterator[int]:
    """What a cursor takes, and a copy of it that is left behind, along a stream."""
    before = allocated_bytes() or 0
    cursor = _core.AvcCursor(AvcGrammar(portable=False))
    for at in range(0, len(data), 4096):
        behind = cursor.copy()
        assert cursor.push(data[at : at + 4096])
        yield (allocated_bytes() or 0) - before
    del behind


def test_a_check_costs_at_most_eight_megabytes(hostile: bytes) -> None:
    assert 0 < max(_along(hostile)) < LIMIT_BYTES


def test_pictures_cost_no_more_behind_many_others() -> None:
    compiled = pcl.compile_grammar(AvcGrammar(portable=False), byte_vocabulary())
    few, many = (spelled(_small_pictures(n)) for n in (500, 4000))
    a_token = [history_bytes_a_token(compiled, [*data])[0] for data in (few, many)]
    assert a_token[1] < 2 * a_token[0]
    seconds = []
    for data in (few, many):
        start = time.process_time()
        assert _core.check_h264(data)[0].code == "ok"
        seconds.append(time.process_time() - start)
    assert seconds[1] < 40 * seconds[0]  # 8 times as many; a copy of all for each takes 64


def test_a_unit_that_cannot_be_read_whole_is_looked_at_once() -> None:
    """With a look at the rest from each of its messages this takes half an hour."""
    messages = bytes.fromhex("050180") * (LIMIT_BYTES >> 4)
    stream = spelled(["SPS"]) + b"\0\0\1\6" + messages
    assert _core.check_h264(stream)[0].code == "truncated"


@pytest.mark.parametrize("n", [5, 127, 128, 129, 400])
def test_every_order_count_is_remembered(n: int) -> None:
    counts = _permuted(n)
    assert _core.check_h264(spelled(_scattered_pictures(counts)))[0].code == "ok"
    rng = random.Random(n)
    for _ in range(5):
        again = rng.choice([0, *counts])
        for count in (again, again + 1):
            stream = spelled(_scattered_pictures([*counts, count]))
            status, n_pictures = _core.check_h264(stream)
            is_free = count % 2 == 1
            assert status.code == ("ok" if is_free else "pic_order_cnt")
            assert n_pictures == n + 1 + is_free
