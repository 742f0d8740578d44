// Bits of an ending since a byte boundary, counted and not kept.
#pragma once

#include <cstdint>

#include "jpeg/scan_plan.hpp"

namespace pycodec_lm::jpeg {

class EndingBits {
public:
    void add(uint32_t value, int n) {
        for (int i = n - 1; i >= 0; --i) n_stuffed_ += phase_.add((value >> i) & 1);
        n_bits_ += static_cast<uint64_t>(n);
    }
    /// The same bits over and over.
    void add_repeated(uint32_t value, int n, uint64_t n_times) {
        // Eight times end where they began in a byte, and what came before has left it: from then
        // on all eights are alike.
        constexpr uint64_t kPeriod = 8;
        for (; n_times > 0 && n_times % kPeriod != 0; --n_times) add(value, n);
        if (n_times == 0 || n == 0) return;
        add_period(value, n);
        const uint64_t n_before = n_stuffed_;
        if (n_times == kPeriod) return;
        add_period(value, n);
        const uint64_t n_left = n_times / kPeriod - 2;
        n_bits_ += n_left * kPeriod * static_cast<uint64_t>(n);
        n_stuffed_ += n_left * (n_stuffed_ - n_before);
    }
    void add_zeros(uint64_t n) {
        if (n == 0) return;
        n_bits_ += n;
        const uint64_t in_byte = (phase_.n_bits + n) % 8;
        phase_ = {static_cast<uint8_t>(in_byte), in_byte == 0};
    }
    /// T.81 F.1.2.3: 1-bits fill the last byte.
    void pad() {
        while (phase_.n_bits != 0) add(1, 1);
    }
    uint64_t n_bytes() const { return n_bits_ / 8 + n_stuffed_; }
    int bit() const { return phase_.n_bits; }

private:
    void add_period(uint32_t value, int n) {
        for (int i = 0; i < 8; ++i) add(value, n);
    }

    BytePhase phase_;
    uint64_t n_bits_ = 0;
    uint64_t n_stuffed_ = 0;
};

}  // namespace pycodec_lm::jpeg
