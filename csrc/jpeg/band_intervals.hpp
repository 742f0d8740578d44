// How long whole intervals of a scan that codes bands are in the cheapest ending, where that ends
// all blocks by runs: a matter of how many blocks there are, and in refinements of the bits that
// correct what is known of them.
#pragma once

#include <cstdint>

#include "jpeg/ending_bits.hpp"
#include "jpeg/scan_plan.hpp"

namespace pycodec_lm::jpeg {

/// The correction bits of a band, from a block on.
class Corrections {
public:
    /// None: those of a first scan.
    Corrections() = default;
    /// Of what a refinement of the band finds in the history, which must stay where it is.
    Corrections(const CoefficientHistory& history, const ScanParameters& scan, uint32_t block);

    /// The block that has the next ones; CoefficientHistory::kNoBlock where there are no more.
    uint32_t next_block() const;
    /// Goes on to a block; counts what the blocks before it have.
    uint64_t take_before(uint32_t end);

private:
    void skip();

    const CoefficientHistory* history_ = nullptr;
    uint64_t band_ = 0;
    size_t index_ = 0;  // in the history, of the next block that has some
};

/// The next steps of the ending, as many of those that are alike as come one after the other:
/// `n_blocks` are left of the interval from `block` on. Returns how many blocks they end.
uint32_t add_runs(
    EndingBits& bits, const ScanPlan& plan, Corrections& corrections, uint32_t block,
    uint32_t n_blocks
);

/// From `block`, where an interval begins, to the end of the scan, with an RST marker before each
/// interval but the first of the scan.
uint64_t bytes_of_intervals(const ScanPlan& plan, Corrections corrections, uint32_t block);

}  // namespace pycodec_lm::jpeg
