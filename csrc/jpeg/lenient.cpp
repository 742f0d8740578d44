#include "jpeg/lenient.hpp"

#include "jpeg/markers.hpp"

namespace pycodec_lm::jpeg {

bool LenientReader::take(JpegCursor& cursor, uint8_t byte, const Status& refusal) {
    JpegCursor::Position& p = cursor.position_;
    switch (refusal.code) {
        case Code::kFillBeforeStuffing:  // decoders take FF FF 00 for FF 00
            break;
        case Code::kEntropyDataAfterInterval:
            if (p.restart_due) return false;
            break;
        case Code::kUnexpectedMarker:
        case Code::kRestartUnexpected:
        case Code::kScanMissing:
            if (p.at != Element::kMarker || p.stuffing_due || !take_marker(cursor, byte))
                return false;
            break;
        case Code::kQuantizationTablePrecision: {
            auto header = std::make_shared<Header>(*cursor.header_);
            header->tables.quantization_bits[static_cast<size_t>(refusal.limit)] = 8;
            cursor.header_ = std::move(header);
            note(refusal);
            return cursor.accept(byte);
        }
        case Code::kPaddingBit:
        case Code::kDcRange:
        case Code::kDcCategory:
        case Code::kAcSize:
        case Code::kAcZrlPastEnd:
        case Code::kAcSymbolReserved:
            return take_byte_of_scan(cursor, byte);
        default:
            return false;
    }
    note(refusal);
    ++p.offset;
    return true;
}

/// A marker, with its segment, that says nothing where it stands.
bool LenientReader::take_marker(JpegCursor& cursor, uint8_t code) {
    const Header& header = *cursor.header_;
    JpegCursor::Position& p = cursor.position_;
    if (p.restart_due || header.frame.lines_due) return false;
    if (code == marker::kEoi && header.n_scans > 0) {
        cursor.expect(Element::kEnd);
        return true;
    }
    if (marker::is_restart(code) || (code == 0 && header.is_finished())) {
        cursor.expect_marker();
        return true;
    }
    const bool is_late = header.is_finished() &&
                         (code == marker::kCom || code == marker::kDht || code == marker::kDqt ||
                          code == marker::kDri || marker::is_application(code));
    if (!is_late && code != marker::kDnl) return false;
    cursor.expect(Element::kLp);
    return true;
}

bool LenientReader::take_byte_of_scan(JpegCursor& cursor, uint8_t byte) {
    const JpegCursor before = cursor;
    const bool was_in_code = in_code_;
    std::vector<Note> notes_before = notes_;
    const bool was_in_scan = cursor.in_scan();
    const bool was_restart_due = cursor.is_restart_due();
    for (uint8_t i = 0; i < 8; ++i) {
        const bool bit = (byte >> (7 - i)) & 1;
        if (!in_code_ && cursor.take_bit(bit)) continue;
        Status why;
        if (!in_code_) {
            why = cursor.reject_bit(bit);
            why.byte = cursor.offset();
            why.bit = i;
            note(why);
        }
        if (take_bit(cursor, bit, why.code)) continue;
        cursor = before;
        in_code_ = was_in_code;
        notes_ = std::move(notes_before);
        return false;
    }
    cursor.end_byte(byte, was_in_scan, was_restart_due);
    return true;
}

/// Takes a bit that take_bit() refuses.
bool LenientReader::take_bit(JpegCursor& cursor, bool bit, Code why) {
    JpegCursor::Position& p = cursor.position_;
    switch (why) {
        case Code::kPaddingBit:
            return cursor.take_bit(true);
        case Code::kDcRange:
            p.predictors_are_relative = true;  // their range is not judged before the next restart
            return cursor.take_bit(bit);
        case Code::kDcCategory:
        case Code::kAcSize:
            widen_limits(cursor);
            return cursor.take_bit(bit);
        case Code::kAcZrlPastEnd:
        case Code::kAcSymbolReserved:
            in_code_ = true;
            break;
        default:
            if (!in_code_) return false;
    }
    // To the end of the code, and with it of the block.
    const HuffmanTable& table = cursor.huffman_table();
    const uint16_t child = table.node(p.node).child[bit ? 1 : 0];
    if (child == HuffmanTable::kNoNode) return false;
    p.node = child;
    p.partial = p.partial << 1 | (bit ? 1 : 0);
    ++p.n_partial;
    p.bit = (p.bit + 1) & 7;
    if (!table.node(child).is_leaf) return true;
    in_code_ = false;
    p.node = 0;
    p.partial = 0;
    p.n_partial = 0;
    if (p.in_band) {
        cursor.end_band_block();
    } else {
        cursor.end_block();
    }
    return true;
}

/// Coefficients of 12-bit samples in a scan of 8-bit ones.
void LenientReader::widen_limits(JpegCursor& cursor) {
    auto header = std::make_shared<Header>(*cursor.header_);
    const ScanPlan& plan = *header->scan;
    Header wide = *header;
    wide.frame.precision_bits = 12;
    std::vector<ScanComponent> components;
    for (int i = 0; i < plan.n_components(); ++i) components.push_back(plan.component(i));
    header->scan =
        std::make_shared<const ScanPlan>(wide, std::move(components), plan.parameters(), nullptr);
    cursor.header_ = std::move(header);
}

void LenientReader::note(const Status& status) {
    if (!notes_.empty() && notes_.back().status.code == status.code) {
        ++notes_.back().n_times;
    } else if (notes_.size() < kMaxNotes) {
        notes_.push_back({status});
    }
}

}  // namespace pycodec_lm::jpeg
