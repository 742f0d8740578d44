// What mb_type and sub_mb_type say: Tables 7-11, 7-13, 7-14, 7-17 and 7-18.
#pragma once

#include <array>
#include <cstdint>

#include "h264/binarization.hpp"
#include "h264/macroblock.hpp"

namespace pycodec_lm::h264 {

/// What mb_type says: Tables 7-11, 7-13, 7-14.
struct MbTypeFacts {
    MbKind kind = MbKind::kInter;
    bool is_direct = false;  // B_Direct_16x16
    MbShape shape = MbShape::k16x16;
    std::array<uint8_t, 2> lists{};   // by mbPartIdx, list 0 is bit 0; not of 8x8
    uint8_t coded_block_pattern = 0;  // of Intra_16x16
};

/// What sub_mb_type says: Tables 7-17, 7-18.
struct SubMbTypeFacts {
    uint8_t lists = 0;  // 0 of B_Direct_8x8
    int width = 2;      // of its partitions, in 4x4 blocks
    int height = 2;

    constexpr int n_parts() const { return 4 / (width * height); }
};

namespace detail {

constexpr MbTypeFacts facts_of_intra_type(uint8_t mb_type) {
    MbTypeFacts facts;
    if (mb_type == 0) {
        facts.kind = MbKind::kIntraNxN;  // or 8x8
    } else if (mb_type == kIPcm) {
        facts.kind = MbKind::kPcm;
    } else {
        facts.kind = MbKind::kIntra16x16;
        const int chroma = (mb_type - 1) / 4 % 3;
        const int luma = mb_type > 12 ? 15 : 0;
        facts.coded_block_pattern = static_cast<uint8_t>(16 * chroma + luma);
    }
    return facts;
}

constexpr MbTypeFacts facts_of_p_type(uint8_t mb_type) {
    constexpr MbShape kShapes[] = {
        MbShape::k16x16, MbShape::k16x8, MbShape::k8x16, MbShape::k8x8, MbShape::k8x8
    };
    MbTypeFacts facts;
    facts.shape = kShapes[mb_type];
    facts.lists = {BMacroblock::kList0, BMacroblock::kList0};
    return facts;
}

constexpr MbTypeFacts facts_of_b_type(uint8_t mb_type) {
    constexpr std::array<uint8_t, 2> kListsOfHalves[] = {
        {BMacroblock::kList0, BMacroblock::kList0}, {BMacroblock::kList1, BMacroblock::kList1},
        {BMacroblock::kList0, BMacroblock::kList1}, {BMacroblock::kList1, BMacroblock::kList0},
        {BMacroblock::kList0, BMacroblock::kBi},    {BMacroblock::kList1, BMacroblock::kBi},
        {BMacroblock::kBi, BMacroblock::kList0},    {BMacroblock::kBi, BMacroblock::kList1},
        {BMacroblock::kBi, BMacroblock::kBi},
    };
    MbTypeFacts facts;
    if (mb_type == 0) {
        facts.is_direct = true;
    } else if (mb_type < 4) {
        facts.lists = {mb_type, 0};  // L0, L1, Bi
    } else if (mb_type < 22) {
        facts.shape = mb_type % 2 == 0 ? MbShape::k16x8 : MbShape::k8x16;
        facts.lists = kListsOfHalves[(mb_type - 4) / 2];
    } else {
        facts.shape = MbShape::k8x8;
    }
    return facts;
}

}  // namespace detail

constexpr MbTypeFacts facts_of_mb_type(MbSliceType slice, uint8_t mb_type) {
    const int n_inter = slice == MbSliceType::kI   ? 0
                        : slice == MbSliceType::kP ? kPIntraTypes
                                                   : kBIntraTypes;
    if (mb_type >= n_inter)
        return detail::facts_of_intra_type(static_cast<uint8_t>(mb_type - n_inter));
    return slice == MbSliceType::kP ? detail::facts_of_p_type(mb_type)
                                    : detail::facts_of_b_type(mb_type);
}

constexpr SubMbTypeFacts facts_of_sub_mb_type(MbSliceType slice, uint8_t sub_mb_type) {
    struct Row {
        uint8_t lists;
        int width;
        int height;
    };
    constexpr Row kPRows[] = {
        {BMacroblock::kList0, 2, 2},
        {BMacroblock::kList0, 2, 1},
        {BMacroblock::kList0, 1, 2},
        {BMacroblock::kList0, 1, 1}
    };
    constexpr Row kBRows[] = {
        {0, 1, 1},
        {BMacroblock::kList0, 2, 2},
        {BMacroblock::kList1, 2, 2},
        {BMacroblock::kBi, 2, 2},
        {BMacroblock::kList0, 2, 1},
        {BMacroblock::kList0, 1, 2},
        {BMacroblock::kList1, 2, 1},
        {BMacroblock::kList1, 1, 2},
        {BMacroblock::kBi, 2, 1},
        {BMacroblock::kBi, 1, 2},
        {BMacroblock::kList0, 1, 1},
        {BMacroblock::kList1, 1, 1},
        {BMacroblock::kBi, 1, 1},
    };
    const Row& row = slice == MbSliceType::kP ? kPRows[sub_mb_type] : kBRows[sub_mb_type];
    return {row.lists, row.width, row.height};
}

}  // namespace pycodec_lm::h264
