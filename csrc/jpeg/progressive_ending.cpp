// The shortest known ending inside scans that code bands: which code comes next, and how many bytes
// are left. What whole blocks take is BandEnding's.
#include <algorithm>
#include <bit>
#include <tuple>

#include "jpeg/band_ending.hpp"
#include "jpeg/cursor.hpp"
#include "jpeg/markers.hpp"

namespace pycodec_lm::jpeg {

/// The bits of an ending since a byte boundary.
class EndingBits {
public:
    void add(uint32_t value, int n) {
        for (int i = n - 1; i >= 0; --i) n_stuffed_ += phase_.add((value >> i) & 1);
        n_bits_ += static_cast<uint64_t>(n);
    }
    void add_zeros(uint64_t n) {
        if (n == 0) return;
        n_bits_ += n;
        const uint64_t in_byte = (phase_.n_bits + n) % 8;
        phase_ = {static_cast<uint8_t>(in_byte), in_byte == 0};
    }
    uint64_t n_bytes() const { return n_bits_ / 8 + n_stuffed_; }
    int bit() const { return phase_.n_bits; }

private:
    BytePhase phase_;
    uint64_t n_bits_ = 0;
    uint64_t n_stuffed_ = 0;
};

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
    if (p.k == plan.parameters().ss && n_blocks > ending.last_irregular()) {
        const size_t leaf = ending.regular_step().leaf;
        const bool is_run = ending.regular_step().n_blocks > 0;
        if (is_run && node.first_leaf <= leaf && leaf < node.end_leaf) return leaf;
    }
    const bool refines = plan.kind() == ScanKind::kAcRefinement;
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

/// Takes the step of the ending at the start of a block, where it is a run; counts its bits.
bool JpegCursor::skip_band_step(EndingBits& bits) {
    Position& p = position_;
    const ScanPlan& plan = this->plan();
    const BandEnding& ending = plan.band_ending();
    const bool is_start = p.at == Element::kAcCode && p.n_partial == 0 &&
                          p.k == plan.parameters().ss && p.new_coefficients == 0;
    if (!is_start || p.interval_left_mcus < plan.band().paths().least_run()) return false;
    const uint32_t n_blocks = p.interval_left_mcus;
    if (n_blocks <= ending.last_irregular() && !is_last_known()) {
        const uint64_t coded = ending.bits_by_coding(band_left()) + ending.bits(n_blocks - 1);
        if (coded < ending.bits_by_run(n_blocks)) return false;
    }
    const BandEnding::Step step = ending.step(n_blocks);
    if (step.n_blocks == 0) return false;
    const HuffmanTable::Leaf& leaf = plan.component(0).ac->leaf(step.leaf);
    const int n = run_of(leaf.symbol);
    bits.add(leaf.code, leaf.length_bits);
    bits.add(step.n_blocks - (1u << n), n);
    if (plan.kind() == ScanKind::kAcRefinement) {
        const auto blocks = plan.history().blocks();
        const auto coefficients = plan.history().coefficients();
        const uint64_t band = band_mask(plan.parameters().ss, plan.parameters().se);
        uint64_t n_corrections = 0;
        for (; p.history_index < blocks.size() && blocks[p.history_index] < p.mcu + step.n_blocks;
             ++p.history_index) {
            if (blocks[p.history_index] < p.mcu) continue;
            n_corrections +=
                static_cast<uint64_t>(std::popcount(coefficients[p.history_index] & band));
        }
        bits.add_zeros(n_corrections);
    }
    p.bit = static_cast<uint8_t>(bits.bit());
    skip_blocks(step.n_blocks - 1);
    end_band_block();
    return true;
}

/// From a byte boundary inside an interval to the end of the file.
uint64_t JpegCursor::band_scan_ending_bytes() const {
    JpegCursor cursor = *this;
    cursor.observer_ = nullptr;
    Position& p = cursor.position_;
    uint64_t n_bytes = 0;
    while (true) {
        EndingBits bits;
        while (p.in_scan && !p.restart_due) {
            if (cursor.skip_band_step(bits)) continue;
            const Bits field = cursor.ending_field();
            bits.add(field.value, field.n);
            cursor.take_legal(field.value, field.n);
        }
        n_bytes += bits.n_bytes();
        if (!p.in_scan) return n_bytes + cursor.bytes_to_complete();
        n_bytes += kRestartMarkerBytes;
        cursor.expect(Element::kMarker);
        cursor.take_marker(static_cast<uint8_t>(marker::kRst0 + p.restart_number));
    }
}

}  // namespace pycodec_lm::jpeg
