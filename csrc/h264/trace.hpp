// What a byte stream says, field by field: the rows that the inspector shows. The cursor names the
// fields; nothing here knows the syntax.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "h264/check.hpp"
#include "h264/cursor.hpp"

namespace pycodec_lm::h264 {

/// One syntax element, or several of one kind that stand one after the other (bytes of payloads).
struct FieldRow {
    uint64_t byte = 0;  // where it begins, offset in the file
    uint8_t bit = 0;    // 0..7 from the most significant
    uint8_t element = 0;
    int8_t block = -1;    // in residual(), see namespace block; -1 outside
    uint32_t n_bits = 0;  // of all of them, emulation prevention not counted
    uint32_t n_values = 1;
    // Of the first: the number; of a coeff_token 4 * TotalCoeff + TrailingOnes.
    int64_t value = 0;
    int32_t picture = -1;  // from 0; this and the next are -1 outside slice data
    int64_t mb = -1;       // address of the macroblock; of an mb_skip_run that of the first
};

/// A bin of slice data by CABAC, 9.3.3.2.
struct BinRow {
    int32_t picture = 0;
    int64_t mb = 0;  // that an mb_skip_flag speaks of, that an end_of_slice_flag is behind
    uint8_t element = 0;
    uint8_t value = 0;
    bool is_first = false;    // of its element
    int16_t ctx_idx = -1;     // 276 of a terminating bin; -1 of a bypass bin
    int8_t p_state_idx = -1;  // in front of it; this and the next are -1 without context variable
    int8_t val_mps = -1;
    float information_bits = 0;  // log2 of codIRange by the bin's part of it
};

/// Macroblocks by Table 7-11 (0 to 25), then by Table 7-13, then by Table 7-14.
inline constexpr uint8_t kFirstPType = 26;  // P_L0_16x16
inline constexpr uint8_t kPSkip = 31;
inline constexpr uint8_t kFirstBType = 32;  // B_Direct_16x16
inline constexpr uint8_t kBSkip = 55;

/// Kinds of bits in a macroblock.
enum class MbBits : uint8_t {
    kType,        // mb_type, sub_mb_type, coded_block_pattern, mb_qp_delta
    kPrediction,  // intra modes, reference indices, motion vectors
    kLuma,
    kChroma,
};
inline constexpr size_t kMbBitKinds = 4;

struct NalRow {
    uint64_t start = 0;   // of the zeros and the start code before it
    uint64_t offset = 0;  // of its first byte
    uint64_t end = 0;     // behind its last byte
    uint8_t nal_ref_idc = 0;
    uint8_t nal_unit_type = 0;
    bool is_whole = false;
    uint32_t n_emulation_bytes = 0;
    uint32_t first_field = 0;
    uint32_t n_fields = 0;
};

/// A slice whose data have begun. Its bits: header, runs, those of its macroblocks, trailing bits,
/// emulation prevention.
struct SliceRow {
    uint32_t nal = 0;
    uint32_t picture = 0;
    uint32_t first_mb = 0;
    uint8_t slice_type = 0;  // as written, 0 to 9
    uint8_t pic_parameter_set_id = 0;
    uint32_t frame_num = 0;
    int32_t idr_pic_id = -1;    // of IDR pictures
    int64_t pic_order_cnt = 0;  // 8.2.1
    int8_t qp = 0;              // SliceQPY
    uint32_t n_mbs = 0;         // whole ones, skipped ones included
    uint32_t n_skipped = 0;
    uint32_t n_intra = 0;
    uint32_t header_bits = 0;     // with the byte of the NAL unit's header
    uint64_t skip_bits = 0;       // mb_skip_run, mb_skip_flag, end_of_slice_flag
    uint64_t n_bins = 0;          // by CABAC
    double information_bits = 0;  // of these, and bits of PCM samples
    std::array<uint64_t, kMbBitKinds> mb_bits{};
    uint32_t trailing_bits = 0;
};

struct PictureRow {
    uint32_t first_slice = 0;
    uint32_t n_slices = 0;
    uint32_t width_mbs = 0;
    uint32_t height_mbs = 0;
    std::array<uint32_t, 4> crop_px{};  // left, right, top, bottom
    uint64_t first_mb_row = 0;          // in the columns of macroblocks
    uint32_t n_mb_rows = 0;             // of macroblocks that have begun, as far as the limit goes
    uint32_t n_mbs = 0;                 // whole ones
    uint64_t end = 0;                   // behind its last NAL unit
};

/// What a trace keeps at most; the rest is counted. What is in NAL units beyond the limit is not.
struct TraceLimits {
    size_t n_fields = 1u << 17;   // outside slice data
    size_t n_nals = 1u << 14;     // slices and pictures are fewer
    size_t n_mbs = 1u << 22;      // of all pictures
    size_t n_symbols = 1u << 20;  // fields inside slice data
    size_t n_bins = 0;            // of all pictures
};

struct Trace {
    Status status;  // that of check()
    uint64_t end_offset = 0;
    uint64_t n_pictures = 0;
    std::string place;  // in words, where it ended
    std::vector<FieldRow> fields;
    uint64_t n_fields_left_out = 0;
    std::vector<NalRow> nals;
    uint64_t n_nals_left_out = 0;
    std::vector<SliceRow> slices;
    std::vector<PictureRow> pictures;
    // One entry a macroblock that has begun.
    std::vector<uint64_t> mb_starts;  // 8 * byte + bit; of a skipped one of its mb_skip_run
    std::vector<std::array<uint16_t, kMbBitKinds>> mb_bits;
    std::vector<uint8_t> mb_types;
    std::vector<int8_t> mb_qps;  // QPY
    // By CABAC, 0 otherwise; with its mb_skip_flag and the end_of_slice_flag behind it.
    std::vector<uint32_t> mb_bins;
    std::vector<float> mb_information;  // as SliceRow::information_bits; of whole macroblocks
    /// The fields inside slice data that touch the bytes asked for.
    std::vector<FieldRow> symbols;
    uint64_t n_symbols_left_out = 0;
    std::vector<BinRow> bins;
    uint64_t n_bins_left_out = 0;
};

/// Walks a buffer up to its end or to what is wrong. Time is linear in `n_bytes`, memory is bounded
/// by the limits. Fields that the stream breaks in the middle of are left out.
///
/// Symbols are kept for the bytes `begin_symbols` to `end_symbols` (not included).
Trace trace(
    const uint8_t* data, size_t n_bytes, const TraceLimits& limits, uint64_t begin_symbols,
    uint64_t end_symbols
);

}  // namespace pycodec_lm::h264
