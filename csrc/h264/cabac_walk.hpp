// Which bins the bits of CABAC settle, 9.3.3.2, with the bits that are still to come left open: a
// bin is taken once the bits and the syntax leave no other, and a bit is refused where no legal
// bins meet the bits so far and lead on.
#pragma once

#include <array>

#include "h264/cabac_interval.hpp"

namespace pycodec_lm::h264 {

/// Sets of bins.
namespace bins {
inline constexpr unsigned kZero = 0b01;
inline constexpr unsigned kOne = 0b10;
inline constexpr unsigned kBoth = 0b11;
constexpr unsigned only(bool bin) { return bin ? kOne : kZero; }
}  // namespace bins

/// `Syntax` is what is spelled in bins:
///
///     is_at_bin()                  a bin comes next (and no terminating 1 was the last)
///     ctx_idx()                    of that bin
///     interval(), states()         of the code
///     may_be(bin)                  a legal value is behind it; of a terminating 1, the bits so far
///                                  may end the code
///     take_bin(bin)                and what it brings
///     Saved, save(Saved&), restore(const Saved&)
template <class Syntax>
class CabacWalk {
public:
    explicit CabacWalk(Syntax& syntax) : s_(syntax) {}

    /// Legal bins that the bits so far leave possible.
    unsigned bins_that_can_be() const { return bins_that_can_be(parts()); }

    /// Of these, the ones from which there is a way on.
    unsigned possible_bins() {
        const auto parts_before = parts();
        unsigned set = bins_that_can_be(parts_before);
        if (set != bins::kBoth || s_.interval().is_full()) return set;
        typename Syntax::Saved before;
        s_.save(before);
        for (const bool bin : {false, true}) {
            if (parts_before[bin] == Part::kAll) continue;
            s_.take_bin(bin);
            if (!has_way_on()) set &= ~bins::only(bin);
            s_.restore(before);
        }
        return set;
    }

    /// Some legal bins lead to where all bits that may still come are possible, or to the end of
    /// the code. The syntax is left anywhere behind it.
    ///
    /// Of an interval that a split cuts, each part reaches one end of its range. So of the next two
    /// bins that both can be one has all of its part, and the search is over: it branches once.
    bool has_way_on() {
        while (s_.is_at_bin() && !s_.interval().is_full()) {
            const auto parts_here = parts();
            const unsigned set = bins_that_can_be(parts_here);
            if (set == 0) return false;
            if (set == bins::kBoth) {
                if (parts_here[0] == Part::kAll || parts_here[1] == Part::kAll) return true;
                typename Syntax::Saved before;
                s_.save(before);
                s_.take_bin(false);
                if (has_way_on()) return true;
                s_.restore(before);
            }
            s_.take_bin((set & bins::kOne) != 0);
        }
        return true;
    }

private:
    using Part = CabacInterval::Part;

    using Parts = std::array<Part, 2>;  // by bin

    Parts parts() const { return s_.interval().parts(s_.ctx_idx(), s_.states()); }

    unsigned bins_that_can_be(const Parts& parts) const {
        unsigned set = 0;
        for (const bool bin : {false, true}) {
            if (parts[bin] != Part::kNone && s_.may_be(bin)) set |= bins::only(bin);
        }
        return set;
    }

    Syntax& s_;
};

}  // namespace pycodec_lm::h264
