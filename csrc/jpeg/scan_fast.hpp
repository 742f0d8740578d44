// The whole-buffer loop over entropy-coded data: twin of JpegCursor's bit by bit walk.
#pragma once

#include <array>
#include <cstdint>

#include "jpeg/block_lookup.hpp"
#include "jpeg/cursor.hpp"
#include "jpeg/interval_bits.hpp"

namespace pycodec_lm::jpeg {

/// Checks scans by table look-up, several symbols at a time. It only ever says yes: where something
/// is not what it expects, the cursor is left a little before that place, and pushing the bytes
/// from there finds what is wrong and where.
class FastScan {
public:
    /// The cursor is in a scan of the kind that this is for.
    static bool takes(const JpegCursor& cursor) {
        const ScanPlan& plan = *cursor.header().scan;
        return plan.kind() == ScanKind::kSequential && !plan.is_open();
    }
    /// Takes a cursor that stands at the start of a scan over as much as is in order; returns the
    /// offset it then stands at.
    static size_t advance(JpegCursor& cursor, const uint8_t* data, size_t n_bytes, size_t offset);

private:
    // MCUs are taken in groups of about so many blocks.
    static constexpr size_t kBlocksInGroup = 64;
    static_assert(kBlocksInGroup >= kMaxBlocksInMcu);
    /// A place between two MCUs of an interval.
    struct Place {
        uint32_t n_mcus = 0;  // before it, in the interval
        uint64_t bit = 0;
        Predictors predictors{};
    };

    explicit FastScan(const ScanPlan& plan);
    bool check_interval(uint32_t n_mcus);
    bool take_blocks(BitReader& reader, size_t n_blocks);
    bool add_differences(uint32_t n_mcus, Predictors& predictors) const;
    const BlockLookup& lookup_of(size_t block_in_group) const;
    size_t leave_at(JpegCursor& cursor, const Place& place) const;

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
    IntervalBytes interval_;
    Place place_;  // the start of the last group but one of those in order
};

}  // namespace pycodec_lm::jpeg
