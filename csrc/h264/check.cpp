#include "h264/check.hpp"

#include "h264/nal_unit_reader.hpp"

namespace pycodec_lm::h264 {
namespace {

CheckResult verdict_at_end(const AvcCursor& cursor) {
    CheckResult result{{}, cursor.n_pictures()};
    if (!cursor.is_complete()) {
        result.status = {
            .code = Code::kStreamTruncated, .element = cursor.element(), .byte = cursor.offset()
        };
    }
    return result;
}

}  // namespace

CheckResult check(std::shared_ptr<const AvcGrammar> grammar, const uint8_t* data, size_t n_bytes) {
    AvcCursor cursor(std::move(grammar));
    NalUnitReader units;
    for (size_t i = 0; i < n_bytes;) {
        const bool is_nal_header = cursor.element() == Element::kForbiddenZeroBit;
        if (!cursor.accept(data[i])) return {cursor.push(data[i]), cursor.n_pictures()};
        ++i;
        // Once for each unit: where it cannot be read whole, no byte of it is looked at again.
        if (is_nal_header) i += units.take(cursor, data + i, n_bytes - i);
    }
    return verdict_at_end(cursor);
}

CheckResult check_slowly(
    std::shared_ptr<const AvcGrammar> grammar, const uint8_t* data, size_t n_bytes
) {
    AvcCursor cursor(std::move(grammar));
    for (size_t i = 0; i < n_bytes; ++i) {
        if (const Status status = cursor.push(data[i]); !status)
            return {status, cursor.n_pictures()};
    }
    return verdict_at_end(cursor);
}

}  // namespace pycodec_lm::h264
