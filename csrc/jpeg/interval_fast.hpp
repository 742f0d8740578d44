// What the whole-buffer loop asks of each kind of scan.
#pragma once

#include <algorithm>
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

    /// Of scans with DC coefficients: MCUs from the start of an interval to its end, some at a
    /// time. take(bits, n, predictors) takes n of them; false where one is not in order.
    template <class Take>
    bool check_groups(
        const IntervalBytes& interval, uint32_t n_mcus, uint32_t mcus_in_group, const Take& take
    ) {
        BitReader bits(interval.data());
        Predictors predictors{};
        place_ = {};
        uint64_t bit = 0;
        for (uint32_t mcu = 0; mcu < n_mcus;) {
            const IntervalPlace start{.n_mcus = mcu, .bit = bit, .predictors = predictors};
            const uint32_t n = std::min(mcus_in_group, n_mcus - mcu);
            if (!take(bits, n, predictors)) return false;
            bit = bits.position_bits();
            if (bit > interval.n_bits()) return false;
            if (bit >= start.bit + kBitsBehindPlace) place_ = start;
            mcu += n;
        }
        return interval.may_end_at(bit);
    }

    IntervalPlace place_;
    std::vector<HistoryLog::Entry> history_;
};

}  // namespace pycodec_lm::jpeg
