// Checking a whole buffer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "grammar/status.hpp"
#include "h264/cursor.hpp"

namespace pycodec_lm::h264 {

struct CheckResult {
    Status status;
    uint64_t n_pictures = 0;
};

/// The verdict on a byte stream.
CheckResult check(std::shared_ptr<const AvcGrammar> grammar, const uint8_t* data, size_t n_bytes);

/// Its definition: every byte pushed.
CheckResult check_slowly(
    std::shared_ptr<const AvcGrammar> grammar, const uint8_t* data, size_t n_bytes
);

}  // namespace pycodec_lm::h264
