#include "jpeg/coefficient_history.hpp"

#include <algorithm>
#include <array>
#include <bit>

namespace pycodec_lm::jpeg {

void HistoryLog::add(uint32_t block, uint64_t coefficients) {
    Node node{std::move(last_), {{block, coefficients}}};
    last_ = std::make_shared<const Node>(std::move(node));
    ++n_added_;
    n_coefficients_ += static_cast<uint64_t>(std::popcount(coefficients));
    for (uint64_t size = kFanOut; n_added_ % size == 0; size *= kFanOut) pack();
}

void HistoryLog::append(std::vector<Entry> entries) {
    if (entries.empty()) return;
    for (const Entry& entry : entries)
        n_coefficients_ += static_cast<uint64_t>(std::popcount(entry.coefficients));
    Node node{std::move(last_), std::move(entries)};
    last_ = std::make_shared<const Node>(std::move(node));
    n_added_ = 0;
}

/// Makes one node of the last ones.
void HistoryLog::pack() {
    std::array<const Node*, kFanOut> nodes;
    const Node* node = last_.get();
    for (size_t i = nodes.size(); i-- > 0; node = node->previous.get()) nodes[i] = node;
    Node packed{nodes[0]->previous, {}};
    packed.entries.reserve(nodes.size() * nodes[0]->entries.size());
    for (const Node* one : nodes) {
        packed.entries.insert(packed.entries.end(), one->entries.begin(), one->entries.end());
    }
    last_ = std::make_shared<const Node>(std::move(packed));
}

std::vector<HistoryLog::Entry> HistoryLog::entries() const {
    std::vector<Entry> all;
    for (const Node* node = last_.get(); node != nullptr; node = node->previous.get()) {
        all.insert(all.end(), node->entries.rbegin(), node->entries.rend());
    }
    std::reverse(all.begin(), all.end());
    return all;
}

CoefficientHistory::CoefficientHistory(
    std::shared_ptr<const CoefficientHistory> before, HistoryLog added
)
    : before_(std::move(before)), added_(std::move(added)) {}

const CoefficientHistory::Merged& CoefficientHistory::merged() const {
    std::call_once(once_, [this] {
        const std::vector<HistoryLog::Entry> added = added_.entries();
        std::span<const uint32_t> blocks;
        std::span<const uint64_t> coefficients;
        if (before_) {
            blocks = before_->blocks();
            coefficients = before_->coefficients();
        }
        merged_.blocks.reserve(blocks.size() + added.size());
        merged_.coefficients.reserve(blocks.size() + added.size());
        size_t i = 0;
        for (const HistoryLog::Entry& entry : added) {
            for (; i < blocks.size() && blocks[i] < entry.block; ++i) {
                merged_.blocks.push_back(blocks[i]);
                merged_.coefficients.push_back(coefficients[i]);
            }
            uint64_t all = entry.coefficients;
            if (i < blocks.size() && blocks[i] == entry.block) all |= coefficients[i++];
            merged_.blocks.push_back(entry.block);
            merged_.coefficients.push_back(all);
        }
        for (; i < blocks.size(); ++i) {
            merged_.blocks.push_back(blocks[i]);
            merged_.coefficients.push_back(coefficients[i]);
        }
        before_.reset();
        added_ = {};
    });
    return merged_;
}

uint64_t CoefficientHistory::of_block(uint32_t block) const {
    const Merged& all = merged();
    const auto found = std::lower_bound(all.blocks.begin(), all.blocks.end(), block);
    if (found == all.blocks.end() || *found != block) return 0;
    return all.coefficients[static_cast<size_t>(found - all.blocks.begin())];
}

}  // namespace pycodec_lm::jpeg
