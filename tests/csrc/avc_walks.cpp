#include "avc_walks.hpp"

#include <algorithm>
#include <exception>
#include <stdexcept>

#include "grammar/byte_set.hpp"
#include "grammar/status.hpp"
#include "grammar/token_trie.hpp"
#include "h264/token_walk.hpp"
#include "h264/writer.hpp"
#include "testing.hpp"

namespace avc_walks {
namespace {

using pycodec_lm::ByteSet;
using pycodec_lm::Element;
using pycodec_lm::TokenizerInfo;
using pycodec_lm::TokenTrie;
using pycodec_lm::h264::AvcCursor;
using pycodec_lm::h264::AvcGrammar;
using pycodec_lm::h264::AvcTokens;
using pycodec_lm::h264::AvcWriter;
using pycodec_lm::h264::Slicing;

using testing::below;
using testing::Random;
constexpr int kMaxFields = 4000;
constexpr uint64_t kEndingsEvery = 7;
// Long endings, of messages with large sizes, are asked for less often.
constexpr uint64_t kEndingShare = 16;
// Each byte by push() is slow, each token by accept() slower: in one step of so many.
constexpr uint32_t kComparedSteps = 64;

/// Endings of large pictures take long: a byte a macroblock.
int64_t most_of(Element element) {
    if (element == Element::kPicWidthInMbsMinus1) return 5;
    if (element == Element::kPicHeightInMapUnitsMinus1) return 3;
    return int64_t{UINT32_MAX};
}

constexpr int64_t kAll = int64_t{1} << 32;

int64_t draw(const AvcWriter& writer, Random& random) {
    if (!writer.any_legal(-kAll, kAll))
        throw std::logic_error("a dead end " + writer.cursor().describe());
    const int64_t low = *writer.lowest_legal(-kAll, kAll);
    const int64_t high = *writer.highest_legal(-kAll, kAll);
    if (low == high) return low;
    const int64_t most = std::max(low, std::min(high, most_of(writer.cursor().element())));
    int64_t value = 0;
    if (below(random, 8) == 0) {
        value = below(random, 2) != 0 ? low : most;
    } else if (most - low < 64) {
        value = low + static_cast<int64_t>(below(random, static_cast<uint64_t>(most - low) + 1));
    } else {
        value = static_cast<int64_t>(random() >> (1 + below(random, 31)));
        if (below(random, 2) != 0) value = -value;
        value = std::clamp(value, low, most);
    }
    const auto above = writer.lowest_legal(value, high);
    return above ? *above : *writer.highest_legal(low, value);
}

std::shared_ptr<const AvcGrammar> pinned(uint32_t seed) {
    auto portable = std::make_shared<AvcGrammar>();
    portable->portable = true;
    portable->n_pictures = 3;
    std::vector<uint8_t> stream = beginning(portable, seed);
    AvcCursor cursor(portable);
    for (const uint8_t byte : stream) cursor.accept(byte);
    cursor.complete(stream, uint64_t{1} << 20);
    return pycodec_lm::h264::pin_like(stream.data(), stream.size()).grammar;
}

bool is_exact_ending(const AvcCursor& cursor, uint64_t n_bytes) {
    std::vector<uint8_t> ending;
    cursor.complete(ending, n_bytes + 1);
    if (ending.size() != n_bytes || n_bytes > cursor.ending_bound(0)) return false;
    AvcCursor at = cursor;
    for (const uint8_t byte : ending) {
        if (!at.accept(byte)) return false;
    }
    return at.is_complete();
}

bool is_exact_mask(const AvcCursor& cursor, const ByteSet& allowed) {
    for (unsigned byte = 0; byte < 256; ++byte) {
        AvcCursor copy = cursor;
        const bool is_taken = bool(copy.push(static_cast<uint8_t>(byte)));
        if (is_taken != allowed.contains(static_cast<uint8_t>(byte))) return false;
    }
    return true;
}

/// Bytes, and tokens of all lengths: some begin others, some have bytes of start codes or of
/// emulation prevention.
TokenizerInfo tokens_of_bytes() {
    Random random(1);
    std::vector<std::string> vocab;
    for (unsigned byte = 0; byte < 256; ++byte) vocab.emplace_back(1, static_cast<char>(byte));
    while (vocab.size() < 700) {
        std::string token = below(random, 3) == 0 ? vocab[below(random, vocab.size())] : "";
        const uint64_t n_bytes = 1 + below(random, 4);
        for (uint64_t i = 0; i < n_bytes; ++i) {
            const bool is_low = below(random, 4) == 0;
            token.push_back(static_cast<char>(is_low ? below(random, 4) : below(random, 256)));
        }
        if (token.size() > 1) vocab.push_back(token);
    }
    return TokenizerInfo(vocab, {}, {});
}

/// The tokens that may come are those whose bytes are taken one by one.
bool is_exact_token_mask(const AvcCursor& cursor) {
    static const TokenizerInfo info = tokens_of_bytes();
    static const TokenTrie trie(info);
    static const AvcTokens tokens(trie);
    std::vector<uint32_t> fast(pycodec_lm::n_mask_words(info.encoded_vocab().size()));
    std::vector<uint32_t> slow(fast.size());
    pycodec_lm::fill_mask(trie, tokens, cursor, fast);
    pycodec_lm::fill_mask_slowly(info, cursor, slow);
    return fast == slow;
}

/// The byte of a walk that goes this way.
uint8_t choose(uint64_t way, const AvcCursor& cursor, const ByteSet& allowed, Random& random) {
    std::vector<uint8_t> bytes;
    for (unsigned byte = 0; byte < 256; ++byte) {
        if (allowed.contains(static_cast<uint8_t>(byte)))
            bytes.push_back(static_cast<uint8_t>(byte));
    }
    switch (way) {
        case 0:
            return bytes.front();
        case 1:
            return bytes.back();
        case 2: {
            std::vector<uint8_t> ending;
            cursor.complete(ending, 1);
            if (!ending.empty()) return ending.front();
            break;
        }
        default:
            break;
    }
    return bytes[below(random, bytes.size())];
}

void go(Walk& walk, AvcCursor& cursor, Random& random, uint64_t n_bytes) {
    uint64_t way = 0;
    uint64_t n_left = 0;
    uint64_t next_ending = 0;
    for (; walk.n_bytes < n_bytes; ++walk.n_bytes) {
        const ByteSet allowed = cursor.allowed();
        if (allowed.empty()) {
            if (!cursor.is_complete()) walk.broken = "a dead end " + cursor.describe();
            return;
        }
        if (below(random, kComparedSteps) == 0 && !is_exact_mask(cursor, allowed)) {
            walk.broken = "allowed() is not push() " + cursor.describe();
            return;
        }
        if (below(random, kComparedSteps) == 0 && !is_exact_token_mask(cursor)) {
            walk.broken = "tokens are not their bytes " + cursor.describe();
            return;
        }
        if (walk.n_bytes == next_ending) {
            const uint64_t n_ending = cursor.bytes_to_complete();
            next_ending += std::max(kEndingsEvery, n_ending / kEndingShare);
            if (!is_exact_ending(cursor, n_ending)) {
                walk.broken = "the ending is not exact " + cursor.describe();
                return;
            }
        }
        if (n_left == 0) {
            way = below(random, 6);
            n_left = 1 + below(random, uint64_t{1} << below(random, 9));
        }
        --n_left;
        const uint8_t byte = choose(way, cursor, allowed, random);
        if (!cursor.accept(byte)) {
            walk.broken = "an allowed byte is refused " + cursor.describe();
            return;
        }
        walk.data.push_back(byte);
    }
}

}  // namespace

std::shared_ptr<const AvcGrammar> grammar_of(uint32_t seed) {
    auto grammar = std::make_shared<AvcGrammar>();
    switch (seed % 8) {
        case 0:
            grammar->portable = true;
            break;
        case 1:
            grammar->portable = true;
            grammar->slicing = Slicing::kPicture;
            grammar->n_pictures = 4;
            break;
        case 2:
            grammar->slicing = Slicing::kMacroblock;
            break;
        case 3:
            if (auto like = pinned(seed)) return like;
            break;
        default:
            break;
    }
    return grammar;
}

std::vector<uint8_t> beginning(const std::shared_ptr<const AvcGrammar>& grammar, uint32_t seed) {
    if (grammar->is_pinned()) return grammar->pinned;
    Random random(seed);
    AvcWriter writer(grammar);
    const uint64_t n_fields = below(random, kMaxFields);
    for (uint64_t n = 0; n < n_fields; ++n) {
        if (writer.is_between_units()) {
            const int n_zeros = below(random, 2) != 0 ? 2 : 3;
            if (!writer.write_start_code(n_zeros) && !writer.write_start_code(5 - n_zeros)) break;
        } else if (
            writer.may_end_unit() && (below(random, 4) == 0 || !writer.any_legal(-kAll, kAll))
        ) {
            writer.end_unit();
        } else {
            writer.write(draw(writer, random));
        }
    }
    return writer.bytes();
}

Walk walk_from_beginning(uint32_t seed, uint64_t n_bytes) {
    Random random(seed);
    Walk walk;
    try {
        const auto grammar = grammar_of(seed);
        walk.data = beginning(grammar, seed);
        AvcCursor cursor(grammar);
        for (const uint8_t byte : walk.data) {
            if (cursor.accept(byte)) continue;
            walk.broken = "what was written is refused " + cursor.describe();
            return walk;
        }
        go(walk, cursor, random, n_bytes);
    } catch (const std::exception& error) {
        walk.broken = error.what();
    }
    return walk;
}

}  // namespace avc_walks
