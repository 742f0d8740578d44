// Huffman codes by table look-up: how the whole-buffer check reads one symbol. HuffmanTable's tree
// is its definition.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <span>

#include "jpeg/huffman_table.hpp"

namespace pycodec_lm::jpeg {

/// One code found at the head of 16 bits (T.81 F.2.2.3, Figure F.16); length 0: no code.
class CanonicalCode {
public:
    explicit CanonicalCode(std::span<const HuffmanTable::Leaf> leaves);

    HuffmanTable::Leaf find(uint32_t next_16_bits) const {
        for (size_t length = 1; length <= 16; ++length) {
            if (next_16_bits >= limits_[length]) continue;
            const auto code = static_cast<int32_t>(next_16_bits >> (16 - length));
            return leaves_[static_cast<size_t>(code + offsets_[length])];
        }
        return {};
    }

private:
    std::span<const HuffmanTable::Leaf> leaves_;
    std::array<uint32_t, 17> limits_{};  // codes of up to this length are below, from bit 15 down
    std::array<int32_t, 17> offsets_{};  // from a code of this length to its leaf
};

/// The symbols of a table that a scan may use, wherever they stand.
class SymbolLookup {
public:
    struct Symbol {
        uint8_t length_bits = 0;  // of the code; 0: no code, or not legal
        uint8_t value = 0;
    };
    using Legal = std::bitset<256>;

    /// The table must outlive the lookup.
    SymbolLookup(const HuffmanTable& table, const Legal& legal);

    Symbol find(uint32_t next_16_bits) const {
        const Symbol symbol = short_codes_[next_16_bits >> (16 - kIndexBits)];
        return symbol.length_bits != 0 ? symbol : find_long(next_16_bits);
    }

private:
    // Most scans of a picture have a table of their own, which is made in less time than its
    // symbols take.
    static constexpr unsigned kIndexBits = 9;

    Symbol find_long(uint32_t next_16_bits) const;

    CanonicalCode code_;
    Legal legal_;
    std::array<Symbol, 1 << kIndexBits> short_codes_{};
};

}  // namespace pycodec_lm::jpeg
