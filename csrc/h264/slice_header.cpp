// Slice headers: 7.3.3, 7.4.3. Reference picture lists are in reference_lists.cpp, weights in
// pred_weight_table.cpp.
#include <algorithm>

#include "h264/cursor.hpp"

namespace pycodec_lm::h264 {
namespace {

constexpr uint32_t kMaxRefIdxActive = 16;  // of frames

}  // namespace

/// Why no slice may activate a picture parameter set; kOk where it may.
Code AvcCursor::why_no_pps(uint32_t id, bool is_idr) const {
    const ParameterSets& sets = *context_->sets;
    const Pps* pps = sets.pps[id].get();
    if (pps == nullptr || sets.sps[pps->seq_parameter_set_id] == nullptr)
        return Code::kParameterSetMissing;
    const Sps& sps = *sets.sps[pps->seq_parameter_set_id];
    if (!is_idr && (position_.needs_idr || context_->sps.get() != &sps))
        return Code::kParameterSetActivation;
    return sps.allows(*pps) ? Code::kOk : Code::kProfileConstraint;
}

/// P slices need a picture to refer to.
bool AvcCursor::may_be_p_slice() const {
    const Position& p = position_;
    if (p.slice.is_idr() || context_->sps->max_num_ref_frames == 0) return false;
    if (p.primary_pic_type == 0 || p.primary_pic_type == 5) return false;  // Table 7-5
    return context_->references.n_existing() > 0;
}

/// So do B slices, which Baseline does not have (A.2.1).
bool AvcCursor::may_be_b_slice() const {
    const uint8_t type = position_.primary_pic_type;
    return may_be_p_slice() && !sps().obeys_baseline() && (type == 2 || type == 7);  // Table 7-5
}

ValueSet AvcCursor::legal_slice_types() const {
    const Context& c = *context_;
    uint32_t types = 0;
    for (const uint32_t type : {0u, 1u, 2u}) {
        if (type == 0 && !may_be_p_slice()) continue;
        if (type == 1 && !may_be_b_slice()) continue;
        const bool is_alone = is_first_slice() || c.slice_types == 1u << type;
        if (is_alone || !c.has_one_slice_type) types |= 1u << type;
        if (is_alone) types |= 1u << (type + 5);
    }
    return types == 0 ? ValueSet() : ValueSet::of_bits(types);
}

ValueSet AvcCursor::legal_slice_field() const {
    const Position& p = position_;
    const Context& c = *context_;
    const SliceHeader& first = c.first_slice;
    switch (p.at) {
        case Element::kFirstMbInSlice:
            return ValueSet::only(is_first_slice() ? 0 : p.next_mb);
        case Element::kSliceType:
            return legal_slice_types();
        case Element::kPicParameterSetId:
            return ValueSet::only(first.pic_parameter_set_id);  // but see any_legal()
        case Element::kFrameNum:
            return legal_frame_nums();
        case Element::kIdrPicId: {
            if (!is_first_slice()) return ValueSet::only(first.idr_pic_id);
            ValueSet ids(0, 65535);
            if (p.n_pictures > 0 && c.previous.is_idr) ids.remove(c.previous.idr_pic_id);
            return ids;
        }
        case Element::kRedundantPicCnt:
            return ValueSet::only(0);
        case Element::kDirectSpatialMvPredFlag:
            return {0, 1};
        case Element::kNumRefIdxActiveOverrideFlag: {
            const bool is_b = p.slice.type == SliceType::kB;
            const bool are_in_range =
                pps().num_ref_idx_default_active_minus1[0] < kMaxRefIdxActive &&
                (!is_b || pps().num_ref_idx_default_active_minus1[1] < kMaxRefIdxActive);
            return {are_in_range ? 0u : 1u, 1};
        }
        case Element::kNumRefIdxL0ActiveMinus1:
        case Element::kNumRefIdxL1ActiveMinus1:
            return {0, kMaxRefIdxActive - 1};
        case Element::kRefPicListModificationFlagL0:
        case Element::kRefPicListModificationFlagL1:
            return {is_list_full() ? 0u : 1u, 1};
        case Element::kModificationOfPicNumsIdc:
            return legal_modifications();
        case Element::kAbsDiffPicNumMinus1:
            return legal_pic_num_differences(p.j == 0 ? -1 : 1, p.number);
        case Element::kLongTermPicNum:
            return legal_long_term_pic_nums(c.references);
        case Element::kLumaLog2WeightDenom:
        case Element::kChromaLog2WeightDenom:
            return {0, 7};
        case Element::kLumaWeightL0Flag:
        case Element::kChromaWeightL0Flag:
        case Element::kLumaWeightL1Flag:
        case Element::kChromaWeightL1Flag:
            return {0, 1};
        case Element::kCabacInitIdc:
        case Element::kDisableDeblockingFilterIdc:
            return {0, 2};
        default:
            return legal_marking_field();
    }
}

/// 7.4.3, frame_num.
ValueSet AvcCursor::legal_frame_nums() const {
    const Position& p = position_;
    const Context& c = *context_;
    if (!is_first_slice()) return ValueSet::only(c.first_slice.frame_num);
    if (p.slice.is_idr()) return ValueSet::only(0);
    const uint32_t most = c.sps->max_frame_num();
    const uint32_t next = (c.prev_ref_frame_num + 1) % most;
    if (!c.sps->gaps_in_frame_num_value_allowed_flag) return ValueSet::only(next);
    // Frames are inferred up to here; none may have the frame_num of one that is kept, and all that
    // refer to pictures still find one.
    const uint32_t first = c.previous.is_reference ? next : c.previous.frame_num;
    uint32_t n_free = (c.prev_ref_frame_num + most - first) % most;
    for (const RefFrame& frame : c.references.frames()) {
        if (!frame.is_long_term) n_free = std::min(n_free, (frame.frame_num + most - first) % most);
    }
    if (p.slice.type != SliceType::kI && c.references.n_long_term() == 0) {
        const auto n_refs = static_cast<uint32_t>(c.references.size());
        const auto n_kept = static_cast<uint32_t>(c.references.n_existing_short_term());
        const uint32_t n_room = c.sps->max_num_ref_frames - n_refs + n_kept;
        n_free = std::min(n_free, (next + most - first) % most + n_room);
    }
    if (n_free == 0) return ValueSet::only(next);
    const uint32_t last = first + n_free - 1;
    if (last < most) return {first, last};
    ValueSet values(first, most - 1);
    values.add(0, last - most);
    return values;
}

void AvcCursor::take_slice_field(int64_t value) {
    Position& p = position_;
    SliceHeader& slice = p.slice;
    const auto number = static_cast<uint32_t>(value);
    const auto small = static_cast<uint8_t>(value);
    ++p.n_header_fields;
    switch (p.at) {
        case Element::kFirstMbInSlice:
            p.n_header_fields = 0;
            slice.first_mb = number;
            return expect(Element::kSliceType);
        case Element::kSliceType:
            slice.type = static_cast<SliceType>(value % 5);
            slice.is_type_of_all = value >= 5;
            slice.constants = {.nal_ref_idc = p.nal_ref_idc, .slice_type = small};
            return expect(Element::kPicParameterSetId);
        case Element::kPicParameterSetId:
            slice.pic_parameter_set_id = small;
            if (is_first_slice()) activate(small);
            return expect(Element::kFrameNum);
        case Element::kFrameNum:
            slice.frame_num = number;
            if (is_first_slice() && !slice.is_idr()) fill_frame_num_gap(context_.edit());
            if (slice.is_idr()) return expect(Element::kIdrPicId);
            return after_frame_num();
        case Element::kIdrPicId:
            slice.idr_pic_id = number;
            return after_frame_num();
        case Element::kPicOrderCntLsb:
            slice.pic_order_cnt_lsb = number;
            if (pps().bottom_field_pic_order_in_frame_present_flag)
                return expect(Element::kDeltaPicOrderCntBottom);
            return after_order_count();
        case Element::kDeltaPicOrderCntBottom:
            slice.delta_pic_order_cnt_bottom = static_cast<int32_t>(value);
            return after_order_count();
        case Element::kDeltaPicOrderCnt0:
            slice.delta_pic_order_cnt[0] = static_cast<int32_t>(value);
            if (pps().bottom_field_pic_order_in_frame_present_flag)
                return expect(Element::kDeltaPicOrderCnt1);
            return after_order_count();
        case Element::kDeltaPicOrderCnt1:
            slice.delta_pic_order_cnt[1] = static_cast<int32_t>(value);
            return after_order_count();
        case Element::kRedundantPicCnt:
            return after_redundant_pic_cnt();
        case Element::kDirectSpatialMvPredFlag:
            slice.direct_spatial_mv_pred_flag = value != 0;
            return expect(Element::kNumRefIdxActiveOverrideFlag);
        case Element::kNumRefIdxActiveOverrideFlag:
            for (size_t list = 0; list < 2; ++list) {
                slice.num_ref_idx_active[list] =
                    static_cast<uint8_t>(pps().num_ref_idx_default_active_minus1[list] + 1);
            }
            if (value != 0) return expect(Element::kNumRefIdxL0ActiveMinus1);
            return begin_list(0);
        case Element::kNumRefIdxL0ActiveMinus1:
            slice.num_ref_idx_active[0] = static_cast<uint8_t>(value + 1);
            if (slice.type == SliceType::kB) return expect(Element::kNumRefIdxL1ActiveMinus1);
            return begin_list(0);
        case Element::kNumRefIdxL1ActiveMinus1:
            slice.num_ref_idx_active[1] = static_cast<uint8_t>(value + 1);
            return begin_list(0);
        case Element::kRefPicListModificationFlagL0:
        case Element::kRefPicListModificationFlagL1:
            if (value == 0) return end_list();
            p.i = 0;                     // refIdxLX
            p.number = slice.frame_num;  // picNumLXPred
            return expect(Element::kModificationOfPicNumsIdc);
        case Element::kModificationOfPicNumsIdc:
            p.j = number;
            if (value == 3) return end_list();
            return expect(value == 2 ? Element::kLongTermPicNum : Element::kAbsDiffPicNumMinus1);
        case Element::kAbsDiffPicNumMinus1: {
            const auto most = static_cast<int64_t>(sps().max_frame_num());
            const int64_t difference = value + 1;
            p.number = (p.number + (p.j == 0 ? most - difference : difference)) % most;
            const int64_t pic_num = p.number > slice.frame_num ? p.number - most : p.number;
            modify_list(*context_->references.find_short_term(sps(), slice.frame_num, pic_num));
            return expect(Element::kModificationOfPicNumsIdc);
        }
        case Element::kLongTermPicNum:
            modify_list(*context_->references.find_long_term(number));
            return expect(Element::kModificationOfPicNumsIdc);
        case Element::kLumaLog2WeightDenom:
        case Element::kChromaLog2WeightDenom:
        case Element::kLumaWeightL0Flag:
        case Element::kLumaWeightL0:
        case Element::kLumaOffsetL0:
        case Element::kChromaWeightL0Flag:
        case Element::kChromaWeightL0:
        case Element::kChromaOffsetL0:
        case Element::kLumaWeightL1Flag:
        case Element::kLumaWeightL1:
        case Element::kLumaOffsetL1:
        case Element::kChromaWeightL1Flag:
        case Element::kChromaWeightL1:
        case Element::kChromaOffsetL1:
            return take_weight_field(value);
        case Element::kCabacInitIdc:
            slice.constants.cabac_init_idc = small;
            return expect(Element::kSliceQpDelta);
        case Element::kSliceQpDelta:
            slice.constants.slice_qp_delta = static_cast<int8_t>(value);
            if (pps().deblocking_filter_control_present_flag)
                return expect(Element::kDisableDeblockingFilterIdc);
            return begin_slice_data();
        case Element::kDisableDeblockingFilterIdc:
            slice.constants.disable_deblocking_filter_idc = small;
            if (value == 1) return begin_slice_data();
            return expect(Element::kSliceAlphaC0OffsetDiv2);
        case Element::kSliceAlphaC0OffsetDiv2:
            slice.constants.slice_alpha_c0_offset_div2 = static_cast<int8_t>(value);
            return expect(Element::kSliceBetaOffsetDiv2);
        case Element::kSliceBetaOffsetDiv2:
            slice.constants.slice_beta_offset_div2 = static_cast<int8_t>(value);
            return begin_slice_data();
        default:
            return take_marking_field(value);
    }
}

void AvcCursor::activate(uint8_t pic_parameter_set_id) {
    Position& p = position_;
    Context& context = context_.edit();
    context.pps = context.sets->pps[pic_parameter_set_id];
    const auto& sps = context.sets->sps[context.pps->seq_parameter_set_id];
    context.marking.clear();
    context.long_term_frame_idx.reset();
    context.has_mmco4 = false;
    context.has_mmco1_to_3 = false;
    context.slice_types = 0;
    context.has_one_slice_type = false;
    if (!p.slice.is_idr()) return;
    context.sps = sps;
    context.references.clear();
    context.order_counts.clear();
}

void AvcCursor::after_frame_num() {
    const Sps& s = sps();
    if (s.pic_order_cnt_type == 0) return expect(Element::kPicOrderCntLsb);
    if (s.pic_order_cnt_type == 1 && !s.delta_pic_order_always_zero_flag)
        return expect(Element::kDeltaPicOrderCnt0);
    after_order_count();
}

void AvcCursor::after_order_count() {
    Position& p = position_;
    Context& context = context_.edit();
    if (is_first_slice()) {
        context.current = numbers_of(p.slice);
        context.pic_order_cnt_msb = pic_order_cnt_msb_of(p.slice);
        context.first_slice = p.slice;
        context.after = context.references;
    }
    context.slice_types |= static_cast<uint8_t>(1u << static_cast<unsigned>(p.slice.type));
    context.has_one_slice_type = context.has_one_slice_type || p.slice.is_type_of_all;
    if (pps().redundant_pic_cnt_present_flag) return expect(Element::kRedundantPicCnt);
    after_redundant_pic_cnt();
}

void AvcCursor::after_redundant_pic_cnt() {
    const SliceType type = position_.slice.type;
    if (type == SliceType::kI) return after_lists();
    expect(
        type == SliceType::kB ? Element::kDirectSpatialMvPredFlag
                              : Element::kNumRefIdxActiveOverrideFlag
    );
}

void AvcCursor::after_marking() {
    const bool has_idc = pps().entropy_coding_mode_flag && position_.slice.type != SliceType::kI;
    expect(has_idc ? Element::kCabacInitIdc : Element::kSliceQpDelta);
}

/// The motion of the picture that ends; null where no B slice can ask for it.
std::shared_ptr<const PictureMotion> AvcCursor::whole_motion() const {
    if (!position_.limits.records_motion || is_looking_ahead_) return nullptr;
    auto motion = std::make_shared<PictureMotion>();
    motion->field = motion_;
    for (uint32_t i = 0; i < motion_->n_chunks(); ++i)
        motion->extents.push_back(motion_->extent(i));
    for (const RefFrame& frame : context_->references.frames())
        motion->frame_ids.push_back(frame.id);
    return motion;
}

/// What is left to do once all macroblocks of the picture are there.
void AvcCursor::end_picture() {
    Position& p = position_;
    Context& context = context_.edit();
    const Sps& s = *context.sps;
    const SliceHeader& slice = context.first_slice;
    PictureNumbers& current = context.current;
    if (current.had_mmco5) {  // 8.2.1
        const int64_t lower = std::min(current.top, current.bottom);
        current.top -= lower;
        current.bottom -= lower;
        current.frame_num = 0;
        current.frame_num_offset = 0;
        context.order_counts.clear();
    }
    const auto pic_order_cnt = static_cast<int32_t>(std::min(current.top, current.bottom));
    context.order_counts.add(
        pic_order_cnt, static_cast<int32_t>(std::max(current.top, current.bottom))
    );
    if (slice.is_reference()) {
        if (!slice.is_idr() && context.marking == std::vector<uint32_t>{0})
            context.after.slide_window(s, slice.frame_num);
        // What blocks refer to are frames that there were before.
        const std::shared_ptr<const PictureMotion> motion = whole_motion();
        context.references = context.after;
        RefFrame frame{
            .frame_num = current.frame_num,
            .pic_order_cnt = pic_order_cnt,
            .id = p.n_pictures,
            .motion = motion,
        };
        if (context.long_term_frame_idx) {
            frame.is_long_term = true;
            frame.long_term_frame_idx = *context.long_term_frame_idx;
        }
        context.references.add(frame);
        context.prev_ref_frame_num = current.frame_num;
        context.prev_pic_order_cnt_msb = current.had_mmco5 ? 0 : context.pic_order_cnt_msb;
        context.prev_pic_order_cnt_lsb =
            current.had_mmco5 ? static_cast<uint32_t>(current.top) : slice.pic_order_cnt_lsb;
    }
    context.previous = current;
    p.phase = Phase::kAfter;
    p.needs_idr = false;
    p.next_mb = 0;
    ++p.n_pictures;
}

}  // namespace pycodec_lm::h264
