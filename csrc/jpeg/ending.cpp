// The shortest known valid ending: the cheapest legal value, field by field, where "cheapest" is a
// fixed function of the state, so that an ending goes on as it began. Whole scans are not written
// out to be measured: ScanPlan knows the length of any number of cheapest MCUs.
#include <algorithm>
#include <limits>

#include "jpeg/band_ending.hpp"
#include "jpeg/cursor.hpp"
#include "jpeg/markers.hpp"

namespace pycodec_lm::jpeg {
namespace {

constexpr uint64_t kSmallTableBytes = 18;  // Tc, Th, sixteen Li and one symbol

}  // namespace

/// What the ending would like the field to be; where that is not legal any more it takes the lowest
/// legal value.
uint32_t JpegCursor::preferred_value() const {
    const Header& h = *header_;
    const Position& p = position_;
    switch (p.at) {
        case Element::kSoi:
            return p.index == 0 ? marker::kPrefix : marker::kSoi;
        case Element::kMarker:
            return preferred_marker();
        case Element::kY:  // 0 would leave it to a DNL segment
            return 1;
        case Element::kTqi:  // a table that exists needs not be sent
            for (uint32_t slot = 0; slot < kTableSlots; ++slot) {
                if (h.tables.quantization_bits[slot] == 8) return slot;
            }
            return 0;
        case Element::kLs: {  // all that is left in one scan, if one scan can hold it
            uint32_t n_left = 0;
            for (int i = 0; i < h.frame.n_components; ++i) n_left += h.is_coded(i) ? 0 : 1;
            return 6 + 2 * n_left;
        }
        case Element::kTq:  // the first that is missing
            for (uint32_t i = 0; i < h.frame.n_components; ++i) {
                if (!h.is_coded(static_cast<int>(i)) && !h.is_ready(static_cast<int>(i))) {
                    return h.frame.components[i].quantization_slot;
                }
            }
            return 0;
        case Element::kLh: {  // one table of one code
            const auto& tables =
                grammar_->huffman[ScanScript(h).has_usable_table(TableClass::kDc) ? 1 : 0];
            for (const auto& table : tables) {
                if (table) return static_cast<uint32_t>(19 + table->leaves().size());
            }
            return 20;
        }
        case Element::kTc:
            return ScanScript(h).has_usable_table(TableClass::kDc) ? 1 : 0;
        case Element::kLi:  // one code of one bit: category 0, or end of block
            return p.index == 0 ? 1 : 0;
        case Element::kDcBits:
            return plan().cheapest_dc_bits(p.symbol, predictor());
        case Element::kEobBits:
            return preferred_run_bits();
        default:
            return 0;
    }
}

uint8_t JpegCursor::preferred_marker() const {
    const Header& h = *header_;
    if (position_.restart_due) {
        if (is_row_end()) return marker::kDnl;
        return static_cast<uint8_t>(marker::kRst0 + position_.restart_number);
    }
    if (is_after_first_scan() && h.frame.lines_due) return marker::kDnl;
    if (h.is_fully_coded()) return marker::kEoi;
    if (!h.frame.is_present()) {
        return grammar_->abbreviated ? marker::kEoi : grammar_->sof.value_or(marker::kSof0);
    }
    // All components get their tables first, so that one scan can hold them.
    for (int i = 0; i < h.frame.n_components; ++i) {
        if (!h.is_coded(i) && !h.is_ready(i)) return marker::kDqt;
    }
    const ScanScript script(h);
    if (!script.has_usable_table(TableClass::kDc)) return marker::kDht;
    if (!h.frame.is_progressive() && !script.has_usable_table(TableClass::kAc)) return marker::kDht;
    return legal_markers().contains(marker::kSos) ? marker::kSos : marker::kDri;
}

JpegCursor::Bits JpegCursor::ending_field() const {
    const Position& p = position_;
    switch (spelling()) {
        case Spelling::kPadding:
            return {(1u << (8 - p.bit)) - 1, 8 - p.bit};
        case Spelling::kHuffman: {
            const auto& leaf = huffman_table().leaf(cheapest_leaf());
            const int n = leaf.length_bits - p.n_partial;
            return {leaf.code & ((1u << n) - 1), n};
        }
        case Spelling::kNumber:
            break;
    }
    const int n = field_bits() - p.n_partial;
    return {ending_value() & ((1u << n) - 1), n};
}

/// Of a code: the leaf that the ending goes to.
size_t JpegCursor::cheapest_leaf() const {
    if (position_.in_band) return cheapest_band_leaf();
    return huffman_table().cheapest_leaf(position_.node, position_.k);
}

/// Of a number: the value that the ending gives it.
uint32_t JpegCursor::ending_value() const {
    const Position& p = position_;
    const int n_left = field_bits() - p.n_partial;
    const uint32_t first = p.partial << n_left;
    if (p.at == Element::kAcBits) return first;
    const uint32_t last = first | ((1u << n_left) - 1);
    const ValueSet values = legal();
    const uint32_t value = preferred_value();
    if (value >= first && value <= last && values.contains(value)) return value;
    return values.lowest_in(first, last).value();
}

uint8_t JpegCursor::ending_byte() const {
    JpegCursor cursor = *this;
    cursor.observer_ = nullptr;
    return cursor.take_ending_byte();
}

/// accept(ending_byte()), without a copy.
uint8_t JpegCursor::take_ending_byte() {
    if (is_in_open_scan()) {
        const uint8_t byte = ending_byte_in_open_scan();
        accept(byte);
        return byte;
    }
    const bool is_fixed = position_.stuffing_due || (grammar_->is_pinned() && !position_.in_scan);
    if (is_fixed) {
        const uint8_t byte = position_.stuffing_due
                                 ? 0
                                 : grammar_->pinned[position_.pinned_chunk][position_.pinned_index];
        accept(byte);
        return byte;
    }
    const bool was_in_scan = position_.in_scan;
    const bool was_restart_due = position_.restart_due;
    unsigned bits = 0;
    for (int n_left = 8; n_left > 0;) {
        const Bits field = ending_field();
        const int n = std::min(n_left, field.n);
        const unsigned value = field.value >> (field.n - n);
        take_legal(value, n);
        bits = (bits << n) | value;
        n_left -= n;
    }
    const auto byte = static_cast<uint8_t>(bits);
    end_byte(byte, was_in_scan, was_restart_due);
    return byte;
}

void JpegCursor::complete(std::vector<uint8_t>& out, uint64_t limit) const {
    JpegCursor cursor = *this;
    cursor.observer_ = nullptr;
    for (uint64_t n = 0; n < limit && !cursor.is_complete(); ++n) {
        out.push_back(cursor.take_ending_byte());
    }
}

/// Takes a run of bytes of the ending that all are the same field, where it stands before one:
/// returns how many, 0 where there is no such run.
uint64_t JpegCursor::skip_run() {
    Position& p = position_;
    if (p.n_partial != 0) return 0;
    uint64_t n_bytes = 0;
    switch (p.at) {
        case Element::kCmi:
        case Element::kApi:
            n_bytes = p.segment_left;
            p.segment_left = 0;
            expect_marker();
            return n_bytes;
        case Element::kQk: {
            const int n_left = kBlockSize - p.index;
            const int element_bytes = p.precision_bits / 8;
            p.index = kBlockSize - 1;
            p.segment_left = static_cast<uint16_t>(p.segment_left - (n_left - 1) * element_bytes);
            take(1);
            return static_cast<uint64_t>(n_left * element_bytes);
        }
        case Element::kTc: {
            // A long DHT segment ends in table after table of one code in AC slot 0; once such a
            // one is there, more of them change nothing.
            const HuffmanTable* last = header_->tables.find(TableClass::kAc, 0);
            if (grammar_->fixes_huffman() ||
                !ScanScript(*header_).has_usable_table(TableClass::kDc) || last == nullptr ||
                last->leaves().size() != 1 || last->leaf(0).length_bits != 1 ||
                last->leaf(0).symbol != kEndOfBlock || p.segment_left < 3 * kSmallTableBytes) {
                return 0;
            }
            n_bytes = (p.segment_left / kSmallTableBytes - 2) * kSmallTableBytes;
            p.segment_left = static_cast<uint16_t>(p.segment_left - n_bytes);
            return n_bytes;
        }
        case Element::kVij:
            while (p.at == Element::kVij && p.index + 1 < p.n_codes) {
                take(legal().lowest_in(0, 255).value());
                ++n_bytes;
            }
            take(legal().lowest_in(0, 255).value());
            return n_bytes + 1;
        default:
            return 0;
    }
}

uint64_t JpegCursor::bytes_to_complete() const {
    if (grammar_->is_pinned() && !position_.in_scan && position_.pinned_chunk == 0) {
        return bytes_left_of_chunk() + grammar_->bytes_after_first_chunk.get([this] {
            JpegCursor cursor = *this;
            cursor.observer_ = nullptr;
            for (size_t n = bytes_left_of_chunk(); n > 0; --n) cursor.take_ending_byte();
            return cursor.is_complete() ? 0 : cursor.bytes_to_complete();
        });
    }
    JpegCursor cursor = *this;
    cursor.observer_ = nullptr;
    Position& p = cursor.position_;
    uint64_t n_bytes = 0;
    const bool pinned = grammar_->is_pinned();
    while (!cursor.is_complete()) {
        if (p.in_scan && !p.restart_due && !p.stuffing_due && !cursor.is_in_open_scan())
            return n_bytes + cursor.scan_ending_bytes();
        if (!pinned && !p.in_scan && !p.stuffing_due) {
            // After FF, one byte of the marker is there; fill bytes are not part of an ending.
            const bool has_prefix = p.at == Element::kMarker;
            if (p.at == Element::kMarkerPrefix || has_prefix) {
                cursor.expect_marker();
                return n_bytes + cursor.bytes_from_marker() - (has_prefix ? 1 : 0);
            }
            if (const uint64_t n = cursor.skip_run(); n > 0) {
                n_bytes += n;
                continue;
            }
        }
        cursor.take_ending_byte();
        ++n_bytes;
    }
    return n_bytes;
}

size_t JpegCursor::bytes_left_of_chunk() const {
    return grammar_->pinned[position_.pinned_chunk].size() - position_.pinned_index;
}

/// From where a marker is due outside a scan; what the bytes so far were does not matter.
uint64_t JpegCursor::bytes_from_marker() const {
    return header_->bytes_from_marker([this] {
        JpegCursor cursor = *this;
        uint64_t n_bytes = 0;
        do {
            cursor.take_ending_byte();
            ++n_bytes;
        } while (cursor.position_.at == Element::kMarker);
        return n_bytes + cursor.bytes_to_complete();
    });
}

JpegCursor JpegCursor::at_scan_end() const {
    JpegCursor cursor = *this;
    Position& p = cursor.position_;
    cursor.observer_ = nullptr;
    p.leave_block();
    p.mcu = plan().n_mcus();
    cursor.end_interval();
    return cursor;
}

uint64_t JpegCursor::bytes_after_scan() const {
    return plan().bytes_after_scan([this] { return at_scan_end().bytes_to_complete(); });
}

/// From a byte boundary inside an interval to the end of the file.
uint64_t JpegCursor::scan_ending_bytes() const {
    if (position_.in_band) return band_scan_ending_bytes();
    return sequential_scan_bytes() + bytes_after_scan();
}

/// From a byte boundary inside an interval of a scan that codes no bands to the scan's end.
uint64_t JpegCursor::sequential_scan_bytes() const {
    const ScanPlan& plan = this->plan();
    JpegCursor cursor = *this;
    BytePhase phase;
    uint64_t n_bits = 0;
    uint64_t n_stuffed = 0;
    Position& p = cursor.position_;
    // Bit by bit to the end of the MCU, unless one starts here.
    const uint32_t mcu = p.mcu;
    const bool at_start = p.at == Element::kDcCode && p.block == 0 && p.n_partial == 0;
    if (!at_start) {
        while (p.at != Element::kPadding && p.mcu == mcu) {
            const Bits field = cursor.ending_field();
            cursor.take_legal(field.value, field.n);
            for (int i = field.n - 1; i >= 0; --i) {
                n_stuffed += phase.add((field.value >> i) & 1);
            }
            n_bits += static_cast<uint64_t>(field.n);
        }
    }
    uint32_t next_interval = p.mcu;
    if (p.in_scan && !p.restart_due && p.at != Element::kPadding) {
        n_stuffed += plan.stuffed_bytes(p.interval_left_mcus, p.predictors, phase);
        n_bits += uint64_t{p.interval_left_mcus} * plan.cheapest_mcu_bits();
        next_interval += p.interval_left_mcus;
    }
    while (phase.n_bits != 0) {
        n_stuffed += phase.add(true);
        ++n_bits;
    }
    return n_bits / 8 + n_stuffed + plan.later_intervals_bytes(next_interval);
}

}  // namespace pycodec_lm::jpeg
