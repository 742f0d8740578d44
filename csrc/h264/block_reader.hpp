// A residual block, or the rest of one, read at once by tables: the same as field by field, which
// is its definition, where nothing is rare and the limit of a macroblock's bits is far.
#pragma once

#include <bit>
#include <cstdint>

#include "grammar/status.hpp"
#include "h264/cavlc_lookup.hpp"
#include "h264/macroblock.hpp"

namespace pycodec_lm::h264 {

/// Up to 64 bits, the first at the top, and zeros behind them.
class WordBits {
public:
    WordBits(uint64_t word, int n_bits) : word_(word), n_left_(n_bits) {}

    uint64_t here() const { return word_; }
    int n_left() const { return n_left_; }
    bool has(int n) const { return n <= n_left_; }
    /// Fewer than 64.
    void skip(int n) {
        word_ <<= n;
        n_left_ -= n;
    }

private:
    uint64_t word_;
    int n_left_;
};

enum class BlockEnd : uint8_t {
    kWhole,    // up to its last bit
    kBegun,    // the bits end before it does, and some legal block goes on
    kRefused,  // none does
    kRare,     // field by field must tell
};

/// residual_block_cavlc(), 7.3.5.3.2. `Bits` says which come next, at least 57 of them if there are
/// as many, and how many are left.
template <class Bits>
class BlockReader {
public:
    BlockReader(Bits& bits, const Macroblock& mb)
        : bits_(bits),
          coeff_table_(mb.coeff_table),
          max_coeff_(mb.max_coeff),
          total_(mb.total),
          trailing_ones_(mb.trailing_ones),
          i_(mb.i_level),
          suffix_length_(mb.suffix_length),
          level_prefix_(mb.level_prefix),
          zeros_left_(mb.zeros_left) {}

    /// From the first bit of a field on.
    BlockEnd read(Element from) {
        switch (from) {
            case Element::kCoeffToken:
                if (const BlockEnd end = coeff_token(); end != BlockEnd::kWhole) return end;
                if (total_ == 0) return BlockEnd::kWhole;
                [[fallthrough]];
            case Element::kTrailingOnesSignFlag:
                if (!bits_.has(trailing_ones_ - i_)) return BlockEnd::kBegun;
                bits_.skip(trailing_ones_ - i_);
                i_ = trailing_ones_;
                return levels();
            case Element::kLevelPrefix:
                return levels();
            case Element::kLevelSuffix:
                if (level_prefix_ >= kRarePrefix) return BlockEnd::kRare;
                return level(level_prefix_, 0) ? levels() : BlockEnd::kBegun;
            case Element::kTotalZeros:
                return total_zeros();
            default:
                return runs();
        }
    }

    /// TotalCoeff of the block.
    int total() const { return total_; }

private:
    static constexpr int kRarePrefix = 15;

    BlockEnd coeff_token() {
        const auto table = static_cast<size_t>(coeff_table_);
        const CodeEntry& entry = kCoeffTokens8[table][bits_.here()];
        if (entry.length == 0 || !bits_.has(entry.length))
            return begun(
                kBegunCoeffTokens[table], kRowsByMaxCoeff[static_cast<size_t>(max_coeff_)]
            );
        const CoeffTokenRow& row = kTable9_5[entry.symbol];
        total_ = row.total_coeff;
        trailing_ones_ = row.trailing_ones;
        if (total_ > max_coeff_) return BlockEnd::kRefused;
        bits_.skip(entry.length);
        i_ = 0;
        suffix_length_ = total_ > 10 && trailing_ones_ < 3 ? 1 : 0;
        return BlockEnd::kWhole;
    }

    BlockEnd levels() {
        while (i_ < total_) {
            const int prefix = std::countl_zero(bits_.here());
            if (prefix >= kRarePrefix && bits_.has(kRarePrefix)) return BlockEnd::kRare;
            if (!bits_.has(prefix + 1) || !level(prefix, prefix + 1)) return BlockEnd::kBegun;
        }
        return total_zeros();
    }

    /// 9.2.2. The bits of its prefix are still there; false where those of its suffix are not.
    bool level(int prefix, int n_prefix) {
        const int n_suffix = prefix == 14 && suffix_length_ == 0 ? 4 : suffix_length_;
        if (!bits_.has(n_prefix + n_suffix)) return false;
        const auto suffix =
            n_suffix == 0 ? 0 : static_cast<int>(bits_.here() << n_prefix >> (64 - n_suffix));
        bits_.skip(n_prefix + n_suffix);
        int code = (prefix << suffix_length_) + suffix;
        if (i_ == trailing_ones_ && trailing_ones_ < 3) code += 2;
        const int magnitude = (code + 2) / 2;
        if (suffix_length_ == 0) suffix_length_ = 1;
        if (magnitude > 3 << (suffix_length_ - 1) && suffix_length_ < 6) ++suffix_length_;
        ++i_;
        return true;
    }

    BlockEnd total_zeros() {
        if (total_ == max_coeff_) return BlockEnd::kWhole;
        const auto index = static_cast<size_t>(total_ - 1);
        const int most = max_coeff_ - total_;
        const BlockEnd end =
            max_coeff_ == 4
                ? symbol(kChromaDcTotalZeros3[index], kBegunChromaDcTotalZeros[index], most)
                : symbol(kTotalZeros9[index], kBegunTotalZeros[index], most);
        if (end != BlockEnd::kWhole) return end;
        zeros_left_ = symbol_;
        i_ = 0;
        return runs();
    }

    BlockEnd runs() {
        for (; zeros_left_ > 0 && i_ + 1 < total_; ++i_) {
            const size_t index = static_cast<size_t>(zeros_left_ < 7 ? zeros_left_ : 7) - 1;
            const BlockEnd end = symbol(kRunBefore3[index], kBegunRunBefore[index], zeros_left_);
            if (end != BlockEnd::kWhole) return end;
            zeros_left_ -= symbol_;
        }
        return BlockEnd::kWhole;
    }

    /// A symbol that is at most `most`.
    template <class Codes, class BegunCodes>
    BlockEnd symbol(const Codes& codes, const BegunCodes& begun_codes, int most) {
        const CodeEntry& entry = codes[bits_.here()];
        if (entry.length == 0 || !bits_.has(entry.length))
            return begun(begun_codes, (uint64_t{2} << most) - 1);
        if (entry.symbol > most) return BlockEnd::kRefused;
        bits_.skip(entry.length);
        symbol_ = entry.symbol;
        return BlockEnd::kWhole;
    }

    /// A code that is longer than what is left, or than the tables.
    template <class BegunCodes>
    BlockEnd begun(const BegunCodes& codes, uint64_t legal) const {
        const int n = bits_.n_left();
        if (n > BegunCodes::kMaxBits) return BlockEnd::kRare;
        const uint64_t first = bits_.here() >> 1 >> (63 - n);
        return (codes(first, n) & legal) == 0 ? BlockEnd::kRefused : BlockEnd::kBegun;
    }

    Bits& bits_;
    const int coeff_table_;
    const int max_coeff_;
    int total_;
    int trailing_ones_;
    int i_;  // levels read; then runs
    int suffix_length_;
    const int level_prefix_;
    int zeros_left_;
    int symbol_ = 0;
};

}  // namespace pycodec_lm::h264
