// Vocabularies for the toy codec.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "grammar/matcher_of.hpp"
#include "grammar/tokenizer_info.hpp"
#include "testing.hpp"
#include "toy_cursor.hpp"

namespace toy {

using Info = std::shared_ptr<const pycodec_lm::TokenizerInfo>;
using pycodec_lm::Bytes;
using pycodec_lm::Matcher;
using pycodec_lm::TokenId;

inline std::vector<std::string> byte_vocab() {
    std::vector<std::string> vocab;
    for (unsigned byte = 0; byte < 256; ++byte) vocab.emplace_back(1, static_cast<char>(byte));
    return vocab;
}

/// All bytes, longer tokens that files have (some of them twice), a special token, stop tokens.
inline Info random_info(testing::Random& random, bool has_stop, size_t n_longer = 60) {
    std::vector<std::string> vocab = byte_vocab();
    for (size_t i = 0; i < n_longer; ++i) {
        std::string bytes;
        const size_t n_bytes = 2 + testing::below(random, 5);
        for (size_t j = 0; j < n_bytes; ++j) {
            const size_t kind = testing::below(random, 8);
            const size_t byte = kind == 0   ? 0xFF
                                : kind == 1 ? testing::below(random, 256)
                                            : 62 + kind;
            bytes.push_back(static_cast<char>(byte));
        }
        vocab.push_back(bytes);
        if (i % 8 == 0) vocab.push_back(bytes);
    }
    std::shuffle(vocab.begin(), vocab.end(), random);
    vocab.emplace_back();
    std::vector<int64_t> stops;
    if (has_stop) {
        stops = {static_cast<int64_t>(vocab.size()), static_cast<int64_t>(vocab.size() + 1)};
        vocab.emplace_back("end");
        vocab.emplace_back();
    }
    return std::make_shared<const pycodec_lm::TokenizerInfo>(vocab, stops, std::vector<int64_t>{});
}

template <class Cursor>
std::shared_ptr<const pycodec_lm::CompiledGrammar> compile(
    const Info& info, size_t cache_bytes = size_t{1} << 20
) {
    return std::make_shared<const pycodec_lm::CompiledGrammarOf<Cursor>>(
        Cursor(), info, cache_bytes
    );
}

inline std::vector<uint32_t> mask_of(Matcher& matcher) {
    std::vector<uint32_t> mask(
        pycodec_lm::n_mask_words(matcher.compiled().info().encoded_vocab().size())
    );
    matcher.fill_mask(mask);
    return mask;
}

inline std::vector<TokenId> tokens_of(const std::vector<uint32_t>& mask) {
    std::vector<TokenId> tokens;
    for (TokenId token = 0; token < static_cast<TokenId>(32 * mask.size()); ++token) {
        if (pycodec_lm::has_bit(mask, token)) tokens.push_back(token);
    }
    return tokens;
}

/// The tokens that forks accept.
inline std::vector<TokenId> accepted_by(Matcher& matcher) {
    std::vector<TokenId> tokens;
    for (TokenId token = 0; token < matcher.compiled().info().vocab_size(); ++token) {
        if (matcher.fork()->accept_token(token)) tokens.push_back(token);
    }
    return tokens;
}

}  // namespace toy
