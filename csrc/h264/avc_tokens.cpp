#include "h264/avc_tokens.hpp"

#include <algorithm>

namespace pycodec_lm::h264 {
namespace {

constexpr size_t kMaxWordBytes = 8;

/// 00 00 comes before a byte below 04: 7.4.1.
bool is_odd(std::span<const uint8_t> bytes, size_t n_zeros) {
    for (const uint8_t byte : bytes) {
        if (n_zeros == 2 && byte < 4) return true;
        n_zeros = byte == 0 ? n_zeros + 1 : 0;
    }
    return false;
}

uint64_t word_of(std::span<const uint8_t> bytes) {
    uint64_t word = 0;
    for (size_t i = 0; i < bytes.size(); ++i) word |= uint64_t{bytes[i]} << (56 - 8 * i);
    return word;
}

uint8_t n_end_zeros_of(std::span<const uint8_t> bytes) {
    const auto last = std::find_if(bytes.rbegin(), bytes.rend(), [](uint8_t b) { return b != 0; });
    return static_cast<uint8_t>(last - bytes.rbegin());
}

bool begins_with(uint64_t bits, const AvcTokens::Word& word) {
    return (bits ^ word.bits) >> (64 - word.n_bits) == 0;
}

std::vector<AvcTokens::Cell> cells_of(std::span<const AvcTokens::Word> words) {
    using Cell = AvcTokens::Cell;
    std::vector<Cell> cells;
    for (uint32_t i = 0; i < words.size(); ++i) {
        const AvcTokens::Word& word = words[i];
        if (word.n_bits > Cell::kMaxWordBits) continue;
        if (!cells.empty() && cells.back().word == word.parent) cells.pop_back();
        const auto begin = static_cast<int64_t>(word.bits >> (64 - Cell::kBits));
        const int64_t width = int64_t{1} << (Cell::kBits - word.n_bits);
        cells.push_back({.begin = begin, .end = begin + width, .word = i});
    }
    return cells;
}

}  // namespace

std::vector<uint8_t> AvcTokens::bytes_of(const Word& word) {
    std::vector<uint8_t> bytes;
    for (int n = 0; n < word.n_bits; n += 8)
        bytes.push_back(static_cast<uint8_t>(word.bits << n >> 56));
    return bytes;
}

AvcTokens::AvcTokens(const TokenTrie& trie) : trie_(&trie) {
    std::vector<uint8_t> path;
    for (uint32_t node = TokenTrie::kRoot + 1; node < trie.n_nodes(); ++node) {
        path.resize(trie.node(node).depth - size_t{1});
        path.push_back(trie.node(node).byte);
        if (trie.tokens_at(node).empty()) continue;
        const uint64_t bits = path.size() <= kMaxWordBytes ? word_of(path) : 0;
        const uint8_t n_end_zeros = n_end_zeros_of(path);
        for (size_t n_zeros = 0; n_zeros < kStates; ++n_zeros) {
            if (path.size() <= kMaxWordBytes && !is_odd(path, n_zeros)) {
                auto& words = words_[n_zeros];
                auto parent = static_cast<uint32_t>(words.size()) - 1;  // or before it
                while (parent != kNoParent && !begins_with(bits, words[parent]))
                    parent = words[parent].parent;
                if (parent != kNoParent) words[parent].is_last = false;
                words.push_back(
                    {.bits = bits,
                     .node = node,
                     .parent = parent,
                     .n_bits = static_cast<uint8_t>(8 * path.size()),
                     .n_end_zeros = n_end_zeros}
                );
                continue;
            }
            auto& odd = odd_[n_zeros];
            size_t n_shared = 0;
            if (!odd.empty()) {
                const auto& before = odd.back().bytes;
                const auto parts =
                    std::mismatch(path.begin(), path.end(), before.begin(), before.end());
                n_shared = static_cast<size_t>(parts.first - path.begin());
            }
            odd.push_back({node, static_cast<uint32_t>(n_shared), path});
        }
    }
    for (size_t n_zeros = 0; n_zeros < kStates; ++n_zeros)
        cells_[n_zeros] = cells_of(words_[n_zeros]);
}

}  // namespace pycodec_lm::h264
