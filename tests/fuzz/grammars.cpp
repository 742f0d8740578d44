#include "grammars.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "fuzzing.hpp"
#include "jpeg/cursor.hpp"

namespace fuzzing {
namespace {

using pycodec_lm::jpeg::HuffmanTable;
using pycodec_lm::jpeg::JpegCursor;
using pycodec_lm::jpeg::JpegGrammar;
using pycodec_lm::jpeg::TableClass;
using Sampling = std::vector<std::array<uint8_t, 2>>;
using Grammar = std::shared_ptr<const JpegGrammar>;

std::shared_ptr<const HuffmanTable> dc_table() {
    // T.81 Table K.3.
    constexpr std::array<uint8_t, 16> kBits{0, 1, 5, 1, 1, 1, 1, 1, 1};
    std::vector<uint8_t> values(12);
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<uint8_t>(i);
    return HuffmanTable::shared(TableClass::kDc, kBits, values);
}

/// All 162 symbols with the code lengths of T.81 Table K.5, the shortest for short runs of small
/// sizes.
std::shared_ptr<const HuffmanTable> ac_table() {
    constexpr std::array<uint8_t, 16> kBits{0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125};
    std::vector<uint8_t> values{pycodec_lm::jpeg::kEndOfBlock, pycodec_lm::jpeg::kZeroRunLength};
    for (unsigned symbol = 0; symbol < 256; ++symbol) {
        const unsigned size = symbol & 15;
        if (size >= 1 && size <= 10) values.push_back(static_cast<uint8_t>(symbol));
    }
    std::stable_sort(values.begin() + 2, values.end(), [](uint8_t a, uint8_t b) {
        return (a >> 4) + 2 * (a & 15) < (b >> 4) + 2 * (b & 15);
    });
    return HuffmanTable::shared(TableClass::kAc, kBits, values);
}

std::shared_ptr<JpegGrammar> narrow(
    uint16_t width_px, uint16_t height_px, Sampling sampling, uint16_t restart_interval_mcus
) {
    auto grammar = std::make_shared<JpegGrammar>();
    grammar->portable = true;
    grammar->sof = pycodec_lm::jpeg::marker::kSof0;
    grammar->width_px = width_px;
    grammar->height_px = height_px;
    grammar->sampling = std::move(sampling);
    grammar->restart_interval_mcus = restart_interval_mcus;
    grammar->huffman[0][0] = dc_table();
    grammar->huffman[1][0] = ac_table();
    grammar->quantization[0].emplace().fill(16);
    return grammar;
}

/// Pins the header of the shortest file.
Grammar pinned(std::shared_ptr<JpegGrammar> free) {
    std::vector<uint8_t> file;
    const JpegCursor cursor(free);
    cursor.complete(file, cursor.bytes_to_complete());
    auto like =
        pycodec_lm::jpeg::pin_like(std::make_shared<JpegGrammar>(), file.data(), file.size());
    REQUIRE(bool(like.status));
    auto grammar = std::make_shared<JpegGrammar>();
    grammar->pinned = std::move(like.chunks);
    REQUIRE(bool(pycodec_lm::jpeg::check_pinned(grammar)));
    return grammar;
}

std::array<Grammar, kGrammars> make_grammars() {
    const Sampling gray{{1, 1}};
    const Sampling color{{2, 2}, {1, 1}, {1, 1}};
    auto portable = std::make_shared<JpegGrammar>();
    portable->portable = true;
    auto abbreviated = std::make_shared<JpegGrammar>();
    abbreviated->abbreviated = true;
    abbreviated->outside.huffman[0][1] = dc_table();
    abbreviated->outside.huffman[1][1] = ac_table();
    abbreviated->outside.quantization_bits[2] = 8;
    return {
        std::make_shared<JpegGrammar>(),
        portable,
        abbreviated,
        narrow(24, 9, color, 0),
        narrow(33, 17, {{1, 1}, {1, 2}, {1, 1}, {1, 1}}, 2),
        pinned(narrow(40, 40, gray, 0)),
        pinned(narrow(48, 32, color, 2)),
        pinned(narrow(200, 200, gray, 300)),
    };
}

}  // namespace

Grammar grammar_of(size_t number) {
    static const std::array<Grammar, kGrammars> grammars = make_grammars();
    return grammars[number % kGrammars];
}

std::vector<uint8_t> with_header(const JpegGrammar& grammar, Bytes file, Choices& choices) {
    std::vector<uint8_t> bytes;
    if (grammar.is_pinned() && !choices.one_in(8)) bytes = grammar.pinned[0];
    bytes.insert(bytes.end(), file.begin(), file.end());
    return bytes;
}

Subject::Subject(Bytes input)
    : choices(input),
      grammar(grammar_of(choices.first())),
      file(with_header(*grammar, file_of(input), choices)) {}

}  // namespace fuzzing
