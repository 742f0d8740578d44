"""How long an mb_skip_run of a temporal B slice may be: as many macroblocks as direct prediction is
legal for, found by looks at 64 of them at once."""

import random

import pytest

from pycodec_lm._core import AvcWriter
from pycodec_lm.avc_grammar import AvcGrammar

WIDTH_MBS, HEIGHT_MBS = 12, 11
N_MBS = WIDTH_MBS * HEIGHT_MBS
LOWEST, HIGHEST = -(2**31), 2**32 - 1
SPS = {
    "nal_ref_idc": 1,
    "nal_unit_type": 7,
    "profile_idc": 77,
    "level_idc": 20,
    "max_num_ref_frames": 3,
    "pic_width_in_mbs_minus1": WIDTH_MBS - 1,
    "pic_height_in_map_units_minus1": HEIGHT_MBS - 1,
    "log2_max_pic_order_cnt_lsb_minus4": 4,
}
IDR = {"nal_ref_idc": 1, "nal_unit_type": 5, "slice_type": 7, "mb_type": 3}
STILL = {
    "nal_ref_idc": 1,
    "nal_unit_type": 1,
    "slice_type": 5,
    "frame_num": 1,
    "pic_order_cnt_lsb": 2,
    "mb_skip_run": N_MBS,
}
MOVING = {
    "nal_ref_idc": 1,
    "nal_unit_type": 1,
    "slice_type": 5,
    "frame_num": 2,
    "pic_order_cnt_lsb": 4,
    "num_ref_idx_active_override_flag": 1,
    "num_ref_idx_l0_active_minus1": 1,
}
# RefPicList1[0] is the picture that moves; of its vectors some are scaled out of range.
TEMPORAL = {
    "nal_unit_type": 1,
    "slice_type": 6,
    "frame_num": 3,
    "pic_order_cnt_lsb": 20,
    "num_ref_idx_active_override_flag": 1,
    "num_ref_idx_l0_active_minus1": 2,
    "ref_pic_list_modification_flag_l1": 1,
}


def _put(writer: AvcWriter, wanted: int) -> None:
    """The legal value at `wanted` or next to it."""
    value = writer.lowest_legal(wanted, HIGHEST)
    if value is None:
        value = writer.highest_legal(LOWEST, wanted)
    assert value is not None and writer.write(value)


def _write(writer: AvcWriter, values: dict[str, int], rng: random.Random | None = None) -> None:
    """A NAL unit, or a slice up to its data where it is the one to be asked."""
    assert writer.write_start_code(3)
    n_modifications = 0
    while not writer.is_between_units():
        element = writer.field()[0]
        if values is TEMPORAL and element == "mb_skip_run":
            return
        if writer.may_end_unit() and element == "transform_8x8_mode_flag":
            writer.end_unit()
            return
        wanted = values.get(element, 0)
        if element == "modification_of_pic_nums_idc":
            wanted, n_modifications = 3 * n_modifications, 1
        elif rng is not None and element == "mb_skip_run":
            wanted = rng.choice((0, 1, 5, 20, 70))
        elif rng is not None and element == "mb_type":
            wanted = 8 if rng.random() < 0.1 else 0  # a grey one, or P_L0_16x16
        elif rng is not None and element == "ref_idx_l0":
            wanted = int(rng.random() < 0.03)
        elif rng is not None and element.startswith("mvd"):
            most = 500 if rng.random() < 0.05 else 6
            wanted = rng.randint(-most, most)
        _put(writer, wanted)


def _before_the_data(seed: int) -> AvcWriter:
    rng = random.Random(seed)
    writer = AvcWriter(AvcGrammar(portable=False))
    _write(writer, SPS | {"direct_8x8_inference_flag": seed % 2})
    _write(writer, {"nal_ref_idc": 1, "nal_unit_type": 8})
    _write(writer, IDR)
    _write(writer, STILL)
    _write(writer, MOVING, rng)
    _write(writer, TEMPORAL)
    return writer


@pytest.mark.parametrize("seed", range(30))
def test_a_run_ends_where_direct_prediction_is_not_legal(seed: int) -> None:
    most = _before_the_data(seed).highest_legal(0, HIGHEST)
    assert most is not None
    places = {0, most - 1, most, *random.Random(seed).sample(range(N_MBS), 4)}
    for n in sorted(place for place in places if 0 <= place <= min(most, N_MBS - 1)):
        writer = _before_the_data(seed)
        assert writer.write(n)
        assert writer.any_legal(0, 0) == (n < most)  # B_Direct_16x16


def test_such_runs_end_at_different_places() -> None:
    ends = {_before_the_data(seed).highest_legal(0, HIGHEST) for seed in range(30)}
    assert N_MBS in ends and len(ends) > 3
