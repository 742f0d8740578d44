// The shortest known ending inside scans that code bands: which code comes next, and how many bytes
// are left. What whole blocks take is BandEnding's.
#include <algorithm>
#include <bit>
#include <tuple>

#include "jpeg/band_ending.hpp"
#include "jpeg/band_intervals.hpp"
#include "jpeg/cursor.hpp"
#include "jpeg/markers.hpp"

namespace pycodec_lm::jpeg {

/// Of a block in a refinement: the last coefficient of the band is known not to be 0, so that only
/// an end of band can end the block, for its correction bit.
bool JpegCursor::is_last_known() const {
    return plan().kind() == ScanKind::kAcRefinement &&
           ((position_.known_coefficients >> plan().parameters().se) & 1) != 0;
}

/// The leaf below the node with the fewest bits to the end of the interval.
size_t JpegCursor::cheapest_band_leaf() const {
    const Position& p = position_;
    const ScanPlan& plan = this->plan();
    const HuffmanTable& table = huffman_table();
    const HuffmanTable::Node& node = table.node(p.node);
    const BandEnding& ending = plan.band_ending();
    const uint64_t n_blocks = p.interval_left_mcus;
    const bool refines = plan.kind() == ScanKind::kAcRefinement;
    const bool by_steps = refines || n_blocks > ending.last_irregular();
    if (p.k == plan.parameters().ss && by_steps && n_blocks >= plan.band().paths().least_run()) {
        const BandEnding::Step step = ending.step(n_blocks);
        if (step.n_blocks > 0 && node.first_leaf <= step.leaf && step.leaf < node.end_leaf)
            return step.leaf;
    }
    const BandTable::Way way = band_way();
    const uint16_t runs = legal_runs();
    const int n_left = band_left();
    // Blocks that no run fits all end by coding; what they take is not counted.
    const uint64_t after = way == BandTable::kByCoding && refines ? 0 : ending.bits(n_blocks - 1);
    const auto bits_to_go = [&](int left) {
        const uint64_t coded = is_last_known() ? BandEnding::kNever : ending.bits_by_coding(left);
        if (way == BandTable::kByCoding) return coded + after;
        return std::min(ending.bits_by_run(n_blocks), coded + after);
    };
    size_t best = node.first_leaf;
    std::tuple<uint64_t, int, size_t> best_rank{BandEnding::kNever * 4, 0, 0};
    for (size_t i = node.first_leaf; i < node.end_leaf; ++i) {
        const HuffmanTable::Leaf& leaf = table.leaf(i);
        uint64_t bits = leaf.length_bits;
        int size = -1;  // of equals, an end of band
        if (is_end_of_band(leaf.symbol)) {
            const int n = run_of(leaf.symbol);
            if (((runs >> n) & 1) == 0) continue;
            const uint32_t run = ending.run_for(n_blocks, 1u << n, (2u << n) - 1);
            bits += run == 0 ? BandEnding::kNever
                             : static_cast<uint64_t>(n) + ending.bits(n_blocks - run);
        } else {
            if (!plan.band().is_legal(leaf.symbol, n_left, way)) continue;
            size = size_of(leaf.symbol);
            const int n_taken = leaf.symbol == kZeroRunLength ? 16 : run_of(leaf.symbol) + 1;
            bits += static_cast<uint64_t>(size) + bits_to_go(n_left - n_taken);
        }
        const std::tuple rank(bits, size, i);
        if (rank < best_rank) {
            best_rank = rank;
            best = i;
        }
    }
    return best;
}

/// Of EOBn: the run that the ending gives it, as far as the bits read allow.
uint32_t JpegCursor::preferred_run_bits() const {
    const Position& p = position_;
    const int n = run_of(p.symbol);
    const int n_left = n - p.n_partial;
    const uint32_t first = (1u << n) + (p.partial << n_left);
    const uint32_t last = first + (1u << n_left) - 1;
    const uint32_t run = plan().band_ending().run_for(p.interval_left_mcus, first, last);
    return run == 0 ? 0 : run - (1u << n);
}

/// A run of blocks has begun and a correction bit comes next: counts all that are left of the run,
/// and goes to its end.
void JpegCursor::skip_run_of_blocks(EndingBits& bits) {
    Position& p = position_;
    const ScanParameters& scan = plan().parameters();
    const uint32_t n_blocks = p.end_of_band_run;
    const uint64_t here = p.known_coefficients & band_mask(p.k, scan.se);
    Corrections later(plan().history(), scan, p.mcu + 1);
    bits.add_zeros(static_cast<uint64_t>(std::popcount(here)));
    bits.add_zeros(later.take_before(p.mcu + n_blocks));
    if (p.new_coefficients != 0) p.history_log.add(p.mcu, p.new_coefficients);
    p.new_coefficients = 0;
    p.end_of_band_run = 0;
    p.bit = static_cast<uint8_t>(bits.bit());
    skip_blocks(n_blocks - 1);
    end_band_block();
}

bool JpegCursor::is_at_band_block_start() const {
    const Position& p = position_;
    return p.at == Element::kAcCode && p.n_partial == 0 && p.k == plan().parameters().ss &&
           p.new_coefficients == 0;
}

/// Takes the next steps of the ending at the start of a block, where they are runs; counts their
/// bits.
bool JpegCursor::skip_band_steps(EndingBits& bits) {
    Position& p = position_;
    const ScanPlan& plan = this->plan();
    const BandEnding& ending = plan.band_ending();
    const uint32_t n_left = p.interval_left_mcus;
    if (!is_at_band_block_start() || n_left < plan.band().paths().least_run()) return false;
    if (n_left <= ending.last_irregular() && plan.kind() == ScanKind::kAcFirst) {
        const uint64_t coded = ending.bits_by_coding(band_left()) + ending.bits(n_left - 1);
        if (coded < ending.bits_by_run(n_left)) return false;
    }
    if (ending.step(n_left).n_blocks == 0) return false;
    Corrections corrections = plan.corrections_from(p.mcu);
    const uint32_t n_blocks = add_runs(bits, plan, corrections, p.mcu, n_left);
    p.bit = static_cast<uint8_t>(bits.bit());
    skip_blocks(n_blocks - 1);
    end_band_block();
    return true;
}

/// Goes from a byte boundary inside a scan to its end; returns how many bytes that takes. The
/// offset is not kept up.
uint64_t JpegCursor::skip_band_scan() {
    Position& p = position_;
    const std::shared_ptr<const ScanPlan> plan = header_->scan;
    uint64_t n_bytes = 0;
    while (true) {
        EndingBits bits;
        while (p.in_scan && !p.restart_due) {
            if (p.at == Element::kCorrectionBit && p.end_of_band_run > 0) {
                skip_run_of_blocks(bits);
            } else if (!skip_band_steps(bits)) {
                const Bits field = ending_field();
                bits.add(field.value, field.n);
                take_legal(field.value, field.n);
            }
        }
        n_bytes += bits.n_bytes();
        if (!p.in_scan) return n_bytes;
        if (plan->ends_by_runs()) {
            n_bytes += bytes_of_intervals(*plan, plan->corrections_from(p.mcu), p.mcu);
            *this = at_scan_end();
            return n_bytes;
        }
        n_bytes += kRestartMarkerBytes;
        expect(Element::kMarker);
        take_marker(static_cast<uint8_t>(marker::kRst0 + p.restart_number));
    }
}

/// From a byte boundary inside a scan that codes bands to the end of the file.
uint64_t JpegCursor::band_scan_ending_bytes() const {
    JpegCursor cursor = *this;
    cursor.observer_ = nullptr;
    uint64_t n_bytes = cursor.skip_band_scan();
    const LaterScans& later = plan().later_scans([this] { return later_scans(); });
    if (!later.is_known) return n_bytes + cursor.bytes_to_complete();
    n_bytes += later.n_bytes;
    const auto& history = cursor.header_->histories[plan().component(0).frame_index];
    for (const std::shared_ptr<const ScanPlan>& scan : later.refinements) {
        const Corrections corrections =
            history ? Corrections(*history, scan->parameters(), 0) : Corrections();
        n_bytes += bytes_of_intervals(*scan, corrections, 0);
    }
    return n_bytes;
}

LaterScans JpegCursor::later_scans() const {
    LaterScans later;
    add_bounds(later);
    JpegCursor cursor = at_scan_end();
    while (!cursor.is_complete()) {
        if (!cursor.in_scan()) {
            cursor.take_ending_byte();
            ++later.n_bytes;
            ++later.most_bytes;
            continue;
        }
        const ScanPlan& scan = cursor.plan();
        cursor.add_bounds(later);
        if (!codes_bands(scan.kind())) {
            later.n_bytes += cursor.sequential_scan_bytes();
        } else if (!scan.ends_by_runs()) {
            later.is_known = false;
            return later;
        } else if (
            scan.kind() == ScanKind::kAcRefinement &&
            scan.component(0).frame_index == plan().component(0).frame_index
        ) {
            later.refinements.push_back(cursor.header_->scan);
        } else {
            later.n_bytes += bytes_of_intervals(scan, scan.corrections_from(0), 0);
        }
        later.most_bytes += cursor.most_bytes_of_whole_scan();
        cursor = cursor.at_scan_end();
    }
    return later;
}

}  // namespace pycodec_lm::jpeg
