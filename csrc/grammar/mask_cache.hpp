// Masks kept for states that come again: bounded in bytes, shared by all matchers of a compiled
// grammar, safe to use from many threads.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>
#include <vector>

#include "grammar/bitmask.hpp"
#include "grammar/cursor_hooks.hpp"
#include "grammar/shared_mask.hpp"

namespace pycodec_lm {

class MaskCache {
public:
    struct Stats {
        uint64_t n_hits = 0;
        uint64_t n_misses = 0;  // masks that had to be made
        uint64_t n_evictions = 0;
        uint64_t n_entries = 0;
        uint64_t n_bytes = 0;
    };

    explicit MaskCache(size_t max_bytes) : max_shard_bytes_(max_bytes / kShards) {}

    /// Writes the mask of a state, if the masks of its key are here and serve for its place.
    bool write(
        const StateKey& state, std::span<const int32_t> counters, MaskWords mask,
        const FarPlace& place = {}
    );
    /// The masks of a key; none where they are not here.
    std::shared_ptr<const SharedMask> find(const StateKey& state, Magnitude magnitude);
    /// Keeps the masks of a key; what was not used for longest makes room. A mask that is larger
    /// than its share of the cache is not kept.
    void insert(const StateKey& state, std::shared_ptr<const SharedMask> masks);
    Stats stats() const;

private:
    static constexpr size_t kShards = 16;

    struct Key {
        StateKey state;
        Magnitude magnitude;

        friend bool operator==(const Key&, const Key&) = default;
    };
    struct KeyHash {
        size_t operator()(const Key& key) const {
            return StateKeyHash{}(key.state) ^ static_cast<size_t>(key.magnitude);
        }
    };
    struct Slot {
        Key key;
        std::shared_ptr<const SharedMask> masks;
        size_t n_bytes = 0;
        bool was_used = false;  // since the clock's hand last passed
    };

    // Each shard is a clock: a ring of slots and a hand that takes the first unused one.
    struct alignas(64) Shard {
        mutable std::mutex mutex;
        std::unordered_map<Key, size_t, KeyHash> slot_of;
        std::vector<Slot> slots;
        size_t hand = 0;
        Stats stats;

        void evict_one();
    };

    Shard& shard_of(const Key& key) { return shards_[KeyHash{}(key) >> 60]; }

    size_t max_shard_bytes_;
    std::array<Shard, kShards> shards_;
};

}  // namespace pycodec_lm
