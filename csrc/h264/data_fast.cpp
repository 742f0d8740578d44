#include "h264/field_reader.hpp"

namespace pycodec_lm::h264 {

/// Takes as many of the low `n_bits` bits of `bits` as belong to slice data, up to where the RBSP
/// may end; 0 where some are refused, of which some may be taken then.
int AvcCursor::take_data_bits(uint64_t bits, int n_bits) {
    const Position& p = position_;
    int n_left = n_bits;
    do {
        const int n = FieldReader(*this, bits << (64 - n_left), n_left).take();
        if (n == 0) return 0;
        n_left -= n;
    } while (n_left > 0 && !p.may_end && p.at >= Element::kMbSkipRun);
    return n_bits - n_left;
}

}  // namespace pycodec_lm::h264
