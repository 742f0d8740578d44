// Why a byte is refused: which element, which rule, at which bit.
#include <algorithm>
#include <bit>

#include "h264/cursor.hpp"
#include "h264/exp_golomb.hpp"
#include "h264/residual_tables.hpp"

namespace pycodec_lm::h264 {

Status AvcCursor::push(uint8_t byte) {
    if (accept(byte)) return {};
    const Position& p = position_;
    Status status{.value = byte};
    if (p.at == Element::kStartCode) {
        status.element = Element::kStartCode;
        const bool is_start = byte == 1 && p.n_zeros >= 2;
        status.code = p.phase == Phase::kEndOfStream ? Code::kAfterEndOfStream
                      : is_start                     ? Code::kZeroByteMissing
                                                     : Code::kStartCodeExpected;
        // The first bit that neither 00 nor, where it may come, 01 has.
        status.bit = static_cast<uint8_t>(std::min(7, std::countl_zero(byte)));
    } else {
        status = reject_payload(byte);
    }
    if (is_zero_word_due()) status.code = Code::kBinCount;
    status.byte = p.offset;
    if (is_legal_by_standard(byte)) {
        status.code = Code::kNotInGrammar;
        status.value = byte;
        if (is_in_pinned_bytes())
            status.bit = static_cast<uint8_t>(
                std::countl_zero(static_cast<uint8_t>(byte ^ grammar_->pinned[p.offset]))
            );
    }
    return status;
}

/// Only the grammar objects.
bool AvcCursor::is_legal_by_standard(uint8_t byte) const {
    AvcCursor cursor = *this;
    cursor.grammar_ = std::make_shared<const AvcGrammar>();
    return cursor.accept(byte);
}

Status AvcCursor::reject_payload(uint8_t byte) const {
    const Position& p = position_;
    if (p.after_emulation && byte > 3) {
        return {
            .code = Code::kEmulationPrevention,
            .element = Element::kEmulationPrevention,
            .bit = static_cast<uint8_t>(std::countl_zero(byte)),
            .value = byte,
        };
    }
    if (!p.after_emulation && p.n_zeros == 2 && byte <= 3) {
        const bool is_start_code = byte < 2;
        return {
            .code = is_start_code ? Code::kNalUnitTruncated : Code::kForbiddenSequence,
            .element = p.at,
            .bit = static_cast<uint8_t>(byte == 0 ? 7 : std::countl_zero(byte)),
            .value = byte,
        };
    }
    return reject_bits(byte);
}

/// Takes the bits that can be taken, then asks what was wrong with the next one.
Status AvcCursor::reject_bits(uint8_t byte) const {
    AvcCursor at = *this;
    uint8_t n_taken = 0;
    for (; n_taken < 8; ++n_taken) {
        at.position_.may_end = false;
        const AvcCursor before = at;
        const bool bit = (byte >> (7 - n_taken)) & 1;
        if (at.take_bit(bit)) continue;
        if (!before.is_at_bins()) break;
        Status status = before.reject_cabac_bit(bit);
        status.bit = n_taken;
        return status;
    }
    if (n_taken == 8) return {.element = position_.at, .value = byte};  // a pinned byte objects
    // What the field's value is, or begins with, as far as this byte tells.
    const Position& p = at.position_;
    const Field how = at.field();
    const int n_left = 8 - n_taken;
    const uint64_t rest = byte & ((1u << n_left) - 1);
    int64_t value = 0;
    switch (how.spelling) {
        case Spelling::kNumber: {
            const int n_missing = how.n_bits - p.n_partial;
            const int n = std::min(n_missing, n_left);
            const uint64_t known = (p.partial << n) | (rest >> (n_left - n));
            value = static_cast<int64_t>(known << (n_missing - n));
            break;
        }
        case Spelling::kUe:
        case Spelling::kSe: {
            // The smallest codeNum whose code begins so.
            uint64_t code = p.partial;
            int n_bits = p.n_partial;
            int n_zeros = code == 0 ? n_bits : n_bits - static_cast<int>(std::bit_width(code));
            for (int i = n_left - 1; i >= 0; --i) {
                if (code != 0 && n_bits == 2 * n_zeros + 1) break;
                code = (code << 1) | ((rest >> i) & 1);
                ++n_bits;
                if (code == 0) n_zeros = n_bits;
            }
            if (code == 0) {
                value = static_cast<int64_t>((uint64_t{1} << std::min(n_bits, 32)) - 1);
            } else {
                value = static_cast<int64_t>((code << (2 * n_zeros + 1 - n_bits)) - 1);
            }
            if (how.spelling == Spelling::kSe) value = signed_value(static_cast<uint64_t>(value));
            break;
        }
        case Spelling::kFlipped:
            value = (rest >> (n_left - 1)) == 0;
            break;
        case Spelling::kUnary:
            value = p.n_partial;
            break;
        default:
            value = static_cast<int64_t>(rest >> (n_left - 1));
    }
    Status status = at.why_not(value);
    status.bit = n_taken;
    return status;
}

Status AvcCursor::why_not(int64_t value) const {
    const Position& p = position_;
    Status status{
        .code = Code::kElementRange,
        .element = p.at,
        .value = static_cast<int32_t>(std::clamp<int64_t>(value, INT32_MIN, INT32_MAX)),
    };
    switch (p.at) {
        case Element::kForbiddenZeroBit:
            status.code = Code::kForbiddenZeroBit;
            return status;
        case Element::kNalRefIdc:
            status.code = Code::kNalOrder;
            return status;
        case Element::kNalUnitType:
            status.code = why_not_nal_unit_type(static_cast<uint32_t>(value));
            status.limit = p.nal_ref_idc;
            if (status.code == Code::kPictureIncomplete)
                status.limit = static_cast<int32_t>(n_mbs_left());
            return status;
        case Element::kRbspTrailingBits:
        case Element::kFfByte:
            status.code = Code::kTrailingBits;
            return status;
        case Element::kPrimaryPicType:
            status.code = Code::kSliceTypeUnsupported;
            return status;
        default:
            break;
    }
    if (p.nal_unit_type == nal::kSps || p.nal_unit_type == nal::kPps) {
        status.code = why_not_sps_value(value, status.limit);
    } else if (p.at < Element::kMbSkipRun) {
        status.code = why_not_slice_value(value, status.limit);
    } else {
        status.code = why_not_macroblock_value(value, status.limit);
    }
    return status;
}

Code AvcCursor::why_not_nal_unit_type(uint32_t type) const {
    const Position& p = position_;
    if (type >= nal::kPartitionA && type <= nal::kPartitionC) return Code::kNalUnitUnsupported;
    const bool is_picture_start = type == nal::kSlice && p.phase != Phase::kPicture;
    for (const uint32_t nal_ref_idc : {0u, 1u}) {
        // Only one that is a reference finds a count (8.2.1.3), or the other way round.
        if (is_picture_start && is_legal_nal_unit_type(type, nal_ref_idc))
            return Code::kPicOrderCnt;
        if (is_legal_nal_unit_type(type, nal_ref_idc)) return Code::kNalRefIdc;
    }
    AvcCursor with_zero_byte = *this;
    with_zero_byte.position_.has_zero_byte = true;
    if (with_zero_byte.is_legal_nal_unit_type(type, p.nal_ref_idc)) return Code::kZeroByteMissing;
    if (p.phase == Phase::kPicture) return Code::kPictureIncomplete;
    if (type == nal::kSlice && p.needs_idr) return Code::kIdrExpected;
    if (type == nal::kSlice || type == nal::kIdrSlice) {
        return has_usable_pps(type == nal::kIdrSlice) ? Code::kPicOrderCnt
                                                      : Code::kParameterSetsMissing;
    }
    return Code::kNalOrder;
}

Code AvcCursor::why_not_sps_value(int64_t value, int32_t& limit) const {
    const Sps& sps = context_->draft.sps;
    switch (position_.at) {
        case Element::kProfileIdc:
            return Code::kProfileUnsupported;
        case Element::kChromaFormatIdc:
            return value <= 3 ? Code::kChromaUnsupported : Code::kElementRange;
        case Element::kBitDepthLumaMinus8:
        case Element::kBitDepthChromaMinus8:
            return value <= 6 ? Code::kBitDepthUnsupported : Code::kElementRange;
        case Element::kFrameMbsOnlyFlag:
            return Code::kInterlaceUnsupported;
        case Element::kReservedZero2Bits:
        case Element::kConstraintSetFlags:
        case Element::kAspectRatioIdc:
        case Element::kVideoFormat:
        case Element::kColourPrimaries:
        case Element::kTransferCharacteristics:
        case Element::kMatrixCoefficients:
        case Element::kLevelIdc:
            return Code::kReservedElementValue;
        case Element::kDirect8x8InferenceFlag:
            return Code::kBlockSize;
        case Element::kMaxNumRefFrames:
            limit = static_cast<int32_t>(kMaxRefFrames);
            return Code::kLevelLimit;
        case Element::kPicWidthInMbsMinus1:
        case Element::kPicHeightInMapUnitsMinus1:
            limit = static_cast<int32_t>(legal_sps_field().highest());
            return Code::kLevelLimit;
        case Element::kMaxNumReorderFrames:
        case Element::kMaxDecFrameBuffering:
            limit = static_cast<int32_t>(max_dpb_frames(sps.limits(), sps.frame_mbs()));
            return value > limit ? Code::kLevelLimit : Code::kElementRange;
        case Element::kNumSliceGroupsMinus1:
            return value <= 7 ? Code::kSliceGroupsUnsupported : Code::kElementRange;
        default:
            return Code::kElementRange;
    }
}

Code AvcCursor::why_not_slice_value(int64_t value, int32_t& limit) const {
    const Position& p = position_;
    const Context& c = *context_;
    // What the first slice of the picture has too.
    const auto differs_from = [&](int64_t of_first, Code code) {
        if (is_first_slice()) return code;
        limit = static_cast<int32_t>(of_first);
        return Code::kPictureHeaderDiffers;
    };
    const Field how = field();
    // Behind the one that is refused.
    const int n_unread_bits = how.spelling == Spelling::kNumber ? how.n_bits - p.n_partial - 1 : 0;
    // A slice of a redundant picture begins as those of the primary one do (7.4.1.2.5).
    const auto or_redundant = [&](Code code, uint32_t of_last, int n_bits) {
        const bool is_same = value >> n_bits == of_last >> n_bits;
        const bool may_be =
            is_first_slice() && p.n_pictures > 0 && is_same && pps().redundant_pic_cnt_present_flag;
        return may_be ? Code::kRedundantPictureUnsupported : differs_from(of_last, code);
    };
    switch (p.at) {
        case Element::kFirstMbInSlice:
            limit = static_cast<int32_t>(is_first_slice() ? 0 : p.next_mb);
            return c.sps && c.sps->has_arbitrary_slice_order() ? Code::kSliceOrderUnsupported
                                                               : Code::kFirstMbInSlice;
        case Element::kSliceType: {
            if (value > 9) return Code::kElementRange;
            const auto type = static_cast<SliceType>(value % 5);
            if (p.slice.is_idr()) return Code::kSliceTypeNotAllowed;
            if (type == SliceType::kSp || type == SliceType::kSi)
                return Code::kSliceTypeUnsupported;
            if (type == SliceType::kB && sps().obeys_baseline()) return Code::kProfileConstraint;
            return Code::kSliceTypeNotAllowed;
        }
        case Element::kPicParameterSetId: {
            if (value >= kMaxPicParameterSets) return Code::kElementRange;
            const Code why = why_no_pps(static_cast<uint32_t>(value), p.slice.is_idr());
            return differs_from(
                c.first_slice.pic_parameter_set_id, why == Code::kOk ? Code::kPicOrderCnt : why
            );
        }
        case Element::kFrameNum:
            limit = static_cast<int32_t>(
                p.slice.is_idr() ? 0 : (c.prev_ref_frame_num + 1) % c.sps->max_frame_num()
            );
            return or_redundant(
                legal_frame_nums().contains(static_cast<uint32_t>(value)) ? Code::kPicOrderCnt
                                                                          : Code::kFrameNumGap,
                c.first_slice.frame_num, n_unread_bits
            );
        case Element::kIdrPicId:
            return or_redundant(
                value <= 65535 ? Code::kIdrPicIdRepeated : Code::kElementRange,
                c.first_slice.idr_pic_id, 0
            );
        case Element::kPicOrderCntLsb:
            return or_redundant(Code::kPicOrderCnt, c.first_slice.pic_order_cnt_lsb, n_unread_bits);
        case Element::kDeltaPicOrderCntBottom:
            return differs_from(c.first_slice.delta_pic_order_cnt_bottom, Code::kPicOrderCnt);
        case Element::kDeltaPicOrderCnt0:
            return differs_from(c.first_slice.delta_pic_order_cnt[0], Code::kPicOrderCnt);
        case Element::kDeltaPicOrderCnt1:
            return differs_from(c.first_slice.delta_pic_order_cnt[1], Code::kPicOrderCnt);
        case Element::kRedundantPicCnt:
            return value <= 127 ? Code::kRedundantPictureUnsupported : Code::kElementRange;
        case Element::kRefPicListModificationFlagL0:
        case Element::kRefPicListModificationFlagL1:
        case Element::kModificationOfPicNumsIdc:
        case Element::kAbsDiffPicNumMinus1:
        case Element::kLongTermPicNum:
            return value > 65535 ? Code::kElementRange : Code::kReferenceMissing;
        case Element::kLongTermReferenceFlag:
        case Element::kAdaptiveRefPicMarkingModeFlag:
        case Element::kMemoryManagementControlOperation:
        case Element::kDifferenceOfPicNumsMinus1:
        case Element::kMarkedLongTermPicNum:
        case Element::kLongTermFrameIdx:
        case Element::kMaxLongTermFrameIdxPlus1:
            if (is_first_slice()) return Code::kReferenceMarking;
            limit = static_cast<int32_t>(c.marking[p.i]);
            return Code::kPictureHeaderDiffers;
        default:
            return Code::kElementRange;
    }
}

Code AvcCursor::why_not_macroblock_value(int64_t value, int32_t& limit) const {
    const Position& p = position_;
    const Macroblock& mb = p.mb;
    const auto number = static_cast<uint32_t>(value);
    const int max_mvs = sps().limits().max_mvs_per_2mb;
    const auto too_many_mvs = [&] {
        limit = max_mvs;
        return Code::kMotionVectorCount;
    };
    switch (p.at) {
        case Element::kEndOfSliceFlag:
            return Code::kEndOfSlice;
        case Element::kMbSkipFlag:
            if (p.limits.is_b) return why_not_direct(limit);
            return (p.slice.usable_refs[0] & 1) != 0 ? too_many_mvs() : Code::kRefIdxMissing;
        case Element::kMbSkipRun:
            limit = static_cast<int32_t>(n_mbs_left());
            if (number > n_mbs_left()) return Code::kSkipRun;
            if (p.limits.is_b) return why_not_direct(limit);
            return (p.slice.usable_refs[0] & 1) != 0 ? too_many_mvs() : Code::kRefIdxMissing;
        case Element::kMbType: {
            const uint32_t n_inter = p.slice.n_inter_types();
            if (number > kIPcm + n_inter) return Code::kElementRange;
            if (number >= n_inter) return Code::kIntraPredMode;
            if (p.limits.is_b) return why_not_b_type(number, limit);
            if (p.slice.usable_refs[0] == 0 || number == kP8x8Ref0) return Code::kRefIdxMissing;
            return too_many_mvs();
        }
        case Element::kPcmSampleLuma:
        case Element::kPcmSampleChroma:
            return Code::kPcmSample;
        case Element::kPrevIntra4x4PredModeFlag:
        case Element::kRemIntra4x4PredMode:
        case Element::kPrevIntra8x8PredModeFlag:
        case Element::kRemIntra8x8PredMode:
            return Code::kIntraPredMode;
        case Element::kIntraChromaPredMode:
            return number <= 3 ? Code::kIntraPredMode : Code::kElementRange;
        case Element::kSubMbType:
            if (p.limits.is_b) return why_not_b_sub_type(number, limit);
            return number <= 3 ? too_many_mvs() : Code::kElementRange;
        case Element::kRefIdxL0:
        case Element::kRefIdxL1: {
            const size_t list = p.at == Element::kRefIdxL0 ? 0 : 1;
            if (number >= p.slice.num_ref_idx_active[list]) return Code::kElementRange;
            const bool has_picture = ((p.slice.usable_refs[list] >> number) & 1) != 0;
            return has_picture ? Code::kWeightSum : Code::kRefIdxMissing;
        }
        case Element::kMvdL0X:
        case Element::kMvdL0Y:
        case Element::kMvdL1X:
        case Element::kMvdL1Y:
            return Code::kMotionVectorRange;
        case Element::kCoeffToken:
            limit = mb.max_coeff;
            return is_bit_limit_far() ? Code::kCodeInvalid : Code::kMacroblockBits;
        case Element::kTotalZeros:
        case Element::kRunBefore:
            limit = p.at == Element::kTotalZeros ? mb.max_coeff - mb.total : mb.zeros_left;
            return is_bit_limit_far() ? Code::kTotalCoeff : Code::kMacroblockBits;
        case Element::kLevelPrefix:
        case Element::kLevelSuffix:
            return is_bit_limit_far() ? Code::kElementRange : Code::kMacroblockBits;
        case Element::kPcmAlignmentZeroBit:
            return Code::kElementRange;
        default:
            return Code::kElementRange;
    }
}

}  // namespace pycodec_lm::h264
