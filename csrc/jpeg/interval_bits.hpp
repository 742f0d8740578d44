// The bits of one restart interval, with stuffed bytes taken out.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "jpeg/markers.hpp"

namespace pycodec_lm::jpeg {

/// Copies an interval up to its marker, and knows where each of its bytes came from. Behind the
/// last byte there are kMarginBytes zeros, so that a reader need not look at its place at each
/// step.
class IntervalBytes {
public:
    static constexpr size_t kMarginBytes = 128;

    /// The interval that starts at `offset`.
    void read(const uint8_t* data, size_t n_bytes, size_t offset) {
        bytes_.clear();
        stuffed_.clear();
        if (bytes_.capacity() == 0)
            bytes_.reserve(std::min(n_bytes - offset, kFirstBytes) + kMarginBytes);
        begin_ = offset;
        while (offset < n_bytes) {
            const void* found = std::memchr(data + offset, marker::kPrefix, n_bytes - offset);
            const size_t end = found == nullptr
                                   ? n_bytes
                                   : static_cast<size_t>(static_cast<const uint8_t*>(found) - data);
            bytes_.insert(bytes_.end(), data + offset, data + end);
            offset = end;
            if (offset + 1 >= n_bytes || data[offset + 1] != 0) break;
            bytes_.push_back(marker::kPrefix);
            stuffed_.push_back(bytes_.size());
            offset += 2;
        }
        end_ = offset;
        n_bits_ = 8 * uint64_t{bytes_.size()};
        has_marker_ = offset + 1 < n_bytes;
        bytes_.resize(bytes_.size() + kMarginBytes);
    }

    const uint8_t* data() const { return bytes_.data(); }
    uint64_t n_bits() const { return n_bits_; }
    const uint8_t* data_end() const { return bytes_.data() + n_bits_ / 8; }
    /// Where the marker stands, or the end of the data.
    size_t end() const { return end_; }

    /// The interval may end after so many bits: the rest of the byte is 1-bits, and a marker or
    /// fill follows at once.
    bool may_end_at(uint64_t bit) const {
        if (!has_marker_ || bit > n_bits_ || n_bits_ - bit >= 8) return false;
        const unsigned ones = (1u << (n_bits_ - bit)) - 1;
        return n_bits_ == bit || (bytes_[bit / 8] & ones) == ones;
    }
    /// Where a byte of the interval stands in the data.
    size_t offset_of(size_t index) const {
        const auto after = std::upper_bound(stuffed_.begin(), stuffed_.end(), index);
        return begin_ + index + static_cast<size_t>(after - stuffed_.begin());
    }

private:
    static constexpr size_t kFirstBytes = 1 << 16;

    std::vector<uint8_t> bytes_;
    std::vector<size_t> stuffed_;  // indices of the bytes that came after a stuffed one
    size_t begin_ = 0;
    size_t end_ = 0;
    uint64_t n_bits_ = 0;
    bool has_marker_ = false;
};

/// Reads bits, most significant first.
class BitReader {
public:
    explicit BitReader(const uint8_t* data) : begin_(data), next_(data) {}

    static constexpr int kRefilledBits = 56;
    static constexpr size_t kWordBytes = sizeof(uint64_t);

    /// At least kRefilledBits bits can be looked at afterwards.
    void refill() {
        uint64_t word = 0;
        std::memcpy(&word, next_, sizeof word);
        if constexpr (std::endian::native == std::endian::little) word = __builtin_bswap64(word);
        // Bits below n_bits_ may be there already: they are the same ones.
        buffer_ |= word >> n_bits_;
        next_ += (63 - n_bits_) >> 3;
        n_bits_ |= kRefilledBits;
    }
    uint32_t peek(int n_bits) const { return static_cast<uint32_t>(buffer_ >> (64 - n_bits)); }
    void skip(unsigned n_bits) {
        buffer_ <<= n_bits;
        n_bits_ -= static_cast<int>(n_bits);
    }
    /// skip() for any number of bits.
    void skip_far(uint64_t n_bits) {
        if (n_bits <= static_cast<uint64_t>(n_bits_)) return skip(static_cast<unsigned>(n_bits));
        const uint64_t position = position_bits() + n_bits;
        next_ = begin_ + position / 8;
        buffer_ = 0;
        n_bits_ = 0;
        refill();
        skip(static_cast<unsigned>(position % 8));
    }
    /// False only where the bits before `end` have all been taken; it may be true for a few words
    /// more.
    bool is_near(const uint8_t* end) const { return next_ <= end + kWordBytes; }
    uint64_t position_bits() const {
        return 8 * static_cast<uint64_t>(next_ - begin_) - static_cast<uint64_t>(n_bits_);
    }

private:
    const uint8_t* begin_;
    const uint8_t* next_;
    uint64_t buffer_ = 0;
    int n_bits_ = 0;
};

}  // namespace pycodec_lm::jpeg
