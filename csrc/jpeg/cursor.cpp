// Bytes over bits: the contract of grammar/cursor.hpp.
#include "jpeg/cursor.hpp"

#include <algorithm>
#include <bit>

#include "jpeg/markers.hpp"

namespace pycodec_lm::jpeg {

/// Takes the byte whole or not at all.
bool JpegCursor::accept(uint8_t byte) {
    if (is_in_open_scan()) return accept_in_open_scan(byte);
    return accept_ordinary(byte);
}

/// accept() where only one reading is alive.
bool JpegCursor::accept_ordinary(uint8_t byte) {
    if (position_.stuffing_due) {
        if (byte != 0) return false;
        position_.stuffing_due = false;
        ++position_.offset;
        return true;
    }
    if (position_.at == Element::kEnd) return false;
    if (grammar_->is_pinned() && !position_.in_scan) {
        const auto& chunk = grammar_->pinned[position_.pinned_chunk];
        if (position_.pinned_index >= chunk.size() || chunk[position_.pinned_index] != byte)
            return false;
    }
    const bool was_in_scan = position_.in_scan;
    const bool was_restart_due = position_.restart_due;
    // Inside one number a byte is taken whole or not at all.
    const bool is_in_number =
        spelling() == Spelling::kNumber && field_bits() - position_.n_partial >= 8;
    if (is_in_number ? take_bits(byte, 8) == 0 : !take_in_parts(byte)) return false;
    end_byte(byte, was_in_scan, was_restart_due);
    return true;
}

/// Takes the bits of a byte that belong to several fields, all of them or none.
bool JpegCursor::take_in_parts(uint8_t byte) {
    const Position before = position_;
    // Inside a scan the header stays, but for what the end of one adds to the history.
    std::shared_ptr<const Header> header_before;
    if (!before.in_scan || before.restart_due || before.in_band) header_before = header_;
    for (int n_left = 8; n_left > 0;) {
        const int n_taken = take_bits(byte & ((1u << n_left) - 1), n_left);
        n_left -= n_taken;
        if (n_taken > 0) continue;
        position_ = before;
        if (header_before) header_ = std::move(header_before);
        return false;
    }
    return true;
}

/// A byte belongs to the state it was begun in: it is entropy-coded iff that was inside an
/// interval.
void JpegCursor::end_byte(uint8_t byte, bool was_in_scan, bool was_restart_due) {
    ++position_.offset;
    if (was_in_scan && !was_restart_due) {
        position_.stuffing_due = byte == marker::kPrefix;
    } else if (!was_in_scan) {
        ++position_.pinned_index;
    }
}

/// take_bit() for as many of the low `n_bits` bits of `bits` as belong to one number or code, or
/// for one bit. Returns how many it took; 0 where none could be taken.
int JpegCursor::take_bits(unsigned bits, int n_bits) {
    Position& p = position_;
    if (p.at == Element::kEnd) return 0;
    const Spelling how = spelling();
    if (how == Spelling::kHuffman) return take_code_bits(bits, n_bits);
    if (how == Spelling::kPadding) return take_bit((bits >> (n_bits - 1)) & 1) ? 1 : 0;
    const int n_missing = field_bits() - p.n_partial;
    const int n = std::min(n_missing, n_bits);
    const int n_left = n_missing - n;
    const uint32_t value = (p.partial << n) | (bits >> (n_bits - n));
    const uint32_t first = value << n_left;
    const bool is_free = p.at == Element::kAcBits || p.at == Element::kCorrectionBit;
    if (!is_free && !legal().any_in(first, first | ((1u << n_left) - 1))) return 0;
    p.bit = static_cast<uint8_t>((p.bit + n) & 7);
    if (n_left > 0) {
        p.partial = value;
        p.n_partial = static_cast<uint8_t>(p.n_partial + n);
    } else {
        p.partial = 0;
        p.n_partial = 0;
        take(value);
    }
    return n;
}

/// Takes bits that are known to go on a valid file.
void JpegCursor::take_legal(unsigned bits, int n_bits) {
    while (n_bits > 0) n_bits -= take_bits(bits & ((1u << n_bits) - 1), n_bits);
}

Status JpegCursor::push(uint8_t byte) {
    if (accept(byte)) return {};
    Status status;
    if (position_.at == Element::kEnd && !position_.stuffing_due) {
        status = {.code = Code::kAfterEnd, .element = Element::kEnd, .value = byte};
    } else if (position_.stuffing_due) {
        status = {.code = Code::kUnstuffedFf, .element = Element::kStuffing, .value = byte};
        if (marker::is_restart(byte)) {
            status.code = Code::kRestartUnexpected;
            status.value = byte & 7;
        } else if (byte == marker::kPrefix) {
            status.code = Code::kFillBeforeStuffing;
        }
        const bool may_be_marker = position_.row_end == Position::RowEnd::kPrefix;
        if (may_be_marker) status.code = Code::kLinesMissing;
        // The first bit that neither 00 has nor, where it may come, DNL.
        const int n_zeros = std::countl_zero(byte);
        const int n_of_marker =
            may_be_marker ? std::countl_zero(static_cast<uint8_t>(byte ^ marker::kDnl)) : 0;
        status.bit = static_cast<uint8_t>(std::min(7, std::max(n_zeros, n_of_marker)));
        status.limit =
            static_cast<int32_t>(std::min<uint32_t>(position_.interval_left_mcus, INT32_MAX));
    } else {
        // Take the bits that can be taken, then ask what was wrong with the next one.
        JpegCursor at_failure = *this;
        at_failure.observer_ = nullptr;
        uint8_t bit = 0;
        while (bit < 8 && at_failure.take_bit((byte >> (7 - bit)) & 1)) ++bit;
        if (bit == 8) {  // only the pinned bytes object
            status = {.code = Code::kNotInGrammar, .element = position_.at, .value = byte};
        } else {
            status = at_failure.reject_bit((byte >> (7 - bit)) & 1);
            // A number that ends inside this byte is reported whole.
            const int n_bits = at_failure.field_bits();
            if (at_failure.spelling() == Spelling::kNumber &&
                at_failure.position_.at != Element::kDcBits) {
                const int n_left = n_bits - at_failure.position_.n_partial;
                const int available = std::min(n_left, 8 - bit);
                const uint32_t rest = (byte >> (8 - bit - available)) & ((1u << available) - 1);
                const uint32_t value = ((at_failure.position_.partial << available) | rest)
                                       << (n_left - available);
                status = at_failure.why_not(value);
            }
            status.bit = bit;
        }
    }
    status.byte = position_.offset;
    return status;
}

namespace {

/// Collects into `set` every byte whose bits the cursor takes, walking the tree of its bits.
void collect(const JpegCursor& cursor, unsigned prefix, int n_bits, ByteSet& set) {
    for (unsigned bit = 0; bit < 2; ++bit) {
        JpegCursor next = cursor;
        if (!next.take_bit(bit != 0)) continue;
        const unsigned value = (prefix << 1) | bit;
        if (n_bits == 7) {
            set.insert(static_cast<uint8_t>(value));
        } else {
            collect(next, value, n_bits + 1, set);
        }
    }
}

}  // namespace

ByteSet JpegCursor::allowed() const {
    ByteSet set;
    if (position_.stuffing_due && position_.row_end != Position::RowEnd::kPrefix) {
        set.insert(0);
    } else if (is_complete()) {
        return set;
    } else if (grammar_->is_pinned() && !position_.in_scan) {
        set.insert(ending_byte());
    } else if (is_in_open_scan()) {
        for (unsigned byte = 0; byte < 256; ++byte) {
            if (JpegCursor(*this).accept(static_cast<uint8_t>(byte))) {
                set.insert(static_cast<uint8_t>(byte));
            }
        }
    } else {
        JpegCursor start = *this;
        start.observer_ = nullptr;
        collect(start, 0, 0, set);
    }
    return set;
}

}  // namespace pycodec_lm::jpeg
