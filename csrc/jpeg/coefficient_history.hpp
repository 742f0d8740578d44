// Which AC coefficients of a component are known not to be 0: what refinements of a progressive
// picture depend on (T.81 G.1.2.3). Immutable once built, so that copies of a cursor share it.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

namespace pycodec_lm::jpeg {

/// What the scan that is being read adds, in the order of blocks; a copy shares all that was there.
class HistoryLog {
public:
    struct Entry {
        uint32_t block;
        uint64_t coefficients;  // bit k
    };

    void add(uint32_t block, uint64_t coefficients);
    /// Many at once.
    void append(std::vector<Entry> entries);
    bool is_empty() const { return last_ == nullptr; }
    uint64_t n_coefficients() const { return n_coefficients_; }
    std::vector<Entry> entries() const;

private:
    // Nodes of 1, 64, 4096... entries, fewer than 64 of a size, behind each one that was appended:
    // the chain stays short.
    struct Node {
        std::shared_ptr<const Node> previous;
        std::vector<Entry> entries;
    };
    static constexpr uint64_t kFanOut = 64;
    void pack();

    std::shared_ptr<const Node> last_;
    uint64_t n_added_ = 0;  // since entries were appended
    uint64_t n_coefficients_ = 0;
};

/// Blocks with a coefficient that is not 0, 12 bytes each.
class CoefficientHistory {
public:
    static constexpr uint32_t kNoBlock = std::numeric_limits<uint32_t>::max();

    /// What `before` (none: nothing) and a scan after it said. Put together when first looked at:
    /// most scans refine nothing.
    CoefficientHistory(std::shared_ptr<const CoefficientHistory> before, HistoryLog added);

    /// In rising order.
    std::span<const uint32_t> blocks() const { return merged().blocks; }
    /// Of each of blocks(), bit k for coefficient k.
    std::span<const uint64_t> coefficients() const { return merged().coefficients; }
    uint64_t of_block(uint32_t block) const;

private:
    struct Merged {
        std::vector<uint32_t> blocks;
        std::vector<uint64_t> coefficients;
    };
    const Merged& merged() const;

    mutable std::once_flag once_;
    mutable std::shared_ptr<const CoefficientHistory> before_;
    mutable HistoryLog added_;
    mutable Merged merged_;
};

}  // namespace pycodec_lm::jpeg
