// Neighbouring macroblocks: 6.4.9 to 6.4.12. Only those of the same slice are available.
//
// The bottoms of macroblocks go into a ring, in the order of addresses, with room for several rows:
// what the bits of one byte add overwrites nothing that the state before the byte may need.
#include <algorithm>
#include <bit>

#include "h264/cursor.hpp"

namespace pycodec_lm::h264 {
namespace {

/// What a macroblock may look at: the row above, and one more to the left.
uint32_t n_edges_needed(const Sps& sps) { return sps.width_mbs + 1; }

/// By CABAC a skipped macroblock takes at least log2(510 / 501) + log2(510 / 508) bits. Of a byte,
/// the 10 bits that may be known before it, and the 10 that a look ahead goes on for, that are less
/// than 900 macroblocks.
constexpr uint32_t kMostMbsOfByte = 900;

/// What a byte may put: a run of skipped macroblocks, and some with a few bits each.
uint32_t n_edges_of_byte(const Sps& sps, const Pps& pps) {
    const uint32_t n = 2 * n_edges_needed(sps) + 8;
    if (!pps.entropy_coding_mode_flag) return n;
    return std::max(n, std::min(sps.frame_mbs(), kMostMbsOfByte));
}

/// A power of two, so that places follow from counts that wrap.
size_t ring_size(const Sps& sps, const Pps& pps) {
    return std::bit_ceil(size_t{n_edges_needed(sps)} + 2 * n_edges_of_byte(sps, pps));
}

}  // namespace

void AvcCursor::prepare_edges() {
    const size_t size = ring_size(sps(), pps());
    if (above_->size() != size) above_.edit().assign(size, MbEdge{});
    if (position_.limits.is_b && above_1_->size() != size) above_1_.edit().assign(size, ListEdge{});
}

/// Behind so many edges from here, the next byte still overwrites none that this state may need.
uint32_t AvcCursor::room_for_edges() const {
    return static_cast<uint32_t>(above_->size()) - n_edges_needed(sps()) -
           n_edges_of_byte(sps(), pps());
}

/// To the macroblock so many addresses on.
void AvcCursor::move_on(uint32_t n) {
    Position& p = position_;
    const uint32_t width = p.limits.width_mbs;
    p.next_mb += n;
    p.column += n;
    if (p.column >= width) p.column = p.column < 2 * width ? p.column - width : p.column % width;
}

/// Keeps what those behind it, and later pictures, look at.
void AvcCursor::leave_macroblock() {
    Position& p = position_;
    const Macroblock& mb = p.mb;
    MbEdge bottom;
    MbEdge right;
    bottom.is_inter = right.is_inter = mb.kind == MbKind::kInter;
    for (size_t i = 0; i < 4; ++i) {
        bottom.luma[i] = mb.luma_counts.at(static_cast<int>(i), 3);
        right.luma[i] = mb.luma_counts.at(3, static_cast<int>(i));
        bottom.mv[i] = mb.mv[12 + i];
        right.mv[i] = mb.mv[4 * i + 3];
    }
    if (mb.kind == MbKind::kIntraNxN) {
        for (size_t i = 0; i < 4; ++i) {
            bottom.intra_mode[i] = mb.intra_mode.at(static_cast<int>(i), 3);
            right.intra_mode[i] = mb.intra_mode.at(3, static_cast<int>(i));
        }
    }
    for (size_t c = 0; c < 2; ++c) {
        const CoeffCounts<2>& counts = mb.chroma_counts[c];
        bottom.chroma[c] = {counts.at(0, 1), counts.at(1, 1)};
        right.chroma[c] = {counts.at(1, 0), counts.at(1, 1)};
    }
    bottom.ref_idx = {mb.ref_idx[2], mb.ref_idx[3]};
    right.ref_idx = {mb.ref_idx[1], mb.ref_idx[3]};
    if (p.limits.has_cabac) put_cabac_edges(bottom.cabac, right.cabac);
    if (p.limits.is_b) put_edges_of_list_1();
    put_edges(bottom, right);
    if (p.limits.records_motion && !is_looking_ahead_) record_motion();
    p.last_n_mvs = mb.n_mvs;
    move_on(1);
}

/// In front of put_edges().
void AvcCursor::put_edges_of_list_1() {
    Position& p = position_;
    auto& ring = above_1_.edit();
    ListEdge& bottom = ring[p.n_edges & (ring.size() - 1)];
    for (size_t i = 0; i < 4; ++i) {
        bottom.mv[i] = p.b.mv[12 + i];
        p.b.left.mv[i] = p.b.mv[4 * i + 3];
    }
    bottom.ref_idx = {p.b.ref_idx[2], p.b.ref_idx[3]};
    p.b.left.ref_idx = {p.b.ref_idx[1], p.b.ref_idx[3]};
}

void AvcCursor::skip_macroblock() {
    if (position_.limits.is_b) return skip_b_macroblock();
    position_.last_n_mvs = 1;
    leave_skipped({.ref_idx = {0, kNoRefIdx}, .mv = {skip_motion(), {}}});
}

/// Skipped macroblocks. In P slices, behind the end of the row they all stand still: the first of a
/// row has no neighbour to the left, and then each has one that does not move (8.4.1.1). So of a
/// long run only the first row is worked out, and only as many edges are put as macroblocks behind
/// can need.
void AvcCursor::skip_macroblocks(uint32_t n) {
    Position& p = position_;
    const uint32_t width = p.limits.width_mbs;
    const uint32_t n_of_row = std::min(n, width - p.column);
    const uint32_t n_needed = width + 1;
    if (p.limits.is_b) return skip_b_macroblocks(n);
    p.last_n_mvs = 1;
    const bool records_motion = p.limits.records_motion && !is_looking_ahead_;
    if (n - n_of_row >= n_needed && !records_motion) {
        put_still_edges(n_needed);
        return move_on(n);
    }
    uint32_t n_left = n;
    SpatialDirect motion{.ref_idx = {0, kNoRefIdx}};
    for (uint32_t i = 0; i < n_of_row; ++i) {
        motion.mv[0] = skip_motion();
        if (motion.mv[0] == MotionVector{}) break;
        leave_skipped(motion);
        --n_left;
    }
    if (n_left == 0) return;
    put_still_edges(std::min(n_left, n_needed));
    if (records_motion) motion_.edit().put_still(p.next_mb, n_left, p.slice.lists[0][0]);
    move_on(n_left);
}

/// leave_macroblock() of a skipped one, all of whose blocks move alike.
void AvcCursor::leave_skipped(const SpatialDirect& motion) {
    Position& p = position_;
    MbEdge edge;
    edge.is_inter = true;
    edge.ref_idx = {motion.ref_idx[0], motion.ref_idx[0]};
    edge.mv.fill(motion.mv[0]);
    edge.cabac.says.is_skipped = true;
    edge.cabac.says.is_direct = p.limits.is_b;
    if (p.limits.is_b) {
        auto& ring = above_1_.edit();
        p.b.left.ref_idx = {motion.ref_idx[1], motion.ref_idx[1]};
        p.b.left.mv.fill(motion.mv[1]);
        ring[p.n_edges & (ring.size() - 1)] = p.b.left;
    }
    put_edges(edge, edge);
    if (p.limits.records_motion && !is_looking_ahead_) {
        const size_t list = motion.ref_idx[0] >= 0 ? 0 : 1;
        const int8_t ref_idx = motion.ref_idx[list];
        const int8_t frame = p.slice.lists[list][static_cast<size_t>(ref_idx)];
        motion_.edit().put_even(p.next_mb, {frame, ref_idx == 0, motion.mv[list]});
    }
    move_on(1);
}

/// The motion of the macroblock that ends: of list 0 where it has some (8.4.1.2.1).
void AvcCursor::record_motion() {
    const Position& p = position_;
    MotionField& field = motion_.edit();
    if (p.mb.kind != MbKind::kInter) return field.put_intra(p.next_mb);
    MotionField::Mb blocks;
    for (uint32_t i = 0; i < field.n_vectors(); ++i) {
        const uint32_t block = field.n_vectors() == 4 ? kCornerBlocks[i] : i;
        const uint32_t quarter = quarter_of(block);
        const size_t list = p.mb.ref_idx[quarter] >= 0 ? 0 : 1;
        const int8_t ref_idx = list == 0 ? p.mb.ref_idx[quarter] : p.b.ref_idx[quarter];
        blocks[i] = {
            p.slice.lists[list][static_cast<size_t>(ref_idx)], ref_idx == 0,
            list == 0 ? p.mb.mv[block] : p.b.mv[block]
        };
    }
    field.put(p.next_mb, blocks);
}

void AvcCursor::put_still_edges(uint32_t n) {
    MbEdge still;
    still.is_inter = true;
    still.ref_idx = {0, 0};
    still.cabac.says.is_skipped = true;
    auto& ring = above_.edit();
    for (uint32_t i = 0; i < n; ++i) ring[position_.n_edges++ & (ring.size() - 1)] = still;
    position_.left = still;
}

}  // namespace pycodec_lm::h264
