// What the engine needs to know of a tokenizer: the bytes of each token, and what is no bytes.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace pycodec_lm {

using TokenId = int32_t;

class TokenizerInfo {
public:
    /// Two byte strings that the tokenizer joins, as learned.
    using Merge = std::pair<std::string, std::string>;

    struct MergeResult {
        uint32_t rank = 0;  // lower goes first
        TokenId token = 0;
    };

    /// A stop token ends a file. A special token never stands in one; so does a token without bytes
    /// that is no stop token. A token named as both is a stop token. What bytes a stop or special
    /// token has is ignored. Without `merges` the tokenizer is taken to spell the longest match.
    /// Throws UsageError where an id or a merge makes no sense, or a byte value has no token.
    TokenizerInfo(
        std::vector<std::string> encoded_vocab, const std::vector<int64_t>& stop_token_ids,
        const std::vector<int64_t>& special_token_ids, const std::vector<Merge>& merges = {}
    );

    int32_t vocab_size() const { return static_cast<int32_t>(vocab_.size()); }
    const std::vector<std::string>& encoded_vocab() const { return vocab_; }
    std::string_view bytes_of(TokenId token) const { return vocab_[static_cast<size_t>(token)]; }
    std::span<const TokenId> stop_token_ids() const { return stop_token_ids_; }
    std::span<const TokenId> special_token_ids() const { return special_token_ids_; }
    bool has_stop_token() const { return !stop_token_ids_.empty(); }
    bool is_stop(TokenId token) const { return kinds_[static_cast<size_t>(token)] == Kind::kStop; }
    /// The token stands for bytes.
    bool is_text(TokenId token) const { return kinds_[static_cast<size_t>(token)] == Kind::kText; }
    /// The token of a single byte, the first where there are several.
    TokenId token_of_byte(uint8_t byte) const { return token_of_byte_[byte]; }
    uint32_t max_token_bytes() const { return max_token_bytes_; }

    bool has_merges() const { return !merges_.empty(); }
    /// What two neighbours become, or null.
    const MergeResult* find_merge(TokenId left, TokenId right) const {
        const auto found = merges_.find(pair_of(left, right));
        return found == merges_.end() ? nullptr : &found->second;
    }

    /// Throws UsageError where the id is not in the vocabulary.
    TokenId checked(int64_t token) const;

private:
    enum class Kind : uint8_t { kText, kStop, kSpecial };

    static uint64_t pair_of(TokenId left, TokenId right) {
        return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 |
               static_cast<uint32_t>(right);
    }
    void find_byte_tokens();
    void add_merges(const std::vector<Merge>& merges);

    std::vector<std::string> vocab_;
    std::vector<Kind> kinds_;
    std::vector<TokenId> stop_token_ids_;
    std::vector<TokenId> special_token_ids_;
    TokenId token_of_byte_[256];
    uint32_t max_token_bytes_ = 0;
    std::unordered_map<uint64_t, MergeResult> merges_;
};

}  // namespace pycodec_lm
