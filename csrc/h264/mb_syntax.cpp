#include "h264/mb_syntax.hpp"

namespace pycodec_lm::h264 {
namespace {

/// 7.3.5 and what it calls.
class MacroblockLayer {
public:
    MacroblockLayer(MbCoder& coder, const SliceFacts& slice, MacroblockSyntax& mb)
        : coder_(coder), slice_(slice), mb_(mb) {}

    void code() {
        mb_.mb_type = coder_.mb_type(mb_.has_only_ref0 ? kP8x8Ref0 : mb_.mb_type);
        mb_.has_only_ref0 = slice_.type == MbSliceType::kP && mb_.mb_type == kP8x8Ref0;
        if (mb_.has_only_ref0) mb_.mb_type = kP8x8;
        facts_ = facts_of_mb_type(slice_.type, mb_.mb_type);
        if (facts_.kind == MbKind::kPcm) return coder_.pcm(mb_.pcm_samples);
        code_prediction();
        const bool is_16x16 = facts_.kind == MbKind::kIntra16x16;
        if (is_16x16) {
            mb_.coded_block_pattern = facts_.coded_block_pattern;
        } else {
            mb_.coded_block_pattern = coder_.coded_block_pattern(
                mb_.coded_block_pattern, facts_.kind == MbKind::kIntraNxN
            );
            if ((mb_.coded_block_pattern & 15) != 0 && may_have_8x8_residual())
                mb_.transform_size_8x8_flag =
                    coder_.transform_size_8x8_flag(mb_.transform_size_8x8_flag);
        }
        if (mb_.coded_block_pattern == 0 && !is_16x16) return;
        mb_.mb_qp_delta = coder_.mb_qp_delta(mb_.mb_qp_delta);
        code_residual();
    }

private:
    // mb_pred(), sub_mb_pred()
    void code_prediction() {
        if (facts_.kind == MbKind::kInter) {
            if (facts_.shape == MbShape::k8x8) {
                for (uint8_t& type : mb_.sub_mb_type) type = coder_.sub_mb_type(type);
            }
            for (int list = 0; list < 2; ++list) code_ref_indices(list);
            for (int list = 0; list < 2; ++list) code_vectors(list);
            return;
        }
        if (facts_.kind == MbKind::kIntraNxN) {
            if (slice_.transform_8x8_mode_flag)
                mb_.transform_size_8x8_flag =
                    coder_.transform_size_8x8_flag(mb_.transform_size_8x8_flag);
            const size_t n_blocks = mb_.transform_size_8x8_flag ? 4 : 16;
            for (size_t i = 0; i < n_blocks; ++i)
                mb_.intra_pred_mode[i] = coder_.intra_pred_mode(mb_.intra_pred_mode[i]);
        }
        mb_.intra_chroma_pred_mode = coder_.intra_chroma_pred_mode(mb_.intra_chroma_pred_mode);
    }

    int n_parts() const { return facts_.is_direct ? 0 : h264::n_parts(facts_.shape); }

    Partition part(int i) const {
        switch (facts_.shape) {
            case MbShape::k16x16:
                return {};
            case MbShape::k16x8:
                return {0, 2 * i, 4, 2};
            case MbShape::k8x16:
                return {2 * i, 0, 2, 4};
            default:
                return {2 * (i & 1), 2 * (i >> 1), 2, 2};
        }
    }

    SubMbTypeFacts sub_facts(int i) const {
        return facts_of_sub_mb_type(slice_.type, mb_.sub_mb_type[static_cast<size_t>(i)]);
    }

    bool uses(int i, int list) const {
        const uint8_t lists = facts_.shape == MbShape::k8x8 ? sub_facts(i).lists
                                                            : facts_.lists[static_cast<size_t>(i)];
        return (lists >> list) & 1;
    }

    void code_ref_indices(int list) {
        const auto x = static_cast<size_t>(list);
        const bool is_coded = slice_.num_ref_idx_active[x] > 1 && !mb_.has_only_ref0;
        for (int i = 0; is_coded && i < n_parts(); ++i) {
            if (!uses(i, list)) continue;
            const Partition at = part(i);
            uint8_t& first = mb_.ref_idx[x][static_cast<size_t>(at.row / 2 * 2 + at.column / 2)];
            const uint8_t ref_idx = coder_.ref_idx(list, at, first);
            for (int row = at.row / 2; row < (at.row + at.height) / 2; ++row) {
                for (int column = at.column / 2; column < (at.column + at.width) / 2; ++column)
                    mb_.ref_idx[x][static_cast<size_t>(2 * row + column)] = ref_idx;
            }
        }
    }

    void code_vectors(int list) {
        const auto x = static_cast<size_t>(list);
        const auto code_vector = [&](const Partition& at) {
            auto& mvd = mb_.mvd[x][static_cast<size_t>(4 * at.row + at.column)];
            mvd = coder_.mvd(list, at, mvd);
        };
        for (int i = 0; i < n_parts(); ++i) {
            if (!uses(i, list)) continue;
            const Partition at = part(i);
            if (facts_.shape != MbShape::k8x8) {
                code_vector(at);
                continue;
            }
            const SubMbTypeFacts sub = sub_facts(i);
            for (int row = 0; row < 2; row += sub.height) {
                for (int column = 0; column < 2; column += sub.width)
                    code_vector({at.column + column, at.row + row, sub.width, sub.height});
            }
        }
    }

    /// transform_size_8x8_flag stands behind coded_block_pattern, where no transform block is
    /// larger than the partition it is of.
    bool may_have_8x8_residual() const {
        if (!slice_.transform_8x8_mode_flag || facts_.kind != MbKind::kInter) return false;
        if (facts_.is_direct) return slice_.direct_8x8_inference_flag;
        if (facts_.shape != MbShape::k8x8) return true;
        for (int i = 0; i < 4; ++i) {
            const SubMbTypeFacts sub = sub_facts(i);
            const bool is_whole =
                sub.lists == 0 ? slice_.direct_8x8_inference_flag : sub.n_parts() == 1;
            if (!is_whole) return false;
        }
        return true;
    }

    // 7.3.5.3
    void code_residual() {
        const bool is_16x16 = facts_.kind == MbKind::kIntra16x16;
        mb_.residual.resize(1);
        ResidualLevels& levels = mb_.residual.front();
        if (is_16x16) coder_.block(BlockCat::kIntra16x16Dc, 0, levels.luma_dc);
        for (int i = 0; i < 4; ++i) {
            if (((mb_.coded_block_pattern >> i) & 1) == 0) continue;
            const std::span<int32_t> luma(levels.luma);
            if (mb_.transform_size_8x8_flag) {
                coder_.block(BlockCat::kLuma8x8, i, luma.subspan(static_cast<size_t>(64 * i), 64));
                continue;
            }
            for (int j = 4 * i; j < 4 * i + 4; ++j) {
                const auto first = static_cast<size_t>(16 * j);
                if (is_16x16) {
                    coder_.block(BlockCat::kIntra16x16Ac, j, luma.subspan(first, 15));
                } else {
                    coder_.block(BlockCat::kLuma4x4, j, luma.subspan(first, 16));
                }
            }
        }
        const int chroma = mb_.coded_block_pattern >> 4;
        for (int i = 0; chroma != 0 && i < 2; ++i)
            coder_.block(BlockCat::kChromaDc, i, levels.chroma_dc[static_cast<size_t>(i)]);
        for (int i = 0; chroma == 2 && i < 8; ++i) {
            auto& ac = levels.chroma_ac[static_cast<size_t>(i / 4)][static_cast<size_t>(i % 4)];
            coder_.block(BlockCat::kChromaAc, i, ac);
        }
    }

    MbCoder& coder_;
    const SliceFacts& slice_;
    MacroblockSyntax& mb_;
    MbTypeFacts facts_;
};

}  // namespace

void code_slice_data(
    MbCoder& coder, const SliceFacts& slice, std::vector<MacroblockSyntax>& mbs, bool reads
) {
    coder.begin_slice(slice);
    for (size_t i = 0;; ++i) {
        if (slice.first_mb + i >= slice.frame_mbs)
            throw BrokenSyntax("slice data go on behind the last macroblock");
        if (reads) mbs.emplace_back();
        MbPlace place{.mb = i};
        if (i > 0 && (slice.first_mb + i) % slice.width_mbs != 0) place.a = i - 1;
        if (i >= slice.width_mbs) place.b = i - slice.width_mbs;
        coder.begin_macroblock(place);
        MacroblockSyntax& mb = mbs[i];
        if (slice.type != MbSliceType::kI) mb.is_skipped = coder.skipped(mb.is_skipped);
        if (!mb.is_skipped) MacroblockLayer(coder, slice, mb).code();
        if (coder.last(i + 1 == mbs.size())) return;
    }
}

}  // namespace pycodec_lm::h264
