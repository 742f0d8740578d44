// Compiled grammars and matchers over a cursor of one codec.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "grammar/budget.hpp"
#include "grammar/cursor_hooks.hpp"
#include "grammar/history.hpp"
#include "grammar/mask.hpp"
#include "grammar/mask_cache.hpp"
#include "grammar/matcher.hpp"
#include "grammar/usage_error.hpp"

namespace pycodec_lm {

/// Takes bytes one by one; throws UsageError, with `what` they are, at the first that is wrong.
template <GrammarCursor Cursor>
void push_all(Cursor& cursor, Bytes bytes, const std::string& what) {
    for (const uint8_t byte : bytes) {
        if (const Status status = cursor.push(byte); !status) {
            throw UsageError(what + ": " + to_string(status));
        }
    }
}

/// The annotation after the prompt and 0, 1, ... of the pieces of a stream.
template <GrammarCursor Cursor>
std::vector<Annotation> annotate_pieces(
    Cursor cursor, Bytes prompt, std::span<const std::string_view> pieces
) {
    push_all(cursor, prompt, "the prompt begins no file of this grammar");
    std::vector<Annotation> rows;
    rows.reserve(pieces.size() + 1);
    rows.push_back(cursor.annotation());
    for (size_t i = 0; i < pieces.size(); ++i) {
        const Bytes bytes(reinterpret_cast<const uint8_t*>(pieces[i].data()), pieces[i].size());
        push_all(cursor, bytes, "token " + std::to_string(i) + " is not allowed");
        rows.push_back(cursor.annotation());
    }
    return rows;
}

template <GrammarCursor Cursor>
class CompiledGrammarOf;

template <GrammarCursor Cursor>
class MatcherOf final : public Matcher {
public:
    MatcherOf(
        std::shared_ptr<const CompiledGrammar> compiled, std::optional<uint64_t> max_tokens,
        const Cursor& start, Bytes prompt
    )
        : Matcher(std::move(compiled), max_tokens),
          lengths_(this->compiled().trie(), this->compiled().endings()),
          cursor_(after_prompt(start, prompt)),
          scratch_(cursor_),
          first_(std::make_shared<const Cursor>(cursor_)),
          history_(first_) {
        if (has_budget() && !fits(cursor_, *max_tokens)) {
            refuse_budget(
                cursor_, *max_tokens, prompt.empty() ? "" : " that begins with the prompt"
            );
        }
    }

private:
    const TokensOf<Cursor>& tokens() const {
        return static_cast<const CompiledGrammarOf<Cursor>&>(compiled()).tokens();
    }

    static Cursor after_prompt(Cursor cursor, Bytes prompt) {
        push_all(cursor, prompt, "the prompt begins no file of this grammar");
        return cursor;
    }

    uint64_t n_taken() const override { return history_.n_tokens(); }
    uint64_t n_stop_tokens() const { return info().has_stop_token() ? 1 : 0; }

    uint64_t n_tokens_to_complete(const Cursor& cursor) const {
        return lengths_.n_tokens(cursor) + n_stop_tokens();
    }

    /// The ending and the stop token fit in n tokens.
    bool fits(const Cursor& cursor, uint64_t n) const {
        return n >= n_stop_tokens() && lengths_.fits(cursor, n - n_stop_tokens());
    }

    /// No token can lead anywhere from where the budget could not be kept.
    bool is_budget_far() const {
        if (!has_budget()) return true;
        const uint64_t n = n_left(n_taken());
        return n > n_stop_tokens() &&
               ending_bound(cursor_, compiled().trie().max_depth()) <= n - 1 - n_stop_tokens();
    }

    [[noreturn]] void refuse_budget(
        const Cursor& cursor, uint64_t n, const std::string& which
    ) const {
        throw UsageError(
            "max_tokens leaves " + std::to_string(n) + " tokens, but the shortest file" + which +
            " takes " + std::to_string(n_tokens_to_complete(cursor))
        );
    }

    /// Takes a token that may stand in a file, with `taken` tokens before it; false and unchanged
    /// where the grammar or the budget forbids it.
    bool take(Cursor& cursor, TokenId token, uint64_t taken) {
        if (!info().is_text(token)) return false;
        const std::string_view bytes = info().bytes_of(token);
        if (!has_budget() && bytes.size() == 1)
            return cursor.accept(static_cast<uint8_t>(bytes[0]));
        if (has_budget() && n_left(taken) == 0) return false;
        scratch_ = cursor;
        if (accept_all(cursor, bytes) && (!has_budget() || fits(cursor, n_left(taken) - 1)))
            return true;
        cursor = scratch_;
        return false;
    }

    bool do_accept_token(TokenId token) override {
        if (is_stopped()) return info().is_stop(token);
        if (info().is_stop(token)) {
            if (!cursor_.is_complete()) return false;
            set_stopped(true);
        } else if (!take(cursor_, token, n_taken())) {
            return false;
        }
        history_.push(token, cursor_);
        return true;
    }

    bool do_accept_bytes(Bytes bytes) override {
        if (bytes.empty()) return true;
        if (is_stopped()) return false;
        scratch_ = cursor_;
        for (const uint8_t byte : bytes) {
            if (cursor_.accept(byte)) continue;
            cursor_ = scratch_;
            return false;
        }
        if (has_budget() && !fits(cursor_, n_left(n_taken()))) {
            std::swap(cursor_, scratch_);
            refuse_budget(scratch_, n_left(n_taken()), " that goes on with these bytes");
        }
        history_.restart_at(cursor_);
        return true;
    }

    void add_stop_tokens(MaskWords mask) const {
        for (const TokenId token : info().stop_token_ids()) set_bit(mask, token);
    }

    bool do_fill_mask_if_cheap(MaskWords mask) override {
        if (is_stopped()) {
            std::fill(mask.begin(), mask.end(), 0);
            add_stop_tokens(mask);
            return true;
        }
        if constexpr (SharesMasks<Cursor>) {
            if (!is_budget_far() || !find_shared_mask(mask)) return false;
            if (cursor_.is_complete()) add_stop_tokens(mask);
            return true;
        }
        return false;
    }

    bool find_shared_mask(MaskWords mask) {
        MaskCache& cache = compiled().masks();
        const auto counters = cursor_.counters();
        if constexpr (SharesFarMasks<Cursor>) {
            const auto far = cursor_.far_key();
            if (far && cache.write(far->key, counters, mask, far->place)) return true;
        }
        const auto key = cursor_.local_key(compiled().reach());
        return key && cache.write(*key, counters, mask);
    }

    void do_fill_mask(MaskWords mask) override {
        if (do_fill_mask_if_cheap(mask)) return;
        if (!is_budget_far()) {
            fill_mask_within_budget(mask);
        } else if (!fill_shared_mask(mask)) {
            pycodec_lm::fill_mask(compiled().trie(), tokens(), cursor_, mask);
        }
        if (cursor_.is_complete()) add_stop_tokens(mask);
    }

    /// Makes the masks of all states with this key, for the cache.
    bool fill_shared_mask(MaskWords mask) {
        const TokenTrie& trie = compiled().trie();
        if constexpr (SharesFarMasks<Cursor>) {
            if (const auto far = cursor_.far_key()) {
                const std::shared_ptr<const SharedMask> masks = far_masks(far->key, mask.size());
                if (masks->serves(far->place)) {
                    masks->write(cursor_.counters(), mask);
                } else {
                    keep_local_masks(
                        make_near_mask(trie, info(), *masks, far->place, cursor_.walker()), mask
                    );
                }
                return true;
            }
        }
        if constexpr (SharesMasks<Cursor>) {
            if (!cursor_.local_key(compiled().reach())) return false;
            const Magnitude magnitude = magnitude_of(cursor_.counters());
            keep_local_masks(
                make_shared_mask(trie, cursor_.walker(), mask.size(), magnitude), mask
            );
            return true;
        }
        return false;
    }

    /// From the cache, or made for it.
    std::shared_ptr<const SharedMask> far_masks(const StateKey& key, size_t n_words) {
        MaskCache& cache = compiled().masks();
        const Magnitude magnitude = magnitude_of(cursor_.counters());
        if (auto masks = cache.find(key, magnitude)) return masks;
        auto masks = std::make_shared<const SharedMask>(
            make_far_mask(compiled().trie(), cursor_.far_walker(), n_words, magnitude)
        );
        cache.insert(key, masks);
        return masks;
    }

    void keep_local_masks(SharedMask&& masks, MaskWords mask) {
        masks.write(cursor_.counters(), mask);
        if (const auto key = cursor_.local_key(compiled().reach()))
            compiled().masks().insert(*key, std::make_shared<const SharedMask>(std::move(masks)));
    }

    void fill_mask_within_budget(MaskWords mask) {
        std::fill(mask.begin(), mask.end(), 0);
        const uint64_t n = n_left(n_taken());
        if (n == 0) return;
        const TokenTrie& trie = compiled().trie();
        walk_tokens<true>(tokens(), cursor_, [&](uint32_t node, const Cursor& cursor) {
            if (!fits(cursor, n - 1)) return;
            for (const TokenId token : trie.tokens_at(node)) set_bit(mask, token);
        });
    }

    std::vector<uint8_t> do_forced_bytes(bool* nothing_follows) override {
        std::vector<uint8_t> bytes;
        if (is_stopped()) return bytes;
        std::optional<uint8_t> byte =
            cursor_.is_complete() ? std::nullopt : forced_byte(cursor_, scratch_);
        if (!byte) return bytes;
        Cursor cursor = cursor_;
        while (byte && bytes.size() < kMaxForcedBytes) {
            bytes.push_back(*byte);
            cursor.accept(*byte);
            byte = cursor.is_complete() ? std::nullopt : forced_byte(cursor, scratch_);
        }
        *nothing_follows = cursor.is_complete() && cursor.allowed().empty();
        return bytes;
    }

    size_t do_count_accepted(std::span<const TokenId> tokens) override {
        Cursor cursor = cursor_;
        bool stopped = is_stopped();
        uint64_t taken = n_taken();
        for (size_t i = 0; i < tokens.size(); ++i) {
            const bool is_stop = info().is_stop(tokens[i]);
            if (stopped   ? !is_stop
                : is_stop ? !cursor.is_complete()
                          : !take(cursor, tokens[i], taken)) {
                return i;
            }
            stopped = is_stop;
            ++taken;
        }
        return tokens.size();
    }

    void do_rollback(uint64_t n_tokens) override {
        cursor_ = history_.pop(n_tokens, [this](Cursor& cursor, TokenId token) {
            accept_all(cursor, info().bytes_of(token));
        });
    }

    void do_reset() override {
        cursor_ = *first_;
        history_ = History<Cursor>(first_);
    }

    std::unique_ptr<Matcher> do_fork() const override { return std::make_unique<MatcherOf>(*this); }

    bool do_is_complete() const override { return cursor_.is_complete(); }
    bool do_is_terminated() const override {
        if (!cursor_.is_complete()) return false;
        return (has_budget() && n_left(n_taken()) == 0) || cursor_.allowed().empty();
    }
    uint64_t do_min_tokens_to_complete() const override { return n_tokens_to_complete(cursor_); }
    uint64_t do_bytes_to_complete() const override { return cursor_.bytes_to_complete(); }
    void do_complete(std::vector<uint8_t>& out) const override {
        cursor_.complete(out, kMaxEndingBytes);
    }
    std::string do_describe() const override { return cursor_.describe(); }
    Annotation do_annotation() const override { return cursor_.annotation(); }

    EndingLengths<Cursor> lengths_;
    Cursor cursor_;
    Cursor scratch_;  // overwritten by most calls; kept so that they allocate nothing
    std::shared_ptr<const Cursor> first_;
    History<Cursor> history_;
};

template <GrammarCursor Cursor>
class CompiledGrammarOf final : public CompiledGrammar,
                                public std::enable_shared_from_this<CompiledGrammarOf<Cursor>> {
public:
    CompiledGrammarOf(Cursor start, std::shared_ptr<const TokenizerInfo> info, size_t cache_bytes)
        : CompiledGrammar(info, reach_of<Cursor>(*info), cache_bytes),
          start_(std::move(start)),
          tokens_(this->trie()) {}

    const TokensOf<Cursor>& tokens() const { return tokens_; }

    std::unique_ptr<Matcher> make_matcher(
        std::optional<uint64_t> max_tokens, Bytes prompt
    ) const override {
        return std::make_unique<MatcherOf<Cursor>>(
            this->shared_from_this(), max_tokens, start_, prompt
        );
    }

    std::vector<Annotation> annotate(std::span<const TokenId> tokens, Bytes prompt) const override {
        std::vector<std::string_view> pieces;
        pieces.reserve(tokens.size());
        for (const TokenId token : tokens) {
            const bool is_text = info().is_text(info().checked(token));
            pieces.push_back(is_text ? info().bytes_of(token) : std::string_view());
        }
        return annotate_pieces(start_, prompt, std::span<const std::string_view>(pieces));
    }

private:
    Cursor start_;
    // The trie itself where the cursor has no form of its own.
    std::conditional_t<HasTokens<Cursor>, TokensOf<Cursor>, const TokenTrie&> tokens_;
};

}  // namespace pycodec_lm
