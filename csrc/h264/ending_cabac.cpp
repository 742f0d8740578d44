// The ending of a slice by CABAC: the bins that endings go for, as far as the bits so far leave
// them possible.
#include <stdexcept>
#include <vector>

#include "h264/cabac_code_bits.hpp"
#include "h264/cursor.hpp"

namespace pycodec_lm::h264 {

/// The bin that endings go for.
bool AvcCursor::wanted_bin() const {
    const CabacPosition& c = position_.cabac;
    const int32_t value = wanted_bin_value();
    if (c.legal.contains(value)) {
        const BinValues wanted = BinValues::only(value);
        if (c.string.can_be(false, wanted)) return false;
        if (c.string.can_be(true, wanted)) return true;
    }
    return !c.string.can_be(false, c.legal);
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

/// The bits from here to the end of the code.
std::vector<bool> AvcCursor::ending_code() const {
    AvcCursor at = *this;
    CabacPosition& c = at.position_.cabac;
    CabacCodeBits code;
    bool is_free = false;
    while (!c.is_terminated) {
        const bool wanted = at.wanted_bin();
        is_free = is_free || c.interval.is_full();
        if (is_free) {
            code.add(c.interval.forget_bits());
            at.take_bin(wanted);
        } else {
            const unsigned set = at.possible_bins();
            at.take_bin(((set >> (wanted ? 1 : 0)) & 1) != 0 ? wanted : !wanted);
        }
    }
    const auto ending = c.interval.ending();
    if (!ending) throw std::logic_error("a slice has no ending " + describe());
    code.end(*ending);
    return code.bits();
}

/// Bytes that the ending begins with: of a slice by CABAC all up to its end, else one.
std::vector<uint8_t> AvcCursor::ending_bytes() const {
    const Position& p = position_;
    AvcCursor at = *this;
    std::vector<bool> bits;
    if (p.after_emulation && is_at_bins()) {  // six zeros come
        bits.resize(6);
        for (int i = 0; i < 6; ++i) at.take_bit(false);
    }
    const bool is_before_pcm = p.cabac.is_terminated && p.at == Element::kMbType;
    if (is_in_pinned_bytes() || !at.is_at_bins() || is_before_pcm) return {ending_byte()};
    const std::vector<bool> code = at.ending_code();
    bits.insert(bits.end(), code.begin(), code.end());
    std::vector<uint8_t> bytes;
    int n_zeros = p.n_zeros;
    for (size_t i = 0; i < bits.size(); i += 8) {
        unsigned byte = 0;
        for (size_t k = i; k < i + 8; ++k) byte = byte << 1 | (k < bits.size() && bits[k] ? 1 : 0);
        if (n_zeros == 2 && byte <= 3) {
            bytes.push_back(3);
            n_zeros = 0;
        }
        bytes.push_back(static_cast<uint8_t>(byte));
        n_zeros = byte == 0 ? n_zeros + 1 : 0;
    }
    return bytes;
}

}  // namespace pycodec_lm::h264
