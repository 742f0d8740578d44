#include "jpeg/scan_fast.hpp"

#include "jpeg/band_fast.hpp"
#include "jpeg/dc_fast.hpp"
#include "jpeg/markers.hpp"
#include "jpeg/sequential_fast.hpp"

namespace pycodec_lm::jpeg {
namespace {

std::unique_ptr<FastIntervals> intervals_of(const ScanPlan& plan) {
    switch (plan.kind()) {
        case ScanKind::kSequential:
            return std::make_unique<FastSequential>(plan);
        case ScanKind::kDcFirst:
            return std::make_unique<FastDcFirst>(plan);
        case ScanKind::kDcRefinement:
            return std::make_unique<FastDcRefinement>(plan);
        default:
            return std::make_unique<FastBand>(plan);
    }
}

}  // namespace

FastScan::FastScan(const ScanPlan& plan) : intervals_(intervals_of(plan)) {}

/// Puts a cursor that stands at the start of the interval behind the byte of a place.
size_t FastScan::leave_at(JpegCursor& cursor, const IntervalPlace& place) {
    JpegCursor::Position& p = cursor.position_;
    const auto index = static_cast<size_t>(place.bit / 8);
    const int n_taken = static_cast<int>(place.bit % 8);
    p.mcu += place.n_mcus;
    p.interval_left_mcus -= place.n_mcus;
    p.predictors = place.predictors;
    if (p.in_band) cursor.begin_band_block();
    const size_t offset = interval_.offset_of(index);
    p.offset = offset;
    p.bit = static_cast<uint8_t>(n_taken);
    const uint8_t byte = interval_.data()[index];
    cursor.take_legal(byte & (0xFFu >> n_taken), 8 - n_taken);
    cursor.end_byte(byte, true, false);
    return offset + 1;
}

size_t FastScan::advance(JpegCursor& cursor, const uint8_t* data, size_t n_bytes, size_t offset) {
    const std::shared_ptr<const Header> header = cursor.header_;
    const ScanPlan& plan = *header->scan;
    FastScan scan(plan);
    FastIntervals& intervals = *scan.intervals_;
    JpegCursor::Position& p = cursor.position_;
    while (true) {
        scan.interval_.read(data, n_bytes, offset);
        const uint32_t n_mcus = p.interval_left_mcus;
        if (!intervals.check(scan.interval_, p.mcu, n_mcus)) {
            const IntervalPlace& place = intervals.place();
            p.history_log.append(intervals.take_history());
            return place.n_mcus > 0 ? scan.leave_at(cursor, place) : offset;
        }
        offset = scan.interval_.end();
        p.mcu += n_mcus;
        p.interval_left_mcus = 0;
        p.k = 0;
        p.offset = offset;
        if (p.mcu == plan.n_mcus()) p.history_log.append(intervals.take_history());
        cursor.end_interval();
        if (!p.restart_due) return offset;
        // RSTm without fill bytes; anything else is the cursor's.
        if (data[offset + 1] != marker::kRst0 + p.restart_number) {
            p.history_log.append(intervals.take_history());
            return offset;
        }
        cursor.expect(Element::kMarker);
        cursor.take(data[offset + 1]);
        offset += 2;
        p.offset = offset;
    }
}

}  // namespace pycodec_lm::jpeg
