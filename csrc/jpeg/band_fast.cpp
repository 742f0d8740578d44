#include "jpeg/band_fast.hpp"

namespace pycodec_lm::jpeg {
namespace {

constexpr int kBlocksInGroup = 64;

SymbolLookup::Legal symbols_of(const HuffmanTable& table, const BandRules& rules) {
    SymbolLookup::Legal legal;
    for (const HuffmanTable::Leaf& leaf : table.leaves())
        legal[leaf.symbol] = size_of(leaf.symbol) == 0 || rules.is_coefficient(leaf.symbol);
    return legal;
}

/// T.81 G.1.2.2: the blocks of EOBn, whose code has been taken.
uint32_t take_run(BitReader& bits, int n) {
    const uint32_t run = (1u << n) + (bits.peek(16) >> (16 - n));
    bits.skip(static_cast<unsigned>(n));
    return run;
}

uint64_t lowest_removed(uint64_t set) { return set & (set - 1); }

/// std::popcount() is a call where not every machine that is compiled for counts in one step.
unsigned size_of_set(uint64_t set) {
    set -= (set >> 1) & 0x5555555555555555;
    set = (set & 0x3333333333333333) + ((set >> 2) & 0x3333333333333333);
    set = (set + (set >> 4)) & 0x0F0F0F0F0F0F0F0F;
    return static_cast<unsigned>((set * 0x0101010101010101) >> 56);
}

}  // namespace

FastBand::FastBand(const ScanPlan& plan)
    : plan_(plan),
      lookup_(*plan.component(0).ac, symbols_of(*plan.component(0).ac, plan.band().rules())) {
    if (plan.kind() != ScanKind::kAcRefinement) return;
    known_blocks_ = plan.history().blocks();
    known_coefficients_ = plan.history().coefficients();
}

/// Some blocks of a first scan; false where one is not in order.
bool FastBand::take_first(BitReader& reader, Blocks& blocks, const uint8_t* end) {
    const int se = plan_.parameters().se;
    BitReader bits = reader;  // by value, or it would live in memory
    Blocks at = blocks;
    for (int i = 0; i < kBlocksInGroup && at.n_left > 0; ++i) {
        uint64_t coefficients = 0;
        uint32_t n_blocks = 1;
        for (int k = plan_.parameters().ss; k <= se; ++k) {
            if (!bits.is_near(end)) return false;
            bits.refill();
            const SymbolLookup::Symbol symbol = lookup_.find(bits.peek(16));
            if (symbol.length_bits == 0) return false;
            bits.skip(symbol.length_bits);
            const int size = size_of(symbol.value);
            if (size == 0 && symbol.value != kZeroRunLength) {
                n_blocks = take_run(bits, run_of(symbol.value));
                break;
            }
            k += run_of(symbol.value);
            // A coefficient follows the sixteenth zero.
            if (k + (size == 0 ? 1 : 0) > se) return false;
            bits.skip(static_cast<unsigned>(size));
            if (size > 0) coefficients |= uint64_t{1} << k;
        }
        if (n_blocks > at.n_left) return false;
        add_history(at.next, coefficients);
        at.next += n_blocks;
        at.n_left -= n_blocks;
    }
    reader = bits;
    blocks = at;
    return true;
}

/// Some blocks of a refinement, as Figure G.7 has it; false where one is not in order. Correction
/// bits may be anything, so they are only counted.
bool FastBand::take_refined(BitReader& reader, Blocks& blocks, const IntervalBytes& interval) {
    const int se = plan_.parameters().se;
    const uint64_t band = band_mask(plan_.parameters().ss, se);
    BitReader bits = reader;
    Blocks at = blocks;
    for (int i = 0; i < kBlocksInGroup && at.n_left > 0; ++i) {
        const uint64_t known = known_coefficients(at.next) & band;
        uint64_t corrections = known;  // those that come yet
        uint64_t coefficients = 0;
        uint32_t n_blocks = 1;
        for (int k = plan_.parameters().ss; k <= se; ++k) {
            if (!bits.is_near(interval.data_end())) return false;
            bits.refill();
            const SymbolLookup::Symbol symbol = lookup_.find(bits.peek(16));
            if (symbol.length_bits == 0) return false;
            bits.skip(symbol.length_bits);
            const int size = size_of(symbol.value);
            if (size == 0 && symbol.value != kZeroRunLength) {
                n_blocks = take_run(bits, run_of(symbol.value));
                if (n_blocks > at.n_left) return false;
                const uint64_t n = n_corrections(corrections, at.next, n_blocks);
                if (bits.position_bits() + n > interval.n_bits()) return false;
                bits.skip_far(n);
                break;
            }
            k += run_of(symbol.value);
            unsigned n_bits = static_cast<unsigned>(size);
            for (; k <= se && corrections << (63 - k) != 0; ++k, ++n_bits)
                corrections = lowest_removed(corrections);
            if (k > se) return false;
            if (size > 0) {
                coefficients |= uint64_t{1} << k;
            } else if ((band & ~known) >> k >> 1 == 0) {
                return false;  // a coefficient follows the sixteenth zero
            }
            bits.skip_far(n_bits);
        }
        add_history(at.next, coefficients);
        at.next += n_blocks;
        at.n_left -= n_blocks;
    }
    reader = bits;
    blocks = at;
    return true;
}

uint64_t FastBand::known_coefficients(uint32_t block) {
    while (known_index_ < known_blocks_.size() && known_blocks_[known_index_] < block)
        ++known_index_;
    const bool is_known =
        known_index_ < known_blocks_.size() && known_blocks_[known_index_] == block;
    return is_known ? known_coefficients_[known_index_] : 0;
}

/// Of an end of band: those left in its first block, and all of the others.
uint64_t FastBand::n_corrections(uint64_t left, uint32_t first_block, uint32_t n_blocks) const {
    uint64_t n = size_of_set(left);
    if (n_blocks == 1) return n;
    const uint64_t band = band_mask(plan_.parameters().ss, plan_.parameters().se);
    for (size_t i = known_index_; i < known_blocks_.size(); ++i) {
        if (known_blocks_[i] >= first_block + n_blocks) break;
        if (known_blocks_[i] > first_block) n += size_of_set(known_coefficients_[i] & band);
    }
    return n;
}

bool FastBand::take_all(const IntervalBytes& interval, Blocks blocks) {
    const uint32_t n_mcus = blocks.n_left;
    const uint32_t least_run = plan_.band().paths().least_run();
    const bool refines = plan_.kind() == ScanKind::kAcRefinement;
    BitReader bits(interval.data());
    uint64_t bit = 0;
    while (blocks.n_left > 0) {
        const IntervalPlace start{.n_mcus = n_mcus - blocks.n_left, .bit = bit};
        const size_t n_history = history_.size();
        if (!(refines ? take_refined(bits, blocks, interval)
                      : take_first(bits, blocks, interval.data_end()))) {
            return false;
        }
        bit = bits.position_bits();
        if (bit > interval.n_bits()) return false;
        if (bit < start.bit + kBitsBehindPlace || blocks.n_left < least_run) continue;
        place_ = start;
        n_history_at_place_ = n_history;
    }
    return interval.may_end_at(bit);
}

bool FastBand::check(const IntervalBytes& interval, uint32_t first_mcu, uint32_t n_mcus) {
    place_ = {};
    n_history_at_place_ = history_.size();
    if (take_all(interval, {first_mcu, n_mcus})) return true;
    history_.resize(n_history_at_place_);
    return false;
}

}  // namespace pycodec_lm::jpeg
