// Bits of CABAC into bins: 9.3.3.2, with the bits that are still to come left open. A bin is taken
// once the bits settle it; a bit is refused where no legal bins meet the bits so far and lead on.
#include "h264/cursor.hpp"

namespace pycodec_lm::h264 {
namespace {

constexpr unsigned kZero = 0b01;  // sets of bins
constexpr unsigned kOne = 0b10;
constexpr unsigned kBoth = 0b11;

}  // namespace

/// The element that is due is spelled in bins.
bool AvcCursor::is_at_bins() const {
    const Position& p = position_;
    return p.limits.has_cabac && p.at >= Element::kMbSkipFlag &&
           (p.at < Element::kPcmAlignmentZeroBit || p.at > Element::kPcmSampleChroma);
}

/// Takes a bit; 0 where it is refused.
int AvcCursor::take_cabac_bit(bool bit) {
    Position& p = position_;
    CabacPosition& c = p.cabac;
    c.interval.take_bit(bit);
    p.bit = (p.bit + 1) & 7;
    if (c.is_terminated) return can_code_end(c.interval) && take_code_end();
    return settle_bins();
}

/// Takes the bins that the bits so far settle; false where none are legal.
bool AvcCursor::settle_bins() {
    const CabacPosition& c = position_.cabac;
    while (is_at_bins()) {
        const unsigned bins = possible_bins();
        if (bins == 0) return false;
        if (bins == kBoth) return true;
        note_doubt(bins != kOne);
        take_bin(bins == kOne);
        if (c.is_terminated) return take_code_end();
    }
    return true;
}

/// Of a bin that is left out.
void AvcCursor::note_doubt(bool bin) {
    CabacPosition& c = position_.cabac;
    if (c.interval.part_of(bin, c.string.ctx_idx(), c.states) == CabacInterval::Part::kNone) return;
    const Status status = why_not_bin(bin);
    c.doubt = {status.element, status.code, status.value, status.limit};
}

/// Behind a terminating bin. The last bit of a slice's code is rbsp_stop_one_bit, that before pcm
/// samples is free.
bool AvcCursor::can_code_end(const CabacInterval& interval) const {
    return position_.at == Element::kEndOfSliceFlag ? interval.ending().has_value()
                                                    : !interval.is_empty();
}

/// Takes a terminating bin's element once the last bit of the code is there.
bool AvcCursor::take_code_end() {
    CabacPosition& c = position_.cabac;
    if (c.interval.n_open() > 1) return true;
    c.is_terminated = false;
    take_string();
    return true;
}

/// Bins that legal values are behind and that the bits so far leave possible.
unsigned AvcCursor::bins_that_can_be() const {
    const CabacPosition& c = position_.cabac;
    const uint16_t ctx_idx = c.string.ctx_idx();
    unsigned bins = 0;
    for (const bool bin : {false, true}) {
        if (!c.string.can_be(bin, c.legal)) continue;
        if (c.interval.part_of(bin, ctx_idx, c.states) == CabacInterval::Part::kNone) continue;
        if (bin && ctx_idx == kTerminate) {
            CabacInterval behind = c.interval;
            ContextStates none;
            behind.take_bin(true, kTerminate, none);
            if (!can_code_end(behind)) continue;
        }
        if (!is_cabac_limit_far() && !fits_behind(bin)) continue;
        bins |= bin ? kOne : kZero;
    }
    return bins;
}

/// Of these, the bins from which there is a way on.
unsigned AvcCursor::possible_bins() {
    const CabacPosition& c = position_.cabac;
    unsigned bins = bins_that_can_be();
    if (bins != kBoth || c.interval.is_full()) return bins;
    SavedPosition before;
    before.save(position_, true);
    for (const bool bin : {false, true}) {
        take_bin(bin);
        if (!has_way_on()) bins &= bin ? ~kOne : ~kZero;
        before.restore(position_);
    }
    return bins;
}

/// Some legal bins lead to where all bits that may still come are possible, or to the end of the
/// slice. The position is anywhere behind it.
///
/// Of an interval that a split cuts, each part reaches one end of its range. So of the next two
/// bins that both can be one has all of its part, and the search is over: it does not branch twice.
bool AvcCursor::has_way_on() {
    const CabacPosition& c = position_.cabac;
    while (is_at_bins() && !c.is_terminated && !c.interval.is_full()) {
        const unsigned bins = bins_that_can_be();
        if (bins == 0) return false;
        if (bins == kBoth) {
            const uint16_t ctx_idx = c.string.ctx_idx();
            for (const bool bin : {false, true}) {
                if (c.interval.part_of(bin, ctx_idx, c.states) == CabacInterval::Part::kAll)
                    return true;
            }
            SavedPosition before;
            before.save(position_, true);
            take_bin(false);
            if (has_way_on()) return true;
            before.restore(position_);
        }
        take_bin((bins & kOne) != 0);
    }
    return true;
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

bool AvcCursor::is_cabac_limit_far() const {
    return position_.cabac.n_mb_bits + kFarCabacBits <= kMaxMacroblockBits;
}

/// Behind a bin, the wanted way to the end of the macroblock has no more bits than it may, A.3.1
/// n): those that the engine reads while it parses macroblock_layer().
bool AvcCursor::fits_behind(bool bin) const {
    if (position_.at < Element::kMbType) return true;
    AvcCursor at = *this;
    const CabacPosition& c = at.position_.cabac;
    at.take_bin(bin);
    while (at.is_at_bins() && at.position_.at >= Element::kMbType && !c.is_terminated) {
        if (c.n_mb_bits > kMaxMacroblockBits) return false;
        at.position_.cabac.interval.forget_bits();
        at.take_bin(at.wanted_bin());
    }
    return c.n_mb_bits <= kMaxMacroblockBits;
}

/// The bin that endings go for.
bool AvcCursor::wanted_bin() const {
    const CabacPosition& c = position_.cabac;
    const BinValues wanted = BinValues::only(wanted_bin_value());
    if (!c.legal.contains(wanted_bin_value())) return !c.string.can_be(false, c.legal);
    if (c.string.can_be(false, wanted)) return false;
    return c.string.can_be(true, wanted) || !c.string.can_be(false, c.legal);
}

int32_t AvcCursor::wanted_bin_value() const {
    const Position& p = position_;
    switch (p.at) {
        case Element::kMbSkipFlag:
        case Element::kPrevIntra4x4PredModeFlag:
        case Element::kPrevIntra8x8PredModeFlag:
        case Element::kSignificantCoeffFlag:
        case Element::kLastSignificantCoeffFlag:
            return 1;
        case Element::kEndOfSliceFlag:
            return prefers_another_slice(p.next_mb) ? 1 : 0;
        case Element::kMbType:
            return static_cast<int32_t>(*wanted_value());
        default:
            return 0;
    }
}

}  // namespace pycodec_lm::h264
