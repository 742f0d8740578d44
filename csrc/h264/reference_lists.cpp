// Reference picture lists: 7.3.3.1, 7.4.3.1, 8.2.4.
#include <algorithm>
#include <bit>

#include "h264/cursor.hpp"

namespace pycodec_lm::h264 {
namespace {

/// Indices of reference frames in the order of a list.
struct FrameOrder {
    std::array<int8_t, kMaxRefFrames + 1> frames{};
    size_t n = 0;

    void add(size_t frame) { frames[n++] = static_cast<int8_t>(frame); }
    std::span<const int8_t> entries() const { return {frames.data(), n}; }
    template <class Before>
    void sort_from(size_t first, const Before& before) {
        std::sort(
            frames.begin() + static_cast<std::ptrdiff_t>(first),
            frames.begin() + static_cast<std::ptrdiff_t>(n), [&](int8_t a, int8_t b) {
                return before(static_cast<size_t>(a), static_cast<size_t>(b));
            }
        );
    }
};

void add_long_term(FrameOrder& order, std::span<const RefFrame> frames) {
    const size_t first = order.n;
    for (size_t i = 0; i < frames.size(); ++i) {
        if (frames[i].is_long_term) order.add(i);
    }
    order.sort_from(first, [&](size_t a, size_t b) {
        return frames[a].long_term_frame_idx < frames[b].long_term_frame_idx;
    });
}

/// 8.2.4.2.1.
FrameOrder order_of_p(const Sps& sps, uint32_t frame_num, std::span<const RefFrame> frames) {
    FrameOrder order;
    for (size_t i = 0; i < frames.size(); ++i) {
        if (!frames[i].is_long_term) order.add(i);
    }
    order.sort_from(0, [&](size_t a, size_t b) {
        return frame_num_wrap(sps, frame_num, frames[a].frame_num) >
               frame_num_wrap(sps, frame_num, frames[b].frame_num);
    });
    add_long_term(order, frames);
    return order;
}

/// 8.2.4.2.3, without its last step. Frames that were inferred have an order count only where it
/// follows from frame_num.
FrameOrder order_of_b(
    const Sps& sps, int64_t pic_order_cnt, std::span<const RefFrame> frames, int list
) {
    FrameOrder order;
    const auto count = [&](size_t i) { return int64_t{frames[i].pic_order_cnt}; };
    const auto add_side = [&](bool is_before) {
        const size_t first = order.n;
        for (size_t i = 0; i < frames.size(); ++i) {
            if (frames[i].is_long_term) continue;
            if (!frames[i].is_existing && sps.pic_order_cnt_type == 0) continue;
            if ((count(i) < pic_order_cnt) == is_before) order.add(i);
        }
        order.sort_from(first, [&](size_t a, size_t b) {
            return is_before ? count(a) > count(b) : count(a) < count(b);
        });
    };
    add_side(list == 0);
    add_side(list != 0);
    add_long_term(order, frames);
    return order;
}

/// "When the reference picture list RefPicList1 has more than one entry and RefPicList1 is
/// identical to RefPicList0, the first two entries [...] are switched."
FrameOrder order_of_list_1(
    const Sps& sps, int64_t pic_order_cnt, std::span<const RefFrame> frames
) {
    const FrameOrder first = order_of_b(sps, pic_order_cnt, frames, 0);
    FrameOrder order = order_of_b(sps, pic_order_cnt, frames, 1);
    const auto a = first.entries();
    const auto b = order.entries();
    if (order.n > 1 && std::equal(a.begin(), a.end(), b.begin(), b.end()))
        std::swap(order.frames[0], order.frames[1]);
    return order;
}

}  // namespace

/// The list as it is without modifications.
void AvcCursor::begin_list(int list) {
    Position& p = position_;
    Context& context = context_.edit();
    const std::span<const RefFrame> frames = context.references.frames();
    const int64_t count = std::min(context.current.top, context.current.bottom);
    const FrameOrder order = p.slice.type == SliceType::kP
                                 ? order_of_p(*context.sps, p.slice.frame_num, frames)
                             : list == 0 ? order_of_b(*context.sps, count, frames, 0)
                                         : order_of_list_1(*context.sps, count, frames);
    context.draft.list.fill(kNoFrame);
    const size_t n = std::min<size_t>(order.n, p.slice.num_ref_idx_active[list == 0 ? 0 : 1]);
    std::copy_n(order.frames.begin(), n, context.draft.list.begin());
    p.list = static_cast<uint8_t>(list);
    expect(
        list == 0 ? Element::kRefPicListModificationFlagL0 : Element::kRefPicListModificationFlagL1
    );
}

/// 7.4.3.1: the last entry has a picture.
bool AvcCursor::is_list_full() const {
    const Position& p = position_;
    return context_->draft.list[p.slice.num_ref_idx_active[p.list] - size_t{1}] != kNoFrame;
}

/// 8.2.4.3.1, 8.2.4.3.2: puts a frame at refIdxLX and takes it out behind.
void AvcCursor::modify_list(size_t frame) {
    Position& p = position_;
    auto& list = context_.edit().draft.list;
    const size_t n = p.slice.num_ref_idx_active[p.list];
    const size_t at = p.i++;
    for (size_t i = n; i > at; --i) list[i] = list[i - 1];
    list[at] = static_cast<int8_t>(frame);
    size_t to = at + 1;
    for (size_t from = at + 1; from <= n; ++from) {
        if (list[from] != static_cast<int8_t>(frame)) list[to++] = list[from];
    }
}

ValueSet AvcCursor::legal_modifications() const {
    const Position& p = position_;
    ValueSet values;
    if (p.i < p.slice.num_ref_idx_active[p.list]) {
        // One direction finds a frame iff the other does.
        if (legal_pic_num_differences(1, p.number).any_in(0, UINT32_MAX)) values.add(0, 1);
        if (context_->references.n_long_term() > 0) values.add(2);
    }
    if (p.i > 0 && is_list_full()) values.add(3);
    return values;
}

/// openh264 has room for 16 frames in a list while it is modified, and looks for them there: each
/// that is put in front again pushes another out. Frames for which there is no room, a bit each.
uint32_t AvcCursor::unportable_modifications() const {
    const auto& list = context_->draft.list;
    const size_t n_read = position_.i;
    uint32_t in_front = 0;
    for (size_t i = 0; i < n_read; ++i) in_front |= 1u << list[i];
    const size_t n_again = n_read - static_cast<size_t>(std::popcount(in_front));
    return context_->references.size() + n_again < kMaxRefFrames ? 0 : in_front;
}

/// abs_diff_pic_num_minus1 that lead from a prediction, down (-1) or up, to an existing frame.
ValueSet AvcCursor::legal_pic_num_differences(int direction, int64_t prediction) const {
    constexpr int64_t kLongCode = 65535;  // openh264 refuses it, as in portable_order_counts()
    const auto most = static_cast<int64_t>(sps().max_frame_num());
    ValueSet values;
    const std::span<const RefFrame> frames = context_->references.frames();
    const uint32_t unportable = grammar_->portable ? unportable_modifications() : 0;
    for (size_t i = 0; i < frames.size(); ++i) {
        const RefFrame& frame = frames[i];
        if (frame.is_long_term || !frame.is_existing || ((unportable >> i) & 1) != 0) continue;
        const int64_t up = (int64_t{frame.frame_num} - prediction + 2 * most) % most;
        const int64_t difference = direction > 0 ? up : (most - up) % most;
        const int64_t value = (difference == 0 ? most : difference) - 1;
        if (grammar_->portable && value == kLongCode) continue;
        values.add(static_cast<uint32_t>(value));
    }
    return values;
}

ValueSet AvcCursor::legal_long_term_pic_nums(const ReferencePictures& references) const {
    uint64_t numbers = 0;
    for (const RefFrame& frame : references.frames()) {
        if (frame.is_long_term) numbers |= uint64_t{1} << frame.long_term_frame_idx;
    }
    return numbers == 0 ? ValueSet() : ValueSet::of_bits(numbers);
}

void AvcCursor::end_list() {
    const Position& p = position_;
    SliceHeader& slice = position_.slice;
    const size_t x = p.list;
    slice.usable_refs[x] = 0;
    slice.lists[x].fill(kNoFrame);
    for (uint32_t i = 0; i < slice.num_ref_idx_active[x]; ++i) {
        const int8_t frame = context_->draft.list[i];
        slice.lists[x][i] = frame;
        if (frame != kNoFrame &&
            context_->references.frames()[static_cast<size_t>(frame)].is_existing)
            slice.usable_refs[x] |= 1u << i;
    }
    if (slice.type == SliceType::kB && x == 0) return begin_list(1);
    after_lists();
}

}  // namespace pycodec_lm::h264
