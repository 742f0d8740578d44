// What is known of codIOffset while bits are still to come: which bins they leave possible. It is
// the decoding engine of 9.3.3.2 (cabac_engine.hpp) with the bits that have not come yet left open.
//
// The engine reads 9 bits and then one for each that codIRange is doubled by; here it also knows
// the one behind them, which a bypass bin asks for. Of all these bits the last n_open are open, so
// 2 * codIOffset and that bit are one number of a range, and as always less than 2 * codIRange. A
// bin splits what is possible in two and leaves one part of it; a bit leaves one half. So it stays
// one interval, and copying it is looking ahead.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <optional>

#include "h264/binarization.hpp"
#include "h264/cabac_engine.hpp"

namespace pycodec_lm::h264 {

/// The bin whose part of codIRange is the upper one, and codIRange behind it; not of bypass bins.
struct UpperPart {
    bool bin;
    uint32_t range;
};
inline UpperPart upper_part(uint16_t ctx_idx, const ContextStates& states, uint32_t cod_i_range) {
    if (ctx_idx == kTerminate) return {true, 2};
    const ContextState state = states[ctx_idx];
    return {!state.val_mps(), range_of_lps(state, cod_i_range)};
}

class CabacInterval {
public:
    /// Of the bits that the engine knows, the last that have not come. While there are none, the
    /// next bin is settled.
    int n_open() const { return n_open_; }
    uint32_t cod_i_range() const { return cod_i_range_; }
    /// What 2 * codIOffset and the bit behind it are at least, were it one number; under 0 where
    /// some of the open bits cannot be.
    int64_t first() const { return first_; }
    bool is_empty() const { return lowest() > highest(); }
    /// Every string of bins is possible.
    bool is_full() const { return lowest() == 0 && highest() == 2 * int64_t{cod_i_range_} - 1; }

    /// The next bit of the stream, where one is open; it may leave nothing.
    void take_bit(bool bit) {
        --n_open_;
        if (bit) first_ += int64_t{1} << n_open_;
    }

    /// Takes a bin that can be. Behind a terminating 1 only ending() is asked.
    void take_bin(bool bin, uint16_t ctx_idx, ContextStates& states) {
        split(bin, ctx_idx, states);
        if (ctx_idx == kTerminate && bin) return;
        if (ctx_idx == kBypass) return;
        if (ctx_idx != kTerminate) states[ctx_idx] = state_after(states[ctx_idx], bin);
        for (; cod_i_range_ < 256; cod_i_range_ <<= 1) open_bit();
    }

    /// How much of a bin's part is possible.
    enum class Part : uint8_t { kNone, kSome, kAll };
    /// By bin.
    std::array<Part, 2> parts(uint16_t ctx_idx, const ContextStates& states) const {
        int64_t split = cod_i_range_;
        bool upper_bin = true;
        if (ctx_idx != kBypass) {
            const UpperPart upper = upper_part(ctx_idx, states, cod_i_range_);
            upper_bin = upper.bin;
            split = 2 * (int64_t{cod_i_range_} - upper.range);
        }
        const int64_t low = lowest();
        const int64_t high = highest();
        const auto part = [&](int64_t first, int64_t last) {
            if (high < first || last < low) return Part::kNone;
            return low <= first && last <= high ? Part::kAll : Part::kSome;
        };
        std::array<Part, 2> parts;
        parts[!upper_bin] = part(0, split - 1);
        parts[upper_bin] = part(split, 2 * int64_t{cod_i_range_} - 1);
        return parts;
    }
    Part part_of(bool bin, uint16_t ctx_idx, const ContextStates& states) const {
        return parts(ctx_idx, states)[bin];
    }

    /// What a bin says, in bits: log2 of codIRange by the part of it that the bin has. Of a code it
    /// adds up to 9 - log2(255), which is 1.006, fewer than its bits: 9 are read for a codIRange of
    /// 510, and at its end it is 2.
    double information_of(bool bin, uint16_t ctx_idx, const ContextStates& states) const {
        if (ctx_idx == kBypass) return 1;
        const UpperPart upper = upper_part(ctx_idx, states, cod_i_range_);
        const uint32_t part = bin == upper.bin ? upper.range : cod_i_range_ - upper.range;
        return std::log2(static_cast<double>(cod_i_range_) / part);
    }

    /// Of many open bits, which are a number, only the last stay open: what the others say shows in
    /// nothing but what the number is at least.
    ///
    /// @return what is to be added to the number that the bits make which stay
    uint64_t forget_bits() {
        constexpr int kKeptBits = 11;
        constexpr int64_t kKept = int64_t{1} << kKeptBits;  // more than 2 * codIRange
        if (n_open_ <= kKeptBits) return 0;
        const int64_t before = first_;
        const int64_t end = first_ + (int64_t{1} << n_open_);
        if (first_ < 0) first_ = end >= 2 * int64_t{cod_i_range_} ? 0 : end - kKept;
        n_open_ = kKeptBits;
        return static_cast<uint64_t>(first_ - before);
    }

    /// The bits that end the code behind those that have come.
    struct Ending {
        uint64_t bits;
        int n_bits;  // -1 where the bit behind the code has come too: it is 0
    };
    /// Behind a terminating 1: the last bit of the code is a 1 (of a slice the rbsp_stop_one_bit),
    /// and behind it a 0 comes. None where the bits that have come say otherwise.
    std::optional<Ending> ending() const {
        const int64_t offset = is_base_odd_ ? 0 : 1;  // codIOffset, codIRange being 2
        const int64_t with_zero = 2 * offset;
        if (with_zero < lowest() || with_zero > highest()) return std::nullopt;
        return Ending{static_cast<uint64_t>(with_zero - first_) >> 1, n_open_ - 1};
    }

    /// Before pcm samples the last bit of the code is free; a 1 where it may be.
    std::optional<Ending> any_ending() const {
        CabacInterval other = *this;
        other.is_base_odd_ = !is_base_odd_;
        const auto with_one = ending();
        return with_one ? with_one : other.ending();
    }

private:
    int64_t lowest() const { return std::max<int64_t>(first_, 0); }
    int64_t highest() const {
        return std::min(first_ + (int64_t{1} << n_open_), 2 * int64_t{cod_i_range_}) - 1;
    }

    /// Leaves the part that a bin has.
    void split(bool bin, uint16_t ctx_idx, const ContextStates& states) {
        if (ctx_idx == kBypass) {
            if (bin) first_ -= cod_i_range_;
            open_bit();  // and what is left is less than 2 * codIRange again
            is_base_odd_ = bin && (cod_i_range_ & 1) != 0;
            return;
        }
        const UpperPart upper = upper_part(ctx_idx, states, cod_i_range_);
        cod_i_range_ -= upper.range;
        if (bin != upper.bin) return;
        first_ -= 2 * int64_t{cod_i_range_};
        is_base_odd_ = is_base_odd_ != ((cod_i_range_ & 1) != 0);
        cod_i_range_ = upper.range;
    }

    /// The engine reads one more bit.
    void open_bit() {
        first_ *= 2;
        ++n_open_;
        is_base_odd_ = false;
    }

    uint32_t cod_i_range_ = 510;
    int n_open_ = 10;
    int64_t first_ = 0;
    bool is_base_odd_ = false;  // what was taken off codIOffset, of all its bits as one number
};

}  // namespace pycodec_lm::h264
