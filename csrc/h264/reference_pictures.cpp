#include "h264/reference_pictures.hpp"

#include <algorithm>
#include <limits>

namespace pycodec_lm::h264 {

size_t ReferencePictures::n_long_term() const {
    size_t n = 0;
    for (const RefFrame& frame : frames()) n += frame.is_long_term;
    return n;
}

size_t ReferencePictures::n_existing() const {
    size_t n = 0;
    for (const RefFrame& frame : frames()) n += frame.is_existing;
    return n;
}

void ReferencePictures::clear() {
    frames_ = {};  // and lets go of their motion
    n_frames_ = 0;
    max_long_term_frame_idx_ = kNoLongTermFrameIndices;
}

void ReferencePictures::add(const RefFrame& frame) { frames_[n_frames_++] = frame; }

void ReferencePictures::remove(size_t index) {
    for (size_t i = index + 1; i < n_frames_; ++i) frames_[i - 1] = frames_[i];
    frames_[--n_frames_] = {};
}

void ReferencePictures::slide_window(const Sps& sps, uint32_t frame_num) {
    if (n_frames_ < sps.max_kept_frames()) return;
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
    Counts& counts = counts_.edit();
    auto& chunks = counts.chunks;
    const Interval interval{first, last};
    const auto next = std::partition_point(chunks.begin(), chunks.end(), [&](const auto& chunk) {
        return chunk->back() < interval;
    });
    auto at = static_cast<size_t>(next - chunks.begin());
    if (next == chunks.end()) {
        // Most streams only ascend: full chunks are left alone.
        if (chunks.empty() || chunks.back()->size() == kMostOfChunk) chunks.emplace_back();
        at = chunks.size() - 1;
    }
    Chunk& chunk = chunks[at].edit();
    chunk.insert(std::upper_bound(chunk.begin(), chunk.end(), interval), interval);
    if (chunk.size() > kMostOfChunk) {
        const auto half = chunk.begin() + kMostOfChunk / 2;
        CopyOnWrite<Chunk> upper(Chunk(half, chunk.end()));
        chunk.erase(half, chunk.end());
        chunks.insert(chunks.begin() + static_cast<std::ptrdiff_t>(at) + 1, upper);
    }
    counts.highest = std::max<int64_t>(counts.highest, last);
    if (++counts.n <= kMost) return;
    const int64_t below = int64_t{first} - chunks.front()->front().first;
    const int64_t above = int64_t{chunks.back()->back().second} - last;
    const auto furthest = below > above ? chunks.begin() : chunks.end() - 1;
    counts.n -= (*furthest)->size();
    chunks.erase(furthest);
}

OrderCounts::Neighbours OrderCounts::around(int64_t count) const {
    const auto& chunks = counts_->chunks;
    const auto next = std::partition_point(chunks.begin(), chunks.end(), [&](const auto& chunk) {
        return chunk->back().second < count;
    });
    const Interval* last_before = next == chunks.begin() ? nullptr : &(*(next - 1))->back();
    if (next == chunks.end()) return {last_before, nullptr};
    const Chunk& chunk = **next;
    const auto at = std::partition_point(chunk.begin(), chunk.end(), [&](const Interval& i) {
        return i.second < count;
    });
    return {at == chunk.begin() ? last_before : &*(at - 1), &*at};
}

std::optional<int64_t> OrderCounts::overlap_end(int64_t first, int64_t last) const {
    const Interval* next = around(first).at;
    if (next == nullptr || next->first > last) return std::nullopt;
    return next->second;
}

int64_t OrderCounts::below(int64_t count) const {
    const Interval* before = around(count).before;
    return before == nullptr ? std::numeric_limits<int64_t>::min() : before->second;
}

int64_t OrderCounts::above(int64_t count) const {
    const Interval* next = around(count).at;
    return next == nullptr ? std::numeric_limits<int64_t>::max() : next->first;
}

}  // namespace pycodec_lm::h264
