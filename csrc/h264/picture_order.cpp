// Picture order counts and what tells pictures apart: 8.2.1, 7.4.1.2.4.
#include <algorithm>
#include <limits>

#include "h264/cursor.hpp"

namespace pycodec_lm::h264 {

/// 8.2.1.1 to 8.2.1.3, for a frame with the header fields read so far.
PictureNumbers AvcCursor::numbers_of(const SliceHeader& slice) const {
    const Context& c = *context_;
    const Sps& s = *c.sps;
    PictureNumbers n{
        .is_idr = slice.is_idr(),
        .is_reference = slice.is_reference(),
        .idr_pic_id = slice.idr_pic_id,
        .frame_num = slice.frame_num,
    };
    if (s.pic_order_cnt_type == 0) {
        n.top = pic_order_cnt_msb_of(slice) + slice.pic_order_cnt_lsb;
        n.bottom = n.top + slice.delta_pic_order_cnt_bottom;
        return n;
    }
    if (!slice.is_idr()) {
        n.frame_num_offset = c.previous.had_mmco5 ? 0 : c.previous.frame_num_offset;
        if (c.previous.frame_num > slice.frame_num) n.frame_num_offset += s.max_frame_num();
    }
    const int64_t frame_num = n.frame_num_offset + slice.frame_num;
    if (s.pic_order_cnt_type == 2) {
        n.top = slice.is_idr() ? 0 : 2 * frame_num - (slice.is_reference() ? 0 : 1);
        n.bottom = n.top;
        return n;
    }
    int64_t expected = expected_order_count(frame_num - (slice.is_reference() ? 0 : 1));
    if (!slice.is_reference()) expected += s.offset_for_non_ref_pic;
    n.top = expected + slice.delta_pic_order_cnt[0];
    n.bottom = n.top + s.offset_for_top_to_bottom_field + slice.delta_pic_order_cnt[1];
    return n;
}

/// expectedDeltaPerPicOrderCntCycle and what follows of 8.2.1.2, up to an absFrameNum.
int64_t AvcCursor::expected_order_count(int64_t abs_frame_num) const {
    const Sps& s = *context_->sps;
    const auto n_cycle = static_cast<int64_t>(s.offset_sums.size());
    if (n_cycle == 0 || abs_frame_num <= 0) return 0;
    const int64_t i = abs_frame_num - 1;
    return i / n_cycle * s.offset_sums.back() + s.offset_sums[static_cast<size_t>(i % n_cycle)];
}

/// PicOrderCntMsb, (8-3).
int64_t AvcCursor::pic_order_cnt_msb_of(const SliceHeader& slice) const {
    const Context& c = *context_;
    const int64_t most = int64_t{1} << c.sps->log2_max_pic_order_cnt_lsb;
    const int64_t lsb = slice.pic_order_cnt_lsb;
    const int64_t previous = slice.is_idr() ? 0 : int64_t{c.prev_pic_order_cnt_lsb};
    const int64_t msb = slice.is_idr() ? 0 : c.prev_pic_order_cnt_msb;
    if (lsb < previous && previous - lsb >= most / 2) return msb + most;
    if (lsb > previous && lsb - previous > most / 2) return msb - most;
    return msb;
}

/// The frames that 8.2.5.2 infers in front of one with a frame_num.
uint32_t AvcCursor::n_inferred(uint32_t frame_num) const {
    const uint32_t most = context_->sps->max_frame_num();
    return (frame_num + 2 * most - context_->prev_ref_frame_num - 1) % most;
}

/// The counts that neither range nor order forbids for a frame's lower count: 8.2.1, 7.4.1.2.2. It
/// comes behind so many inferred frames, which are still to push others out.
AvcCursor::SignedRange AvcCursor::order_count_window(
    const SliceHeader& slice, uint32_t n_inferred
) const {
    const Context& c = *context_;
    SignedRange window{INT32_MIN, INT32_MAX};
    if (slice.is_idr()) return window;
    // libavcodec drops pictures that come too late to be put out in their order.
    if (grammar_->portable || grammar_->has_constants())
        window.first = std::max(window.first, c.order_counts.highest() + 1);
    const size_t n_frames = c.references.size() + n_inferred;
    const size_t n_kept = c.sps->max_kept_frames();
    size_t n_out = n_inferred > 0 && n_frames > n_kept ? n_frames - n_kept : 0;
    for (const RefFrame& frame : c.references.frames()) {  // the oldest first
        if (!frame.is_long_term && n_out > 0) {
            --n_out;
            continue;
        }
        if (!frame.is_existing) continue;
        window.first = std::max<int64_t>(window.first, frame.pic_order_cnt + int64_t{INT16_MIN});
        window.last = std::min<int64_t>(window.last, frame.pic_order_cnt + int64_t{INT16_MAX});
    }
    if (!c.previous.is_reference && !slice.is_reference() && n_inferred == 0)
        window.first = std::max(window.first, std::max(c.previous.top, c.previous.bottom));
    return window;
}

/// Some top in first..last is free, with a bottom that is so much more; none: it is chosen later.
bool AvcCursor::any_free_count(
    const SliceHeader& slice, int64_t first, int64_t last, std::optional<int64_t> bottom,
    uint32_t n_inferred
) const {
    const int64_t low = std::min<int64_t>(0, bottom.value_or(0));
    const int64_t high = std::max<int64_t>(0, bottom.value_or(0));
    const SignedRange window = order_count_window(slice, n_inferred);
    const OrderRoom room = order_room(slice);
    if (-low > room.below || high > room.above) return false;
    first = std::max(first, window.first - low);
    last = std::min({last, window.last - low, room.highest - high});
    if (slice.is_idr()) {
        if (!bottom) {
            // delta_pic_order_cnt[1] has to lead from a top above 0 to a bottom of 0.
            const Sps& s = *context_->sps;
            const int64_t offset = s.pic_order_cnt_type == 1 ? s.offset_for_top_to_bottom_field : 0;
            last = std::min({last, room.below, portable_order_counts().last - offset});
        }
        // The lower of the counts of an IDR picture is 0.
        return first <= last && (bottom ? first <= -low && -low <= last : last >= 0);
    }
    for (int64_t top = first; top <= last;) {
        const std::optional<int64_t> taken =
            context_->order_counts.overlap_end(top + low, top + high);
        if (!taken) return true;
        top = *taken - low + 1;
    }
    return false;
}

/// Some picture that is no IDR picture may come next.
bool AvcCursor::can_start_picture(bool is_reference) const {
    const Context& c = *context_;
    const Sps& s = *c.sps;
    if (s.pic_order_cnt_type == 2 && !is_reference && !c.previous.is_reference) return false;
    SliceHeader slice{
        .nal_unit_type = nal::kSlice,
        .nal_ref_idc = static_cast<uint8_t>(is_reference),
        .frame_num = (c.prev_ref_frame_num + 1) % s.max_frame_num(),
    };
    if (s.pic_order_cnt_type == 0) {
        const int64_t most = (int64_t{1} << s.log2_max_pic_order_cnt_lsb) - 1;
        return any_free_lsb(slice, 0, most, false);
    }
    if (s.pic_order_cnt_type == 2) return is_countable(slice, false);
    const auto& ids = c.sets->pps_ids;
    return std::any_of(ids.begin(), ids.end(), [&](uint8_t id) {
        return why_no_pps(id, false) == Code::kOk &&
               is_countable(slice, c.sets->has_bottom_delta(id));
    });
}

/// Where order counts follow from frame_num (types 1 and 2): some count is free, for a frame whose
/// bottom count has a delta of its own or not.
bool AvcCursor::is_countable(const SliceHeader& slice, bool has_bottom_delta) const {
    const Sps& s = *context_->sps;
    const PictureNumbers n = numbers_of(slice);
    const uint32_t n_inferred = this->n_inferred(slice.frame_num);
    std::optional<int64_t> bottom = n.bottom - n.top;
    if (s.pic_order_cnt_type == 2 || s.delta_pic_order_always_zero_flag)
        return any_free_count(slice, n.top, n.top, bottom, n_inferred);
    if (has_bottom_delta) bottom.reset();
    // What delta_pic_order_cnt[0] can add.
    const SignedRange deltas = portable_order_counts();
    return any_free_count(slice, n.top + deltas.first, n.top + deltas.last, bottom, n_inferred);
}

/// A picture that begins with this header as far as it is read, and no gap in front of it, has some
/// count if it takes a picture parameter set.
bool AvcCursor::is_countable_with(uint8_t pic_parameter_set_id) const {
    const Context& c = *context_;
    SliceHeader slice = position_.slice;
    if (slice.is_idr() || c.sps->pic_order_cnt_type != 1) return true;
    slice.frame_num = (c.prev_ref_frame_num + 1) % c.sps->max_frame_num();
    return is_countable(slice, c.sets->has_bottom_delta(pic_parameter_set_id));
}

/// Behind a gap the counts can be out of range.
bool AvcCursor::any_legal_frame_num(uint32_t first, uint32_t last) const {
    const ValueSet values = narrowed(legal_frame_nums());
    SliceHeader slice = position_.slice;
    const bool has_gaps = sps().gaps_in_frame_num_value_allowed_flag;
    if (!has_gaps || sps().pic_order_cnt_type == 0 || slice.is_idr() || !is_first_slice())
        return values.any_in(first, last);
    for (auto next = values.lowest_in(first, last); next; next = values.lowest_in(first, last)) {
        slice.frame_num = *next;
        if (is_countable(slice, pps().bottom_field_pic_order_in_frame_present_flag)) return true;
        if (*next == last) return false;
        first = *next + 1;
    }
    return false;
}

/// Some pic_order_cnt_lsb of first..last gives a free top count; where the bottom does not follow
/// it is the same.
bool AvcCursor::any_free_lsb(
    SliceHeader slice, int64_t first, int64_t last, bool bottom_follows
) const {
    std::optional<int64_t> bottom;
    if (!bottom_follows) bottom = 0;
    // PicOrderCntMsb is the same over at most three stretches of values.
    for (int64_t lsb = first; lsb <= last;) {
        slice.pic_order_cnt_lsb = static_cast<uint32_t>(lsb);
        const int64_t msb = pic_order_cnt_msb_of(slice);
        int64_t end = last;
        while (end > lsb) {
            slice.pic_order_cnt_lsb = static_cast<uint32_t>(end);
            if (pic_order_cnt_msb_of(slice) == msb) break;
            // The stretches are cut at most half a range from the value before.
            int64_t low = lsb;
            while (low + 1 < end) {
                const int64_t middle = (low + end) / 2;
                slice.pic_order_cnt_lsb = static_cast<uint32_t>(middle);
                (pic_order_cnt_msb_of(slice) == msb ? low : end) = middle;
            }
            end = low;
        }
        if (any_free_count(slice, msb + lsb, msb + end, bottom)) return true;
        lsb = end + 1;
    }
    return false;
}

bool AvcCursor::any_legal_lsb(uint64_t first, uint64_t last) const {
    const SliceHeader& slice = position_.slice;
    if (!is_first_slice()) {
        const uint32_t lsb = context_->first_slice.pic_order_cnt_lsb;
        return first <= lsb && lsb <= last;
    }
    const auto low = static_cast<int64_t>(first);
    const auto high = static_cast<int64_t>(last);
    const bool bottom_follows = pps().bottom_field_pic_order_in_frame_present_flag;
    if (bottom_follows || is_new_without_order(slice))
        return any_free_lsb(slice, low, high, bottom_follows);
    // Another value than that of the picture before.
    const int64_t other = context_->first_slice.pic_order_cnt_lsb;
    return any_free_lsb(slice, low, std::min(high, other - 1), false) ||
           any_free_lsb(slice, std::max(low, other + 1), high, false);
}

/// 7.4.1.2.4, but for the order counts.
bool AvcCursor::is_new_without_order(const SliceHeader& slice) const {
    const Context& c = *context_;
    if (position_.n_pictures == 0) return true;
    const SliceHeader& last = c.first_slice;
    return slice.frame_num != last.frame_num ||
           slice.pic_parameter_set_id != last.pic_parameter_set_id ||
           slice.is_reference() != last.is_reference() || slice.is_idr() != last.is_idr() ||
           (slice.is_idr() && slice.idr_pic_id != last.idr_pic_id);
}

/// Some value of first..last of delta_pic_order_cnt_bottom or delta_pic_order_cnt is legal.
bool AvcCursor::any_legal_delta(int64_t first, int64_t last) const {
    const Position& p = position_;
    SliceHeader slice = p.slice;
    const SliceHeader& known = context_->first_slice;
    const auto is_in = [&](int64_t value) { return first <= value && value <= last; };
    if (p.at == Element::kDeltaPicOrderCnt0) {
        if (!is_first_slice()) return is_in(known.delta_pic_order_cnt[0]);
        const PictureNumbers n = numbers_of(slice);
        const bool bottom_follows = pps().bottom_field_pic_order_in_frame_present_flag;
        std::optional<int64_t> bottom;
        if (!bottom_follows) bottom = n.bottom - n.top;
        if (bottom_follows || is_new_without_order(slice))
            return any_free_count(slice, n.top + first, n.top + last, bottom);
        const int64_t other = known.delta_pic_order_cnt[0];
        return any_free_count(slice, n.top + first, n.top + std::min(last, other - 1), bottom) ||
               any_free_count(slice, n.top + std::max(first, other + 1), n.top + last, bottom);
    }
    const bool is_type_0 = p.at == Element::kDeltaPicOrderCntBottom;
    if (!is_first_slice())
        return is_in(is_type_0 ? known.delta_pic_order_cnt_bottom : known.delta_pic_order_cnt[1]);
    const PictureNumbers n = numbers_of(slice);  // with a delta of 0
    const SignedRange range = free_bottoms(slice, n.top);
    int64_t low = std::max(first, range.first - n.bottom);
    int64_t high = std::min(last, range.last - n.bottom);
    const bool must_differ =
        !is_new_without_order(slice) &&
        (is_type_0 ? slice.pic_order_cnt_lsb == known.pic_order_cnt_lsb
                   : slice.delta_pic_order_cnt[0] == known.delta_pic_order_cnt[0]);
    if (must_differ) {
        const int64_t other =
            is_type_0 ? known.delta_pic_order_cnt_bottom : known.delta_pic_order_cnt[1];
        if (low == other) ++low;
        if (high == other) --high;
    }
    return low <= high;
}

/// The bottom counts that go with a top count: no other picture's may lie between.
AvcCursor::SignedRange AvcCursor::free_bottoms(const SliceHeader& slice, int64_t top) const {
    const OrderRoom room = order_room(slice);
    const int64_t last = std::min(top + room.above, room.highest);
    if (slice.is_idr()) return top == 0 ? SignedRange{0, last} : SignedRange{0, 0};
    const SignedRange window = order_count_window(slice);
    return {
        std::max({context_->order_counts.below(top) + 1, window.first, top - room.below}),
        std::min({context_->order_counts.above(top) - 1, last, int64_t{INT32_MAX}})
    };
}

/// The order count of an inferred frame, which has no deltas: 8.2.5.2. None of type 0.
int32_t AvcCursor::inferred_order_count(int64_t frame_num_with_offset) const {
    const Sps& s = sps();
    if (s.pic_order_cnt_type == 0) return 0;
    if (s.pic_order_cnt_type == 2) return static_cast<int32_t>(2 * frame_num_with_offset);
    const int64_t top = expected_order_count(frame_num_with_offset);
    return static_cast<int32_t>(top + std::min<int64_t>(0, s.offset_for_top_to_bottom_field));
}

/// The frames that 8.2.5.2 infers between PrevRefFrameNum and the slice's frame_num.
void AvcCursor::fill_frame_num_gap(Context& context) const {
    const Sps& s = *context.sps;
    const uint32_t most = s.max_frame_num();
    const uint32_t frame_num = position_.slice.frame_num;
    uint32_t unused = (context.prev_ref_frame_num + 1) % most;
    const uint32_t n_missing = (frame_num + most - unused) % most;
    if (n_missing == 0) return;
    // No more of them stay than the window holds.
    const uint32_t n_skipped = n_missing > kMaxRefFrames ? n_missing - kMaxRefFrames : 0;
    unused = (unused + n_skipped) % most;
    const int64_t offset = context.previous.had_mmco5 ? 0 : context.previous.frame_num_offset;
    for (; unused != frame_num; unused = (unused + 1) % most) {
        const bool is_wrapped = unused < context.previous.frame_num;
        context.references.slide_window(s, unused);
        context.references.add({
            .frame_num = unused,
            .is_existing = false,
            .pic_order_cnt = inferred_order_count(offset + unused + (is_wrapped ? most : 0)),
        });
    }
    const uint32_t last = (frame_num + most - 1) % most;
    context.prev_ref_frame_num = last;
    if (context.previous.had_mmco5) context.previous.frame_num_offset = 0;
    context.previous.had_mmco5 = false;
    if (last < context.previous.frame_num) context.previous.frame_num_offset += most;
    context.previous.frame_num = last;
    context.previous.is_reference = true;
}

}  // namespace pycodec_lm::h264
