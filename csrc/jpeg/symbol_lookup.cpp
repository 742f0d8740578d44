#include "jpeg/symbol_lookup.hpp"

namespace pycodec_lm::jpeg {

CanonicalCode::CanonicalCode(std::span<const HuffmanTable::Leaf> leaves) : leaves_(leaves) {
    size_t n = 0;
    uint32_t limit = 0;
    for (size_t length = 1; length <= 16; ++length) {
        const auto shift = static_cast<unsigned>(16 - length);
        // The first code of a length follows the last one of the length before, with 0-bits.
        offsets_[length] = static_cast<int32_t>(n) - static_cast<int32_t>(limit >> shift);
        while (n < leaves.size() && leaves[n].length_bits == length)
            limit = (uint32_t{leaves[n++].code} + 1) << shift;
        limits_[length] = limit;
    }
}

DcLookup::Difference DcLookup::decode(uint32_t next_32_bits) const {
    const HuffmanTable::Leaf leaf = code_.find(next_32_bits >> 16);
    const int size = leaf.symbol;
    if (leaf.length_bits == 0 || size > max_category_) return {0, 0};
    const int n_bits = leaf.length_bits + size;
    return {extend((next_32_bits >> (32 - n_bits)) & ((1u << size) - 1), size), n_bits};
}

uint32_t DcLookup::resolve(uint32_t index) const {
    uint32_t entry = kResolved;
    const Difference difference = decode(index << (32 - kIndexBits));
    if (difference.n_bits <= kIndexBits) {
        const auto value = static_cast<uint16_t>(difference.value);
        entry |= uint32_t{value} << 16 | static_cast<uint32_t>(difference.n_bits);
    }
    entries_[index].store(entry, std::memory_order_relaxed);
    return entry;
}

AcLookup::AcLookup(const HuffmanTable& table)
    : code_(table.leaves()),
      max_size_(table.limits().max_ac_size),
      can_end_anywhere_(table.find(kEndOfBlock).length_bits > 0) {}

uint16_t AcLookup::resolve(uint32_t index) const {
    unsigned n_bits = 0;
    unsigned n_coefficients = 0;
    uint16_t flags = kResolved;
    while (can_end_anywhere_) {
        const uint32_t rest = (index << n_bits) & ((1u << kIndexBits) - 1);
        const HuffmanTable::Leaf leaf = code_.find(rest << (16 - kIndexBits));
        const unsigned own_bits = leaf.length_bits + static_cast<unsigned>(size_of(leaf.symbol));
        if (leaf.length_bits == 0 || n_bits + own_bits > kIndexBits) break;
        if (leaf.symbol == kEndOfBlock) {
            n_bits += own_bits;
            flags |= kEndsBlock;
            break;
        }
        const int size = size_of(leaf.symbol);
        const bool is_coefficient = size > 0 && size <= max_size_;
        if (!is_coefficient && leaf.symbol != kZeroRunLength) break;
        const auto own = static_cast<unsigned>(run_of(leaf.symbol)) + 1;
        if (n_coefficients + own >= kBlockSize) break;
        n_bits += own_bits;
        n_coefficients += own;
    }
    const auto entry = static_cast<uint16_t>(flags | n_coefficients << 6 | n_bits);
    entries_[index].store(entry, std::memory_order_relaxed);
    return entry;
}

}  // namespace pycodec_lm::jpeg
