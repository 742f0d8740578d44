// The caller's mistake; the bindings raise it as pycodec_lm.errors.UsageError.
#pragma once

#include <stdexcept>

namespace pycodec_lm {

struct UsageError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

}  // namespace pycodec_lm
