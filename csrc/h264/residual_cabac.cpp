// Residual blocks by CABAC: 7.3.5.3.3, 9.3.3.1.1.9, 9.3.3.1.3.
#include <bit>

#include "h264/cursor.hpp"
#include "h264/mb_syntax.hpp"

namespace pycodec_lm::h264 {
namespace {

constexpr uint32_t kFirstsOf8x8 = 0x1111u << block::kLuma;  // of the four 4x4 blocks of each

}  // namespace

/// Blocks count as coded here where they have a coefficient, or are not there to be asked:
/// coded_block_flag's contexts.
void AvcCursor::begin_cabac_residual() {
    Macroblock& mb = position_.mb;
    put_counts_around(mb.kind == MbKind::kInter ? 0 : 1);
    mb.coded_blocks = mb.blocks_of_pattern();
    if (mb.has_transform_8x8) mb.coded_blocks &= kFirstsOf8x8 | ~(((1u << 16) - 1) << block::kLuma);
    mb.block = 0;
    begin_cabac_block();
}

BlockCat AvcCursor::block_cat() const {
    const Macroblock& mb = position_.mb;
    if (mb.block == block::kLumaDc) return BlockCat::kIntra16x16Dc;
    if (mb.block >= block::kChromaAc) return BlockCat::kChromaAc;
    if (mb.block >= block::kChromaDc) return BlockCat::kChromaDc;
    if (mb.has_transform_8x8) return BlockCat::kLuma8x8;
    return mb.kind == MbKind::kIntra16x16 ? BlockCat::kIntra16x16Ac : BlockCat::kLuma4x4;
}

/// From p.mb.block on, the next block that is coded.
void AvcCursor::begin_cabac_block() {
    Macroblock& mb = position_.mb;
    const uint32_t rest = mb.coded_blocks >> mb.block;
    if (rest == 0) return end_macroblock();
    mb.block = static_cast<uint8_t>(mb.block + std::countr_zero(rest));
    const BlockCat cat = block_cat();
    mb.max_coeff = kMaxNumCoeff[static_cast<size_t>(cat)];
    if (cat != BlockCat::kLuma8x8) return expect(Element::kCodedBlockFlag);
    begin_coded_block();
}

void AvcCursor::end_cabac_block() {
    ++position_.mb.block;
    begin_cabac_block();
}

/// The block has a coefficient.
void AvcCursor::note_coded_block() {
    Macroblock& mb = position_.mb;
    if (mb.block >= block::kChromaAc) {
        const int i = mb.block - block::kChromaAc;
        mb.chroma_counts[static_cast<size_t>(i / 4)].put(i & 1, i % 4 / 2, 1);
    } else if (mb.block >= block::kChromaDc) {
        mb.cabac.coded_dc =
            static_cast<uint8_t>(mb.cabac.coded_dc | 0b10u << (mb.block - block::kChromaDc));
    } else if (mb.block == block::kLumaDc) {
        mb.cabac.coded_dc |= 1;
    } else {
        const int first = mb.block - block::kLuma;
        const int n_blocks = mb.has_transform_8x8 ? 4 : 1;
        for (int i = first; i < first + n_blocks; ++i)
            mb.luma_counts.put(column_of(i), row_of(i), 1);
    }
}

void AvcCursor::begin_coded_block() {
    note_coded_block();
    position_.mb.total = 0;
    position_.mb.cabac.i = 0;
    expect(Element::kSignificantCoeffFlag);
}

/// Whether the block to the left or above counts as coded: transBlockA, transBlockB.
bool AvcCursor::is_coded_beside(bool to_left) const {
    const Macroblock& mb = position_.mb;
    const int step_x = to_left ? 1 : 0;
    const int step_y = to_left ? 0 : 1;
    if (mb.block >= block::kChromaAc) {
        const int i = mb.block - block::kChromaAc;
        const auto& coded = mb.chroma_counts[static_cast<size_t>(i / 4)];
        return coded.at((i & 1) - step_x, i % 4 / 2 - step_y) != 0;
    }
    if (mb.block >= block::kLuma && mb.block < block::kChromaDc) {
        const int i = mb.block - block::kLuma;
        return mb.luma_counts.at(column_of(i) - step_x, row_of(i) - step_y) != 0;
    }
    const MbEdge* edge = to_left ? left_edge() : top_edge();
    if (edge == nullptr) return mb.kind != MbKind::kInter;
    const int bit = mb.block == block::kLumaDc ? 0 : 1 + mb.block - block::kChromaDc;
    return ((edge->cabac.coded_dc >> bit) & 1) != 0;
}

BinString AvcCursor::due_residual_string() const {
    const CabacMb& mb = position_.mb.cabac;
    const BlockCat cat = block_cat();
    switch (position_.at) {
        case Element::kCodedBlockFlag:
            return binarization::coded_block_flag(
                cat, is_coded_beside(true), is_coded_beside(false)
            );
        case Element::kSignificantCoeffFlag:
            return binarization::significant_coeff_flag(cat, mb.i);
        case Element::kLastSignificantCoeffFlag:
            return binarization::last_significant_coeff_flag(cat, mb.i);
        case Element::kCoeffAbsLevelMinus1:
            return binarization::coeff_abs_level_minus1(cat, mb.n_equal_1, mb.n_greater_1);
        default:  // kCoeffSignFlag
            return binarization::coeff_sign_flag();
    }
}

void AvcCursor::take_cabac_residual(int32_t value) {
    Macroblock& mb = position_.mb;
    const auto begin_levels = [&] {
        mb.cabac.n_equal_1 = 0;
        mb.cabac.n_greater_1 = 0;
        expect(Element::kCoeffAbsLevelMinus1);
    };
    const auto next_place = [&] {
        if (++mb.cabac.i + 1 < mb.max_coeff) return expect(Element::kSignificantCoeffFlag);
        ++mb.total;  // the last is inferred to be significant
        begin_levels();
    };
    switch (position_.at) {
        case Element::kCodedBlockFlag:
            return value == 0 ? end_cabac_block() : begin_coded_block();
        case Element::kSignificantCoeffFlag:
            if (value == 0) return next_place();
            ++mb.total;
            return expect(Element::kLastSignificantCoeffFlag);
        case Element::kLastSignificantCoeffFlag:
            return value == 0 ? next_place() : begin_levels();
        case Element::kCoeffAbsLevelMinus1:
            ++(value == 0 ? mb.cabac.n_equal_1 : mb.cabac.n_greater_1);
            return expect(Element::kCoeffSignFlag);
        default:  // kCoeffSignFlag
            if (--mb.total == 0) return end_cabac_block();
            return expect(Element::kCoeffAbsLevelMinus1);
    }
}

}  // namespace pycodec_lm::h264
