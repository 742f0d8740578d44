// What the whole-buffer loop asks of each kind of scan.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "jpeg/interval_bits.hpp"
#include "jpeg/scan_plan.hpp"

namespace pycodec_lm::jpeg {

/// A place between two MCUs of an interval.
struct IntervalPlace {
    uint32_t n_mcus = 0;  // before it, in the interval
    uint64_t bit = 0;
    Predictors predictors{};
};

/// Checks intervals of one scan, in their order.
class FastIntervals {
public:
    virtual ~FastIntervals() = default;

    /// The interval holds these MCUs of the scan, is in order and ends after them.
    virtual bool check(const IntervalBytes& interval, uint32_t first_mcu, uint32_t n_mcus) = 0;

    /// Where the last check() was false: a place before what is wrong, and so is the end of its
    /// byte.
    const IntervalPlace& place() const { return place_; }

    /// What the scan of a band says up to there, or to the end of the interval.
    std::vector<HistoryLog::Entry> take_history() { return std::move(history_); }

protected:
    /// The cursor is put behind the byte of a place, which must be in order to its last bit: a
    /// place is good when so much behind it is.
    static constexpr uint64_t kBitsBehindPlace = 8;

    IntervalPlace place_;
    std::vector<HistoryLog::Entry> history_;
};

}  // namespace pycodec_lm::jpeg
