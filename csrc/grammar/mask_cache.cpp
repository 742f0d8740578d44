#include "grammar/mask_cache.hpp"

#include <algorithm>
#include <utility>

namespace pycodec_lm {

void SharedMask::begin_group(std::span<const CounterRange> ranges) {
    group_starts_.push_back(static_cast<uint32_t>(tokens_.size()));
    ranges_.insert(ranges_.end(), ranges.begin(), ranges.end());
}

void SharedMask::write(std::span<const int32_t> counters, MaskWords mask) const {
    std::copy(words_.begin(), words_.end(), mask.begin());
    const CounterRange* range = ranges_.data();
    for (size_t group = 0; group < group_starts_.size(); ++group) {
        bool allowed = true;
        for (size_t i = 0; i < n_counters_; ++i) allowed &= (range++)->contains(counters[i]);
        if (!allowed) continue;
        const size_t end =
            group + 1 < group_starts_.size() ? group_starts_[group + 1] : tokens_.size();
        for (size_t i = group_starts_[group]; i < end; ++i) set_bit(mask, tokens_[i]);
    }
}

void SharedMask::shrink_to_fit() {
    group_starts_.shrink_to_fit();
    ranges_.shrink_to_fit();
    tokens_.shrink_to_fit();
}

size_t SharedMask::n_bytes() const {
    return sizeof(SharedMask) + words_.capacity() * sizeof(uint32_t) +
           group_starts_.capacity() * sizeof(uint32_t) + ranges_.capacity() * sizeof(CounterRange) +
           tokens_.capacity() * sizeof(TokenId);
}

MaskCache::Found MaskCache::find(
    const StateKey& key, std::span<const int32_t> counters, MaskWords mask, uint64_t distance
) {
    Shard& shard = shard_of(key);
    const std::lock_guard lock(shard.mutex);
    const auto found = shard.slot_of.find(key);
    if (found == shard.slot_of.end()) return Found::kNothing;
    if (shard.slots[found->second].masks->longest() >= distance) return Found::kTooLong;
    ++shard.stats.n_hits;
    Slot& slot = shard.slots[found->second];
    slot.was_used = true;
    slot.masks->write(counters, mask);
    return Found::kMask;
}

void MaskCache::insert(const StateKey& key, SharedMask masks) {
    // What a slot costs beside its masks: itself, and its node and bucket in the index.
    constexpr size_t kSlotBytes = sizeof(Slot) + sizeof(StateKey) + 5 * sizeof(void*);
    const size_t n_bytes = masks.n_bytes() + kSlotBytes;
    Shard& shard = shard_of(key);
    const std::lock_guard lock(shard.mutex);
    ++shard.stats.n_misses;
    if (n_bytes > max_shard_bytes_) return;
    if (shard.slot_of.contains(key)) return;  // another thread was faster
    while (shard.stats.n_bytes + n_bytes > max_shard_bytes_) shard.evict_one();
    shard.slot_of.emplace(key, shard.slots.size());
    shard.slots.push_back({
        .key = key,
        .masks = std::make_unique<const SharedMask>(std::move(masks)),
        .n_bytes = n_bytes,
    });
    shard.stats.n_bytes += n_bytes;
    ++shard.stats.n_entries;
}

void MaskCache::Shard::evict_one() {
    while (slots[hand %= slots.size()].was_used) slots[hand++].was_used = false;
    stats.n_bytes -= slots[hand].n_bytes;
    --stats.n_entries;
    ++stats.n_evictions;
    slot_of.erase(slots[hand].key);
    if (hand + 1 < slots.size()) {
        slots[hand] = std::move(slots.back());
        slot_of[slots[hand].key] = hand;
    }
    slots.pop_back();
}

MaskCache::Stats MaskCache::stats() const {
    Stats sum;
    for (const Shard& shard : shards_) {
        const std::lock_guard lock(shard.mutex);
        sum.n_hits += shard.stats.n_hits;
        sum.n_misses += shard.stats.n_misses;
        sum.n_evictions += shard.stats.n_evictions;
        sum.n_entries += shard.stats.n_entries;
        sum.n_bytes += shard.stats.n_bytes;
    }
    return sum;
}

}  // namespace pycodec_lm
