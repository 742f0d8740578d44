// Many tokens at once, by CABAC, in the order of bins instead of bits: the next bits of the stream
// are a number, of which each token leaves a range, its cell, and so does each string of bins. A
// token may come if the range of a legal string lies in its cell. Strings that lie across two cells
// are followed only where they can still show one; what then is not shown, CabacWordWalk tells.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "h264/avc_tokens.hpp"
#include "h264/cursor.hpp"

namespace pycodec_lm::h264 {

class CabacCellSearch {
public:
    using Cell = AvcTokens::Cell;

    /// @param at between two bins; it ends up anywhere
    /// @param cells disjoint, ascending
    CabacCellSearch(AvcCursor& at, uint32_t n_edges_most, std::span<const Cell> cells)
        : at_(at),
          p_(at.position_),
          c_(p_.cabac),
          n_edges_most_(n_edges_most),
          cells_(cells),
          is_found_(cells.size()) {
        turns_.reserve(kUsualTurns);
    }

    /// Of each cell whether it is known that it may come.
    const std::vector<uint8_t>& run() {
        if (is_followed()) {
            const CabacInterval& interval = c_.interval;
            const int shift = Cell::kBits - interval.n_open();
            follow(
                {-interval.first() * (int64_t{1} << shift), interval.cod_i_range(), shift},
                {0, cells_.size()}
            );
        }
        return is_found_;
    }

private:
    static constexpr size_t kUsualTurns = 16;

    /// What a string of bins leaves: 2 * codIRange units of 2^shift.
    struct Range {
        int64_t low = 0;
        uint32_t cod_i_range = 0;
        int shift = 0;

        /// Its bins leave whole numbers.
        bool can_be_cut() const { return shift > 0; }
        int64_t end() const { return low + (int64_t{2 * cod_i_range} << shift); }
    };
    /// Indices of some that stand side by side.
    struct Cells {
        size_t first = 0;
        size_t end = 0;

        bool is_empty() const { return first == end; }
    };

    /// Nothing is near that CabacWordWalk and those behind it are for.
    bool is_followed() const {
        return at_.is_at_bins() && !c_.is_terminated && p_.n_edges <= n_edges_most_ &&
               at_.is_cabac_limit_far();
    }

    /// Of some cells those that begin before a place.
    Cells before(int64_t place, Cells cells) const {
        constexpr size_t kMany = 16;
        if (cells.end - cells.first > kMany) {
            const auto* end = std::partition_point(
                &cells_[cells.first], cells_.data() + cells.end,
                [&](const Cell& cell) { return cell.begin < place; }
            );
            cells.end = static_cast<size_t>(end - cells_.data());
        }
        while (!cells.is_empty() && cells_[cells.end - 1].begin >= place) --cells.end;
        return cells;
    }

    /// Those that go on behind a place and are not found: that only the first ones can be.
    Cells behind(int64_t place, Cells cells) const {
        while (!cells.is_empty() && (is_found_[cells.first] || cells_[cells.first].end <= place))
            ++cells.first;
        return cells;
    }

    /// Of the cells that a bin's range meets those that it must be followed for, once the one is
    /// found that it shows.
    [[gnu::always_inline]] Cells wanted(bool bin, int64_t low, int64_t end, Cells cells) {
        if (cells.is_empty() || !c_.string.can_be(bin, c_.legal)) return {};
        const Cell& first = cells_[cells.first];
        if (end > first.end) return cells;
        // A range that comes in from the cell before is let go: the rest of the cell lies behind.
        if (low >= first.begin) is_found_[cells.first] = 1;
        return {};
    }

    /// What the bins that may come next leave; codIRange is not renormalised.
    struct Halves {
        Range lower;
        Range upper;
        bool upper_bin;
    };
    Halves halves(const Range& range, uint16_t ctx_idx) const {
        const auto& [low, cod_i_range, shift] = range;
        if (ctx_idx == kBypass) {
            const Range lower{low, cod_i_range, shift - 1};
            return {lower, {lower.end(), cod_i_range, shift - 1}, true};
        }
        const UpperPart upper = upper_part(ctx_idx, c_.states, cod_i_range);
        const Range lower{low, cod_i_range - upper.range, shift};
        return {lower, {lower.end(), upper.range, shift}, upper.bin};
    }
    static void renormalise(Range& range) {
        const int n = std::countl_zero(range.cod_i_range) - 23;
        range.cod_i_range <<= n;
        range.shift -= n;
    }

    void follow(Range range, Cells cells) {
        while (take_bin(range, cells) || turn_back(range, cells)) {
        }
    }

    /// Takes the next bin that some cells are behind; false where none is. Calls would take 7 % of
    /// a mask's time.
    [[gnu::always_inline]] bool take_bin(Range& range, Cells& cells) {
        if (cells.end - cells.first == 1 && c_.string.n_bins() == 0 &&
            !take_settled(range, cells_[cells.first])) {
            return false;
        }
        if (!range.can_be_cut()) return false;
        const uint16_t ctx_idx = c_.string.ctx_idx();
        const Halves half = halves(range, ctx_idx);
        const int64_t middle = half.upper.low;
        const Cells in_front = before(middle, cells);
        const Cells lower = wanted(!half.upper_bin, range.low, middle, in_front);
        // The last in front may go on behind.
        const Cells others{in_front.is_empty() ? cells.first : in_front.end - 1, cells.end};
        // The end of a code is not followed.
        const Cells upper =
            ctx_idx == kTerminate
                ? Cells{}
                : wanted(half.upper_bin, middle, half.upper.end(), behind(middle, others));
        if (lower.is_empty() && upper.is_empty()) return false;
        if (!lower.is_empty() && !upper.is_empty()) {
            turns_.emplace_back(p_, half.upper, upper, half.upper_bin);
        }
        const bool is_lower = !lower.is_empty();
        range = is_lower ? half.lower : half.upper;
        cells = is_lower ? lower : upper;
        return take(is_lower != half.upper_bin, ctx_idx, range);
    }

    /// To the last bin whose other value has cells behind it.
    bool turn_back(Range& range, Cells& cells) {
        while (!turns_.empty()) {
            const Turn& turn = turns_.back();
            range = turn.range;
            cells = behind(range.low, turn.cells);
            const bool bin = turn.bin;
            if (!cells.is_empty()) turn.position.restore(p_);
            turns_.pop_back();
            if (!cells.is_empty() && take(bin, c_.string.ctx_idx(), range)) return true;
        }
        return false;
    }

    /// False where it is not followed on.
    bool take(bool bin, uint16_t ctx_idx, Range& range) {
        int n_bits = 1;  // of a bypass bin
        if (ctx_idx != kBypass) {
            n_bits = range.shift;
            renormalise(range);
            n_bits -= range.shift;
            if (ctx_idx != kTerminate) c_.states[ctx_idx] = state_after(c_.states[ctx_idx], bin);
        }
        note_mb_bits(n_bits);
        c_.string.take(bin);
        if (!c_.string.is_whole()) return true;
        at_.take_string();
        return is_followed();
    }

    /// Takes the elements that the bits of a cell settle; false where it is not followed on.
    bool take_settled(Range& range, const Cell& cell) {
        for (bool is_first = true;; is_first = false) {
            Range after = range;
            n_noted_ = 0;
            bool is_settled = true;
            const int32_t value = c_.string.decode([&](uint16_t ctx_idx) {
                return is_settled && next_settled(after, cell, ctx_idx, is_settled);
            });
            if (!is_settled) {
                while (n_noted_ > 0) {
                    const auto& [ctx_idx, state] = noted_[--n_noted_];
                    c_.states[ctx_idx] = state;
                }
                if (!is_first) c_.legal = at_.due_values();
                return true;
            }
            if (value == BinString::kNoValue || !at_.is_due_value(value)) return false;
            note_mb_bits(range.shift - after.shift);
            range = after;
            at_.take_string_value(value);
            if (!is_followed()) return false;
            c_.string = at_.due_string();
        }
    }

    /// A bin, where the whole cell is of one.
    bool next_settled(Range& range, const Cell& cell, uint16_t ctx_idx, bool& is_settled) {
        if (!range.can_be_cut()) return is_settled = false;
        const Halves half = halves(range, ctx_idx);
        const bool is_upper = cell.begin >= half.upper.low;
        is_settled = is_upper ? ctx_idx != kTerminate : cell.end <= half.upper.low;
        if (!is_settled) return false;
        range = is_upper ? half.upper : half.lower;
        const bool bin = is_upper == half.upper_bin;
        if (ctx_idx == kBypass) return bin;
        renormalise(range);
        if (ctx_idx != kTerminate) {
            ContextState& state = c_.states[ctx_idx];
            noted_[n_noted_++] = {ctx_idx, state};
            state = state_after(state, bin);
        }
        return bin;
    }

    void note_mb_bits(int n) {
        if (p_.at >= Element::kMbType) c_.n_mb_bits = static_cast<uint16_t>(c_.n_mb_bits + n);
    }

    AvcCursor& at_;
    Position& p_;
    CabacPosition& c_;
    const uint32_t n_edges_most_;
    const std::span<const Cell> cells_;
    std::vector<uint8_t> is_found_;
    /// A bin of which the lower half is followed first, with what its other value leaves.
    struct Turn {
        Turn(
            const Position& at, const Range& other_range, const Cells& cells_behind, bool other_bin
        )
            : range(other_range), cells(cells_behind), bin(other_bin) {
            position.save(at);
        }

        SavedPosition position;
        Range range;
        Cells cells;
        bool bin;
    };
    std::vector<Turn> turns_;
    // Context variables before the bins of an element, which has fewer than 64 with one.
    struct Noted {
        uint16_t ctx_idx;
        ContextState state;
    };
    std::array<Noted, 64> noted_;
    size_t n_noted_ = 0;
};

}  // namespace pycodec_lm::h264
