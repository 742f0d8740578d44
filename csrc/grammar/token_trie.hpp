// The tokens of a vocabulary as a tree of bytes, flat and in depth-first order: the subtree of a
// node is a range of nodes, and its tokens are a range of ids.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "grammar/tokenizer_info.hpp"

namespace pycodec_lm {

class TokenTrie {
public:
    struct Node {
        uint32_t subtree_end = 0;  // the node after the last one below
        uint32_t first_token = 0;  // into tokens(); the next node's is the end
        uint16_t depth = 0;        // bytes from the root
        uint8_t byte = 0;
    };

    struct Match {
        TokenId token = -1;
        uint32_t n_bytes = 0;
        // All bytes were read and some token goes on after them: more bytes might match longer.
        bool may_go_on = false;
    };

    /// Throws UsageError where a token is longer than kMaxTokenBytes.
    explicit TokenTrie(const TokenizerInfo& info);

    static constexpr uint32_t kRoot = 0;
    static constexpr uint32_t kMaxTokenBytes = std::numeric_limits<uint16_t>::max();

    uint32_t n_nodes() const { return static_cast<uint32_t>(nodes_.size()) - 1; }
    const Node& node(uint32_t index) const { return nodes_[index]; }
    uint32_t max_depth() const { return max_depth_; }
    bool has_children(uint32_t index) const { return nodes_[index].subtree_end > index + 1; }
    /// The tokens that are exactly the bytes from the root to a node: none, or several of the same
    /// bytes, in ascending order.
    std::span<const TokenId> tokens_at(uint32_t index) const {
        return {
            tokens_.data() + nodes_[index].first_token,
            tokens_.data() + nodes_[index + 1].first_token
        };
    }
    /// The tokens that start with the bytes from the root to a node.
    std::span<const TokenId> tokens_below(uint32_t index) const {
        return {
            tokens_.data() + nodes_[index].first_token,
            tokens_.data() + nodes_[nodes_[index].subtree_end].first_token
        };
    }
    /// The first token of the longest bytes that `text` starts with. `text` must not be empty.
    Match longest_match(std::span<const uint8_t> text) const;
    /// Some token starts with `text` and is longer.
    bool has_longer(std::span<const uint8_t> text) const;

private:
    static constexpr uint32_t kNoNode = 0;  // the root is nobody's child

    uint32_t child(uint32_t parent, uint8_t byte) const;

    std::vector<Node> nodes_;  // one more at the end, for ranges
    std::vector<TokenId> tokens_;
    std::array<uint32_t, 256> first_level_{};
    uint32_t max_depth_ = 0;
};

}  // namespace pycodec_lm
