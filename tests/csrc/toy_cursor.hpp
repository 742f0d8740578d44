// A codec of a few lines, with all that makes the real ones hard: a length given ahead, a running
// total that must stay in its range, an end. A file is a count n, then n steps below 128 that stand
// for step - 64, the total of which stays in -200..200, then FF.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "grammar/cursor.hpp"
#include "grammar/cursor_hooks.hpp"

namespace toy {

using pycodec_lm::Annotation;
using pycodec_lm::ByteSet;
using pycodec_lm::CounterRange;
using pycodec_lm::StateKey;
using pycodec_lm::Status;
using pycodec_lm::TokenReach;

inline constexpr int kMaxTotal = 200;
inline constexpr uint8_t kEnd = 0xFF;

/// Without any hook: the slow twin.
class PlainCursor {
public:
    bool accept(uint8_t byte) {
        if (!is_allowed(byte)) return false;
        if (phase_ == Phase::kCount) {
            phase_ = Phase::kSteps;
            left_ = byte;
        } else if (byte == kEnd) {
            phase_ = Phase::kDone;
        } else {
            --left_;
            total_ += byte - 64;
        }
        ++offset_;
        return true;
    }

    Status push(uint8_t byte) {
        if (accept(byte)) return {};
        return {.code = pycodec_lm::Code::kNotInGrammar, .value = byte, .byte = offset_};
    }

    ByteSet allowed() const {
        ByteSet set;
        for (unsigned byte = 0; byte < 256; ++byte) {
            if (is_allowed(static_cast<uint8_t>(byte))) set.insert(static_cast<uint8_t>(byte));
        }
        return set;
    }

    bool is_complete() const { return phase_ == Phase::kDone; }
    uint64_t bytes_to_complete() const {
        if (phase_ == Phase::kCount) return 2;
        return phase_ == Phase::kDone ? 0 : static_cast<uint64_t>(left_) + 1;
    }
    void complete(std::vector<uint8_t>& out, uint64_t limit) const {
        PlainCursor cursor = *this;
        for (uint64_t n = 0; n < limit && !cursor.is_complete(); ++n) {
            const bool in_steps = cursor.phase_ == Phase::kSteps;
            out.push_back(!in_steps ? 0 : cursor.left_ > 0 ? 64 : kEnd);
            cursor.accept(out.back());
        }
    }
    uint64_t offset() const { return offset_; }
    Annotation annotation() const {
        return {static_cast<int16_t>(phase_), static_cast<int16_t>(left_)};
    }
    std::string describe() const {
        return std::to_string(left_) + " left, total " + std::to_string(total_);
    }

    friend bool operator==(const PlainCursor&, const PlainCursor&) = default;

protected:
    enum class Phase : uint8_t { kCount, kSteps, kDone };

    bool is_allowed(uint8_t byte) const {
        if (phase_ == Phase::kCount) return true;
        if (phase_ == Phase::kDone) return false;
        if (left_ == 0) return byte == kEnd;
        return byte < 128 && std::abs(total_ + byte - 64) <= kMaxTotal;
    }

    Phase phase_ = Phase::kCount;
    int32_t left_ = 0;
    int32_t total_ = 0;
    uint64_t offset_ = 0;
};

/// With every hook. The counters are the steps left and the total.
class FastCursor : public PlainCursor {
public:
    static constexpr size_t kCounters = 2;

    class Walker {
    public:
        bool accept(uint8_t byte) {
            if (is_done_) return false;
            if (byte == kEnd) {
                ranges_[0].narrow(n_steps_, n_steps_);
                is_done_ = true;
            } else if (byte < 128) {
                ranges_[0].narrow(++n_steps_, std::numeric_limits<int32_t>::max());
                total_ += byte - 64;
                ranges_[1].narrow(-kMaxTotal - total_, kMaxTotal - total_);
            } else {
                return false;
            }
            return ranges_[0].first <= ranges_[0].last && ranges_[1].first <= ranges_[1].last;
        }
        const std::array<CounterRange, kCounters>& ranges() const { return ranges_; }

    private:
        std::array<CounterRange, kCounters> ranges_{};
        int32_t n_steps_ = 0;
        int32_t total_ = 0;
        bool is_done_ = false;
    };

    std::optional<StateKey> local_key(TokenReach) const {
        if (phase_ != Phase::kSteps) return std::nullopt;
        return StateKey{.high = 0, .low = 1};
    }
    std::array<int32_t, kCounters> counters() const { return {left_, total_}; }
    Walker walker() const { return {}; }
    uint64_t ending_bound(uint64_t n_bytes) const {
        return phase_ == Phase::kCount && n_bytes > 0 ? 256 : bytes_to_complete();
    }
    std::optional<StateKey> ending_key() const {
        return StateKey{.high = static_cast<uint64_t>(phase_), .low = static_cast<uint64_t>(left_)};
    }
    std::optional<uint8_t> forced_byte() const {
        const ByteSet set = allowed();
        return set.size() == 1 ? std::optional(set.first()) : std::nullopt;
    }
};

static_assert(pycodec_lm::GrammarCursor<PlainCursor> && !pycodec_lm::SharesMasks<PlainCursor>);
static_assert(pycodec_lm::SharesMasks<FastCursor> && pycodec_lm::BoundsEndings<FastCursor>);
static_assert(pycodec_lm::NamesEndings<FastCursor>);

}  // namespace toy
