// Exp-Golomb codes, 9.1: what ue(v) and se(v) say and how long their codes are.
#pragma once

#include <bit>
#include <cstdint>

namespace pycodec_lm::h264 {

/// The value of se(v), Table 9-3.
constexpr int64_t signed_value(uint64_t code_num) {
    const auto half = static_cast<int64_t>((code_num + 1) / 2);
    return (code_num & 1) != 0 ? half : -half;
}

/// The codeNum of a value of se(v).
constexpr uint64_t code_num_of(int64_t value) {
    return static_cast<uint64_t>(value > 0 ? 2 * value - 1 : -2 * value);
}

/// Bits of the code of a codeNum, whose last bits are codeNum + 1.
constexpr int code_length(uint64_t code_num) {
    return 2 * static_cast<int>(std::bit_width(code_num + 1)) - 1;
}

}  // namespace pycodec_lm::h264
