// H.264: accept() is push() and allowed(), however bytes come; endings are valid and exact.
#include <vector>

#include "fuzzing.hpp"
#include "h264/check.hpp"
#include "h264/cursor.hpp"

namespace {

using fuzzing::Bytes;
using pycodec_lm::ByteSet;
using pycodec_lm::Status;
using pycodec_lm::h264::AvcCursor;
using pycodec_lm::h264::AvcGrammar;

// Endings of large pictures take long: a byte a macroblock.
constexpr uint32_t kMaxFrameMbs = 400;

std::shared_ptr<const AvcGrammar> grammar_of(uint8_t choice, Bytes file) {
    if (choice % 4 == 3) {
        if (auto pinned = pycodec_lm::h264::pin_like(file.data(), file.size()).grammar)
            return pinned;
    }
    auto grammar = std::make_shared<AvcGrammar>();
    grammar->portable = choice % 4 == 1;
    if (choice % 4 == 2) grammar->slicing = pycodec_lm::h264::Slicing::kPicture;
    return grammar;
}

void check_mask(const AvcCursor& cursor) {
    const ByteSet allowed = cursor.allowed();
    REQUIRE(!allowed.empty() || cursor.is_complete());
    for (unsigned byte = 0; byte < 256; ++byte) {
        AvcCursor copy = cursor;
        const Status status = copy.push(static_cast<uint8_t>(byte));
        REQUIRE(bool(status) == allowed.contains(static_cast<uint8_t>(byte)));
        REQUIRE(copy.offset() == cursor.offset() + (status ? 1 : 0));
        REQUIRE(copy.describe().empty() == false);
        if (!status) REQUIRE(copy.describe() == cursor.describe());
    }
}

void check_ending(const AvcCursor& cursor) {
    const uint64_t n_bytes = cursor.bytes_to_complete();
    REQUIRE(n_bytes <= cursor.ending_bound(0));
    std::vector<uint8_t> ending;
    cursor.complete(ending, n_bytes + 1);
    REQUIRE(ending.size() == n_bytes);
    REQUIRE((n_bytes == 0) == cursor.is_complete());
    AvcCursor at = cursor;
    for (size_t i = 0; i < ending.size(); ++i) {
        REQUIRE(at.accept(ending[i]));
        if (i == 0) REQUIRE(at.bytes_to_complete() == n_bytes - 1);
    }
    REQUIRE(at.is_complete());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t n_bytes) {
    const Bytes input(data, n_bytes);
    fuzzing::Choices choices(input);
    const Bytes file = fuzzing::file_of(input);
    AvcCursor cursor(grammar_of(choices.first(), file));
    for (const uint8_t byte : file) {
        if (choices.one_in(60)) check_mask(cursor);
        if (choices.one_in(60) && cursor.frame_mbs() <= kMaxFrameMbs) check_ending(cursor);
        AvcCursor copy = cursor;
        const bool accepted = copy.accept(byte);
        const Status status = cursor.push(byte);
        REQUIRE(accepted == bool(status));
        REQUIRE(copy.describe() == cursor.describe());
        if (choices.one_in(2)) cursor = copy;
        if (!status) break;
    }
    return 0;
}
