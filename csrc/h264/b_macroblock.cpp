// Macroblocks of B slices up to the residual: 7.3.5.1, 7.3.5.2, 7.4.5. What is as in P slices is in
// slice_data.cpp.
#include <bit>

#include "h264/cursor.hpp"
#include "h264/mb_syntax.hpp"

namespace pycodec_lm::h264 {
namespace {

constexpr uint8_t kB8x8 = 22;  // Table 7-14
constexpr int kMostMvsOfHalves = 4;

/// Types of 16x16 and halves, a bit each.
struct BTypes {
    uint32_t all = 0;
    std::array<uint32_t, 4> with_lists{};                   // by lists that some part has
    std::array<uint32_t, kMostMvsOfHalves + 1> with_mvs{};  // by MvCnt
};

consteval BTypes types_of_b_slices() {
    BTypes types;
    for (uint8_t type = 1; type < kB8x8; ++type) {
        const MbTypeFacts facts = facts_of_mb_type(MbSliceType::kB, type);
        const uint32_t bit = 1u << type;
        types.all |= bit;
        size_t n_mvs = 0;
        for (int part = 0; part < n_parts(facts.shape); ++part) {
            const uint8_t lists = facts.lists[static_cast<size_t>(part)];
            types.with_lists[lists] |= bit;
            n_mvs += static_cast<size_t>(std::popcount(lists));
        }
        types.with_mvs[n_mvs] |= bit;
    }
    return types;
}
constexpr BTypes kBTypes = types_of_b_slices();

/// The 8x8 block that a partition begins with.
size_t first_quarter(MbShape shape, int part) {
    return static_cast<size_t>(shape == MbShape::k16x8 ? 2 * part : part);
}

}  // namespace

void AvcCursor::reset_macroblock() {
    Position& p = position_;
    p.mb = {};
    if (!p.limits.is_b) return;
    p.b = {.left = p.b.left, .spatial = p.b.spatial};
    p.mb.ref_idx.fill(kNoRefIdx);
}

/// In front of a macroblock: what direct types infer shows whether they are legal.
void AvcCursor::infer_direct() {
    if (!position_.limits.is_b) return;
    const BSlice& b = *context_->b_slice;
    if (b.is_spatial && b.has_col) position_.b.spatial = spatial_direct();
}

/// In front of a macroblock that may be skipped.
void AvcCursor::begin_skip() {
    infer_direct();
    expect(position_.limits.has_cabac ? Element::kMbSkipFlag : Element::kMbSkipRun);
}

/// Some reference indices go with prediction from these lists.
bool AvcCursor::has_refs(uint8_t lists) const {
    switch (lists) {
        case BMacroblock::kList0:
            return position_.slice.usable_refs[0] != 0;
        case BMacroblock::kList1:
            return position_.slice.usable_refs[1] != 0;
        default:
            return context_->b_slice->bi_refs != 0;
    }
}

/// Inter types, Table 7-14, a bit each, but for B_Direct_16x16.
uint32_t AvcCursor::legal_coded_b_types() const {
    const Position& p = position_;
    const int n_left = n_mvs_left();
    uint32_t types = kBTypes.all;
    for (uint8_t lists = 1; lists <= BMacroblock::kBi; ++lists) {
        if (!has_refs(lists)) types &= ~kBTypes.with_lists[lists];
    }
    for (int n = kMostMvsOfHalves; n > n_left && n >= 0; --n)
        types &= ~kBTypes.with_mvs[static_cast<size_t>(n)];
    // Each quarter has a type with one vector.
    const bool has_any = (p.slice.usable_refs[0] | p.slice.usable_refs[1]) != 0;
    return types | (has_any && n_left >= 4 ? 1u << kB8x8 : 0);
}

bool AvcCursor::is_legal_b_type(uint8_t mb_type) const {
    if (mb_type == 0) return is_legal_direct(std::nullopt, n_mvs_left());
    return ((legal_coded_b_types() >> mb_type) & 1) != 0;
}

bool AvcCursor::is_legal_b_sub_type(uint64_t type) const {
    const Position& p = position_;
    if (type >= kNumBSubMbTypes) return false;
    const int n_left = n_mvs_left() - p.mb.n_mvs - (3 - p.mb.part);
    if (type == 0) return is_legal_direct(p.mb.part, n_left);
    const SubMbTypeFacts facts = facts_of_sub_mb_type(MbSliceType::kB, static_cast<uint8_t>(type));
    // "MinLumaBiPredSize", A.3.3
    if (facts.lists == BMacroblock::kBi && facts.n_parts() > 1 && p.limits.has_large_bi_parts)
        return false;
    return has_refs(facts.lists) && facts.n_parts() * std::popcount(facts.lists) <= n_left;
}

void AvcCursor::take_b_type(uint8_t mb_type) {
    Position& p = position_;
    Macroblock& mb = p.mb;
    const MbTypeFacts facts = facts_of_mb_type(MbSliceType::kB, mb_type);
    mb.kind = MbKind::kInter;
    if (facts.is_direct) {
        put_direct_macroblock(even_direct());
        return expect(Element::kCodedBlockPattern);
    }
    mb.shape = facts.shape;
    if (facts.shape == MbShape::k8x8) return expect(Element::kSubMbType);
    for (int part = 0; part < n_parts(facts.shape); ++part) {
        const uint8_t lists = facts.lists[static_cast<size_t>(part)];
        p.b.lists[static_cast<size_t>(part)] = lists;
        mb.n_mvs = static_cast<uint8_t>(mb.n_mvs + std::popcount(lists));
    }
    begin_references();
}

void AvcCursor::take_b_sub_type(uint8_t type) {
    Position& p = position_;
    Macroblock& mb = p.mb;
    const SubMbTypeFacts facts = facts_of_sub_mb_type(MbSliceType::kB, type);
    const bool is_direct = facts.lists == BMacroblock::kDirect;
    p.b.lists[mb.part] = facts.lists;
    mb.sub_mb_type[mb.part] = is_direct ? shape_of_direct() : kPShapeOfB[type];
    const int n_mvs =
        is_direct ? n_direct_mvs_of_quarter() : facts.n_parts() * std::popcount(facts.lists);
    mb.n_mvs = static_cast<uint8_t>(mb.n_mvs + n_mvs);
    if (++mb.part < 4) return;
    for (int quarter = 0; quarter < 4; ++quarter) {
        if (p.b.lists[static_cast<size_t>(quarter)] == BMacroblock::kDirect) put_direct(quarter);
    }
    begin_references();
}

/// The reference indices of the list that is due which the partition that is due may have.
uint32_t AvcCursor::legal_refs() const {
    const Position& p = position_;
    if (!p.limits.is_b) return p.slice.usable_refs[0];
    const size_t list = p.b.list;
    if (p.b.lists[p.mb.part] != BMacroblock::kBi) return p.slice.usable_refs[list];
    const BSlice& b = *context_->b_slice;
    if (list == 0) return b.bi_refs;
    const int8_t ref_idx_l0 = p.mb.ref_idx[first_quarter(p.mb.shape, p.mb.part)];
    return b.partners[static_cast<size_t>(ref_idx_l0)];
}

/// From p.mb.part of list p.b.list on: indices that are not coded are 0.
void AvcCursor::next_b_reference() {
    Position& p = position_;
    Macroblock& mb = p.mb;
    for (; p.b.list < 2; ++p.b.list, mb.part = 0) {
        for (; mb.part < n_parts(mb.shape); ++mb.part) {
            if (!((p.b.lists[mb.part] >> p.b.list) & 1)) continue;
            if (p.slice.num_ref_idx_active[p.b.list] > 1)
                return expect(p.b.list == 0 ? Element::kRefIdxL0 : Element::kRefIdxL1);
            put_ref_idx(0);
        }
    }
    p.b.list = 0;
    begin_motion();
}

/// From p.mb.part of list p.b.list on.
void AvcCursor::next_b_motion() {
    Position& p = position_;
    Macroblock& mb = p.mb;
    for (; p.b.list < 2; ++p.b.list, mb.part = 0, mb.mv_known = 0) {
        for (; mb.part < n_parts(mb.shape); ++mb.part) {
            if ((p.b.lists[mb.part] >> p.b.list) & 1) {
                mb.predicted = p.b.list == 0 ? predict_partition<0>() : predict_partition<1>();
                return expect(p.b.list == 0 ? Element::kMvdL0X : Element::kMvdL1X);
            }
            // Its motion of this list is that of direct prediction, or none.
            mb.know_part();
        }
    }
    expect(Element::kCodedBlockPattern);
}

}  // namespace pycodec_lm::h264
