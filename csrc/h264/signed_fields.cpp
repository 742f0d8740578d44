// Fields of signed numbers, se(v): what each may say is a range.
#include <algorithm>

#include "h264/cursor.hpp"
#include "h264/exp_golomb.hpp"

namespace pycodec_lm::h264 {

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
    if (const auto value = pinned_value()) return first <= *value && *value <= last;
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
    constexpr int64_t kMost = INT32_MAX;
    switch (position_.at) {
        case Element::kDeltaScale:
            return {-128, 127};
        case Element::kLumaWeightL0:
        case Element::kLumaOffsetL0:
        case Element::kChromaWeightL0:
        case Element::kChromaOffsetL0:
        case Element::kLumaWeightL1:
        case Element::kLumaOffsetL1:
        case Element::kChromaWeightL1:
        case Element::kChromaOffsetL1:
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
            if (grammar_->qp) return {*grammar_->qp - qp, *grammar_->qp - qp};
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
            return legal_mb_qp_deltas();
        case Element::kMvdL0X:
        case Element::kMvdL1X:
            return legal_mvds(position_.limits.mv_x, position_.mb.predicted.x);
        case Element::kMvdL0Y:
        case Element::kMvdL1Y:
            return legal_mvds(position_.limits.mv_y, position_.mb.predicted.y);
        case Element::kDeltaPicOrderCntBottom:
        case Element::kDeltaPicOrderCnt0:
        case Element::kDeltaPicOrderCnt1:
        case Element::kOffsetForNonRefPic:
        case Element::kOffsetForTopToBottomField:
        case Element::kOffsetForRefFrame:
            return portable_order_counts();
        default:
            return {-kMost, kMost};
    }
}

}  // namespace pycodec_lm::h264
