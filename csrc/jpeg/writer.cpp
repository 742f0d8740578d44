#include "jpeg/writer.hpp"

namespace pycodec_lm::jpeg {

JpegWriter::JpegWriter(std::shared_ptr<const JpegGrammar> grammar)
    : whole_(std::move(grammar)), ahead_(whole_) {
    write_automatic();
}

void JpegWriter::write_bit(bool bit) {
    ahead_.take_bit(bit);
    pending_ = (pending_ << 1) | (bit ? 1 : 0);
    if (++n_pending_ < 8) return;
    const auto byte = static_cast<uint8_t>(pending_);
    whole_.accept(byte);
    bytes_.push_back(byte);
    if (whole_.is_stuffing_due()) {
        whole_.accept(0);
        bytes_.push_back(0);
    }
    pending_ = 0;
    n_pending_ = 0;
    ahead_ = whole_;
}

void JpegWriter::write_automatic() {
    while (ahead_.element() == Element::kPadding || ahead_.element() == Element::kMarkerPrefix ||
           ahead_.element() == Element::kSoi) {
        const JpegCursor::Bits field = ahead_.ending_field();
        for (int i = field.n - 1; i >= 0; --i) write_bit((field.value >> i) & 1);
    }
}

Status JpegWriter::write(uint32_t value) {
    if (ahead_.is_complete()) {
        return {.code = Code::kAfterEnd, .element = Element::kEnd, .byte = whole_.offset()};
    }
    if (ahead_.spelling() == Spelling::kHuffman) {
        const HuffmanTable& table = ahead_.huffman_table();
        if (!ahead_.is_legal(value)) {
            return {
                .code = Code::kHuffmanCodeInvalid,
                .element = ahead_.element(),
                .value = static_cast<int32_t>(value),
                .byte = whole_.offset(),
            };
        }
        const HuffmanTable::Leaf leaf = table.find(static_cast<uint8_t>(value));
        for (int i = leaf.length_bits - 1; i >= 0; --i) write_bit((leaf.code >> i) & 1);
    } else {
        if (!ahead_.legal().contains(value)) {
            Status status = ahead_.why_not(value);
            status.byte = whole_.offset();
            return status;
        }
        const int n_bits = ahead_.field_bits();
        for (int i = n_bits - 1; i >= 0; --i) write_bit((value >> i) & 1);
    }
    write_automatic();
    return {};
}

void JpegWriter::write_forced() {
    while (!ahead_.is_complete()) {
        const bool pinned = ahead_.grammar().is_pinned() && !ahead_.in_scan();
        if (!pinned && !ahead_.is_restart_due()) return;
        // Both are made of whole bytes, so this starts at a byte boundary.
        const uint8_t byte = whole_.ending_byte();
        for (int i = 7; i >= 0; --i) write_bit((byte >> i) & 1);
        write_automatic();
    }
}

}  // namespace pycodec_lm::jpeg
