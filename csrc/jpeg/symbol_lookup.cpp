#include "jpeg/symbol_lookup.hpp"

#include <algorithm>

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

SymbolLookup::SymbolLookup(const HuffmanTable& table, const Legal& legal)
    : code_(table.leaves()), legal_(legal) {
    for (const HuffmanTable::Leaf& leaf : table.leaves()) {
        if (leaf.length_bits > kIndexBits) break;  // lengths grow
        if (!legal[leaf.symbol]) continue;
        const unsigned n_free_bits = kIndexBits - leaf.length_bits;
        std::fill_n(
            short_codes_.begin() + (leaf.code << n_free_bits), 1u << n_free_bits,
            Symbol{leaf.length_bits, leaf.symbol}
        );
    }
}

SymbolLookup::Symbol SymbolLookup::find_long(uint32_t next_16_bits) const {
    const HuffmanTable::Leaf leaf = code_.find(next_16_bits);
    if (!legal_[leaf.symbol]) return {};
    return {leaf.length_bits, leaf.symbol};
}

}  // namespace pycodec_lm::jpeg
