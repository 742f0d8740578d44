// Prediction weights: 7.3.3.2, 7.4.3.2. What they are matters for bi-prediction only, so those of
// P slices are not kept.
#include "h264/cursor.hpp"

namespace pycodec_lm::h264 {
namespace {

/// The element of list 0, `n_lists` further on.
Element of_list(Element element, int n_lists) {
    constexpr int kPerList =
        static_cast<int>(Element::kLumaWeightL1Flag) - static_cast<int>(Element::kLumaWeightL0Flag);
    return static_cast<Element>(static_cast<int>(element) + n_lists * kPerList);
}

}  // namespace

void AvcCursor::after_lists() {
    const SliceType type = position_.slice.type;
    const bool has_weights = (type == SliceType::kP && pps().weighted_pred_flag) ||
                             (type == SliceType::kB && pps().weighted_bipred_idc == 1);
    if (has_weights) return expect(Element::kLumaLog2WeightDenom);
    after_weights();
}

void AvcCursor::after_weights() {
    if (position_.slice.is_reference()) return begin_marking();
    after_marking();
}

/// Keeps a weight of a B slice; component 0 is luma.
void AvcCursor::note_weight(size_t component, int64_t value) {
    const Position& p = position_;
    if (p.slice.type != SliceType::kB) return;
    context_.edit().draft.weights.of[p.list][p.i][component] = static_cast<int16_t>(value);
}

/// A frame's weights are p.i's of list p.list, its chroma component's p.j's.
void AvcCursor::take_weight_field(int64_t value) {
    Position& p = position_;
    const bool is_of_list_1 = p.at >= Element::kLumaWeightL1Flag;
    const Element at = of_list(p.at, is_of_list_1 ? -1 : 0);  // as if of list 0
    const auto expect_of_list = [&](Element next) { expect(of_list(next, p.list)); };
    const auto next_frame = [&] {
        if (++p.i == p.slice.num_ref_idx_active[p.list]) {
            if (p.slice.type != SliceType::kB || p.list == 1) return after_weights();
            p.list = 1;
            p.i = 0;
        }
        expect_of_list(Element::kLumaWeightL0Flag);
    };
    const auto default_of = [&](size_t i) {
        return int64_t{1} << context_->draft.weights.log2_denoms[i];
    };
    switch (at) {
        case Element::kLumaLog2WeightDenom:
        case Element::kChromaLog2WeightDenom: {
            const bool is_luma = at == Element::kLumaLog2WeightDenom;
            if (p.slice.type == SliceType::kB)
                context_.edit().draft.weights.log2_denoms[is_luma ? 0 : 1] =
                    static_cast<uint8_t>(value);
            p.list = 0;
            p.i = 0;
            return expect(is_luma ? Element::kChromaLog2WeightDenom : Element::kLumaWeightL0Flag);
        }
        case Element::kLumaWeightL0Flag:
            if (value != 0) return expect_of_list(Element::kLumaWeightL0);
            note_weight(0, default_of(0));
            return expect_of_list(Element::kChromaWeightL0Flag);
        case Element::kLumaWeightL0:
            note_weight(0, value);
            return expect_of_list(Element::kLumaOffsetL0);
        case Element::kLumaOffsetL0:
            return expect_of_list(Element::kChromaWeightL0Flag);
        case Element::kChromaWeightL0Flag:
            p.j = 0;
            if (value != 0) return expect_of_list(Element::kChromaWeightL0);
            note_weight(1, default_of(1));
            note_weight(2, default_of(1));
            return next_frame();
        case Element::kChromaWeightL0:
            note_weight(1 + p.j, value);
            return expect_of_list(Element::kChromaOffsetL0);
        default:  // kChromaOffsetL0
            return ++p.j < 2 ? expect_of_list(Element::kChromaWeightL0) : next_frame();
    }
}

}  // namespace pycodec_lm::h264
