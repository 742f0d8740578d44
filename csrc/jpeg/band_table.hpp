// What the codes of an AC Huffman table mean in a progressive scan: T.81 G.1.2.2, G.1.2.3.
#pragma once

#include <array>
#include <bit>
#include <compare>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "jpeg/huffman_table.hpp"

namespace pycodec_lm::jpeg {

/// What the AC symbols of a scan may be.
struct BandRules {
    int max_size = 0;  // SSSS of a coefficient; 0: the table may code none
    bool refines = false;

    bool is_coefficient(uint8_t symbol) const {
        return size_of(symbol) > 0 && size_of(symbol) <= max_size;
    }
    friend auto operator<=>(const BandRules&, const BandRules&) = default;
};

/// T.81 G.1.2.1-G.1.2.3: with a point transform by Al there are fewer sizes; a refinement codes
/// nothing but +1 and -1.
///
/// ffmpeg refines what it has multiplied by the quantizer in 16 bits: a product of 65,536 is 0 to
/// it, and it loses step. Portable coefficients stay below 512, and quantizers below 256.
constexpr BandRules band_rules(int precision_bits, int al, bool refines, bool portable) {
    if (refines) return {1, true};
    return {limits_of(precision_bits, portable ? al + 1 : al).max_ac_size, false};
}
inline constexpr int kMaxPortableBandAl = 9;

/// EOBn, n below 15: the block and those after it, 2^n to 2^(n+1)-1 in all, have no more of the
/// band.
constexpr bool is_end_of_band(uint8_t symbol) {
    return size_of(symbol) == 0 && symbol != kZeroRunLength;
}

/// Which counts of coefficients a table can code to the last one, without an end of band.
///
/// Counts are of the coefficients that a block has left: in a first scan all up to Se, in a
/// refinement those that were 0 so far, since the others take correction bits and no code.
class BandPaths {
public:
    static constexpr uint32_t kNever = std::numeric_limits<uint32_t>::max();

    BandPaths(const HuffmanTable& table, const BandRules& rules);

    /// Bit n: n coefficients can be coded, the last one not 0; bit 0 is set.
    uint64_t finishable() const { return finishable_; }
    bool can_finish(int n) const { return (finishable_ >> n) & 1; }
    /// Blocks in the shortest end of band of the table; kNever where it has none.
    uint32_t least_run() const { return least_run_; }

private:
    uint64_t finishable_ = 1;
    uint32_t least_run_ = kNever;
};

/// Bits ss..se.
constexpr uint64_t band_mask(int ss, int se) {
    return (~uint64_t{0} << ss) & (~uint64_t{0} >> (63 - se));
}

/// A block of a refinement can be coded to its last coefficient, given those known not to be 0: one
/// at Se would need an end of band, for its correction bit.
inline bool can_finish_block(const BandPaths& paths, uint64_t known, int ss, int se) {
    return ((known >> se) & 1) == 0 && paths.can_finish(std::popcount(band_mask(ss, se) & ~known));
}

/// The tree of a Huffman table (HuffmanTable::node, by the same index) with what may stand where.
class BandTable {
public:
    /// How a block may end: what decides, beside the coefficients left, which symbols are legal.
    enum Way : uint8_t {
        kEither = 0,    // by an end of band or by its last coefficient
        kByRun = 1,     // by an end of band only: the blocks after it would be stranded
        kByCoding = 2,  // by its last coefficient only
    };

    struct Node {
        std::array<uint64_t, 3> legal{};  // [Way]; bit n: some coefficient or ZRL below may stand
                                          // where n are left
        uint16_t runs = 0;                // bit n: EOBn is below
    };

    BandTable(std::shared_ptr<const HuffmanTable> table, const BandRules& rules);

    /// The one of this table and these rules, which all streams of the program share while it is in
    /// use or was so lately. Safe to call from many threads.
    static std::shared_ptr<const BandTable> shared(
        const std::shared_ptr<const HuffmanTable>& table, const BandRules& rules
    );

    const HuffmanTable& table() const { return *table_; }
    const BandRules& rules() const { return rules_; }
    const BandPaths& paths() const { return paths_; }
    const Node& node(uint16_t index) const { return nodes_[index]; }
    /// Blocks in the longest end of band of the table; 0 where it has none.
    uint32_t most_run() const { return most_run_; }

    /// Whether a coefficient or ZRL may stand where n are left.
    bool is_legal(uint8_t symbol, int n_left, Way way) const {
        return (legal_counts(symbol)[way] >> n_left) & 1;
    }

private:
    std::array<uint64_t, 3> legal_counts(uint8_t symbol) const;

    std::shared_ptr<const HuffmanTable> table_;
    BandRules rules_;
    BandPaths paths_;
    std::vector<Node> nodes_;
    uint32_t most_run_ = 0;
};

}  // namespace pycodec_lm::jpeg
