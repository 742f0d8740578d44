// The reference pictures a stream keeps, and the numbers of its pictures: 8.2.1, 8.2.4, 8.2.5.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "grammar/copy_on_write.hpp"
#include "h264/parameter_sets.hpp"
#include "h264/picture_motion.hpp"

namespace pycodec_lm::h264 {

struct RefFrame {
    uint32_t frame_num = 0;
    uint8_t long_term_frame_idx = 0;
    bool is_long_term = false;
    bool is_existing = true;  // not inferred for a gap in frame_num, 8.2.5.2
    int32_t pic_order_cnt = 0;
    uint64_t id = 0;  // of the picture: none that is decoded has another's
    std::shared_ptr<const PictureMotion> motion{};  // null where no B slice can ask for it
};

/// The frames marked as used for reference, in decoding order.
class ReferencePictures {
public:
    static constexpr int kNoLongTermFrameIndices = -1;

    std::span<const RefFrame> frames() const { return {frames_.data(), n_frames_}; }
    size_t size() const { return n_frames_; }
    size_t n_long_term() const;
    size_t n_existing() const;
    size_t n_existing_short_term() const { return n_existing() - n_long_term(); }
    int max_long_term_frame_idx() const { return max_long_term_frame_idx_; }

    void clear();
    void add(const RefFrame& frame);
    void remove(size_t index);
    /// 8.2.5.3: makes room for one more where there are max_num_ref_frames.
    void slide_window(const Sps& sps, uint32_t frame_num);
    /// Marks a short-term frame as long-term; whoever had the index loses it (8.2.5.4.3).
    void make_long_term(size_t index, uint8_t long_term_frame_idx);
    void remove_long_term_idx(uint8_t long_term_frame_idx);
    /// 8.2.5.4.4.
    void set_max_long_term_frame_idx(int idx);
    /// The short-term frame with a PicNum, which is FrameNumWrap (8.2.4.1).
    std::optional<size_t> find_short_term(
        const Sps& sps, uint32_t frame_num, int64_t pic_num
    ) const;
    std::optional<size_t> find_long_term(uint32_t long_term_pic_num) const;

private:
    std::array<RefFrame, kMaxRefFrames + 1> frames_{};
    size_t n_frames_ = 0;
    int max_long_term_frame_idx_ = kNoLongTermFrameIndices;
};

/// FrameNumWrap, 8.2.4.1.
constexpr int64_t frame_num_wrap(const Sps& sps, uint32_t current, uint32_t frame_num) {
    return frame_num > current ? int64_t{frame_num} - sps.max_frame_num() : int64_t{frame_num};
}

/// The order counts of a coded video sequence so far: frames as intervals from the lower to the
/// higher of their two counts. No two may overlap (8.2.1).
///
/// Chunks of them are shared by copies, so that a picture costs no more behind many others. What
/// is held has a bound: those furthest from the last picture are forgotten, a chunk at a time. With
/// kMost frames between, hardly any is within the 16 bits of a reference picture (8.2.1) by then.
class OrderCounts {
public:
    static constexpr size_t kMost = size_t{1} << 15;

    void clear() { counts_ = CopyOnWrite<Counts>(); }
    void add(int32_t first, int32_t last);
    /// Where an interval ends that overlaps first..last; none where it is free.
    std::optional<int64_t> overlap_end(int64_t first, int64_t last) const;
    /// The largest count below, and the smallest above, a count that is free.
    int64_t below(int64_t count) const;
    int64_t above(int64_t count) const;
    /// Of all pictures, those forgotten too.
    int64_t highest() const { return counts_->highest; }

private:
    using Interval = std::pair<int32_t, int32_t>;
    using Chunk = std::vector<Interval>;  // ascending; not empty
    static constexpr size_t kMostOfChunk = 128;
    struct Counts {
        std::vector<CopyOnWrite<Chunk>> chunks;  // ascending
        size_t n = 0;
        int64_t highest = std::numeric_limits<int64_t>::min();
    };
    /// An interval, and the one before it; null where there is none.
    struct Neighbours {
        const Interval* before = nullptr;
        const Interval* at = nullptr;
    };
    /// The first interval that does not end below a count.
    Neighbours around(int64_t count) const;

    CopyOnWrite<Counts> counts_;
};

}  // namespace pycodec_lm::h264
