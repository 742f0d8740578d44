// Slice data by CABAC: which syntax element comes next and how its bins are
// made, 7.3.4, 7.3.5, 9.3. What the elements say is slice_data.cpp's.
#include "h264/cursor.hpp"
#include "h264/exp_golomb.hpp"
#include "h264/mb_syntax.hpp"

namespace pycodec_lm::h264 {
namespace {

MbSliceType slice_type_of(const SliceHeader& slice) {
    return slice.type == SliceType::kI   ? MbSliceType::kI
           : slice.type == SliceType::kP ? MbSliceType::kP
                                         : MbSliceType::kB;
}

}  // namespace

/// 9.3.1: from a byte boundary on.
void AvcCursor::begin_cabac() {
    Position& p = position_;
    CabacPosition& c = p.cabac;
    const SliceHeader& slice = p.slice;
    const auto column = slice.type == SliceType::kI
                            ? ContextColumn::kI
                            : static_cast<ContextColumn>(1 + slice.constants.cabac_init_idc);
    const int slice_qp = 26 + pps().pic_init_qp_minus26 + slice.constants.slice_qp_delta;
    c = {.n_bins = c.n_bins, .states = ContextStates(column, slice_qp)};
    begin_cabac_macroblock();
    begin_code();
}

/// 9.3.1.2, also behind pcm samples.
void AvcCursor::begin_code() {
    position_.cabac.interval = {};
    begin_string();
}

void AvcCursor::begin_cabac_macroblock() {
    CabacPosition& c = position_.cabac;
    c.n_mb_bits = 0;
    c.was_qp_changed = c.is_qp_changed;
    c.is_qp_changed = false;
    if (position_.slice.type == SliceType::kI) return begin_macroblock();
    begin_skip();
}

void AvcCursor::begin_string() {
    position_.cabac.string = due_string();
    position_.cabac.legal = due_values();
}

/// The bins of the element that is due.
BinString AvcCursor::due_string() const {
    const Position& p = position_;
    if (p.at >= Element::kCodedBlockFlag) return due_residual_string();
    if (p.at == Element::kEndOfSliceFlag) return binarization::end_of_slice_flag();
    const auto a = [this] { return says(left_edge()); };
    const auto b = [this] { return says(top_edge()); };
    switch (p.at) {
        case Element::kMbSkipFlag:
            return binarization::mb_skip_flag(slice_type_of(p.slice), a(), b());
        case Element::kMbType:
            return binarization::mb_type(slice_type_of(p.slice), a(), b());
        case Element::kTransformSize8x8Flag:
            return binarization::transform_size_8x8_flag(a(), b());
        case Element::kPrevIntra4x4PredModeFlag:
        case Element::kPrevIntra8x8PredModeFlag:
            return binarization::prev_intra_pred_mode_flag();
        case Element::kRemIntra4x4PredMode:
        case Element::kRemIntra8x8PredMode:
            return binarization::rem_intra_pred_mode();
        case Element::kIntraChromaPredMode:
            return binarization::intra_chroma_pred_mode(a(), b());
        case Element::kSubMbType:
            return binarization::sub_mb_type(slice_type_of(p.slice));
        case Element::kRefIdxL0:
        case Element::kRefIdxL1:
            return due_ref_idx();
        case Element::kMvdL0X:
        case Element::kMvdL1X:
            return due_mvd(0);
        case Element::kMvdL0Y:
        case Element::kMvdL1Y:
            return due_mvd(1);
        case Element::kCodedBlockPattern:
            return binarization::coded_block_pattern(a(), b());
        default:  // kMbQpDelta
            return binarization::mb_qp_delta(p.cabac.was_qp_changed);
    }
}

/// The values that it may have.
BinValues AvcCursor::due_values() const {
    const Position& p = position_;
    const auto in_range = [](SignedRange range) {
        return BinValues::of_range(
            static_cast<int32_t>(range.first), static_cast<int32_t>(range.last)
        );
    };
    switch (p.at) {
        case Element::kMbSkipFlag:
            return BinValues::of_symbols(max_skip_run(1) > 0 ? 0b11 : 0b01);
        case Element::kEndOfSliceFlag:
            return BinValues::of_symbols(
                (is_legal_end_of_slice(false) ? 0b01 : 0) | (is_legal_end_of_slice(true) ? 0b10 : 0)
            );
        case Element::kMbType:
            return BinValues::of_symbols(legal_mb_types());
        case Element::kPrevIntra4x4PredModeFlag:
        case Element::kPrevIntra8x8PredModeFlag:
            return BinValues::of_symbols(legal_intra_mode_flags());
        case Element::kRemIntra4x4PredMode:
        case Element::kRemIntra8x8PredMode:
            return BinValues::of_symbols(legal_intra_mode_rems());
        case Element::kIntraChromaPredMode:
            return BinValues::of_symbols(legal_intra_chroma_modes());
        case Element::kSubMbType:
            return BinValues::of_symbols(legal_sub_mb_types());
        case Element::kRefIdxL0:
        case Element::kRefIdxL1:
            return BinValues::of_symbols(legal_refs());
        case Element::kMvdL0X:
        case Element::kMvdL1X:
            return in_range(due_mvds(0));
        case Element::kMvdL0Y:
        case Element::kMvdL1Y:
            return in_range(due_mvds(1));
        case Element::kMbQpDelta:
            return BinValues::of_symbols(grammar_->qp ? 1 : kMappedQpDeltas);
        case Element::kCoeffAbsLevelMinus1:
            return BinValues::of_range(0, kMaxLevelMinus1);
        default:
            return BinValues::of_symbols(kAnySymbol);
    }
}

/// due_values() contains a value of due_string(); sets that take long are not worked out.
bool AvcCursor::is_due_value(int32_t value) const {
    const auto number = static_cast<uint32_t>(value);
    switch (position_.at) {
        case Element::kMbSkipFlag:
            return value == 0 || max_skip_run(1) > 0;
        case Element::kEndOfSliceFlag:
            return is_legal_end_of_slice(value != 0);
        case Element::kMbType:
            return is_legal_mb_type(number);
        case Element::kIntraChromaPredMode:
            return is_legal_intra_chroma_mode(number);
        case Element::kSubMbType:
            return is_legal_sub_mb_type(number);
        default:
            return due_values().contains(value);
    }
}

BinString AvcCursor::due_ref_idx() const {
    const Macroblock& mb = position_.mb;
    const size_t list = list_in_turn();
    const Partition at = mb.partition();
    const auto is_large = [&](const MbEdge* edge, int block) {
        return edge != nullptr && ((edge->cabac.large_ref_idx[list] >> block) & 1) != 0;
    };
    const auto is_large_here = [&](int column, int row) {
        return ((mb.cabac.large_ref_idx[list] >> (row / 2 * 2 + column / 2)) & 1) != 0;
    };
    const bool a =
        at.column == 0 ? is_large(left_edge(), at.row / 2) : is_large_here(at.column - 1, at.row);
    const bool b =
        at.row == 0 ? is_large(top_edge(), at.column / 2) : is_large_here(at.column, at.row - 1);
    return binarization::ref_idx(a, b);
}

BinString AvcCursor::due_mvd(int component) const {
    const Macroblock& mb = position_.mb;
    const size_t list = list_in_turn();
    const Partition at = mb.partition();
    const auto of_edge = [&](const MbEdge* edge, int i) {
        return edge ? edge->cabac.abs_mvd[list][static_cast<size_t>(i)] : AbsMvd{};
    };
    const auto of_block = [&](int column, int row) {
        return mb.cabac.abs_mvd[list][static_cast<size_t>(4 * row + column)];
    };
    const AbsMvd a =
        at.column == 0 ? of_edge(left_edge(), at.row) : of_block(at.column - 1, at.row);
    const AbsMvd b = at.row == 0 ? of_edge(top_edge(), at.column) : of_block(at.column, at.row - 1);
    const int sum = component == 0 ? a.x + b.x : a.y + b.y;
    return binarization::mvd(component, sum);
}

/// What the value of a string says: mb_qp_delta is mapped, 9.3.2.7.
int64_t AvcCursor::value_of_string(Element element, int32_t value) {
    return element == Element::kMbQpDelta ? signed_value(static_cast<uint64_t>(value)) : value;
}

/// All bins of the element that is due are there.
void AvcCursor::take_string() {
    take_string_value(position_.cabac.string.value());
    if (is_at_bins()) begin_string();
}

bool AvcCursor::is_legal_end_of_slice(bool is_end) const {
    const bool may_go_on = n_mbs_of_slice_left() > 0;
    return is_end ? !may_go_on || may_slice_end() : may_go_on;
}

void AvcCursor::take_mb_skip_flag(bool is_skipped) {
    if (!is_skipped) return begin_macroblock();
    skip_macroblock();
    expect(Element::kEndOfSliceFlag);
}

void AvcCursor::take_end_of_slice_flag(bool is_end) {
    if (is_end) return end_cabac();
    begin_cabac_macroblock();
}

/// The element that is due has a value.
void AvcCursor::take_string_value(int32_t value) {
    Position& p = position_;
    switch (p.at) {
        case Element::kMbSkipFlag:
            return take_mb_skip_flag(value != 0);
        case Element::kEndOfSliceFlag:
            return take_end_of_slice_flag(value != 0);
        case Element::kIntraChromaPredMode:
            p.mb.cabac.intra_chroma_pred_mode = static_cast<uint8_t>(value);
            return take_intra_chroma_mode();
        case Element::kRefIdxL0:
        case Element::kRefIdxL1:
            note_ref_idx(value);
            return take_ref_idx(static_cast<int8_t>(value));
        case Element::kMvdL0X:
        case Element::kMvdL0Y:
        case Element::kMvdL1X:
        case Element::kMvdL1Y:
            note_mvd(value);
            return take_macroblock_field(value);
        case Element::kCodedBlockPattern:
            return take_pattern(static_cast<uint8_t>(value));
        case Element::kMbQpDelta:
            p.cabac.is_qp_changed = value != 0;
            return begin_residual();
        default:
            if (p.at >= Element::kCodedBlockFlag) return take_cabac_residual(value);
            take_macroblock_field(value);
    }
}

void AvcCursor::note_ref_idx(int32_t ref_idx) {
    if (ref_idx == 0) return;
    Macroblock& mb = position_.mb;
    constexpr uint8_t kRows[] = {0b0011, 0b1100};
    constexpr uint8_t kColumns[] = {0b0101, 0b1010};
    uint8_t& large = mb.cabac.large_ref_idx[list_in_turn()];
    switch (mb.shape) {
        case MbShape::k16x16:
            large = 0b1111;
            return;
        case MbShape::k16x8:
            large |= kRows[mb.part];
            return;
        case MbShape::k8x16:
            large |= kColumns[mb.part];
            return;
        default:
            large = static_cast<uint8_t>(large | 1u << mb.part);
    }
}

void AvcCursor::note_mvd(int32_t mvd) {
    Macroblock& mb = position_.mb;
    const auto magnitude =
        static_cast<uint8_t>(std::min<int32_t>(mvd < 0 ? -mvd : mvd, AbsMvd::kMost));
    if (position_.at == Element::kMvdL0X || position_.at == Element::kMvdL1X) {
        mb.cabac.abs_mvd_x = magnitude;
        return;
    }
    const AbsMvd abs_mvd{mb.cabac.abs_mvd_x, magnitude};
    auto& of_list = mb.cabac.abs_mvd[list_in_turn()];
    if (mb.shape == MbShape::k16x16) return of_list.fill(abs_mvd);
    const Partition at = mb.partition();
    for (int row = at.row; row < at.row + at.height; ++row) {
        for (int column = at.column; column < at.column + at.width; ++column)
            of_list[static_cast<size_t>(4 * row + column)] = abs_mvd;
    }
}

/// What the sides of the macroblock tell the contexts of others.
void AvcCursor::put_cabac_edges(CabacEdge& bottom, CabacEdge& right) const {
    const Macroblock& mb = position_.mb;
    const bool is_pcm = mb.kind == MbKind::kPcm;
    const NeighbourMb says{
        .is_skipped = mb.cabac.is_skipped,
        .is_direct = position_.limits.is_b && position_.b.is_direct,
        .is_intra = mb.kind != MbKind::kInter,
        .is_intra_nxn = mb.kind == MbKind::kIntraNxN,
        .is_pcm = is_pcm,
        .transform_size_8x8_flag = mb.has_transform_8x8,
        .cbp_luma = is_pcm ? uint8_t{15} : mb.cbp_luma,
        .cbp_chroma = is_pcm ? uint8_t{2} : mb.cbp_chroma,
        .intra_chroma_pred_mode = mb.cabac.intra_chroma_pred_mode,
    };
    const uint8_t coded_dc = is_pcm ? uint8_t{0b111} : mb.cabac.coded_dc;
    bottom.says = right.says = says;
    bottom.coded_dc = right.coded_dc = coded_dc;
    for (size_t list = 0; list < 2; ++list) {
        const unsigned large = mb.cabac.large_ref_idx[list];
        bottom.large_ref_idx[list] = static_cast<uint8_t>(large >> 2);
        right.large_ref_idx[list] = static_cast<uint8_t>((large >> 1 & 1) | (large >> 2 & 2));
        for (size_t i = 0; i < 4; ++i) {
            bottom.abs_mvd[list][i] = mb.cabac.abs_mvd[list][12 + i];
            right.abs_mvd[list][i] = mb.cabac.abs_mvd[list][4 * i + 3];
        }
    }
}

/// Behind rbsp_stop_one_bit, which is the last of the code.
void AvcCursor::end_cabac() {
    expect(Element::kRbspTrailingBits);
    position_.n_partial = 1;
}

}  // namespace pycodec_lm::h264
