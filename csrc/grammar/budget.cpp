#include "grammar/budget.hpp"

namespace pycodec_lm {

std::optional<uint64_t> EndingMemo::find(const StateKey& key) const {
    const std::lock_guard lock(mutex_);
    const auto found = lengths_tokens_.find(key);
    if (found == lengths_tokens_.end()) return std::nullopt;
    return found->second;
}

void EndingMemo::insert(std::span<const std::pair<StateKey, uint64_t>> lengths_tokens) {
    const std::lock_guard lock(mutex_);
    // Endings of one picture are worth little to the next: start anew rather than choose.
    if (lengths_tokens_.size() + lengths_tokens.size() > kMaxEntries) lengths_tokens_.clear();
    lengths_tokens_.insert(lengths_tokens.begin(), lengths_tokens.end());
}

}  // namespace pycodec_lm
