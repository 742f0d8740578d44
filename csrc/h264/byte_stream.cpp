// Annex B and 7.3.1: start codes, emulation prevention, and where a NAL unit ends.
#include <optional>
#include <utility>

#include "h264/cabac_zero_words.hpp"
#include "h264/cursor.hpp"

namespace pycodec_lm::h264 {

AvcCursor::AvcCursor(std::shared_ptr<const AvcGrammar> grammar) : grammar_(std::move(grammar)) {}

/// Takes the byte whole or not at all.
bool AvcCursor::accept(uint8_t byte) {
    Position& p = position_;
    if (is_in_pinned_bytes() && byte != grammar_->pinned[p.offset]) return false;
    if (p.at == Element::kStartCode) return accept_start_code(byte);
    const Ended ended = p.ended;
    const bool can_be_start_code =
        ended.is_alive &&
        (byte == 0 ? ended.n_zeros < 2 || !has_short_start_codes()
                   : byte == 1 && ended.n_zeros == 2 && may_start_with_three_bytes());
    p.ended.is_alive = false;
    const bool goes_on = accept_payload(byte);
    if (!can_be_start_code) {
        if (!goes_on) p.ended = ended;
        return goes_on;
    }
    p.ended = ended;
    if (goes_on) {
        ++p.ended.n_zeros;
        return true;
    }
    const AvcCursor before = *this;
    become_ended();
    if (accept_start_code(byte)) return true;
    *this = before;
    return false;
}

/// Zeros and the 01 after them. Any number of zeros may come: those before the last three are
/// trailing_zero_8bits or leading_zero_8bits.
bool AvcCursor::accept_start_code(uint8_t byte) {
    Position& p = position_;
    const bool is_word_due = is_zero_word_due();
    if (is_word_due) {
        if (byte != (p.n_zeros < 2 ? 0 : 3)) return false;
    } else if (!is_in_pinned_bytes()) {
        if (is_stream_full()) return false;
        if (has_short_start_codes() && byte != (p.n_zeros < n_start_zeros() ? 0 : 1)) return false;
    }
    if (byte == 0) {
        if (p.n_zeros < 3) ++p.n_zeros;
    } else if (byte == 3) {
        if (!may_have_zero_word()) return false;
        p.n_zeros = 0;
        p.n_vcl_bytes += kEscapedZeroWord.size();
    } else {
        if (byte != 1 || p.n_zeros < 2 || p.phase == Phase::kEndOfStream) return false;
        if (p.n_zeros == 2 && !may_start_with_three_bytes()) return false;
        p.has_zero_byte = p.n_zeros == 3;
        p.n_zeros = 0;
        p.nal_begin = p.offset + 1;
        expect(Element::kForbiddenZeroBit);
    }
    ++p.offset;
    return true;
}

/// The picture that is whole has more bins than its bytes allow: 7.4.2.10.
bool AvcCursor::is_zero_word_due() const {
    const Position& p = position_;
    return p.cabac.n_bins > 0 && p.phase == Phase::kAfter && is_behind_cabac_slice() &&
           n_cabac_zero_words(p.cabac.n_bins, p.n_vcl_bytes, sps().frame_mbs()) > 0;
}

/// After the zeros of one.
bool AvcCursor::may_have_zero_word() const {
    return position_.n_zeros == 2 && is_behind_cabac_slice();
}

/// Some NAL unit that may follow is not the first of its access unit, nor a parameter set (B.1.2).
bool AvcCursor::may_start_with_three_bytes() const {
    const Position& p = position_;
    // Once the slice ends here, what of its picture or behind it may come.
    return p.phase != Phase::kNew && p.phase != Phase::kEndOfStream;
}

/// A byte of the NAL unit; false and unchanged where the unit cannot go on so.
bool AvcCursor::accept_payload(uint8_t byte) {
    Position& p = position_;
    if (is_pinned_unit_over()) return false;
    if (p.after_emulation) {
        if (byte > 3 || !take_payload_byte(byte)) return false;
        position_.after_emulation = false;
    } else if (p.n_zeros == 2) {
        if (byte < 3) return false;
        if (byte == 3) {
            if (!can_follow_emulation()) return false;
            p.after_emulation = true;
            p.n_zeros = 0;
            ++p.offset;
            return true;
        }
        if (!take_payload_byte(byte)) return false;
    } else if (!take_payload_byte(byte)) {
        return false;
    }
    // Outside of the unit by now, where its last bits were in this byte.
    p.n_zeros = byte == 0 && p.at != Element::kStartCode ? static_cast<uint8_t>(p.n_zeros + 1) : 0;
    ++p.offset;
    return true;
}

/// Some byte that has to be escaped may come.
bool AvcCursor::can_follow_emulation() const {
    for (uint8_t byte = 0; byte < 4; ++byte) {
        AvcCursor next = *this;
        if (next.take_payload_byte(byte)) return true;
    }
    return false;
}

/// The bits of an RBSP byte, all of them or none; notes where the RBSP may have ended.
bool AvcCursor::take_payload_byte(uint8_t byte) {
    Position& p = position_;
    if (p.at >= Element::kMbSkipRun) {
        SavedPosition before;
        before.save(p);
        if (take_rbsp_byte(byte)) return true;
        before.restore(p);
        return false;
    }
    const Position before = p;
    const CopyOnWrite<Context> context_before = context_;
    if (p.nal_unit_type == nal::kSps && p.at >= Element::kProfileIdc)
        context_.edit().draft.sps.rbsp.push_back(byte);
    if (take_rbsp_byte(byte)) return true;
    p = before;
    context_ = context_before;
    return false;
}

/// The same, but a byte that is refused may have been taken in part. Slice data leave alone what is
/// not their position, but for the end of the slice, with which the byte ends.
bool AvcCursor::take_rbsp_byte(uint8_t byte) {
    Position& p = position_;
    std::optional<DataPosition> at_end;
    for (int n_left = 8; n_left > 0;) {
        const unsigned rest = byte & ((1u << n_left) - 1);
        // 1 and zeros to the end of the byte may be rbsp_trailing_bits().
        if (p.may_end && rest == 1u << (n_left - 1)) at_end = p;
        p.may_end = false;
        const int n_taken =
            p.at >= Element::kMbSkipRun ? take_data_bits(rest, n_left) : take_bits(rest, n_left);
        n_left -= n_taken;
        if (n_taken > 0) continue;
        if (!at_end) return false;
        static_cast<DataPosition&>(p) = *at_end;  // only the end is left
        end_nal_unit(p.offset + 1);
        return true;
    }
    if (p.at == Element::kRbspTrailingBits && p.limits.has_cabac && is_in_slice()) {
        end_nal_unit(p.offset + 1);  // rbsp_stop_one_bit was the last of the byte
    } else if (at_end) {
        p.ended = {.is_alive = true, .n_mvs = at_end->last_n_mvs, .next_mb = at_end->next_mb};
    } else if (p.at == Element::kNalPayload) {
        p.ended = {.is_alive = byte != 0};
    }
    return true;
}

/// The RBSP ended at the last byte that was not 0.
void AvcCursor::become_ended() {
    Position& p = position_;
    const Ended ended = p.ended;
    p.last_n_mvs = ended.n_mvs;
    p.next_mb = ended.next_mb;
    end_nal_unit(p.offset - ended.n_zeros);
    p.n_zeros = ended.n_zeros;
}

}  // namespace pycodec_lm::h264
