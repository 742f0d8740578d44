// What generation holds: a grammar compiled for a vocabulary, and matchers that walk it token by
// token. Both are codec-blind; matcher_of.hpp joins them to a cursor.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "grammar/bitmask.hpp"
#include "grammar/budget.hpp"
#include "grammar/cursor.hpp"
#include "grammar/mask_cache.hpp"
#include "grammar/token_trie.hpp"
#include "grammar/tokenizer_info.hpp"

namespace pycodec_lm {

class Matcher;
using Bytes = std::span<const uint8_t>;

/// Shared by matchers and threads; nothing of it changes but the caches.
class CompiledGrammar {
public:
    CompiledGrammar(std::shared_ptr<const TokenizerInfo> info, TokenReach reach, size_t cache_bytes)
        : info_(std::move(info)), trie_(*info_), reach_(reach), masks_(cache_bytes) {}
    virtual ~CompiledGrammar() = default;
    CompiledGrammar(const CompiledGrammar&) = delete;
    CompiledGrammar& operator=(const CompiledGrammar&) = delete;

    /// A matcher that stands after `prompt`. Throws UsageError where the prompt begins no file, or
    /// where no file that begins so ends within `max_tokens`.
    virtual std::unique_ptr<Matcher> make_matcher(
        std::optional<uint64_t> max_tokens, Bytes prompt
    ) const = 0;
    /// Where the grammar stands after `prompt` and 0, 1, ... of the tokens. Throws UsageError at
    /// the first token that is not allowed.
    virtual std::vector<Annotation> annotate(
        std::span<const TokenId> tokens, Bytes prompt
    ) const = 0;

    const TokenizerInfo& info() const { return *info_; }
    const std::shared_ptr<const TokenizerInfo>& shared_info() const { return info_; }
    const TokenTrie& trie() const { return trie_; }
    TokenReach reach() const { return reach_; }
    MaskCache& masks() const { return masks_; }
    EndingMemo& endings() const { return endings_; }

private:
    std::shared_ptr<const TokenizerInfo> info_;
    TokenTrie trie_;
    TokenReach reach_;
    mutable MaskCache masks_;
    mutable EndingMemo endings_;
};

/// Where one stream stands. One thread at a time: a second one gets UsageError, never a race.
class Matcher {
public:
    virtual ~Matcher() = default;
    Matcher& operator=(const Matcher&) = delete;

    /// Takes a token, or says no and changes nothing. Throws UsageError where the id is not in the
    /// vocabulary. After a stop token only stop tokens are accepted, and change nothing.
    bool accept_token(int64_t token);
    /// Takes bytes that are no token (a prompt, a pinned header): all or none. They do not count in
    /// the budget; throws UsageError where the budget is too small for any file that begins so.
    bool accept_bytes(Bytes bytes);
    /// Writes the mask; a bit is 1 iff accept_token() would say yes. False when no bit of the
    /// vocabulary is 0. `mask` has n_mask_words(vocab_size) words.
    bool fill_mask(MaskWords mask);
    /// fill_mask() if it takes no walk over the trie; else nothing, and the mask holds anything.
    std::optional<bool> fill_mask_if_cheap(MaskWords mask);
    /// Bytes that come next whatever happens, as many as there are up to kMaxForcedBytes.
    std::vector<uint8_t> forced_bytes();
    /// Tokens that spell forced bytes as the tokenizer would, whatever comes after them, and fit in
    /// the budget.
    std::vector<TokenId> forced_tokens();
    /// How many of the tokens accept_token() would take one after the other.
    size_t validate_tokens(std::span<const int64_t> tokens);
    /// Forgets the last n tokens, and bytes accepted after the first of them.
    void rollback(uint64_t n_tokens);
    void reset();
    std::unique_ptr<Matcher> fork();

    /// A stop token was taken; where the vocabulary has none: nothing can come next.
    bool is_terminated();
    bool is_complete();
    /// Tokens of the ending, the stop token included; 0 after it.
    uint64_t min_tokens_to_complete();
    std::vector<uint8_t> complete();
    std::string describe();
    Annotation annotation();
    std::optional<uint64_t> tokens_left();

    const CompiledGrammar& compiled() const { return *compiled_; }
    const std::shared_ptr<const CompiledGrammar>& shared_compiled() const { return compiled_; }

    static constexpr size_t kMaxForcedBytes = size_t{1} << 16;
    static constexpr uint64_t kMaxEndingBytes = uint64_t{1} << 30;

protected:
    Matcher(std::shared_ptr<const CompiledGrammar> compiled, std::optional<uint64_t> max_tokens)
        : compiled_(std::move(compiled)), max_tokens_(max_tokens) {}
    Matcher(const Matcher& other)
        : compiled_(other.compiled_),
          max_tokens_(other.max_tokens_),
          is_stopped_(other.is_stopped_) {}

    const TokenizerInfo& info() const { return compiled_->info(); }
    bool has_budget() const { return max_tokens_.has_value(); }
    uint64_t n_left(uint64_t n_taken) const { return *max_tokens_ - n_taken; }

    // What the public names do, once the matcher is known to be in use by this thread alone.
    virtual bool do_accept_token(TokenId token) = 0;
    virtual bool do_accept_bytes(Bytes bytes) = 0;
    virtual void do_fill_mask(MaskWords mask) = 0;
    virtual bool do_fill_mask_if_cheap(MaskWords mask) = 0;
    virtual std::vector<uint8_t> do_forced_bytes(bool* nothing_follows) = 0;
    virtual size_t do_count_accepted(std::span<const TokenId> tokens) = 0;
    virtual void do_rollback(uint64_t n_tokens) = 0;
    virtual void do_reset() = 0;
    virtual std::unique_ptr<Matcher> do_fork() const = 0;
    virtual bool do_is_complete() const = 0;
    virtual bool do_is_terminated() const = 0;
    virtual uint64_t do_min_tokens_to_complete() const = 0;
    virtual uint64_t do_bytes_to_complete() const = 0;
    virtual void do_complete(std::vector<uint8_t>& out) const = 0;
    virtual std::string do_describe() const = 0;
    virtual Annotation do_annotation() const = 0;
    virtual uint64_t n_taken() const = 0;

    bool is_stopped() const { return is_stopped_; }
    void set_stopped(bool stopped) { is_stopped_ = stopped; }

private:
    class Use;

    std::shared_ptr<const CompiledGrammar> compiled_;
    std::optional<uint64_t> max_tokens_;
    bool is_stopped_ = false;
    std::atomic_flag in_use_ = ATOMIC_FLAG_INIT;
};

}  // namespace pycodec_lm
