#include "grammar/matcher.hpp"

#include <algorithm>

#include "grammar/spelling.hpp"
#include "grammar/usage_error.hpp"

namespace pycodec_lm {

/// Holds the matcher for one call.
class Matcher::Use {
public:
    explicit Use(Matcher& matcher) : flag_(matcher.in_use_) {
        if (flag_.test_and_set(std::memory_order_acquire)) {
            throw UsageError(
                "another thread is using this matcher: give each thread its own fork()"
            );
        }
    }
    ~Use() { flag_.clear(std::memory_order_release); }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

private:
    std::atomic_flag& flag_;
};

bool Matcher::accept_token(int64_t token) {
    const Use use(*this);
    return do_accept_token(info().checked(token));
}

bool Matcher::accept_bytes(Bytes bytes) {
    const Use use(*this);
    return do_accept_bytes(bytes);
}

bool Matcher::fill_mask(MaskWords mask) {
    const Use use(*this);
    do_fill_mask(mask);
    return forbids_any(mask, compiled_->info().encoded_vocab().size());
}

std::optional<bool> Matcher::fill_mask_if_cheap(MaskWords mask) {
    const Use use(*this);
    if (!do_fill_mask_if_cheap(mask)) return std::nullopt;
    return forbids_any(mask, compiled_->info().encoded_vocab().size());
}

std::vector<uint8_t> Matcher::forced_bytes() {
    const Use use(*this);
    bool nothing_follows = false;
    return do_forced_bytes(&nothing_follows);
}

std::vector<TokenId> Matcher::forced_tokens() {
    const Use use(*this);
    bool nothing_follows = false;
    const std::vector<uint8_t> bytes = do_forced_bytes(&nothing_follows);
    if (bytes.empty()) return {};
    const auto spell_them = nothing_follows ? &spell : &spell_prefix;
    std::vector<TokenId> tokens = spell_them(info(), compiled_->trie(), bytes);
    if (has_budget()) tokens.resize(do_count_accepted(tokens));
    return tokens;
}

size_t Matcher::validate_tokens(std::span<const int64_t> tokens) {
    const Use use(*this);
    std::vector<TokenId> ids;
    ids.reserve(tokens.size());
    for (const int64_t token : tokens) ids.push_back(info().checked(token));
    return do_count_accepted(ids);
}

void Matcher::rollback(uint64_t n_tokens) {
    const Use use(*this);
    if (n_tokens > n_taken()) {
        throw UsageError(
            "cannot roll back " + std::to_string(n_tokens) + " tokens: only " +
            std::to_string(n_taken()) + " were taken"
        );
    }
    if (n_tokens == 0) return;
    do_rollback(n_tokens);
    is_stopped_ = false;  // a stop token is the last one, or there is none
}

void Matcher::reset() {
    const Use use(*this);
    do_reset();
    is_stopped_ = false;
}

std::unique_ptr<Matcher> Matcher::fork() {
    const Use use(*this);
    return do_fork();
}

bool Matcher::is_terminated() {
    const Use use(*this);
    return is_stopped_ || (!info().has_stop_token() && do_is_terminated());
}

bool Matcher::is_complete() {
    const Use use(*this);
    return do_is_complete();
}

uint64_t Matcher::min_tokens_to_complete() {
    const Use use(*this);
    return is_stopped_ ? 0 : do_min_tokens_to_complete();
}

std::vector<uint8_t> Matcher::complete() {
    const Use use(*this);
    if (const uint64_t n_bytes = do_bytes_to_complete(); n_bytes > kMaxEndingBytes) {
        throw UsageError(
            "the shortest ending has " + std::to_string(n_bytes) + " bytes, more than the " +
            std::to_string(kMaxEndingBytes) + " that are written at once"
        );
    }
    std::vector<uint8_t> bytes;
    do_complete(bytes);
    return bytes;
}

std::string Matcher::describe() {
    const Use use(*this);
    return is_stopped_ ? "after the stop token" : do_describe();
}

Annotation Matcher::annotation() {
    const Use use(*this);
    return do_annotation();
}

std::optional<uint64_t> Matcher::tokens_left() {
    const Use use(*this);
    if (!has_budget()) return std::nullopt;
    return n_left(n_taken());
}

}  // namespace pycodec_lm
