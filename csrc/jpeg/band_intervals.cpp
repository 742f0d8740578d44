#include "jpeg/band_intervals.hpp"

#include <algorithm>
#include <bit>

#include "jpeg/band_ending.hpp"

namespace pycodec_lm::jpeg {

Corrections::Corrections(
    const CoefficientHistory& history, const ScanParameters& scan, uint32_t block
)
    : history_(&history), band_(band_mask(scan.ss, scan.se)) {
    const auto blocks = history.blocks();
    const auto first = std::lower_bound(blocks.begin(), blocks.end(), block);
    index_ = static_cast<size_t>(first - blocks.begin());
    skip();
}

void Corrections::skip() {
    if (history_ == nullptr) return;
    const auto coefficients = history_->coefficients();
    while (index_ < coefficients.size() && (coefficients[index_] & band_) == 0) ++index_;
}

uint32_t Corrections::next_block() const {
    if (history_ == nullptr || index_ == history_->blocks().size())
        return CoefficientHistory::kNoBlock;
    return history_->blocks()[index_];
}

uint64_t Corrections::take_before(uint32_t end) {
    uint64_t n = 0;
    for (; next_block() < end; skip()) {
        n += static_cast<uint64_t>(std::popcount(history_->coefficients()[index_++] & band_));
    }
    return n;
}

uint32_t add_runs(
    EndingBits& bits, const ScanPlan& plan, Corrections& corrections, uint32_t block,
    uint32_t n_blocks
) {
    const BandEnding& ending = plan.band_ending();
    const BandEnding::Step step = ending.step(n_blocks);
    const HuffmanTable::Leaf& leaf = plan.component(0).ac->leaf(step.leaf);
    const int n = run_of(leaf.symbol);
    const uint32_t text = uint32_t{leaf.code} << n | (step.n_blocks - (1u << n));
    const int n_bits = leaf.length_bits + n;
    uint32_t n_steps = 1;
    if (n_blocks > ending.last_irregular()) {
        const uint64_t n_alike = (n_blocks - ending.last_irregular()) / step.n_blocks;
        const uint32_t n_plain = std::min(corrections.next_block() - block, n_blocks);
        n_steps = std::max<uint32_t>(
            1, static_cast<uint32_t>(std::min<uint64_t>(n_alike, n_plain / step.n_blocks))
        );
    }
    bits.add_repeated(text, n_bits, n_steps);
    bits.add_zeros(corrections.take_before(block + n_steps * step.n_blocks));
    return n_steps * step.n_blocks;
}

namespace {

uint64_t bytes_of_interval(
    const ScanPlan& plan, Corrections& corrections, uint32_t block, uint32_t n_blocks
) {
    EndingBits bits;
    for (const uint32_t end = block + n_blocks; block < end;)
        block += add_runs(bits, plan, corrections, block, end - block);
    bits.pad();
    return bits.n_bytes();
}

}  // namespace

uint64_t bytes_of_intervals(const ScanPlan& plan, Corrections corrections, uint32_t block) {
    const uint32_t end = plan.n_mcus();
    uint64_t n_bytes = 0;
    for (bool is_first = block == 0; block < end; is_first = false) {
        const uint32_t length = plan.interval_length_mcus(block);
        // Whole intervals without corrections are all alike.
        const uint32_t n_alike = (std::min(corrections.next_block(), end) - block) / length;
        if (!is_first && n_alike > 1) {
            Corrections none;
            n_bytes += n_alike * (kRestartMarkerBytes + bytes_of_interval(plan, none, 0, length));
            block += n_alike * length;
            continue;
        }
        if (!is_first) n_bytes += kRestartMarkerBytes;
        n_bytes += bytes_of_interval(plan, corrections, block, length);
        block += length;
    }
    return n_bytes;
}

}  // namespace pycodec_lm::jpeg
