#include "h264/reference_pictures.hpp"

#include <algorithm>
#include <limits>

namespace pycodec_lm::h264 {

size_t ReferencePictures::n_long_term() const {
    size_t n = 0;
    for (const RefFrame& frame : frames()) n += frame.is_long_term;
    return n;
}

void ReferencePictures::clear() {
    n_frames_ = 0;
    max_long_term_frame_idx_ = kNoLongTermFrameIndices;
}

void ReferencePictures::add(const RefFrame& frame) { frames_[n_frames_++] = frame; }

void ReferencePictures::remove(size_t index) {
    for (size_t i = index + 1; i < n_frames_; ++i) frames_[i - 1] = frames_[i];
    --n_frames_;
}

void ReferencePictures::slide_window(const Sps& sps, uint32_t frame_num) {
    if (n_frames_ < std::max<size_t>(sps.max_num_ref_frames, 1)) return;
    std::optional<size_t> oldest;
    int64_t least = std::numeric_limits<int64_t>::max();
    for (size_t i = 0; i < n_frames_; ++i) {
        const int64_t wrap = frame_num_wrap(sps, frame_num, frames_[i].frame_num);
        if (frames_[i].is_long_term || wrap >= least) continue;
        least = wrap;
        oldest = i;
    }
    if (oldest) remove(*oldest);
}

void ReferencePictures::make_long_term(size_t index, uint8_t long_term_frame_idx) {
    const uint32_t frame_num = frames_[index].frame_num;
    remove_long_term_idx(long_term_frame_idx);
    for (size_t i = 0; i < n_frames_; ++i) {
        RefFrame& frame = frames_[i];
        if (frame.is_long_term || frame.frame_num != frame_num) continue;
        frame.is_long_term = true;
        frame.long_term_frame_idx = long_term_frame_idx;
    }
}

void ReferencePictures::remove_long_term_idx(uint8_t long_term_frame_idx) {
    for (size_t i = n_frames_; i-- > 0;) {
        if (frames_[i].is_long_term && frames_[i].long_term_frame_idx == long_term_frame_idx)
            remove(i);
    }
}

void ReferencePictures::set_max_long_term_frame_idx(int idx) {
    max_long_term_frame_idx_ = idx;
    for (size_t i = n_frames_; i-- > 0;) {
        if (frames_[i].is_long_term && frames_[i].long_term_frame_idx > idx) remove(i);
    }
}

std::optional<size_t> ReferencePictures::find_short_term(
    const Sps& sps, uint32_t frame_num, int64_t pic_num
) const {
    for (size_t i = 0; i < n_frames_; ++i) {
        const RefFrame& frame = frames_[i];
        if (!frame.is_long_term && frame_num_wrap(sps, frame_num, frame.frame_num) == pic_num)
            return i;
    }
    return std::nullopt;
}

std::optional<size_t> ReferencePictures::find_long_term(uint32_t long_term_pic_num) const {
    for (size_t i = 0; i < n_frames_; ++i) {
        if (frames_[i].is_long_term && frames_[i].long_term_frame_idx == long_term_pic_num)
            return i;
    }
    return std::nullopt;
}

void OrderCounts::add(int32_t first, int32_t last) {
    auto& intervals = intervals_.edit();
    const std::pair<int32_t, int32_t> interval{first, last};
    intervals.insert(std::upper_bound(intervals.begin(), intervals.end(), interval), interval);
}

std::optional<int64_t> OrderCounts::overlap_end(int64_t first, int64_t last) const {
    const auto& intervals = *intervals_;
    const auto next = std::partition_point(intervals.begin(), intervals.end(), [&](const auto& i) {
        return i.second < first;
    });
    if (next == intervals.end() || next->first > last) return std::nullopt;
    return next->second;
}

int64_t OrderCounts::below(int64_t count) const {
    const auto& intervals = *intervals_;
    const auto next = std::partition_point(intervals.begin(), intervals.end(), [&](const auto& i) {
        return i.second < count;
    });
    if (next == intervals.begin()) return std::numeric_limits<int64_t>::min();
    return (next - 1)->second;
}

int64_t OrderCounts::above(int64_t count) const {
    const auto& intervals = *intervals_;
    const auto next = std::partition_point(intervals.begin(), intervals.end(), [&](const auto& i) {
        return i.first <= count;
    });
    return next == intervals.end() ? std::numeric_limits<int64_t>::max() : next->first;
}

int64_t OrderCounts::highest() const {
    return intervals_->empty() ? std::numeric_limits<int64_t>::min() : intervals_->back().second;
}

}  // namespace pycodec_lm::h264
