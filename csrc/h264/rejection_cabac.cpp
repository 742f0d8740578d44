// Why a bit of CABAC is refused. What is wrong shows at the first bin that the bits so far leave
// possible and no legal value has: all that is legal before it leads nowhere.
#include "h264/cursor.hpp"

namespace pycodec_lm::h264 {
namespace {

/// The smallest symbol, of those that are coded, behind a bin; 0 of a number.
int32_t lowest_behind(const BinString& string, bool bin) {
    for (int32_t value = 0; value < PrefixCode::kMaxSymbols; ++value) {
        if (string.can_be(bin, BinValues::of_symbols(uint64_t{1} << value))) return value;
    }
    return 0;
}

}  // namespace

/// Of the next bit, which is refused.
Status AvcCursor::reject_cabac_bit(bool bit) const {
    AvcCursor at = *this;
    CabacPosition& c = at.position_.cabac;
    c.interval.take_bit(bit);
    if (const auto status = at.first_wrong_bin()) return *status;
    if (c.is_terminated)
        return {.code = Code::kTrailingBits, .element = Element::kRbspTrailingBits, .value = bit};
    if (c.doubt.code == Code::kOk) return {.code = Code::kCabacStart, .element = at.position_.at};
    return {
        .code = c.doubt.code,
        .element = c.doubt.element,
        .value = c.doubt.value,
        .limit = c.doubt.limit,
    };
}

/// Goes on with legal bins, up to the first that the bits leave possible and that is not legal.
std::optional<Status> AvcCursor::first_wrong_bin() {
    CabacPosition& c = position_.cabac;
    while (is_at_bins() && !c.is_terminated) {
        const uint16_t ctx_idx = c.string.ctx_idx();
        bool is_any = false;
        bool next = false;
        for (const bool bin : {true, false}) {
            if (c.interval.part_of(bin, ctx_idx, c.states) == CabacInterval::Part::kNone) continue;
            is_any = true;
            if (!may_be(bin)) return why_not_bin(bin);
            next = bin;
        }
        if (!is_any) break;
        take_bin(next);
    }
    return std::nullopt;
}

/// Of a bin that is left out: by itself, or since what is behind it leads nowhere.
Status AvcCursor::why_not_bin(bool bin) const {
    const CabacPosition& c = position_.cabac;
    if (!c.string.can_be(bin, c.legal)) {
        const int32_t value = lowest_behind(c.string, bin);
        return why_not(value_of_string(position_.at, value));
    }
    if (may_be(bin)) {
        AvcCursor behind = *this;
        behind.is_looking_ahead_ = true;
        behind.take_bin(bin);
        if (const auto status = behind.first_wrong_bin()) return *status;
    }
    const bool is_end = bin && c.string.ctx_idx() == kTerminate;
    return {
        .code = is_end ? Code::kTrailingBits : Code::kMacroblockBits,
        .element = position_.at,
        .value = bin ? 1 : 0,
    };
}

}  // namespace pycodec_lm::h264
