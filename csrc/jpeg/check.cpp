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
    bool was_in_scan = false;
    for (size_t i = 0; i < n_bytes && !cursor.is_complete();) {
        status = cursor.push(data[i++]);
        if (!status) break;
        if (!cursor.in_scan()) {
            i += cursor.accept_contents(data + i, n_bytes - i);
        } else if (!was_in_scan && FastScan::takes(cursor)) {
            i = FastScan::advance(cursor, data, n_bytes, i);
        }
        was_in_scan = cursor.in_scan();
    }
    return result_of(cursor, status, n_bytes);
}

}  // namespace pycodec_lm::jpeg
