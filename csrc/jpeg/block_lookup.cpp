#include "jpeg/block_lookup.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "jpeg/recent.hpp"

namespace pycodec_lm::jpeg {
namespace {

constexpr unsigned kMaxRunBits = BlockLookup::kMaxRunBits;

unsigned n_bits_with_amplitude(const HuffmanTable::Leaf& leaf, int size) {
    return leaf.length_bits + static_cast<unsigned>(size);
}

/// An AC symbol by itself; no bits where it may stand nowhere.
Run run_of_symbol(const HuffmanTable& ac, const HuffmanTable::Leaf& leaf) {
    if (leaf.symbol == kEndOfBlock) return {leaf.length_bits, 0, true};
    if (leaf.symbol != kZeroRunLength && !ac.is_coefficient(leaf.symbol)) return {};
    const auto n_coefficients = static_cast<unsigned>(run_of(leaf.symbol)) + 1;
    return {n_bits_with_amplitude(leaf, size_of(leaf.symbol)), n_coefficients, false};
}

/// Writes what the bits say that begin with a symbol's code, of n bits in all: the symbol and the
/// run that the bits behind it say.
void fill(
    Run* runs, unsigned n, const HuffmanTable::Leaf& leaf, Run own, std::span<const Run> rests
) {
    const uint32_t n_runs = 1u << (n - leaf.length_bits);
    Run* const first = runs + leaf.code * n_runs;
    if (own.ends_block() || own.n_bits() >= n) {
        std::fill_n(first, n_runs, own);
        return;
    }
    const uint32_t n_rests = 1u << (n - own.n_bits());
    for (uint32_t rest = 0; rest < n_rests; ++rest) {
        const Run run = own.followed_by(rests[n_rests + rest], kMaxRunBits);
        // Whatever the amplitude is.
        for (uint32_t i = rest; i < n_runs; i += n_rests) first[i] = run;
    }
}

}  // namespace

BlockLookup::BlockLookup(
    std::shared_ptr<const HuffmanTable> dc, std::shared_ptr<const HuffmanTable> ac
)
    : dc_(std::move(dc)), ac_(std::move(ac)), dc_code_(dc_->leaves()), ac_code_(ac_->leaves()) {
    RunsByLength ac_runs{};
    add_ac_runs(ac_runs);
    const auto or_undecided = [](Run run) { return run.n_bits() == 0 ? Run::undecided() : run; };
    std::transform(
        ac_runs.begin() + after_dc_.size(), ac_runs.end(), after_dc_.begin(), or_undecided
    );
    from_start_.fill(Run::undecided());
    differences_.fill(kLongDifference);
    add_starts(ac_runs);
}

void BlockLookup::add_ac_runs(RunsByLength& runs) const {
    // Without an EOB not every coefficient can be the last: a matter of the place.
    if (ac_->find(kEndOfBlock).length_bits == 0) return;
    for (unsigned n = 1; n <= kIndexBits; ++n) {
        for (const HuffmanTable::Leaf& leaf : ac_->leaves()) {
            if (leaf.length_bits > n) break;  // lengths grow
            const Run own = run_of_symbol(*ac_, leaf);
            if (own.n_bits() == 0 || own.n_bits() > kMaxRunBits) continue;
            fill(&runs[size_t{1} << n], n, leaf, own, runs);
        }
    }
}

void BlockLookup::add_starts(const RunsByLength& ac_runs) {
    for (const HuffmanTable::Leaf& leaf : dc_->leaves()) {
        if (leaf.length_bits > kIndexBits) break;
        const int category = leaf.symbol;
        const unsigned n_bits = n_bits_with_amplitude(leaf, category);
        if (category > dc_->limits().max_dc_category || n_bits > kMaxRunBits) continue;
        fill(from_start_.data(), kIndexBits, leaf, Run(n_bits, 0, false), ac_runs);
        if (n_bits > kIndexBits) continue;
        const uint32_t n_equal = 1u << (kIndexBits - n_bits);
        auto first = differences_.begin() + (leaf.code << (kIndexBits - leaf.length_bits));
        for (uint32_t amplitude = 0; amplitude < 1u << category; ++amplitude)
            first = std::fill_n(first, n_equal, static_cast<int16_t>(extend(amplitude, category)));
    }
}

Run BlockLookup::find_dc(uint32_t next_32_bits) const {
    const HuffmanTable::Leaf leaf = dc_code_.find(next_32_bits >> 16);
    if (leaf.length_bits == 0 || !dc_->is_legal(leaf.symbol, 0)) return {};
    return {n_bits_with_amplitude(leaf, leaf.symbol), 0, false};
}

Run BlockLookup::find_ac(uint32_t next_32_bits, unsigned n_coefficients_before) const {
    const HuffmanTable::Leaf leaf = ac_code_.find(next_32_bits >> 16);
    const auto k = static_cast<int>(n_coefficients_before) + 1;
    if (leaf.length_bits == 0 || !ac_->is_legal(leaf.symbol, k)) return {};
    const Run run = run_of_symbol(*ac_, leaf);
    const bool ends_block = HuffmanTable::next_coefficient(leaf.symbol, k) == kBlockSize;
    return {run.n_bits(), run.n_coefficients(), ends_block};
}

int BlockLookup::find_difference(uint32_t next_32_bits) const {
    const HuffmanTable::Leaf leaf = dc_code_.find(next_32_bits >> 16);
    const int category = leaf.symbol;
    const unsigned n_bits = n_bits_with_amplitude(leaf, category);
    return extend((next_32_bits >> (32 - n_bits)) & ((1u << category) - 1), category);
}

std::shared_ptr<const BlockLookup> BlockLookup::shared(
    const std::shared_ptr<const HuffmanTable>& dc, const std::shared_ptr<const HuffmanTable>& ac
) {
    // A lookup keeps its tables, so that no others can have their places while it is here.
    static Recent<std::pair<const HuffmanTable*, const HuffmanTable*>, BlockLookup> pool;
    return pool.get({dc.get(), ac.get()}, [&] {
        return std::make_shared<const BlockLookup>(dc, ac);
    });
}

}  // namespace pycodec_lm::jpeg
