// The syntax elements of a macroblock of a frame, whatever their bits: 7.3.5, 7.4.5.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <vector>

#include "h264/binarization.hpp"
#include "h264/macroblock.hpp"
#include "h264/mb_types.hpp"

namespace pycodec_lm::h264 {

/// Bits that spell no syntax that is known, or syntax that has no bits.
struct BrokenSyntax : std::runtime_error {
    using std::runtime_error::runtime_error;
};

inline constexpr int8_t kPredictedMode = -1;  // prev_intra4x4_pred_mode_flag, ...8x8... = 1
inline constexpr uint8_t kP8x8 = 3;           // Table 7-13
inline constexpr int32_t kMaxLevelMinus1 = (1 << 16) - 1;  // more than any transform takes

/// Levels of a macroblock in the order of their lists: 7.3.5.3. Luma blocks of 4x4 begin at
/// 16 * luma4x4BlkIdx, also those of 15 levels, and blocks of 8x8 at 64 * luma8x8BlkIdx.
struct ResidualLevels {
    std::array<int32_t, 16> luma_dc{};
    std::array<int32_t, 256> luma{};
    std::array<std::array<int32_t, 4>, 2> chroma_dc{};
    std::array<std::array<std::array<int32_t, 15>, 4>, 2> chroma_ac{};

    friend bool operator==(const ResidualLevels&, const ResidualLevels&) = default;
};

/// All of one macroblock. Elements that are not there are 0.
struct MacroblockSyntax {
    bool is_skipped = false;
    uint8_t mb_type = 0;         // in slices of its type; P_8x8 of P_8x8ref0 too
    bool has_only_ref0 = false;  // P_8x8ref0, which CABAC does not have
    bool transform_size_8x8_flag = false;
    std::array<uint8_t, 4> sub_mb_type{};
    std::array<int8_t, 16> intra_pred_mode{};  // rem_intra..._pred_mode or kPredictedMode, by block
    uint8_t intra_chroma_pred_mode = 0;
    uint8_t coded_block_pattern = 0;  // of Intra_16x16 what mb_type says
    int8_t mb_qp_delta = 0;
    std::array<std::array<uint8_t, 4>, 2> ref_idx{};  // by list and 8x8 block
    // By list, first 4x4 block of a partition in raster order, component.
    std::array<std::array<std::array<int16_t, 2>, 16>, 2> mvd{};
    std::vector<ResidualLevels> residual;  // one, or none
    std::vector<uint8_t> pcm_samples;      // 256 of luma, 128 of chroma, or none

    friend bool operator==(const MacroblockSyntax&, const MacroblockSyntax&) = default;
};

/// What the headers say of a slice, as far as its macroblocks need it.
struct SliceFacts {
    MbSliceType type = MbSliceType::kI;
    uint32_t first_mb = 0;
    uint32_t width_mbs = 1;
    uint32_t frame_mbs = 1;
    std::array<uint8_t, 2> num_ref_idx_active{};
    bool transform_8x8_mode_flag = false;
    bool direct_8x8_inference_flag = false;
};

/// Where a macroblock stands, counted from the first of its slice: 6.4.9. Neighbours that are not
/// available are kNone.
struct MbPlace {
    static constexpr size_t kNone = SIZE_MAX;

    size_t mb = 0;
    size_t a = kNone;  // to the left
    size_t b = kNone;  // above
};

/// Spells syntax elements, or reads them: all take the value to spell and give the one that is
/// there. Those who read do not look at what they are given.
class MbCoder {
public:
    virtual ~MbCoder() = default;

    virtual void begin_slice(const SliceFacts& slice) = 0;
    virtual void begin_macroblock(const MbPlace& place) = 0;
    /// Asked of every macroblock of P and B slices.
    virtual bool skipped(bool is_skipped) = 0;
    /// Asked behind every macroblock: whether it is the last of the slice.
    virtual bool last(bool is_last) = 0;

    virtual uint8_t mb_type(uint8_t mb_type) = 0;
    virtual void pcm(std::vector<uint8_t>& samples) = 0;
    virtual bool transform_size_8x8_flag(bool flag) = 0;
    virtual uint8_t sub_mb_type(uint8_t sub_mb_type) = 0;
    /// rem_intra..._pred_mode or kPredictedMode.
    virtual int8_t intra_pred_mode(int8_t mode) = 0;
    virtual uint8_t intra_chroma_pred_mode(uint8_t mode) = 0;
    virtual uint8_t ref_idx(int list, const Partition& at, uint8_t ref_idx) = 0;
    virtual std::array<int16_t, 2> mvd(
        int list, const Partition& at, std::array<int16_t, 2> mvd
    ) = 0;
    virtual uint8_t coded_block_pattern(uint8_t pattern, bool is_intra) = 0;
    virtual int8_t mb_qp_delta(int8_t delta) = 0;
    /// @param index luma4x4BlkIdx, luma8x8BlkIdx, or of chroma iCbCr, of its AC 4 * iCbCr + blkIdx
    virtual void block(BlockCat cat, int index, std::span<int32_t> levels) = 0;
};

/// 7.3.4: spells the macroblocks of a slice, or reads them.
///
/// @param mbs those to spell, and those that were read, appended; of a slice that is read at first
///     none
void code_slice_data(
    MbCoder& coder, const SliceFacts& slice, std::vector<MacroblockSyntax>& mbs, bool reads
);

}  // namespace pycodec_lm::h264
