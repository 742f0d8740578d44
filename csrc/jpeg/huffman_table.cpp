#include "jpeg/huffman_table.hpp"

#include <algorithm>
#include <string>
#include <tuple>

#include "jpeg/recent.hpp"

namespace pycodec_lm::jpeg {

HuffmanTable::HuffmanTable(
    TableClass table_class, std::span<const uint8_t, 16> bits, std::span<const uint8_t> values,
    const SampleLimits& limits
)
    : class_(table_class), limits_(limits) {
    std::copy(bits.begin(), bits.end(), bits_.begin());
    assign_codes(values);
    find_cheapest_endings();
    nodes_.reserve(2 * leaves_.size() + 1);
    add_node(0, 0, 0, leaves_.size());
}

const HuffmanTable& HuffmanTable::at_precision(int precision_bits) const {
    if (precision_bits == 8) return *this;
    std::call_once(twelve_bit_once_, [this] { twelve_bit_ = with_limits(limits_of(12)); });
    return *twelve_bit_;
}

std::shared_ptr<const HuffmanTable> HuffmanTable::with_limits(const SampleLimits& limits) const {
    std::vector<uint8_t> values;
    for (const Leaf& leaf : leaves_) values.push_back(leaf.symbol);
    return std::make_shared<const HuffmanTable>(class_, bits_, values, limits);
}

std::shared_ptr<const HuffmanTable> HuffmanTable::shared(
    TableClass table_class, std::span<const uint8_t, 16> bits, std::span<const uint8_t> values
) {
    // Most files have those of T.81 Annex K.
    static Recent<std::string, HuffmanTable> pool;
    std::string key(1, static_cast<char>(table_class));
    key.append(bits.begin(), bits.end());
    key.append(values.begin(), values.end());
    return pool.get(std::move(key), [&] {
        return std::make_shared<const HuffmanTable>(table_class, bits, values);
    });
}

/// T.81 C.2: Figures C.1 (sizes) and C.2 (codes) in one loop.
void HuffmanTable::assign_codes(std::span<const uint8_t> values) {
    leaves_.reserve(values.size());
    unsigned code = 0;
    size_t n = 0;
    for (unsigned length = 1; length <= 16; ++length) {
        for (unsigned i = 0; i < bits_[length - 1]; ++i) {
            leaves_.push_back(
                {static_cast<uint16_t>(code++), static_cast<uint8_t>(length), values[n++]}
            );
        }
        code <<= 1;
    }
}

HuffmanTable::Leaf HuffmanTable::find(uint8_t symbol) const {
    // The first of equals is also the shortest, since lengths grow.
    for (const Leaf& leaf : leaves_) {
        if (leaf.symbol == symbol) return leaf;
    }
    return {};
}

uint32_t HuffmanTable::least_dc_category() const {
    uint32_t least = kNever;
    for (const Leaf& leaf : leaves_) least = std::min<uint32_t>(least, leaf.symbol);
    return least;
}

int HuffmanTable::next_coefficient(uint8_t symbol, int k) {
    if (symbol == kEndOfBlock) return kBlockSize;
    if (symbol == kZeroRunLength) return k + 16;
    return k + run_of(symbol) + 1;
}

bool HuffmanTable::is_legal(uint8_t symbol, int k) const {
    if (class_ == TableClass::kDc) return k == 0 && symbol <= limits_.max_dc_category;
    if (k < 1) return false;
    if (!is_coefficient(symbol) && symbol != kEndOfBlock && symbol != kZeroRunLength) return false;
    const int next = next_coefficient(symbol, k);
    // A run of 16 zeros must be followed by a coefficient: decoders part on one that fills the
    // block.
    if (symbol == kZeroRunLength && next >= kBlockSize) return false;
    return next <= kBlockSize && bits_to_finish_[static_cast<size_t>(next)] != kNever;
}

uint32_t HuffmanTable::cost(const Leaf& leaf, int k) const {
    const auto own = static_cast<uint32_t>(leaf.length_bits + size_of(leaf.symbol));
    if (class_ == TableClass::kDc) return static_cast<uint32_t>(leaf.length_bits + leaf.symbol);
    return own + bits_to_finish_[static_cast<size_t>(next_coefficient(leaf.symbol, k))];
}

/// The order of ways to finish: of the cheapest, the one with the smallest amplitude, so that what
/// is filled in is flat where it costs no more. It must be one order at all nodes: an ending goes
/// on as it began.
bool HuffmanTable::precedes(uint32_t cost, size_t leaf, uint32_t other_cost, size_t other) const {
    const auto rank = [this](uint32_t bits, size_t index) {
        const uint8_t symbol = leaves_[index].symbol;
        const int size = class_ == TableClass::kDc ? symbol : size_of(symbol);
        return std::tuple(bits, size, index);
    };
    return rank(cost, leaf) < rank(other_cost, other);
}

/// Shortest paths from every k to 64 over the symbols of the table, from the end backwards.
void HuffmanTable::find_cheapest_endings() {
    bits_to_finish_.fill(kNever);
    bits_to_finish_[kBlockSize] = 0;
    // All symbols of one run lead to the same place, so the cheapest of each run is enough; EOB and
    // ZRL are ways of their own.
    struct Way {
        uint32_t bits = kNever;
        uint16_t leaf = 0;
        uint8_t symbol = 0;
    };
    constexpr size_t kEob = 16;
    constexpr size_t kZrl = 17;
    constexpr size_t kDcWay = 18;
    std::array<Way, 19> ways;
    for (size_t i = 0; i < leaves_.size(); ++i) {
        const uint8_t symbol = leaves_[i].symbol;
        const int size = class_ == TableClass::kDc ? symbol : size_of(symbol);
        size_t way = static_cast<size_t>(run_of(symbol));
        if (class_ == TableClass::kDc) {
            if (symbol > limits_.max_dc_category) continue;
            way = kDcWay;
        } else if (symbol == kEndOfBlock) {
            way = kEob;
        } else if (symbol == kZeroRunLength) {
            way = kZrl;
        } else if (!is_coefficient(symbol)) {
            continue;
        }
        const auto bits = static_cast<uint32_t>(leaves_[i].length_bits + size);
        if (precedes(bits, i, ways[way].bits, ways[way].leaf))
            ways[way] = {bits, static_cast<uint16_t>(i), symbol};
    }
    if (class_ == TableClass::kDc) {
        bits_to_finish_[0] = ways[kDcWay].bits;
        cheapest_from_root_[0] = ways[kDcWay].leaf;
    } else {
        // From the cheapest on most others are ruled out by their own bits.
        std::sort(ways.begin(), ways.end(), [](const Way& a, const Way& b) {
            return a.bits < b.bits;
        });
        for (int k = kBlockSize - 1; k >= 1; --k) {
            for (const Way& way : ways) {
                uint32_t& best = bits_to_finish_[static_cast<size_t>(k)];
                if (way.bits > best || way.bits == kNever) break;
                if (!is_legal(way.symbol, k)) continue;
                uint16_t& leaf = cheapest_from_root_[static_cast<size_t>(k)];
                const uint32_t bits =
                    way.bits +
                    bits_to_finish_[static_cast<size_t>(next_coefficient(way.symbol, k))];
                if (bits <= best && precedes(bits, way.leaf, best, leaf)) {
                    best = bits;
                    leaf = way.leaf;
                }
            }
        }
    }
    for (const uint32_t bits : bits_to_finish_) {
        if (bits != kNever) max_bits_to_finish_ = std::max(max_bits_to_finish_, bits);
    }
    constexpr uint32_t kLongestCodeAndAmplitude = 16 + 15;
    max_bits_to_finish_ += kLongestCodeAndAmplitude;
    for (int k = 0; k < kBlockSize; ++k) {
        if (bits_to_finish_[static_cast<size_t>(k) + 1] != kNever)
            finishable_after_ |= uint64_t{1} << k;
    }
}

/// is_legal() for all k at once.
uint64_t HuffmanTable::legal_positions(uint8_t symbol) const {
    if (class_ == TableClass::kDc) return symbol <= limits_.max_dc_category ? 1 : 0;
    constexpr uint64_t kAcPositions = ~uint64_t{1};
    if (symbol == kEndOfBlock) return kAcPositions;
    if (symbol == kZeroRunLength) return (finishable_after_ << 1 >> 1 >> 15) & kAcPositions;
    if (!is_coefficient(symbol)) return 0;
    return (finishable_after_ >> run_of(symbol)) & kAcPositions;
}

/// Adds the node that stands for the first `length_bits` bits of `code` and all below it.
uint16_t HuffmanTable::add_node(unsigned code, int length_bits, size_t first, size_t end) {
    const auto index = static_cast<uint16_t>(nodes_.size());
    nodes_.emplace_back();
    Node node;
    node.first_leaf = static_cast<uint16_t>(first);
    node.end_leaf = static_cast<uint16_t>(end);
    if (first + 1 == end && leaves_[first].length_bits == length_bits) {
        node.is_leaf = true;
        node.legal = legal_positions(leaves_[first].symbol);
    } else if (first < end) {
        // The first leaf whose next bit is 1.
        const unsigned with_one = (code << 1) | 1;
        const auto starts_with_zero = [&](const Leaf& leaf) {
            return unsigned{leaf.code} >> (leaf.length_bits - length_bits - 1) < with_one;
        };
        const auto begin = leaves_.begin();
        const auto middle = static_cast<size_t>(
            std::partition_point(
                begin + static_cast<ptrdiff_t>(first), begin + static_cast<ptrdiff_t>(end),
                starts_with_zero
            ) -
            begin
        );
        if (first < middle) node.child[0] = add_node(code << 1, length_bits + 1, first, middle);
        if (middle < end) node.child[1] = add_node(with_one, length_bits + 1, middle, end);
        for (const uint16_t child : node.child) {
            if (child != kNoNode) node.legal |= nodes_[child].legal;
        }
    }
    nodes_[index] = node;
    return index;
}

size_t HuffmanTable::cheapest_leaf(uint16_t node_index, int k) const {
    if (node_index == 0) return cheapest_from_root_[static_cast<size_t>(k)];
    const Node& node = nodes_[node_index];
    size_t best = node.first_leaf;
    uint32_t best_cost = kNever;
    for (size_t i = node.first_leaf; i < node.end_leaf; ++i) {
        if (!is_legal(leaves_[i].symbol, k)) continue;
        if (const uint32_t c = cost(leaves_[i], k); precedes(c, i, best_cost, best)) {
            best_cost = c;
            best = i;
        }
    }
    return best;
}

}  // namespace pycodec_lm::jpeg
