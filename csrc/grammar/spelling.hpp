// Bytes to tokens, as the tokenizer itself would spell them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "grammar/token_trie.hpp"
#include "grammar/tokenizer_info.hpp"

namespace pycodec_lm {

/// By the tokenizer's merges, lowest rank first and leftmost among equals; where the tokenizer has
/// told none, by the longest match.
std::vector<TokenId> spell(
    const TokenizerInfo& info, const TokenTrie& trie, std::span<const uint8_t> text
);

/// The tokens with which spell(text + more) starts whatever `more` is. They may spell less than the
/// text: a token could reach over its end.
std::vector<TokenId> spell_prefix(
    const TokenizerInfo& info, const TokenTrie& trie, std::span<const uint8_t> text
);

}  // namespace pycodec_lm
