// Picture parameter sets: 7.3.2.2, 7.4.2.2. What hangs on the sequence parameter set is judged
// where a slice activates both (slice_header.cpp).
#include "h264/cursor.hpp"

namespace pycodec_lm::h264 {

ValueSet AvcCursor::legal_pps_field() const {
    switch (position_.at) {
        case Element::kPicParameterSetId:
            return {0, kMaxPicParameterSets - 1};
        case Element::kSeqParameterSetId:
            return {0, kMaxSeqParameterSets - 1};
        case Element::kNumRefIdxL0DefaultActiveMinus1:
        case Element::kNumRefIdxL1DefaultActiveMinus1:
            return {0, 31};
        case Element::kWeightedBipredIdc:
            return {0, 2};
        case Element::kNumSliceGroupsMinus1:
            return ValueSet::only(0);  // the rest is not supported yet
        default:
            return {0, 1};
    }
}

void AvcCursor::take_pps_field(int64_t value) {
    Position& p = position_;
    Pps& pps = context_.edit().draft.pps;
    const auto small = static_cast<uint8_t>(value);
    const bool flag = value != 0;
    switch (p.at) {
        case Element::kPicParameterSetId:
            pps.pic_parameter_set_id = small;
            return expect(Element::kSeqParameterSetId);
        case Element::kSeqParameterSetId:
            pps.seq_parameter_set_id = small;
            return expect(Element::kEntropyCodingModeFlag);
        case Element::kEntropyCodingModeFlag:
            pps.entropy_coding_mode_flag = flag;
            return expect(Element::kBottomFieldPicOrderInFramePresentFlag);
        case Element::kBottomFieldPicOrderInFramePresentFlag:
            pps.bottom_field_pic_order_in_frame_present_flag = flag;
            return expect(Element::kNumSliceGroupsMinus1);
        case Element::kNumSliceGroupsMinus1:
            return expect(Element::kNumRefIdxL0DefaultActiveMinus1);
        case Element::kNumRefIdxL0DefaultActiveMinus1:
            pps.num_ref_idx_default_active_minus1[0] = small;
            return expect(Element::kNumRefIdxL1DefaultActiveMinus1);
        case Element::kNumRefIdxL1DefaultActiveMinus1:
            pps.num_ref_idx_default_active_minus1[1] = small;
            return expect(Element::kWeightedPredFlag);
        case Element::kWeightedPredFlag:
            pps.weighted_pred_flag = flag;
            return expect(Element::kWeightedBipredIdc);
        case Element::kWeightedBipredIdc:
            pps.weighted_bipred_idc = small;
            return expect(Element::kPicInitQpMinus26);
        case Element::kPicInitQpMinus26:
            pps.pic_init_qp_minus26 = static_cast<int8_t>(value);
            return expect(Element::kPicInitQsMinus26);
        case Element::kPicInitQsMinus26:
            return expect(Element::kChromaQpIndexOffset);
        case Element::kChromaQpIndexOffset:
            return expect(Element::kDeblockingFilterControlPresentFlag);
        case Element::kDeblockingFilterControlPresentFlag:
            pps.deblocking_filter_control_present_flag = flag;
            return expect(Element::kConstrainedIntraPredFlag);
        case Element::kConstrainedIntraPredFlag:
            pps.constrained_intra_pred_flag = flag;
            return expect(Element::kRedundantPicCntPresentFlag);
        case Element::kRedundantPicCntPresentFlag:
            pps.redundant_pic_cnt_present_flag = flag;
            p.may_end = true;
            return expect(Element::kTransform8x8ModeFlag);
        case Element::kTransform8x8ModeFlag:
            pps.has_extension = true;
            pps.transform_8x8_mode_flag = flag;
            return expect(Element::kPicScalingMatrixPresentFlag);
        case Element::kPicScalingMatrixPresentFlag:
            p.i = 0;
            return expect(
                flag ? Element::kPicScalingListPresentFlag : Element::kSecondChromaQpIndexOffset
            );
        case Element::kPicScalingListPresentFlag:
        case Element::kDeltaScale:
            return take_scaling_field(
                value, pps.transform_8x8_mode_flag ? 8 : 6, Element::kSecondChromaQpIndexOffset
            );
        default:  // kSecondChromaQpIndexOffset
            return begin_trailing_bits();
    }
}

void AvcCursor::end_pps() {
    Context& context = context_.edit();
    // Where the end came as the other reading, transform_8x8_mode_flag was not taken for good.
    if (position_.at != Element::kRbspTrailingBits) {
        context.draft.pps.has_extension = false;
        context.draft.pps.transform_8x8_mode_flag = false;
    }
    context.sets.edit().put(context.draft.pps);
    context.draft = {};
}

}  // namespace pycodec_lm::h264
