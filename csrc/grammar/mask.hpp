// The mask of a state: which tokens it accepts.
#pragma once

#include <algorithm>
#include <string_view>
#include <vector>

#include "grammar/bitmask.hpp"
#include "grammar/cursor.hpp"
#include "grammar/token_trie.hpp"
#include "grammar/tokenizer_info.hpp"

namespace pycodec_lm {

template <class Walker>
bool accept_all(Walker& walker, std::string_view bytes) {
    for (const char byte : bytes) {
        if (!walker.accept(static_cast<uint8_t>(byte))) return false;
    }
    return true;
}

/// The slow twin of walk_trie(), token by token: the definition of a mask.
template <GrammarCursor Cursor>
void fill_mask_slowly(const TokenizerInfo& info, const Cursor& start, MaskWords mask) {
    std::fill(mask.begin(), mask.end(), 0);
    for (TokenId token = 0; token < info.vocab_size(); ++token) {
        if (!info.is_text(token)) continue;
        Cursor cursor = start;
        if (accept_all(cursor, info.bytes_of(token))) set_bit(mask, token);
    }
}

/// Walks the trie as far as the walker accepts and calls visit(node, walker) at every node that has
/// tokens, with the walker that has taken the node's bytes.
///
/// `Walker` is a cursor or what stands for one: copyable, with accept(byte). A rejecting accept()
/// must leave it unchanged if `kRejectingKeeps`; else it is copied for every child.
template <bool kRejectingKeeps, class Walker, class Visit>
void walk_trie(const TokenTrie& trie, const Walker& start, Visit&& visit) {
    // One walker per depth, assigned and seldom made anew: copies of states that share their tables
    // then touch no reference counts.
    std::vector<Walker> at_depth{start};
    std::vector<bool> is_fresh{true};  // equals the walker one level up
    const uint32_t n_nodes = trie.n_nodes();
    for (uint32_t index = 1; index < n_nodes;) {
        const TokenTrie::Node& node = trie.node(index);
        const size_t depth = node.depth;
        if (at_depth.size() == depth) {
            at_depth.push_back(at_depth.back());
            is_fresh.push_back(true);
        } else if (!is_fresh[depth]) {
            at_depth[depth] = at_depth[depth - 1];
        }
        Walker& walker = at_depth[depth];
        if (!walker.accept(node.byte)) {
            is_fresh[depth] = kRejectingKeeps;
            index = node.subtree_end;
            continue;
        }
        is_fresh[depth] = false;
        if (depth + 1 < is_fresh.size()) is_fresh[depth + 1] = false;
        if (!trie.tokens_at(index).empty()) visit(index, static_cast<const Walker&>(walker));
        ++index;
    }
}

template <GrammarCursor Cursor>
void fill_mask(const TokenTrie& trie, const Cursor& start, MaskWords mask) {
    std::fill(mask.begin(), mask.end(), 0);
    walk_trie<true>(trie, start, [&](uint32_t node, const Cursor&) {
        for (const TokenId token : trie.tokens_at(node)) set_bit(mask, token);
    });
}

}  // namespace pycodec_lm
