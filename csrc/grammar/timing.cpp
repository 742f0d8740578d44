#include "grammar/timing.hpp"

#include <chrono>
#include <string>

#include "grammar/usage_error.hpp"

namespace pycodec_lm {

std::vector<StepTimes> time_steps(Matcher& matcher, std::span<const int64_t> tokens) {
    using Clock = std::chrono::steady_clock;
    const auto between = [](Clock::time_point first, Clock::time_point last) {
        return std::chrono::duration_cast<std::chrono::nanoseconds>(last - first).count();
    };
    const TokenizerInfo& info = matcher.compiled().info();
    std::vector<uint32_t> mask(n_mask_words(info.encoded_vocab().size()));
    std::vector<StepTimes> times;
    times.reserve(tokens.size());
    for (const int64_t token : tokens) {
        const TokenId id = info.checked(token);
        const auto start = Clock::now();
        const auto ready = Clock::now();
        // What a call from Python does: first what is known, then a walk.
        if (!matcher.fill_mask_if_cheap(mask)) matcher.fill_mask(mask);
        const auto filled = Clock::now();
        const bool is_accepted = has_bit(mask, id) && matcher.accept_token(token);
        const auto accepted = Clock::now();
        if (!is_accepted) {
            throw UsageError(
                "token " + std::to_string(token) + " is forbidden after " +
                std::to_string(times.size()) + " tokens"
            );
        }
        times.push_back({between(start, ready), between(ready, filled), between(filled, accepted)});
    }
    return times;
}

}  // namespace pycodec_lm
