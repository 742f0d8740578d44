// How long masks take without whatever calls them: for benchmarks.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "grammar/matcher.hpp"

namespace pycodec_lm {

/// Nanoseconds between readings of a clock, with nothing, a mask and a token between them.
struct StepTimes {
    int64_t nothing_ns;
    int64_t mask_ns;
    int64_t accept_ns;
};

/// Takes the tokens one by one, each after its mask. Throws UsageError where a mask forbids the
/// token that comes next.
std::vector<StepTimes> time_steps(Matcher& matcher, std::span<const int64_t> tokens);

}  // namespace pycodec_lm
