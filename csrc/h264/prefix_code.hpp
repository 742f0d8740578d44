// Prefix codes of tables in the standard: each row a symbol and its bits, as printed.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace pycodec_lm::h264 {

/// At most 64 symbols, so that sets of them are 64-bit masks.
class PrefixCode {
public:
    static constexpr int kMaxSymbols = 64;
    static constexpr int kNone = 0;  // no node: the root is nobody's child

    struct Node {
        uint64_t symbols = 0;               // of the rows below
        std::array<int16_t, 2> children{};  // > 0: a node, < 0: minus a symbol minus 1, or kNone
    };

    constexpr PrefixCode() = default;

    /// Gives symbol `symbol` the code that `bits` spells; blanks are skipped, "-" is no code.
    constexpr void add(int symbol, std::string_view bits) {
        if (bits == "-") return;
        int node = 0;
        int n_bits = 0;
        int n_left = 0;
        for (const char c : bits) n_left += c != ' ';
        nodes_[0].symbols |= uint64_t{1} << symbol;
        for (const char c : bits) {
            if (c == ' ') continue;
            ++n_bits;
            int16_t& child = nodes_[static_cast<size_t>(node)].children[c == '1'];
            if (--n_left == 0) {
                is_prefix_free_ = is_prefix_free_ && child == kNone;
                child = static_cast<int16_t>(-symbol - 1);
                break;
            }
            if (child < 0) {
                is_prefix_free_ = false;
                return;
            }
            if (child == kNone) child = static_cast<int16_t>(n_nodes_++);
            node = child;
            nodes_[static_cast<size_t>(node)].symbols |= uint64_t{1} << symbol;
        }
        lengths_[static_cast<size_t>(symbol)] = static_cast<uint8_t>(n_bits);
    }

    constexpr bool is_prefix_free() const { return is_prefix_free_; }
    constexpr const Node& node(int index) const { return nodes_[static_cast<size_t>(index)]; }
    constexpr int length(int symbol) const { return lengths_[static_cast<size_t>(symbol)]; }
    constexpr uint64_t symbols() const { return nodes_[0].symbols; }

    /// The symbols below a child; 0 for kNone.
    constexpr uint64_t symbols_below(int child) const {
        if (child == kNone) return 0;
        return child < 0 ? uint64_t{1} << (-child - 1) : node(child).symbols;
    }

    /// The symbols whose codes begin with these bits, or are just them.
    constexpr uint64_t symbols_behind(uint64_t bits, int n_bits) const {
        int child = 0;
        for (int n_left = n_bits; n_left > 0; --n_left) {
            child = node(child).children[(bits >> (n_left - 1)) & 1];
            if (child > 0) continue;
            return n_left > 1 ? 0 : symbols_below(child);
        }
        return node(child).symbols;
    }

    /// Bits of the shortest code of a set that is not empty.
    constexpr int least_length(uint64_t symbols) const {
        int least = 64;
        for (uint64_t left = symbols; left != 0; left &= left - 1) {
            const int n = length(std::countr_zero(left));
            if (n < least) least = n;
        }
        return least;
    }

private:
    std::array<Node, 160> nodes_{};
    std::array<uint8_t, kMaxSymbols> lengths_{};
    int n_nodes_ = 1;
    bool is_prefix_free_ = true;
};

}  // namespace pycodec_lm::h264
