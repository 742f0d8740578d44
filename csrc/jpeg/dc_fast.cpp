#include "jpeg/dc_fast.hpp"

#include <algorithm>

namespace pycodec_lm::jpeg {

FastDcFirst::FastDcFirst(const ScanPlan& plan) : plan_(plan) {
    SymbolLookup::Legal legal;
    for (int category = 0; category <= plan.limits().max_dc_category; ++category)
        legal.set(static_cast<size_t>(category));
    lookups_.reserve(static_cast<size_t>(plan.n_components()));
    for (int i = 0; i < plan.n_components(); ++i)
        lookups_.emplace_back(*plan.component(i).dc, legal);
}

/// False where one is not in order.
bool FastDcFirst::take_mcus(
    BitReader& reader, uint32_t n_mcus, const uint8_t* end, Predictors& predictors
) const {
    const SampleLimits limits = plan_.limits();
    BitReader bits = reader;  // by value, or it would live in memory
    bool is_in_range = true;
    for (uint32_t mcu = 0; mcu < n_mcus; ++mcu) {
        for (int block = 0; block < plan_.n_blocks(); ++block) {
            const auto component = static_cast<size_t>(plan_.component_of_block(block));
            if (!bits.is_near(end)) return false;
            bits.refill();
            const SymbolLookup::Symbol category = lookups_[component].find(bits.peek(16));
            if (category.length_bits == 0) return false;
            bits.skip(category.length_bits);
            const uint32_t amplitude = bits.peek(16) >> (16 - category.value);
            bits.skip(category.value);
            int32_t& predictor = predictors[component];
            predictor += extend(amplitude, category.value);
            is_in_range &= (predictor >= limits.min_dc) & (predictor <= limits.max_dc);
        }
    }
    reader = bits;
    return is_in_range;
}

bool FastDcFirst::check(const IntervalBytes& interval, uint32_t /*first_mcu*/, uint32_t n_mcus) {
    constexpr uint32_t kMcusInGroup = 32;
    const auto take = [&](BitReader& bits, uint32_t n, Predictors& predictors) {
        return take_mcus(bits, n, interval.data_end(), predictors);
    };
    return check_groups(interval, n_mcus, kMcusInGroup, take);
}

bool FastDcRefinement::check(
    const IntervalBytes& interval, uint32_t /*first_mcu*/, uint32_t n_mcus
) {
    const auto blocks_in_mcu = static_cast<uint64_t>(plan_.n_blocks());
    const uint64_t n_bits = n_mcus * blocks_in_mcu;
    if (interval.may_end_at(n_bits)) return true;
    place_ = {};
    const uint64_t n_good = std::min(n_bits, interval.n_bits());
    if (n_good >= kBitsBehindPlace) {
        place_.n_mcus = static_cast<uint32_t>((n_good - kBitsBehindPlace) / blocks_in_mcu);
        place_.bit = place_.n_mcus * blocks_in_mcu;
    }
    return false;
}

}  // namespace pycodec_lm::jpeg
