// How long endings near a state can get: bounds that are cheap, for budgets that are far.
#include <algorithm>
#include <bit>
#include <limits>

#include "jpeg/band_ending.hpp"
#include "jpeg/band_intervals.hpp"
#include "jpeg/cursor.hpp"

namespace pycodec_lm::jpeg {
namespace {

constexpr uint64_t kUnknown = std::numeric_limits<uint64_t>::max();
constexpr uint64_t kOverheadBytes = 4;  // a stuffed 00 and an RST marker that are due, padding

/// Stuffing: what whole MCUs can cause at the worst phase.
uint64_t most_bytes_of_mcus(const ScanPlan& plan, uint64_t n_mcus) {
    return n_mcus * plan.cheapest_mcu_bits() / 8 + 1 + plan.most_stuffed_bytes(n_mcus) +
           kOverheadBytes;
}

/// Every byte of an MCU that has begun can be stuffed.
uint64_t most_begun_bytes(const ScanPlan& plan) { return 2 * (plan.max_mcu_bits() / 8 + 1); }

/// Of whole blocks ended by runs, without correction bits, which are no 1-bits; every byte of runs
/// can be stuffed.
uint64_t most_bytes_of_runs(const ScanPlan& plan, uint64_t n_blocks) {
    return 2 * (plan.band_ending().most_bits(n_blocks) / 8 + 1) + kOverheadBytes;
}

/// The interval that `n_left` MCUs are left of, or the next one where that is longer, and all that
/// come after it, the first of which begins at an MCU.
template <class BytesOfInterval>
uint64_t most_bytes_of_scan(
    const ScanPlan& plan, uint32_t n_left, uint32_t next_mcu, const BytesOfInterval& bytes
) {
    if (next_mcu >= plan.n_mcus()) return bytes(n_left);
    const uint32_t length = plan.interval_length_mcus(next_mcu);
    const uint64_t n_intervals = divide_up(plan.n_mcus() - next_mcu, length);
    return bytes(std::max(n_left, length)) + n_intervals * bytes(length);
}

uint64_t most_bytes_of_scan(const ScanPlan& plan, uint32_t n_left, uint32_t next_mcu) {
    if (codes_bands(plan.kind())) {
        return most_bytes_of_scan(plan, n_left, next_mcu, [&plan](uint32_t n_blocks) {
            return most_bytes_of_runs(plan, n_blocks);
        });
    }
    return most_bytes_of_scan(plan, n_left, next_mcu, [&plan](uint32_t n_mcus) {
        return most_bytes_of_mcus(plan, n_mcus);
    });
}

}  // namespace

uint64_t JpegCursor::ending_bound(uint64_t n_bytes) const {
    const Position& p = position_;
    if (is_complete()) return 0;
    if (!p.in_scan) {
        // Inside a comment every byte brings the end nearer; else the header may ask for more.
        const bool in_text = p.at == Element::kCmi || p.at == Element::kApi;
        const bool is_known = n_bytes == 0 || (in_text && p.segment_left >= n_bytes);
        return is_known ? bytes_to_complete() : kUnknown;
    }
    const ScanPlan& plan = this->plan();
    if (n_bytes == 0) return bytes_to_complete();
    if (plan.is_open()) return kUnknown;
    if (p.in_band) return band_ending_bound(n_bytes);
    // After the scan the header may ask for anything, or pinned scans begin, whose states have
    // bounds of their own.
    const uint64_t least_left_bytes =
        uint64_t{plan.n_mcus() - p.mcu} * plan.cheapest_mcu_bits() / 8;
    if (!only_end_follows() && least_left_bytes < n_bytes + plan.max_mcu_bits() / 8 + 1)
        return kUnknown;
    // Wherever the bytes lead, they lead into an interval no longer than this one or the next, with
    // no more of the scan after it than is after this one.
    const uint32_t n_left = p.restart_due ? 0 : p.interval_left_mcus;
    const uint32_t next_interval = p.mcu + n_left;
    const uint64_t n_mcus = std::max<uint64_t>(
        n_left, next_interval < plan.n_mcus() ? plan.interval_length_mcus(next_interval) : 0
    );
    return most_bytes_of_mcus(plan, n_mcus) + most_begun_bytes(plan) +
           plan.later_intervals_bytes(next_interval) + bytes_after_scan();
}

/// A band can end in two bytes, and so can the next ones: a bound of this scan and all later ones.
uint64_t JpegCursor::band_ending_bound(uint64_t n_bytes) const {
    const Position& p = position_;
    if (!only_end_follows() && !grammar_->is_pinned()) return kUnknown;
    const LaterScans& later = plan().later_scans([this] { return later_scans(); });
    if (!later.is_known || !plan().ends_by_runs()) return kUnknown;
    // Each coefficient that the scan or the bytes add may take a bit in each later refinement.
    const uint64_t n_new = p.history_log.n_coefficients() + kBlockSize + 8 * n_bytes;
    const uint64_t n_corrections = later.n_corrections + n_new * later.n_refinements;
    const uint32_t n_left = p.restart_due ? 0 : p.interval_left_mcus;
    return most_bytes_of_scan(plan(), n_left, p.mcu + n_left) + later.most_bytes +
           later.most_begun_bytes + n_corrections / 8 + 1;
}

/// What band_ending_bound() has to know of a scan, this one or one that follows it.
void JpegCursor::add_bounds(LaterScans& later) const {
    const ScanPlan& plan = this->plan();
    later.most_begun_bytes = std::max(later.most_begun_bytes, most_begun_bytes(plan));
    if (plan.kind() != ScanKind::kAcRefinement) return;
    ++later.n_refinements;
    // Of the scan itself these are the coefficients before it, of later ones those known so far.
    const auto& history = header_->histories[plan.component(0).frame_index];
    if (history)
        later.n_corrections +=
            Corrections(*history, plan.parameters(), 0).take_before(plan.n_mcus());
}

uint64_t JpegCursor::most_bytes_of_whole_scan() const {
    return most_bytes_of_scan(
        plan(), plan().interval_length_mcus(0), plan().interval_length_mcus(0)
    );
}

}  // namespace pycodec_lm::jpeg
