// Vocabularies, their trie, and how bytes are spelled with them.
#include <algorithm>

#include "grammar/spelling.hpp"
#include "grammar/token_trie.hpp"
#include "grammar/usage_error.hpp"
#include "testing.hpp"
#include "toy_vocabulary.hpp"

namespace {

using pycodec_lm::TokenId;
using pycodec_lm::TokenizerInfo;
using pycodec_lm::TokenTrie;
using pycodec_lm::UsageError;

std::vector<uint8_t> bytes_of(std::string_view text) { return {text.begin(), text.end()}; }

std::string spelled(const TokenizerInfo& info, const std::vector<TokenId>& tokens) {
    std::string text;
    for (const TokenId token : tokens) text.append(info.bytes_of(token));
    return text;
}

/// Byte-pair encoding as it is defined: again and again the pair of lowest rank, the leftmost
/// first.
std::vector<TokenId> spell_by_definition(
    const TokenizerInfo& info, const std::vector<uint8_t>& text
) {
    std::vector<TokenId> tokens;
    for (const uint8_t byte : text) tokens.push_back(info.token_of_byte(byte));
    for (;;) {
        size_t best = 0;
        const TokenizerInfo::MergeResult* merge = nullptr;
        for (size_t i = 0; i + 1 < tokens.size(); ++i) {
            const auto* found = info.find_merge(tokens[i], tokens[i + 1]);
            if (found != nullptr && (merge == nullptr || found->rank < merge->rank)) {
                merge = found;
                best = i;
            }
        }
        if (merge == nullptr) return tokens;
        tokens[best] = merge->token;
        tokens.erase(tokens.begin() + static_cast<ptrdiff_t>(best) + 1);
    }
}

/// Merges of the letters a to d, each of tokens that are there.
TokenizerInfo random_merges(testing::Random& random, size_t n_merges) {
    std::vector<std::string> vocab = toy::byte_vocab();
    std::vector<std::string> pieces{"a", "b", "c", "d"};
    std::vector<TokenizerInfo::Merge> merges;
    while (merges.size() < n_merges) {
        const std::string left = pieces[testing::below(random, pieces.size())];
        const std::string right = pieces[testing::below(random, pieces.size())];
        const TokenizerInfo::Merge merge{left, right};
        if (std::find(merges.begin(), merges.end(), merge) != merges.end()) continue;
        merges.push_back(merge);
        if (std::find(vocab.begin(), vocab.end(), left + right) != vocab.end()) continue;
        vocab.push_back(left + right);
        pieces.push_back(left + right);
    }
    return {vocab, {}, {}, merges};
}

std::vector<uint8_t> random_text(testing::Random& random, size_t max_length) {
    std::vector<uint8_t> text(testing::below(random, max_length + 1));
    for (uint8_t& byte : text) byte = static_cast<uint8_t>('a' + testing::below(random, 4));
    return text;
}

TEST(vocabulary_must_spell_every_byte) {
    std::vector<std::string> vocab = toy::byte_vocab();
    vocab[0xC3].push_back('x');
    const std::string message =
        testing::message_of<UsageError>([&] { TokenizerInfo(vocab, {}, {}); });
    CHECK(message.find("the byte C3") != std::string::npos);
    // A special or stop token spells nothing, whatever bytes it has.
    CHECK(!testing::message_of<UsageError>([] {
               TokenizerInfo(toy::byte_vocab(), {7}, {});
           }).empty());
    CHECK(!testing::message_of<UsageError>([] {
               TokenizerInfo(toy::byte_vocab(), {}, {7});
           }).empty());
}

TEST(token_kinds) {
    std::vector<std::string> vocab = toy::byte_vocab();
    vocab.insert(vocab.end(), {"", "both", "pad", ""});
    const TokenizerInfo info(vocab, {257, 259, 257}, {257, 258});
    CHECK(
        (std::vector(info.stop_token_ids().begin(), info.stop_token_ids().end()) ==
         std::vector{257, 259})
    );
    CHECK(
        (std::vector(info.special_token_ids().begin(), info.special_token_ids().end()) ==
         std::vector{256, 258})
    );
    CHECK(info.max_token_bytes() == 1);
    for (const int64_t id : {int64_t{-1}, int64_t{260}}) {
        CHECK(!testing::message_of<UsageError>([&] { TokenizerInfo(vocab, {id}, {}); }).empty());
        CHECK(!testing::message_of<UsageError>([&] {
                   static_cast<void>(info.checked(id));
               }).empty());
    }
}

TEST(merges_must_name_tokens) {
    std::vector<std::string> vocab = toy::byte_vocab();
    CHECK(!testing::message_of<UsageError>([&] {
               TokenizerInfo(vocab, {}, {}, {{"a", "b"}});
           }).empty());
}

TEST(trie_holds_every_token_at_its_bytes) {
    testing::Random random(1);
    for (int round = 0; round < 20; ++round) {
        const toy::Info info = toy::random_info(random, true);
        const TokenTrie trie(*info);
        std::vector<TokenId> seen;
        std::string path;
        for (uint32_t index = 1; index < trie.n_nodes(); ++index) {
            path.resize(trie.node(index).depth - 1u);
            path.push_back(static_cast<char>(trie.node(index).byte));
            CHECK(trie.has_children(index) == trie.has_longer(bytes_of(path)));
            for (const TokenId token : trie.tokens_at(index)) {
                CHECK(info->bytes_of(token) == path);
                seen.push_back(token);
            }
        }
        std::sort(seen.begin(), seen.end());
        std::vector<TokenId> expected;
        for (TokenId token = 0; token < info->vocab_size(); ++token) {
            if (info->is_text(token)) expected.push_back(token);
        }
        CHECK(seen == expected);
    }
}

TEST(longest_match_is_the_longest_token) {
    testing::Random random(2);
    const TokenizerInfo info = random_merges(random, 30);
    const TokenTrie trie(info);
    for (int round = 0; round < 300; ++round) {
        std::vector<uint8_t> text = random_text(random, 12);
        text.push_back('a');
        const std::string_view view(reinterpret_cast<const char*>(text.data()), text.size());
        size_t longest = 0;
        for (const std::string& token : info.encoded_vocab()) {
            if (view.starts_with(token)) longest = std::max(longest, token.size());
        }
        const TokenTrie::Match match = trie.longest_match(text);
        CHECK(match.n_bytes == longest);
        CHECK(info.bytes_of(match.token) == view.substr(0, longest));
    }
}

TEST(merges_spell_as_defined) {
    testing::Random random(3);
    for (int round = 0; round < 200; ++round) {
        const TokenizerInfo info = random_merges(random, 5 + testing::below(random, 40));
        const TokenTrie trie(info);
        const std::vector<uint8_t> text = random_text(random, 40);
        const auto tokens = pycodec_lm::spell(info, trie, text);
        CHECK(tokens == spell_by_definition(info, text));
        CHECK(bytes_of(spelled(info, tokens)) == text);
    }
}

TEST(spelled_prefix_stays_whatever_follows) {
    testing::Random random(4);
    size_t n_sure = 0;
    for (int round = 0; round < 300; ++round) {
        // Every third vocabulary has no merges and is spelled by the longest match.
        const TokenizerInfo merged = random_merges(random, 5 + testing::below(random, 40));
        const TokenizerInfo plain(merged.encoded_vocab(), {}, {});
        const TokenizerInfo& info = round % 3 == 0 ? plain : merged;
        const TokenTrie trie(info);
        const std::vector<uint8_t> text = random_text(random, 20);
        const auto sure = pycodec_lm::spell_prefix(info, trie, text);
        n_sure += sure.size();
        for (int more = 0; more < 20; ++more) {
            std::vector<uint8_t> longer = text;
            const std::vector<uint8_t> tail = random_text(random, 12);
            longer.insert(longer.end(), tail.begin(), tail.end());
            const auto tokens = pycodec_lm::spell(info, trie, longer);
            CHECK(tokens.size() >= sure.size());
            CHECK(std::equal(sure.begin(), sure.end(), tokens.begin()));
        }
    }
    CHECK(n_sure > 300);
}

}  // namespace
