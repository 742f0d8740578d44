#include "grammar/spelling.hpp"

#include <algorithm>
#include <functional>
#include <queue>
#include <tuple>

namespace pycodec_lm {
namespace {

std::vector<TokenId> spell_longest(const TokenTrie& trie, std::span<const uint8_t> text) {
    std::vector<TokenId> tokens;
    for (size_t at = 0; at < text.size();) {
        const TokenTrie::Match match = trie.longest_match(text.subspan(at));
        tokens.push_back(match.token);
        at += match.n_bytes;
    }
    return tokens;
}

/// Byte-pair encoding over a linked list of tokens, the pairs in a heap.
class MergeSpeller {
public:
    MergeSpeller(const TokenizerInfo& info, std::span<const uint8_t> text) : info_(info) {
        pieces_.reserve(text.size());
        for (const uint8_t byte : text) {
            const auto index = static_cast<uint32_t>(pieces_.size());
            pieces_.push_back({info.token_of_byte(byte), index - 1, index + 1});
        }
        for (uint32_t i = 0; i + 1 < pieces_.size(); ++i) propose(i);
    }

    std::vector<TokenId> run() {
        while (!pairs_.empty()) {
            const auto [rank, left, left_token, right_token] = pairs_.top();
            pairs_.pop();
            const uint32_t right = pieces_[left].next;
            // A pair is stale when one of its sides has been merged since.
            if (pieces_[left].token != left_token || right >= pieces_.size() ||
                pieces_[right].token != right_token) {
                continue;
            }
            pieces_[left].token = info_.find_merge(left_token, right_token)->token;
            pieces_[right].token = kMerged;
            pieces_[left].next = pieces_[right].next;
            if (pieces_[left].next < pieces_.size()) {
                pieces_[pieces_[left].next].previous = left;
                propose(left);
            }
            if (left > 0) propose(pieces_[left].previous);
        }
        std::vector<TokenId> tokens;
        for (const Piece& piece : pieces_) {
            if (piece.token != kMerged) tokens.push_back(piece.token);
        }
        return tokens;
    }

private:
    static constexpr TokenId kMerged = -1;

    struct Piece {
        TokenId token;
        uint32_t previous;
        uint32_t next;
    };
    using Pair = std::tuple<uint32_t, uint32_t, TokenId, TokenId>;  // rank, left piece, both tokens

    void propose(uint32_t left) {
        const TokenId left_token = pieces_[left].token;
        const TokenId right_token = pieces_[pieces_[left].next].token;
        const TokenizerInfo::MergeResult* merge = info_.find_merge(left_token, right_token);
        if (merge != nullptr) pairs_.emplace(merge->rank, left, left_token, right_token);
    }

    const TokenizerInfo& info_;
    std::vector<Piece> pieces_;
    std::priority_queue<Pair, std::vector<Pair>, std::greater<>> pairs_;
};

}  // namespace

std::vector<TokenId> spell(
    const TokenizerInfo& info, const TokenTrie& trie, std::span<const uint8_t> text
) {
    if (!info.has_merges()) return spell_longest(trie, text);
    return MergeSpeller(info, text).run();
}

std::vector<TokenId> spell_prefix(
    const TokenizerInfo& info, const TokenTrie& trie, std::span<const uint8_t> text
) {
    std::vector<TokenId> common = spell(info, trie, text);
    // In the spelling of text + more, either a token ends where the text ends, or one that starts
    // at some `start` reaches over. Both ways of spelling never merge across the place where a
    // token ends, so what stands before it is spelled as if the text ended there. What is common to
    // the spellings of all such beginnings is sure.
    const size_t longest = std::min<size_t>(text.size(), trie.max_depth());
    for (size_t n_over = 1; n_over <= longest && !common.empty(); ++n_over) {
        const size_t start = text.size() - n_over;
        if (!trie.has_longer(text.subspan(start))) continue;
        const std::vector<TokenId> before = spell(info, trie, text.first(start));
        const auto parts =
            std::mismatch(common.begin(), common.end(), before.begin(), before.end());
        common.erase(parts.first, common.end());
    }
    return common;
}

}  // namespace pycodec_lm
