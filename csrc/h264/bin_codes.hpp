// Bin strings of syntax elements with few values, as printed, and the ctxIdx of each of their bins:
// Tables 9-34 and 9-36 to 9-43, 9.3.3.1.2.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "h264/binarization.hpp"
#include "h264/macroblock.hpp"

namespace pycodec_lm::h264::bin_codes {

/// Bins of a string so far, the first the highest.
struct Bins {
    uint32_t bits = 0;
    int n = 0;

    constexpr bool operator[](int i) const { return (bits >> (n - 1 - i)) & 1; }
    /// Without the first few.
    constexpr Bins behind(int n_first) const {
        return {bits & ((1u << (n - n_first)) - 1), n - n_first};
    }
    constexpr Bins with(bool bin) const { return {bits << 1 | (bin ? 1u : 0u), n + 1}; }
};

/// A string's bins as text, for tables that are made by rule.
struct BinText {
    std::array<char, 64> text{};
    size_t n = 0;

    constexpr void add(std::string_view bins) {
        for (const char c : bins) text[n++] = c;
    }
    constexpr std::string_view view() const { return {text.data(), n}; }
};

/// Gives the nodes of a code their contexts: `ctx_idx` says which the bin behind some bins has.
template <class CtxIdx>
constexpr void put_contexts(BinCode& code, int node, Bins bins, CtxIdx ctx_idx) {
    code.ctx_idx[static_cast<size_t>(node)] = ctx_idx(bins);
    for (const bool bin : {false, true}) {
        const int child = code.code.node(node).children[bin];
        if (child > 0) put_contexts(code, child, bins.with(bin), ctx_idx);
    }
}

template <class CtxIdx>
constexpr void put_contexts(BinCode& code, CtxIdx ctx_idx) {
    put_contexts(code, 0, Bins{}, ctx_idx);
}

// Table 9-36: bin strings of mb_type in I slices.
inline constexpr std::string_view kIMbTypes[] = {
    "0",              // I_NxN
    "1 0 0 0 0 0",    // I_16x16_0_0_0
    "1 0 0 0 0 1",    // I_16x16_1_0_0
    "1 0 0 0 1 0",    // I_16x16_2_0_0
    "1 0 0 0 1 1",    // I_16x16_3_0_0
    "1 0 0 1 0 0 0",  // I_16x16_0_1_0
    "1 0 0 1 0 0 1",  // I_16x16_1_1_0
    "1 0 0 1 0 1 0",  // I_16x16_2_1_0
    "1 0 0 1 0 1 1",  // I_16x16_3_1_0
    "1 0 0 1 1 0 0",  // I_16x16_0_2_0
    "1 0 0 1 1 0 1",  // I_16x16_1_2_0
    "1 0 0 1 1 1 0",  // I_16x16_2_2_0
    "1 0 0 1 1 1 1",  // I_16x16_3_2_0
    "1 0 1 0 0 0",    // I_16x16_0_0_1
    "1 0 1 0 0 1",    // I_16x16_1_0_1
    "1 0 1 0 1 0",    // I_16x16_2_0_1
    "1 0 1 0 1 1",    // I_16x16_3_0_1
    "1 0 1 1 0 0 0",  // I_16x16_0_1_1
    "1 0 1 1 0 0 1",  // I_16x16_1_1_1
    "1 0 1 1 0 1 0",  // I_16x16_2_1_1
    "1 0 1 1 0 1 1",  // I_16x16_3_1_1
    "1 0 1 1 1 0 0",  // I_16x16_0_2_1
    "1 0 1 1 1 0 1",  // I_16x16_1_2_1
    "1 0 1 1 1 1 0",  // I_16x16_2_2_1
    "1 0 1 1 1 1 1",  // I_16x16_3_2_1
    "1 1",            // I_PCM
};

// Table 9-37: bin strings of mb_type in P and B slices, the prefix of intra types last.
inline constexpr std::string_view kPMbTypes[] = {
    "0 0 0",  // P_L0_16x16
    "0 1 1",  // P_L0_L0_16x8
    "0 1 0",  // P_L0_L0_8x16
    "0 0 1",  // P_8x8
    "-",      // P_8x8ref0
};
inline constexpr std::string_view kPIntraPrefix = "1";
inline constexpr std::string_view kBMbTypes[] = {
    "0",              // B_Direct_16x16
    "1 0 0",          // B_L0_16x16
    "1 0 1",          // B_L1_16x16
    "1 1 0 0 0 0",    // B_Bi_16x16
    "1 1 0 0 0 1",    // B_L0_L0_16x8
    "1 1 0 0 1 0",    // B_L0_L0_8x16
    "1 1 0 0 1 1",    // B_L1_L1_16x8
    "1 1 0 1 0 0",    // B_L1_L1_8x16
    "1 1 0 1 0 1",    // B_L0_L1_16x8
    "1 1 0 1 1 0",    // B_L0_L1_8x16
    "1 1 0 1 1 1",    // B_L1_L0_16x8
    "1 1 1 1 1 0",    // B_L1_L0_8x16
    "1 1 1 0 0 0 0",  // B_L0_Bi_16x8
    "1 1 1 0 0 0 1",  // B_L0_Bi_8x16
    "1 1 1 0 0 1 0",  // B_L1_Bi_16x8
    "1 1 1 0 0 1 1",  // B_L1_Bi_8x16
    "1 1 1 0 1 0 0",  // B_Bi_L0_16x8
    "1 1 1 0 1 0 1",  // B_Bi_L0_8x16
    "1 1 1 0 1 1 0",  // B_Bi_L1_16x8
    "1 1 1 0 1 1 1",  // B_Bi_L1_8x16
    "1 1 1 1 0 0 0",  // B_Bi_Bi_16x8
    "1 1 1 1 0 0 1",  // B_Bi_Bi_8x16
    "1 1 1 1 1 1",    // B_8x8
};
inline constexpr std::string_view kBIntraPrefix = "111101";

// Table 9-38: bin strings of sub_mb_type.
inline constexpr std::string_view kPSubMbTypes[] = {
    "1",      // P_L0_8x8
    "0 0",    // P_L0_8x4
    "0 1 1",  // P_L0_4x8
    "0 1 0",  // P_L0_4x4
};
inline constexpr std::string_view kBSubMbTypes[] = {
    "0",            // B_Direct_8x8
    "1 0 0",        // B_L0_8x8
    "1 0 1",        // B_L1_8x8
    "1 1 0 0 0",    // B_Bi_8x8
    "1 1 0 0 1",    // B_L0_8x4
    "1 1 0 1 0",    // B_L0_4x8
    "1 1 0 1 1",    // B_L1_8x4
    "1 1 1 0 0 0",  // B_L1_4x8
    "1 1 1 0 0 1",  // B_Bi_8x4
    "1 1 1 0 1 0",  // B_Bi_4x8
    "1 1 1 0 1 1",  // B_L0_4x4
    "1 1 1 1 0",    // B_L1_4x4
    "1 1 1 1 1",    // B_Bi_4x4
};

// ctxIdxOffset, Table 9-34.
inline constexpr uint16_t kMbTypeI = 3;
inline constexpr uint16_t kMbSkipFlagP = 11;
inline constexpr uint16_t kMbTypeP = 14;
inline constexpr uint16_t kMbTypePSuffix = 17;
inline constexpr uint16_t kSubMbTypeP = 21;
inline constexpr uint16_t kMbSkipFlagB = 24;
inline constexpr uint16_t kMbTypeB = 27;
inline constexpr uint16_t kMbTypeBSuffix = 32;
inline constexpr uint16_t kSubMbTypeB = 36;
inline constexpr uint16_t kMvd[] = {40, 47};
inline constexpr uint16_t kRefIdx = 54;
inline constexpr uint16_t kMbQpDelta = 60;
inline constexpr uint16_t kIntraChromaPredMode = 64;
inline constexpr uint16_t kPrevIntraPredModeFlag = 68;
inline constexpr uint16_t kRemIntraPredMode = 69;
inline constexpr uint16_t kCodedBlockPatternLuma = 73;
inline constexpr uint16_t kCodedBlockPatternChroma = 77;
inline constexpr uint16_t kTransformSize8x8Flag = 399;

// ctxIdxOffset of residual blocks with their ctxIdxBlockCatOffset, Tables 9-34 and 9-40, by
// BlockCat. The coded_block_flag of an 8x8 block is not coded.
inline constexpr uint16_t kCodedBlockFlag[] = {85, 89, 93, 97, 101};
inline constexpr uint16_t kSignificantCoeffFlag[] = {105, 120, 134, 149, 152, 402};
inline constexpr uint16_t kLastSignificantCoeffFlag[] = {166, 181, 195, 210, 213, 417};
inline constexpr uint16_t kCoeffAbsLevelMinus1[] = {227, 237, 247, 257, 266, 426};

// Table 9-43, ctxIdxInc in 8x8 blocks of frames by levelListIdx.
inline constexpr uint8_t kSignificant8x8[63] = {
    0,  1,  2, 3, 4, 5,  5,  4,  4,  3, 3, 4,  4,  4,  5,  5,  4,  4,  4,  4,  3,
    3,  6,  7, 7, 7, 8,  9,  10, 9,  8, 7, 7,  6,  11, 12, 13, 11, 6,  7,  8,  9,
    14, 10, 9, 8, 6, 11, 12, 13, 11, 6, 9, 14, 10, 9,  11, 12, 13, 11, 14, 10, 12,
};
inline constexpr uint8_t kLast8x8[63] = {
    0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
    3, 3, 3, 3, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4, 5, 5, 5, 5, 6, 6, 6, 6, 7, 7, 7, 7, 8, 8, 8,
};

/// ctxIdx of mb_skip_flag: 9.3.3.1.1.1.
constexpr uint16_t ctx_of_mb_skip_flag(
    MbSliceType slice, const NeighbourMb* a, const NeighbourMb* b
) {
    const int offset = slice == MbSliceType::kP ? kMbSkipFlagP : kMbSkipFlagB;
    return static_cast<uint16_t>(offset + (a && !a->is_skipped) + (b && !b->is_skipped));
}

/// ctxIdx of mb_type in I slices: Table 9-39 and 9.3.3.1.2. What neighbours add to the first comes
/// later.
constexpr uint16_t ctx_of_i_mb_type(Bins bins) {
    switch (bins.n) {
        case 0:
            return kMbTypeI;
        case 1:
            return kTerminate;
        case 2:
        case 3:
            return static_cast<uint16_t>(kMbTypeI + bins.n + 1);
        case 4:
            return kMbTypeI + (bins[3] ? 5 : 6);
        case 5:
            return kMbTypeI + (bins[3] ? 6 : 7);
        default:
            return kMbTypeI + 7;
    }
}

/// The same behind the prefix of P and B slices.
constexpr uint16_t ctx_of_intra_suffix(Bins bins, uint16_t offset) {
    switch (bins.n) {
        case 0:
            return offset;
        case 1:
            return kTerminate;
        case 2:
        case 3:
            return static_cast<uint16_t>(offset + bins.n - 1);
        case 4:
            return static_cast<uint16_t>(offset + (bins[3] ? 2 : 3));
        default:
            return static_cast<uint16_t>(offset + 3);
    }
}

constexpr uint16_t ctx_of_p_mb_type(Bins bins) {
    if (bins.n >= 1 && bins[0]) return ctx_of_intra_suffix(bins.behind(1), kMbTypePSuffix);
    if (bins.n < 2) return static_cast<uint16_t>(kMbTypeP + bins.n);
    return kMbTypeP + (bins[1] ? 3 : 2);
}

constexpr uint16_t ctx_of_b_mb_type(Bins bins) {
    if (bins.n >= 6 && bins.bits >> (bins.n - 6) == 0b111101)
        return ctx_of_intra_suffix(bins.behind(6), kMbTypeBSuffix);
    switch (bins.n) {
        case 0:
            return kMbTypeB;
        case 1:
            return kMbTypeB + 3;
        case 2:
            return kMbTypeB + (bins[1] ? 4 : 5);
        default:
            return kMbTypeB + 5;
    }
}

constexpr uint16_t ctx_of_p_sub_mb_type(Bins bins) {
    return static_cast<uint16_t>(kSubMbTypeP + bins.n);
}

constexpr uint16_t ctx_of_b_sub_mb_type(Bins bins) {
    if (bins.n < 2) return static_cast<uint16_t>(kSubMbTypeB + bins.n);
    return kSubMbTypeB + (bins.n == 2 && bins[1] ? 2 : 3);
}

/// What the macroblock itself adds, 9.3.3.1.1.4; b0 to b3 are its 8x8 blocks. A block to the left
/// or above that is not coded adds 1 or 2.
constexpr uint16_t ctx_of_coded_block_pattern(Bins bins) {
    constexpr auto kLuma = kCodedBlockPatternLuma;
    switch (bins.n) {
        case 0:
            return kLuma;
        case 1:
            return kLuma + (bins[0] ? 0 : 1);
        case 2:
            return kLuma + (bins[0] ? 0 : 2);
        case 3:
            return static_cast<uint16_t>(kLuma + (bins[2] ? 0 : 1) + (bins[1] ? 0 : 2));
        case 4:
            return kCodedBlockPatternChroma;
        default:
            return kCodedBlockPatternChroma + 4;
    }
}

template <size_t n, class CtxIdx>
consteval BinCode code_of(const std::string_view (&strings)[n], CtxIdx ctx_idx) {
    BinCode code;
    for (size_t i = 0; i < n; ++i) code.code.add(static_cast<int>(i), strings[i]);
    put_contexts(code, ctx_idx);
    return code;
}

/// Inter types, then those of I slices behind a prefix.
template <size_t n, class CtxIdx>
consteval BinCode mb_types_of(
    const std::string_view (&inter)[n], std::string_view intra_prefix, CtxIdx ctx_idx
) {
    BinCode code;
    int symbol = 0;
    for (const std::string_view string : inter) code.code.add(symbol++, string);
    for (const std::string_view string : kIMbTypes) {
        BinText text;
        text.add(intra_prefix);
        text.add(string);
        code.code.add(symbol++, text.view());
    }
    put_contexts(code, ctx_idx);
    return code;
}

/// U, 9.3.2.1, of 0 to `most`.
template <class CtxIdx>
consteval BinCode unary(int most, CtxIdx ctx_idx) {
    BinCode code;
    BinText ones;
    for (int value = 0; value <= most; ++value) {
        BinText text = ones;
        text.add("0");
        code.code.add(value, text.view());
        ones.add("1");
    }
    put_contexts(code, ctx_idx);
    return code;
}

/// FL with cMax = 2^n_bins - 1, 9.3.2.4: the first bin is the lowest bit.
consteval BinCode fixed_length(int n_bins, uint16_t ctx_idx) {
    BinCode code;
    for (int value = 0; value < 1 << n_bins; ++value) {
        BinText text;
        for (int i = 0; i < n_bins; ++i) text.add((value >> i) & 1 ? "1" : "0");
        code.code.add(value, text.view());
    }
    put_contexts(code, [=](Bins) { return ctx_idx; });
    return code;
}

/// 9.3.2.6: FL of luma with cMax = 15, TU of chroma with cMax = 2.
consteval BinCode coded_block_patterns() {
    BinCode code;
    for (int pattern = 0; pattern < static_cast<int>(kCodedBlockPatterns); ++pattern) {
        constexpr std::string_view kChroma[] = {"0", "10", "11"};
        BinText text;
        for (int i = 0; i < 4; ++i) text.add((pattern >> i) & 1 ? "1" : "0");
        text.add(kChroma[pattern >> 4]);
        code.code.add(pattern, text.view());
    }
    put_contexts(code, ctx_of_coded_block_pattern);
    return code;
}

inline constexpr std::string_view kTruncatedUnary3[] = {"0", "10", "110", "111"};  // 9.3.2.2
inline constexpr int kMaxRefIdx = 31;
inline constexpr int kMaxMappedQpDelta = 52;  // of -26

inline constexpr BinCode kMbTypeOfI = code_of(kIMbTypes, ctx_of_i_mb_type);
inline constexpr BinCode kMbTypeOfP = mb_types_of(kPMbTypes, kPIntraPrefix, ctx_of_p_mb_type);
inline constexpr BinCode kMbTypeOfB = mb_types_of(kBMbTypes, kBIntraPrefix, ctx_of_b_mb_type);
inline constexpr BinCode kSubMbTypeOfP = code_of(kPSubMbTypes, ctx_of_p_sub_mb_type);
inline constexpr BinCode kSubMbTypeOfB = code_of(kBSubMbTypes, ctx_of_b_sub_mb_type);
inline constexpr BinCode kCodedBlockPattern = coded_block_patterns();
inline constexpr BinCode kRefIdxCode = unary(kMaxRefIdx, [](Bins bins) {
    return static_cast<uint16_t>(kRefIdx + (bins.n == 0 ? 0 : bins.n == 1 ? 4 : 5));
});
inline constexpr BinCode kMbQpDeltaCode = unary(kMaxMappedQpDelta, [](Bins bins) {
    return static_cast<uint16_t>(kMbQpDelta + (bins.n == 0 ? 0 : bins.n == 1 ? 2 : 3));
});
inline constexpr BinCode kIntraChromaPredModeCode = code_of(kTruncatedUnary3, [](Bins bins) {
    return static_cast<uint16_t>(kIntraChromaPredMode + (bins.n == 0 ? 0 : 3));
});
inline constexpr BinCode kRemIntraPredModeCode = fixed_length(3, kRemIntraPredMode);
inline constexpr BinCode kFlag = fixed_length(1, 0);
inline constexpr BinCode kBypassFlag = fixed_length(1, kBypass);
inline constexpr BinCode kTerminateFlag = fixed_length(1, kTerminate);

/// Every string of bins begins with a symbol's, or one begins with it.
constexpr bool is_complete(const BinCode& code, int node = 0) {
    for (const int child : code.code.node(node).children) {
        if (child == PrefixCode::kNone) return false;
        if (child > 0 && !is_complete(code, child)) return false;
    }
    return code.code.is_prefix_free();
}

static_assert(is_complete(kMbTypeOfI));
static_assert(is_complete(kMbTypeOfP));
static_assert(is_complete(kMbTypeOfB));
static_assert(is_complete(kSubMbTypeOfP));
static_assert(is_complete(kSubMbTypeOfB));
static_assert(is_complete(kCodedBlockPattern));
static_assert(is_complete(kIntraChromaPredModeCode));
static_assert(is_complete(kRemIntraPredModeCode));

}  // namespace pycodec_lm::h264::bin_codes
