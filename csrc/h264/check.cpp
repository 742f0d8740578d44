#include "h264/check.hpp"

namespace pycodec_lm::h264 {

CheckResult check(std::shared_ptr<const AvcGrammar> grammar, const uint8_t* data, size_t n_bytes) {
    AvcCursor cursor(std::move(grammar));
    for (size_t i = 0; i < n_bytes; ++i) {
        if (cursor.accept(data[i])) continue;
        return {cursor.push(data[i]), cursor.n_pictures()};
    }
    CheckResult result{{}, cursor.n_pictures()};
    if (!cursor.is_complete()) {
        result.status = {
            .code = Code::kStreamTruncated, .element = cursor.element(), .byte = cursor.offset()
        };
    }
    return result;
}

}  // namespace pycodec_lm::h264
