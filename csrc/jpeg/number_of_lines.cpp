// Pictures whose height comes after their first scan, in a DNL segment: T.81 B.2.5.
//
// Such a scan is open: it may end behind any row of MCUs. Whether it does shows two bytes later,
// when FF is followed by DC and not by 00; until then the cursor goes on with the next row and
// remembers that the scan may have ended. No second row can end before that is decided: no code is
// made of 1-bits only, so neither is an MCU, and padding and the marker's prefix are.
#include <algorithm>

#include "jpeg/cursor.hpp"
#include "jpeg/markers.hpp"

namespace pycodec_lm::jpeg {

bool JpegCursor::is_row_end() const {
    return plan().is_open() && position_.mcu % plan().mcus_wide() == 0;
}

/// Where a DNL segment may stand.
bool JpegCursor::is_after_first_scan() const {
    return header_->n_scans == 1 && position_.marker == marker::kSos && !position_.in_scan;
}

/// After the scan nothing but EOI can come, or pinned bytes.
bool JpegCursor::only_end_follows() const {
    if (!header_->is_finished() || header_->frame.lines_due) return false;
    return grammar_->portable || grammar_->is_pinned() || header_->n_scans > 1;
}

/// An MCU of an open scan has ended.
void JpegCursor::note_row_end() {
    Position& p = position_;
    if (!is_row_end()) return;
    p.row_end = p.bit == 0 ? Position::RowEnd::kPadded : Position::RowEnd::kInByte;
    p.row_end_bit = p.bit;
    p.row_end_mcu = p.mcu;
}

/// The reading in which the scan ended behind the last row.
void JpegCursor::end_open_scan() {
    Position& p = position_;
    if (p.row_end != Position::RowEnd::kNone) p.mcu = p.row_end_mcu;
    p.row_end = Position::RowEnd::kNone;
    p.leave_block();
    p.restart_due = false;
    p.in_scan = false;
    ++p.pinned_chunk;
    p.pinned_index = 0;
    expect_marker();
}

bool JpegCursor::accept_in_open_scan(uint8_t byte) {
    using RowEnd = Position::RowEnd;
    Position& p = position_;
    if (p.stuffing_due) {
        if (p.row_end == RowEnd::kPrefix && byte != 0) {
            if (byte != marker::kDnl && byte != marker::kPrefix) return false;
            end_open_scan();
            expect(Element::kMarker);
            return accept_ordinary(byte);
        }
        if (byte == 0 && p.row_end == RowEnd::kPrefix) p.row_end = RowEnd::kNone;
        return accept_ordinary(byte);
    }
    const Position before = p;
    const bool may_be_prefix = p.row_end == RowEnd::kPadded && byte == marker::kPrefix;
    p.row_end = RowEnd::kNone;
    if (accept_ordinary(byte)) {
        if (p.row_end == RowEnd::kInByte) {
            const unsigned padding = 0xFFu >> p.row_end_bit;
            p.row_end = (byte & padding) == padding ? RowEnd::kPadded : RowEnd::kNone;
        }
        if (may_be_prefix) {
            p.row_end = RowEnd::kPrefix;
            p.row_end_mcu = before.row_end_mcu;
        }
        return true;
    }
    p = before;
    if (!may_be_prefix) return accept_padding_of_row(byte);
    end_open_scan();
    return accept_ordinary(byte);
}

/// A byte that the next row cannot start with may still end the last one.
bool JpegCursor::accept_padding_of_row(uint8_t byte) {
    const Position before = position_;
    Position& p = position_;
    p.row_end = Position::RowEnd::kNone;
    int n_taken = 0;
    while (n_taken < 8 && take_bit((byte >> (7 - n_taken)) & 1)) ++n_taken;
    const unsigned padding = 0xFFu >> p.row_end_bit;
    if (p.row_end != Position::RowEnd::kInByte || (byte & padding) != padding) {
        p = before;
        return false;
    }
    end_open_scan();
    ++p.offset;
    p.stuffing_due = byte == marker::kPrefix;
    return true;
}

/// The shortest known ending goes to the end of the row.
uint8_t JpegCursor::ending_byte_in_open_scan() const {
    using RowEnd = Position::RowEnd;
    const Position& p = position_;
    if (p.row_end == RowEnd::kPrefix) return marker::kDnl;
    if (p.stuffing_due) return 0;
    if (p.row_end == RowEnd::kPadded) return marker::kPrefix;
    JpegCursor cursor = *this;
    cursor.observer_ = nullptr;
    unsigned byte = 0;
    for (int n_left = 8; n_left > 0;) {
        if (cursor.position_.row_end == RowEnd::kInByte)
            return static_cast<uint8_t>((byte << n_left) | ((1u << n_left) - 1));
        const Bits field = cursor.ending_field();
        const int n = std::min(n_left, field.n);
        const unsigned value = field.value >> (field.n - n);
        cursor.take_legal(value, n);
        byte = (byte << n) | value;
        n_left -= n;
    }
    return static_cast<uint8_t>(byte);
}

/// NL: a height with as many rows of MCUs as the first scan had.
ValueSet JpegCursor::legal_lines() const {
    const Frame& frame = header_->frame;
    if (!frame.is_open()) return ValueSet::only(frame.height_px);
    const auto n_rows = position_.mcu / plan().mcus_wide();
    const auto rows_of = [&](uint32_t lines) {
        const auto v_max = static_cast<uint32_t>(frame.max_vertical_sampling());
        if (plan().n_components() > 1) return divide_up(lines, kBlockSide * v_max);
        const auto only = frame.components[plan().component(0).frame_index].vertical_sampling;
        return divide_up(divide_up(lines * uint32_t{only}, v_max), kBlockSide);
    };
    // Rows grow with lines: the first height of these rows, and the last.
    const auto first_with = [&](uint32_t rows) {
        uint32_t low = 1;
        uint32_t high = kMaxLines + 1;
        while (low < high) {
            const uint32_t middle = (low + high) / 2;
            if (rows_of(middle) >= rows) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        return low;
    };
    return {first_with(n_rows), first_with(n_rows + 1) - 1};
}

}  // namespace pycodec_lm::jpeg
