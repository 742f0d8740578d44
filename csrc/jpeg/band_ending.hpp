// The cheapest ending of a scan that codes bands (T.81 G.1.2.2, G.1.2.3): ends of band over runs of
// blocks, and coefficients where no run fits.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "jpeg/band_table.hpp"

namespace pycodec_lm::jpeg {

/// Costs are bits of codes, amplitudes and run lengths; correction bits come on top and are the
/// same however blocks end. In refinements no block is ended by coding, where a run is possible,
/// since what that takes differs from block to block.
///
/// Of each EOBn one run is looked at, the longest that leaves no stranded blocks.
class BandEnding {
public:
    static constexpr uint64_t kNever = std::numeric_limits<uint32_t>::max();

    /// `n_in_block` coefficients in the band, at most `n_blocks` blocks in an interval.
    BandEnding(std::shared_ptr<const BandTable> band, int n_in_block, uint32_t n_blocks);

    /// The one of these, which streams share as they do BandTable::shared() where it is no large
    /// one.
    static std::shared_ptr<const BandEnding> shared(
        const std::shared_ptr<const BandTable>& band, int n_in_block, uint32_t n_blocks
    );

    /// Of whole blocks.
    uint64_t bits(uint64_t n_blocks) const;
    /// No number of whole blocks up to n takes more; only where ends_by_runs().
    uint64_t most_bits(uint64_t n_blocks) const;
    /// Of whole blocks, beginning with an end of band.
    uint64_t bits_by_run(uint64_t n_blocks) const;
    /// Of coefficients up to the last of the band.
    uint64_t bits_by_coding(int n_left) const { return by_coding_[static_cast<size_t>(n_left)]; }

    /// The run of `first` to `last` blocks that is taken of `n_blocks`; 0 where each would leave
    /// some that no run fits.
    uint32_t run_for(uint64_t n_blocks, uint32_t first, uint32_t last) const;

    /// How whole blocks begin, which must be more than none.
    struct Step {
        size_t leaf = 0;
        uint32_t n_blocks = 0;  // of the run; 0: a block that is ended by coding
        uint64_t n_bits = 0;    // of the run, or of the block
    };
    Step step(uint64_t n_blocks) const;
    /// With more blocks than this, every step is regular_step().
    uint64_t last_irregular() const { return bits_.size() - 1; }
    const Step& regular_step() const { return regular_; }
    /// All of so many whole blocks are ended by runs.
    bool ends_by_runs(uint64_t n_blocks) const;

private:
    struct Run {
        size_t leaf = 0;
        uint32_t n_bits = 0;  // code and run length; 0: the table has none
    };
    void find_runs();
    void find_bits_by_coding();
    void find_regular_step();
    uint64_t blocks_of_regular_step() const { return std::max<uint64_t>(regular_.n_blocks, 1); }
    uint64_t n_regular_steps(uint64_t n_blocks) const;
    Step step_by_run(uint64_t n_blocks) const;
    Step step_by_coding() const;

    std::shared_ptr<const BandTable> band_;
    int n_in_block_;
    std::array<Run, 15> runs_{};  // by n of EOBn
    std::array<uint64_t, kBlockSize> by_coding_;
    std::vector<uint32_t> bits_;  // by blocks
    uint32_t most_irregular_bits_ = 0;
    Step regular_;
};

}  // namespace pycodec_lm::jpeg
