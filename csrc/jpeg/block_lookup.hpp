// Huffman symbols by table look-up, several bits and several symbols at a time: what the
// whole-buffer check reads blocks with. HuffmanTable's tree is its definition.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include "jpeg/huffman_table.hpp"
#include "jpeg/symbol_lookup.hpp"

namespace pycodec_lm::jpeg {

/// Whole symbols of a block with their amplitudes, as many as a look-up takes at once.
class Run {
public:
    /// Of AC coefficients; fewer than a block has. A run of zeros must not end it, so what its last
    /// coefficient may be hangs on the place.
    static constexpr unsigned kMaxCoefficients = kBlockSize - 2;

    constexpr Run() = default;
    constexpr Run(unsigned n_bits, unsigned n_coefficients, bool ends_block)
        : word_(
              static_cast<int16_t>(
                  n_bits | n_coefficients << kCoefficientsAt | (ends_block ? 1u << kEndsBlockAt : 0)
              )
          ) {}
    /// More coefficients than a run can have, wherever it stands, so that one comparison finds it.
    static constexpr Run undecided() { return {0, kMaxCoefficients + 1, false}; }

    /// 0: nothing is decided, or not legal.
    unsigned n_bits() const { return static_cast<unsigned>(word_) & 63; }
    unsigned n_coefficients() const {
        return (static_cast<unsigned>(word_) >> kCoefficientsAt) & 63;
    }
    bool ends_block() const { return word_ < 0; }
    /// All bits 1 where the run ends its block, else 0.
    uint64_t end_mask() const { return static_cast<uint64_t>(int64_t{word_ >> kEndsBlockAt}); }

    /// Both runs, or this one where they are too much for one.
    Run followed_by(Run rest, unsigned max_bits) const {
        const unsigned bits = n_bits() + rest.n_bits();
        const unsigned coefficients = n_coefficients() + rest.n_coefficients();
        if (bits > max_bits || coefficients > kMaxCoefficients) return *this;
        return {bits, coefficients, rest.ends_block()};
    }

private:
    static constexpr int kCoefficientsAt = 6;
    static constexpr int kEndsBlockAt = 15;  // the sign

    int16_t word_ = 0;
};

/// What may come next in blocks that are coded with two tables.
class BlockLookup {
public:
    /// 12 KiB in three tables: those of a scan stay in the first cache together, and those that are
    /// one file's own are made in less time than its blocks take.
    static constexpr int kIndexBits = 11;
    /// The codes of a run lie in the index; the amplitude of its last symbol may go on behind it.
    static constexpr unsigned kMaxRunBits = 18;
    using Runs = std::array<Run, 1 << kIndexBits>;

    BlockLookup(std::shared_ptr<const HuffmanTable> dc, std::shared_ptr<const HuffmanTable> ac);

    /// The lookup of these tables, which all streams of the program share while it is in use or was
    /// so lately. Safe to call from many threads.
    static std::shared_ptr<const BlockLookup> shared(
        const std::shared_ptr<const HuffmanTable>& dc, const std::shared_ptr<const HuffmanTable>& ac
    );

    /// By the next bits of a block: from its start, DC coefficient and AC coefficients; and after
    /// its DC coefficient. A run may only be taken where its coefficients and those before it are
    /// at most Run::kMaxCoefficients, which an undecided one always is beyond.
    const Runs& from_start() const { return from_start_; }
    const Runs& after_dc() const { return after_dc_; }

    /// One symbol, whatever its length.
    Run find_dc(uint32_t next_32_bits) const;
    Run find_ac(uint32_t next_32_bits, unsigned n_coefficients_before) const;

    /// The DC difference at the head of a block, which must be in order.
    int difference(uint32_t next_32_bits) const {
        const int value = differences_[next_32_bits >> (32 - kIndexBits)];
        return value == kLongDifference ? find_difference(next_32_bits) : value;
    }

private:
    // runs[2^n + x]: what n bits x say. All at once, since longer ones are made of shorter ones.
    using RunsByLength = std::array<Run, 2 << kIndexBits>;
    static constexpr int16_t kLongDifference = INT16_MIN;

    void add_ac_runs(RunsByLength& runs) const;
    void add_starts(const RunsByLength& ac_runs);
    int find_difference(uint32_t next_32_bits) const;

    std::shared_ptr<const HuffmanTable> dc_;
    std::shared_ptr<const HuffmanTable> ac_;
    CanonicalCode dc_code_;
    CanonicalCode ac_code_;
    Runs from_start_;
    Runs after_dc_;
    std::array<int16_t, 1 << kIndexBits> differences_;
};

}  // namespace pycodec_lm::jpeg
