// cabac_zero_words: 7.3.2.10, 7.4.2.10.
#pragma once

#include <array>
#include <cstdint>

namespace pycodec_lm::h264 {

/// cabac_zero_words that a NAL unit of a slice needs behind it. The bins of a picture are
/// limited by its bytes and macroblocks; this many keep each slice within its share of that.
constexpr uint64_t n_cabac_zero_words(uint64_t n_bins, uint64_t n_bytes, uint64_t n_mbs) {
    constexpr uint64_t kRawMbBits = 3072;  // of 4:2:0 and 8 bits
    // A word is 3 bytes in its NAL unit and so allows 32 bins.
    const uint64_t n_allowed = 32 * n_bytes + 3 * kRawMbBits * n_mbs / 32;  // thirds of a bin
    return 3 * n_bins <= n_allowed ? 0 : (3 * n_bins - n_allowed + 95) / 96;
}
inline constexpr std::array<uint8_t, 3> kEscapedZeroWord{0, 0, 3};

}  // namespace pycodec_lm::h264
