// Neighbouring macroblocks: 6.4.9 to 6.4.12. Only those of the same slice are available.
//
// The bottoms of macroblocks go into a ring, in the order of addresses, with room for more than two
// rows: what the bits of one byte add overwrites nothing that the state before the byte may need.
#include "h264/cursor.hpp"

namespace pycodec_lm::h264 {

/// The bottom of the macroblock so many addresses before this one.
const MbEdge& AvcCursor::slot(uint32_t distance) const {
    const auto n = static_cast<uint32_t>(above_->size());
    return (*above_)[(position_.ring + n - distance) % n];
}

void AvcCursor::put_edges(const MbEdge& bottom, const MbEdge& right) {
    auto& ring = above_.edit();
    ring[position_.ring] = bottom;
    position_.ring = (position_.ring + 1) % static_cast<uint32_t>(ring.size());
    position_.left = right;
}

const MbEdge* AvcCursor::left_edge() const {
    const Position& p = position_;
    const bool is_available = p.next_mb > p.slice.first_mb && p.next_mb % sps().width_mbs != 0;
    return is_available ? &p.left : nullptr;
}

const MbEdge* AvcCursor::top_edge() const {
    const uint32_t width = sps().width_mbs;
    if (position_.next_mb < position_.slice.first_mb + width) return nullptr;
    return &slot(width);
}

const MbEdge* AvcCursor::top_right_edge() const {
    const uint32_t width = sps().width_mbs;
    const bool is_last = position_.next_mb % width == width - 1;
    if (is_last || position_.next_mb + 1 < position_.slice.first_mb + width) return nullptr;
    return &slot(width - 1);
}

const MbEdge* AvcCursor::top_left_edge() const {
    const uint32_t width = sps().width_mbs;
    const bool is_first = position_.next_mb % width == 0;
    if (is_first || position_.next_mb < position_.slice.first_mb + width + 1) return nullptr;
    return &slot(width + 1);
}

/// Its samples may be used for intra prediction.
bool AvcCursor::serves_intra(const MbEdge* edge) const {
    return edge != nullptr && (edge->is_intra() || !pps().constrained_intra_pred_flag);
}

}  // namespace pycodec_lm::h264
