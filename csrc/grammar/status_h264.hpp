// The codes and elements of H.264, for status.cpp.
#pragma once

#include <span>

#include "grammar/status.hpp"

namespace pycodec_lm {

struct CodeRow {
    Code code;
    CodeInfo info;
};

std::span<const CodeRow> h264_codes();
std::span<const ElementInfo> h264_elements();

}  // namespace pycodec_lm
