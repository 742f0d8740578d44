// The whole-buffer loop over entropy-coded data: twin of JpegCursor's bit by bit walk.
#pragma once

#include <cstdint>
#include <memory>

#include "jpeg/cursor.hpp"
#include "jpeg/interval_bits.hpp"
#include "jpeg/interval_fast.hpp"

namespace pycodec_lm::jpeg {

/// Checks scans by table look-up, interval by interval. It only ever says yes: where something is
/// not what it expects, the cursor is left a little before that place, and pushing the bytes from
/// there finds what is wrong and where.
class FastScan {
public:
    /// The cursor is in a scan of the kind that this is for.
    static bool takes(const JpegCursor& cursor) { return !cursor.header().scan->is_open(); }
    /// Takes a cursor that stands at the start of a scan over as much as is in order; returns the
    /// offset it then stands at.
    static size_t advance(JpegCursor& cursor, const uint8_t* data, size_t n_bytes, size_t offset);

private:
    explicit FastScan(const ScanPlan& plan);
    size_t leave_at(JpegCursor& cursor, const IntervalPlace& place);

    IntervalBytes interval_;
    std::unique_ptr<FastIntervals> intervals_;
};

}  // namespace pycodec_lm::jpeg
