// The mask of a state: which tokens it accepts.
#pragma once

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>
#include <vector>

#include "grammar/bitmask.hpp"
#include "grammar/byte_set.hpp"
#include "grammar/cursor.hpp"
#include "grammar/cursor_hooks.hpp"
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

/// Walks subtrees of the trie that stand side by side, the nodes `first` to `end`, as far as the
/// walker accepts: it starts from their parent. Calls visit(node, walker) at every node that has
/// tokens, with the walker that has taken the node's bytes, and tried(node, parent, walker) at
/// every node that was tried, accepted or not.
///
/// `Walker` is a cursor or what stands for one: copyable, with accept(byte). A rejecting accept()
/// must leave it unchanged if `kRejectingKeeps`; else it is copied for every child.
template <bool kRejectingKeeps, class Walker, class Visit, class Tried>
void walk_subtrees(
    const TokenTrie& trie, uint32_t first, uint32_t end, const Walker& parent, Visit&& visit,
    Tried&& tried
) {
    // One walker per depth, assigned and seldom made anew: copies of states that share their tables
    // then touch no reference counts.
    std::vector<Walker> at_depth{parent};
    std::vector<bool> is_fresh{true};  // equals the walker one level up
    const size_t parent_depth = first < end ? trie.node(first).depth - size_t{1} : 0;
    for (uint32_t index = first; index < end;) {
        const TokenTrie::Node& node = trie.node(index);
        const size_t depth = node.depth - parent_depth;
        if (at_depth.size() == depth) {
            at_depth.push_back(at_depth.back());
            is_fresh.push_back(true);
        } else if (!is_fresh[depth]) {
            at_depth[depth] = at_depth[depth - 1];
        }
        Walker& walker = at_depth[depth];
        const bool is_accepted = walker.accept(node.byte);
        tried(index, std::as_const(at_depth[depth - 1]), std::as_const(walker));
        if (!is_accepted) {
            is_fresh[depth] = kRejectingKeeps;
            index = node.subtree_end;
            continue;
        }
        is_fresh[depth] = false;
        if (depth + 1 < is_fresh.size()) is_fresh[depth + 1] = false;
        if (!trie.tokens_at(index).empty()) visit(index, std::as_const(walker));
        ++index;
    }
}

/// walk_subtrees() of the whole trie.
template <bool kRejectingKeeps, class Walker, class Visit>
void walk_trie(const TokenTrie& trie, const Walker& start, Visit&& visit) {
    walk_subtrees<kRejectingKeeps>(
        trie, TokenTrie::kRoot + 1, trie.n_nodes(), start, std::forward<Visit>(visit),
        [](uint32_t, const Walker&, const Walker&) {}
    );
}

/// The vocabulary as masks of a cursor want it.
template <class Cursor>
struct TokensFor {
    using Type = TokenTrie;
};
template <HasTokens Cursor>
struct TokensFor<Cursor> {
    using Type = typename Cursor::Tokens;
};
template <class Cursor>
using TokensOf = typename TokensFor<Cursor>::Type;

/// Calls visit(node, cursor) at every node of the trie that has tokens and is accepted; the cursor
/// has taken the node's bytes where `kSees` says so.
template <bool kSees, GrammarCursor Cursor, class Visit>
void walk_tokens(const TokensOf<Cursor>& tokens, const Cursor& start, const Visit& visit) {
    if constexpr (HasTokens<Cursor>) {
        tokens.template walk<kSees>(start, visit);
    } else {
        walk_trie<true>(tokens, start, visit);
    }
}

template <GrammarCursor Cursor>
void fill_mask(
    const TokenTrie& trie, const TokensOf<Cursor>& tokens, const Cursor& start, MaskWords mask
) {
    std::fill(mask.begin(), mask.end(), 0);
    walk_tokens<false>(tokens, start, [&](uint32_t node, const Cursor&) {
        for (const TokenId token : trie.tokens_at(node)) set_bit(mask, token);
    });
}

}  // namespace pycodec_lm
