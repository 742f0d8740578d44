#include "grammar/tokenizer_info.hpp"

#include <algorithm>
#include <iterator>

#include "grammar/usage_error.hpp"

namespace pycodec_lm {
namespace {

std::string hex(std::string_view bytes) {
    constexpr char kDigits[] = "0123456789ABCDEF";
    std::string text;
    for (const char c : bytes) {
        const auto byte = static_cast<uint8_t>(c);
        if (!text.empty()) text.push_back(' ');
        text.push_back(kDigits[byte >> 4]);
        text.push_back(kDigits[byte & 15]);
    }
    return text;
}

}  // namespace

TokenizerInfo::TokenizerInfo(
    std::vector<std::string> encoded_vocab, const std::vector<int64_t>& stop_token_ids,
    const std::vector<int64_t>& special_token_ids, const std::vector<Merge>& merges
)
    : vocab_(std::move(encoded_vocab)), kinds_(vocab_.size(), Kind::kText) {
    for (size_t i = 0; i < vocab_.size(); ++i) {
        if (vocab_[i].empty()) kinds_[i] = Kind::kSpecial;
    }
    for (const int64_t id : special_token_ids)
        kinds_[static_cast<size_t>(checked(id))] = Kind::kSpecial;
    for (const int64_t id : stop_token_ids) kinds_[static_cast<size_t>(checked(id))] = Kind::kStop;
    for (TokenId id = 0; id < vocab_size(); ++id) {
        if (is_stop(id)) {
            stop_token_ids_.push_back(id);
        } else if (!is_text(id)) {
            special_token_ids_.push_back(id);
        } else {
            max_token_bytes_ =
                std::max(max_token_bytes_, static_cast<uint32_t>(bytes_of(id).size()));
        }
    }
    find_byte_tokens();
    add_merges(merges);
}

TokenId TokenizerInfo::checked(int64_t token) const {
    if (token < 0 || token >= vocab_size()) {
        throw UsageError(
            "token id " + std::to_string(token) + " is not in the vocabulary of " +
            std::to_string(vocab_.size()) + " tokens"
        );
    }
    return static_cast<TokenId>(token);
}

void TokenizerInfo::find_byte_tokens() {
    std::fill(std::begin(token_of_byte_), std::end(token_of_byte_), -1);
    for (TokenId id = vocab_size() - 1; id >= 0; --id) {
        if (is_text(id) && bytes_of(id).size() == 1) {
            token_of_byte_[static_cast<uint8_t>(bytes_of(id)[0])] = id;
        }
    }
    const auto missing = std::count(std::begin(token_of_byte_), std::end(token_of_byte_), -1);
    if (missing == 0) return;
    const auto* const first = std::find(std::begin(token_of_byte_), std::end(token_of_byte_), -1);
    const auto value = static_cast<char>(first - std::begin(token_of_byte_));
    throw UsageError(
        "the vocabulary has no token for the byte " + hex({&value, 1}) + " (" +
        std::to_string(missing) +
        " of 256 are missing): files could not be spelled, add a token for each byte"
    );
}

void TokenizerInfo::add_merges(const std::vector<Merge>& merges) {
    if (merges.empty()) return;
    std::unordered_map<std::string_view, TokenId> ids;
    for (TokenId id = 0; id < vocab_size(); ++id) {
        if (is_text(id)) ids.try_emplace(bytes_of(id), id);  // the first of equals
    }
    const auto id_of = [&ids](const std::string& bytes) {
        const auto found = ids.find(bytes);
        if (found == ids.end())
            throw UsageError("a merge names " + hex(bytes) + ", which is no token");
        return found->second;
    };
    uint32_t rank = 0;
    for (const auto& [left, right] : merges) {
        const MergeResult result{.rank = rank++, .token = id_of(left + right)};
        merges_.try_emplace(pair_of(id_of(left), id_of(right)), result);
    }
}

}  // namespace pycodec_lm
