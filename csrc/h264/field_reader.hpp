// A field of slice data, read at once by tables: the same as AvcCursor::take_bits(), which is its
// definition, and several times as fast. What is rare goes there. It is inlined where many fields
// are read in a loop.
#pragma once

#include <algorithm>
#include <array>
#include <bit>

#include "h264/cavlc_lookup.hpp"
#include "h264/cursor.hpp"
#include "h264/exp_golomb.hpp"

namespace pycodec_lm::h264 {

inline constexpr int kMaxSlowBits = 16;  // given to take_bits() at once
inline constexpr uint64_t kMbTypes = 49;
inline constexpr uint64_t kRefIndices = 32;
inline constexpr uint64_t kIntraChromaModes = 4;

/// A ue(v) code, or what it begins with: the codeNums that it may be. 9.1.
struct Golomb {
    static constexpr int kMaxZeros = 31;  // what begins with more is refused by take_bits() too

    uint64_t first;
    uint64_t last;
    int length;

    Golomb(uint64_t word, int n_bits) {
        const int n_zeros = std::countl_zero(word);
        length = 2 * n_zeros + 1;
        if (length <= n_bits) {
            first = last = (word >> (64 - length)) - 1;
        } else if (n_zeros > kMaxZeros && n_bits > kMaxZeros) {
            first = last = UINT64_MAX;  // no code
        } else if (n_zeros >= n_bits) {
            first = (uint64_t{1} << n_bits) - 1;
            last = UINT32_MAX;
        } else {
            const int n_left = length - n_bits;
            first = (word >> (64 - n_bits) << n_left) - 1;
            last = first + ((uint64_t{1} << n_left) - 1);
        }
    }
};

/// The field that is due, from its first bit on.
class AvcCursor::FieldReader {
public:
    /// The bits that come next are the top `n_bits` bits of `word`. Where the state behind them
    /// is not `seen`, a field that ends with them is only asked for, not taken.
    FieldReader(AvcCursor& cursor, uint64_t word, int n_bits, bool is_state_seen = true)
        : c_(cursor),
          p_(cursor.position_),
          word_(word),
          n_new_(n_bits),
          n_read_(p_.n_partial),
          n_(n_bits + n_read_),
          n_unseen_(is_state_seen ? 0 : n_),
          // The zeros of level_prefix are counted, not kept: they are zeros here too.
          bits_(n_read_ == 0 ? word : p_.partial << (64 - n_read_) | word >> n_read_) {}

    /// Takes the bits that belong to the field, if some legal value goes on with all of them.
    /// Returns how many it took of the new ones; 0 where it took none.
    int take() {
        if (n_ > 64 || p_.limits.has_cabac) return slow();
        if (p_.at >= Element::kCoeffToken)
            return c_.is_bit_limit_far() ? field_of_residual() : slow();
        return field_of_macroblock();
    }

private:
    int field_of_macroblock() {
        switch (p_.at) {
            case Element::kMbSkipRun: {
                const Golomb code(bits_, n_);
                if (code.first > UINT32_MAX) return 0;
                const auto least = static_cast<uint32_t>(code.first);
                if (least > 0 && least > c_.max_skip_run(least)) return 0;
                if (code.length > n_) return begun();
                return whole(code.length, [&] {
                    c_.take_skip_run(static_cast<uint32_t>(code.first));
                });
            }
            case Element::kMbType:
                return number(
                    kMbTypes, [this](uint64_t value) { return c_.is_legal_mb_type(value); },
                    [this](uint32_t value) { c_.take_mb_type(value); }
                );
            case Element::kSubMbType:
                return number(
                    kNumBSubMbTypes,
                    [this](uint64_t value) { return c_.is_legal_sub_mb_type(value); },
                    [this](uint32_t value) { c_.take_sub_mb_type(value); }
                );
            case Element::kIntraChromaPredMode:
                return number(
                    kIntraChromaModes,
                    [this](uint64_t value) { return c_.is_legal_intra_chroma_mode(value); },
                    [this](uint32_t) { c_.take_intra_chroma_mode(); }
                );
            case Element::kRefIdxL0:
                return ref_idx(0);
            case Element::kRefIdxL1:
                return ref_idx(1);
            case Element::kCodedBlockPattern:
                return number(
                    kCodedBlockPatterns, [](uint64_t value) { return value < kCodedBlockPatterns; },
                    [this](uint32_t value) { c_.take_coded_block_pattern(value); }
                );
            case Element::kMvdL0X:
            case Element::kMvdL1X:
                return signed_number(
                    legal_mvds(p_.limits.mv_x, p_.mb.predicted.x),
                    [this](int64_t mvd) { c_.take_mvd_x(mvd); }
                );
            case Element::kMvdL0Y:
            case Element::kMvdL1Y:
                return signed_number(
                    legal_mvds(p_.limits.mv_y, p_.mb.predicted.y),
                    [this](int64_t mvd) { c_.take_mvd_y(mvd); }
                );
            case Element::kMbQpDelta:
                return signed_number(c_.legal_mb_qp_deltas(), [this](int64_t) {
                    c_.begin_residual();
                });
            case Element::kPrevIntra4x4PredModeFlag:
            case Element::kPrevIntra8x8PredModeFlag:
                return intra_modes();
            case Element::kRemIntra4x4PredMode:
            case Element::kRemIntra8x8PredMode: {
                constexpr int kBits = 3;
                if (n_ < kBits) return slow();
                const auto rem = static_cast<uint32_t>(bits_ >> (64 - kBits));
                if (((c_.legal_intra_mode_rems() >> rem) & 1) == 0) return 0;
                return whole(kBits, [&] { c_.take_intra_mode_rem(rem); });
            }
            default:
                return slow();
        }
    }

    int field_of_residual() {
        const Macroblock& mb = p_.mb;
        switch (p_.at) {
            case Element::kCoeffToken:
                return symbol(
                    kCoeffTokens8[mb.coeff_table], kBegunCoeffTokens[mb.coeff_table],
                    kRowsByMaxCoeff[mb.max_coeff]
                );
            case Element::kTrailingOnesSignFlag: {
                // All of them at once: what they are changes nothing.
                const int n = std::min(n_, mb.trailing_ones - mb.i_level);
                return whole(n, [&] {
                    p_.mb.i_level = static_cast<uint8_t>(mb.i_level + n - 1);
                    c_.take_residual_field(0);
                });
            }
            case Element::kLevelPrefix: {
                const int n_zeros = std::min(std::countl_zero(bits_), n_);
                if (static_cast<uint32_t>(n_zeros) > c_.max_level_prefix()) return 0;
                return n_zeros == n_ ? begun() : whole_with(n_zeros + 1, n_zeros);
            }
            case Element::kLevelSuffix: {
                const int n = level_suffix_size(mb);
                return n > n_ ? begun() : whole_with(n, static_cast<int64_t>(bits_ >> (64 - n)));
            }
            case Element::kTotalZeros: {
                const auto index = static_cast<size_t>(mb.total - 1);
                const uint64_t legal = (uint64_t{2} << (mb.max_coeff - mb.total)) - 1;
                if (mb.max_coeff == 4)
                    return symbol(
                        kChromaDcTotalZeros3[index], kBegunChromaDcTotalZeros[index], legal
                    );
                return symbol(kTotalZeros9[index], kBegunTotalZeros[index], legal);
            }
            default: {  // kRunBefore
                const size_t index = std::min<size_t>(mb.zeros_left, 7) - 1;
                return symbol(
                    kRunBefore3[index], kBegunRunBefore[index], (uint64_t{2} << mb.zeros_left) - 1
                );
            }
        }
    }

    int slow() {
        const int n = std::min(n_new_, kMaxSlowBits);
        return c_.take_bits(static_cast<unsigned>(word_ >> (64 - n)), n);
    }

    /// More bits must come.
    int begun() {
        if (n_unseen_ > 0) return n_new_;
        p_.partial = bits_ >> (64 - n_);
        p_.n_partial = static_cast<uint8_t>(n_);
        c_.count_bits(n_new_);
        return n_new_;
    }

    /// All of the field is here.
    template <class Take>
    int whole(int length, const Take& take) {
        if (length == n_unseen_) return n_new_;
        p_.partial = 0;
        p_.n_partial = 0;
        c_.count_bits(length - n_read_);
        take();
        return length - n_read_;
    }
    int whole_with(int length, int64_t value) {
        return whole(length, [&] { c_.take_residual_field(value); });
    }

    /// ue(v), values below `end`.
    template <class IsLegal, class Take>
    int number(uint64_t end, const IsLegal& is_legal, const Take& take) {
        const Golomb code(bits_, n_);
        if (code.length <= n_) {
            if (!is_legal(code.first)) return 0;
            return whole(code.length, [&] { take(static_cast<uint32_t>(code.first)); });
        }
        for (uint64_t value = code.first; value <= code.last && value < end; ++value) {
            if (is_legal(value)) return begun();
        }
        return 0;
    }

    template <class Take>
    int signed_number(SignedRange legal, const Take& take) {
        const Golomb code(bits_, n_);
        if (code.first > UINT32_MAX) return 0;
        if (code.length > n_) return c_.any_legal_signed(code.first, code.last) ? begun() : 0;
        const int64_t value = signed_value(code.first);
        if (value < legal.first || value > legal.last) return 0;
        return whole(code.length, [&] { take(value); });
    }

    int ref_idx(size_t list) {
        const auto is_legal = [legal = c_.legal_refs()](uint64_t value) {
            return value < kRefIndices && ((legal >> value) & 1) != 0;
        };
        const auto take = [this](uint32_t value) { c_.take_ref_idx(static_cast<int8_t>(value)); };
        if (p_.slice.num_ref_idx_active[list] != 2) return number(kRefIndices, is_legal, take);
        const uint32_t value = bits_ >> 63 == 0;  // te(v): 1 is 0, 0 is 1
        if (!is_legal(value)) return 0;
        return whole(1, [&] { take(value); });
    }

    /// As many modes as are here: their fields look at each other only.
    int intra_modes() {
        const Element flag = p_.at;
        // A mode takes at least a bit.
        const int n_modes = (p_.mb.has_transform_8x8 ? 4 : 16) - p_.mb.part;
        if (n_unseen_ > 0 && n_ <= n_modes && p_.mb.intra_mode.are_all_legal()) return n_new_;
        int n = 0;
        do {
            const uint32_t modes = p_.mb.legal_intra_modes();
            const uint8_t predicted = p_.mb.predicted_intra_mode();
            const uint64_t bits = bits_ << n;
            uint32_t mode = predicted;
            if (bits >> 63 != 0) {  // prev_intra4x4_pred_mode_flag
                n += 1;
            } else if (n_ - n < 4) {
                if ((modes & ~(1u << predicted)) == 0) return 0;
                n += 1;
                c_.expect_intra_mode_rem();
                break;
            } else {
                const auto rem = static_cast<uint32_t>(bits << 1 >> 61);
                mode = rem < predicted ? rem : rem + 1;
                n += 4;
            }
            if (((modes >> mode) & 1) == 0) return 0;
            c_.take_intra_mode(static_cast<uint8_t>(mode));
        } while (n < n_ && p_.at == flag);
        c_.count_bits(n);
        return n;
    }

    template <class Whole, class Begun>
    int symbol(const Whole& codes, const Begun& begun_codes, uint64_t legal) {
        const CodeEntry& entry = codes[bits_];
        if (entry.length != 0 && entry.length <= n_)
            return ((legal >> entry.symbol) & 1) == 0 ? 0 : whole_with(entry.length, entry.symbol);
        if (n_ > Begun::kMaxBits) return slow();
        return (begun_codes(bits_ >> (64 - n_), n_) & legal) == 0 ? 0 : begun();
    }

    AvcCursor& c_;
    Position& p_;
    const uint64_t word_;  // the new bits, at the top
    const int n_new_;
    const int n_read_;
    const int n_;
    const int n_unseen_;  // bits of a field that need not be taken
    const uint64_t bits_;
};

}  // namespace pycodec_lm::h264
