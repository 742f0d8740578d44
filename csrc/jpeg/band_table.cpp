#include "jpeg/band_table.hpp"

#include <algorithm>
#include <utility>

#include "jpeg/recent.hpp"

namespace pycodec_lm::jpeg {

BandPaths::BandPaths(const HuffmanTable& table, const BandRules& rules) {
    uint32_t runs = 0;  // bit 15 - r: r zeros and a coefficient can be coded
    bool has_zrl = false;
    for (const HuffmanTable::Leaf& leaf : table.leaves()) {
        if (rules.is_coefficient(leaf.symbol)) {
            runs |= 1u << (15 - run_of(leaf.symbol));
        } else if (leaf.symbol == kZeroRunLength) {
            has_zrl = true;
        } else if (is_end_of_band(leaf.symbol)) {
            least_run_ = std::min(least_run_, 1u << run_of(leaf.symbol));
        }
    }
    for (int n = 1; n < kBlockSize; ++n) {
        // The counts left after a coefficient with a run of r: n - 1 - r, as bit 15 - r below.
        const uint64_t before = n >= 16 ? finishable_ >> (n - 16) : finishable_ << (16 - n);
        bool can = (runs & before) != 0;
        // A run of 16 zeros leaves at least the coefficient that follows it.
        can |= has_zrl && n > 16 && can_finish(n - 16);
        if (can) finishable_ |= uint64_t{1} << n;
    }
}

BandTable::BandTable(std::shared_ptr<const HuffmanTable> of, const BandRules& rules)
    : table_(std::move(of)), rules_(rules), paths_(*table_, rules), nodes_(table_->n_nodes()) {
    const HuffmanTable& table = *table_;
    // Children come after their parents.
    for (size_t i = table.n_nodes(); i-- > 0;) {
        const HuffmanTable::Node& node = table.node(static_cast<uint16_t>(i));
        Node& mine = nodes_[i];
        if (node.is_leaf) {
            const uint8_t symbol = table.leaf(node.first_leaf).symbol;
            if (is_end_of_band(symbol)) {
                mine.runs = static_cast<uint16_t>(1u << run_of(symbol));
                most_run_ = std::max(most_run_, (2u << run_of(symbol)) - 1);
            } else {
                mine.legal = legal_counts(symbol);
            }
            continue;
        }
        for (const uint16_t child : node.child) {
            if (child == HuffmanTable::kNoNode) continue;
            for (size_t way = 0; way < mine.legal.size(); ++way) {
                mine.legal[way] |= nodes_[child].legal[way];
            }
            mine.runs |= nodes_[child].runs;
        }
    }
}

std::shared_ptr<const BandTable> BandTable::shared(
    const std::shared_ptr<const HuffmanTable>& table, const BandRules& rules
) {
    // A band table keeps its table, so that no other can have its place while it is here.
    static Recent<std::pair<const HuffmanTable*, BandRules>, BandTable> pool;
    return pool.get({table.get(), rules}, [&] {
        return std::make_shared<const BandTable>(table, rules);
    });
}

/// By Way: the counts of coefficients left, before the symbol, where it is legal.
std::array<uint64_t, 3> BandTable::legal_counts(uint8_t symbol) const {
    const uint64_t all = ~uint64_t{0};
    if (symbol == kZeroRunLength) {
        const uint64_t finishable = paths_.finishable() & ~uint64_t{1};
        return {all << 17, all << 17, finishable << 16};
    }
    if (!rules_.is_coefficient(symbol)) return {};
    const int taken = run_of(symbol) + 1;
    return {all << taken, all << (taken + 1), paths_.finishable() << taken};
}

}  // namespace pycodec_lm::jpeg
