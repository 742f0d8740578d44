#include "jpeg/band_ending.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

#include "jpeg/recent.hpp"

namespace pycodec_lm::jpeg {

BandEnding::BandEnding(std::shared_ptr<const BandTable> band, int n_in_block, uint32_t n_blocks)
    : band_(std::move(band)), n_in_block_(n_in_block) {
    find_runs();
    find_bits_by_coding();
    find_regular_step();
    const uint32_t least_run = band_->paths().least_run();
    uint64_t n_irregular = 1;
    if (least_run != BandPaths::kNever) n_irregular += 2 * uint64_t{band_->most_run()} + least_run;
    n_irregular = std::min<uint64_t>(n_irregular, n_blocks);
    bits_.reserve(n_irregular + 1);
    bits_.push_back(0);
    for (uint64_t n = 1; n <= n_irregular; ++n) {
        uint64_t best = step_by_run(n).n_bits;
        if (const Step coded = step_by_coding(); coded.n_bits != kNever) {
            best = std::min(best, coded.n_bits + bits_[n - 1]);
        }
        bits_.push_back(static_cast<uint32_t>(std::min(best, kNever)));
        if (best < kNever) most_irregular_bits_ = std::max(most_irregular_bits_, bits_.back());
    }
}

std::shared_ptr<const BandEnding> BandEnding::shared(
    const std::shared_ptr<const BandTable>& band, int n_in_block, uint32_t n_blocks
) {
    constexpr uint32_t kMaxSharedRun = 4096;
    const auto make = [&] {
        return std::make_shared<const BandEnding>(band, n_in_block, n_blocks);
    };
    if (std::min(band->most_run(), n_blocks) > kMaxSharedRun) return make();
    static Recent<std::tuple<const BandTable*, int, uint32_t>, BandEnding> pool;
    return pool.get({band.get(), n_in_block, n_blocks}, make);
}

void BandEnding::find_runs() {
    const HuffmanTable& table = band_->table();
    for (size_t i = 0; i < table.leaves().size(); ++i) {
        const HuffmanTable::Leaf& leaf = table.leaf(i);
        if (!is_end_of_band(leaf.symbol)) continue;
        const auto n = static_cast<size_t>(run_of(leaf.symbol));
        // The first of equals is also the shortest, since lengths grow.
        if (runs_[n].n_bits == 0) {
            runs_[n] = {i, static_cast<uint32_t>(leaf.length_bits + run_of(leaf.symbol))};
        }
    }
}

void BandEnding::find_bits_by_coding() {
    const HuffmanTable& table = band_->table();
    by_coding_.fill(kNever);
    by_coding_[0] = 0;
    for (int n = 1; n < kBlockSize; ++n) {
        for (const HuffmanTable::Leaf& leaf : table.leaves()) {
            if (!band_->is_legal(leaf.symbol, n, BandTable::kByCoding)) continue;
            const int left = n - (leaf.symbol == kZeroRunLength ? 16 : run_of(leaf.symbol) + 1);
            const auto own = static_cast<uint64_t>(leaf.length_bits + size_of(leaf.symbol));
            uint64_t& best = by_coding_[static_cast<size_t>(n)];
            best = std::min(best, own + by_coding_[static_cast<size_t>(left)]);
        }
    }
}

/// The fewest bits for a block, in the long run.
void BandEnding::find_regular_step() {
    regular_ = step_by_coding();
    for (size_t n = 0; n < runs_.size(); ++n) {
        if (runs_[n].n_bits == 0) continue;
        const uint64_t n_blocks = (uint64_t{2} << n) - 1;
        const uint64_t regular_blocks = std::max<uint64_t>(regular_.n_blocks, 1);
        if (regular_.n_bits == kNever ||
            runs_[n].n_bits * regular_blocks <= regular_.n_bits * n_blocks) {
            regular_ = {runs_[n].leaf, static_cast<uint32_t>(n_blocks), runs_[n].n_bits};
        }
    }
}

uint64_t BandEnding::bits(uint64_t n_blocks) const {
    if (n_blocks <= last_irregular()) return bits_[n_blocks];
    const uint64_t n_steps = n_regular_steps(n_blocks);
    const uint64_t rest = bits_[n_blocks - n_steps * blocks_of_regular_step()];
    return rest == kNever || regular_.n_bits == kNever ? kNever : n_steps * regular_.n_bits + rest;
}

uint64_t BandEnding::most_bits(uint64_t n_blocks) const {
    return n_regular_steps(n_blocks) * regular_.n_bits + most_irregular_bits_;
}

/// Before no more than last_irregular() blocks are left.
uint64_t BandEnding::n_regular_steps(uint64_t n_blocks) const {
    if (n_blocks <= last_irregular()) return 0;
    const uint64_t each = blocks_of_regular_step();
    return (n_blocks - last_irregular() + each - 1) / each;
}

uint32_t BandEnding::run_for(uint64_t n_blocks, uint32_t first, uint32_t last) const {
    const uint64_t longest = std::min<uint64_t>(last, n_blocks);
    if (longest < first) return 0;
    if (bits(n_blocks - longest) < kNever) return static_cast<uint32_t>(longest);
    const uint32_t least_run = band_->paths().least_run();
    if (n_blocks < uint64_t{first} + least_run) return 0;
    return static_cast<uint32_t>(std::min<uint64_t>(longest, n_blocks - least_run));
}

/// n_bits are those of all blocks.
BandEnding::Step BandEnding::step_by_run(uint64_t n_blocks) const {
    Step best{.n_bits = kNever};
    for (uint32_t n = 0; n < runs_.size(); ++n) {
        if (runs_[n].n_bits == 0) continue;
        const uint32_t run = run_for(n_blocks, 1u << n, (2u << n) - 1);
        if (run == 0) continue;
        const uint64_t all = runs_[n].n_bits + bits(n_blocks - run);
        if (all < best.n_bits || (all == best.n_bits && runs_[n].leaf < best.leaf)) {
            best = {runs_[n].leaf, run, all};
        }
    }
    return best;
}

BandEnding::Step BandEnding::step_by_coding() const {
    if (band_->rules().refines) return {.n_bits = kNever};
    return {.n_bits = by_coding_[static_cast<size_t>(n_in_block_)]};
}

uint64_t BandEnding::bits_by_run(uint64_t n_blocks) const {
    if (n_blocks > last_irregular() && regular_.n_blocks > 0) return bits(n_blocks);
    return step_by_run(n_blocks).n_bits;
}

BandEnding::Step BandEnding::step(uint64_t n_blocks) const {
    if (n_blocks > last_irregular()) return regular_;
    Step run = step_by_run(n_blocks);
    const Step coded = step_by_coding();
    if (coded.n_bits < kNever && coded.n_bits + bits(n_blocks - 1) < run.n_bits) return coded;
    run.n_bits -= bits(n_blocks - run.n_blocks);
    return run;
}

bool BandEnding::ends_by_runs(uint64_t n_blocks) const {
    if (n_blocks > last_irregular()) {
        if (regular_.n_blocks == 0) return false;
        n_blocks -= n_regular_steps(n_blocks) * regular_.n_blocks;
    }
    while (n_blocks > 0) {
        const Step run = step_by_run(n_blocks);
        if (run.n_bits >= kNever) return false;
        if (step_by_coding().n_bits + bits(n_blocks - 1) < run.n_bits) return false;
        n_blocks -= run.n_blocks;
    }
    return true;
}

}  // namespace pycodec_lm::jpeg
