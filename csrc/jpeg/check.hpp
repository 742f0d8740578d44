// Checking a whole buffer.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "grammar/status.hpp"
#include "jpeg/cursor.hpp"
#include "jpeg/lenient.hpp"

namespace pycodec_lm::jpeg {

struct CheckResult {
    Status status;
    uint64_t end_offset = 0;  // just after EOI, or where the check stopped
    uint64_t trailing_bytes = 0;
    std::vector<Note> notes{};  // of a lenient check
};

/// The verdict of pushing every byte until the file is complete, found faster: entropy-coded data
/// go through FastScan.
CheckResult check(std::shared_ptr<const JpegGrammar> grammar, const uint8_t* data, size_t n_bytes);

/// check() that goes on where decoders do, and notes what it passed over.
CheckResult check_leniently(
    std::shared_ptr<const JpegGrammar> grammar, const uint8_t* data, size_t n_bytes
);

/// The slow twin: the definition of check().
CheckResult check_by_push(
    std::shared_ptr<const JpegGrammar> grammar, const uint8_t* data, size_t n_bytes
);

}  // namespace pycodec_lm::jpeg
