// Which predictions there are: intra modes, 8.3; motion vectors, 8.4.1.
#include <algorithm>

#include "h264/cursor.hpp"

namespace pycodec_lm::h264 {
namespace {

int16_t median(int16_t a, int16_t b, int16_t c) {
    return std::max(std::min(a, b), std::min(std::max(a, b), c));
}

}  // namespace

/// The modes of the blocks around the macroblock, of which samples may be used: 8.3.1.1.
void AvcCursor::put_intra_modes_around() {
    Bordered<4>& modes = position_.mb.intra_mode;
    constexpr uint8_t kNotAvailable = Bordered<4>::kNotAvailable;
    const MbEdge* left = serves_intra(left_edge()) ? left_edge() : nullptr;
    const MbEdge* top = serves_intra(top_edge()) ? top_edge() : nullptr;
    for (int i = 0; i < 4; ++i) {
        modes.put(-1, i, left ? left->intra_mode[static_cast<size_t>(i)] : kNotAvailable);
        modes.put(i, -1, top ? top->intra_mode[static_cast<size_t>(i)] : kNotAvailable);
    }
    modes.put(-1, -1, serves_intra(top_left_edge()) ? kIntraDc : kNotAvailable);
}

/// Table 8-4, a bit each: 0 vertical, 1 horizontal, 2 DC, 3 plane.
uint32_t AvcCursor::legal_intra16x16_modes() const {
    const bool has_top = serves_intra(top_edge());
    const bool has_left = serves_intra(left_edge());
    uint32_t modes = 0b0100;
    if (has_top) modes |= 0b0001;
    if (has_left) modes |= 0b0010;
    if (has_top && has_left && serves_intra(top_left_edge())) modes |= 0b1000;
    return modes;
}

/// Table 8-5: 0 DC, 1 horizontal, 2 vertical, 3 plane.
bool AvcCursor::is_legal_intra_chroma_mode(uint64_t mode) const {
    constexpr uint32_t kAs16x16[] = {2, 1, 0, 3};
    return mode < std::size(kAs16x16) && ((legal_intra16x16_modes() >> kAs16x16[mode]) & 1) != 0;
}

/// The motion of the 4x4 block at a column and row of this macroblock or beside it: 8.4.1.3.2.
template <int kList>
inline AvcCursor::MotionNeighbour AvcCursor::motion_at(int column, int row) const {
    const Position& p = position_;
    const uint32_t width = p.limits.width_mbs;
    // Of list 1 the same edge, `distance` macroblocks before in the ring; 0: the one before.
    const auto of_edge = [&](const MbEdge* edge, uint32_t distance, int i) -> MotionNeighbour {
        const auto at = static_cast<size_t>(i);
        if (edge == nullptr) return {};
        if constexpr (kList == 0) return {true, edge->ref_idx[at / 2], edge->mv[at]};
        const ListEdge& other = distance == 0 ? p.b.left : slot_1(distance);
        return {true, other.ref_idx[at / 2], other.mv[at]};
    };
    if (row < 0) {
        if (column < 0) return of_edge(top_left_edge(), width + 1, 3);
        if (column < 4) return of_edge(top_edge(), width, column);
        return of_edge(top_right_edge(), width - 1, 0);
    }
    if (column < 0) return of_edge(left_edge(), 0, row);
    if (column > 3 || !((p.mb.mv_known >> (4 * row + column)) & 1)) return {};
    const auto quarter = static_cast<size_t>(2 * (row / 2) + column / 2);
    const auto block = static_cast<size_t>(4 * row + column);
    if constexpr (kList == 0) return {true, p.mb.ref_idx[quarter], p.mb.mv[block]};
    return {true, p.b.ref_idx[quarter], p.b.mv[block]};
}

/// Median prediction, 8.4.1.3.1, of a partition at a column and row, so many 4x4 blocks wide.
template <int kList>
inline MotionVector AvcCursor::predict_motion(
    int column, int row, int width, int8_t ref_idx
) const {
    const MotionNeighbour a = motion_at<kList>(column - 1, row);
    const MotionNeighbour b = motion_at<kList>(column, row - 1);
    MotionNeighbour c = motion_at<kList>(column + width, row - 1);
    if (!c.is_available) c = motion_at<kList>(column - 1, row - 1);
    return median_motion(a, b, c, ref_idx);
}

/// 8.4.1.3.1, of the neighbours A, B and C.
inline MotionVector AvcCursor::median_motion(
    const MotionNeighbour& a, const MotionNeighbour& b, const MotionNeighbour& c, int8_t ref_idx
) {
    if (a.mv == b.mv && b.mv == c.mv) return a.mv;
    if (!b.is_available && !c.is_available && a.is_available) return a.mv;
    const bool has_a = a.ref_idx == ref_idx;
    const bool has_b = b.ref_idx == ref_idx;
    const bool has_c = c.ref_idx == ref_idx;
    if (has_a + has_b + has_c == 1) return has_a ? a.mv : has_b ? b.mv : c.mv;
    return {median(a.mv.x, b.mv.x, c.mv.x), median(a.mv.y, b.mv.y, c.mv.y)};
}

/// mvpLX of the partition that is due, 8.4.1.3.
template <int kList>
MotionVector AvcCursor::predict_partition() const {
    const Macroblock& mb = position_.mb;
    const Partition at = mb.partition();
    const auto& references = kList == 0 ? mb.ref_idx : position_.b.ref_idx;
    const int8_t ref_idx = references[static_cast<size_t>(2 * (at.row / 2) + at.column / 2)];
    if (mb.shape == MbShape::k16x16) return predict_motion<kList>(0, 0, 4, ref_idx);
    // Halves of a macroblock look to one side first.
    if (mb.shape == MbShape::k16x8) {
        const MotionNeighbour n = mb.part == 0 ? motion_at<kList>(0, -1) : motion_at<kList>(-1, 2);
        if (n.ref_idx == ref_idx) return n.mv;
    } else if (mb.shape == MbShape::k8x16) {
        MotionNeighbour n = mb.part == 0 ? motion_at<kList>(-1, 0) : motion_at<kList>(4, -1);
        if (mb.part == 1 && !n.is_available) n = motion_at<kList>(1, -1);
        if (n.ref_idx == ref_idx) return n.mv;
    }
    return predict_motion<kList>(at.column, at.row, at.width, ref_idx);
}
template MotionVector AvcCursor::predict_partition<0>() const;
template MotionVector AvcCursor::predict_partition<1>() const;

/// Of P_Skip, 8.4.1.1.
MotionVector AvcCursor::skip_motion() const {
    const MotionNeighbour a = motion_at<0>(-1, 0);
    const MotionNeighbour b = motion_at<0>(0, -1);
    const auto is_still = [](const MotionNeighbour& n) {
        return !n.is_available || (n.ref_idx == 0 && n.mv == MotionVector{});
    };
    if (is_still(a) || is_still(b)) return {};
    return predict_motion<0>(0, 0, 4, 0);
}

/// 8.4.1.2.2, without what the colocated picture has to do with it.
SpatialDirect AvcCursor::spatial_direct() const {
    const uint32_t width = position_.limits.width_mbs;
    const MbEdge* a = left_edge();
    const MbEdge* b = top_edge();
    const MbEdge* c = top_right_edge();
    const bool is_c_right = c != nullptr;
    if (!is_c_right) c = top_left_edge();
    const size_t block_of_c = is_c_right ? 0 : 3;
    const auto of_edge = [](const auto& edge, size_t block) -> MotionNeighbour {
        return {true, edge.ref_idx[block / 2], edge.mv[block]};
    };
    SpatialDirect direct;
    const auto infer = [&](size_t list, auto of_a, auto of_b, auto of_c) {
        const MotionNeighbour at_a = a ? of_a() : MotionNeighbour{};
        const MotionNeighbour at_b = b ? of_b() : MotionNeighbour{};
        const MotionNeighbour at_c = c ? of_c() : MotionNeighbour{};
        // MinPositive: as numbers without a sign, -1 is the largest.
        const auto of = [](const MotionNeighbour& n) { return static_cast<uint8_t>(n.ref_idx); };
        const auto ref_idx = static_cast<int8_t>(std::min({of(at_a), of(at_b), of(at_c)}));
        direct.ref_idx[list] = ref_idx;
        if (ref_idx >= 0) direct.mv[list] = median_motion(at_a, at_b, at_c, ref_idx);
    };
    infer(
        0, [&] { return of_edge(*a, 0); }, [&] { return of_edge(*b, 0); },
        [&] { return of_edge(*c, block_of_c); }
    );
    infer(
        1, [&] { return of_edge(position_.b.left, 0); }, [&] { return of_edge(slot_1(width), 0); },
        [&] { return of_edge(slot_1(is_c_right ? width - 1 : width + 1), block_of_c); }
    );
    if (direct.ref_idx[0] < 0 && direct.ref_idx[1] < 0) direct.ref_idx = {0, 0};
    return direct;
}

}  // namespace pycodec_lm::h264
