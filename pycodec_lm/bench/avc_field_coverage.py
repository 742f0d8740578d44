"""Which parts of H.264 the field walks have reached, counted in walks."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable

from .._core import AvcCursor, AvcGrammar
from .avc_field_walk import WrittenStream
from .avc_motion import INTER_KINDS, inter_kinds
from .avc_tables import code_rows
from .coverage import codes_of_wrong_bytes
from .mask_walk import BrokenWalkError

__all__ = ["AVC_ERROR_CODES", "AVC_SCOPE", "AvcCoverage", "avc_error_codes"]

_RANDOM_PLACES = 30
_STANDARD = AvcGrammar(portable=False)

# Of csrc/grammar/status_h264.cpp.
AVC_ERROR_CODES = (
    "truncated",
    "start_code_expected",
    "zero_byte_missing",
    "forbidden_sequence",
    "emulation_prevention",
    "forbidden_zero_bit",
    "nal_ref_idc",
    "nal_order",
    "after_end_of_stream",
    "nal_unit_truncated",
    "picture_incomplete",
    "idr_expected",
    "rbsp_trailing_bits",
    "range",
    "reserved",
    "code_invalid",
    "level_limit",
    "profile_constraint",
    "parameter_set_missing",
    "parameter_set_activation",
    "first_mb_in_slice",
    "slice_type",
    "frame_num_gap",
    "idr_pic_id",
    "slices_differ",
    "pic_order_cnt",
    "reference_missing",
    "reference_marking",
    "ref_idx_missing",
    "mb_skip_run",
    "intra_pred_mode",
    "mv_range",
    "mv_count",
    "direct_prediction",
    "weight_sum",
    "block_size",
    "total_coeff",
    "macroblock_bits",
    "pcm_sample",
    "cabac_start",
    "end_of_slice",
    "bin_count",
    "profile_unsupported",
    "nal_unit_unsupported",
    "chroma_format_unsupported",
    "bit_depth_unsupported",
    "interlace_unsupported",
    "slice_groups_unsupported",
    "slice_order_unsupported",
    "redundant_picture_unsupported",
    "slice_type_unsupported",
)

# Elements whose every value should occur.
_VALUES: dict[str, Iterable[int]] = {
    "nal_unit_type": (*range(2), *range(5, 32)),
    "nal_ref_idc": range(4),
    "profile_idc": (66, 77, 100),
    "constraint_set_flags": range(64),
    "level_idc": (9, 10, 11, 12, 13, 20, 21, 22, 30, 31, 32, 40, 41, 42, 50, 51, 52, 60, 61, 62),
    "pic_order_cnt_type": range(3),
    "log2_max_frame_num_minus4": range(13),
    "log2_max_pic_order_cnt_lsb_minus4": range(13),
    "max_num_ref_frames": range(17),
    "aspect_ratio_idc": (*range(17), 255),
    "primary_pic_type": (0, 1, 2, 5, 6, 7),
    "slice_type": (0, 1, 2, 5, 6, 7),
    "direct_spatial_mv_pred_flag": range(2),
    "modification_of_pic_nums_idc": range(4),
    "memory_management_control_operation": range(7),
    "disable_deblocking_filter_idc": range(3),
    "slice_alpha_c0_offset_div2": range(-6, 7),
    "slice_beta_offset_div2": range(-6, 7),
    "chroma_qp_index_offset": range(-12, 13),
    "num_ref_idx_l0_active_minus1": range(16),
    "num_ref_idx_l1_active_minus1": range(16),
    "ref_idx_l0": range(16),
    "ref_idx_l1": range(16),
    "mb_type": range(49),
    "sub_mb_type": range(13),
    "luma_log2_weight_denom": range(8),
    "chroma_log2_weight_denom": range(8),
    "transform_size_8x8_flag": range(2),
    "rem_intra4x4_pred_mode": range(8),
    "rem_intra8x8_pred_mode": range(8),
    "intra_chroma_pred_mode": range(4),
    "coded_block_pattern": range(48),
    "mb_qp_delta": range(-26, 26),
    "level_prefix": range(20),
    "cabac_init_idc": range(3),
}
# Written with one value each: nothing else is in scope.
_FORCED = {
    "forbidden_zero_bit",
    "reserved_zero_2bits",
    "chroma_format_idc",
    "bit_depth_luma_minus8",
    "bit_depth_chroma_minus8",
    "qpprime_y_zero_transform_bypass_flag",
    "frame_mbs_only_flag",
    "num_slice_groups_minus1",
    "first_mb_in_slice",
    "redundant_pic_cnt",
    "ff_byte",
}
_BOTH_ENDS = (
    "seq_parameter_set_id",
    "seq_scaling_matrix_present_flag",
    "seq_scaling_list_present_flag",
    "delta_scale",
    "delta_pic_order_always_zero_flag",
    "offset_for_non_ref_pic",
    "offset_for_top_to_bottom_field",
    "num_ref_frames_in_pic_order_cnt_cycle",
    "offset_for_ref_frame",
    "gaps_in_frame_num_value_allowed_flag",
    "direct_8x8_inference_flag",
    "frame_cropping_flag",
    "frame_crop_left_offset",
    "frame_crop_right_offset",
    "frame_crop_top_offset",
    "frame_crop_bottom_offset",
    "vui_parameters_present_flag",
    "aspect_ratio_info_present_flag",
    "sar_width",
    "sar_height",
    "overscan_info_present_flag",
    "overscan_appropriate_flag",
    "video_signal_type_present_flag",
    "video_format",
    "video_full_range_flag",
    "colour_description_present_flag",
    "colour_primaries",
    "transfer_characteristics",
    "matrix_coefficients",
    "chroma_loc_info_present_flag",
    "chroma_sample_loc_type_top_field",
    "chroma_sample_loc_type_bottom_field",
    "timing_info_present_flag",
    "num_units_in_tick",
    "time_scale",
    "fixed_frame_rate_flag",
    "nal_hrd_parameters_present_flag",
    "vcl_hrd_parameters_present_flag",
    "low_delay_hrd_flag",
    "pic_struct_present_flag",
    "bitstream_restriction_flag",
    "motion_vectors_over_pic_boundaries_flag",
    "max_bytes_per_pic_denom",
    "max_bits_per_mb_denom",
    "log2_max_mv_length_horizontal",
    "log2_max_mv_length_vertical",
    "max_num_reorder_frames",
    "max_dec_frame_buffering",
    "cpb_cnt_minus1",
    "bit_rate_scale",
    "cpb_size_scale",
    "bit_rate_value_minus1",
    "cpb_size_value_minus1",
    "cbr_flag",
    "initial_cpb_removal_delay_length_minus1",
    "cpb_removal_delay_length_minus1",
    "dpb_output_delay_length_minus1",
    "time_offset_length",
    "pic_parameter_set_id",
    "entropy_coding_mode_flag",
    "bottom_field_pic_order_in_frame_present_flag",
    "num_ref_idx_l0_default_active_minus1",
    "num_ref_idx_l1_default_active_minus1",
    "weighted_pred_flag",
    "weighted_bipred_idc",
    "pic_init_qp_minus26",
    "pic_init_qs_minus26",
    "deblocking_filter_control_present_flag",
    "constrained_intra_pred_flag",
    "redundant_pic_cnt_present_flag",
    "transform_8x8_mode_flag",
    "pic_scaling_matrix_present_flag",
    "pic_scaling_list_present_flag",
    "second_chroma_qp_index_offset",
    "frame_num",
    "idr_pic_id",
    "pic_order_cnt_lsb",
    "delta_pic_order_cnt_bottom",
    "delta_pic_order_cnt[0]",
    "delta_pic_order_cnt[1]",
    "num_ref_idx_active_override_flag",
    "ref_pic_list_modification_flag_l0",
    "ref_pic_list_modification_flag_l1",
    "abs_diff_pic_num_minus1",
    "long_term_pic_num",
    "luma_weight_l0_flag",
    "luma_weight_l0",
    "luma_offset_l0",
    "chroma_weight_l0_flag",
    "chroma_weight_l0",
    "chroma_offset_l0",
    "luma_weight_l1_flag",
    "luma_weight_l1",
    "luma_offset_l1",
    "chroma_weight_l1_flag",
    "chroma_weight_l1",
    "chroma_offset_l1",
    "no_output_of_prior_pics_flag",
    "long_term_reference_flag",
    "adaptive_ref_pic_marking_mode_flag",
    "difference_of_pic_nums_minus1",
    "long_term_frame_idx",
    "max_long_term_frame_idx_plus1",
    "slice_qp_delta",
    "mb_skip_run",
    "mb_skip_flag",
    "end_of_slice_flag",
    "pcm_sample_luma",
    "pcm_sample_chroma",
    "prev_intra4x4_pred_mode_flag",
    "prev_intra8x8_pred_mode_flag",
    "mvd_l0[0]",
    "mvd_l0[1]",
    "mvd_l1[0]",
    "mvd_l1[1]",
    "trailing_ones_sign_flag",
    "level_suffix",
    "coded_block_flag",
    "significant_coeff_flag",
    "last_significant_coeff_flag",
    "coeff_abs_level_minus1",
    "coeff_sign_flag",
)

_COEFF_TABLES = ("0 <= nC < 2", "2 <= nC < 4", "4 <= nC < 8", "8 <= nC", "chroma DC")
AVC_SCOPE: dict[str, tuple[str, ...]] = {
    "element": tuple(sorted({*_VALUES, *_FORCED, *_BOTH_ENDS})),
    **{name: tuple(str(value) for value in values) for name, values in _VALUES.items()},
    "ends of a range": tuple(
        f"{element}: {end}" for element in _BOTH_ENDS for end in ("lowest", "highest")
    ),
    **{
        f"{element} rows": tuple(f"{table}/{row}" for table, row in rows)
        for element, rows in code_rows().items()
    },
    "motion": INTER_KINDS,
    "error code": AVC_ERROR_CODES,
}


class AvcCoverage:
    """Counts in how many walks each value of AVC_SCOPE occurred."""

    def __init__(self) -> None:
        self.walks: dict[str, Counter[str]] = {group: Counter() for group in AVC_SCOPE}
        self.n_walks = 0

    def add(self, stream: WrittenStream, codes: Iterable[str] = ()) -> None:
        """Counts a stream, and the error codes met on its way."""
        self.n_walks += 1
        seen = {("ends of a range", f"{element}: {end}") for element, end in stream.ends}
        for element, table, value in stream.fields:
            seen.add(("element", element))
            seen.add((element, str(value)))
            seen.add((f"{element} rows", f"{table}/{value}"))
        seen.update(("element", element) for element, _ in stream.ends)
        seen.update(("motion", kind) for kind in inter_kinds(stream.data))
        seen.update(("error code", code) for code in codes)
        for group, name in seen:
            if group in self.walks:
                self.walks[group][name] += 1

    def missing(self) -> list[tuple[str, str]]:
        """(group, value) of the scope that no walk reached."""
        return [
            (group, value)
            for group, values in AVC_SCOPE.items()
            for value in values
            if self.walks[group][value] == 0
        ]

    def n_reached(self, group: str) -> int:
        """Values of a group that occurred."""
        return sum(self.walks[group][value] > 0 for value in AVC_SCOPE[group])


def avc_error_codes(data: bytes, rng: random.Random) -> set[str]:
    """What the checker says to wrong bytes at random places of a valid stream, start codes among
    them.

    Raises:
        BrokenWalkError: a byte outside allowed() was accepted, or one inside refused.
    """
    starts = [i for i in range(len(data) - 3) if data[i : i + 3] == b"\0\0\1"]
    places = {rng.randrange(len(data)) for _ in range(_RANDOM_PLACES)}
    for start in rng.sample(starts, min(6, len(starts))):
        places.update(range(start, min(start + 9, len(data))))
    cursor = AvcCursor(_STANDARD)
    if not cursor.push(data):
        raise BrokenWalkError("the stream is not valid by the standard")
    return {"truncated", *codes_of_wrong_bytes(AvcCursor(_STANDARD), data, places)}
