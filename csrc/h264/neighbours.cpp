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

/// By CABAC a skipped macroblock takes at least log2(510 / 501) and log2(510 / 508) bits: of a byte
/// and the 10 bits that may be known before it there are less than 600. A look ahead takes fewer.
constexpr uint32_t kMostMbsOfByte = 600;

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

/// P_Skip macroblocks. Behind the end of the row they all stand still: the first of a row has no
/// neighbour to the left, and then each has one that does not move (8.4.1.1). So of a long run only
/// the first row is worked out, and only as many edges are put as macroblocks behind can need.
void AvcCursor::skip_macroblocks(uint32_t n) {
    Position& p = position_;
    const uint32_t width = p.limits.width_mbs;
    const uint32_t n_of_row = std::min(n, width - p.column);
    const uint32_t n_needed = width + 1;
    p.last_n_mvs = 1;
    if (n - n_of_row >= n_needed) {
        put_still_edges(n_needed);
        return move_on(n);
    }
    uint32_t n_left = n;
    MbEdge edge;
    edge.ref_idx = {0, 0};
    edge.cabac.says.is_skipped = true;
    for (uint32_t i = 0; i < n_of_row; ++i) {
        const MotionVector mv = skip_motion();
        if (mv == MotionVector{}) break;
        edge.mv.fill(mv);
        put_edges(edge, edge);
        move_on(1);
        --n_left;
    }
    if (n_left == 0) return;
    put_still_edges(n_left);
    move_on(n_left);
}

void AvcCursor::put_still_edges(uint32_t n) {
    MbEdge still;
    still.ref_idx = {0, 0};
    still.cabac.says.is_skipped = true;
    auto& ring = above_.edit();
    for (uint32_t i = 0; i < n; ++i) ring[position_.n_edges++ & (ring.size() - 1)] = still;
    position_.left = still;
}

}  // namespace pycodec_lm::h264
