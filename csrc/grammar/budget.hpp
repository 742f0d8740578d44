// The token budget: how many tokens the ending of a state takes, and whether it still fits.
//
// The ending is complete(), spelled from left to right with the longest token that matches. Then
// what follows the first token of an ending is spelled with one token less, so from a state whose
// ending fits some token always leads to a state whose ending fits too: no budget runs out. Where
// what follows may be ended in another way (ChangesEndings), which is known to be no longer in
// bytes only, a byte counts as a token.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "grammar/cursor.hpp"
#include "grammar/cursor_hooks.hpp"
#include "grammar/token_trie.hpp"

namespace pycodec_lm {

/// Lengths of endings by their keys (cursor_hooks.hpp), bounded and safe to use from many threads.
class EndingMemo {
public:
    std::optional<uint64_t> find(const StateKey& key) const;
    void insert(std::span<const std::pair<StateKey, uint64_t>> lengths_tokens);

private:
    static constexpr size_t kMaxEntries = size_t{1} << 18;

    mutable std::mutex mutex_;
    std::unordered_map<StateKey, uint64_t, StateKeyHash> lengths_tokens_;
};

template <GrammarCursor Cursor>
class EndingLengths {
public:
    /// A longer ending counts a token a byte: spelling it out would take longer than it is worth,
    /// and the length still falls by one at least with each token of the ending.
    static constexpr uint64_t kMaxSpelledBytes = uint64_t{1} << 16;

    EndingLengths(const TokenTrie& trie, EndingMemo& memo) : trie_(&trie), memo_(&memo) {}

    /// Tokens of the ending, without a stop token.
    uint64_t n_tokens(const Cursor& cursor) const {
        const std::optional<StateKey> key = ending_key(cursor);
        if (const std::optional<uint64_t> known = find(key)) return *known;
        const uint64_t n_bytes = cursor.bytes_to_complete();
        if (takes_a_token_a_byte(cursor, n_bytes)) return remember(key, n_bytes);
        return spell(cursor, key, n_bytes, n_bytes);
    }

    /// n_tokens(cursor) <= limit, found by what is cheap before what is exact.
    bool fits(const Cursor& cursor, uint64_t limit) const {
        if constexpr (requires { cursor.ending_bound_here(); }) {
            if (cursor.ending_bound_here() <= limit) return true;
        } else if (BoundsEndings<Cursor> && ending_bound(cursor, 1) <= limit) {
            // Not of 0 bytes: that may be asked for what is exact, and takes as long.
            return true;
        }
        const std::optional<StateKey> key = ending_key(cursor);
        if (const std::optional<uint64_t> known = find(key)) return *known <= limit;
        const uint64_t n_bytes = cursor.bytes_to_complete();
        if (takes_a_token_a_byte(cursor, n_bytes)) return remember(key, n_bytes) <= limit;
        if (n_bytes <= limit) return true;
        if ((n_bytes + trie_->max_depth() - 1) / trie_->max_depth() > limit) return false;
        return spell(cursor, key, n_bytes, limit) <= limit;
    }

private:
    bool takes_a_token_a_byte(const Cursor& cursor, uint64_t n_bytes) const {
        if constexpr (ChangesEndings<Cursor>) {
            if (cursor.may_change_ending()) return true;
        }
        return trie_->max_depth() == 1 || n_bytes > kMaxSpelledBytes;
    }

    std::optional<uint64_t> find(const std::optional<StateKey>& key) const {
        return key ? memo_->find(*key) : std::nullopt;
    }

    uint64_t remember(const std::optional<StateKey>& key, uint64_t n_tokens) const {
        if (key) memo_->insert(std::array{std::pair(*key, n_tokens)});
        return n_tokens;
    }

    /// Tokens of an ending of n_bytes; more than the limit may be any number above it.
    uint64_t spell(
        const Cursor& cursor, const std::optional<StateKey>& key, uint64_t n_bytes, uint64_t limit
    ) const {
        if (key) return spell_remembering(cursor);
        std::vector<uint8_t> text;
        cursor.complete(text, n_bytes);
        uint64_t n_tokens = 0;
        for (size_t at = 0; at < text.size() && n_tokens <= limit; ++n_tokens) {
            at += trie_->longest_match(std::span(text).subspan(at)).n_bytes;
        }
        return n_tokens;
    }

    /// Goes on only to the first state whose ending is known, and remembers those before it.
    uint64_t spell_remembering(const Cursor& start) const {
        constexpr uint64_t kFirstChunkBytes = 16;
        constexpr uint64_t kMaxChunkBytes = 4096;
        Cursor cursor = start;
        std::vector<std::pair<StateKey, uint64_t>> passed;  // with the tokens spelled before
        std::vector<uint8_t> text;  // the ending, not yet spelled from `at` on
        size_t at = 0;
        bool is_whole = false;
        uint64_t chunk_bytes = std::max<uint64_t>(kFirstChunkBytes, trie_->max_depth());
        uint64_t n_tokens = 0;
        for (;; ++n_tokens) {
            if (const std::optional<StateKey> key = ending_key(cursor)) {
                if (const std::optional<uint64_t> known = memo_->find(*key)) {
                    n_tokens += *known;
                    break;
                }
                passed.emplace_back(*key, n_tokens);
            }
            if (!is_whole && text.size() - at < trie_->max_depth()) {
                text.clear();
                at = 0;
                cursor.complete(text, chunk_bytes);
                is_whole = text.size() < chunk_bytes;
                chunk_bytes = std::max(chunk_bytes, std::min(2 * chunk_bytes, kMaxChunkBytes));
            }
            if (at == text.size()) break;
            const size_t end = at + trie_->longest_match(std::span(text).subspan(at)).n_bytes;
            while (at < end) cursor.accept(text[at++]);
        }
        for (auto& [key, length] : passed) length = n_tokens - length;
        memo_->insert(passed);
        return n_tokens;
    }

    const TokenTrie* trie_;
    EndingMemo* memo_;
};

}  // namespace pycodec_lm
