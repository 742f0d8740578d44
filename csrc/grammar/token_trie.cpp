#include "grammar/token_trie.hpp"

#include <algorithm>
#include <numeric>
#include <string_view>

#include "grammar/usage_error.hpp"

namespace pycodec_lm {

TokenTrie::TokenTrie(const TokenizerInfo& info) {
    for (TokenId id = 0; id < info.vocab_size(); ++id) {
        if (info.is_text(id)) tokens_.push_back(id);
    }
    if (info.max_token_bytes() > kMaxTokenBytes) {
        throw UsageError("a token is longer than " + std::to_string(kMaxTokenBytes) + " bytes");
    }
    // std::string compares bytes as unsigned, so this is the order of a depth-first walk.
    std::stable_sort(tokens_.begin(), tokens_.end(), [&info](TokenId a, TokenId b) {
        return info.bytes_of(a) < info.bytes_of(b);
    });
    nodes_.push_back({});
    std::vector<uint32_t> path{kRoot};  // the nodes above the end of the last token
    std::string_view previous;
    for (uint32_t i = 0; i < tokens_.size(); ++i) {
        const std::string_view bytes = info.bytes_of(tokens_[i]);
        const auto parts =
            std::mismatch(bytes.begin(), bytes.end(), previous.begin(), previous.end());
        const auto n_common = static_cast<size_t>(parts.first - bytes.begin());
        while (path.size() > n_common + 1) {
            nodes_[path.back()].subtree_end = static_cast<uint32_t>(nodes_.size());
            path.pop_back();
        }
        for (size_t depth = n_common; depth < bytes.size(); ++depth) {
            const auto index = static_cast<uint32_t>(nodes_.size());
            const auto byte = static_cast<uint8_t>(bytes[depth]);
            if (depth == 0) first_level_[byte] = index;
            path.push_back(index);
            nodes_.push_back(
                {.first_token = i, .depth = static_cast<uint16_t>(depth + 1), .byte = byte}
            );
        }
        previous = bytes;
        max_depth_ = std::max(max_depth_, static_cast<uint32_t>(bytes.size()));
    }
    for (const uint32_t index : path)
        nodes_[index].subtree_end = static_cast<uint32_t>(nodes_.size());
    nodes_.push_back({.first_token = static_cast<uint32_t>(tokens_.size())});
}

uint32_t TokenTrie::child(uint32_t parent, uint8_t byte) const {
    if (parent == kRoot) return first_level_[byte];
    const uint32_t end = nodes_[parent].subtree_end;
    for (uint32_t index = parent + 1; index < end; index = nodes_[index].subtree_end) {
        if (nodes_[index].byte == byte) return index;
    }
    return kNoNode;
}

TokenTrie::Match TokenTrie::longest_match(std::span<const uint8_t> text) const {
    Match match;
    uint32_t index = kRoot;
    for (uint32_t n_bytes = 1; n_bytes <= text.size(); ++n_bytes) {
        index = child(index, text[n_bytes - 1]);
        if (index == kNoNode) return match;
        if (const auto tokens = tokens_at(index); !tokens.empty()) {
            match.token = tokens.front();
            match.n_bytes = n_bytes;
        }
    }
    match.may_go_on = has_children(index);
    return match;
}

bool TokenTrie::has_longer(std::span<const uint8_t> text) const {
    uint32_t index = kRoot;
    for (const uint8_t byte : text) {
        index = child(index, byte);
        if (index == kNoNode) return false;
    }
    return has_children(index);
}

}  // namespace pycodec_lm
