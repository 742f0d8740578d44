#include "grammar/batch.hpp"

#include <unordered_map>

#include "grammar/usage_error.hpp"

namespace pycodec_lm {

BatchMatcher::BatchMatcher(std::vector<std::shared_ptr<Matcher>> rows, size_t max_threads)
    : rows_(std::move(rows)), max_threads_(max_threads) {
    std::unordered_map<const Matcher*, size_t> row_of;
    for (size_t row = 0; row < rows_.size(); ++row) {
        const auto [earlier, is_new] = row_of.emplace(rows_[row].get(), row);
        if (!is_new) {
            throw UsageError(
                "rows " + std::to_string(earlier->second) + " and " + std::to_string(row) +
                " of the batch are the same matcher: give each row its own, or a fork()"
            );
        }
        if (rows_[row]->compiled().info().vocab_size() !=
            rows_[0]->compiled().info().vocab_size()) {
            throw UsageError(
                "row " + std::to_string(row) + " of the batch has another vocabulary than row 0"
            );
        }
    }
}

size_t BatchMatcher::vocab_size() const {
    return rows_.empty() ? 0 : static_cast<size_t>(rows_[0]->compiled().info().vocab_size());
}

void BatchMatcher::check_count(size_t n, const char* what) const {
    if (n == rows_.size()) return;
    throw UsageError(
        std::to_string(n) + " " + what + " for a batch of " + std::to_string(rows_.size()) + " rows"
    );
}

std::vector<bool> BatchMatcher::accept_tokens(std::span<const int64_t> tokens) {
    check_count(tokens.size(), "tokens");
    for (size_t row = 0; row < rows_.size(); ++row)
        rows_[row]->compiled().info().checked(tokens[row]);
    std::vector<bool> accepted(rows_.size());
    for (size_t row = 0; row < rows_.size(); ++row)
        accepted[row] = rows_[row]->accept_token(tokens[row]);
    return accepted;
}

std::vector<bool> BatchMatcher::fill_masks(std::span<const MaskWords> masks) {
    check_count(masks.size(), "masks");
    std::vector<bool> forbids(rows_.size());
    // Rows whose masks are known take less time than waking a thread; the others take more.
    std::vector<size_t> slow_rows;
    for (size_t row = 0; row < rows_.size(); ++row) {
        if (const auto answer = rows_[row]->fill_mask_if_cheap(masks[row])) {
            forbids[row] = *answer;
        } else {
            slow_rows.push_back(row);
        }
    }
    std::vector<uint8_t> slow_forbids(slow_rows.size());  // bytes: threads write neighbours
    const auto fill_slowly = [&](size_t i) {
        slow_forbids[i] = rows_[slow_rows[i]]->fill_mask(masks[slow_rows[i]]) ? 1 : 0;
    };
    parallel_for(slow_rows.size(), fill_slowly, max_threads_);
    for (size_t i = 0; i < slow_rows.size(); ++i) forbids[slow_rows[i]] = slow_forbids[i] != 0;
    return forbids;
}

std::vector<std::vector<TokenId>> BatchMatcher::forced_tokens() {
    std::vector<std::vector<TokenId>> tokens;
    tokens.reserve(rows_.size());
    for (const auto& row : rows_) tokens.push_back(row->forced_tokens());
    return tokens;
}

}  // namespace pycodec_lm
