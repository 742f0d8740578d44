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
    /// Makes room for the bits that a full interval has opened since it was last asked, and adds
    /// what they are at least.
    void add(const CabacInterval::Low& low) {
        const size_t n_known = bits_.empty() ? 0 : CabacInterval::kFreshBits;
        bits_.resize(bits_.size() + static_cast<size_t>(low.n_bits) - n_known);
        uint64_t rest = low.number;
        for (size_t i = bits_.size(); rest != 0; rest >>= 1) {
            --i;
            if ((rest & 1) != 0) carry_into(i);
        }
    }

    /// Behind a terminating 1: the bits of the code, all of them.
    void end(const CabacInterval::Ending& ending) {
        add({ending.bits << 1, ending.n_bits + 1});
        bits_.pop_back();  // the bit behind the code
    }

    const std::vector<bool>& bits() const { return bits_; }
    /// So many of the first bits stay, whatever is added: a carry goes no further than to a 0.
    size_t n_settled() const {
        if (bits_.size() < CabacInterval::kFreshBits) return 0;
        size_t n = bits_.size() - CabacInterval::kFreshBits;
        while (n > 0 && bits_[n - 1]) --n;
        return n > 0 ? n - 1 : 0;
    }

private:
    void carry_into(size_t i) {
        for (; bits_[i]; --i) bits_[i] = false;
        bits_[i] = true;
    }

    std::vector<bool> bits_;
};

}  // namespace pycodec_lm::h264
