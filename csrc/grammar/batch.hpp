// Matchers of many streams, asked all at once.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "grammar/matcher.hpp"
#include "grammar/thread_pool.hpp"

namespace pycodec_lm {

class BatchMatcher {
public:
    /// Throws UsageError where a matcher comes twice, or where vocabularies differ in size. Masks
    /// are filled by `max_threads` threads at most, the caller's included.
    explicit BatchMatcher(
        std::vector<std::shared_ptr<Matcher>> rows, size_t max_threads = kAllThreads
    );

    size_t n_rows() const { return rows_.size(); }
    const std::vector<std::shared_ptr<Matcher>>& rows() const { return rows_; }
    /// 0 where there are no rows.
    size_t vocab_size() const;

    /// Row i takes tokens[i]. Throws UsageError, and no row takes anything, where the number of
    /// tokens is wrong or one is not in the vocabulary.
    std::vector<bool> accept_tokens(std::span<const int64_t> tokens);
    /// Writes the mask of row i to masks[i], and returns what Matcher::fill_mask() says of each. No
    /// two masks may overlap.
    std::vector<bool> fill_masks(std::span<const MaskWords> masks);
    std::vector<std::vector<TokenId>> forced_tokens();

private:
    void check_count(size_t n, const char* what) const;

    std::vector<std::shared_ptr<Matcher>> rows_;
    size_t max_threads_;
};

}  // namespace pycodec_lm
