// Sequence parameter sets: 7.3.2.1.1, 7.4.2.1.1, and the limits of A.2 and A.3.
#include <algorithm>

#include "h264/cursor.hpp"

namespace pycodec_lm::h264 {
namespace {

constexpr uint32_t kMaxFramesInCycle = 255;

/// level_idc as it is written; 11 with constraint_set3_flag is level 1b before High (A.3.1).
ValueSet legal_levels(const Sps& sps) {
    ValueSet levels;
    const bool is_high = sps.profile_idc == profile::kHigh;
    if (!is_high && sps.has_constraint_set(3)) return ValueSet::only(11);
    if (is_high) levels.add(9);
    for (const uint32_t ten : {10u, 20u, 30u, 40u, 50u, 60u}) {
        levels.add(ten, ten + (ten == 10 ? 3 : 2));
    }
    return levels;
}

/// Flags that a profile may set, 7.4.2.1.1: constraint_set3_flag to constraint_set5_flag have their
/// meanings for some profiles only.
ValueSet legal_flags(const Sps& sps) {
    uint32_t free = 0b111100;  // constraint_set0_flag to 3
    if (sps.profile_idc == profile::kMain || sps.profile_idc == profile::kHigh) free |= 0b11;
    uint64_t values = 0;
    for (uint32_t flags = 0; flags < 64; ++flags) {
        if ((flags & ~free) == 0) values |= uint64_t{1} << flags;
    }
    return ValueSet::of_bits(values);
}

}  // namespace

ValueSet AvcCursor::legal_sps_field() const {
    const Sps& sps = context_->draft.sps;
    const Position& p = position_;
    switch (p.at) {
        case Element::kProfileIdc: {
            ValueSet profiles;
            for (const uint32_t idc : {profile::kBaseline, profile::kMain, profile::kHigh})
                profiles.add(idc);
            return profiles;
        }
        case Element::kConstraintSetFlags:
            return legal_flags(sps);
        case Element::kReservedZero2Bits:
        case Element::kBitDepthLumaMinus8:
        case Element::kBitDepthChromaMinus8:
        case Element::kQpprimeYZeroTransformBypassFlag:
            return ValueSet::only(0);
        case Element::kFrameMbsOnlyFlag:
        case Element::kChromaFormatIdc:
            return ValueSet::only(1);
        case Element::kDirect8x8InferenceFlag:
            return {sps.must_infer_8x8() ? 1u : 0u, 1};
        case Element::kLevelIdc:
            return legal_levels(sps);
        case Element::kSeqParameterSetId:
            return {0, kMaxSeqParameterSets - 1};
        case Element::kLog2MaxFrameNumMinus4:
        case Element::kLog2MaxPicOrderCntLsbMinus4:
            return {0, 12};
        case Element::kPicOrderCntType:
            return {0, 2};
        case Element::kNumRefFramesInPicOrderCntCycle:
            return {0, kMaxFramesInCycle};
        case Element::kMaxNumRefFrames:
            // Of a picture of one macroblock, which may come yet.
            return {0, max_dpb_frames(sps.limits(), 1)};
        case Element::kPicWidthInMbsMinus1: {
            const uint32_t most = max_frame_mbs(sps.limits(), sps.max_num_ref_frames);
            return {0, std::min(most, max_side_mbs(sps.limits())) - 1};
        }
        case Element::kPicHeightInMapUnitsMinus1: {
            const uint32_t most = max_frame_mbs(sps.limits(), sps.max_num_ref_frames);
            return {0, std::min(most / sps.width_mbs, max_side_mbs(sps.limits())) - 1};
        }
        // 4:2:0 frames are cropped by two samples at a time.
        case Element::kFrameCropLeftOffset:
            return {0, 8 * sps.width_mbs - 1};
        case Element::kFrameCropRightOffset:
            return {0, 8 * sps.width_mbs - 1 - context_->draft.crop[0]};
        case Element::kFrameCropTopOffset:
            return {0, 8 * sps.height_mbs - 1};
        case Element::kFrameCropBottomOffset:
            return {0, 8 * sps.height_mbs - 1 - context_->draft.crop[2]};
        default:
            return {0, 1};
    }
}

void AvcCursor::take_sps_field(int64_t value) {
    Position& p = position_;
    Draft& draft = context_.edit().draft;
    Sps& sps = draft.sps;
    const auto number = static_cast<uint32_t>(value);
    const auto small = static_cast<uint8_t>(value);
    switch (p.at) {
        case Element::kProfileIdc:
            sps.profile_idc = small;
            return expect(Element::kConstraintSetFlags);
        case Element::kConstraintSetFlags:
            sps.constraint_set_flags = small;
            return expect(Element::kReservedZero2Bits);
        case Element::kReservedZero2Bits:
            return expect(Element::kLevelIdc);
        case Element::kLevelIdc:
            sps.level_idc = small;
            if (sps.profile_idc != profile::kHigh && sps.has_constraint_set(3)) sps.level_idc = 9;
            return expect(Element::kSeqParameterSetId);
        case Element::kSeqParameterSetId:
            sps.seq_parameter_set_id = small;
            return expect(
                sps.profile_idc == profile::kHigh ? Element::kChromaFormatIdc
                                                  : Element::kLog2MaxFrameNumMinus4
            );
        case Element::kChromaFormatIdc:
            return expect(Element::kBitDepthLumaMinus8);
        case Element::kBitDepthLumaMinus8:
            return expect(Element::kBitDepthChromaMinus8);
        case Element::kBitDepthChromaMinus8:
            return expect(Element::kQpprimeYZeroTransformBypassFlag);
        case Element::kQpprimeYZeroTransformBypassFlag:
            return expect(Element::kSeqScalingMatrixPresentFlag);
        case Element::kSeqScalingMatrixPresentFlag:
            p.i = 0;
            return expect(
                value != 0 ? Element::kSeqScalingListPresentFlag : Element::kLog2MaxFrameNumMinus4
            );
        case Element::kSeqScalingListPresentFlag:
        case Element::kDeltaScale:
            return take_scaling_field(value, 8, Element::kLog2MaxFrameNumMinus4);
        case Element::kLog2MaxFrameNumMinus4:
            sps.log2_max_frame_num = static_cast<uint8_t>(value + 4);
            return expect(Element::kPicOrderCntType);
        case Element::kPicOrderCntType: {
            sps.pic_order_cnt_type = small;
            constexpr Element kNext[] = {
                Element::kLog2MaxPicOrderCntLsbMinus4, Element::kDeltaPicOrderAlwaysZeroFlag,
                Element::kMaxNumRefFrames
            };
            return expect(kNext[value]);
        }
        case Element::kLog2MaxPicOrderCntLsbMinus4:
            sps.log2_max_pic_order_cnt_lsb = static_cast<uint8_t>(value + 4);
            return expect(Element::kMaxNumRefFrames);
        case Element::kDeltaPicOrderAlwaysZeroFlag:
            sps.delta_pic_order_always_zero_flag = value != 0;
            return expect(Element::kOffsetForNonRefPic);
        case Element::kOffsetForNonRefPic:
            sps.offset_for_non_ref_pic = static_cast<int32_t>(value);
            return expect(Element::kOffsetForTopToBottomField);
        case Element::kOffsetForTopToBottomField:
            sps.offset_for_top_to_bottom_field = static_cast<int32_t>(value);
            return expect(Element::kNumRefFramesInPicOrderCntCycle);
        case Element::kNumRefFramesInPicOrderCntCycle:
            p.i = number;
            return expect(value > 0 ? Element::kOffsetForRefFrame : Element::kMaxNumRefFrames);
        case Element::kOffsetForRefFrame:
            sps.offset_sums.push_back(
                (sps.offset_sums.empty() ? 0 : sps.offset_sums.back()) + value
            );
            return expect(--p.i > 0 ? Element::kOffsetForRefFrame : Element::kMaxNumRefFrames);
        case Element::kMaxNumRefFrames:
            sps.max_num_ref_frames = small;
            return expect(Element::kGapsInFrameNumValueAllowedFlag);
        case Element::kGapsInFrameNumValueAllowedFlag:
            sps.gaps_in_frame_num_value_allowed_flag = value != 0;
            return expect(Element::kPicWidthInMbsMinus1);
        case Element::kPicWidthInMbsMinus1:
            sps.width_mbs = number + 1;
            return expect(Element::kPicHeightInMapUnitsMinus1);
        case Element::kPicHeightInMapUnitsMinus1:
            sps.height_mbs = number + 1;
            return expect(Element::kFrameMbsOnlyFlag);
        case Element::kFrameMbsOnlyFlag:
            return expect(Element::kDirect8x8InferenceFlag);
        case Element::kDirect8x8InferenceFlag:
            sps.direct_8x8_inference_flag = value != 0;
            return expect(Element::kFrameCroppingFlag);
        case Element::kFrameCroppingFlag:
            return expect(
                value != 0 ? Element::kFrameCropLeftOffset : Element::kVuiParametersPresentFlag
            );
        case Element::kFrameCropLeftOffset:
            draft.crop[0] = number;
            return expect(Element::kFrameCropRightOffset);
        case Element::kFrameCropRightOffset:
            draft.crop[1] = number;
            return expect(Element::kFrameCropTopOffset);
        case Element::kFrameCropTopOffset:
            draft.crop[2] = number;
            return expect(Element::kFrameCropBottomOffset);
        case Element::kFrameCropBottomOffset:
            draft.crop[3] = number;
            return expect(Element::kVuiParametersPresentFlag);
        default:  // kVuiParametersPresentFlag
            if (value != 0) return expect(Element::kAspectRatioInfoPresentFlag);
            return begin_trailing_bits();
    }
}

/// seq_scaling_list_present_flag or pic_..., and delta_scale, of n_lists lists: 7.3.2.1.1.1. The
/// first six have 16 values, the others 64.
void AvcCursor::take_scaling_field(int64_t value, uint32_t n_lists, Element next) {
    Position& p = position_;
    const bool is_flag = p.at != Element::kDeltaScale;
    if (is_flag) p.scaling_flag = p.at;
    bool is_list_done = is_flag && value == 0;
    if (is_flag && value != 0) {
        p.j = 0;
        p.number = 8;  // lastScale
        return expect(Element::kDeltaScale);
    }
    if (!is_flag) {
        p.number = (p.number + value + 256) % 256;  // nextScale
        is_list_done = p.number == 0 || ++p.j == (p.i < 6 ? 16 : 64);
    }
    if (!is_list_done) return;
    expect(++p.i < n_lists ? p.scaling_flag : next);
}

/// A set whose content is new replaces the one of its number; where that was active, what comes
/// next is another coded video sequence (7.4.1.2.1).
void AvcCursor::end_sps() {
    Position& p = position_;
    Context& context = context_.edit();
    const Sps& draft = context.draft.sps;
    const uint8_t id = draft.seq_parameter_set_id;
    p.sps_before = id;
    const std::shared_ptr<const Sps>& old = context.sets->sps[id];
    if (old && old->rbsp == draft.rbsp) return;
    if (context.sps && old == context.sps) p.needs_idr = true;
    context.sets.edit().sps[id] = std::make_shared<const Sps>(draft);
    context.draft = {};
}

}  // namespace pycodec_lm::h264
