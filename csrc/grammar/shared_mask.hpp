// Masks shared by states that differ in a few counters only, and by states near and far from the
// end of their unit: what cursor_hooks.hpp promises, put to use.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <numeric>
#include <span>
#include <string_view>
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

/// Nearly all that counters forbid is forbidden by large ones only. Masks for states whose counters
/// are small leave that out, and take a tenth of the room.
enum class Magnitude : uint8_t { kSmall, kAny };

/// Half of what DC coefficients of 8-bit samples reach.
inline constexpr int32_t kMaxSmallCounter = 511;

inline int32_t largest_magnitude(std::span<const int32_t> counters) {
    int32_t largest = 0;
    for (const int32_t counter : counters) largest = std::max(largest, std::abs(counter));
    return largest;
}
inline Magnitude magnitude_of(std::span<const int32_t> counters) {
    return largest_magnitude(counters) <= kMaxSmallCounter ? Magnitude::kSmall : Magnitude::kAny;
}

/// The masks of all states with one key and counters of one magnitude: the tokens that some
/// counters allow, and beside them, in groups, those that others forbid.
class SharedMask {
public:
    struct Group {
        // Counters of no larger magnitude allow the group.
        int32_t margin = 0;
        uint32_t first_token = 0;  // into tokens(); the next group's is the end
    };
    /// A node of the trie that was decided for fewer states than its parent.
    struct LateNode {
        uint32_t node = 0;
        WalkScope parent;
        WalkScope scope;
    };

    /// The mask of the state with these counters.
    void write(std::span<const int32_t> counters, MaskWords mask) const;
    /// Whether states at this place may use the mask as it is.
    bool serves(const FarPlace& place) const { return scope_.contains(place); }
    Magnitude magnitude() const { return magnitude_; }
    size_t n_bytes() const;

    std::span<const uint32_t> words() const { return words_; }
    size_t n_groups() const { return groups_.empty() ? 0 : groups_.size() - 1; }
    std::span<const CounterRange> ranges(size_t group) const {
        return std::span(ranges_).subspan(group * n_counters_, n_counters_);
    }
    std::span<const TokenId> tokens(size_t group) const {
        const uint32_t first = groups_[group].first_token;
        return std::span(tokens_).subspan(first, groups_[group + 1].first_token - first);
    }
    std::span<const LateNode> late_nodes() const { return late_nodes_; }

private:
    template <size_t>
    friend class SharedMaskBuilder;

    std::vector<uint32_t> words_;
    size_t n_counters_ = 0;
    Magnitude magnitude_ = Magnitude::kAny;
    WalkScope scope_;                   // of all tokens, and what was tried of them
    std::vector<Group> groups_;         // by margin, and one more at the end
    std::vector<CounterRange> ranges_;  // n_counters_ for each group
    std::vector<TokenId> tokens_;
    std::vector<LateNode> late_nodes_;
};

template <size_t kCounters>
class SharedMaskBuilder {
public:
    using Ranges = std::array<CounterRange, kCounters>;

    SharedMaskBuilder(size_t n_words, Magnitude magnitude)
        : words_(n_words), magnitude_(magnitude) {}

    /// The tokens are legal where every counter lies in its range.
    void allow(std::span<const TokenId> tokens, const Ranges& ranges) {
        for (const TokenId token : tokens) set_bit(words_, token);
        if (margin_of(ranges) >= largest_counter()) return;
        const uint32_t group = group_of(ranges);
        for (const TokenId token : tokens) conditional_.emplace_back(group, token);
    }

    /// What another mask says of all tokens but some.
    void allow_others(const SharedMask& mask, std::span<const uint32_t> excluded) {
        for (size_t i = 0; i < words_.size(); ++i) words_[i] |= mask.words()[i] & ~excluded[i];
        for (size_t group = 0; group < mask.n_groups(); ++group) {
            Ranges ranges;
            std::copy_n(mask.ranges(group).begin(), kCounters, ranges.begin());
            for (const TokenId token : mask.tokens(group)) {
                if (has_bit(excluded, token)) continue;
                conditional_.emplace_back(group_of(ranges), token);
            }
        }
    }

    void add_late_node(const SharedMask::LateNode& late) { late_nodes_.push_back(late); }

    SharedMask build() && {
        SharedMask mask;
        mask.words_ = std::move(words_);
        mask.n_counters_ = kCounters;
        mask.magnitude_ = magnitude_;
        mask.late_nodes_ = std::move(late_nodes_);
        mask.late_nodes_.shrink_to_fit();
        for (const SharedMask::LateNode& late : mask.late_nodes_) mask.scope_.narrow(late.scope);
        if (groups_.empty()) return mask;
        std::vector<uint32_t> order(groups_.size());
        std::iota(order.begin(), order.end(), 0);
        std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
            return margin_of(groups_[a]) < margin_of(groups_[b]);
        });
        std::vector<uint32_t> next(groups_.size());  // where a group's next token goes
        for (const auto& [group, token] : conditional_) ++next[group];
        uint32_t n_tokens = 0;
        mask.groups_.reserve(groups_.size() + 1);
        mask.ranges_.reserve(groups_.size() * kCounters);
        for (const uint32_t group : order) {
            const Ranges& ranges = groups_[group];
            mask.groups_.push_back({margin_of(ranges), n_tokens});
            mask.ranges_.insert(mask.ranges_.end(), ranges.begin(), ranges.end());
            n_tokens += std::exchange(next[group], n_tokens);
        }
        mask.groups_.push_back({.first_token = n_tokens});
        mask.tokens_.resize(n_tokens);
        for (const auto& [group, token] : conditional_) mask.tokens_[next[group]++] = token;
        return mask;
    }

private:
    struct Hash {
        size_t operator()(const Ranges& ranges) const {
            uint64_t hash = 0;
            for (const CounterRange& range : ranges) {
                const auto word = static_cast<uint64_t>(static_cast<uint32_t>(range.first)) << 32 |
                                  static_cast<uint32_t>(range.last);
                hash = (hash ^ word) * 0x9E3779B97F4A7C15u;
                hash ^= hash >> 32;
            }
            return static_cast<size_t>(hash);
        }
    };

    int32_t largest_counter() const {
        return magnitude_ == Magnitude::kSmall ? kMaxSmallCounter
                                               : std::numeric_limits<int32_t>::max();
    }

    static int32_t margin_of(const Ranges& ranges) {
        int32_t margin = std::numeric_limits<int32_t>::max();
        for (const CounterRange& range : ranges) {
            margin = std::min(margin, range.last);
            // The least number has no opposite, and forbids nothing.
            if (range.first != CounterRange{}.first) margin = std::min(margin, -range.first);
        }
        return margin;
    }

    uint32_t group_of(const Ranges& ranges) {
        // Neighbours in the trie often have the same.
        if (!groups_.empty() && groups_[last_group_] == ranges) return last_group_;
        const auto [at, is_new] = index_.try_emplace(ranges, static_cast<uint32_t>(groups_.size()));
        if (is_new) groups_.push_back(ranges);
        return last_group_ = at->second;
    }

    std::vector<uint32_t> words_;
    Magnitude magnitude_;
    std::vector<Ranges> groups_;
    uint32_t last_group_ = 0;
    std::unordered_map<Ranges, uint32_t, Hash> index_;
    std::vector<std::pair<uint32_t, TokenId>> conditional_;  // with the group
    std::vector<SharedMask::LateNode> late_nodes_;
};

template <class Walker>
using RangesOf = std::remove_cvref_t<decltype(std::declval<const Walker&>().ranges())>;

template <class Walker>
using BuilderFor = SharedMaskBuilder<std::tuple_size_v<RangesOf<Walker>>>;

/// Walks the trie once for all states that share the key of the walker's cursor.
template <class Walker>
SharedMask make_shared_mask(
    const TokenTrie& trie, const Walker& start, size_t n_words, Magnitude magnitude
) {
    BuilderFor<Walker> mask(n_words, magnitude);
    walk_trie<false>(trie, start, [&](uint32_t node, const Walker& walker) {
        mask.allow(trie.tokens_at(node), walker.ranges());
    });
    return std::move(mask).build();
}

/// Walks the trie with a far walker: the mask of states whose unit ends behind what any token
/// reaches, and a start for those nearer its end.
template <class FarWalker>
SharedMask make_far_mask(
    const TokenTrie& trie, const FarWalker& start, size_t n_words, Magnitude magnitude
) {
    BuilderFor<FarWalker> mask(n_words, magnitude);
    walk_subtrees<false>(
        trie, 1, trie.n_nodes(), start,
        [&](uint32_t node, const FarWalker& walker) {
            mask.allow(trie.tokens_at(node), walker.ranges());
        },
        [&](uint32_t node, const FarWalker& parent, const FarWalker& walker) {
            const WalkScope before = trie.node(node).depth == 1 ? WalkScope{} : parent.scope();
            const WalkScope scope = walker.scope();
            if (scope != before) mask.add_late_node({node, before, scope});
        }
    );
    return std::move(mask).build();
}

/// The mask of states at this place: only what hangs on it is walked, the rest is as the far mask
/// has it.
template <class Walker>
SharedMask make_near_mask(
    const TokenTrie& trie, const TokenizerInfo& info, const SharedMask& far, const FarPlace& place,
    const Walker& start
) {
    const size_t n_words = far.words().size();
    BuilderFor<Walker> mask(n_words, far.magnitude());
    std::vector<uint32_t> is_late(n_words);
    Walker parent = start;
    std::string_view parent_bytes;
    for (const SharedMask::LateNode& late : far.late_nodes()) {
        if (!late.parent.contains(place) || late.scope.contains(place)) continue;
        const uint32_t end = trie.node(late.node).subtree_end;
        const std::span<const TokenId> tokens = trie.tokens_below(late.node);
        for (const TokenId token : tokens) set_bit(is_late, token);
        const std::string_view bytes =
            info.bytes_of(tokens.front()).substr(0, trie.node(late.node).depth - size_t{1});
        if (bytes != parent_bytes) {
            parent = start;
            accept_all(parent, bytes);
            parent_bytes = bytes;
        }
        walk_subtrees<false>(
            trie, late.node, end, parent,
            [&](uint32_t node, const Walker& walker) {
                mask.allow(trie.tokens_at(node), walker.ranges());
            },
            [](uint32_t, const Walker&, const Walker&) {}
        );
    }
    mask.allow_others(far, is_late);
    return std::move(mask).build();
}

}  // namespace pycodec_lm
