#include "grammar/mask_cache.hpp"

#include <algorithm>
#include <utility>

namespace pycodec_lm {

bool MaskCache::write(
    const StateKey& state, std::span<const int32_t> counters, MaskWords mask, const FarPlace& place
) {
    const Key key{state, magnitude_of(counters)};
    Shard& shard = shard_of(key);
    const std::lock_guard lock(shard.mutex);
    const auto found = shard.slot_of.find(key);
    if (found == shard.slot_of.end()) return false;
    Slot& slot = shard.slots[found->second];
    if (!slot.masks->serves(place)) return false;
    ++shard.stats.n_hits;
    slot.was_used = true;
    slot.masks->write(counters, mask);
    return true;
}

std::shared_ptr<const SharedMask> MaskCache::find(const StateKey& state, Magnitude magnitude) {
    const Key key{state, magnitude};
    Shard& shard = shard_of(key);
    const std::lock_guard lock(shard.mutex);
    const auto found = shard.slot_of.find(key);
    if (found == shard.slot_of.end()) return nullptr;
    Slot& slot = shard.slots[found->second];
    slot.was_used = true;
    return slot.masks;
}

void MaskCache::insert(const StateKey& state, std::shared_ptr<const SharedMask> masks) {
    const Key key{state, masks->magnitude()};
    // What a slot costs beside its masks: itself, and its node and bucket in the index.
    constexpr size_t kSlotBytes = sizeof(Slot) + sizeof(Key) + 5 * sizeof(void*);
    const size_t n_bytes = masks->n_bytes() + kSlotBytes;
    Shard& shard = shard_of(key);
    const std::lock_guard lock(shard.mutex);
    ++shard.stats.n_misses;
    if (n_bytes > max_shard_bytes_) return;
    if (shard.slot_of.contains(key)) return;  // another thread was faster
    while (shard.stats.n_bytes + n_bytes > max_shard_bytes_) shard.evict_one();
    shard.slot_of.emplace(key, shard.slots.size());
    shard.slots.push_back({
        .key = key,
        .masks = std::move(masks),
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
