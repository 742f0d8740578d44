// The legal values of a syntax element: a short list of ranges.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace pycodec_lm {

class ValueSet {
public:
    static constexpr size_t kMaxRanges = 16;

    struct Range {
        uint32_t first;
        uint32_t last;
    };

    constexpr ValueSet() = default;
    constexpr ValueSet(uint32_t first, uint32_t last) { add(first, last); }
    static constexpr ValueSet only(uint32_t value) { return {value, value}; }

    /// The values i below 64 whose bit i is set.
    static constexpr ValueSet of_bits(uint64_t bits) {
        ValueSet set;
        set.bits_ = bits;
        return set;
    }

    /// offset + every sum of one or more numbers, each `small` or 2 * small - 1 (the sizes of the
    /// two kinds of quantization table). Counting the larger as two, n smalls make the range
    /// n * small - n / 2 .. n * small.
    static constexpr ValueSet sums(uint32_t small, uint32_t offset) {
        ValueSet set;
        set.small_ = small;
        set.offset_ = offset;
        return set;
    }

    /// Adds first..last; an empty range (first > last) adds nothing. Ranges may come in any order.
    constexpr void add(uint32_t first, uint32_t last) {
        if (first <= last) ranges_[n_ranges_++] = {first, last};
    }
    constexpr void add(uint32_t value) { add(value, value); }

    /// Takes one value out of a set whose ranges do not overlap.
    constexpr void remove(uint32_t value) {
        for (size_t i = 0, n = n_ranges_; i < n; ++i) {
            Range& range = ranges_[i];
            if (value < range.first || value > range.last) continue;
            const Range above{value + 1, range.last};
            if (value == range.first) {
                range = above;  // may be empty: first > last holds nothing
            } else {
                range.last = value - 1;
                add(above.first, above.last);
            }
        }
    }

    constexpr bool contains(uint32_t value) const { return any_in(value, value); }

    constexpr bool any_in(uint32_t first, uint32_t last) const {
        if (small_ != 0 || bits_ != 0) return lowest_in(first, last).has_value();
        for (size_t i = 0; i < n_ranges_; ++i) {
            if (ranges_[i].first <= last && first <= ranges_[i].last &&
                ranges_[i].first <= ranges_[i].last) {
                return true;
            }
        }
        return false;
    }

    /// The largest member of a list of ranges, 0 where there is none.
    constexpr uint32_t highest() const {
        uint32_t highest = 0;
        for (size_t i = 0; i < n_ranges_; ++i) {
            if (ranges_[i].last > highest) highest = ranges_[i].last;
        }
        return highest;
    }

    /// The smallest member of first..last.
    constexpr std::optional<uint32_t> lowest_in(uint32_t first, uint32_t last) const {
        if (small_ != 0) return lowest_sum_in(first, last);
        if (bits_ != 0) return lowest_bit_in(first, last);
        std::optional<uint32_t> lowest;
        for (size_t i = 0; i < n_ranges_; ++i) {
            const uint32_t from = ranges_[i].first > first ? ranges_[i].first : first;
            const uint32_t to = ranges_[i].last < last ? ranges_[i].last : last;
            if (from <= to && (!lowest || from < *lowest)) lowest = from;
        }
        return lowest;
    }

private:
    constexpr std::optional<uint32_t> lowest_sum_in(uint32_t first, uint32_t last) const {
        const uint32_t least = first > offset_ + small_ ? first - offset_ : small_;
        const uint32_t n = (least + small_ - 1) / small_;  // fewest smalls that reach it
        const uint32_t bottom = n * small_ - n / 2;
        const uint32_t lowest = offset_ + (bottom > least ? bottom : least);
        if (lowest > last) return std::nullopt;
        return lowest;
    }

    constexpr std::optional<uint32_t> lowest_bit_in(uint32_t first, uint32_t last) const {
        if (first > 63) return std::nullopt;
        const auto lowest = static_cast<uint32_t>(std::countr_zero(bits_ >> first << first));
        if (lowest > 63 || lowest > last) return std::nullopt;
        return lowest;
    }

    std::array<Range, kMaxRanges> ranges_{};
    size_t n_ranges_ = 0;
    uint64_t bits_ = 0;   // not 0: these, and no ranges
    uint32_t small_ = 0;  // not 0: sums, and no ranges
    uint32_t offset_ = 0;
};

}  // namespace pycodec_lm
