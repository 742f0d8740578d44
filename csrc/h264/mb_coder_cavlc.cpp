#include "h264/mb_coder_cavlc.hpp"

#include <algorithm>
#include <bit>
#include <cstdlib>

#include "h264/coded_block_pattern.hpp"
#include "h264/exp_golomb.hpp"
#include "h264/residual_tables.hpp"

namespace pycodec_lm::h264 {
namespace {

constexpr int64_t kNoRun = -1;
constexpr int kMaxLeadingZeros = 31;
constexpr int kMaxLevelPrefix = 25;  // as long as levels are numbers of 32 bits
constexpr uint8_t kPcmTotal = 16;    // 9.2.1

}  // namespace

uint32_t BitPort::u(int n_bits, uint32_t value) {
    uint32_t read = 0;
    for (int i = n_bits - 1; i >= 0; --i) read = read << 1 | (bit((value >> i) & 1) ? 1u : 0u);
    return read;
}

uint32_t BitPort::ue(uint32_t value) {
    const int n_wanted = static_cast<int>(std::bit_width(value + 1)) - 1;
    int n_zeros = 0;
    while (!bit(n_zeros == n_wanted)) {
        if (++n_zeros > kMaxLeadingZeros) throw BrokenSyntax("a code of 9.1 is too long");
    }
    const uint32_t rest = (value + 1) & ((1u << n_wanted) - 1);
    return (1u << n_zeros | u(n_zeros, rest)) - 1;
}

int32_t BitPort::se(int32_t value) {
    return static_cast<int32_t>(signed_value(ue(static_cast<uint32_t>(code_num_of(value)))));
}

uint32_t BitPort::te(uint32_t most, uint32_t value) {
    if (most > 1) return ue(value);
    return bit(value == 0) ? 0 : 1;
}

int BitPort::symbol(const PrefixCode& code, int symbol) {
    int child = 0;
    do {
        const auto& children = code.node(child).children;
        child = children[bit((code.symbols_below(children[1]) >> symbol) & 1)];
        if (child == PrefixCode::kNone) throw BrokenSyntax("no code of 9.2 begins so");
    } while (child > 0);
    return -child - 1;
}

BitReader::BitReader(std::span<const uint8_t> rbsp, size_t position)
    : rbsp_(rbsp), position_(position) {
    size_t n_bytes = rbsp.size();
    while (n_bytes > 0 && rbsp[n_bytes - 1] == 0) --n_bytes;
    if (n_bytes == 0) throw BrokenSyntax("an RBSP has no stop bit");
    end_ = 8 * n_bytes - 1 - static_cast<size_t>(std::countr_zero(rbsp[n_bytes - 1]));
}

bool BitReader::bit(bool) {
    if (position_ >= end_) throw BrokenSyntax("an RBSP ends too early");
    const bool bit = (rbsp_[position_ / 8] >> (7 - position_ % 8)) & 1;
    ++position_;
    return bit;
}

void CavlcMbCoder::begin_slice(const SliceFacts& slice) {
    slice_ = slice;
    mbs_.clear();
    run_ = port_.reads() ? kNoRun : 0;
}

void CavlcMbCoder::begin_macroblock(const MbPlace& place) {
    place_ = place;
    mbs_.emplace_back();
}

bool CavlcMbCoder::skipped(bool is_skipped) {
    if (!port_.reads()) {
        if (is_skipped) {
            ++run_;
        } else {
            port_.ue(static_cast<uint32_t>(run_));
            run_ = 0;
        }
        return is_skipped;
    }
    if (run_ == kNoRun) run_ = port_.ue(0);
    is_skipped = run_ > 0;
    run_ = is_skipped ? run_ - 1 : kNoRun;
    return is_skipped;
}

bool CavlcMbCoder::last(bool is_last) {
    if (port_.reads()) return run_ <= 0 && !port_.has_more_data();
    if (is_last && run_ > 0) port_.ue(static_cast<uint32_t>(run_));
    return is_last;
}

uint8_t CavlcMbCoder::mb_type(uint8_t mb_type) {
    const uint32_t read = port_.ue(mb_type);
    const uint32_t n_inter = slice_.type == MbSliceType::kI   ? 0
                             : slice_.type == MbSliceType::kP ? kPIntraTypes
                                                              : kBIntraTypes;
    if (read > n_inter + 25) throw BrokenSyntax("mb_type is out of range");
    return static_cast<uint8_t>(read);
}

void CavlcMbCoder::pcm(std::vector<uint8_t>& samples) {
    while (port_.position() % 8 != 0) {
        if (port_.bit(false)) throw BrokenSyntax("pcm_alignment_zero_bit is 1");
    }
    samples.resize(kPcmSamples);
    for (uint8_t& sample : samples) sample = static_cast<uint8_t>(port_.u(8, sample));
    MbTotals& totals = mbs_[place_.mb];
    totals.luma.fill(kPcmTotal);
    for (auto& chroma : totals.chroma) chroma.fill(kPcmTotal);
}

bool CavlcMbCoder::transform_size_8x8_flag(bool flag) { return port_.bit(flag); }

uint8_t CavlcMbCoder::sub_mb_type(uint8_t sub_mb_type) {
    const uint32_t read = port_.ue(sub_mb_type);
    if (read > (slice_.type == MbSliceType::kP ? 3 : 12))
        throw BrokenSyntax("sub_mb_type is out of range");
    return static_cast<uint8_t>(read);
}

int8_t CavlcMbCoder::intra_pred_mode(int8_t mode) {
    if (port_.bit(mode == kPredictedMode)) return kPredictedMode;
    return static_cast<int8_t>(port_.u(3, static_cast<uint32_t>(mode)));
}

uint8_t CavlcMbCoder::intra_chroma_pred_mode(uint8_t mode) {
    const uint32_t read = port_.ue(mode);
    if (read > 3) throw BrokenSyntax("intra_chroma_pred_mode is out of range");
    return static_cast<uint8_t>(read);
}

uint8_t CavlcMbCoder::ref_idx(int list, const Partition&, uint8_t ref_idx) {
    const uint32_t most = slice_.num_ref_idx_active[static_cast<size_t>(list)] - 1u;
    const uint32_t read = port_.te(most, ref_idx);
    if (read > most) throw BrokenSyntax("ref_idx is out of range");
    return static_cast<uint8_t>(read);
}

std::array<int16_t, 2> CavlcMbCoder::mvd(int, const Partition&, std::array<int16_t, 2> mvd) {
    for (int16_t& component : mvd) component = static_cast<int16_t>(port_.se(component));
    return mvd;
}

uint8_t CavlcMbCoder::coded_block_pattern(uint8_t pattern, bool is_intra) {
    const auto& patterns = is_intra ? kIntraPattern : kInterPattern;
    const auto* place = std::find(std::begin(patterns), std::end(patterns), pattern);
    const uint32_t read = port_.ue(static_cast<uint32_t>(place - std::begin(patterns)));
    if (read >= kCodedBlockPatterns) throw BrokenSyntax("coded_block_pattern is out of range");
    return patterns[read];
}

int8_t CavlcMbCoder::mb_qp_delta(int8_t delta) {
    const int32_t read = port_.se(delta);
    if (read < -26 || read > 25) throw BrokenSyntax("mb_qp_delta is out of range");
    return static_cast<int8_t>(read);
}

/// total_coeff of a block that has some.
uint8_t* CavlcMbCoder::total_of(BlockCat cat, int index) {
    MbTotals& totals = mbs_[place_.mb];
    switch (cat) {
        case BlockCat::kIntra16x16Dc:
        case BlockCat::kChromaDc:
            return nullptr;
        case BlockCat::kChromaAc:
            return &totals.chroma[static_cast<size_t>(index / 4)][static_cast<size_t>(index % 4)];
        default:
            return &totals.luma[static_cast<size_t>(4 * row_of(index) + column_of(index))];
    }
}

/// nC, 9.2.1.
int CavlcMbCoder::total_around(BlockCat cat, int index) const {
    const bool is_chroma = cat == BlockCat::kChromaAc;
    const int size = is_chroma ? 2 : 4;
    const int column = is_chroma ? index & 1 : column_of(index);
    const int row = is_chroma ? index % 4 / 2 : row_of(index);
    const auto total_at = [&](int c, int r) -> int {
        const size_t mb = c < 0 ? place_.a : r < 0 ? place_.b : place_.mb;
        if (mb == MbPlace::kNone) return -1;
        const auto place = static_cast<size_t>(size * (r & (size - 1)) + (c & (size - 1)));
        if (!is_chroma) return mbs_[mb].luma[place];
        return mbs_[mb].chroma[static_cast<size_t>(index / 4)][place];
    };
    const int a = total_at(column - 1, row);
    const int b = total_at(column, row - 1);
    if (a >= 0 && b >= 0) return (a + b + 1) >> 1;
    return std::max({a, b, 0});
}

const PrefixCode& CavlcMbCoder::coeff_token_code(BlockCat cat, int index) const {
    if (cat == BlockCat::kChromaDc) return kCoeffTokenCodes[kChromaDcTable];
    const int n = total_around(cat, cat == BlockCat::kIntra16x16Dc ? 0 : index);
    return kCoeffTokenCodes[n < 2 ? 0 : n < 4 ? 1 : n < 8 ? 2 : 3];
}

// An 8x8 block is four blocks of every fourth level: 7.3.5.3.2.
void CavlcMbCoder::block(BlockCat cat, int index, std::span<int32_t> levels) {
    if (cat != BlockCat::kLuma8x8) return block_of_4x4(cat, index, levels);
    for (size_t i = 0; i < 4; ++i) {
        std::array<int32_t, 16> quarter{};
        for (size_t k = 0; k < 16; ++k) quarter[k] = levels[4 * k + i];
        block_of_4x4(BlockCat::kLuma4x4, 4 * index + static_cast<int>(i), quarter);
        for (size_t k = 0; k < 16; ++k) levels[4 * k + i] = quarter[k];
    }
}

// residual_block_cavlc(), 9.2
void CavlcMbCoder::block_of_4x4(BlockCat cat, int index, std::span<int32_t> levels) {
    // The levels that are not 0, the last first, and the zeros in front of each.
    std::array<int32_t, 16> values{};
    std::array<int, 16> runs{};
    int total = 0;
    for (size_t i = levels.size(); i-- > 0;) {
        if (levels[i] != 0) {
            values[static_cast<size_t>(total++)] = levels[i];
        } else if (total > 0) {
            ++runs[static_cast<size_t>(total - 1)];
        }
    }
    int trailing_ones = 0;
    while (trailing_ones < std::min(total, 3) &&
           std::abs(values[static_cast<size_t>(trailing_ones)]) == 1) {
        ++trailing_ones;
    }
    size_t row = 0;
    while (kTable9_5[row].total_coeff != total || kTable9_5[row].trailing_ones != trailing_ones)
        ++row;
    const int symbol = port_.symbol(coeff_token_code(cat, index), static_cast<int>(row));
    const CoeffTokenRow& token = kTable9_5[static_cast<size_t>(symbol)];
    total = token.total_coeff;
    trailing_ones = token.trailing_ones;
    if (uint8_t* noted = total_of(cat, index)) *noted = static_cast<uint8_t>(total);
    const int max_coeff = static_cast<int>(levels.size());
    if (total > max_coeff) throw BrokenSyntax("coeff_token is out of range");
    if (total == 0) return;

    int suffix_length = total > 10 && trailing_ones < 3 ? 1 : 0;
    for (int i = 0; i < total; ++i) {
        int32_t& value = values[static_cast<size_t>(i)];
        if (i < trailing_ones) {
            value = port_.bit(value < 0) ? -1 : 1;
            continue;
        }
        value = level(suffix_length, i == trailing_ones && trailing_ones < 3, value);
        if (suffix_length == 0) suffix_length = 1;
        if (std::abs(value) > (3 << (suffix_length - 1)) && suffix_length < 6) ++suffix_length;
    }

    int zeros = 0;
    for (const int run : runs) zeros += run;
    if (total == max_coeff) {
        zeros = 0;
    } else {
        const auto column = static_cast<size_t>(total - 1);
        const PrefixCode& code =
            max_coeff == 4 ? kChromaDcTotalZerosCodes[column] : kTotalZerosCodes[column];
        zeros = port_.symbol(code, zeros);
        if (total + zeros > max_coeff) throw BrokenSyntax("total_zeros is out of range");
    }
    std::fill(levels.begin(), levels.end(), 0);
    int place = total + zeros - 1;
    for (int i = 0; i < total; ++i) {
        levels[static_cast<size_t>(place)] = values[static_cast<size_t>(i)];
        int run = zeros;
        if (zeros > 0 && i + 1 < total) {
            const auto column = static_cast<size_t>(std::min(zeros, 7) - 1);
            run = port_.symbol(kRunBeforeCodes[column], runs[static_cast<size_t>(i)]);
            if (run > zeros) throw BrokenSyntax("run_before is out of range");
        }
        zeros -= run;
        place -= 1 + run;
    }
}

/// level_prefix and level_suffix, 9.2.2.1. A level that must be above one in magnitude is spelled
/// as one less.
int32_t CavlcMbCoder::level(int suffix_length, bool is_above_one, int32_t level) {
    const int offset = is_above_one ? 2 : 0;
    const int64_t wanted = (level > 0 ? 2 * int64_t{level} - 2 : -2 * int64_t{level} - 1) - offset;
    // What codes with a level_prefix begin with, and bits of their suffix.
    const auto first_of = [&](int prefix) -> int64_t {
        int64_t first = int64_t{std::min(15, prefix)} << suffix_length;
        if (prefix >= 15 && suffix_length == 0) first += 15;
        if (prefix >= 16) first += (int64_t{1} << (prefix - 3)) - 4096;
        return first;
    };
    int n_wanted = 0;
    while (n_wanted < kMaxLevelPrefix && first_of(n_wanted + 1) <= wanted) ++n_wanted;
    int prefix = 0;
    while (!port_.bit(prefix == n_wanted)) {
        if (++prefix > kMaxLevelPrefix) throw BrokenSyntax("level_prefix is too long");
    }
    const int n_suffix = prefix >= 15                         ? prefix - 3
                         : prefix == 14 && suffix_length == 0 ? 4
                                                              : suffix_length;
    const auto rest = static_cast<uint32_t>(wanted - first_of(prefix));
    const int64_t code = first_of(prefix) + port_.u(n_suffix, rest) + offset;
    return static_cast<int32_t>(code % 2 == 0 ? (code + 2) / 2 : (-code - 1) / 2);
}

}  // namespace pycodec_lm::h264
