// Bits to values: the spellings of 7.2, 9.1 and 9.2, and which of them lead to a legal value.
#include <algorithm>
#include <bit>

#include "h264/cursor.hpp"
#include "h264/exp_golomb.hpp"
#include "h264/residual_tables.hpp"

namespace pycodec_lm::h264 {
namespace {

constexpr uint64_t kMaxCodeNum = 0xFFFFFFFE;  // 9.1

}  // namespace

AvcCursor::Field AvcCursor::field() const {
    const Position& p = position_;
    const Macroblock& mb = p.mb;
    if (is_at_bins()) return {Spelling::kBins};
    switch (p.at) {
        case Element::kForbiddenZeroBit:
        case Element::kSeqScalingMatrixPresentFlag:
        case Element::kSeqScalingListPresentFlag:
        case Element::kQpprimeYZeroTransformBypassFlag:
        case Element::kDeltaPicOrderAlwaysZeroFlag:
        case Element::kGapsInFrameNumValueAllowedFlag:
        case Element::kFrameMbsOnlyFlag:
        case Element::kDirect8x8InferenceFlag:
        case Element::kFrameCroppingFlag:
        case Element::kVuiParametersPresentFlag:
        case Element::kAspectRatioInfoPresentFlag:
        case Element::kOverscanInfoPresentFlag:
        case Element::kOverscanAppropriateFlag:
        case Element::kVideoSignalTypePresentFlag:
        case Element::kVideoFullRangeFlag:
        case Element::kColourDescriptionPresentFlag:
        case Element::kChromaLocInfoPresentFlag:
        case Element::kTimingInfoPresentFlag:
        case Element::kFixedFrameRateFlag:
        case Element::kNalHrdParametersPresentFlag:
        case Element::kVclHrdParametersPresentFlag:
        case Element::kLowDelayHrdFlag:
        case Element::kPicStructPresentFlag:
        case Element::kBitstreamRestrictionFlag:
        case Element::kMotionVectorsOverPicBoundariesFlag:
        case Element::kCbrFlag:
        case Element::kEntropyCodingModeFlag:
        case Element::kBottomFieldPicOrderInFramePresentFlag:
        case Element::kWeightedPredFlag:
        case Element::kDeblockingFilterControlPresentFlag:
        case Element::kConstrainedIntraPredFlag:
        case Element::kRedundantPicCntPresentFlag:
        case Element::kTransform8x8ModeFlag:
        case Element::kPicScalingMatrixPresentFlag:
        case Element::kPicScalingListPresentFlag:
        case Element::kNumRefIdxActiveOverrideFlag:
        case Element::kDirectSpatialMvPredFlag:
        case Element::kRefPicListModificationFlagL0:
        case Element::kRefPicListModificationFlagL1:
        case Element::kLumaWeightL0Flag:
        case Element::kChromaWeightL0Flag:
        case Element::kLumaWeightL1Flag:
        case Element::kChromaWeightL1Flag:
        case Element::kNoOutputOfPriorPicsFlag:
        case Element::kLongTermReferenceFlag:
        case Element::kAdaptiveRefPicMarkingModeFlag:
        case Element::kTransformSize8x8Flag:
        case Element::kPrevIntra4x4PredModeFlag:
        case Element::kPrevIntra8x8PredModeFlag:
        case Element::kTrailingOnesSignFlag:
        case Element::kCabacAlignmentOneBit:
            return {Spelling::kNumber, 1};
        case Element::kNalRefIdc:
        case Element::kReservedZero2Bits:
        case Element::kWeightedBipredIdc:
            return {Spelling::kNumber, 2};
        case Element::kPrimaryPicType:
        case Element::kVideoFormat:
        case Element::kRemIntra4x4PredMode:
        case Element::kRemIntra8x8PredMode:
            return {Spelling::kNumber, 3};
        case Element::kBitRateScale:
        case Element::kCpbSizeScale:
            return {Spelling::kNumber, 4};
        case Element::kNalUnitType:
        case Element::kInitialCpbRemovalDelayLengthMinus1:
        case Element::kCpbRemovalDelayLengthMinus1:
        case Element::kDpbOutputDelayLengthMinus1:
        case Element::kTimeOffsetLength:
            return {Spelling::kNumber, 5};
        case Element::kConstraintSetFlags:
            return {Spelling::kNumber, 6};
        case Element::kProfileIdc:
        case Element::kLevelIdc:
        case Element::kAspectRatioIdc:
        case Element::kColourPrimaries:
        case Element::kTransferCharacteristics:
        case Element::kMatrixCoefficients:
        case Element::kPayloadType:
        case Element::kPayloadSize:
        case Element::kSeiPayload:
        case Element::kFfByte:
        case Element::kNalPayload:
        case Element::kPcmSampleLuma:
        case Element::kPcmSampleChroma:
            return {Spelling::kNumber, 8};
        case Element::kSarWidth:
        case Element::kSarHeight:
            return {Spelling::kNumber, 16};
        case Element::kNumUnitsInTick:
        case Element::kTimeScale:
            return {Spelling::kNumber, 32};
        case Element::kFrameNum:
            return {Spelling::kNumber, sps().log2_max_frame_num};
        case Element::kPicOrderCntLsb:
            return {Spelling::kNumber, sps().log2_max_pic_order_cnt_lsb};
        case Element::kDeltaScale:
        case Element::kOffsetForNonRefPic:
        case Element::kOffsetForTopToBottomField:
        case Element::kOffsetForRefFrame:
        case Element::kPicInitQpMinus26:
        case Element::kPicInitQsMinus26:
        case Element::kChromaQpIndexOffset:
        case Element::kSecondChromaQpIndexOffset:
        case Element::kDeltaPicOrderCntBottom:
        case Element::kDeltaPicOrderCnt0:
        case Element::kDeltaPicOrderCnt1:
        case Element::kLumaWeightL0:
        case Element::kLumaOffsetL0:
        case Element::kChromaWeightL0:
        case Element::kChromaOffsetL0:
        case Element::kLumaWeightL1:
        case Element::kLumaOffsetL1:
        case Element::kChromaWeightL1:
        case Element::kChromaOffsetL1:
        case Element::kSliceQpDelta:
        case Element::kSliceAlphaC0OffsetDiv2:
        case Element::kSliceBetaOffsetDiv2:
        case Element::kMvdL0X:
        case Element::kMvdL0Y:
        case Element::kMvdL1X:
        case Element::kMvdL1Y:
        case Element::kMbQpDelta:
            return {Spelling::kSe};
        case Element::kRefIdxL0:
            return {p.slice.num_ref_idx_active[0] == 2 ? Spelling::kFlipped : Spelling::kUe};
        case Element::kRefIdxL1:
            return {p.slice.num_ref_idx_active[1] == 2 ? Spelling::kFlipped : Spelling::kUe};
        case Element::kCoeffToken:
            return {Spelling::kCode, 0, &kCoeffTokenCodes[mb.coeff_table]};
        case Element::kTotalZeros: {
            const size_t index = mb.total - size_t{1};
            if (mb.max_coeff == 4) return {Spelling::kCode, 0, &kChromaDcTotalZerosCodes[index]};
            return {Spelling::kCode, 0, &kTotalZerosCodes[index]};
        }
        case Element::kRunBefore:
            return {Spelling::kCode, 0, &kRunBeforeCodes[std::min<size_t>(mb.zeros_left, 7) - 1]};
        case Element::kLevelPrefix:
            return {Spelling::kUnary};
        case Element::kLevelSuffix:
            return {Spelling::kNumber, static_cast<uint8_t>(level_suffix_size(mb))};
        case Element::kRbspTrailingBits:
            return {Spelling::kTrailing};
        case Element::kPcmAlignmentZeroBit:
            return {Spelling::kZeros};
        default:
            return {Spelling::kUe};
    }
}

/// Takes as many of the low `n_bits` bits of `bits`, the most significant first, as belong to the
/// field that is due, if some legal value goes on with all of them. Returns how many it took; 0
/// where it took none.
int AvcCursor::take_bits(unsigned bits, int n_bits) {
    const Field how = field();
    switch (how.spelling) {
        case Spelling::kNumber:
            return take_number_bits(how, bits, n_bits);
        case Spelling::kUe:
            return take_golomb_bits(bits, n_bits, false);
        case Spelling::kSe:
            return take_golomb_bits(bits, n_bits, true);
        case Spelling::kFlipped: {
            const bool value = !((bits >> (n_bits - 1)) & 1);
            if (!any_legal(value, value)) return 0;
            count_bits(1);
            take(value);
            return 1;
        }
        case Spelling::kCode:
            return take_code_bits(*how.code, bits, n_bits);
        case Spelling::kUnary:
            return take_unary_bits(bits, n_bits);
        case Spelling::kBins:
            return take_cabac_bit((bits >> (n_bits - 1)) & 1);
        default:
            return take_end_bits(how.spelling, bits, n_bits);
    }
}

int AvcCursor::take_number_bits(const Field& how, unsigned bits, int n_bits) {
    Position& p = position_;
    const int n_missing = how.n_bits - p.n_partial;
    const int n = std::min(n_missing, n_bits);
    const int n_left = n_missing - n;
    const uint64_t value = (p.partial << n) | (bits >> (n_bits - n));
    const uint64_t first = value << n_left;
    if (!any_legal(first, first | ((uint64_t{1} << n_left) - 1))) return 0;
    count_bits(n);
    if (n_left > 0) {
        p.partial = value;
        p.n_partial = static_cast<uint8_t>(p.n_partial + n);
        return n;
    }
    p.partial = 0;
    p.n_partial = 0;
    take(static_cast<int64_t>(value));
    return n;
}

/// ue(v) and se(v), 9.1: the bits so far as a number are 0 while the leading zeros last.
int AvcCursor::take_golomb_bits(unsigned bits, int n_bits, bool is_signed) {
    Position& p = position_;
    uint64_t code = p.partial;
    int n_taken = 0;
    if (code == 0) {
        // Leading zeros, and the 1 behind them if it is here.
        const int n_zeros = n_bits - static_cast<int>(std::bit_width(bits));
        n_taken = std::min(n_zeros + 1, n_bits);
        code = n_zeros < n_bits;
    }
    int n_code = p.n_partial + n_taken;
    int n_left = 0;  // bits of the code that are still to come
    uint64_t first;
    uint64_t last;
    if (code == 0) {
        if (n_code > 32) return 0;
        first = (uint64_t{1} << n_code) - 1;
        last = kMaxCodeNum;
    } else {
        const int n_zeros = n_code - static_cast<int>(std::bit_width(code));
        n_left = 2 * n_zeros + 1 - n_code;
        const int n = std::min(n_left, n_bits - n_taken);
        const int n_behind = n_bits - n_taken - n;
        code = (code << n) | ((bits >> n_behind) & ((1u << n) - 1));
        n_taken += n;
        n_code += n;
        n_left -= n;
        first = (code << n_left) - 1;
        last = first + ((uint64_t{1} << n_left) - 1);
    }
    if (is_signed ? !any_legal_signed(first, last) : !any_legal(first, last)) return 0;
    count_bits(n_taken);
    if (code == 0 || n_left > 0) {
        p.partial = code;
        p.n_partial = static_cast<uint8_t>(n_code);
        return n_taken;
    }
    p.partial = 0;
    p.n_partial = 0;
    take(is_signed ? signed_value(first) : static_cast<int64_t>(first));
    return n_taken;
}

int AvcCursor::take_code_bits(const PrefixCode& code, unsigned bits, int n_bits) {
    Position& p = position_;
    uint64_t read = p.partial;
    uint64_t symbols = 0;
    int n = 0;
    do {
        ++n;
        read = read << 1 | ((bits >> (n_bits - n)) & 1);
        symbols = code.symbols_behind(read, p.n_partial + n);
    } while (std::popcount(symbols) > 1 && n < n_bits);
    if ((symbols & legal_rows()) == 0) return 0;
    count_bits(n);
    const int n_read = p.n_partial + n;
    if (code.length(std::countr_zero(symbols)) > n_read) {
        p.partial = read;
        p.n_partial = static_cast<uint8_t>(n_read);
        return n;
    }
    p.partial = 0;
    p.n_partial = 0;
    take(std::countr_zero(symbols));
    return n;
}

/// level_prefix: zeros, counted, and a 1.
int AvcCursor::take_unary_bits(unsigned bits, int n_bits) {
    Position& p = position_;
    const int n_zeros = n_bits - static_cast<int>(std::bit_width(bits));
    const auto value = static_cast<uint32_t>(p.n_partial + n_zeros);
    const bool is_whole = n_zeros < n_bits;
    if (!any_legal(value, is_whole ? value : UINT32_MAX)) return 0;
    if (!is_whole) {
        count_bits(n_zeros);
        p.n_partial = static_cast<uint8_t>(value);
        return n_zeros;
    }
    count_bits(n_zeros + 1);
    p.n_partial = 0;
    take(value);
    return n_zeros + 1;
}

/// rbsp_trailing_bits() and pcm_alignment_zero_bit, which fill the byte.
int AvcCursor::take_end_bits(Spelling spelling, unsigned bits, int n_bits) {
    Position& p = position_;
    const bool has_one = spelling == Spelling::kTrailing && p.n_partial == 0;
    const bool bit = (bits >> (n_bits - 1)) & 1;
    if (bit != has_one && !(bit && may_mark_alignment())) return 0;
    count_bits(1);
    p.n_partial = has_one ? 1 : p.n_partial;
    if (p.bit != 0) return 1;
    if (spelling == Spelling::kTrailing) {
        end_nal_unit(p.offset + 1);
    } else {
        take(0);
    }
    return 1;
}

/// libx264 sets the last bit of many CABAC slices, behind rbsp_stop_one_bit, to sign its pictures
/// (encode_flush() of its common/cabac.c); no decoder looks at it. So streams may, but none is made
/// so.
bool AvcCursor::may_mark_slice_end() const {
    return is_in_slice() && position_.limits.has_cabac && !grammar_->leaves_out_unportable_data();
}

/// The next bit may be such a mark.
bool AvcCursor::may_mark_alignment() const {
    const Position& p = position_;
    return p.at == Element::kRbspTrailingBits && p.bit == 7 && may_mark_slice_end();
}

/// Some value of first..last is legal.
bool AvcCursor::any_legal(uint64_t first, uint64_t last) const {
    const Position& p = position_;
    if (first > UINT32_MAX) return false;
    if (const auto value = pinned_value())
        return static_cast<int64_t>(first) <= *value && *value <= static_cast<int64_t>(last);
    switch (p.at) {
        // What most bits of a slice belong to, without a set.
        case Element::kTrailingOnesSignFlag:
            return true;
        case Element::kCodedBlockPattern:
            return first < kCodedBlockPatterns;
        case Element::kLevelSuffix:
            if (is_bit_limit_far()) return true;
            break;
        case Element::kLevelPrefix:
            if (is_bit_limit_far()) return first <= max_level_prefix();
            break;
        // A byte decides both at once: no need of all that are legal.
        case Element::kNalRefIdc:
            return any_legal_nal_ref_idc(first, last);
        case Element::kNalUnitType:
            if (first == last)
                return is_legal_nal_header(static_cast<uint32_t>(first), p.nal_ref_idc);
            break;
        // What is no short list of ranges.
        case Element::kPicOrderCntLsb:
            return any_legal_lsb(first, last);
        case Element::kFrameNum:
            return any_legal_frame_num(
                static_cast<uint32_t>(first),
                static_cast<uint32_t>(std::min<uint64_t>(last, UINT32_MAX))
            );
        case Element::kPicParameterSetId:
            if (p.nal_unit_type != nal::kPps && is_first_slice())
                return any_usable_pps(first, last);
            break;
        default:
            break;
    }
    const auto end = static_cast<uint32_t>(std::min<uint64_t>(last, UINT32_MAX));
    return legal().any_in(static_cast<uint32_t>(first), end);
}

ValueSet AvcCursor::legal() const {
    const Position& p = position_;
    if (p.at <= Element::kNalPayload) return legal_nal_field();
    switch (p.nal_unit_type) {
        case nal::kSps:
            return p.at >= Element::kAspectRatioInfoPresentFlag
                       ? legal_vui_field()
                       : narrowed_sps_field(narrowed(legal_sps_field()));
        case nal::kPps:
            return narrowed(legal_pps_field());
        case nal::kSlice:
        case nal::kIdrSlice:
            if (p.at >= Element::kCoeffToken) return legal_residual_field();
            if (p.at >= Element::kMbSkipRun) return legal_macroblock_field();
            return narrowed(legal_slice_field());
        default:
            return legal_nal_field();
    }
}

void AvcCursor::take(int64_t value) {
    const Position& p = position_;
    if (p.at <= Element::kNalPayload) {
        take_nal_field(value);
        return;
    }
    switch (p.nal_unit_type) {
        case nal::kSps:
            if (p.at >= Element::kAspectRatioInfoPresentFlag) {
                take_vui_field(value);
            } else {
                take_sps_field(value);
            }
            return;
        case nal::kPps:
            take_pps_field(value);
            return;
        case nal::kSlice:
        case nal::kIdrSlice:
            if (p.at >= Element::kCoeffToken) {
                take_residual_field(value);
            } else if (p.at >= Element::kMbSkipRun) {
                take_macroblock_field(value);
            } else {
                take_slice_field(value);
            }
            return;
        default:
            take_nal_field(value);
    }
}

}  // namespace pycodec_lm::h264
