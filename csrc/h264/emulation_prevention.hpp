// Bits to the bytes of a NAL unit: 7.3.1, 7.4.1.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace pycodec_lm::h264 {

/// With zeros to the end of the last byte.
inline std::vector<uint8_t> bytes_of(const std::vector<bool>& bits) {
    std::vector<uint8_t> bytes((bits.size() + 7) / 8);
    for (size_t i = 0; i < bits.size(); ++i) {
        if (bits[i]) bytes[i / 8] = static_cast<uint8_t>(bytes[i / 8] | 0x80 >> i % 8);
    }
    return bytes;
}

/// Appends bytes of an RBSP, with emulation_prevention_three_byte where it is due.
///
/// @param n_zeros bytes 00 in a row before them
/// @return bytes 00 in a row at their end
inline int put_escaped(std::vector<uint8_t>& out, std::span<const uint8_t> rbsp, int n_zeros = 0) {
    for (const uint8_t byte : rbsp) {
        if (n_zeros == 2 && byte <= 3) {
            out.push_back(3);
            n_zeros = 0;
        }
        out.push_back(byte);
        n_zeros = byte == 0 ? n_zeros + 1 : 0;
    }
    return n_zeros;
}

}  // namespace pycodec_lm::h264
