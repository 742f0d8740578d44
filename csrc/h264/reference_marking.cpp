// Decoded reference picture marking: 7.3.3.3, 7.4.3.3, 8.2.5. All slices of a picture say the same;
// the first one's values are kept, and the others' are held against them.
#include <algorithm>

#include "h264/cursor.hpp"

namespace pycodec_lm::h264 {

void AvcCursor::begin_marking() {
    Position& p = position_;
    p.i = 0;  // values read
    expect(
        p.slice.is_idr() ? Element::kNoOutputOfPriorPicsFlag
                         : Element::kAdaptiveRefPicMarkingModeFlag
    );
}

ValueSet AvcCursor::legal_marking_field() const {
    const Position& p = position_;
    const Context& c = *context_;
    if (!is_first_slice()) return ValueSet::only(c.marking[p.i]);
    const ReferencePictures& after = c.after;
    switch (p.at) {
        case Element::kLongTermReferenceFlag:
            return {0, c.sps->max_num_ref_frames == 0 ? 0u : 1u};
        case Element::kAdaptiveRefPicMarkingModeFlag:
            return {after.n_long_term() == c.sps->max_kept_frames() ? 1u : 0u, 1};
        case Element::kMemoryManagementControlOperation:
            return legal_marking_operations();
        case Element::kDifferenceOfPicNumsMinus1:
            return legal_marked_differences(p.j == 3);
        case Element::kMarkedLongTermPicNum:
            return legal_long_term_pic_nums(after);
        case Element::kLongTermFrameIdx: {
            ValueSet values(0, static_cast<uint32_t>(after.max_long_term_frame_idx()));
            if (p.j == 3 && c.long_term_frame_idx) values.remove(*c.long_term_frame_idx);
            return values;
        }
        case Element::kMaxLongTermFrameIdxPlus1:
            return {
                c.long_term_frame_idx ? *c.long_term_frame_idx + 1u : 0u, c.sps->max_num_ref_frames
            };
        default:
            return {0, 1};
    }
}

/// Of the short-term frames, those that were decoded only where they must be. A frame from
/// MaxFrameNum frames ago has the number of the current picture: nothing says that one.
ValueSet AvcCursor::legal_marked_differences(bool must_exist) const {
    const uint32_t frame_num = position_.slice.frame_num;
    ValueSet values;
    for (const RefFrame& frame : context_->after.frames()) {
        if (frame.is_long_term || (must_exist && !frame.is_existing)) continue;
        const int64_t pic_num = frame_num_wrap(*context_->sps, frame_num, frame.frame_num);
        if (pic_num != frame_num) values.add(static_cast<uint32_t>(frame_num - pic_num - 1));
    }
    return values;
}

ValueSet AvcCursor::legal_marking_operations() const {
    const Context& c = *context_;
    const ReferencePictures& after = c.after;
    const bool has_short_term = legal_marked_differences(false).any_in(0, UINT32_MAX);
    const bool has_existing = legal_marked_differences(true).any_in(0, UINT32_MAX);
    const int n_indices = after.max_long_term_frame_idx() + 1;
    const bool has_mmco6 = c.long_term_frame_idx.has_value();
    ValueSet operations;
    if (after.size() < c.sps->max_kept_frames()) operations.add(0);
    if (has_short_term && !c.current.had_mmco5) operations.add(1);
    if (after.n_long_term() > 0 && !c.current.had_mmco5) operations.add(2);
    if (has_existing && !c.current.had_mmco5 && n_indices > (has_mmco6 ? 1 : 0)) operations.add(3);
    if (!c.has_mmco4) operations.add(4);
    const bool is_highest = std::min(c.current.top, c.current.bottom) > c.order_counts.highest();
    if (!c.current.had_mmco5 && !c.has_mmco1_to_3 && !has_mmco6 && is_highest) operations.add(5);
    if (!has_mmco6 && n_indices > 0) operations.add(6);
    return operations;
}

void AvcCursor::take_marking_field(int64_t value) {
    Position& p = position_;
    const Element at = p.at;
    if (is_first_slice()) note_marking(value);
    ++p.i;
    switch (at) {
        case Element::kNoOutputOfPriorPicsFlag:
            return expect(Element::kLongTermReferenceFlag);
        case Element::kLongTermReferenceFlag:
            return after_marking();
        case Element::kAdaptiveRefPicMarkingModeFlag:
            if (value == 0) return after_marking();
            return expect(Element::kMemoryManagementControlOperation);
        case Element::kMemoryManagementControlOperation: {
            p.j = static_cast<uint32_t>(value);
            if (value == 0) return after_marking();
            constexpr Element kNext[] = {
                Element::kNone,
                Element::kDifferenceOfPicNumsMinus1,
                Element::kMarkedLongTermPicNum,
                Element::kDifferenceOfPicNumsMinus1,
                Element::kMaxLongTermFrameIdxPlus1,
                Element::kMemoryManagementControlOperation,
                Element::kLongTermFrameIdx,
            };
            return expect(kNext[value]);
        }
        case Element::kDifferenceOfPicNumsMinus1:
            if (p.j == 3) {
                p.number = p.slice.frame_num - (value + 1);  // picNumX
                return expect(Element::kLongTermFrameIdx);
            }
            [[fallthrough]];
        default:
            return expect(Element::kMemoryManagementControlOperation);
    }
}

/// Keeps a value of the picture's first slice, and what it does: 8.2.5.4.
void AvcCursor::note_marking(int64_t value) {
    const Position& p = position_;
    Context& context = context_.edit();
    ReferencePictures& after = context.after;
    const auto find = [&](int64_t pic_num) {
        return *after.find_short_term(*context.sps, p.slice.frame_num, pic_num);
    };
    context.marking.push_back(static_cast<uint32_t>(value));
    switch (p.at) {
        case Element::kLongTermReferenceFlag:
            after.clear();
            if (value == 0) break;
            after.set_max_long_term_frame_idx(0);
            context.long_term_frame_idx = 0;
            break;
        case Element::kMemoryManagementControlOperation:
            if (value >= 1 && value <= 3) context.has_mmco1_to_3 = true;
            if (value == 4) context.has_mmco4 = true;
            if (value == 5) {
                context.current.had_mmco5 = true;
                after.clear();
            }
            break;
        case Element::kDifferenceOfPicNumsMinus1:
            if (p.j == 1) after.remove(find(p.slice.frame_num - (value + 1)));
            break;
        case Element::kMarkedLongTermPicNum:
            after.remove_long_term_idx(static_cast<uint8_t>(value));
            break;
        case Element::kLongTermFrameIdx:
            if (p.j == 3) {
                after.make_long_term(find(p.number), static_cast<uint8_t>(value));
            } else {
                after.remove_long_term_idx(static_cast<uint8_t>(value));
                context.long_term_frame_idx = static_cast<uint8_t>(value);
            }
            break;
        case Element::kMaxLongTermFrameIdxPlus1:
            after.set_max_long_term_frame_idx(static_cast<int>(value) - 1);
            break;
        default:
            break;
    }
}

}  // namespace pycodec_lm::h264
