// What narrows the language of H.264: which streams a cursor accepts.
#pragma once

#include <cstdint>
#include <memory>

namespace pycodec_lm::h264 {

struct AvcGrammar {
    /// Leaves out what is legal but makes some decoder complain (docs/design.md).
    bool portable = false;
};

}  // namespace pycodec_lm::h264
