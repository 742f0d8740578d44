#include "h264/binarization.hpp"

#include "h264/bin_codes.hpp"

namespace pycodec_lm::h264 {
namespace {

using namespace bin_codes;

constexpr BinString flag(int ctx_idx) {
    return BinString::of_code(kFlag, 0, static_cast<uint16_t>(ctx_idx));
}

/// ctxIdxInc = condTermFlagA + condTermFlagB.
template <class Condition>
uint16_t count_of(const NeighbourMb* a, const NeighbourMb* b, Condition condition) {
    return static_cast<uint16_t>((a && condition(*a) ? 1 : 0) + (b && condition(*b) ? 1 : 0));
}

/// ctxIdxInc = condTermFlagA + 2 * condTermFlagB, in the place of a bin.
template <class Condition>
unsigned pair_of(const NeighbourMb* a, const NeighbourMb* b, int bin_idx, Condition condition) {
    const unsigned increment = (a && condition(*a) ? 1u : 0u) + (b && condition(*b) ? 2u : 0u);
    return increment << (2 * bin_idx);
}

}  // namespace

namespace binarization {

BinString mb_skip_flag(MbSliceType slice, const NeighbourMb* a, const NeighbourMb* b) {
    return flag(ctx_of_mb_skip_flag(slice, a, b));
}

// 9.3.3.1.1.3
BinString mb_type(MbSliceType slice, const NeighbourMb* a, const NeighbourMb* b) {
    switch (slice) {
        case MbSliceType::kI:
            return BinString::of_code(kMbTypeOfI, count_of(a, b, [](const NeighbourMb& n) {
                                          return !n.is_intra_nxn;
                                      }));
        case MbSliceType::kP:
            return BinString::of_code(kMbTypeOfP);
        default:
            return BinString::of_code(kMbTypeOfB, count_of(a, b, [](const NeighbourMb& n) {
                                          return !n.is_direct;
                                      }));
    }
}

BinString sub_mb_type(MbSliceType slice) {
    return BinString::of_code(slice == MbSliceType::kP ? kSubMbTypeOfP : kSubMbTypeOfB);
}

// 9.3.3.1.1.10
BinString transform_size_8x8_flag(const NeighbourMb* a, const NeighbourMb* b) {
    return flag(kTransformSize8x8Flag + count_of(a, b, [](const NeighbourMb& n) {
                    return n.transform_size_8x8_flag;
                }));
}

// 9.3.3.1.1.4
BinString coded_block_pattern(const NeighbourMb* a, const NeighbourMb* b) {
    const auto lacks = [](int block) {
        return [block](const NeighbourMb& n) { return ((n.cbp_luma >> block) & 1) == 0; };
    };
    unsigned increments = 0;
    increments |= pair_of(a, nullptr, 0, lacks(1)) | pair_of(nullptr, b, 0, lacks(2));
    increments |= pair_of(nullptr, b, 1, lacks(3));
    increments |= pair_of(a, nullptr, 2, lacks(3));
    increments |= pair_of(a, b, 4, [](const NeighbourMb& n) { return n.cbp_chroma != 0; });
    increments |= pair_of(a, b, 5, [](const NeighbourMb& n) { return n.cbp_chroma == 2; });
    return BinString::of_code(kCodedBlockPattern, static_cast<uint16_t>(increments));
}

// 9.3.3.1.1.5
BinString mb_qp_delta(bool was_changed) { return BinString::of_code(kMbQpDeltaCode, was_changed); }

BinString prev_intra_pred_mode_flag() { return flag(kPrevIntraPredModeFlag); }

BinString rem_intra_pred_mode() { return BinString::of_code(kRemIntraPredModeCode); }

// 9.3.3.1.1.8
BinString intra_chroma_pred_mode(const NeighbourMb* a, const NeighbourMb* b) {
    return BinString::of_code(kIntraChromaPredModeCode, count_of(a, b, [](const NeighbourMb& n) {
                                  return n.is_intra && !n.is_pcm && n.intra_chroma_pred_mode != 0;
                              }));
}

// 9.3.3.1.1.6
BinString ref_idx(bool a, bool b) {
    return BinString::of_code(kRefIdxCode, static_cast<uint16_t>((a ? 1 : 0) + (b ? 2 : 0)));
}

// 9.3.3.1.1.7
BinString mvd(int component, int sum) {
    const int increment = sum < 3 ? 0 : sum > 32 ? 2 : 1;
    const uint16_t offset = kMvd[static_cast<size_t>(component)];
    return BinString::of_number({
        .k = 3,
        .u_coff = 9,
        .is_signed = true,
        .first_ctx = static_cast<uint16_t>(offset + increment),
        .next_ctx = static_cast<uint16_t>(offset + 3),
        .last_ctx = static_cast<uint16_t>(offset + 6),
    });
}

BinString end_of_slice_flag() { return BinString::of_code(kTerminateFlag); }

// 9.3.3.1.1.9
BinString coded_block_flag(BlockCat cat, bool a, bool b) {
    return flag(kCodedBlockFlag[static_cast<size_t>(cat)] + (a ? 1 : 0) + (b ? 2 : 0));
}

namespace {

/// 9.3.3.1.3: of 4:2:0 NumC8x8 is 1.
int map_increment(BlockCat cat, int level_list_idx, const uint8_t (&of_8x8)[63]) {
    if (cat == BlockCat::kLuma8x8) return of_8x8[level_list_idx];
    return cat == BlockCat::kChromaDc ? std::min(level_list_idx, 2) : level_list_idx;
}

}  // namespace

BinString significant_coeff_flag(BlockCat cat, int level_list_idx) {
    const int offset = kSignificantCoeffFlag[static_cast<size_t>(cat)];
    return flag(offset + map_increment(cat, level_list_idx, kSignificant8x8));
}

BinString last_significant_coeff_flag(BlockCat cat, int level_list_idx) {
    const int offset = kLastSignificantCoeffFlag[static_cast<size_t>(cat)];
    return flag(offset + map_increment(cat, level_list_idx, kLast8x8));
}

BinString coeff_abs_level_minus1(BlockCat cat, int n_equal_1, int n_greater_1) {
    const int offset = kCoeffAbsLevelMinus1[static_cast<size_t>(cat)];
    const int first = n_greater_1 != 0 ? 0 : std::min(4, 1 + n_equal_1);
    const int next = 5 + std::min(4 - (cat == BlockCat::kChromaDc ? 1 : 0), n_greater_1);
    return BinString::of_number({
        .k = 0,
        .u_coff = 14,
        .is_signed = false,
        .first_ctx = static_cast<uint16_t>(offset + first),
        .next_ctx = static_cast<uint16_t>(offset + next),
        .last_ctx = static_cast<uint16_t>(offset + next),
    });
}

BinString coeff_sign_flag() { return BinString::of_code(kBypassFlag); }

std::optional<bool> coded_without_flag(
    const NeighbourMb* neighbour, bool is_intra, bool has_block
) {
    if (neighbour == nullptr) return is_intra;
    if (neighbour->is_pcm) return true;
    if (!has_block) return false;
    return std::nullopt;
}

}  // namespace binarization

}  // namespace pycodec_lm::h264
