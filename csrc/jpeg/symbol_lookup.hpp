// Huffman symbols by table look-up, several bits and several symbols at a time: what the
// whole-buffer check reads codes with. HuffmanTable's tree is its definition.
#pragma once

#include <array>
#include <atomic>
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

/// DC differences: code and amplitude in one look-up where they are short.
///
/// Entries are worked out when first asked for. Threads may do so at once: they write the same.
class DcLookup {
public:
    static constexpr int kIndexBits = 10;

    explicit DcLookup(const HuffmanTable& table)
        : code_(table.leaves()), max_category_(table.limits().max_dc_category) {}

    struct Difference {
        int value;
        int n_bits;  // 0: not decided by these bits
    };
    Difference find(uint32_t index) const {
        uint32_t entry = entries_[index].load(std::memory_order_relaxed);
        if (entry == 0) entry = resolve(index);
        return {static_cast<int16_t>(entry >> 16), static_cast<int>(entry & 0xFF)};
    }
    /// The difference at the head of 32 bits, of any length; n_bits = 0 where it is not legal.
    Difference decode(uint32_t next_32_bits) const;

private:
    static constexpr uint32_t kResolved = 0x100;
    uint32_t resolve(uint32_t index) const;

    CanonicalCode code_;
    int max_category_;
    mutable std::array<std::atomic<uint32_t>, 1 << kIndexBits> entries_{};
};

/// AC coefficients: as many whole ones, codes and amplitudes, as fit in one look-up.
class AcLookup {
public:
    static constexpr int kIndexBits = 13;

    explicit AcLookup(const HuffmanTable& table);

    class Run {
    public:
        explicit Run(uint16_t word) : word_(word) {}
        int n_bits() const { return word_ & 63; }  // 0: not decided by these bits
        int n_coefficients() const { return (word_ >> 6) & 63; }
        bool ends_block() const { return (word_ & kEndsBlock) != 0; }

    private:
        uint16_t word_;
    };
    /// Only where all of a run's coefficients come before the last one of the block; a run of
    /// zeros must not end it.
    Run find(uint32_t index) const {
        uint16_t word = entries_[index].load(std::memory_order_relaxed);
        if (word == 0) word = resolve(index);
        return Run(word);
    }
    const CanonicalCode& code() const { return code_; }

private:
    static constexpr uint16_t kEndsBlock = 1u << 12;
    static constexpr uint16_t kResolved = 1u << 15;
    uint16_t resolve(uint32_t index) const;

    CanonicalCode code_;
    int max_size_;
    bool can_end_anywhere_;  // the table has an EOB: any coefficient may be the last
    mutable std::array<std::atomic<uint16_t>, 1 << kIndexBits> entries_{};
};

}  // namespace pycodec_lm::jpeg
