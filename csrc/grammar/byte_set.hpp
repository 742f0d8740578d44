// A set of byte values: 256 bits, one per value.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace pycodec_lm {

class ByteSet {
public:
    constexpr void insert(uint8_t value) { words_[value >> 6] |= uint64_t{1} << (value & 63); }

    constexpr void remove(uint8_t value) { words_[value >> 6] &= ~(uint64_t{1} << (value & 63)); }

    constexpr ByteSet& operator|=(const ByteSet& other) {
        for (size_t i = 0; i < words_.size(); ++i) words_[i] |= other.words_[i];
        return *this;
    }

    static constexpr ByteSet all() {
        ByteSet set;
        set.words_.fill(~uint64_t{0});
        return set;
    }

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

    /// The smallest member that is not below `least`; 256 where there is none.
    constexpr unsigned next(unsigned least) const {
        for (unsigned i = least >> 6; i < words_.size(); ++i) {
            const uint64_t word =
                i == least >> 6 ? words_[i] >> (least & 63) << (least & 63) : words_[i];
            if (word != 0) return 64 * i + static_cast<unsigned>(std::countr_zero(word));
        }
        return 256;
    }

    constexpr const std::array<uint64_t, 4>& words() const { return words_; }

    friend constexpr bool operator==(const ByteSet&, const ByteSet&) = default;

private:
    std::array<uint64_t, 4> words_{};
};

}  // namespace pycodec_lm
