// H.264 in the other entropy coder: what a stream becomes is read again and says the same; of what
// is broken, in either coder, nothing is read that is not there.
#include <optional>
#include <string>
#include <vector>

#include "fuzzing.hpp"
#include "h264/mb_syntax.hpp"
#include "h264/recode.hpp"

namespace {

using fuzzing::Bytes;
using pycodec_lm::h264::BrokenSyntax;
using pycodec_lm::h264::Recoded;
using pycodec_lm::h264::RecodeOptions;

const RecodeOptions kCavlc{
    .entropy_coding_mode_flag = false, .cabac_init_idc = {}, .random_macroblocks = {}
};

std::optional<Recoded> recoded(Bytes stream, const RecodeOptions& options) {
    try {
        return pycodec_lm::h264::recode(stream, options);
    } catch (const BrokenSyntax& error) {
        REQUIRE(!std::string(error.what()).empty());
        return std::nullopt;
    }
}

std::vector<uint8_t> damaged(std::vector<uint8_t> stream, fuzzing::Choices& choices) {
    for (size_t n = 1 + choices.below(3); n > 0; --n) {
        uint8_t& byte = stream[choices.below(stream.size())];
        byte = static_cast<uint8_t>(byte ^ 1u << choices.below(8));
    }
    if (choices.one_in(4)) stream.resize(1 + choices.below(stream.size()));
    return stream;
}

void check_ways_back(Bytes stream, fuzzing::Choices& choices) {
    const RecodeOptions to_cabac{
        .entropy_coding_mode_flag = true,
        .cabac_init_idc = static_cast<uint8_t>(choices.below(3)),
        .random_macroblocks = {},
    };
    const auto cavlc = recoded(stream, kCavlc);
    if (!cavlc) return;
    REQUIRE(recoded(cavlc->bytes, kCavlc)->bytes == cavlc->bytes);
    const auto cabac = recoded(cavlc->bytes, to_cabac);
    if (!cabac) return;  // an 8x8 block without levels
    const auto back = recoded(cabac->bytes, kCavlc);
    REQUIRE(back.has_value());
    const auto again = recoded(back->bytes, to_cabac);
    REQUIRE(again.has_value());
    REQUIRE(again->bytes == cabac->bytes);
    REQUIRE(again->counts.mb_types == cabac->counts.mb_types);
    for (int i = 0; i < 4; ++i) {
        recoded(damaged(cabac->bytes, choices), kCavlc);
        recoded(damaged(cavlc->bytes, choices), to_cabac);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t n_bytes) {
    const Bytes input(data, n_bytes);
    fuzzing::Choices choices(input);
    check_ways_back(fuzzing::file_of(input), choices);
    return 0;
}
