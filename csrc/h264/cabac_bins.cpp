// Slice data by CABAC, bit by bit and bin by bin: cabac_walk.hpp over the syntax of 7.3.4.
#include "h264/cabac_steps.hpp"

namespace pycodec_lm::h264 {

int AvcCursor::take_cabac_bit(bool bit) {
    return take_cabac_bit(bit, [](bool) {});
}

bool AvcCursor::look_ahead() {
    if (!looks_ahead_later_) return true;
    looks_ahead_later_ = false;
    if (is_at_bins() && !position_.cabac.is_terminated && !take_settled_bins([](bool) {}))
        return false;
    return !position_.after_emulation || can_follow_emulation();
}

/// Those that the bits so far settle, without a look ahead.
bool AvcCursor::take_settled_bins() {
    BinSyntax syntax(*this);
    const CabacWalk walk(syntax);
    while (syntax.is_at_bin()) {
        const unsigned set = walk.bins_that_can_be();
        if (set == 0) return false;
        if (set == bins::kBoth) return true;
        take_bin(set == bins::kOne);
    }
    return true;
}

unsigned AvcCursor::possible_bins() {
    const bool was_looking_ahead = is_looking_ahead_;
    is_looking_ahead_ = true;
    BinSyntax syntax(*this);
    const unsigned set = CabacWalk(syntax).possible_bins();
    is_looking_ahead_ = was_looking_ahead;
    return set;
}

/// Of a bin that is left out.
void AvcCursor::note_doubt(bool bin) {
    CabacPosition& c = position_.cabac;
    if (c.interval.part_of(bin, c.string.ctx_idx(), c.states) == CabacInterval::Part::kNone) return;
    const Status status = why_not_bin(bin);
    c.doubt = {status.element, status.code, status.value, status.limit};
}

/// A terminating 1 may be the last bin of the code.
bool AvcCursor::may_terminate() const {
    CabacInterval behind = position_.cabac.interval;
    ContextStates none;
    behind.take_bin(true, kTerminate, none);
    return can_code_end(behind);
}

/// Behind a terminating bin. The last bit of a slice's code is rbsp_stop_one_bit, that before pcm
/// samples is free.
bool AvcCursor::can_code_end(const CabacInterval& interval) const {
    return position_.at == Element::kEndOfSliceFlag ? interval.ending().has_value()
                                                    : !interval.is_empty();
}

/// Takes a terminating bin's element once the last bit of the code is there.
void AvcCursor::take_code_end() {
    CabacPosition& c = position_.cabac;
    if (c.interval.n_open() > 1) return;
    c.is_terminated = false;
    take_string();
}

void AvcCursor::take_bin(bool bin) {
    CabacPosition& c = position_.cabac;
    const uint16_t ctx_idx = c.string.ctx_idx();
    const int n_open = c.interval.n_open();
    c.interval.take_bin(bin, ctx_idx, c.states);
    ++c.n_bins;
    if (position_.at >= Element::kMbType)
        c.n_mb_bits = static_cast<uint16_t>(c.n_mb_bits + c.interval.n_open() - n_open);
    c.string.take(bin);
    if (ctx_idx == kTerminate && bin) {
        c.is_terminated = true;
    } else if (c.string.is_whole()) {
        take_string();
    }
}

/// Behind a bin, the wanted way to the end of the macroblock has no more bits than it may, A.3.1
/// n): those that the engine reads while it parses macroblock_layer().
bool AvcCursor::fits_behind(bool bin) const {
    if (position_.at < Element::kMbType) return true;
    AvcCursor at = *this;
    at.is_looking_ahead_ = true;
    CabacPosition& c = at.position_.cabac;
    at.take_bin(bin);
    while (at.is_at_bins() && at.position_.at >= Element::kMbType && !c.is_terminated) {
        if (c.n_mb_bits > kMaxMacroblockBits) return false;
        c.interval.forget_bits();
        at.take_bin(at.wanted_bin());
    }
    return c.n_mb_bits <= kMaxMacroblockBits;
}

}  // namespace pycodec_lm::h264
