// The whole-buffer loop over entropy-coded data: twin of JpegCursor's bit by bit walk.
#pragma once

#include <array>
#include <cstdint>

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
    /// A place between two MCUs of an interval.
    struct Place {
        uint32_t n_mcus = 0;  // before it, in the interval
        uint64_t bit = 0;
        Predictors predictors{};
    };

    explicit FastScan(const ScanPlan& plan) : plan_(plan) {}
    bool check_interval(uint32_t n_mcus);
    size_t leave_at(JpegCursor& cursor, const Place& place) const;

    const ScanPlan& plan_;
    IntervalBytes interval_;
    // The last places of an interval that were looked at in passing, and how far it was in order.
    Place earlier_, later_;
    uint64_t reached_bit_ = 0;
};

}  // namespace pycodec_lm::jpeg
