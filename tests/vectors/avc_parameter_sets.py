"""Parameter sets of ITU-T H.264 element by element, with the values that are given."""

from __future__ import annotations

from .avc_elements import Elements


def spell_sps(e: Elements) -> dict[str, int]:
    """7.3.2.1.1."""
    profile_idc = e.u(8, "profile_idc")
    e.u(6, "constraint_set_flags")
    e.u(2, "reserved_zero_2bits")
    e.u(8, "level_idc")
    said = {"id": e.ue("seq_parameter_set_id")}
    if profile_idc == 100:
        e.ue("chroma_format_idc")
        e.ue("bit_depth_luma_minus8")
        e.ue("bit_depth_chroma_minus8")
        e.u(1, "qpprime_y_zero_transform_bypass_flag")
        if e.u(1, "seq_scaling_matrix_present_flag"):
            _scaling_lists(e, "seq_scaling_list_present_flag", 8)
    said["frame_num"] = e.ue("log2_max_frame_num_minus4") + 4
    said["type"] = e.ue("pic_order_cnt_type")
    if said["type"] == 0:
        said["lsb"] = e.ue("log2_max_pic_order_cnt_lsb_minus4") + 4
    elif said["type"] == 1:
        said["always_zero"] = e.u(1, "delta_pic_order_always_zero_flag")
        e.se("offset_for_non_ref_pic")
        e.se("offset_for_top_to_bottom_field")
        for _ in range(e.ue("num_ref_frames_in_pic_order_cnt_cycle")):
            e.se("offset_for_ref_frame")
    e.ue("max_num_ref_frames")
    e.u(1, "gaps_in_frame_num_value_allowed_flag")
    e.ue("pic_width_in_mbs_minus1")
    e.ue("pic_height_in_map_units_minus1")
    if not e.u(1, "frame_mbs_only_flag"):
        e.u(1, "mb_adaptive_frame_field_flag")
    e.u(1, "direct_8x8_inference_flag")
    if e.u(1, "frame_cropping_flag"):
        for side in ("left", "right", "top", "bottom"):
            e.ue(f"frame_crop_{side}_offset")
    if e.u(1, "vui_parameters_present_flag"):
        _vui(e)
    return said


def _scaling_lists(e: Elements, flag: str, n_lists: int) -> None:
    """7.3.2.1.1.1."""
    for i in range(n_lists):
        if not e.u(1, flag):
            continue
        last = 8
        for _ in range(16 if i < 6 else 64):
            last = (last + e.se("delta_scale") + 256) % 256
            if last == 0:
                break


def _vui(e: Elements) -> None:
    """E.1.1."""
    if e.u(1, "aspect_ratio_info_present_flag") and e.u(8, "aspect_ratio_idc") == 255:
        e.u(16, "sar_width")
        e.u(16, "sar_height")
    if e.u(1, "overscan_info_present_flag"):
        e.u(1, "overscan_appropriate_flag")
    if e.u(1, "video_signal_type_present_flag"):
        e.u(3, "video_format")
        e.u(1, "video_full_range_flag")
        if e.u(1, "colour_description_present_flag"):
            for name in ("colour_primaries", "transfer_characteristics", "matrix_coefficients"):
                e.u(8, name)
    if e.u(1, "chroma_loc_info_present_flag"):
        e.ue("chroma_sample_loc_type_top_field")
        e.ue("chroma_sample_loc_type_bottom_field")
    if e.u(1, "timing_info_present_flag"):
        e.u(32, "num_units_in_tick")
        e.u(32, "time_scale")
        e.u(1, "fixed_frame_rate_flag")
    n_hrds = 0
    for kind in ("nal", "vcl"):
        if e.u(1, f"{kind}_hrd_parameters_present_flag"):
            _hrd(e)
            n_hrds += 1
    if n_hrds:
        e.u(1, "low_delay_hrd_flag")
    e.u(1, "pic_struct_present_flag")
    if e.u(1, "bitstream_restriction_flag"):
        e.u(1, "motion_vectors_over_pic_boundaries_flag")
        for name in ("max_bytes_per_pic_denom", "max_bits_per_mb_denom"):
            e.ue(name)
        for name in ("log2_max_mv_length_horizontal", "log2_max_mv_length_vertical"):
            e.ue(name)
        e.ue("max_num_reorder_frames")
        e.ue("max_dec_frame_buffering")


def _hrd(e: Elements) -> None:
    """E.1.2."""
    n_cpbs = e.ue("cpb_cnt_minus1") + 1
    e.u(4, "bit_rate_scale")
    e.u(4, "cpb_size_scale")
    for _ in range(n_cpbs):
        e.ue("bit_rate_value_minus1")
        e.ue("cpb_size_value_minus1")
        e.u(1, "cbr_flag")
    e.u(5, "initial_cpb_removal_delay_length_minus1")
    e.u(5, "cpb_removal_delay_length_minus1")
    e.u(5, "dpb_output_delay_length_minus1")
    e.u(5, "time_offset_length")


def spell_pps(e: Elements) -> dict[str, int]:
    """7.3.2.2; the extension is there where the YAML has transform_8x8_mode_flag."""
    said = {"id": e.ue("pic_parameter_set_id"), "sps": e.ue("seq_parameter_set_id")}
    e.u(1, "entropy_coding_mode_flag")
    said["bottom"] = e.u(1, "bottom_field_pic_order_in_frame_present_flag")
    e.ue("num_slice_groups_minus1")
    said["refs"] = e.ue("num_ref_idx_l0_default_active_minus1") + 1
    said["refs_l1"] = e.ue("num_ref_idx_l1_default_active_minus1") + 1
    said["weighted"] = e.u(1, "weighted_pred_flag")
    said["bipred"] = e.u(2, "weighted_bipred_idc")
    e.se("pic_init_qp_minus26")
    e.se("pic_init_qs_minus26")
    e.se("chroma_qp_index_offset")
    said["deblocking"] = e.u(1, "deblocking_filter_control_present_flag")
    e.u(1, "constrained_intra_pred_flag")
    said["redundant"] = e.u(1, "redundant_pic_cnt_present_flag")
    if "transform_8x8_mode_flag" in e.values:
        n_lists = 8 if e.u(1, "transform_8x8_mode_flag") else 6
        if e.u(1, "pic_scaling_matrix_present_flag"):
            _scaling_lists(e, "pic_scaling_list_present_flag", n_lists)
        e.se("second_chroma_qp_index_offset")
    return said
