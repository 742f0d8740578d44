// Huffman tables: T.81 B.2.4.2 (how a stream gives them) and Annex C (how codes follow).
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

namespace pycodec_lm::jpeg {

enum class TableClass : uint8_t { kDc = 0, kAc = 1 };  // Tc

inline constexpr int kBlockSize = 64;
inline constexpr uint32_t kBlockSide = 8;
inline constexpr int kMaxDcSymbol = 15;  // a larger one is refused in the DHT
inline constexpr uint8_t kEndOfBlock = 0x00;
inline constexpr uint8_t kZeroRunLength = 0xF0;

constexpr int run_of(uint8_t symbol) { return symbol >> 4; }   // RRRR
constexpr int size_of(uint8_t symbol) { return symbol & 15; }  // SSSS

/// T.81 F.2.2.1, Figure F.12: the number that `size` amplitude bits stand for.
constexpr int extend(uint32_t bits, int size) {
    // Negative where the first bit is 0. Half of all are, so there is no branch.
    const uint32_t all_ones = (1u << size) - 1;
    const uint32_t is_negative = ~(bits << 1 >> size) & uint32_t{size > 0};
    return static_cast<int>(bits - (all_ones & (0 - is_negative)));
}

/// What the precision of samples lets quantised coefficients be: T.81 Tables F.1, F.2, F.6, F.7;
/// in progressive scans with a point transform by Al, G.1.2.1.
struct SampleLimits {
    int max_dc_category;
    int max_ac_size;
    int min_dc;
    int max_dc;
};

constexpr SampleLimits limits_of(int precision_bits, int al = 0) {
    const bool twelve = precision_bits == 12;
    return {
        .max_dc_category = std::max(1, (twelve ? 15 : 11) - al),
        .max_ac_size = std::max(0, (twelve ? 14 : 10) - al),
        .min_dc = (twelve ? -16384 : -1024) >> al,
        .max_dc = (twelve ? 16383 : 1023) >> al,
    };
}

/// What a table of one class means to a sequential block of samples of one precision. In the masks
/// and arrays below, k is the index of the next coefficient: 0 for the DC code, 1..63 for AC codes,
/// 64 when the block is done.
class HuffmanTable {
public:
    static constexpr uint32_t kNever = std::numeric_limits<uint32_t>::max();
    static constexpr uint16_t kNoNode = 0;  // node 0 is the root, which is nobody's child

    struct Node {
        std::array<uint16_t, 2> child{kNoNode, kNoNode};
        uint16_t first_leaf = 0;  // leaves below, in the order of codes
        uint16_t end_leaf = 0;
        uint64_t legal = 0;  // bit k: some symbol below may stand at k
        bool is_leaf = false;
    };

    struct Leaf {
        uint16_t code = 0;
        uint8_t length_bits = 0;
        uint8_t symbol = 0;
    };

    /// `bits[i]` codes of length i+1 (Li), `values` their symbols (Vi,j). The code must not be
    /// overfull; the DHT reader has seen to that.
    HuffmanTable(
        TableClass table_class, std::span<const uint8_t, 16> bits, std::span<const uint8_t> values,
        const SampleLimits& limits = limits_of(8)
    );

    /// The same codes for samples of another precision; a part of this table.
    const HuffmanTable& at_precision(int precision_bits) const;
    /// The same codes with other limits; a table of its own.
    std::shared_ptr<const HuffmanTable> with_limits(const SampleLimits& limits) const;

    /// The table with these codes, which all streams of the program share while it is in use or
    /// was so lately. Safe to call from many threads.
    static std::shared_ptr<const HuffmanTable> shared(
        TableClass table_class, std::span<const uint8_t, 16> bits, std::span<const uint8_t> values
    );

    TableClass table_class() const { return class_; }
    const SampleLimits& limits() const { return limits_; }
    const Node& node(uint16_t index) const { return nodes_[index]; }
    size_t n_nodes() const { return nodes_.size(); }
    const Leaf& leaf(size_t index) const { return leaves_[index]; }
    std::span<const Leaf> leaves() const { return leaves_; }
    const std::array<uint8_t, 16>& bits() const { return bits_; }

    /// The code of a symbol, or a leaf of length 0 when the table has none.
    Leaf find(uint8_t symbol) const;

    /// Whether a symbol may stand at coefficient k and the block can be finished after it.
    bool is_legal(uint8_t symbol, int k) const;

    /// Fewest bits from coefficient k to the end of the block; kNever when there is no way.
    /// For DC tables only k = 0 is defined, and it stops after the DC coefficient.
    uint32_t bits_to_finish(int k) const { return bits_to_finish_[static_cast<size_t>(k)]; }

    /// The largest finite bits_to_finish, plus the longest code and amplitude: no state of a block
    /// is further than this from its end.
    uint32_t max_bits_to_finish() const { return max_bits_to_finish_; }

    /// The cheapest way on from k among the leaves below a node: the leaf with the fewest bits to
    /// the end of the block, the first of equals. Call it only where the node's legal bit k is set.
    size_t cheapest_leaf(uint16_t node, int k) const;

    /// The smallest category of a DC table; kNever where it has none.
    uint32_t least_dc_category() const;

    /// A block can be coded with this table at all.
    bool is_usable() const { return bits_to_finish(class_ == TableClass::kDc ? 0 : 1) != kNever; }

    /// An AC symbol that codes one coefficient.
    bool is_coefficient(uint8_t symbol) const {
        return size_of(symbol) > 0 && size_of(symbol) <= limits_.max_ac_size;
    }

    /// Where a symbol at k leads: the next coefficient to code, 64 at the end of the block.
    static int next_coefficient(uint8_t symbol, int k);

private:
    void assign_codes(std::span<const uint8_t> values);
    void find_cheapest_endings();
    uint64_t legal_positions(uint8_t symbol) const;
    uint16_t add_node(unsigned code, int length_bits, size_t first, size_t end);
    uint32_t cost(const Leaf& leaf, int k) const;
    bool precedes(uint32_t cost, size_t leaf, uint32_t other_cost, size_t other) const;

    TableClass class_;
    SampleLimits limits_;
    std::array<uint8_t, 16> bits_;
    std::vector<Leaf> leaves_;
    std::vector<Node> nodes_;
    std::array<uint32_t, kBlockSize + 1> bits_to_finish_;
    std::array<uint16_t, kBlockSize> cheapest_from_root_{};
    uint32_t max_bits_to_finish_ = 0;
    uint64_t finishable_after_ = 0;  // bit k: the block can be finished from k + 1
    mutable std::once_flag twelve_bit_once_;
    mutable std::shared_ptr<const HuffmanTable> twelve_bit_;
};

}  // namespace pycodec_lm::jpeg
