#include "h264/random_macroblocks.hpp"

namespace pycodec_lm::h264 {
namespace {

constexpr size_t kMbTypes[] = {26, 31, 49};  // by MbSliceType
constexpr int kDcMode = 2;                   // Intra_16x16_DC

}  // namespace

void RandomMacroblocks::fill(const SliceFacts& slice, std::vector<MacroblockSyntax>& mbs) {
    slice_ = slice;
    for (MacroblockSyntax& mb : mbs) {
        mb = {};
        mb.is_skipped = slice.type != MbSliceType::kI && once_in(3);
        if (!mb.is_skipped) fill_macroblock(mb);
    }
}

void RandomMacroblocks::fill_macroblock(MacroblockSyntax& mb) {
    mb.mb_type = mb_type();
    const MbTypeFacts facts = facts_of_mb_type(slice_.type, mb.mb_type);
    may_have_8x8_ = slice_.transform_8x8_mode_flag && facts.kind == MbKind::kInter;
    if (facts.kind == MbKind::kPcm) {
        mb.pcm_samples.resize(kPcmSamples);
        for (uint8_t& sample : mb.pcm_samples) sample = static_cast<uint8_t>(1 + below(255));
        return;
    }
    if (facts.kind == MbKind::kInter) {
        fill_inter(mb, facts);
    } else {
        fill_intra(mb, facts.kind);
    }
    const bool is_16x16 = facts.kind == MbKind::kIntra16x16;
    mb.coded_block_pattern = is_16x16 ? facts.coded_block_pattern : small(kCodedBlockPatterns);
    if (may_have_8x8_ && (mb.coded_block_pattern & 15) != 0)
        mb.transform_size_8x8_flag = once_in(2);
    if (mb.coded_block_pattern == 0 && !is_16x16) return;
    if (once_in(3)) {
        const int most = options_.is_decodable ? 3 : 26;
        mb.mb_qp_delta = static_cast<int8_t>(small(static_cast<size_t>(2 * most)) - most);
    }
    fill_residual(mb, is_16x16);
}

uint8_t RandomMacroblocks::mb_type() {
    for (;;) {
        const uint8_t type = small(kMbTypes[static_cast<size_t>(slice_.type)]);
        if (slice_.type == MbSliceType::kP && type == kP8x8Ref0) continue;
        const MbKind kind = facts_of_mb_type(slice_.type, type).kind;
        if (kind == MbKind::kPcm && !once_in(4)) continue;  // they are long
        if (kind != MbKind::kIntra16x16 || !options_.is_decodable) return type;
        const int n_before = slice_.type == MbSliceType::kI   ? 1
                             : slice_.type == MbSliceType::kP ? kPIntraTypes + 1
                                                              : kBIntraTypes + 1;
        if ((type - n_before) % 4 == kDcMode) return type;
    }
}

void RandomMacroblocks::fill_intra(MacroblockSyntax& mb, MbKind kind) {
    if (!options_.is_decodable) mb.intra_chroma_pred_mode = small(4);
    if (kind != MbKind::kIntraNxN) return;
    mb.transform_size_8x8_flag = slice_.transform_8x8_mode_flag && once_in(2);
    const size_t n_blocks = mb.transform_size_8x8_flag ? 4 : 16;
    for (size_t i = 0; i < n_blocks; ++i) {
        // Where all modes are predicted ones, all are DC.
        mb.intra_pred_mode[i] =
            options_.is_decodable ? kPredictedMode : static_cast<int8_t>(small(9) - 1);
    }
}

void RandomMacroblocks::fill_inter(MacroblockSyntax& mb, const MbTypeFacts& facts) {
    if (facts.is_direct) {
        may_have_8x8_ = may_have_8x8_ && slice_.direct_8x8_inference_flag;
        return;
    }
    switch (facts.shape) {
        case MbShape::k16x16:
            return fill_part(mb, facts.lists[0], {0, 0, 4, 4}, 4, 4);
        case MbShape::k16x8:
            fill_part(mb, facts.lists[0], {0, 0, 4, 2}, 4, 2);
            return fill_part(mb, facts.lists[1], {0, 2, 4, 2}, 4, 2);
        case MbShape::k8x16:
            fill_part(mb, facts.lists[0], {0, 0, 2, 4}, 2, 4);
            return fill_part(mb, facts.lists[1], {2, 0, 2, 4}, 2, 4);
        case MbShape::k8x8:
            break;
    }
    for (int i = 0; i < 4; ++i) {
        const uint8_t type = small(slice_.type == MbSliceType::kP ? 4 : 13);
        mb.sub_mb_type[static_cast<size_t>(i)] = type;
        const SubMbTypeFacts sub = facts_of_sub_mb_type(slice_.type, type);
        const bool is_whole =
            sub.lists == 0 ? slice_.direct_8x8_inference_flag : sub.n_parts() == 1;
        may_have_8x8_ = may_have_8x8_ && is_whole;
        fill_part(mb, sub.lists, {2 * (i & 1), 2 * (i >> 1), 2, 2}, sub.width, sub.height);
    }
}

/// A partition whose vectors are each of so many 4x4 blocks.
void RandomMacroblocks::fill_part(
    MacroblockSyntax& mb, uint8_t lists, const Partition& at, int width, int height
) {
    for (size_t list = 0; list < 2; ++list) {
        if (((lists >> list) & 1) == 0) continue;
        const uint8_t ref_idx = small(slice_.num_ref_idx_active[list]);
        for (int row = at.row; row < at.row + at.height; ++row) {
            for (int column = at.column; column < at.column + at.width; ++column) {
                mb.ref_idx[list][static_cast<size_t>(row / 2 * 2 + column / 2)] = ref_idx;
                const bool is_first =
                    (row - at.row) % height == 0 && (column - at.column) % width == 0;
                if (!is_first) continue;
                for (int16_t& c : mb.mvd[list][static_cast<size_t>(4 * row + column)])
                    c = vector_component();
            }
        }
    }
}

int16_t RandomMacroblocks::vector_component() {
    if (!options_.is_decodable && once_in(20))
        return static_cast<int16_t>(static_cast<int>(below(65536)) - 32768);
    return static_cast<int16_t>(static_cast<int>(below(41)) - 20);
}

int32_t RandomMacroblocks::level() {
    const size_t most = options_.is_decodable ? 3 : once_in(30) ? 2000 : once_in(4) ? 30 : 2;
    const auto magnitude = static_cast<int32_t>(1 + below(most));
    return once_in(2) ? magnitude : -magnitude;
}

void RandomMacroblocks::fill_block(std::span<int32_t> levels, bool must_have_some) {
    const size_t density = 1 + below(12);
    for (int32_t& l : levels) l = once_in(density) ? level() : 0;
    if (must_have_some) levels[below(levels.size())] = level();
}

void RandomMacroblocks::fill_residual(MacroblockSyntax& mb, bool is_16x16) {
    ResidualLevels& levels = mb.residual.emplace_back();
    if (is_16x16) fill_block(levels.luma_dc, false);
    const std::span<int32_t> luma(levels.luma);
    for (size_t i = 0; i < 4; ++i) {
        if (((mb.coded_block_pattern >> i) & 1) == 0) continue;
        if (mb.transform_size_8x8_flag) {
            fill_block(luma.subspan(64 * i, 64), true);
            continue;
        }
        for (size_t j = 4 * i; j < 4 * i + 4; ++j)
            fill_block(luma.subspan(16 * j, is_16x16 ? 15 : 16), false);
    }
    const int chroma = mb.coded_block_pattern >> 4;
    for (size_t c = 0; c < 2; ++c) {
        if (chroma != 0) fill_block(levels.chroma_dc[c], false);
        for (auto& block : levels.chroma_ac[c]) {
            if (chroma == 2) fill_block(block, false);
        }
    }
}

}  // namespace pycodec_lm::h264
