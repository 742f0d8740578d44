// The ending of a slice by CABAC: the bins that endings go for, as far as the bits so far leave
// them possible, written as the encoder of 9.3.4 writes them.
#include <vector>

#include "h264/cursor.hpp"

namespace pycodec_lm::h264 {
namespace {

/// The bits of a code as one long number, to whose end numbers are added.
class CodeBits {
public:
    /// Makes room for the bits that the interval has opened since it was last asked, and adds what
    /// they are at least.
    void add(const CabacInterval::Low& low) {
        const size_t n_known = bits_.empty() ? 0 : CabacInterval::kFreshBits;
        bits_.resize(bits_.size() + static_cast<size_t>(low.n_bits) - n_known);
        uint64_t rest = low.number;
        for (size_t i = bits_.size(); rest != 0; rest >>= 1) {
            if ((rest & 1) != 0) carry_into(i - 1);
            --i;
        }
    }

    std::vector<bool>& bits() { return bits_; }

private:
    void carry_into(size_t i) {
        for (; bits_[i]; --i) bits_[i] = false;
        bits_[i] = true;
    }

    std::vector<bool> bits_;
};

}  // namespace

/// The bits from here to rbsp_stop_one_bit.
std::vector<bool> AvcCursor::ending_code() const {
    AvcCursor at = *this;
    CabacPosition& c = at.position_.cabac;
    CodeBits code;
    bool is_free = false;
    while (!c.is_terminated) {
        const bool wanted = at.wanted_bin();
        is_free = is_free || c.interval.is_full();
        if (is_free) {
            code.add(c.interval.forget_bits());
            at.take_bin(wanted);
        } else {
            const unsigned bins = at.possible_bins();
            at.take_bin(((bins >> (wanted ? 1 : 0)) & 1) != 0 ? wanted : !wanted);
        }
    }
    const auto ending = c.interval.ending();
    if (!ending) throw std::logic_error("a slice has no ending " + describe());
    code.add({ending->bits << 1, ending->n_bits + 1});
    code.bits().pop_back();  // the bit behind the code
    return std::move(code.bits());
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
