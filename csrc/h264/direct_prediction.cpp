// Direct prediction: 8.4.1.2, of B_Skip, B_Direct_16x16 and B_Direct_8x8.
#include <algorithm>
#include <cstdlib>

#include "h264/cursor.hpp"

namespace pycodec_lm::h264 {
namespace {

bool is_within(const SliceLimits& limits, int x, int y) {
    return x >= -limits.mv_x && x < limits.mv_x && y >= -limits.mv_y && y < limits.mv_y;
}

/// colZeroFlag, 8.4.1.2.2. Where the motion is not known, it is as if there were some: of slices
/// that are skipped whole, which are all that endings have behind the picture that is being read,
/// no vector is other than 0 anyway.
bool is_col_zero(const BSlice& b, uint32_t mb, uint32_t block) {
    constexpr auto is_small = [](int16_t c) { return c >= -1 && c <= 1; };
    if (!b.is_col_short_term) return false;
    const ColBlock col = b.col->field->at(mb, block);
    return col.is_ref_idx_0 && is_small(col.mv.x) && is_small(col.mv.y);
}

struct TemporalVectors {
    int x[2];
    int y[2];
};

/// 8.4.1.2.3.
TemporalVectors temporal_vectors(const BSlice& b, size_t ref_idx_l0, MotionVector col) {
    const std::optional<int16_t> scale = b.scales[ref_idx_l0];
    if (!scale) return {{col.x, 0}, {col.y, 0}};
    const int x = (*scale * col.x + 128) >> 8;
    const int y = (*scale * col.y + 128) >> 8;
    return {{x, x - col.x}, {y, y - col.y}};
}

bool is_legal_block(const BSlice& b, const SliceLimits& limits, const ColBlock& col) {
    if (col.frame == kNoRefIdx) return b.is_intra_legal;
    if (!((b.legal_col_frames >> col.frame) & 1)) return false;
    const auto frame = static_cast<size_t>(col.frame);
    const TemporalVectors mv =
        temporal_vectors(b, static_cast<size_t>(b.ref_idx_l0[frame]), col.mv);
    return is_within(limits, mv.x[0], mv.y[0]) && is_within(limits, mv.x[1], mv.y[1]);
}

/// All blocks of a macroblock, or of a quarter of it, are legal.
bool is_legal_temporal(
    const BSlice& b, const SliceLimits& limits, uint32_t mb, std::optional<int> quarter
) {
    const MotionField& col = *b.col->field;
    const uint32_t n = col.n_vectors();
    for (uint32_t block = 0; block < n; ++block) {
        const auto of = static_cast<int>(n == 4 ? block : quarter_of(block));
        if (quarter && of != *quarter) continue;
        if (!is_legal_block(b, limits, col.at(mb, block))) return false;
    }
    return true;
}

/// All blocks of a chunk are legal, as far as a look at what they have together tells.
bool is_legal_extent(const BSlice& b, const SliceLimits& limits, const MotionField::Extent& all) {
    constexpr int kMostScale = 1024;
    if (all.has_intra && !b.is_intra_legal) return false;
    if ((all.frames & ~b.legal_col_frames) != 0) return false;
    // The scaled vector, and what it is away from the one that is scaled.
    const int most = (kMostScale * all.most + 128) / 256 + all.most + 1;
    return most < std::min(limits.mv_x, limits.mv_y);
}

}  // namespace

/// What direct prediction infers for the macroblock, or a quarter of it, is legal: it has
/// references, and no more vectors than `n_mvs_left`.
bool AvcCursor::is_legal_direct(std::optional<int> quarter, int n_mvs_left) const {
    const Position& p = position_;
    const BSlice& b = *context_->b_slice;
    if (!b.has_col || (!b.is_spatial && b.col == nullptr)) return false;
    const int n_quarters = quarter ? 1 : 4;
    if (!b.is_spatial)
        return 2 * n_quarters <= n_mvs_left && is_legal_temporal(b, p.limits, p.next_mb, quarter);
    // A reference of a neighbour is one that it could have; its vectors are in range, so is their
    // median.
    const auto [ref_idx_l0, ref_idx_l1] = p.b.spatial.ref_idx;
    const int n_lists = p.b.spatial.n_lists();
    if (n_lists * n_quarters > n_mvs_left) return false;
    return n_lists < 2 || ((b.partners[static_cast<size_t>(ref_idx_l0)] >> ref_idx_l1) & 1) != 0;
}

/// Of a macroblock, or of each B_Direct_8x8 of it: MvCnt counts the first vector of a quarter.
int AvcCursor::n_direct_mvs_of_quarter() const {
    return context_->b_slice->is_spatial ? position_.b.spatial.n_lists() : 2;
}

/// MvCnt of B_Skip and B_Direct_16x16.
uint8_t AvcCursor::n_direct_mvs() const {
    return static_cast<uint8_t>(4 * n_direct_mvs_of_quarter());
}

/// The largest legal mb_skip_run of a B slice that is not over `most`.
uint32_t AvcCursor::max_b_skip_run(uint32_t most) const {
    const Position& p = position_;
    const BSlice& b = *context_->b_slice;
    const uint32_t n = std::min(most, n_mbs_of_slice_left());
    if (n == 0 || !is_legal_direct(std::nullopt, n_mvs_left())) return 0;
    // Two macroblocks in a row have at most 16 vectors, which every level allows.
    if (b.is_spatial) {
        const bool has_zero_refs = (b.partners[0] & 1) != 0;
        if (has_zero_refs && b.may_pair_any) return n;
        AvcCursor each = *this;
        each.is_looking_ahead_ = true;
        uint32_t n_legal = 0;
        while (n_legal < n && each.is_legal_direct(std::nullopt, each.n_mvs_left())) {
            each.skip_b_macroblock();
            each.infer_direct();
            ++n_legal;
        }
        return n_legal;
    }
    constexpr uint32_t kChunk = MotionField::kChunkMbs;
    const uint32_t end = p.next_mb + n;
    for (uint32_t mb = p.next_mb + 1; mb < end;) {
        const uint32_t chunk_end = std::min(end, (mb / kChunk + 1) * kChunk);
        if (!is_legal_extent(b, p.limits, b.col->extents[mb / kChunk])) {
            for (; mb < chunk_end; ++mb) {
                if (!is_legal_temporal(b, p.limits, mb, std::nullopt)) return mb - p.next_mb;
            }
        }
        mb = chunk_end;
    }
    return n;
}

/// Gives a quarter of the macroblock the motion that is inferred for it.
void AvcCursor::put_direct(int quarter) {
    Position& p = position_;
    const BSlice& b = *context_->b_slice;
    const SpatialDirect zero = p.b.spatial.where_col_is_zero();
    const auto q = static_cast<size_t>(quarter);
    const bool is_whole = sps().direct_8x8_inference_flag;
    const uint32_t first = kCornerBlocks[q] / 8 * 8 + kCornerBlocks[q] % 4 / 2 * 2;
    for (uint32_t i = 0; i < 4; ++i) {
        const uint32_t block = first + i / 2 * 4 + i % 2;
        const uint32_t col_block = is_whole ? static_cast<uint32_t>(quarter) : block;
        if (b.is_spatial) {
            const bool is_zero = is_col_zero(b, p.next_mb, col_block);
            const SpatialDirect& motion = is_zero ? zero : p.b.spatial;
            p.mb.ref_idx[q] = motion.ref_idx[0];
            p.b.ref_idx[q] = motion.ref_idx[1];
            p.mb.mv[block] = motion.mv[0];
            p.b.mv[block] = motion.mv[1];
            continue;
        }
        const ColBlock col = b.col->field->at(p.next_mb, col_block);
        const int8_t ref_idx_l0 =
            col.frame == kNoRefIdx ? int8_t{0} : b.ref_idx_l0[static_cast<size_t>(col.frame)];
        const TemporalVectors mv = temporal_vectors(b, static_cast<size_t>(ref_idx_l0), col.mv);
        p.mb.ref_idx[q] = ref_idx_l0;
        p.b.ref_idx[q] = 0;
        p.mb.mv[block] = {static_cast<int16_t>(mv.x[0]), static_cast<int16_t>(mv.y[0])};
        p.b.mv[block] = {static_cast<int16_t>(mv.x[1]), static_cast<int16_t>(mv.y[1])};
    }
}

/// What spatial direct prediction infers for each block of the macroblock, where that is the same.
std::optional<SpatialDirect> AvcCursor::even_direct() const {
    const Position& p = position_;
    const BSlice& b = *context_->b_slice;
    if (!b.is_spatial) return std::nullopt;
    const SpatialDirect zero = p.b.spatial.where_col_is_zero();
    if (!b.is_col_short_term || zero == p.b.spatial) return p.b.spatial;
    const uint32_t n = b.col->field->n_vectors();
    const bool is_first_zero = is_col_zero(b, p.next_mb, 0);
    for (uint32_t block = 1; block < n; ++block) {
        if (is_col_zero(b, p.next_mb, block) != is_first_zero) return std::nullopt;
    }
    return is_first_zero ? zero : p.b.spatial;
}

/// B_Skip and B_Direct_16x16.
///
/// @param even what even_direct() says
void AvcCursor::put_direct_macroblock(const std::optional<SpatialDirect>& even) {
    Position& p = position_;
    p.b.is_direct = true;
    p.mb.shape = MbShape::k8x8;
    p.mb.sub_mb_type.fill(shape_of_direct());
    p.mb.n_mvs = n_direct_mvs();
    if (even) {
        p.mb.ref_idx.fill(even->ref_idx[0]);
        p.b.ref_idx.fill(even->ref_idx[1]);
        p.mb.mv.fill(even->mv[0]);
        p.b.mv.fill(even->mv[1]);
    } else {
        for (int quarter = 0; quarter < 4; ++quarter) put_direct(quarter);
    }
}

/// The vectors of direct_8x8_inference_flag are of whole quarters.
uint8_t AvcCursor::shape_of_direct() const { return sps().direct_8x8_inference_flag ? 0 : 3; }

void AvcCursor::skip_b_macroblock() {
    Position& p = position_;
    const auto even = even_direct();
    if (even) {
        p.last_n_mvs = n_direct_mvs();
        return leave_skipped(*even);
    }
    reset_macroblock();
    p.mb.cabac.is_skipped = true;
    put_direct_macroblock(even);
    leave_macroblock();
}

void AvcCursor::skip_each_b_macroblock(uint32_t n) {
    for (uint32_t i = 0; i < n; ++i) {
        if (i > 0) infer_direct();
        skip_b_macroblock();
    }
}

/// Of a long run only the edges are put that macroblocks behind can need.
void AvcCursor::skip_b_macroblocks(uint32_t n) {
    const uint32_t n_needed = position_.limits.width_mbs + 1;
    if (n <= n_needed) {
        skip_each_b_macroblock(n);
        return;
    }
    AvcCursor each = *this;  // its rings are its own
    each.skip_each_b_macroblock(n);
    auto& ring = above_.edit();
    auto& ring_1 = above_1_.edit();
    const uint32_t first = each.position_.n_edges - n_needed;
    const size_t places = ring.size() - 1;
    uint32_t to = position_.n_edges;
    for (uint32_t i = 0; i < n_needed; ++i, ++to) {
        ring[to & places] = (*each.above_)[(first + i) & places];
        ring_1[to & places] = (*each.above_1_)[(first + i) & places];
    }
    motion_ = each.motion_;
    position_ = each.position_;
    position_.n_edges = to;
}

}  // namespace pycodec_lm::h264
