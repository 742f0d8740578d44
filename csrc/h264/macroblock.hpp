// A macroblock that is being read, and what its neighbours have to know of it later: 6.4, 7.4.5.
#pragma once

#include <array>
#include <cstdint>

namespace pycodec_lm::h264 {

/// In quarter samples.
struct MotionVector {
    int16_t x = 0;
    int16_t y = 0;
    friend bool operator==(const MotionVector&, const MotionVector&) = default;
};

inline constexpr int8_t kNoRefIdx = -1;  // intra
inline constexpr uint8_t kIntraDc = 2;   // Intra_4x4_DC
inline constexpr uint32_t kMaxMacroblockBits = 3200;

/// The row or column of 4x4 blocks at a side of a macroblock.
struct MbEdge {
    std::array<uint8_t, 4> luma{};  // total_coeff
    std::array<std::array<uint8_t, 2>, 2> chroma{};
    std::array<uint8_t, 4> intra_mode{kIntraDc, kIntraDc, kIntraDc, kIntraDc};  // Intra4x4PredMode
    std::array<int8_t, 2> ref_idx{kNoRefIdx, kNoRefIdx};                        // by 8x8 block
    std::array<MotionVector, 4> mv{};

    bool is_intra() const { return ref_idx[0] == kNoRefIdx; }
};

enum class MbKind : uint8_t { kIntra4x4, kIntra16x16, kPcm, kInter };

enum class MbShape : uint8_t { k16x16, k16x8, k8x16, k8x8 };

/// Where in residual() a block stands, in the order of 7.3.5.3.
namespace block {
inline constexpr uint8_t kLumaDc = 0;
inline constexpr uint8_t kLuma = 1;       // 16 of them, by luma4x4BlkIdx
inline constexpr uint8_t kChromaDc = 17;  // Cb, Cr
inline constexpr uint8_t kChromaAc = 19;  // 4 of Cb, 4 of Cr
inline constexpr uint8_t kEnd = 27;
}  // namespace block

/// Column and row of a 4x4 luma block: 6.4.3.
constexpr int column_of(int luma4x4_blk_idx) {
    return (luma4x4_blk_idx & 1) + 2 * ((luma4x4_blk_idx >> 2) & 1);
}
constexpr int row_of(int luma4x4_blk_idx) {
    return ((luma4x4_blk_idx >> 1) & 1) + 2 * (luma4x4_blk_idx >> 3);
}

/// Of a macroblock, in 4x4 blocks: Tables 7-13 and 7-17.
struct Partition {
    int column = 0;
    int row = 0;
    int width = 4;
    int height = 4;
};

struct Macroblock {
    MbKind kind = MbKind::kInter;
    MbShape shape = MbShape::k16x16;
    bool has_only_ref0 = false;  // P_8x8ref0
    uint8_t cbp_luma = 0;        // CodedBlockPatternLuma
    uint8_t cbp_chroma = 0;      // CodedBlockPatternChroma
    std::array<uint8_t, 4> sub_mb_type{};
    std::array<int8_t, 4> ref_idx{};       // by 8x8 block
    std::array<uint8_t, 16> intra_mode{};  // by raster position, as the rest
    std::array<uint8_t, 16> total_coeff{};
    std::array<std::array<uint8_t, 4>, 2> chroma_total_coeff{};
    std::array<MotionVector, 16> mv{};
    uint16_t mv_known = 0;  // 4x4 blocks whose motion is known, bit 4 * row + column
    uint8_t n_mvs = 0;      // MvCnt
    uint16_t n_bits = 0;    // of macroblock_layer() so far

    // What is being read of it.
    uint8_t part = 0;      // mbPartIdx, or luma4x4BlkIdx of prediction modes
    uint8_t sub_part = 0;  // subMbPartIdx
    uint16_t n_pcm = 0;    // samples read
    MotionVector predicted;
    uint8_t block = 0;  // in residual()
    uint8_t max_coeff = 16;
    uint8_t coeff_table = 0;  // column of Table 9-5
    uint8_t total = 0;        // TotalCoeff
    uint8_t trailing_ones = 0;
    uint8_t i_level = 0;  // levels read; then runs
    uint8_t suffix_length = 0;
    uint8_t level_prefix = 0;
    uint8_t zeros_left = 0;

    /// The partition that `part` and `sub_part` count to.
    constexpr Partition partition() const {
        switch (shape) {
            case MbShape::k16x16:
                return {};
            case MbShape::k16x8:
                return {0, 2 * part, 4, 2};
            case MbShape::k8x16:
                return {2 * part, 0, 2, 4};
            default:
                break;
        }
        const int type = sub_mb_type[part];  // 8x8, 8x4, 4x8, 4x4
        const bool is_halved_across = type == 2 || type == 3;
        const bool is_halved_down = type == 1 || type == 3;
        const int sub_column = is_halved_across ? sub_part & 1 : 0;
        const int sub_row = !is_halved_down ? 0 : is_halved_across ? sub_part >> 1 : sub_part;
        return {
            2 * (part & 1) + sub_column, 2 * (part >> 1) + sub_row, is_halved_across ? 1 : 2,
            is_halved_down ? 1 : 2
        };
    }
};

}  // namespace pycodec_lm::h264
