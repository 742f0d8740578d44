// What sequence and picture parameter sets say: 7.4.2.1 and 7.4.2.2, as far as slices need it.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "h264/level_limits.hpp"

namespace pycodec_lm::h264 {

inline constexpr uint32_t kMaxSeqParameterSets = 32;
inline constexpr uint32_t kMaxPicParameterSets = 256;
inline constexpr uint32_t kMaxRefFrames = 16;

namespace profile {
inline constexpr uint8_t kBaseline = 66;
inline constexpr uint8_t kMain = 77;
inline constexpr uint8_t kHigh = 100;
}  // namespace profile

struct Pps {
    uint8_t pic_parameter_set_id = 0;
    uint8_t seq_parameter_set_id = 0;
    bool bottom_field_pic_order_in_frame_present_flag = false;
    bool entropy_coding_mode_flag = false;                       // CABAC
    std::array<uint8_t, 2> num_ref_idx_default_active_minus1{};  // by list
    bool weighted_pred_flag = false;
    uint8_t weighted_bipred_idc = 0;
    int8_t pic_init_qp_minus26 = 0;
    bool deblocking_filter_control_present_flag = false;
    bool constrained_intra_pred_flag = false;
    bool redundant_pic_cnt_present_flag = false;
    bool has_extension = false;  // transform_8x8_mode_flag and what follows it
    bool transform_8x8_mode_flag = false;
};

struct Sps {
    uint8_t seq_parameter_set_id = 0;
    uint8_t profile_idc = profile::kBaseline;
    uint8_t constraint_set_flags = 0;  // constraint_set0_flag is bit 5
    uint8_t level_idc = 10;            // 9 for level 1b, however it is written
    uint8_t log2_max_frame_num = 4;
    uint8_t pic_order_cnt_type = 0;
    uint8_t log2_max_pic_order_cnt_lsb = 4;
    bool delta_pic_order_always_zero_flag = false;
    int32_t offset_for_non_ref_pic = 0;
    int32_t offset_for_top_to_bottom_field = 0;
    std::vector<int64_t> offset_sums;  // of offset_for_ref_frame, from the first to each
    uint8_t max_num_ref_frames = 0;
    bool gaps_in_frame_num_value_allowed_flag = false;
    bool direct_8x8_inference_flag = false;
    uint32_t width_mbs = 1;     // PicWidthInMbs
    uint32_t height_mbs = 1;    // FrameHeightInMbs
    std::vector<uint8_t> rbsp;  // all of it: two sets are the same iff these bytes are

    bool has_constraint_set(int i) const { return (constraint_set_flags >> (5 - i)) & 1; }
    /// The constraints of A.2.1, A.2.2 hold: some decoders are promised so.
    bool obeys_baseline() const {
        return profile_idc == profile::kBaseline || has_constraint_set(0);
    }
    bool obeys_main() const { return profile_idc == profile::kMain || has_constraint_set(1); }
    /// level_prefix at most 15 and no PCM sample 0: A.2.1 to A.2.3.
    bool is_before_high() const {
        return obeys_baseline() || obeys_main() || profile_idc != profile::kHigh ||
               has_constraint_set(2);
    }
    /// Table A-4, direct_8x8_inference_flag. Encoders of Baseline streams, which have no B slices,
    /// set constraint_set1_flag without minding this.
    bool must_infer_8x8() const { return profile_idc != profile::kBaseline && level_idc >= 30; }
    /// Slices may come in any order: A.2.1, where A.2.2 is not promised too.
    bool has_arbitrary_slice_order() const {
        return profile_idc == profile::kBaseline && !has_constraint_set(1);
    }
    /// What A.2.1 and A.2.2 say of picture parameter sets.
    bool allows(const Pps& pps) const {
        const bool has_weights = pps.weighted_pred_flag || pps.weighted_bipred_idc != 0;
        if (obeys_baseline() && (has_weights || pps.entropy_coding_mode_flag)) return false;
        if ((obeys_baseline() || obeys_main()) && pps.has_extension) return false;
        return has_arbitrary_slice_order() || !pps.redundant_pic_cnt_present_flag;
    }
    uint32_t max_frame_num() const { return 1u << log2_max_frame_num; }
    uint32_t frame_mbs() const { return width_mbs * height_mbs; }
    /// Reference frames that are kept at most, 8.2.5.3.
    size_t max_kept_frames() const { return std::max<size_t>(max_num_ref_frames, 1); }
    const LevelLimits& limits() const { return *limits_of(level_idc); }
};

struct ParameterSets {
    std::array<std::shared_ptr<const Sps>, kMaxSeqParameterSets> sps;
    std::array<std::shared_ptr<const Pps>, kMaxPicParameterSets> pps;
    std::vector<uint8_t> pps_ids;  // of those that are there, ascending

    bool has_sps() const {
        return std::any_of(sps.begin(), sps.end(), [](const auto& set) { return set != nullptr; });
    }
    /// The lowest seq_parameter_set_id there is; 0 where there is none.
    uint8_t first_sps_id() const {
        const auto first =
            std::find_if(sps.begin(), sps.end(), [](const auto& set) { return set != nullptr; });
        return first == sps.end() ? uint8_t{0} : static_cast<uint8_t>(first - sps.begin());
    }
    bool has_bottom_delta(uint8_t pic_parameter_set_id) const {
        return pps[pic_parameter_set_id]->bottom_field_pic_order_in_frame_present_flag;
    }
    bool has_pps() const { return !pps_ids.empty(); }

    void put(Pps set) {
        const uint8_t id = set.pic_parameter_set_id;
        if (!pps[id]) pps_ids.insert(std::lower_bound(pps_ids.begin(), pps_ids.end(), id), id);
        pps[id] = std::make_shared<const Pps>(std::move(set));
    }
};

}  // namespace pycodec_lm::h264
