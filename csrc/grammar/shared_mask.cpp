#include "grammar/shared_mask.hpp"

namespace pycodec_lm {

void SharedMask::write(std::span<const int32_t> counters, MaskWords mask) const {
    std::copy(words_.begin(), words_.end(), mask.begin());
    const int32_t largest = largest_magnitude(counters);
    for (size_t group = 0; group < n_groups() && groups_[group].margin < largest; ++group) {
        const std::span<const CounterRange> all = ranges(group);
        bool allowed = true;
        for (size_t i = 0; i < n_counters_; ++i) allowed &= all[i].contains(counters[i]);
        if (allowed) continue;
        for (const TokenId token : tokens(group)) clear_bit(mask, token);
    }
}

size_t SharedMask::n_bytes() const {
    return sizeof(SharedMask) + words_.capacity() * sizeof(uint32_t) +
           groups_.capacity() * sizeof(Group) + ranges_.capacity() * sizeof(CounterRange) +
           tokens_.capacity() * sizeof(TokenId) + late_nodes_.capacity() * sizeof(LateNode);
}

}  // namespace pycodec_lm
