// Why a macroblock of a B slice is refused.
#include "h264/cursor.hpp"
#include "h264/mb_syntax.hpp"

namespace pycodec_lm::h264 {
namespace {

constexpr int kAnyMvs = 64;  // more than any macroblock has

}  // namespace

/// Of direct prediction for the macroblock, or a quarter of it.
Code AvcCursor::why_not_direct(int32_t& limit, std::optional<int> quarter) const {
    limit = sps().limits().max_mvs_per_2mb;
    if (is_legal_direct(quarter, kAnyMvs)) {
        // Of a run the first may be legal.
        const bool is_first = is_legal_direct(quarter, n_mvs_left() - position_.mb.n_mvs);
        if (!is_first) return Code::kMotionVectorCount;
    }
    return Code::kDirectPrediction;
}

Code AvcCursor::why_not_b_type(uint32_t mb_type, int32_t& limit) const {
    const MbTypeFacts facts = facts_of_mb_type(MbSliceType::kB, static_cast<uint8_t>(mb_type));
    if (facts.is_direct) return why_not_direct(limit);
    limit = sps().limits().max_mvs_per_2mb;
    const bool is_8x8 = facts.shape == MbShape::k8x8;
    const bool has_two_parts = !is_8x8 && facts.shape != MbShape::k16x16;
    const auto& usable = position_.slice.usable_refs;
    const bool has_all =
        is_8x8 ? (usable[0] | usable[1]) != 0
               : has_refs(facts.lists[0]) && (!has_two_parts || has_refs(facts.lists[1]));
    return has_all ? Code::kMotionVectorCount : why_no_refs();
}

Code AvcCursor::why_not_b_sub_type(uint32_t type, int32_t& limit) const {
    if (type >= kNumBSubMbTypes) return Code::kElementRange;
    if (type == 0) return why_not_direct(limit, position_.mb.part);
    const SubMbTypeFacts facts = facts_of_sub_mb_type(MbSliceType::kB, static_cast<uint8_t>(type));
    const bool is_bi = facts.lists == BMacroblock::kBi;
    if (is_bi && facts.n_parts() > 1 && position_.limits.has_large_bi_parts)
        return Code::kBlockSize;
    limit = sps().limits().max_mvs_per_2mb;
    return has_refs(facts.lists) ? Code::kMotionVectorCount : why_no_refs();
}

/// Some list has no picture, or no two of the lists have weights that go together.
Code AvcCursor::why_no_refs() const {
    const auto& usable = position_.slice.usable_refs;
    return usable[0] != 0 && usable[1] != 0 ? Code::kWeightSum : Code::kRefIdxMissing;
}

}  // namespace pycodec_lm::h264
