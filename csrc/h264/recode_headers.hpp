// What a recoder needs of parameter sets and slice headers, B slices and High profile included:
// 7.3.2.1, 7.3.2.2, 7.3.3. Nothing is judged here.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "h264/mb_syntax.hpp"

namespace pycodec_lm::h264 {

struct RecodeSps {
    uint8_t profile_idc = 0;
    uint8_t id = 0;
    int log2_max_frame_num = 4;
    int pic_order_cnt_type = 0;
    int log2_max_pic_order_cnt_lsb = 4;
    bool delta_pic_order_always_zero_flag = false;
    uint32_t width_mbs = 1;
    uint32_t height_mbs = 1;
    bool frame_mbs_only_flag = true;
    bool direct_8x8_inference_flag = false;
    size_t direct_8x8_inference_flag_at = 0;  // a bit of the RBSP
};

struct RecodePps {
    uint8_t id = 0;
    uint8_t sps_id = 0;
    size_t entropy_coding_mode_flag_at = 0;  // bit of the RBSP
    bool entropy_coding_mode_flag = false;
    bool bottom_field_pic_order_in_frame_present_flag = false;
    std::array<uint8_t, 2> num_ref_idx_default_active{};
    bool weighted_pred_flag = false;
    int weighted_bipred_idc = 0;
    int pic_init_qp = 26;
    bool deblocking_filter_control_present_flag = false;
    bool redundant_pic_cnt_present_flag = false;
    bool transform_8x8_mode_flag = false;
};

struct RecodeSliceHeader {
    SliceFacts facts;
    uint8_t pps_id = 0;
    uint32_t frame_num = 0;
    int slice_qp = 26;
    int cabac_init_idc = 0;  // 0 where it is not there
    // Bits of the RBSP: where cabac_init_idc is or would be, behind it, and behind the header.
    size_t cabac_init_idc_at = 0;
    size_t behind_cabac_init_idc = 0;
    size_t end = 0;
};

/// All throw BrokenSyntax on what is broken or not in scope: fields, slice groups, other
/// chroma formats and depths, slices that are neither I, P nor B.
RecodeSps read_sps(std::span<const uint8_t> rbsp);
RecodePps read_pps(std::span<const uint8_t> rbsp);
/// pic_parameter_set_id of a slice.
uint8_t read_pps_id(std::span<const uint8_t> rbsp);
RecodeSliceHeader read_slice_header(
    std::span<const uint8_t> rbsp, uint8_t nal_unit_type, uint8_t nal_ref_idc, const RecodeSps& sps,
    const RecodePps& pps
);

}  // namespace pycodec_lm::h264
