// Intervals of progressive scans that code bands of AC coefficients: T.81 G.1.2.2, G.1.2.3.
//
// What JpegCursor forbids because it would strand blocks is not asked here: an interval that ends
// as it must has stranded none. Places are taken only before as many blocks as can always be coded.
#pragma once

#include <cstdint>
#include <span>

#include "jpeg/interval_fast.hpp"
#include "jpeg/symbol_lookup.hpp"

namespace pycodec_lm::jpeg {

class FastBand final : public FastIntervals {
public:
    explicit FastBand(const ScanPlan& plan);
    bool check(const IntervalBytes& interval, uint32_t first_mcu, uint32_t n_mcus) override;

private:
    struct Blocks {
        uint32_t next;
        uint32_t n_left;  // of the interval
    };
    bool take_all(const IntervalBytes& interval, Blocks blocks);
    bool take_first(BitReader& reader, Blocks& blocks, const uint8_t* end);
    bool take_refined(BitReader& reader, Blocks& blocks, const IntervalBytes& interval);
    uint64_t known_coefficients(uint32_t block);
    uint64_t n_corrections(uint64_t left, uint32_t first_block, uint32_t n_blocks) const;
    void add_history(uint32_t block, uint64_t coefficients) {
        if (coefficients != 0) history_.push_back({block, coefficients});
    }

    const ScanPlan& plan_;
    SymbolLookup lookup_;
    // Of a refinement: what was known before the scan, and the first that is of use yet.
    std::span<const uint32_t> known_blocks_;
    std::span<const uint64_t> known_coefficients_;
    size_t known_index_ = 0;
    size_t n_history_at_place_ = 0;
};

}  // namespace pycodec_lm::jpeg
