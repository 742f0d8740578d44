// What a cursor may offer beside its contract (grammar/cursor.hpp) so that masks and budgets are
// fast. Each hook is optional; without it the engine takes the slow way, which is what the hook is
// tested against.
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "grammar/cursor.hpp"
#include "grammar/tokenizer_info.hpp"

namespace pycodec_lm {

/// A part of a cursor's state, by value: equal keys are equal parts.
struct StateKey {
    uint64_t high = 0;
    uint64_t low = 0;
    uint64_t owner = 0;  // of what the numbers above cannot say; 0: nothing

    friend bool operator==(const StateKey&, const StateKey&) = default;
};

struct StateKeyHash {
    size_t operator()(const StateKey& key) const {
        // Two rounds of the finaliser of MurmurHash3: keys are packed fields, not random bits.
        uint64_t x = key.low ^ (key.high * 0x9E3779B97F4A7C15u) ^ (key.owner * 0xD1B54A32D192ED03u);
        x = (x ^ (x >> 33)) * 0xFF51AFD7ED558CCDu;
        x = (x ^ (x >> 33)) * 0xC4CEB9FE1A85EC53u;
        return static_cast<size_t>(x ^ (x >> 33));
    }
};

/// The values of a counter for which something holds; first > last when there are none.
struct CounterRange {
    int32_t first = std::numeric_limits<int32_t>::min();
    int32_t last = std::numeric_limits<int32_t>::max();

    constexpr bool contains(int32_t value) const { return first <= value && value <= last; }
    constexpr bool is_everything() const { return *this == CounterRange{}; }
    constexpr void narrow(int32_t least, int32_t most) {
        if (least > first) first = least;
        if (most < last) last = most;
    }
    friend constexpr bool operator==(const CounterRange&, const CounterRange&) = default;
};

/// How far the tokens of a vocabulary reach.
struct TokenReach {
    uint64_t n_bytes = 0;       // of the longest token
    uint64_t n_unit_bytes = 0;  // of the longest before it leaves the unit (a scan) it begins in
};

/// The bytes of a token that can belong to the unit it begins in: cursors may offer
/// unit_bytes(token); without it all can.
template <class C>
TokenReach reach_of(const TokenizerInfo& info) {
    TokenReach reach;
    for (TokenId token = 0; token < info.vocab_size(); ++token) {
        if (!info.is_text(token)) continue;
        const std::string_view bytes = info.bytes_of(token);
        uint64_t n_unit_bytes = bytes.size();
        if constexpr (requires { C::unit_bytes(bytes); }) n_unit_bytes = C::unit_bytes(bytes);
        reach.n_bytes = std::max<uint64_t>(reach.n_bytes, bytes.size());
        reach.n_unit_bytes = std::max(reach.n_unit_bytes, n_unit_bytes);
    }
    return reach;
}

/// Masks shared by states that differ in a few counters only.
///  - local_key(reach): two states with equal keys accept the same tokens of any vocabulary that
///    reaches no further, as far as their counters let them; none where this state has nothing to
///    share.
///  - counters(): the numbers that the key leaves out.
///  - walker(): walks for all values of the counters at once. Its accept() says whether some values
///    allow the bytes so far (a rejecting accept() need not leave it usable), and its ranges()
///    which.
/// A cursor with key k accepts a string s iff the walker of any cursor with key k accepts s and
/// then every counter of the cursor lies in its range.
template <class C>
concept SharesMasks =
    GrammarCursor<C> &&
    requires(const C& cursor, typename C::Walker walker, TokenReach reach, uint8_t byte) {
        { cursor.local_key(reach) } -> std::same_as<std::optional<StateKey>>;
        { cursor.counters() } -> std::same_as<std::array<int32_t, C::kCounters>>;
        { cursor.walker() } -> std::same_as<typename C::Walker>;
        { walker.accept(byte) } -> std::same_as<bool>;
        {
            std::as_const(walker).ranges()
        } -> std::convertible_to<std::array<CounterRange, C::kCounters>>;
        requires std::copyable<typename C::Walker>;
    };

/// What far masks leave to each state.
struct FarPlace {
    // Parts (MCUs) up to the end of the unit (a restart interval), the one begun included.
    uint64_t distance = std::numeric_limits<uint64_t>::max();
    uint32_t lead = 0;  // steps (coefficients) past the state that the key stands for
};

/// What a state shares while the end of its unit is out of sight.
struct FarKey {
    StateKey key;
    FarPlace place;
};

/// For which states the way that a far walker went, or was refused, is right.
struct WalkScope {
    static constexpr uint32_t kNoLead = std::numeric_limits<uint32_t>::max();

    uint32_t n_ended = 0;                 // those with more parts left
    uint32_t least_other_lead = kNoLead;  // and with a smaller lead

    bool contains(const FarPlace& place) const {
        return n_ended < place.distance && place.lead < least_other_lead;
    }
    void narrow(const WalkScope& other) {
        n_ended = std::max(n_ended, other.n_ended);
        least_other_lead = std::min(least_other_lead, other.least_other_lead);
    }
    friend bool operator==(const WalkScope&, const WalkScope&) = default;
};

/// Masks shared by more states still.
///  - far_key(): two states with equal keys accept the same tokens, as far as their counters let
///    them, but for those that a far walker takes to where its scope has one of the two no more.
///  - far_walker(): walker() of a state with lead 0 whose unit never ends. Its scope() says how
///    many parts the bytes that it took have ended, or could not go on without, and from which lead
///    on they would mean another thing; after a rejecting accept(), with what the last byte did
///    before what is not legal. It only narrows.
template <class C>
concept SharesFarMasks =
    SharesMasks<C> && requires(const C& cursor, typename C::FarWalker walker, uint8_t byte) {
        { cursor.far_key() } -> std::same_as<std::optional<FarKey>>;
        { cursor.far_walker() } -> std::same_as<typename C::FarWalker>;
        { walker.accept(byte) } -> std::same_as<bool>;
        { std::as_const(walker).ranges() };
        { std::as_const(walker).scope() } -> std::same_as<WalkScope>;
        requires std::copyable<typename C::FarWalker>;
    };

/// ending_bound(n): no state within n more bytes has a longer bytes_to_complete(); UINT64_MAX where
/// no bound is known. Beside it a cursor may offer ending_bound_here(), of this state, where that
/// is cheap.
template <class C>
concept BoundsEndings = requires(const C& cursor, uint64_t n) {
    { cursor.ending_bound(n) } -> std::same_as<uint64_t>;
};

/// ending_key(): states with equal keys have equal complete(); none where that is not known.
template <class C>
concept NamesEndings = requires(const C& cursor) {
    { cursor.ending_key() } -> std::same_as<std::optional<StateKey>>;
};

/// may_change_ending(): behind the first byte of complete() the ending may be another, which is no
/// longer than what is left of it.
template <class C>
concept ChangesEndings = requires(const C& cursor) {
    { cursor.may_change_ending() } -> std::same_as<bool>;
};

/// Tokens: a vocabulary in a form of the cursor's own. Made from a TokenTrie; its
/// walk<kSees>(cursor, visit) does what walk_tokens() says (grammar/mask.hpp).
template <class C>
concept HasTokens = requires { typename C::Tokens; };

template <GrammarCursor C>
uint64_t ending_bound(const C& cursor, uint64_t n_bytes) {
    if constexpr (BoundsEndings<C>) return cursor.ending_bound(n_bytes);
    return n_bytes == 0 ? cursor.bytes_to_complete() : std::numeric_limits<uint64_t>::max();
}

template <GrammarCursor C>
std::optional<StateKey> ending_key(const C& cursor) {
    if constexpr (NamesEndings<C>) return cursor.ending_key();
    return std::nullopt;
}

/// The one byte that can come next, if it is only one. The cursor must not be complete. `scratch`
/// is any cursor; it is overwritten.
template <GrammarCursor C>
std::optional<uint8_t> forced_byte(const C& cursor, C& scratch) {
    if constexpr (requires {
                      { cursor.forced_byte() } -> std::same_as<std::optional<uint8_t>>;
                  }) {
        return cursor.forced_byte();
    }
    std::vector<uint8_t> ending;
    cursor.complete(ending, 1);
    // One byte is known; look for a second. A state that has one tends to have many, so far-apart
    // bytes come first. A rejected byte changes nothing, so one copy serves for all.
    scratch = cursor;
    for (unsigned i = 1; i < 256; ++i) {
        unsigned flips = 0;  // the bits of i reversed
        for (unsigned bit = 0; bit < 8; ++bit) flips |= ((i >> bit) & 1) << (7 - bit);
        if (scratch.accept(static_cast<uint8_t>(ending[0] ^ flips))) return std::nullopt;
    }
    return ending[0];
}

}  // namespace pycodec_lm
