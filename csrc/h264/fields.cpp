// Bits to values: the spellings of 7.2, 9.1 and 9.2, and which of them lead to a legal value.
#include <algorithm>
#include <bit>

#include "h264/cursor.hpp"
#include "h264/residual_tables.hpp"

namespace pycodec_lm::h264 {
namespace {

constexpr uint64_t kMaxCodeNum = 0xFFFFFFFE;  // 9.1

bool is_in_macroblock(Element element) {
    return Element::kMbType <= element && element <= Element::kRunBefore;
}

int64_t signed_value(uint64_t code_num) {
    const auto half = static_cast<int64_t>((code_num + 1) / 2);
    return (code_num & 1) != 0 ? half : -half;  // Table 9-3
}

}  // namespace

AvcCursor::Field AvcCursor::field() const {
    const Position& p = position_;
    const Macroblock& mb = p.mb;
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
        case Element::kRefPicListModificationFlagL0:
        case Element::kNoOutputOfPriorPicsFlag:
        case Element::kLongTermReferenceFlag:
        case Element::kAdaptiveRefPicMarkingModeFlag:
        case Element::kPrevIntra4x4PredModeFlag:
        case Element::kTrailingOnesSignFlag:
            return {Spelling::kNumber, 1};
        case Element::kNalRefIdc:
        case Element::kReservedZero2Bits:
        case Element::kWeightedBipredIdc:
            return {Spelling::kNumber, 2};
        case Element::kPrimaryPicType:
        case Element::kVideoFormat:
        case Element::kRemIntra4x4PredMode:
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
        case Element::kSliceQpDelta:
        case Element::kSliceAlphaC0OffsetDiv2:
        case Element::kSliceBetaOffsetDiv2:
        case Element::kMvdL0X:
        case Element::kMvdL0Y:
        case Element::kMbQpDelta:
            return {Spelling::kSe};
        case Element::kRefIdxL0:
            return {p.slice.num_ref_idx_active == 2 ? Spelling::kFlipped : Spelling::kUe};
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

/// Takes a bit if some legal value goes on with it.
bool AvcCursor::take_bit(bool bit) {
    Position& p = position_;
    const Field how = field();
    const auto count = [&] {
        p.bit = (p.bit + 1) & 7;
        if (is_in_macroblock(p.at)) ++p.mb.n_bits;
    };
    switch (how.spelling) {
        case Spelling::kNumber:
            return take_number_bit(how, bit);
        case Spelling::kUe:
            return take_golomb_bit(bit, false);
        case Spelling::kSe:
            return take_golomb_bit(bit, true);
        case Spelling::kFlipped:
            if (!any_legal(!bit, !bit)) return false;
            count();
            take(!bit);
            return true;
        case Spelling::kCode: {
            const int child = how.code->node(p.node).children[bit];
            if ((how.code->symbols_below(child) & legal_rows()) == 0) return false;
            count();
            if (child < 0) {
                p.node = 0;
                p.n_partial = 0;
                take(-child - 1);
            } else {
                p.node = static_cast<uint16_t>(child);
                ++p.n_partial;
            }
            return true;
        }
        case Spelling::kUnary:
            if (bit) {
                if (!any_legal(p.n_partial, p.n_partial)) return false;
                count();
                take(std::exchange(p.n_partial, uint8_t{0}));
            } else {
                if (!any_legal(p.n_partial + 1u, UINT32_MAX)) return false;
                count();
                ++p.n_partial;
            }
            return true;
        case Spelling::kTrailing:
            if (bit != (p.n_partial == 0)) return false;
            count();
            p.n_partial = 1;
            if (p.bit == 0) end_nal_unit();
            return true;
        case Spelling::kZeros:
            if (bit) return false;
            count();
            if (p.bit == 0) take(0);
            return true;
    }
    return false;
}

bool AvcCursor::take_number_bit(const Field& how, bool bit) {
    Position& p = position_;
    const uint64_t value = (p.partial << 1) | bit;
    const int n_left = how.n_bits - p.n_partial - 1;
    const uint64_t first = value << n_left;
    if (!any_legal(first, first | ((uint64_t{1} << n_left) - 1))) return false;
    p.bit = (p.bit + 1) & 7;
    if (is_in_macroblock(p.at)) ++p.mb.n_bits;
    if (n_left > 0) {
        p.partial = value;
        ++p.n_partial;
        return true;
    }
    p.partial = 0;
    p.n_partial = 0;
    take(static_cast<int64_t>(value));
    return true;
}

/// ue(v) and se(v), 9.1: the bits so far as a number are 0 while the leading zeros last.
bool AvcCursor::take_golomb_bit(bool bit, bool is_signed) {
    Position& p = position_;
    const uint64_t code = (p.partial << 1) | bit;
    const int n_bits = p.n_partial + 1;
    uint64_t first;
    uint64_t last;
    int n_left = 0;
    if (code == 0) {
        if (n_bits > 32) return false;
        first = (uint64_t{1} << n_bits) - 1;
        last = kMaxCodeNum;
    } else {
        const auto n_significant = static_cast<int>(std::bit_width(code));
        const int n_zeros = n_bits - n_significant;
        n_left = n_zeros + 1 - n_significant;
        first = (code << n_left) - 1;
        last = first + ((uint64_t{1} << n_left) - 1);
    }
    if (is_signed ? !any_legal_signed(first, last) : !any_legal(first, last)) return false;
    p.bit = (p.bit + 1) & 7;
    if (is_in_macroblock(p.at)) ++p.mb.n_bits;
    if (code == 0 || n_left > 0) {
        p.partial = code;
        p.n_partial = static_cast<uint8_t>(n_bits);
        return true;
    }
    p.partial = 0;
    p.n_partial = 0;
    take(is_signed ? signed_value(first) : static_cast<int64_t>(first));
    return true;
}

/// Some value of first..last is legal.
bool AvcCursor::any_legal(uint64_t first, uint64_t last) const {
    if (first > UINT32_MAX) return false;
    if (position_.at == Element::kPicOrderCntLsb) return any_legal_lsb(first, last);
    if (position_.at == Element::kPicParameterSetId && position_.nal_unit_type != nal::kPps &&
        is_first_slice()) {
        for (uint64_t id = first; id <= std::min<uint64_t>(last, kMaxPicParameterSets - 1); ++id) {
            const bool is_idr = position_.slice.is_idr();
            if (why_no_pps(static_cast<uint32_t>(id), is_idr) == Code::kOk) return true;
        }
        return false;
    }
    const auto end = static_cast<uint32_t>(std::min<uint64_t>(last, UINT32_MAX));
    return legal().any_in(static_cast<uint32_t>(first), end);
}

/// Some value whose codeNum is one of first..last is legal.
bool AvcCursor::any_legal_signed(uint64_t first, uint64_t last) const {
    const uint64_t first_odd = first | 1;
    const uint64_t last_odd = (last & 1) != 0 ? last : last - 1;
    if (first_odd <= last && any_in_signed(signed_value(first_odd), signed_value(last_odd)))
        return true;
    const uint64_t first_even = first + (first & 1);
    const uint64_t last_even = last & ~uint64_t{1};
    return first_even <= last && any_in_signed(signed_value(last_even), signed_value(first_even));
}

bool AvcCursor::any_in_signed(int64_t first, int64_t last) const {
    const SignedRange range = legal_signed();
    const int64_t low = std::max(first, range.first);
    const int64_t high = std::min(last, range.last);
    if (low > high) return false;
    switch (position_.at) {
        case Element::kDeltaPicOrderCnt0:
        case Element::kDeltaPicOrderCntBottom:
        case Element::kDeltaPicOrderCnt1:
            return any_legal_delta(low, high);
        default:
            return true;
    }
}

AvcCursor::SignedRange AvcCursor::legal_signed() const {
    const Position& p = position_;
    constexpr int64_t kMost = INT32_MAX;
    switch (p.at) {
        case Element::kDeltaScale:
            return {-128, 127};
        case Element::kPicInitQpMinus26:
        case Element::kPicInitQsMinus26:
            return {-26, 25};
        case Element::kChromaQpIndexOffset:
        case Element::kSecondChromaQpIndexOffset:
            return {-12, 12};
        case Element::kSliceQpDelta: {
            if (const SliceConstants* c = constants())
                return {c->slice_qp_delta, c->slice_qp_delta};
            const int qp = 26 + pps().pic_init_qp_minus26;
            return {-qp, 51 - qp};
        }
        case Element::kSliceAlphaC0OffsetDiv2:
            if (const SliceConstants* c = constants())
                return {c->slice_alpha_c0_offset_div2, c->slice_alpha_c0_offset_div2};
            return {-6, 6};
        case Element::kSliceBetaOffsetDiv2:
            if (const SliceConstants* c = constants())
                return {c->slice_beta_offset_div2, c->slice_beta_offset_div2};
            return {-6, 6};
        case Element::kMbQpDelta:
            return {-26, 25};
        case Element::kMvdL0X: {
            const int64_t limit = sps().level_idc >= 60 ? 8192 * 4 : 2048 * 4;
            return {-limit - p.mb.predicted.x, limit - 1 - p.mb.predicted.x};
        }
        case Element::kMvdL0Y: {
            const int64_t limit = sps().limits().max_vmv_r * 4;
            return {-limit - p.mb.predicted.y, limit - 1 - p.mb.predicted.y};
        }
        default:
            return {-kMost, kMost};
    }
}

ValueSet AvcCursor::legal() const {
    const Position& p = position_;
    if (p.at <= Element::kNalPayload) return legal_nal_field();
    switch (p.nal_unit_type) {
        case nal::kSps:
            return p.at >= Element::kAspectRatioInfoPresentFlag ? legal_vui_field()
                                                                : narrowed(legal_sps_field());
        case nal::kPps:
            return legal_pps_field();
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

void AvcCursor::expect(Element element) { position_.at = element; }

}  // namespace pycodec_lm::h264
