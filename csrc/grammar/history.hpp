// The tokens a matcher has taken, with a cursor kept every so many of them. What is full is shared
// by forks and never changes; what lies between two kept cursors is replayed.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "grammar/tokenizer_info.hpp"

namespace pycodec_lm {

template <class Cursor>
class History {
public:
    /// Tokens between two kept cursors: enough that both take 40 bytes a token at most.
    static constexpr size_t kChunkTokens = (sizeof(Cursor) + 104) / 36 + 1;

    /// The start may be shared with whoever else keeps it.
    explicit History(std::shared_ptr<const Cursor> start) : tail_{.start = std::move(start)} {}
    explicit History(const Cursor& start) : History(std::make_shared<const Cursor>(start)) {}

    uint64_t n_tokens() const { return n_before_tail_ + tail_.n_tokens; }

    /// Notes a token and the cursor after it.
    void push(TokenId token, const Cursor& after) {
        tail_.tokens[tail_.n_tokens++] = token;
        if (tail_.n_tokens == kChunkTokens) seal(after);
    }

    /// From here on, rolling back reaches `cursor` and never goes behind it by parts of a token:
    /// bytes have been accepted that are no token.
    void restart_at(const Cursor& cursor) {
        if (tail_.n_tokens == 0) {
            tail_.start = std::make_shared<const Cursor>(cursor);
        } else {
            seal(cursor);
        }
    }

    /// Forgets the last `n` tokens (no more than n_tokens()) and returns the cursor before them;
    /// replay(cursor, token) takes a token again.
    template <class Replay>
    Cursor pop(uint64_t n, Replay&& replay) {
        while (n > tail_.n_tokens) {
            n -= tail_.n_tokens;
            tail_ = previous_->chunk;
            n_before_tail_ -= tail_.n_tokens;
            previous_ = std::shared_ptr(previous_->previous);
        }
        tail_.n_tokens = static_cast<uint32_t>(tail_.n_tokens - n);
        Cursor cursor = *tail_.start;
        for (uint32_t i = 0; i < tail_.n_tokens; ++i) replay(cursor, tail_.tokens[i]);
        return cursor;
    }

private:
    struct Chunk {
        std::shared_ptr<const Cursor> start;  // of its own, so that forks need no copy
        uint32_t n_tokens = 0;
        std::array<TokenId, kChunkTokens> tokens{};
    };
    struct Link {
        Chunk chunk;
        std::shared_ptr<Link> previous;

        Link(const Chunk& sealed, std::shared_ptr<Link> before)
            : chunk(sealed), previous(std::move(before)) {}
        Link(const Link&) = delete;
        Link& operator=(const Link&) = delete;
        /// Link by link: left to itself a chain would recurse once for each.
        ~Link() {
            while (previous && previous.use_count() == 1) previous = std::move(previous->previous);
        }
    };

    void seal(const Cursor& after) {
        n_before_tail_ += tail_.n_tokens;
        previous_ = std::make_shared<Link>(tail_, std::move(previous_));
        tail_.start = std::make_shared<const Cursor>(after);
        tail_.n_tokens = 0;
    }

    Chunk tail_;
    std::shared_ptr<Link> previous_;
    uint64_t n_before_tail_ = 0;
};

}  // namespace pycodec_lm
