// H.264: accept() is push() and allowed(), however bytes come; endings are valid and exact; the
// trace ends as the check does, and its bits add up.
#include <algorithm>
#include <memory>
#include <vector>

#include "fuzzing.hpp"
#include "h264/check.hpp"
#include "h264/token_walk.hpp"
#include "h264/trace.hpp"

namespace {

using fuzzing::Bytes;
using pycodec_lm::ByteSet;
using pycodec_lm::Status;
using pycodec_lm::h264::AvcCursor;
using pycodec_lm::h264::AvcGrammar;

// Endings of large pictures take long: a byte a macroblock.
constexpr uint32_t kMaxFrameMbs = 400;

constexpr int kMostSteps = 300;

/// Some keywords of AvcGrammar, by what the file has of them and by chance.
std::shared_ptr<const AvcGrammar> keywords_of(Bytes file, fuzzing::Choices& choices) {
    namespace h264 = pycodec_lm::h264;
    auto grammar = std::make_shared<AvcGrammar>();
    grammar->portable = !choices.one_in(3);
    const auto trace = h264::trace(file.data(), file.size(), {}, 0, 0);
    uint32_t width_mbs = 1 + static_cast<uint32_t>(choices.below(6));
    uint32_t height_mbs = 1 + static_cast<uint32_t>(choices.below(6));
    if (!trace.pictures.empty() && trace.pictures[0].n_mbs <= kMaxFrameMbs && !choices.one_in(4)) {
        width_mbs = trace.pictures[0].width_mbs;
        height_mbs = trace.pictures[0].n_mbs / width_mbs;
    }
    const auto side = [&](uint32_t n_mbs) {  // seldom cropped
        return 16 * n_mbs - 2 * static_cast<uint32_t>(choices.one_in(3) ? choices.below(8) : 0);
    };
    if (!choices.one_in(4)) grammar->width = side(std::max(width_mbs, 1u));
    if (!choices.one_in(4)) grammar->height = side(std::max(height_mbs, 1u));
    if (!choices.one_in(4))
        grammar->n_pictures = 1 + std::min<uint64_t>(trace.n_pictures, 3) + choices.below(3);
    constexpr uint8_t kProfiles[] = {66, 77, 100};
    if (choices.one_in(3)) grammar->profile_idc = kProfiles[choices.below(3)];
    if (choices.one_in(3)) grammar->qp = static_cast<int8_t>(choices.below(52));
    if (choices.one_in(2)) grammar->slicing = static_cast<h264::Slicing>(choices.below(3));
    if (choices.one_in(3)) {
        const auto& limits = h264::kTableA_1[choices.below(h264::kTableA_1.size())];
        if (grammar->allows_level(limits)) grammar->level_idc = limits.level_idc;
    }
    return grammar;
}

std::shared_ptr<const AvcGrammar> grammar_of(Bytes file, fuzzing::Choices& choices) {
    const uint8_t choice = choices.first();
    if (choice % 8 >= 4) return keywords_of(file, choices);
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
    // Behind long endings seldom: each takes as long to measure.
    const size_t stride = 1 + ending.size() / 20;
    for (size_t i = 0; i < ending.size(); ++i) {
        REQUIRE(at.accept(ending[i]));
        if (i % stride != 0) continue;
        REQUIRE(at.bytes_to_complete() <= at.ending_bound(0));
        REQUIRE(at.bytes_to_complete() <= cursor.ending_bound(i + 1));
        if (i == 0) REQUIRE(at.bytes_to_complete() == n_bytes - 1);
    }
    REQUIRE(at.is_complete());
}

void check_trace(Bytes file, fuzzing::Choices& choices) {
    const uint64_t begin = choices.below(file.size() + 1);
    const uint64_t end = begin + choices.below(300);
    pycodec_lm::h264::TraceLimits limits;
    const bool is_limited = choices.one_in(4);
    if (is_limited)
        limits = {choices.below(40), choices.below(9), choices.below(40), choices.below(40)};
    const auto trace = pycodec_lm::h264::trace(file.data(), file.size(), limits, begin, end);
    const auto result =
        pycodec_lm::h264::check(std::make_shared<AvcGrammar>(), file.data(), file.size());
    const auto slow =
        pycodec_lm::h264::check_slowly(std::make_shared<AvcGrammar>(), file.data(), file.size());
    REQUIRE(result.status == slow.status);
    REQUIRE(result.n_pictures == slow.n_pictures);
    REQUIRE(trace.status == result.status);
    REQUIRE(trace.n_pictures == result.n_pictures);
    REQUIRE(trace.fields.size() <= limits.n_fields);
    REQUIRE(trace.nals.size() <= limits.n_nals && trace.slices.size() <= trace.nals.size());
    REQUIRE(trace.mb_starts.size() <= limits.n_mbs);
    REQUIRE(trace.symbols.size() <= limits.n_symbols);
    for (const auto& slice : trace.slices) {
        const auto& nal = trace.nals[slice.nal];
        uint64_t n_bits = slice.header_bits + slice.skip_bits + slice.trailing_bits;
        for (const uint64_t n : slice.mb_bits) n_bits += n;
        const uint64_t n_all = 8 * (nal.end - nal.offset - nal.n_emulation_bytes);
        REQUIRE(nal.is_whole ? n_bits == n_all : n_bits <= n_all);
        REQUIRE(slice.n_skipped + slice.n_intra <= slice.n_mbs);
    }
    uint64_t n_rows = 0;
    for (const auto& picture : trace.pictures) {
        REQUIRE(picture.first_mb_row == n_rows);
        n_rows += picture.n_mb_rows;
        REQUIRE(picture.n_mbs <= picture.width_mbs * picture.height_mbs);
        REQUIRE(is_limited || picture.n_mb_rows - picture.n_mbs <= 1);
    }
    REQUIRE(n_rows == trace.mb_starts.size());
    for (const auto& row : trace.symbols) REQUIRE(row.byte < end && row.byte < file.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t n_bytes) {
    const Bytes input(data, n_bytes);
    fuzzing::Choices choices(input);
    const Bytes file = fuzzing::file_of(input);
    check_trace(file, choices);
    AvcCursor cursor(grammar_of(file, choices));
    int n_steps = 0;
    for (const uint8_t byte : file) {
        if (choices.one_in(60)) check_mask(cursor);
        if (choices.one_in(60) && cursor.frame_mbs() <= kMaxFrameMbs) check_ending(cursor);
        AvcCursor copy = cursor;
        const bool accepted = copy.accept(byte);
        const Status status = cursor.push(byte);
        REQUIRE(accepted == bool(status));
        REQUIRE(copy.describe() == cursor.describe());
        if (choices.one_in(2)) cursor = copy;
        if (status) continue;
        // Another byte leads on into what a narrow grammar has.
        const ByteSet allowed = cursor.allowed();
        if (allowed.empty() || ++n_steps > kMostSteps) break;
        unsigned next = allowed.next(byte);
        if (next > 255) next = allowed.first();
        REQUIRE(cursor.accept(static_cast<uint8_t>(next)));
    }
    return 0;
}
