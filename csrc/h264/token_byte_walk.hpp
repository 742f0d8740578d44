// Tokens byte by byte: those that begin with the same bytes share them. Slice data change the data
// position alone, so one cursor takes them all and is set back; behind the end of the slice each
// byte has a cursor of its own.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "h264/cursor.hpp"

namespace pycodec_lm::h264 {

class TokenByteWalk {
public:
    explicit TokenByteWalk(const AvcCursor& start)
        : start_(start),
          at_(start),
          n_edges_most_(start.position_.n_edges + start.room_for_edges()) {
        inside_.emplace_back().save(at_.position_);
    }

    /// The cursor behind the bytes of a token, until the next is taken; null where they are
    /// refused.
    ///
    /// @param n_shared first bytes, which are those of the token that was asked for last
    const AvcCursor* take(std::span<const uint8_t> bytes, size_t n_shared) {
        if (n_shared >= n_kept()) return nullptr;  // with the byte that was refused
        keep(n_shared + 1);
        at_.looks_ahead_later_ = at_.position_.limits.has_cabac;
        for (const uint8_t byte : bytes.subspan(n_shared)) {
            if (!take_byte(byte)) return nullptr;
        }
        if (!outside_.empty()) return &outside_.back();
        return at_.look_ahead() ? &at_ : nullptr;
    }

private:
    size_t n_kept() const { return inside_.size() + outside_.size(); }

    /// Goes back to the first few bytes of the token before.
    void keep(size_t n) {
        const size_t n_inside = std::min(n, inside_.size());
        outside_.resize(n - n_inside, start_);
        inside_.resize(n_inside);
        inside_.back().restore(at_.position_);
    }

    bool take_byte(uint8_t byte) {
        if (!outside_.empty()) {
            AvcCursor next = outside_.back();
            if (!next.accept(byte)) return false;
            outside_.push_back(std::move(next));
            return true;
        }
        if (!at_.accept(byte)) return false;
        const Position& p = at_.position_;
        if (p.at >= Element::kMbSkipRun && p.n_edges <= n_edges_most_) {
            inside_.emplace_back().save(p);
            return true;
        }
        AvcCursor next = at_;
        at_.context_ = start_.context_;
        at_.position_ = start_.position_;
        if (!next.look_ahead()) return false;
        outside_.push_back(std::move(next));
        return true;
    }

    const AvcCursor& start_;
    AvcCursor at_;
    const uint32_t n_edges_most_;
    std::vector<SavedPosition> inside_;  // behind each byte of the token, the first of all in front
    std::vector<AvcCursor> outside_;     // and behind those with which it leaves the slice
};

}  // namespace pycodec_lm::h264
