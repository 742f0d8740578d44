// The bits of an arithmetic code as it is written: 9.3.4, with the engine's register as one long
// number to whose end numbers are added.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "h264/cabac_interval.hpp"

namespace pycodec_lm::h264 {

class CabacCodeBits {
public:
    /// The bits that are open now, and all that come.
    explicit CabacCodeBits(const CabacInterval& interval)
        : bits_(static_cast<size_t>(interval.n_open())), n_open_(interval.n_open()) {}

    /// Behind each bin.
    void note(CabacInterval& interval) {
        bits_.resize(bits_.size() + static_cast<size_t>(interval.n_open() - n_open_));
        add(interval.forget_bits());
        n_open_ = interval.n_open();
    }

    /// Behind a terminating 1: all bits of the code.
    const std::vector<bool>& end(const CabacInterval::Ending& ending) {
        add(ending.bits << 1);
        bits_.pop_back();  // the bit behind the code
        return bits_;
    }

    const std::vector<bool>& bits() const { return bits_; }
    /// So many of the first bits stay, whatever is added: a carry goes no further than to a 0.
    size_t n_settled() const {
        size_t n = bits_.size() - static_cast<size_t>(n_open_);
        while (n > 0 && bits_[n - 1]) --n;
        return n > 0 ? n - 1 : 0;
    }

private:
    void add(uint64_t number) {
        for (size_t i = bits_.size(); number != 0; number >>= 1) {
            --i;
            if ((number & 1) != 0) carry_into(i);
        }
    }
    void carry_into(size_t i) {
        for (; bits_[i]; --i) bits_[i] = false;
        bits_[i] = true;
    }

    std::vector<bool> bits_;
    int n_open_;
};

}  // namespace pycodec_lm::h264
