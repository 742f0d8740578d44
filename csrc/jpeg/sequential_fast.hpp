// Intervals of sequential scans, several symbols at a time: T.81 F.1.2, F.2.2.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "jpeg/block_lookup.hpp"
#include "jpeg/interval_fast.hpp"

namespace pycodec_lm::jpeg {

class FastSequential final : public FastIntervals {
public:
    explicit FastSequential(const ScanPlan& plan);
    bool check(const IntervalBytes& interval, uint32_t first_mcu, uint32_t n_mcus) override;

private:
    // MCUs are taken in groups of about so many blocks.
    static constexpr size_t kBlocksInGroup = 64;
    static_assert(kBlocksInGroup >= kMaxBlocksInMcu);

    bool take_blocks(BitReader& reader, size_t n_blocks, const uint8_t* end);
    bool add_differences(uint32_t n_mcus, Predictors& predictors) const;
    const BlockLookup& lookup_of(size_t block_in_group) const;

    const ScanPlan& plan_;
    uint32_t mcus_in_group_;
    std::array<std::shared_ptr<const BlockLookup>, kMaxComponents> lookups_;  // by component
    /// What a block goes on with.
    struct NextRuns {
        const BlockLookup::Runs* if_ended;
        const BlockLookup::Runs* if_not;
    };
    std::array<NextRuns, kBlocksInGroup> next_runs_{};
    // The bits that blocks began with, beside those of the last run that did not begin one.
    std::array<std::array<uint32_t, 2>, kBlocksInGroup> heads_{};
};

}  // namespace pycodec_lm::jpeg
