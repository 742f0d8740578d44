// A macroblock that is being read, and what its neighbours have to know of it later: 6.4, 7.4.5.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

namespace pycodec_lm::h264 {

/// In quarter samples.
struct MotionVector {
    int16_t x = 0;
    int16_t y = 0;
    friend bool operator==(const MotionVector&, const MotionVector&) = default;
};

/// absMvdComp, x and y, as far as contexts tell them apart: 9.3.3.1.1.7.
struct AbsMvd {
    static constexpr uint8_t kMost = 64;

    uint8_t x = 0;
    uint8_t y = 0;
};

inline constexpr int8_t kNoRefIdx = -1;  // intra, or predicted from the other list
inline constexpr uint8_t kIntraDc = 2;   // Intra_4x4_DC
inline constexpr uint32_t kMaxMacroblockBits = 3200;
// More than any symbol and the cheapest way on from it to the end of the macroblock can take.
inline constexpr uint32_t kFarBits = 480;
// The same by CABAC: 6.5 bits for a bin with a context; 64 levels with a sign, or 64 components of
// vectors and what follows them.
inline constexpr uint32_t kFarCabacBits = 1280;
inline constexpr uint32_t kCodedBlockPatterns = 48;  // Table 9-4
inline constexpr uint8_t kIPcm = 25;                 // Table 7-11
inline constexpr uint8_t kP8x8Ref0 = 4;              // Table 7-13
inline constexpr uint8_t kPIntraTypes = 5;      // from which on mb_type is of I slices, Table 7-13
inline constexpr uint8_t kBIntraTypes = 23;     // the same, Table 7-14
inline constexpr uint8_t kNumBSubMbTypes = 13;  // Table 7-18
inline constexpr size_t kPcmSamples = 384;

/// What a neighbouring macroblock says to the contexts of another. One that is not available, or
/// not of the slice, is none.
struct NeighbourMb {
    bool is_skipped = false;  // P_Skip, B_Skip
    bool is_direct = false;   // B_Skip, B_Direct_16x16
    bool is_intra = false;
    bool is_intra_nxn = false;  // I_NxN
    bool is_pcm = false;        // I_PCM
    bool transform_size_8x8_flag = false;
    uint8_t cbp_luma = 0;    // CodedBlockPatternLuma, 15 of I_PCM
    uint8_t cbp_chroma = 0;  // CodedBlockPatternChroma, 2 of I_PCM
    uint8_t intra_chroma_pred_mode = 0;
};

/// What CABAC's contexts ask of the side of a macroblock, by list where there are two.
struct CabacEdge {
    NeighbourMb says;
    uint8_t coded_dc = 0;  // coded_block_flag: of Intra16x16DCLevel, Cb, Cr
    std::array<uint8_t, 2>
        large_ref_idx{};  // 8x8 blocks whose coded ref_idx is above 0, a bit each
    std::array<std::array<AbsMvd, 4>, 2> abs_mvd{};
};

/// The row or column of 4x4 blocks at a side of a macroblock.
struct MbEdge {
    std::array<uint8_t, 4> luma{};  // total_coeff, by CABAC coded_block_flag
    std::array<std::array<uint8_t, 2>, 2> chroma{};
    std::array<uint8_t, 4> intra_mode{kIntraDc, kIntraDc, kIntraDc, kIntraDc};  // Intra4x4PredMode
    std::array<int8_t, 2> ref_idx{kNoRefIdx, kNoRefIdx};                        // by 8x8 block
    bool is_inter = false;
    std::array<MotionVector, 4> mv{};
    CabacEdge cabac;

    bool is_intra() const { return !is_inter; }
};

/// What list 1 adds to it.
struct ListEdge {
    std::array<int8_t, 2> ref_idx{kNoRefIdx, kNoRefIdx};
    std::array<MotionVector, 4> mv{};
};

enum class MbKind : uint8_t { kIntraNxN, kIntra16x16, kPcm, kInter };

enum class MbShape : uint8_t { k16x16, k16x8, k8x16, k8x8 };

/// NumMbPart.
constexpr int n_parts(MbShape shape) {
    constexpr int kParts[] = {1, 2, 2, 4};
    return kParts[static_cast<size_t>(shape)];
}

/// The 8x8 block that a 4x4 block is of, both by raster position.
constexpr uint32_t quarter_of(uint32_t block) { return block / 8 * 2 + block % 4 / 2; }
/// The 4x4 blocks in the corners, by 8x8 block: 8.4.1.2.1.
inline constexpr std::array<uint32_t, 4> kCornerBlocks{0, 3, 12, 15};

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

/// A number for each of n by n blocks of one component, with the row above, the column to the left
/// and the corner between them, which are the neighbours'.
template <int n>
struct Bordered {
    static constexpr uint8_t kNotAvailable = 64;

    std::array<uint8_t, (n + 1) * (n + 1)> numbers{};

    static constexpr size_t index_of(int column, int row) {
        return static_cast<size_t>((n + 1) * (row + 1) + column + 1);
    }
    uint8_t at(int column, int row) const { return numbers[index_of(column, row)]; }
    void put(int column, int row, uint8_t number) { numbers[index_of(column, row)] = number; }
    void fill(uint8_t number) {
        for (int row = 0; row < n; ++row) {
            for (int column = 0; column < n; ++column) put(column, row, number);
        }
    }
};

/// total_coeff of blocks: 9.2.1.
template <int n>
struct CoeffCounts : Bordered<n> {
    /// nC of a block.
    int around(int column, int row) const {
        const int sum = this->at(column - 1, row) + this->at(column, row - 1);
        return sum < this->kNotAvailable ? (sum + 1) >> 1 : sum % this->kNotAvailable;
    }
};

/// Intra4x4PredMode of the blocks of a macroblock, and of those around it of which samples may be
/// used. Intra8x8PredMode stands in all four blocks, and of those around them 8.3.2.1 takes the
/// same as 8.3.1.1 does for the first of the four.
struct IntraModes : Bordered<4> {
    // By the samples that modes need, a bit a mode, 8.3.1.2: DC none; Horizontal and Horizontal_Up
    // those to the left; Vertical, Diagonal_Down_Left and Vertical_Left those above;
    // Diagonal_Down_Right, Vertical_Right and Horizontal_Down both and the corner.
    static constexpr uint32_t kNeedNone = 1u << 2;
    static constexpr uint32_t kNeedLeft = 1u << 1 | 1u << 8;
    static constexpr uint32_t kNeedTop = 1u << 0 | 1u << 3 | 1u << 7;
    static constexpr uint32_t kNeedAll = 1u << 4 | 1u << 5 | 1u << 6;

    /// predIntra4x4PredMode, 8.3.1.1.
    uint8_t predicted(int luma4x4_blk_idx) const {
        const int column = column_of(luma4x4_blk_idx);
        const int row = row_of(luma4x4_blk_idx);
        const uint8_t left = at(column - 1, row);
        const uint8_t top = at(column, row - 1);
        return std::max(left, top) < kNotAvailable ? std::min(left, top) : kIntraDc;
    }
    /// All blocks may have all modes: samples to the left, above and at the corner may be used.
    bool are_all_legal() const {
        return std::max({at(-1, 0), at(0, -1), at(-1, -1)}) != kNotAvailable;
    }
    /// The modes that a block may have, a bit each.
    uint32_t legal(int luma4x4_blk_idx) const {
        const int column = column_of(luma4x4_blk_idx);
        const int row = row_of(luma4x4_blk_idx);
        const bool has_left = at(column - 1, row) != kNotAvailable;
        const bool has_top = at(column, row - 1) != kNotAvailable;
        uint32_t modes = kNeedNone;
        if (has_left) modes |= kNeedLeft;
        if (has_top) modes |= kNeedTop;
        if (has_left && has_top && at(column - 1, row - 1) != kNotAvailable) modes |= kNeedAll;
        return modes;
    }
};

/// What CABAC keeps of a macroblock while it is read.
struct CabacMb {
    bool is_skipped = false;
    uint8_t coded_dc = 0;  // as in CabacEdge
    uint8_t intra_chroma_pred_mode = 0;
    std::array<uint8_t, 2> large_ref_idx{};
    std::array<std::array<AbsMvd, 16>, 2> abs_mvd{};  // by raster position
    uint8_t abs_mvd_x = 0;                            // of the vector that is being read

    // Of the block that is being read.
    uint8_t i = 0;  // levelListIdx
    uint8_t n_equal_1 = 0;
    uint8_t n_greater_1 = 0;
};

struct Macroblock {
    MbKind kind = MbKind::kInter;
    MbShape shape = MbShape::k16x16;
    bool has_only_ref0 = false;            // P_8x8ref0
    uint8_t cbp_luma = 0;                  // CodedBlockPatternLuma
    uint8_t cbp_chroma = 0;                // CodedBlockPatternChroma
    std::array<uint8_t, 4> sub_mb_type{};  // of B slices as kPShapeOfB says
    std::array<int8_t, 4> ref_idx{};       // by 8x8 block; of list 0
    bool has_transform_8x8 = false;        // transform_size_8x8_flag
    IntraModes intra_mode;                 // of Intra_4x4 and Intra_8x8
    CoeffCounts<4> luma_counts;
    std::array<CoeffCounts<2>, 2> chroma_counts;
    std::array<MotionVector, 16> mv{};  // by raster position; of list 0
    uint16_t mv_known = 0;              // 4x4 blocks whose motion is known, bit 4 * row + column
    uint8_t n_mvs = 0;                  // MvCnt
    uint16_t n_bits = 0;                // of macroblock_layer() so far

    // What is being read of it.
    uint8_t part = 0;      // mbPartIdx, or luma4x4BlkIdx or luma8x8BlkIdx of prediction modes
    uint8_t sub_part = 0;  // subMbPartIdx
    uint16_t n_pcm = 0;    // samples read
    MotionVector predicted;
    uint32_t coded_blocks = 0;  // of residual(), a bit for each
    uint8_t block = 0;          // that is due
    uint8_t max_coeff = 16;
    uint8_t coeff_table = 0;  // column of Table 9-5
    uint8_t total = 0;        // TotalCoeff
    uint8_t trailing_ones = 0;
    uint8_t i_level = 0;  // levels read; then runs
    uint8_t suffix_length = 0;
    uint8_t level_prefix = 0;
    uint8_t zeros_left = 0;
    CabacMb cabac;

    /// The first 4x4 block of the one that `part` counts to.
    int intra_block() const { return has_transform_8x8 ? 4 * part : part; }
    uint8_t predicted_intra_mode() const { return intra_mode.predicted(intra_block()); }
    uint32_t legal_intra_modes() const { return intra_mode.legal(intra_block()); }
    /// No partition is smaller than 8x8.
    bool has_large_parts() const {
        return shape != MbShape::k8x8 || sub_mb_type == std::array<uint8_t, 4>{};
    }

    /// All blocks of mbPartIdx `part` count as known.
    void know_part() {
        const Partition at = whole_partition();
        const unsigned row = (1u << at.width) - 1;
        for (int i = at.row; i < at.row + at.height; ++i)
            mv_known = static_cast<uint16_t>(mv_known | row << (4 * i + at.column));
    }

    bool has_block(int i) const { return ((coded_blocks >> i) & 1) != 0; }
    /// The blocks of residual() that are coded: 7.3.5.3.
    uint32_t blocks_of_pattern() const {
        uint32_t blocks = kind == MbKind::kIntra16x16 ? 1u << block::kLumaDc : 0;
        for (int i = 0; i < 4; ++i) {
            if ((cbp_luma >> i) & 1) blocks |= 0b1111u << (block::kLuma + 4 * i);
        }
        if (cbp_chroma != 0) blocks |= 0b11u << block::kChromaDc;
        if (cbp_chroma == 2) blocks |= 0b11111111u << block::kChromaAc;
        return blocks;
    }
    /// The partition that `part` counts to.
    constexpr Partition whole_partition() const {
        switch (shape) {
            case MbShape::k16x16:
                return {};
            case MbShape::k16x8:
                return {0, 2 * part, 4, 2};
            case MbShape::k8x16:
                return {2 * part, 0, 2, 4};
            default:
                return {2 * (part & 1), 2 * (part >> 1), 2, 2};
        }
    }
    /// The partition that `part` and `sub_part` count to.
    constexpr Partition partition() const {
        if (shape != MbShape::k8x8) return whole_partition();
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

/// What spatial direct prediction infers for a macroblock, without what the colocated picture has
/// to do with it: 8.4.1.2.2.
struct SpatialDirect {
    std::array<int8_t, 2> ref_idx{};  // by list
    std::array<MotionVector, 2> mv{};

    int n_lists() const { return (ref_idx[0] >= 0) + (ref_idx[1] >= 0); }
    /// What blocks have whose colZeroFlag is 1.
    SpatialDirect where_col_is_zero() const {
        SpatialDirect zero = *this;
        for (size_t list = 0; list < 2; ++list) {
            if (ref_idx[list] == 0) zero.mv[list] = {};
        }
        return zero;
    }

    friend bool operator==(const SpatialDirect&, const SpatialDirect&) = default;
};

/// What B slices add.
struct BMacroblock {
    static constexpr uint8_t kList0 = 1;
    static constexpr uint8_t kList1 = 2;
    static constexpr uint8_t kBi = 3;
    static constexpr uint8_t kDirect = 0;

    ListEdge left;  // of the macroblock before
    std::array<int8_t, 4> ref_idx{kNoRefIdx, kNoRefIdx, kNoRefIdx, kNoRefIdx};  // of list 1
    std::array<MotionVector, 16> mv{};                                          // of list 1
    std::array<uint8_t, 4> lists{};  // that a partition is predicted from, by mbPartIdx
    uint8_t list = 0;                // whose indices or vectors are being read
    bool is_direct = false;          // B_Skip or B_Direct_16x16
    SpatialDirect spatial;           // where direct_spatial_mv_pred_flag is 1
};

/// sub_mb_type of P slices, Table 7-17, whose partitions are those of one of B slices, Table 7-18;
/// B_Direct_8x8 left out.
inline constexpr std::array<uint8_t, 13> kPShapeOfB{0, 0, 0, 0, 1, 2, 1, 2, 1, 2, 3, 3, 3};

}  // namespace pycodec_lm::h264
