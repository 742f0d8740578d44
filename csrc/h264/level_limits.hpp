// Table A-1: what a level allows. Rates and buffers, which hang on timing, are left out.
#pragma once

#include <array>
#include <cstdint>

namespace pycodec_lm::h264 {

struct LevelLimits {
    uint8_t level_idc;        // 9: level 1b
    uint32_t max_fs;          // MaxFS, macroblocks
    uint32_t max_dpb_mbs;     // MaxDpbMbs
    int32_t max_vmv_r;        // MaxVmvR, luma frame samples
    int32_t max_mvs_per_2mb;  // MaxMvsPer2Mb; 0: no limit
};

inline constexpr std::array<LevelLimits, 20> kTableA_1{{
    {10, 99, 396, 64, 0},           {9, 99, 396, 64, 0},
    {11, 396, 900, 128, 0},         {12, 396, 2376, 128, 0},
    {13, 396, 2376, 128, 0},        {20, 396, 2376, 128, 0},
    {21, 792, 4752, 256, 0},        {22, 1620, 8100, 256, 0},
    {30, 1620, 8100, 256, 32},      {31, 3600, 18000, 512, 16},
    {32, 5120, 20480, 512, 16},     {40, 8192, 32768, 512, 16},
    {41, 8192, 32768, 512, 16},     {42, 8704, 34816, 512, 16},
    {50, 22080, 110400, 512, 16},   {51, 36864, 184320, 512, 16},
    {52, 36864, 184320, 512, 16},   {60, 139264, 696320, 8192, 16},
    {61, 139264, 696320, 8192, 16}, {62, 139264, 696320, 8192, 16},
}};

/// The row of a level; null for a level_idc that Table A-1 does not have.
constexpr const LevelLimits* limits_of(uint8_t level_idc) {
    for (const LevelLimits& row : kTableA_1) {
        if (row.level_idc == level_idc) return &row;
    }
    return nullptr;
}

/// A picture may be so many macroblocks wide, or high: Sqrt(MaxFS * 8), A.3.1 f) and g).
constexpr bool may_have_side(const LevelLimits& limits, uint64_t n_mbs) {
    return n_mbs * n_mbs <= uint64_t{limits.max_fs} * 8;
}
/// The most macroblocks that it may be wide or high.
constexpr uint32_t max_side_mbs(const LevelLimits& limits) {
    uint32_t side = 1;
    while (may_have_side(limits, side + 1)) ++side;
    return side;
}

/// Macroblocks of the largest frame of which n fit in the decoded picture buffer, A.3.1 e) and h).
constexpr uint32_t max_frame_mbs(const LevelLimits& limits, uint32_t n_frames) {
    const uint32_t of_dpb = n_frames == 0 ? limits.max_fs : limits.max_dpb_mbs / n_frames;
    return of_dpb < limits.max_fs ? of_dpb : limits.max_fs;
}

/// MaxDpbFrames, A.3.1 h).
constexpr uint32_t max_dpb_frames(const LevelLimits& limits, uint32_t frame_mbs) {
    const uint32_t n = limits.max_dpb_mbs / frame_mbs;
    return n < 16 ? n : 16;
}

static_assert([] {  // so a frame of one macroblock is always legal
    for (const LevelLimits& row : kTableA_1) {
        if (max_frame_mbs(row, 16) < 1) return false;
    }
    return true;
}());

}  // namespace pycodec_lm::h264
