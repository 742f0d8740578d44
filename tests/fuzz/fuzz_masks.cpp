// The masks of a matcher, whichever way they come (cache, far key, local key, walk), are what the
// slow walk finds, with and without a budget.
#include <memory>
#include <optional>
#include <string>

#include "fuzzing.hpp"
#include "grammar/mask.hpp"
#include "grammar/matcher_of.hpp"
#include "grammar/usage_error.hpp"
#include "grammars.hpp"
#include "jpeg/cursor.hpp"

namespace {

using fuzzing::Bytes;
using pycodec_lm::CompiledGrammarOf;
using pycodec_lm::Matcher;
using pycodec_lm::TokenId;
using pycodec_lm::TokenizerInfo;
using pycodec_lm::jpeg::JpegCursor;
using Mask = std::vector<uint32_t>;

constexpr size_t kLongerTokens = 32;
constexpr size_t kMaxTokenBytes = 9;
constexpr size_t kMaxSteps = 200;
constexpr size_t kMaxBudgetSteps = 10;  // each may count the endings of all tokens
constexpr size_t kMaxChecks = 5;
constexpr size_t kMaxBudgetChecks = 1;
constexpr uint64_t kMaxEndingBytes = 120;

/// All bytes, and pieces of the input, some of them twice.
std::shared_ptr<const TokenizerInfo> make_info(Bytes file, fuzzing::Choices& choices) {
    std::vector<std::string> vocab;
    for (unsigned byte = 0; byte < 256; ++byte) vocab.emplace_back(1, static_cast<char>(byte));
    for (size_t i = 0; i < kLongerTokens && !file.empty(); ++i) {
        const size_t at = choices.below(file.size());
        const size_t n = std::min(1 + choices.below(kMaxTokenBytes), file.size() - at);
        vocab.emplace_back(reinterpret_cast<const char*>(file.data()) + at, n);
        if (choices.one_in(6)) vocab.back().append(2, '\xFF');
    }
    std::vector<int64_t> stops;
    if (choices.one_in(2)) {
        stops.push_back(static_cast<int64_t>(vocab.size()));
        vocab.emplace_back();
    }
    return std::make_shared<const TokenizerInfo>(vocab, stops, std::vector<int64_t>{});
}

/// Tokens of the ending, longest match by longest match; the definition of EndingLengths. Any
/// number above the limit where it is far above: some endings have gigabytes.
uint64_t count_slowly(const TokenizerInfo& info, const JpegCursor& cursor, uint64_t limit) {
    const uint64_t n_bytes = cursor.bytes_to_complete();
    if (n_bytes > limit * info.max_token_bytes()) return n_bytes;
    std::vector<uint8_t> bytes;
    cursor.complete(bytes, n_bytes);
    const std::string_view ending(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    uint64_t n_tokens = 0;
    for (size_t at = 0; at < ending.size(); ++n_tokens) {
        size_t longest = 1;  // the first 256 tokens are the bytes
        for (TokenId token = 256; token < info.vocab_size(); ++token) {
            const std::string_view text = info.bytes_of(token);
            if (info.is_text(token) && text.size() > longest && ending.substr(at).starts_with(text))
                longest = text.size();
        }
        at += longest;
    }
    return n_tokens;
}

Mask slow_mask(
    const TokenizerInfo& info, const JpegCursor& cursor, std::optional<uint64_t> tokens_left
) {
    Mask mask(pycodec_lm::n_mask_words(info.encoded_vocab().size()));
    pycodec_lm::fill_mask_slowly(info, cursor, mask);
    const uint64_t n_stop = info.has_stop_token() ? 1 : 0;
    for (TokenId token = 0; tokens_left && token < info.vocab_size(); ++token) {
        if (!pycodec_lm::has_bit(mask, token)) continue;
        JpegCursor after = cursor;
        REQUIRE(pycodec_lm::accept_all(after, info.bytes_of(token)));
        const auto id = static_cast<size_t>(token);
        if (*tokens_left == 0 ||
            count_slowly(info, after, *tokens_left) + n_stop > *tokens_left - 1)
            mask[id / 32] &= ~(uint32_t{1} << (id % 32));
    }
    if (cursor.is_complete()) {
        for (const TokenId token : info.stop_token_ids()) pycodec_lm::set_bit(mask, token);
    }
    return mask;
}

void check_mask(Matcher& matcher, const JpegCursor& cursor) {
    const TokenizerInfo& info = matcher.compiled().info();
    const Mask slow = slow_mask(info, cursor, matcher.tokens_left());
    // The first may come from a walk and the second from what the first has left in the cache.
    for (int i = 0; i < 2; ++i) {
        Mask fast(slow.size(), 0xA5A5A5A5);
        const bool forbids = matcher.fill_mask(fast);
        REQUIRE(fast == slow);
        REQUIRE(forbids == pycodec_lm::forbids_any(slow, info.encoded_vocab().size()));
    }
}

/// Each byte that may come makes a Huffman table, which takes milliseconds under sanitizers.
bool ends_table(const JpegCursor& cursor) { return cursor.element() == pycodec_lm::Element::kVij; }

/// Not there, mostly, nor where endings are long.
bool is_cheap(Matcher& matcher, const JpegCursor& cursor, fuzzing::Choices& choices) {
    if (ends_table(cursor) && !choices.one_in(64)) return false;
    return !matcher.tokens_left() || cursor.bytes_to_complete() < kMaxEndingBytes;
}

/// Takes the token of a byte, if it is allowed, or else some token that is; nothing where the file
/// is at its end.
std::optional<TokenId> take_one(
    Matcher& matcher, const JpegCursor& cursor, uint8_t wanted, fuzzing::Choices& choices
) {
    const TokenizerInfo& info = matcher.compiled().info();
    const TokenId of_byte = info.token_of_byte(wanted);
    if (!choices.one_in(30) && matcher.accept_token(of_byte)) return of_byte;
    if (ends_table(cursor)) {
        std::vector<uint8_t> next;
        cursor.complete(next, 1);
        const TokenId token = info.token_of_byte(next.at(0));
        if (matcher.accept_token(token)) return token;
        REQUIRE(matcher.tokens_left().has_value());  // it may ask for a longer token
    }
    Mask mask(pycodec_lm::n_mask_words(info.encoded_vocab().size()));
    matcher.fill_mask(mask);
    const auto n = static_cast<size_t>(info.vocab_size());
    const size_t first = choices.below(n);
    for (size_t i = 0; i < n; ++i) {
        const auto token = static_cast<TokenId>((first + i) % n);
        if (!info.is_text(token) || !pycodec_lm::has_bit(mask, token)) continue;
        REQUIRE(matcher.accept_token(token));
        return token;
    }
    return std::nullopt;
}

/// Follows a matcher with a cursor of its own.
void walk(
    Matcher& matcher, JpegCursor cursor, Bytes file, size_t n_checks, fuzzing::Choices& choices
) {
    const TokenizerInfo& info = matcher.compiled().info();
    const size_t n_steps =
        std::min(file.size(), matcher.tokens_left() ? kMaxBudgetSteps : kMaxSteps);
    const size_t stride = 1 + n_steps / n_checks;
    const JpegCursor start = cursor;
    std::vector<TokenId> taken;
    for (size_t at = 0; at < n_steps; ++at) {
        const bool is_cheap =
            !matcher.tokens_left() || cursor.bytes_to_complete() < kMaxEndingBytes;
        if (is_cheap && choices.one_in(stride)) check_mask(matcher, cursor);
        const std::optional<TokenId> token = take_one(matcher, cursor, file[at], choices);
        if (!token) break;
        REQUIRE(pycodec_lm::accept_all(cursor, info.bytes_of(*token)));
        taken.push_back(*token);
        REQUIRE(matcher.is_complete() == cursor.is_complete());
        if (!choices.one_in(32)) continue;
        const size_t n_back = choices.below(std::min<size_t>(taken.size(), 8) + 1);
        matcher.rollback(n_back);
        taken.resize(taken.size() - n_back);
        cursor = start;
        for (const TokenId earlier : taken)
            REQUIRE(pycodec_lm::accept_all(cursor, info.bytes_of(earlier)));
    }
    // No step leads to where a budget cannot be kept.
    if (const auto left = matcher.tokens_left()) REQUIRE(matcher.min_tokens_to_complete() <= *left);
    if (is_cheap(matcher, cursor, choices)) check_mask(matcher, cursor);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t n_bytes) {
    auto [choices, grammar, bytes] = fuzzing::Subject(Bytes(data, n_bytes));
    const Bytes file(bytes);
    const auto info = make_info(file, choices);
    const JpegCursor start(grammar);
    // No cache, one that is always full, and a large one.
    constexpr size_t kCacheBytes[] = {0, 30000, size_t{1} << 20};
    const auto compiled = std::make_shared<const CompiledGrammarOf<JpegCursor>>(
        start, info, kCacheBytes[choices.below(3)]
    );
    const auto free = compiled->make_matcher(std::nullopt, {});
    walk(*free, start, file, kMaxChecks, choices);

    // A budget is tried from where the rest of a file is short.
    JpegCursor cursor = start;
    std::vector<uint8_t> prompt;
    for (const uint8_t byte : file) {
        if (prompt.size() % 16 == 0 && cursor.bytes_to_complete() <= kMaxEndingBytes) break;
        if (!cursor.accept(byte)) break;
        prompt.push_back(byte);
    }
    if (cursor.is_complete() || cursor.bytes_to_complete() > kMaxEndingBytes) return 0;
    const uint64_t least = compiled->make_matcher(std::nullopt, prompt)->min_tokens_to_complete();
    REQUIRE(least == count_slowly(*info, cursor, least) + (info->has_stop_token() ? 1 : 0));
    bool is_refused = false;
    try {
        static_cast<void>(compiled->make_matcher(least - 1, prompt));
    } catch (const pycodec_lm::UsageError&) {
        is_refused = true;
    }
    REQUIRE(is_refused);
    const uint64_t budget = least + choices.below(least);
    const Bytes rest = file.subspan(prompt.size());
    walk(*compiled->make_matcher(budget, prompt), cursor, rest, kMaxBudgetChecks, choices);
    return 0;
}
