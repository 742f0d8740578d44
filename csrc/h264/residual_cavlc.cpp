// Residual blocks by CAVLC: 7.3.5.3.2, 9.2, within the bits that a macroblock may have, A.3.1 n).
#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>

#include "h264/cavlc_lookup.hpp"
#include "h264/cursor.hpp"

namespace pycodec_lm::h264 {
namespace {

constexpr uint32_t kMaxLevelPrefix = 15;      // A.2.1 to A.2.3
constexpr uint32_t kMaxLevelPrefixHigh = 19;  // 9.2.2.1, with 8-bit samples

/// Bits of the cheapest run_before codes, by zerosLeft and the runs that are left.
constexpr std::array<std::array<uint8_t, 16>, 16> least_run_bits() {
    std::array<std::array<uint8_t, 16>, 16> least{};
    for (size_t n_runs = 1; n_runs < 16; ++n_runs) {
        for (size_t zeros = 1; zeros < 16; ++zeros) {
            const PrefixCode& code = kRunBeforeCodes[std::min<size_t>(zeros, 7) - 1];
            int best = 255;
            for (size_t run = 0; run <= zeros && run < 15; ++run) {
                if (!((code.symbols() >> run) & 1)) continue;
                best = std::min(
                    best, code.length(static_cast<int>(run)) + least[n_runs - 1][zeros - run]
                );
            }
            least[n_runs][zeros] = static_cast<uint8_t>(best);
        }
    }
    return least;
}
constexpr auto kLeastRunBits = least_run_bits();

const PrefixCode& total_zeros_code(int max_coeff, int total) {
    const auto index = static_cast<size_t>(total - 1);
    return max_coeff == 4 ? kChromaDcTotalZerosCodes[index] : kTotalZerosCodes[index];
}

/// The symbols of total_zeros that fit in a block: 9.2.3.
uint64_t legal_total_zeros(int max_coeff, int total) {
    const uint64_t most = static_cast<uint64_t>(max_coeff - total);
    return total_zeros_code(max_coeff, total).symbols() & ((uint64_t{2} << most) - 1);
}

/// Bits of the cheapest total_zeros and run_before of a block.
int least_bits_of_zeros(int max_coeff, int total) {
    if (total == 0 || total == max_coeff) return 0;
    const PrefixCode& code = total_zeros_code(max_coeff, total);
    int least = 255;
    for (uint64_t left = legal_total_zeros(max_coeff, total); left != 0; left &= left - 1) {
        const int zeros = std::countr_zero(left);
        const int runs = kLeastRunBits[static_cast<size_t>(total - 1)][static_cast<size_t>(zeros)];
        least = std::min(least, code.length(zeros) + runs);
    }
    return least;
}

/// Bits of the cheapest n levels, each level_prefix 0: 9.2.2. Small levels keep suffixLength.
int least_bits_of_levels(int n, int suffix_length) {
    if (n == 0) return 0;
    if (suffix_length > 0) return n * (1 + suffix_length);
    return 1 + 2 * (n - 1);
}

int first_suffix_length(int total, int trailing_ones) {
    return total > 10 && trailing_ones < 3 ? 1 : 0;
}

}  // namespace

/// nC, 9.2.1, of a block that is not chroma DC.
int AvcCursor::n_coeffs_around(int block) const {
    const Macroblock& mb = position_.mb;
    if (block >= block::kChromaAc) {
        const int index = block - block::kChromaAc;
        return mb.chroma_counts[static_cast<size_t>(index / 4)].around(index & 1, index % 4 / 2);
    }
    const int index = block == block::kLumaDc ? 0 : block - block::kLuma;
    return mb.luma_counts.around(column_of(index), row_of(index));
}

/// The column of Table 9-5 for a block.
uint8_t AvcCursor::coeff_table_of(int block) const {
    if (block >= block::kChromaDc && block < block::kChromaAc) return kChromaDcTable;
    const int n = n_coeffs_around(block);
    return n < 2 ? 0 : n < 4 ? 1 : n < 8 ? 2 : 3;
}

/// What the neighbours have of blocks, coefficients or by CABAC whether they are coded, and of
/// those that are not there.
void AvcCursor::put_counts_around(uint8_t not_available) {
    Macroblock& mb = position_.mb;
    const MbEdge* left = left_edge();
    const MbEdge* top = top_edge();
    for (int i = 0; i < 4; ++i) {
        const auto at = static_cast<size_t>(i);
        mb.luma_counts.put(-1, i, left ? left->luma[at] : not_available);
        mb.luma_counts.put(i, -1, top ? top->luma[at] : not_available);
    }
    for (size_t c = 0; c < 2; ++c) {
        for (int i = 0; i < 2; ++i) {
            const auto at = static_cast<size_t>(i);
            mb.chroma_counts[c].put(-1, i, left ? left->chroma[c][at] : not_available);
            mb.chroma_counts[c].put(i, -1, top ? top->chroma[c][at] : not_available);
        }
    }
}

void AvcCursor::begin_residual() {
    if (position_.limits.has_cabac) return begin_cabac_residual();
    Macroblock& mb = position_.mb;
    put_counts_around(CoeffCounts<4>::kNotAvailable);
    mb.coded_blocks = mb.blocks_of_pattern();
    mb.block = 0;
    begin_block();
}

/// From p.mb.block on, the next block that is coded.
void AvcCursor::begin_block() {
    Macroblock& mb = position_.mb;
    const uint32_t rest = mb.coded_blocks >> mb.block;
    if (rest == 0) return end_macroblock();
    mb.block = static_cast<uint8_t>(mb.block + std::countr_zero(rest));
    const int index = mb.block;
    mb.coeff_table = coeff_table_of(index);
    if (mb.coeff_table == kChromaDcTable) {
        mb.max_coeff = 4;
    } else {
        const bool is_whole =
            index == block::kLumaDc || (index < block::kChromaDc && mb.kind != MbKind::kIntra16x16);
        mb.max_coeff = is_whole ? 16 : 15;
    }
    expect(Element::kCoeffToken);
}

void AvcCursor::end_block() {
    ++position_.mb.block;
    begin_block();
}

uint32_t AvcCursor::max_level_prefix() const {
    // Nor does openh264 read longer ones.
    const bool is_short = sps().is_before_high() || grammar_->leaves_out_unportable_data();
    return is_short ? kMaxLevelPrefix : kMaxLevelPrefixHigh;
}

/// So many more bits of this block, and the cheapest blocks behind it, still fit in the macroblock.
bool AvcCursor::fits(int n_bits) const {
    const int n_all = position_.mb.n_bits + n_bits + least_bits_behind_block();
    return n_all <= static_cast<int>(kMaxMacroblockBits);
}

/// Bits of the blocks behind this one, all without coefficients. No other choice is cheaper: a
/// coeff_token for none is the shortest of its table, and none around makes the next no dearer.
int AvcCursor::least_bits_behind_block() const {
    int n_bits = 0;
    for (int block = position_.mb.block + 1; block < block::kEnd; ++block) {
        if (position_.mb.has_block(block))
            n_bits += kCoeffTokenCodes[coeff_table_of(block)].length(0);
    }
    return n_bits;
}

/// The symbols of the code in force that are legal.
uint64_t AvcCursor::legal_rows() const {
    const Position& p = position_;
    const Macroblock& mb = p.mb;
    uint64_t rows;
    switch (p.at) {
        case Element::kCoeffToken:
            rows = kRowsByMaxCoeff[mb.max_coeff];
            break;
        case Element::kTotalZeros:
            rows = legal_total_zeros(mb.max_coeff, mb.total);
            break;
        default:
            rows = (uint64_t{2} << mb.zeros_left) - 1;
    }
    if (is_bit_limit_far()) return rows;
    // Bits of the code so far are counted already.
    const PrefixCode& code = *field().code;
    const int n_read = p.n_partial;
    uint64_t legal = 0;
    for (uint64_t left = rows & code.symbols(); left != 0; left &= left - 1) {
        const int row = std::countr_zero(left);
        const int n_bits = code.length(row) - n_read + least_bits_after_row(mb, p.at, row);
        bool is_legal;
        if (p.at == Element::kCoeffToken) {
            AvcCursor after = *this;
            after.note_total_coeff(kTable9_5[static_cast<size_t>(row)].total_coeff);
            is_legal = after.fits(n_bits);
        } else {
            is_legal = fits(n_bits);
        }
        if (is_legal) legal |= uint64_t{1} << row;
    }
    return legal;
}

/// Bits of the cheapest way from a symbol of a code to the end of its block.
int AvcCursor::least_bits_after_row(const Macroblock& mb, Element at, int row) {
    if (at == Element::kCoeffToken) {
        const CoeffTokenRow& token = kTable9_5[static_cast<size_t>(row)];
        const int n_levels = token.total_coeff - token.trailing_ones;
        const int length = first_suffix_length(token.total_coeff, token.trailing_ones);
        return token.trailing_ones + least_bits_of_levels(n_levels, length) +
               least_bits_of_zeros(mb.max_coeff, token.total_coeff);
    }
    if (at == Element::kTotalZeros)
        return kLeastRunBits[mb.total - size_t{1}][static_cast<size_t>(row)];
    const auto zeros = static_cast<size_t>(mb.zeros_left - row);
    return kLeastRunBits[static_cast<size_t>(mb.total - 2 - mb.i_level)][zeros];
}

/// total_coeff of the block, where its neighbours look for it.
void AvcCursor::note_total_coeff(uint8_t total) {
    Macroblock& mb = position_.mb;
    if (mb.block >= block::kChromaAc) {
        const int index = mb.block - block::kChromaAc;
        mb.chroma_counts[static_cast<size_t>(index / 4)].put(index & 1, index % 4 / 2, total);
    } else if (mb.block >= block::kLuma && mb.block < block::kChromaDc) {
        const int index = mb.block - block::kLuma;
        mb.luma_counts.put(column_of(index), row_of(index), total);
    }
}

ValueSet AvcCursor::legal_residual_field() const {
    const Position& p = position_;
    const Macroblock& mb = p.mb;
    if (p.at == Element::kTrailingOnesSignFlag) return {0, 1};
    const int n_behind = mb.total - mb.i_level - 1;  // levels behind this one
    const int zeros = least_bits_of_zeros(mb.max_coeff, mb.total);
    switch (p.at) {
        case Element::kLevelPrefix: {
            const uint32_t most = max_level_prefix();
            if (is_bit_limit_far()) return {0, most};
            // Longer prefixes cost more: the legal ones are the first.
            uint32_t end = p.n_partial;
            for (; end <= most; ++end) {
                Macroblock next = mb;
                next.level_prefix = static_cast<uint8_t>(end);
                const int n_suffix = level_suffix_size(next);
                const int n_bits = static_cast<int>(end) - p.n_partial + 1 + n_suffix;
                const int length = suffix_length_after(next, 0);
                if (!fits(n_bits + least_bits_of_levels(n_behind, length) + zeros)) break;
            }
            return end == p.n_partial ? ValueSet() : ValueSet(p.n_partial, end - 1);
        }
        default: {  // kLevelSuffix
            const int size = level_suffix_size(mb);
            const uint32_t most = (1u << size) - 1;
            if (is_bit_limit_far()) return {0, most};
            // Larger levels lengthen the suffixes behind them: the legal values are the first ones.
            const auto is_legal = [&](uint32_t suffix) {
                const int length = suffix_length_after(mb, suffix);
                const int n_bits = size - p.n_partial;
                return fits(n_bits + least_bits_of_levels(n_behind, length) + zeros);
            };
            uint32_t low = 0;
            uint32_t high = most;
            while (low < high) {
                const uint32_t middle = (low + high + 1) / 2;
                if (is_legal(middle)) {
                    low = middle;
                } else {
                    high = middle - 1;
                }
            }
            return {0, low};
        }
    }
}

void AvcCursor::take_residual_field(int64_t value) {
    Macroblock& mb = position_.mb;
    switch (position_.at) {
        case Element::kCoeffToken: {
            const CoeffTokenRow& token = kTable9_5[static_cast<size_t>(value)];
            mb.total = token.total_coeff;
            mb.trailing_ones = token.trailing_ones;
            mb.i_level = 0;
            note_total_coeff(mb.total);
            if (mb.total == 0) return end_block();
            mb.suffix_length =
                static_cast<uint8_t>(first_suffix_length(mb.total, mb.trailing_ones));
            return next_level();
        }
        case Element::kTrailingOnesSignFlag:
            ++mb.i_level;
            return next_level();
        case Element::kLevelPrefix:
            mb.level_prefix = static_cast<uint8_t>(value);
            if (level_suffix_size(mb) > 0) return expect(Element::kLevelSuffix);
            return take_level(0);
        case Element::kLevelSuffix:
            return take_level(static_cast<uint32_t>(value));
        case Element::kTotalZeros:
            mb.zeros_left = static_cast<uint8_t>(value);
            mb.i_level = 0;
            return next_run();
        default:  // kRunBefore
            mb.zeros_left = static_cast<uint8_t>(mb.zeros_left - value);
            ++mb.i_level;
            return next_run();
    }
}

void AvcCursor::next_level() {
    Macroblock& mb = position_.mb;
    if (mb.i_level < mb.trailing_ones) return expect(Element::kTrailingOnesSignFlag);
    if (mb.i_level < mb.total) return expect(Element::kLevelPrefix);
    mb.i_level = 0;
    mb.zeros_left = 0;
    if (mb.total < mb.max_coeff) return expect(Element::kTotalZeros);
    end_block();
}

void AvcCursor::take_level(uint32_t suffix) {
    Macroblock& mb = position_.mb;
    mb.suffix_length = static_cast<uint8_t>(suffix_length_after(mb, suffix));
    ++mb.i_level;
    next_level();
}

void AvcCursor::next_run() {
    const Macroblock& mb = position_.mb;
    if (mb.zeros_left > 0 && mb.i_level + 1 < mb.total) return expect(Element::kRunBefore);
    end_block();
}

/// levelSuffixSize, 9.2.2.
int AvcCursor::level_suffix_size(const Macroblock& mb) {
    if (mb.level_prefix >= 15) return mb.level_prefix - 3;
    if (mb.level_prefix == 14 && mb.suffix_length == 0) return 4;
    return mb.suffix_length;
}

/// suffixLength behind a level: 9.2.2, steps 4 to 10.
int AvcCursor::suffix_length_after(const Macroblock& mb, uint32_t suffix) {
    int length = mb.suffix_length;
    int code = (std::min<int>(15, mb.level_prefix) << length) + static_cast<int>(suffix);
    if (mb.level_prefix >= 15 && length == 0) code += 15;
    if (mb.level_prefix >= 16) code += (1 << (mb.level_prefix - 3)) - 4096;
    if (mb.i_level == mb.trailing_ones && mb.trailing_ones < 3) code += 2;
    const int magnitude = (code + 2) / 2;
    if (length == 0) length = 1;
    if (magnitude > (3 << (length - 1)) && length < 6) ++length;
    return length;
}

}  // namespace pycodec_lm::h264
