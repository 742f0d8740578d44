// A set of byte values: 256 bits, one per value.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

namespace pycodec_lm {

class ByteSet {
public:
    constexpr void insert(uint8_t value) { words_[value >> 6] |= uint64_t{1} << (value & 63); }

    constexpr void insert_range(unsigned first, unsigned last) {
        for (unsigned value = first; value <= last; ++value) insert(static_cast<uint8_t>(value));
    }

    constexpr bool contains(uint8_t value) const {
        return (words_[value >> 6] >> (value & 63)) & 1;
    }

    constexpr int size() const {
        int n_values = 0;
        for (uint64_t word : words_) n_values += std::popcount(word);
        return n_values;
    }

    constexpr bool empty() const { return size() == 0; }

    /// The smallest member; call it only on a set that is not empty.
    constexpr uint8_t first() const {
        for (unsigned i = 0; i < words_.size(); ++i) {
            if (words_[i] != 0) {
                return static_cast<uint8_t>(
                    64 * i + static_cast<unsigned>(std::countr_zero(words_[i]))
                );
            }
        }
        return 0;
    }

    constexpr const std::array<uint64_t, 4>& words() const { return words_; }

    friend constexpr bool operator==(const ByteSet&, const ByteSet&) = default;

private:
    std::array<uint64_t, 4> words_{};
};

}  // namespace pycodec_lm
