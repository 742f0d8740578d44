// Slice data by CABAC bit by bit and bin by bin, for those who look on.
#pragma once

#include "h264/cabac_walk.hpp"
#include "h264/cursor.hpp"

namespace pycodec_lm::h264 {

/// The cursor's slice data for CabacWalk.
class AvcCursor::BinSyntax {
public:
    using Saved = SavedPosition;

    explicit BinSyntax(AvcCursor& cursor) : c_(cursor), p_(cursor.position_) {}

    bool is_at_bin() const { return c_.is_at_bins() && !p_.cabac.is_terminated; }
    uint16_t ctx_idx() const { return p_.cabac.string.ctx_idx(); }
    const CabacInterval& interval() const { return p_.cabac.interval; }
    const ContextStates& states() const { return p_.cabac.states; }
    bool may_be(bool bin) const { return c_.may_be(bin); }
    void take_bin(bool bin) { c_.take_bin(bin); }
    void save(Saved& saved) const { saved.save(p_); }
    void restore(const Saved& saved) { saved.restore(p_); }

private:
    AvcCursor& c_;
    Position& p_;
};

/// Takes a bit, and the bins that it settles; 0 where it is refused.
///
/// @param see called with each bin, in front of taking it
template <class See>
int AvcCursor::take_cabac_bit(bool bit, const See& see) {
    Position& p = position_;
    CabacPosition& c = p.cabac;
    c.interval.take_bit(bit);
    p.bit = (p.bit + 1) & 7;
    if (c.is_terminated) {
        if (!can_code_end(c.interval)) return 0;
        take_code_end();
        return 1;
    }
    if (!looks_ahead_later_) return take_settled_bins(see) ? 1 : 0;
    if (!take_settled_bins()) return 0;
    if (c.is_terminated) take_code_end();
    return 1;
}

/// Takes the bins that the bits so far and a look ahead settle; false where none can be.
///
/// @param see called with each bin, in front of taking it
template <class See>
bool AvcCursor::take_settled_bins(const See& see) {
    while (is_at_bins()) {
        const unsigned set = possible_bins();
        if (set == 0) return false;
        if (set == bins::kBoth) return true;
        note_doubt(set != bins::kOne);
        see(set == bins::kOne);
        take_bin(set == bins::kOne);
        if (!position_.cabac.is_terminated) continue;
        take_code_end();
        break;
    }
    return true;
}

}  // namespace pycodec_lm::h264
