// What holds for all macroblocks of a B slice: 8.4.1.2, 8.4.2.3.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>

#include "h264/parameter_sets.hpp"
#include "h264/picture_motion.hpp"

namespace pycodec_lm::h264 {

struct BSlice {
    bool has_col = false;  // RefPicList1[0] has a picture
    /// Its motion; null where nobody knows it, who only looks ahead.
    std::shared_ptr<const PictureMotion> col;
    bool is_col_short_term = false;
    bool is_spatial = false;
    /// By ref_idx_l0, a bit for each ref_idx_l1 with which bi-prediction is legal.
    std::array<uint32_t, kMaxRefFrames> partners{};
    uint32_t bi_refs = 0;           // ref_idx_l0 that have one
    bool may_pair_any = false;      // of those that have a picture
    uint32_t legal_col_frames = 0;  // temporal: frames of `col`, a bit each
    bool is_intra_legal = false;    // temporal: blocks that are intra there
    /// Temporal: refIdxL0 by frame of `col`, where it is legal.
    std::array<int8_t, kMaxRefFrames + 1> ref_idx_l0{};
    /// DistScaleFactor by refIdxL0; none where vectors are taken as they are.
    std::array<std::optional<int16_t>, kMaxRefFrames> scales{};
};

}  // namespace pycodec_lm::h264
