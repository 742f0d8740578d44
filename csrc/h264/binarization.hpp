// How CABAC spells syntax elements in bins: 9.3.2, with the context of each bin, 9.3.3.1.
//
// One description serves all who walk it. Between two bins a BinString says which context the next
// bin has and which values stay possible behind a 0 and behind a 1. Who decodes takes the bin that
// the engine gives; who encodes takes the one that its value is behind; who asks which bins may
// come takes those that a legal value is behind.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "h264/macroblock.hpp"
#include "h264/prefix_code.hpp"

namespace pycodec_lm::h264 {

/// Of a bin that has no context variable: 9.3.3.2.3.
inline constexpr uint16_t kBypass = 0xFFFF;
/// ctxIdx of terminating bins: 9.3.3.2.2.3.
inline constexpr uint16_t kTerminate = 276;

inline constexpr uint64_t kAnySymbol = ~uint64_t{0};
/// Of mb_qp_delta: -26 to 25, mapped as 9.3.2.7 says.
inline constexpr uint64_t kMappedQpDeltas = ((uint64_t{1} << 53) - 1) & ~(uint64_t{1} << 51);

/// Values of a syntax element that are asked for. Of a code they are symbols, a bit each; of a
/// number a range.
struct BinValues {
    uint64_t symbols = 0;
    int32_t first = 0;
    int32_t last = -1;

    static constexpr BinValues of_symbols(uint64_t symbols) { return {.symbols = symbols}; }
    static constexpr BinValues of_range(int32_t first, int32_t last) {
        return {.first = first, .last = last};
    }
    /// One value, of a code or a number.
    static constexpr BinValues only(int32_t value) {
        const bool is_symbol = value >= 0 && value < PrefixCode::kMaxSymbols;
        return {is_symbol ? uint64_t{1} << value : 0, value, value};
    }

    constexpr bool contains(int32_t value) const {
        return (only(value).symbols & symbols) != 0 || (first <= value && value <= last);
    }
};

/// The bin strings of a syntax element with few values, and the ctxIdx of each bin.
struct BinCode {
    static constexpr size_t kMaxNodes = 64;

    PrefixCode code;
    std::array<uint16_t, kMaxNodes> ctx_idx{};  // by node of the code
};

/// The bins of one syntax element, as far as they have been read. Small, and copied to look ahead.
class BinString {
public:
    /// An element of a code.
    ///
    /// @param increments what neighbours add to ctxIdx, two bits a bin, the first bin's lowest
    /// @param ctx_offset added to ctxIdx, but not where a bin has no context variable
    static constexpr BinString of_code(
        const BinCode& code, uint16_t increments = 0, uint16_t ctx_offset = 0
    ) {
        BinString string;
        string.code_ = &code;
        string.increments_ = increments;
        string.first_ctx_ = ctx_offset;
        return string;
    }

    /// UEGk, 9.3.2.3, with signedValFlag = is_signed and uCoff = u_coff. The bins of the prefix
    /// have the contexts first_ctx, next_ctx, next_ctx + 1, ... last_ctx, last_ctx, ...
    struct Number {
        uint8_t k;
        uint8_t u_coff;
        bool is_signed;
        uint16_t first_ctx;
        uint16_t next_ctx;
        uint16_t last_ctx;
    };
    static constexpr BinString of_number(const Number& number) {
        BinString string;
        string.n_bits_ = number.k;
        string.u_coff_ = number.u_coff;
        string.is_signed_ = number.is_signed;
        string.first_ctx_ = number.first_ctx;
        string.next_ctx_ = number.next_ctx;
        string.last_ctx_ = number.last_ctx;
        return string;
    }

    /// All bins are there.
    constexpr bool is_whole() const { return phase_ == Phase::kWhole; }
    /// Of a code its symbol.
    constexpr int32_t value() const { return value_; }
    constexpr int n_bins() const { return n_bins_; }

    /// Of the next bin; kBypass and kTerminate are others than decisions.
    constexpr uint16_t ctx_idx() const {
        if (code_ == nullptr) return number_ctx_idx();
        const uint16_t ctx_idx = code_->ctx_idx[static_cast<size_t>(value_)];
        if (ctx_idx == kBypass || ctx_idx == kTerminate) return ctx_idx;
        return static_cast<uint16_t>(ctx_idx + first_ctx_ + (increments_ & 3));
    }

    /// Whether one of some values is still possible behind the next bin.
    constexpr bool can_be(bool bin, const BinValues& values) const {
        if (code_ != nullptr) {
            const int child = code_->code.node(value_).children[bin];
            if (values.symbols == kAnySymbol) return child != PrefixCode::kNone;
            return (code_->code.symbols_below(child) & values.symbols) != 0;
        }
        const Magnitudes behind = magnitudes_behind(bin);
        const bool any_positive = behind.first <= values.last && values.first <= behind.last;
        const bool any_negative = -behind.last <= values.last && values.first <= -behind.first;
        if (phase_ == Phase::kSign) return bin ? any_negative : any_positive;
        return any_positive || (is_signed_ && any_negative);
    }

    static constexpr int32_t kNoValue = INT32_MIN;

    /// The value of a string that has not begun, all of whose bins come from `next_bin(ctx_idx)`:
    /// what take() comes to. kNoValue where bins are none's, or are a magnitude over 2^20.
    template <class NextBin>
    constexpr int32_t decode(const NextBin& next_bin) const {
        return code_ != nullptr ? decode_symbol(next_bin) : decode_number(next_bin);
    }

    /// Takes a bin behind which there is a value.
    constexpr void take(bool bin) {
        ++n_bins_;
        if (code_ == nullptr) return take_of_number(bin);
        increments_ >>= 2;
        const int child = code_->code.node(value_).children[bin];
        value_ = child < 0 ? -child - 1 : child;
        if (child < 0) phase_ = Phase::kWhole;
    }

private:
    /// Of a number. Its magnitude is a prefix of ones as long as it is, up to uCoff of them; then
    /// an Exp-Golomb code of the rest, then a sign.
    enum class Phase : uint8_t { kPrefix, kEscape, kSuffix, kSign, kWhole };

    struct Magnitudes {
        int32_t first;
        int32_t last;
    };
    static constexpr int32_t kEndless = INT32_MAX;

    constexpr Magnitudes magnitudes_behind(bool bin) const {
        switch (phase_) {
            case Phase::kPrefix:
                return bin ? Magnitudes{value_ + 1, kEndless} : Magnitudes{value_, value_};
            case Phase::kEscape: {
                const int32_t n = int32_t{1} << n_bits_;
                return bin ? Magnitudes{value_ + n, kEndless} : Magnitudes{value_, value_ + n - 1};
            }
            case Phase::kSuffix: {
                const int32_t n = int32_t{1} << (n_bits_ - 1);
                const int32_t first = bin ? value_ + n : value_;
                return {first, first + n - 1};
            }
            default:
                return {value_, value_};
        }
    }

    constexpr uint16_t number_ctx_idx() const {
        if (phase_ != Phase::kPrefix) return kBypass;
        if (value_ == 0) return first_ctx_;
        return static_cast<uint16_t>(std::min<int>(next_ctx_ + value_ - 1, last_ctx_));
    }

    constexpr void take_of_number(bool bin) {
        switch (phase_) {
            case Phase::kPrefix:
                value_ += bin;
                if (!bin) return end_magnitude();
                if (value_ == u_coff_) phase_ = Phase::kEscape;
                return;
            case Phase::kEscape:
                if (bin) {
                    value_ += int32_t{1} << n_bits_;
                    ++n_bits_;
                    return;
                }
                phase_ = Phase::kSuffix;
                if (n_bits_ == 0) end_magnitude();
                return;
            case Phase::kSuffix:
                --n_bits_;
                if (bin) value_ += int32_t{1} << n_bits_;
                if (n_bits_ == 0) end_magnitude();
                return;
            default:
                if (bin) value_ = -value_;
                phase_ = Phase::kWhole;
        }
    }

    constexpr void end_magnitude() {
        phase_ = is_signed_ && value_ != 0 ? Phase::kSign : Phase::kWhole;
    }

    template <class NextBin>
    constexpr int32_t decode_symbol(const NextBin& next_bin) const {
        unsigned increments = increments_;
        int node = 0;
        do {
            uint16_t ctx_idx = code_->ctx_idx[static_cast<size_t>(node)];
            if (ctx_idx != kBypass && ctx_idx != kTerminate)
                ctx_idx = static_cast<uint16_t>(ctx_idx + first_ctx_ + (increments & 3));
            increments >>= 2;
            node = code_->code.node(node).children[next_bin(ctx_idx)];
        } while (node > 0);
        return node < 0 ? -node - 1 : kNoValue;
    }

    template <class NextBin>
    constexpr int32_t decode_number(const NextBin& next_bin) const {
        constexpr int kMostBits = 20;
        if (!next_bin(first_ctx_)) return 0;
        int32_t value = 1;
        for (uint16_t ctx_idx = next_ctx_; value < u_coff_ && next_bin(ctx_idx); ++value)
            ctx_idx = std::min<uint16_t>(ctx_idx + 1, last_ctx_);
        if (value == u_coff_) {
            int n_bits = n_bits_;
            for (; next_bin(kBypass); ++n_bits) {
                if (n_bits == kMostBits) return kNoValue;
                value += int32_t{1} << n_bits;
            }
            while (n_bits-- > 0) {
                if (next_bin(kBypass)) value += int32_t{1} << n_bits;
            }
        }
        return is_signed_ && next_bin(kBypass) ? -value : value;
    }

    const BinCode* code_ = nullptr;  // none of a number
    int32_t value_ = 0;              // of a code the node, once it is whole the symbol
    uint16_t first_ctx_ = 0;
    uint16_t next_ctx_ = 0;
    uint16_t last_ctx_ = 0;
    uint16_t increments_ = 0;  // of the next bins
    uint8_t n_bits_ = 0;       // k, then bits of the suffix that are left
    uint8_t u_coff_ = 0;
    bool is_signed_ = false;
    Phase phase_ = Phase::kPrefix;
    uint8_t n_bins_ = 0;
};

/// Which parts of a residual block a context is for: Table 9-42. Those of Cb and Cr coded as luma
/// is are out of scope.
enum class BlockCat : uint8_t {
    kIntra16x16Dc,
    kIntra16x16Ac,
    kLuma4x4,
    kChromaDc,
    kChromaAc,
    kLuma8x8,
};

/// maxNumCoeff, by BlockCat.
inline constexpr uint8_t kMaxNumCoeff[] = {16, 15, 16, 4, 15, 64};

enum class MbSliceType : uint8_t { kI, kP, kB };

/// The bin strings of syntax elements in their place, `a` and `b` being neighbours to the left and
/// above, null where they are not available. All are of frames.
namespace binarization {

BinString mb_skip_flag(MbSliceType slice, const NeighbourMb* a, const NeighbourMb* b);
/// Values are mb_type as Tables 7-11, 7-13 and 7-14 number it, with intra types of P slices from 5
/// on and of B slices from 23 on.
BinString mb_type(MbSliceType slice, const NeighbourMb* a, const NeighbourMb* b);
BinString sub_mb_type(MbSliceType slice);
BinString transform_size_8x8_flag(const NeighbourMb* a, const NeighbourMb* b);
/// Values are 16 * CodedBlockPatternChroma + CodedBlockPatternLuma.
BinString coded_block_pattern(const NeighbourMb* a, const NeighbourMb* b);
/// Values are the mapped ones of 9.3.2.7: signed_value() gives mb_qp_delta.
/// @param was_changed mb_qp_delta of the macroblock before, in the slice, is there and not 0
BinString mb_qp_delta(bool was_changed);
BinString prev_intra_pred_mode_flag();  // of 4x4 and 8x8 blocks
BinString rem_intra_pred_mode();        // of 4x4 and 8x8 blocks
BinString intra_chroma_pred_mode(const NeighbourMb* a, const NeighbourMb* b);
/// @param a, b whether the partitions beside have a coded index above 0 of the list
BinString ref_idx(bool a, bool b);
/// @param component 0 horizontal, 1 vertical
/// @param sum of absMvdComp of the partitions beside
BinString mvd(int component, int sum);
BinString end_of_slice_flag();

/// @param a, b whether the neighbouring blocks are coded, transBlockA and transBlockB
/// of 9.3.3.1.1.9
BinString coded_block_flag(BlockCat cat, bool a, bool b);
/// @param level_list_idx numDecod of 9.3.3.1.3: the place in the block's list of coefficients
BinString significant_coeff_flag(BlockCat cat, int level_list_idx);
BinString last_significant_coeff_flag(BlockCat cat, int level_list_idx);
/// @param n_equal_1, n_greater_1 levels of the block so far whose magnitude is 1, is greater
BinString coeff_abs_level_minus1(BlockCat cat, int n_equal_1, int n_greater_1);
BinString coeff_sign_flag();

/// Whether a neighbouring block counts as coded for coded_block_flag where it is not one that has a
/// flag: 9.3.3.1.1.9. None: the block itself says.
/// @param has_block its macroblock's coded_block_pattern and kind leave it in the bitstream
std::optional<bool> coded_without_flag(const NeighbourMb* neighbour, bool is_intra, bool has_block);

}  // namespace binarization

}  // namespace pycodec_lm::h264
