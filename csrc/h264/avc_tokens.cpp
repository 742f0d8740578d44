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

}  // namespace

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
                if (!words.empty() && (bits ^ words.back().bits) >> (64 - words.back().n_bits) == 0)
                    words.back().is_last = false;
                words.push_back(
                    {.bits = bits,
                     .node = node,
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
}

}  // namespace pycodec_lm::h264
