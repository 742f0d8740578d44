// check() is check_by_push(), whole and cut anywhere; accept() is push().
#include <optional>

#include "fuzzing.hpp"
#include "grammars.hpp"
#include "jpeg/check.hpp"

namespace {

using fuzzing::Bytes;
using pycodec_lm::Code;
using pycodec_lm::Status;
using pycodec_lm::jpeg::CheckResult;
using pycodec_lm::jpeg::JpegCursor;
using pycodec_lm::jpeg::JpegGrammar;

using Grammar = std::shared_ptr<const JpegGrammar>;

bool is_same(const CheckResult& a, const CheckResult& b) {
    return a.status == b.status && a.end_offset == b.end_offset &&
           a.trailing_bytes == b.trailing_bytes;
}

/// What a valid beginning, stopped after `n` bytes, must be told.
void check_cut(const Grammar& grammar, Bytes file, size_t n) {
    // A buffer of its own, so that reading past its end is seen.
    const std::vector<uint8_t> cut(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(n));
    const CheckResult fast = check(grammar, cut.data(), cut.size());
    REQUIRE(is_same(fast, check_by_push(grammar, cut.data(), cut.size())));
    REQUIRE(fast.status.code == Code::kTruncated);
    REQUIRE(fast.end_offset == n);
    REQUIRE(fast.status.byte == n);
}

/// Bytes come one by one or as contents in parts of any length, to copies of copies of a cursor.
void check_in_parts(
    const Grammar& grammar, Bytes file, const CheckResult& whole, fuzzing::Choices& choices
) {
    JpegCursor cursor(grammar);
    size_t at = 0;
    Status status;
    while (at < file.size() && status && !cursor.is_complete()) {
        JpegCursor copy = cursor;
        const bool accepted = copy.accept(file[at]);
        status = cursor.push(file[at]);
        REQUIRE(accepted == bool(status));
        REQUIRE(copy.offset() == cursor.offset());
        at += accepted ? 1 : 0;
        if (choices.one_in(2)) cursor = copy;
        if (!choices.one_in(3) || cursor.in_scan() || !status) continue;
        const size_t n = std::min(file.size() - at, choices.below(600));
        const size_t taken = cursor.accept_contents(file.data() + at, n);
        REQUIRE(taken <= n);
        at += taken;
    }
    REQUIRE(cursor.offset() == whole.end_offset);
    REQUIRE(cursor.is_complete() == bool(whole.status));
    if (!status) REQUIRE(status == whole.status);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t n_bytes) {
    auto [choices, grammar, file] = fuzzing::Subject(Bytes(data, n_bytes));

    const CheckResult fast = check(grammar, file.data(), file.size());
    const CheckResult slow = check_by_push(grammar, file.data(), file.size());
    REQUIRE(is_same(fast, slow));
    REQUIRE(fast.end_offset + fast.trailing_bytes <= file.size());
    if (!fast.status) REQUIRE(fast.status.byte <= file.size());

    check_in_parts(grammar, file, fast, choices);
    const uint64_t n_good = fast.status ? fast.end_offset - 1 : fast.end_offset;
    for (int i = 0; i < 4 && fast.end_offset > 0; ++i)
        check_cut(grammar, file, choices.below(n_good + 1));
    return 0;
}
