// The contract of grammar/cursor.hpp and the hooks of grammar/cursor_hooks.hpp, at every kind of
// place that bytes can lead to. A byte of the input that is not allowed stands for one that is.
#include <array>

#include "fuzzing.hpp"
#include "grammars.hpp"
#include "jpeg/cursor.hpp"

namespace {

using fuzzing::Bytes;
using pycodec_lm::Annotation;
using pycodec_lm::ByteSet;
using pycodec_lm::jpeg::JpegCursor;

constexpr size_t kMaxSteps = 1500;
constexpr size_t kMaxFullChecks = 8;
constexpr uint64_t kMaxEndingBytes = 500;
constexpr uint64_t kMaxAheadBytes = 40;

/// What can be seen of a state.
struct View {
    uint64_t offset;
    uint64_t bytes_to_complete;
    ByteSet allowed;
    Annotation annotation;

    explicit View(const JpegCursor& cursor)
        : offset(cursor.offset()),
          bytes_to_complete(cursor.bytes_to_complete()),
          allowed(cursor.allowed()),
          annotation(cursor.annotation()) {}
    friend bool operator==(const View&, const View&) = default;
};

void check_allowed(const JpegCursor& cursor) {
    const View before(cursor);
    REQUIRE(before.allowed.empty() == cursor.is_complete());
    JpegCursor rejecting = cursor;
    for (unsigned value = 0; value < 256; ++value) {
        const auto byte = static_cast<uint8_t>(value);
        JpegCursor copy = cursor;
        const bool pushed = bool(copy.push(byte));
        REQUIRE(pushed == before.allowed.contains(byte));
        if (pushed) {
            REQUIRE(copy.offset() == before.offset + 1);
            std::vector<uint8_t> next;
            copy.complete(next, 1);
            REQUIRE(copy.is_complete() ? next.empty() : copy.accept(next.at(0)));
        } else {
            REQUIRE(!rejecting.accept(byte) && !rejecting.push(byte));
        }
    }
    REQUIRE(View(rejecting) == before);
    for (size_t i = 0; i < before.annotation.size(); ++i) {
        REQUIRE(before.annotation[i] >= 0);
        REQUIRE(before.annotation[i] < pycodec_lm::kAnnotationSizes[i]);
    }
    REQUIRE(!cursor.describe().empty());
    if (cursor.is_complete()) return;
    const auto forced = cursor.forced_byte();
    REQUIRE(forced.has_value() == (before.allowed.size() == 1));
    if (forced) REQUIRE(before.allowed.contains(*forced));
}

void check_ending(JpegCursor cursor, fuzzing::Choices& choices) {
    const uint64_t n_bytes = cursor.bytes_to_complete();
    REQUIRE((n_bytes == 0) == cursor.is_complete());
    REQUIRE(cursor.ending_bound(0) >= n_bytes);
    std::vector<uint8_t> ending;
    cursor.complete(ending, std::min(n_bytes, kMaxEndingBytes));
    REQUIRE(ending.size() == std::min(n_bytes, kMaxEndingBytes));
    const size_t here = choices.below(ending.size() + 1);
    for (size_t i = 0; i < ending.size(); ++i) {
        if (i == 1 || i == here) {
            REQUIRE(cursor.bytes_to_complete() == n_bytes - i);
            std::vector<uint8_t> rest;
            cursor.complete(rest, ending.size() - i);
            REQUIRE(std::equal(rest.begin(), rest.end(), ending.begin() + static_cast<long>(i)));
            REQUIRE(rest.size() == ending.size() - i);
        }
        REQUIRE(cursor.accept(ending[i]));
    }
    REQUIRE(cursor.is_complete() == (ending.size() == n_bytes));
}

/// Each byte that may come here makes a Huffman table, which takes milliseconds under sanitizers.
bool ends_table(const JpegCursor& cursor) { return cursor.element() == pycodec_lm::Element::kVij; }

/// ending_bound() of a place, for the places within reach.
struct Promise {
    uint64_t last_offset = 0;
    uint64_t bound = 0;
};

uint8_t choose(const JpegCursor& cursor, uint8_t wanted) {
    JpegCursor copy = cursor;
    if (copy.accept(wanted)) return wanted;
    const ByteSet allowed = cursor.allowed();
    unsigned byte = wanted;
    while (!allowed.contains(static_cast<uint8_t>(byte))) byte = (byte + 1) & 255;
    return static_cast<uint8_t>(byte);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t n_bytes) {
    const Bytes input(data, n_bytes);
    fuzzing::Choices choices(input);
    const Bytes file = fuzzing::file_of(input);
    JpegCursor cursor(fuzzing::grammar_of(choices.first()));
    const size_t n_steps = std::min(file.size(), kMaxSteps);
    const size_t stride = 1 + n_steps / kMaxFullChecks;
    std::array<Promise, 4> promises;
    bool has_checked_costly = false;
    for (size_t at = 0; at < n_steps && !cursor.is_complete(); ++at) {
        const bool is_costly = ends_table(cursor);
        if (choices.one_in(stride) && (!is_costly || !has_checked_costly)) {
            has_checked_costly |= is_costly;
            check_allowed(cursor);
            check_ending(cursor, choices);
        }
        if (choices.one_in(8)) {
            const uint64_t ahead = choices.below(kMaxAheadBytes);
            promises[choices.below(promises.size())] = {
                cursor.offset() + ahead, cursor.ending_bound(ahead)
            };
        }
        REQUIRE(cursor.accept(choose(cursor, file[at])));
        if (!choices.one_in(4)) continue;
        const uint64_t n_left = cursor.bytes_to_complete();
        for (const Promise& promise : promises) {
            if (cursor.offset() <= promise.last_offset) REQUIRE(n_left <= promise.bound);
        }
    }
    if (!ends_table(cursor)) check_allowed(cursor);
    check_ending(cursor, choices);
    return 0;
}
