// Masks kept for states that come again: bounded in bytes, shared by all matchers of a compiled
// grammar, safe to use from many threads.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <span>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include "grammar/bitmask.hpp"
#include "grammar/cursor_hooks.hpp"
#include "grammar/mask.hpp"
#include "grammar/token_trie.hpp"

namespace pycodec_lm {

/// The masks of all states with one local key: the tokens that any counters allow, and beside them,
/// in groups, those that hang on counters.
class SharedMask {
public:
    SharedMask(size_t n_words, size_t n_counters) : words_(n_words), n_counters_(n_counters) {}

    /// Tokens in groups must come one group after the other.
    void allow(TokenId token) { set_bit(words_, token); }
    void begin_group(std::span<const CounterRange> ranges);
    void allow_in_group(TokenId token) { tokens_.push_back(token); }

    /// Only states whose unit goes on for more than `n` may use this mask (FarKey::distance).
    void set_longest(uint64_t n) { longest_ = n; }
    uint64_t longest() const { return longest_; }

    /// The mask of the state with these counters.
    void write(std::span<const int32_t> counters, MaskWords mask) const;
    void shrink_to_fit();
    size_t n_bytes() const;

private:
    std::vector<uint32_t> words_;
    size_t n_counters_;
    uint64_t longest_ = 0;
    std::vector<uint32_t> group_starts_;  // into tokens_; the next group's is the end
    std::vector<CounterRange> ranges_;    // n_counters_ for each group
    std::vector<TokenId> tokens_;
};

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

    enum class Found : uint8_t { kNothing, kTooLong, kMask };

    /// Writes the mask of a state, if the masks of its key are here and serve for its distance.
    Found find(
        const StateKey& key, std::span<const int32_t> counters, MaskWords mask,
        uint64_t distance = std::numeric_limits<uint64_t>::max()
    );
    /// Keeps the masks of a key; what was not used for longest makes room. A mask that is larger
    /// than its share of the cache is not kept.
    void insert(const StateKey& key, SharedMask masks);
    Stats stats() const;

private:
    static constexpr size_t kShards = 16;

    struct Slot {
        StateKey key;
        std::unique_ptr<const SharedMask> masks;
        size_t n_bytes = 0;
        bool was_used = false;  // since the clock's hand last passed
    };

    // Each shard is a clock: a ring of slots and a hand that takes the first unused one.
    struct alignas(64) Shard {
        mutable std::mutex mutex;
        std::unordered_map<StateKey, size_t, StateKeyHash> slot_of;
        std::vector<Slot> slots;
        size_t hand = 0;
        Stats stats;

        void evict_one();
    };

    Shard& shard_of(const StateKey& key) { return shards_[StateKeyHash{}(key) >> 60]; }

    size_t max_shard_bytes_;
    std::array<Shard, kShards> shards_;
};

/// Walks the trie once for all states that share the key of the walker's cursor.
template <class Walker>
SharedMask make_shared_mask(const TokenTrie& trie, const Walker& start, size_t n_words) {
    using Ranges = std::remove_cvref_t<decltype(start.ranges())>;
    constexpr size_t kCounters = std::tuple_size_v<Ranges>;
    SharedMask masks(n_words, kCounters);
    std::vector<std::pair<Ranges, uint32_t>> conditional;  // with the trie node
    walk_trie<false>(trie, start, [&](uint32_t node, const auto& walker) {
        const Ranges ranges = walker.ranges();
        const bool always =
            std::all_of(ranges.begin(), ranges.end(), [](const CounterRange& range) {
                return range.is_everything();
            });
        if (!always) {
            conditional.emplace_back(ranges, node);
            return;
        }
        for (const TokenId token : trie.tokens_at(node)) masks.allow(token);
    });
    const auto key_of = [](const Ranges& ranges) {
        std::array<int32_t, 2 * kCounters> key{};
        for (size_t i = 0; i < ranges.size(); ++i) {
            key[2 * i] = ranges[i].first;
            key[2 * i + 1] = ranges[i].last;
        }
        return key;
    };
    std::stable_sort(conditional.begin(), conditional.end(), [&](const auto& a, const auto& b) {
        return key_of(a.first) < key_of(b.first);
    });
    for (size_t i = 0; i < conditional.size(); ++i) {
        const auto& [ranges, node] = conditional[i];
        if (i == 0 || ranges != conditional[i - 1].first) masks.begin_group(ranges);
        for (const TokenId token : trie.tokens_at(node)) masks.allow_in_group(token);
    }
    masks.shrink_to_fit();
    return masks;
}

}  // namespace pycodec_lm
