// What the fuzz targets share. An input is kControlBytes that choose what is done, then a file.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <span>
#include <vector>

namespace fuzzing {

using Bytes = std::span<const uint8_t>;

inline constexpr size_t kControlBytes = 4;

/// Stops the process, which is how a fuzzer learns of a defect.
inline void require(bool holds, const char* what, const char* file, int line) {
    if (holds) return;
    std::fprintf(stderr, "%s:%d: %s\n", file, line, what);
    std::abort();
}

/// Choices that hang on the control bytes alone, so that the rest of an input can be a plain file.
class Choices {
public:
    explicit Choices(Bytes input) {
        uint32_t seed = 0;
        for (const uint8_t byte : input.first(std::min(input.size(), kControlBytes)))
            seed = seed << 8 | byte;
        random_.seed(seed + 1);
        first_ = input.empty() ? uint8_t{0} : input[0];
    }

    /// The first control byte itself: which grammar.
    uint8_t first() const { return first_; }
    size_t below(size_t n) { return random_() % n; }
    bool one_in(size_t n) { return below(n) == 0; }

private:
    std::minstd_rand random_;
    uint8_t first_ = 0;
};

inline Bytes file_of(Bytes input) {
    return input.size() <= kControlBytes ? Bytes() : input.subspan(kControlBytes);
}

}  // namespace fuzzing

#define REQUIRE(condition) fuzzing::require((condition), #condition, __FILE__, __LINE__)
