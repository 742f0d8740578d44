// Intervals of progressive scans of DC coefficients: T.81 G.1.2.1.
#pragma once

#include <cstdint>
#include <vector>

#include "jpeg/interval_fast.hpp"
#include "jpeg/symbol_lookup.hpp"

namespace pycodec_lm::jpeg {

class FastDcFirst final : public FastIntervals {
public:
    explicit FastDcFirst(const ScanPlan& plan);
    bool check(const IntervalBytes& interval, uint32_t first_mcu, uint32_t n_mcus) override;

private:
    bool take_mcus(
        BitReader& reader, uint32_t n_mcus, const uint8_t* end, Predictors& predictors
    ) const;

    const ScanPlan& plan_;
    std::vector<SymbolLookup> lookups_;  // by component
};

/// One bit for each block, whatever it is.
class FastDcRefinement final : public FastIntervals {
public:
    explicit FastDcRefinement(const ScanPlan& plan) : plan_(plan) {}
    bool check(const IntervalBytes& interval, uint32_t first_mcu, uint32_t n_mcus) override;

private:
    const ScanPlan& plan_;
};

}  // namespace pycodec_lm::jpeg
