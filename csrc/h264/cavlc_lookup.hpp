// The codes of Tables 9-5 and 9-7 to 9-10 by their bits, for reading them at once.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "h264/residual_tables.hpp"

namespace pycodec_lm::h264 {

struct CodeEntry {
    uint8_t symbol = 0;
    uint8_t length = 0;  // bits; 0: no code begins so, or a longer one
};

/// What the first bits say, of codes that are no longer than they.
template <int kBits>
class CodeLookup {
public:
    constexpr CodeLookup() = default;
    constexpr explicit CodeLookup(const PrefixCode& code) { add(code, 0, 0, 0); }

    /// `word` has the bits at its top.
    constexpr const CodeEntry& operator[](uint64_t word) const {
        return entries_[word >> (64 - kBits)];
    }

private:
    constexpr void add(const PrefixCode& code, int node, size_t bits, int n_bits) {
        for (size_t bit = 0; bit < 2; ++bit) {
            const int child = code.node(node).children[bit];
            const size_t next = bits << 1 | bit;
            if (child < 0) {
                const int n_behind = kBits - n_bits - 1;
                for (size_t i = next << n_behind; i < (next + 1) << n_behind; ++i)
                    entries_[i] = {
                        static_cast<uint8_t>(-child - 1), static_cast<uint8_t>(n_bits + 1)
                    };
            } else if (child > 0 && n_bits + 1 < kBits) {
                add(code, child, next, n_bits + 1);
            }
        }
    }

    std::array<CodeEntry, size_t{1} << kBits> entries_{};
};

/// The symbols of codes that begin with some bits, up to kBits of them.
template <class Symbols, int kBits>
class BegunCodes {
public:
    static constexpr int kMaxBits = kBits;

    constexpr BegunCodes() = default;
    constexpr explicit BegunCodes(const PrefixCode& code) { add(code, 0, 0, 0); }

    constexpr Symbols operator()(uint64_t bits, int n_bits) const {
        return symbols_[size_t{1} << n_bits | bits];
    }

private:
    constexpr void add(const PrefixCode& code, int node, size_t bits, int n_bits) {
        const uint64_t symbols = n_bits == 0 ? code.symbols() : code.symbols_below(node);
        symbols_[size_t{1} << n_bits | bits] = static_cast<Symbols>(symbols);
        if (node < 0 || n_bits == kBits) return;
        for (size_t bit = 0; bit < 2; ++bit) {
            const int child = code.node(node).children[bit];
            if (child != PrefixCode::kNone) add(code, child, bits << 1 | bit, n_bits + 1);
        }
    }

    std::array<Symbols, size_t{2} << kBits> symbols_{};
};

template <class Lookup, size_t n>
constexpr std::array<Lookup, n> lookups_of(const std::array<PrefixCode, n>& codes) {
    std::array<Lookup, n> lookups;
    for (size_t i = 0; i < n; ++i) lookups[i] = Lookup(codes[i]);
    return lookups;
}

// What is longer than these is rare.
inline constexpr int kShortBits = 8;
inline constexpr auto kCoeffTokens8 = lookups_of<CodeLookup<kShortBits>>(kCoeffTokenCodes);
inline constexpr auto kTotalZeros9 = lookups_of<CodeLookup<9>>(kTotalZerosCodes);
inline constexpr auto kChromaDcTotalZeros3 = lookups_of<CodeLookup<3>>(kChromaDcTotalZerosCodes);
inline constexpr auto kRunBefore3 = lookups_of<CodeLookup<3>>(kRunBeforeCodes);
inline constexpr auto kBegunCoeffTokens =
    lookups_of<BegunCodes<uint64_t, kShortBits>>(kCoeffTokenCodes);
inline constexpr auto kBegunTotalZeros =
    lookups_of<BegunCodes<uint16_t, kShortBits>>(kTotalZerosCodes);
inline constexpr auto kBegunChromaDcTotalZeros =
    lookups_of<BegunCodes<uint16_t, 3>>(kChromaDcTotalZerosCodes);
inline constexpr auto kBegunRunBefore = lookups_of<BegunCodes<uint16_t, 3>>(kRunBeforeCodes);

constexpr std::array<uint64_t, 17> rows_by_max_coeff() {
    std::array<uint64_t, 17> rows{};
    for (size_t most = 0; most < rows.size(); ++most) {
        for (size_t row = 0; row < kCoeffTokens; ++row) {
            if (kTable9_5[row].total_coeff <= most) rows[most] |= uint64_t{1} << row;
        }
    }
    return rows;
}
/// The rows of Table 9-5 that a block of so many coefficients may have.
inline constexpr auto kRowsByMaxCoeff = rows_by_max_coeff();

}  // namespace pycodec_lm::h264
