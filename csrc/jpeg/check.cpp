#include "jpeg/check.hpp"

#include "jpeg/scan_fast.hpp"

namespace pycodec_lm::jpeg {
namespace {

CheckResult result_of(const JpegCursor& cursor, const Status& status, size_t n_bytes) {
    CheckResult result{.status = status, .end_offset = cursor.offset()};
    if (status && !cursor.is_complete()) {
        result.status = {
            .code = Code::kTruncated, .element = cursor.element(), .byte = cursor.offset()
        };
    } else if (status) {
        result.trailing_bytes = n_bytes - cursor.offset();
    }
    return result;
}

/// The next bytes of the data, many at once where that can be; `at` moves on past what was taken.
Status push_some(JpegCursor& cursor, const uint8_t* data, size_t n_bytes, size_t& at) {
    const bool was_in_scan = cursor.in_scan();
    const Status status = cursor.push(data[at]);
    if (!status) return status;
    ++at;
    if (!cursor.in_scan()) at += cursor.accept_contents(data + at, n_bytes - at);
    if (!was_in_scan && cursor.in_scan() && FastScan::takes(cursor))
        at = FastScan::advance(cursor, data, n_bytes, at);
    return status;
}

}  // namespace

CheckResult check_by_push(
    std::shared_ptr<const JpegGrammar> grammar, const uint8_t* data, size_t n_bytes
) {
    JpegCursor cursor(std::move(grammar));
    Status status;
    for (size_t i = 0; i < n_bytes && status && !cursor.is_complete(); ++i)
        status = cursor.push(data[i]);
    return result_of(cursor, status, n_bytes);
}

CheckResult check(std::shared_ptr<const JpegGrammar> grammar, const uint8_t* data, size_t n_bytes) {
    JpegCursor cursor(std::move(grammar));
    Status status;
    for (size_t at = 0; at < n_bytes && status && !cursor.is_complete();)
        status = push_some(cursor, data, n_bytes, at);
    return result_of(cursor, status, n_bytes);
}

CheckResult check_leniently(
    std::shared_ptr<const JpegGrammar> grammar, const uint8_t* data, size_t n_bytes
) {
    JpegCursor cursor(std::move(grammar));
    LenientReader reader;
    Status status;
    for (size_t at = 0; at < n_bytes && status && !cursor.is_complete();) {
        status = push_some(cursor, data, n_bytes, at);
        if (!status && reader.take(cursor, data[at], status)) {
            status = {};
            ++at;
        }
    }
    CheckResult result = result_of(cursor, status, n_bytes);
    result.notes = reader.notes();
    return result;
}

}  // namespace pycodec_lm::jpeg
