#include "h264/cabac_slice_reader.hpp"

#include <algorithm>

#include "h264/bin_codes.hpp"
#include "h264/mb_syntax.hpp"

namespace pycodec_lm::h264 {
namespace {

constexpr int kUCoff = 14;       // of coeff_abs_level_minus1, 9.3.2.3
constexpr int kMostEscape = 15;  // ones of its suffix; more are no level

}  // namespace

bool CabacSliceReader::take() {
    if (!engine_.is_valid_start()) return false;
    while (p_.at != Element::kRbspTrailingBits) {
        if (!take_due()) return false;
    }
    c_.n_bins += n_bins_;
    return is_at_end();
}

/// The element that is due, or all residual blocks.
bool CabacSliceReader::take_due() {
    switch (p_.at) {
        case Element::kMbSkipFlag:
            return take_mb_skip_flag();
        case Element::kEndOfSliceFlag:
            return take_end_of_slice_flag();
        case Element::kCodedBlockFlag:
        case Element::kSignificantCoeffFlag:
            return take_blocks();
        case Element::kMbType:
            mb_begin_ = at();
            return take_element();
        case Element::kPrevIntra4x4PredModeFlag:
        case Element::kPrevIntra8x8PredModeFlag:
            return take_intra_mode_flag();
        case Element::kRemIntra4x4PredMode:
        case Element::kRemIntra8x8PredMode:
            return take_intra_mode_rem();
        case Element::kMvdL0X:
        case Element::kMvdL1X:
            return take_mvd(0);
        case Element::kMvdL0Y:
        case Element::kMvdL1Y:
            return take_mvd(1);
        default:
            return take_element();
    }
}

bool CabacSliceReader::take_mb_skip_flag() {
    const uint16_t ctx_idx = bin_codes::ctx_of_mb_skip_flag(
        p_.limits.is_b ? MbSliceType::kB : MbSliceType::kP, says(cursor_.left_edge()),
        says(cursor_.top_edge())
    );
    const bool is_skipped = decode_decision(ctx_idx);
    if (is_skipped && cursor_.max_skip_run(1) == 0) return false;
    cursor_.take_mb_skip_flag(is_skipped);
    return true;
}

bool CabacSliceReader::take_end_of_slice_flag() {
    ++n_bins_;
    const bool is_end = engine_.decode_terminate();
    if (is_past_end()) return false;
    if (!cursor_.is_legal_end_of_slice(is_end)) return false;
    cursor_.take_end_of_slice_flag(is_end);
    return true;
}

bool CabacSliceReader::take_intra_mode_flag() {
    const bool is_predicted = decode_decision(bin_codes::kPrevIntraPredModeFlag);
    if (!((cursor_.legal_intra_mode_flags() >> is_predicted) & 1)) return false;
    cursor_.take_intra_mode_flag(is_predicted);
    return true;
}

bool CabacSliceReader::take_intra_mode_rem() {
    uint32_t rem = 0;
    for (int i = 0; i < 3; ++i) rem |= decode_decision(bin_codes::kRemIntraPredMode) ? 1u << i : 0;
    if (!((cursor_.legal_intra_mode_rems() >> rem) & 1)) return false;
    cursor_.take_intra_mode_rem(rem);
    return true;
}

bool CabacSliceReader::take_mvd(int component) {
    const int32_t mvd = decode(cursor_.due_mvd(component));
    const AvcCursor::SignedRange legal = cursor_.due_mvds(component);
    if (mvd == BinString::kNoValue || mvd < legal.first || mvd > legal.last) return false;
    cursor_.note_mvd(mvd);
    component == 0 ? cursor_.take_mvd_x(mvd) : cursor_.take_mvd_y(mvd);
    return true;
}

bool CabacSliceReader::decode(uint16_t ctx_idx) {
    ++n_bins_;
    if (ctx_idx == kBypass) return engine_.decode_bypass();
    if (ctx_idx == kTerminate) return engine_.decode_terminate();
    return engine_.decode_decision(c_.states[ctx_idx]);
}

/// An element that none of the others takes.
bool CabacSliceReader::take_element() {
    const int32_t value = decode(cursor_.due_string());
    if (value == BinString::kNoValue || !cursor_.is_due_value(value)) return false;
    if (p_.at == Element::kMbType && value == p_.slice.n_inter_types() + kIPcm)
        return take_pcm(value);
    const bool was_in_macroblock = p_.at >= Element::kMbType;
    cursor_.take_string_value(value);
    if (was_in_macroblock && p_.at == Element::kEndOfSliceFlag) {
        c_.n_mb_bits = static_cast<uint16_t>(std::min<uint64_t>(at() - mb_begin_, UINT16_MAX));
        return cursor_.is_cabac_limit_far();
    }
    return true;
}

/// The residual blocks of a macroblock, all of them.
bool CabacSliceReader::take_blocks() {
    Macroblock& mb = p_.mb;
    for (uint32_t rest = mb.coded_blocks >> mb.block; rest != 0;
         rest = mb.coded_blocks >> mb.block) {
        mb.block = static_cast<uint8_t>(mb.block + std::countr_zero(rest));
        const BlockCat cat = cursor_.block_cat();
        bool is_coded = true;
        if (cat != BlockCat::kLuma8x8) {
            const int increment =
                (cursor_.is_coded_beside(true) ? 1 : 0) + (cursor_.is_coded_beside(false) ? 2 : 0);
            const int ctx_idx = bin_codes::kCodedBlockFlag[static_cast<size_t>(cat)] + increment;
            is_coded = decode_decision(static_cast<uint16_t>(ctx_idx));
        }
        if (is_coded) {
            cursor_.note_coded_block();
            if (!take_block(cat)) return false;
        }
        ++mb.block;
    }
    c_.n_mb_bits = static_cast<uint16_t>(std::min<uint64_t>(at() - mb_begin_, UINT16_MAX));
    if (!cursor_.is_cabac_limit_far()) return false;
    cursor_.end_macroblock();
    return true;
}

/// 7.3.5.3.3 behind coded_block_flag.
bool CabacSliceReader::take_block(BlockCat cat) {
    const auto row = static_cast<size_t>(cat);
    const int n_levels = kMaxNumCoeff[row];
    ContextState* significant = &c_.states[bin_codes::kSignificantCoeffFlag[row]];
    ContextState* last = &c_.states[bin_codes::kLastSignificantCoeffFlag[row]];
    ContextState* level = &c_.states[bin_codes::kCoeffAbsLevelMinus1[row]];
    int n_coded = 0;
    int i = 0;
    for (; i + 1 < n_levels; ++i) {
        int at_significant = i;
        int at_last = i;
        if (cat == BlockCat::kLuma8x8) {
            at_significant = bin_codes::kSignificant8x8[i];
            at_last = bin_codes::kLast8x8[i];
        }
        ++n_bins_;
        if (!engine_.decode_decision(significant[at_significant])) continue;
        ++n_coded;
        ++n_bins_;
        if (engine_.decode_decision(last[at_last])) break;
    }
    if (i + 1 == n_levels) ++n_coded;  // inferred
    int n_equal_1 = 0;
    int n_greater_1 = 0;
    const int most_next = cat == BlockCat::kChromaDc ? 3 : 4;
    for (; n_coded > 0; --n_coded) {
        const int first = n_greater_1 != 0 ? 0 : std::min(4, 1 + n_equal_1);
        const int next = 5 + std::min(most_next, n_greater_1);
        ++n_bins_;
        if (!engine_.decode_decision(level[first])) {
            ++n_equal_1;
        } else {
            ++n_greater_1;
            if (!take_level(level[next])) return false;
        }
        ++n_bins_;
        engine_.decode_bypass();  // coeff_sign_flag
    }
    return true;
}

/// coeff_abs_level_minus1 behind its first bin; false where it is too large.
bool CabacSliceReader::take_level(ContextState& next) {
    for (int prefix = 1; prefix < kUCoff; ++prefix) {
        ++n_bins_;
        if (!engine_.decode_decision(next)) return true;
    }
    int32_t level = kUCoff;
    int n_bits = 0;
    for (++n_bins_; engine_.decode_bypass(); ++n_bins_) {
        level += 1 << n_bits;
        if (++n_bits > kMostEscape || level > kMaxLevelMinus1) return false;
    }
    n_bins_ += static_cast<uint64_t>(n_bits);
    while (n_bits-- > 0) {
        if (engine_.decode_bypass()) level += 1 << n_bits;
    }
    return level <= kMaxLevelMinus1;
}

/// pcm_alignment_zero_bit, pcm samples, and the start of another code.
bool CabacSliceReader::take_pcm(int32_t mb_type) {
    p_.bit = at() & 7;
    cursor_.take_string_value(mb_type);
    uint64_t i = at();
    for (; i % 8 != 0; ++i) {
        if (i > end_ || bit_at(i)) return false;
    }
    if (p_.at == Element::kPcmAlignmentZeroBit) cursor_.take(0);
    size_t byte = i / 8;
    if (byte + kPcmSamples >= n_bytes_) return false;
    const bool may_be_zero = !cursor_.sps().is_before_high();
    for (size_t n = 0; n < kPcmSamples; ++n, ++byte) {
        if (rbsp_[byte] == 0 && !may_be_zero) return false;
        cursor_.take(rbsp_[byte]);
    }
    code_begin_ = 8 * byte;
    engine_ = CabacFastDecoder(rbsp_ + byte, rbsp_ + n_bytes_);
    return engine_.is_valid_start();
}

/// The last bit that was read is rbsp_stop_one_bit, and what follows it is as it should be.
bool CabacSliceReader::is_at_end() const {
    const uint64_t stop = at() - 1;
    if (stop == end_) return true;
    if (stop > end_ || end_ != 8 * n_bytes_ - 1 || stop / 8 != end_ / 8 || !bit_at(stop))
        return false;
    for (uint64_t i = stop + 1; i < end_; ++i) {
        if (bit_at(i)) return false;
    }
    p_.bit = 7;
    return cursor_.may_mark_alignment();
}

}  // namespace pycodec_lm::h264
