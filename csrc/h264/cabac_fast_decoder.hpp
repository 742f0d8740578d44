// CabacDecoder (cabac_engine.hpp), which is the definition, with many bits in a register and a
// table of what becomes of a context variable.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "h264/cabac_engine.hpp"

namespace pycodec_lm::h264 {

namespace detail {

struct ContextStep {
    std::array<uint8_t, 4> range_of_lps{};  // by qCodIRangeIdx
    ContextState after_mps;
    ContextState after_lps;
    bool val_mps = false;
};

consteval std::array<ContextStep, 128> context_steps() {
    std::array<ContextStep, 128> steps{};
    for (unsigned i = 0; i < 128; ++i) {
        const ContextState state{static_cast<uint8_t>(i)};
        const bool val_mps = state.val_mps();
        ContextStep& step = steps[i];
        for (size_t k = 0; k < 4; ++k) step.range_of_lps[k] = kRangeTabLps[state.p_state_idx()][k];
        step.after_mps = state_after(state, val_mps);
        step.after_lps = state_after(state, !val_mps);
        step.val_mps = val_mps;
    }
    return steps;
}
inline constexpr std::array<ContextStep, 128> kContextSteps = context_steps();

}  // namespace detail

class CabacFastDecoder {
public:
    /// Reads from a byte on; behind `end` 16 bytes may be read, and zeros are.
    CabacFastDecoder(const uint8_t* begin, const uint8_t* end)
        : begin_(begin), next_(begin), end_(end) {
        refill();
    }

    bool is_valid_start() const { return value_ < scaled(510); }
    /// Bits that the engine of 9.3.3.2 has read.
    uint64_t n_bits_read() const {
        constexpr uint64_t kRegisterBits = 9;
        return 8 * static_cast<uint64_t>(next_ - begin_) - static_cast<uint64_t>(n_valid_) +
               kRegisterBits;
    }

    bool decode_decision(ContextState& state) {
        if (n_valid_ < kLeastBits) refill();
        const detail::ContextStep& step = detail::kContextSteps[state.packed];
        const uint32_t range_lps = step.range_of_lps[(range_ >> 6) & 3];
        range_ -= range_lps;
        const uint64_t split = scaled(range_);
        if (value_ < split) {
            state = step.after_mps;
            const int shift = range_ < 256;
            range_ <<= shift;
            value_ <<= shift;
            n_valid_ -= shift;
            return step.val_mps;
        }
        value_ -= split;
        state = step.after_lps;
        const int shift = std::countl_zero(range_lps) - 23;
        range_ = range_lps << shift;
        value_ <<= shift;
        n_valid_ -= shift;
        return !step.val_mps;
    }

    bool decode_bypass() {
        if (n_valid_ < kLeastBits) refill();
        value_ <<= 1;
        --n_valid_;
        const uint64_t split = scaled(range_);
        if (value_ < split) return false;
        value_ -= split;
        return true;
    }

    bool decode_terminate() {
        if (n_valid_ < kLeastBits) refill();
        range_ -= 2;
        if (value_ >= scaled(range_)) return true;
        const int shift = range_ < 256;
        range_ <<= shift;
        value_ <<= shift;
        n_valid_ -= shift;
        return false;
    }

private:
    // codIOffset stands in bits 54 to 62 of the register.
    static constexpr int kOffsetShift = 54;
    static constexpr int kLeastBits = 24;  // more than a bin takes

    static constexpr uint64_t scaled(uint32_t range) { return uint64_t{range} << kOffsetShift; }

    void refill() {
        uint64_t word = 0;
        if (next_ <= end_) std::memcpy(&word, next_, sizeof word);
        if constexpr (std::endian::native == std::endian::little) word = __builtin_bswap64(word);
        value_ |= word >> 1 >> n_valid_;
        const int n_bytes = (63 - n_valid_) / 8;
        // Bits of a byte that is not taken whole must not be added twice.
        value_ &= ~((uint64_t{1} << (63 - n_valid_ - 8 * n_bytes)) - 1);
        next_ += n_bytes;
        n_valid_ += 8 * n_bytes;
    }

    const uint8_t* begin_;
    const uint8_t* next_;
    const uint8_t* end_;
    uint64_t value_ = 0;
    uint32_t range_ = 510;
    int n_valid_ = 0;  // bits of the register that have been read, from bit 62 on
};

}  // namespace pycodec_lm::h264
