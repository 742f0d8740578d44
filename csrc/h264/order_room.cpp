// Room for order counts. Behind any picture of the standard an IDR picture may come, with which
// they begin anew; in a pinned stream there is none, so each picture has to leave counts for the
// others.
#include <algorithm>

#include "h264/cursor.hpp"

namespace pycodec_lm::h264 {

/// Counts ascend in pinned streams, unless all are the sample's. So much lower and higher than the
/// top count the bottom may be, and so high both, that each picture behind still finds a count: in
/// 16 bits from all references (7.4.3, 8.2.1), and for type 0 within half a range of the top count
/// of the reference before.
AvcCursor::OrderRoom AvcCursor::order_room(const SliceHeader& slice) const {
    OrderRoom room;
    const uint64_t n_done = position_.n_pictures + 1;
    if (!grammar_->has_constants() || !grammar_->n_pictures || *grammar_->n_pictures <= n_done)
        return room;
    const Context& c = *context_;
    const auto n_behind = static_cast<int64_t>(*grammar_->n_pictures - n_done);
    const bool have_references = grammar_->p.nal_ref_idc != 0;  // those behind
    const auto n_kept = static_cast<int64_t>(c.sps->max_kept_frames());
    const auto n_before = slice.is_idr() ? 0 : static_cast<int64_t>(c.references.size());
    const int64_t n_out = n_before == n_kept && slice.is_reference() ? 1 : 0;
    const int64_t n_after = n_before - n_out + (slice.is_reference() ? 1 : 0);
    // Pictures behind that find a reference still there, by its place among those there will be.
    const auto n_with = [&](int64_t index) {
        return have_references ? std::min(n_behind, n_kept - n_after + index + 1) : n_behind;
    };
    room.highest = INT32_MAX - n_behind;
    for (int64_t i = n_out; i < n_before; ++i) {
        const RefFrame& frame = c.references.frames()[static_cast<size_t>(i)];
        room.highest = std::min(room.highest, frame.pic_order_cnt + INT16_MAX - n_with(i - n_out));
    }
    const int64_t half = (int64_t{1} << c.sps->log2_max_pic_order_cnt_lsb) / 2;
    const int64_t n_in_half = have_references ? 1 : n_behind;
    if (slice.is_reference()) {
        room.below = INT16_MAX - n_with(n_after - 1);
        room.above = room.below;
        if (c.sps->pic_order_cnt_type == 0) room.above = std::min(room.above, half - n_in_half);
    } else if (c.sps->pic_order_cnt_type == 0) {
        const int64_t before = c.prev_pic_order_cnt_msb + c.prev_pic_order_cnt_lsb;
        room.highest = std::min(room.highest, before + half - n_in_half);
    }
    return room;
}

}  // namespace pycodec_lm::h264
