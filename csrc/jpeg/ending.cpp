// The shortest known valid ending: the cheapest legal value, field by field, where "cheapest" is a
// fixed function of the state, so that an ending goes on as it began. Whole scans are not written
// out to be measured: ScanPlan knows the length of any number of cheapest MCUs.
#include <limits>

#include "jpeg/cursor.hpp"
#include "jpeg/markers.hpp"

namespace pycodec_lm::jpeg {

/// What the ending would like the field to be; where that is not legal any more it takes the lowest
/// legal value.
uint32_t JpegCursor::preferred_value() const {
    const Header& h = *header_;
    const Position& p = position_;
    switch (p.at) {
        case Element::kMarker:
            return preferred_marker();
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
            const auto& tables = grammar_->huffman[h.has_usable_table(TableClass::kDc) ? 1 : 0];
            for (const auto& table : tables) {
                if (table) return static_cast<uint32_t>(19 + table->leaves().size());
            }
            return 20;
        }
        case Element::kTc:
            return h.has_usable_table(TableClass::kDc) ? 1 : 0;
        case Element::kLi:  // one code of one bit: category 0, or end of block
            return p.index == 0 ? 1 : 0;
        case Element::kDcBits:
            return ScanPlan::cheapest_dc_bits(p.symbol, predictor());
        default:
            return 0;
    }
}

uint8_t JpegCursor::preferred_marker() const {
    const Header& h = *header_;
    if (position_.restart_due) return static_cast<uint8_t>(marker::kRst0 + position_.restart_number);
    if (h.is_fully_coded()) return marker::kEoi;
    if (!h.frame.is_present()) return grammar_->abbreviated ? marker::kEoi : marker::kSof0;
    // All components get their tables first, so that one scan can hold them.
    for (int i = 0; i < h.frame.n_components; ++i) {
        if (!h.is_coded(i) && !h.is_ready(i)) return marker::kDqt;
    }
    if (!h.has_usable_table(TableClass::kDc) || !h.has_usable_table(TableClass::kAc)) return marker::kDht;
    return legal_markers().contains(marker::kSos) ? marker::kSos : marker::kDri;
}

bool JpegCursor::ending_bit() const {
    const Position& p = position_;
    switch (spelling()) {
        case Spelling::kPadding:
            return true;
        case Spelling::kHuffman: {
            const HuffmanTable& table = huffman_table();
            const auto& leaf = table.leaf(table.cheapest_leaf(p.node, p.k));
            return (leaf.code >> (leaf.length_bits - p.n_partial - 1)) & 1;
        }
        case Spelling::kNumber:
            break;
    }
    if (p.at == Element::kAcBits) return false;
    const int n_left = field_bits() - p.n_partial;
    const uint32_t first = p.partial << n_left;
    const uint32_t last = first | ((1u << n_left) - 1);
    const ValueSet values = legal();
    uint32_t value = preferred_value();
    if (value < first || value > last || !values.contains(value)) {
        value = values.lowest_in(first, last).value();
    }
    return (value >> (n_left - 1)) & 1;
}

uint8_t JpegCursor::ending_byte() const {
    if (position_.stuffing_due) return 0;
    if (grammar_->is_pinned() && !position_.in_scan) {
        return grammar_->pinned[position_.pinned_chunk][position_.pinned_index];
    }
    JpegCursor cursor = *this;
    cursor.observer_ = nullptr;
    unsigned byte = 0;
    for (int i = 0; i < 8; ++i) {
        const bool bit = cursor.ending_bit();
        cursor.take_bit(bit);
        byte = (byte << 1) | (bit ? 1 : 0);
    }
    return static_cast<uint8_t>(byte);
}

void JpegCursor::complete(std::vector<uint8_t>& out, uint64_t limit) const {
    JpegCursor cursor = *this;
    cursor.observer_ = nullptr;
    for (uint64_t n = 0; n < limit && !cursor.is_complete(); ++n) {
        out.push_back(cursor.ending_byte());
        cursor.accept(out.back());
    }
}

uint64_t JpegCursor::bytes_to_complete() const {
    JpegCursor cursor = *this;
    cursor.observer_ = nullptr;
    uint64_t n_bytes = 0;
    while (!cursor.is_complete()) {
        const bool in_interval = cursor.position_.in_scan && !cursor.position_.restart_due;
        if (in_interval && !cursor.position_.stuffing_due) return n_bytes + cursor.scan_ending_bytes();
        cursor.accept(cursor.ending_byte());
        ++n_bytes;
    }
    return n_bytes;
}

JpegCursor JpegCursor::at_scan_end() const {
    JpegCursor cursor = *this;
    Position& p = cursor.position_;
    cursor.observer_ = nullptr;
    p.stuffing_due = false;
    p.bit = 0;
    p.n_partial = 0;
    p.partial = 0;
    p.mcu = plan().n_mcus();
    cursor.end_interval();
    return cursor;
}

uint64_t JpegCursor::bytes_after_scan() const {
    return plan().bytes_after_scan([this] { return at_scan_end().bytes_to_complete(); });
}

/// From a byte boundary inside an interval to the end of the file.
uint64_t JpegCursor::scan_ending_bytes() const {
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
            const bool bit = cursor.ending_bit();
            cursor.take_bit(bit);
            n_stuffed += phase.add(bit);
            ++n_bits;
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
    return n_bits / 8 + n_stuffed + plan.later_intervals_bytes(next_interval) + bytes_after_scan();
}

uint64_t JpegCursor::ending_bound(uint64_t n_bytes) const {
    constexpr uint64_t kUnknown = std::numeric_limits<uint64_t>::max();
    if (is_complete()) return 0;
    if (!position_.in_scan) return kUnknown;
    const ScanPlan& plan = this->plan();
    const uint64_t n_mcus = plan.n_mcus() - position_.mcu;
    // After the scan the header may ask for anything, unless only EOI is left or all is pinned.
    const bool free_after = !header_->is_fully_coded() && !grammar_->is_pinned();
    const uint64_t least_left = n_mcus * plan.cheapest_mcu_bits() / 8;
    if (free_after && least_left < n_bytes + plan.max_mcu_bits() / 8 + 1) return kUnknown;
    const uint64_t n_intervals =
        plan.restart_interval_mcus() == 0 ? 1 : n_mcus / plan.restart_interval_mcus() + 2;
    const uint64_t bits = n_mcus * plan.cheapest_mcu_bits() + plan.max_mcu_bits();
    // Stuffing: what whole MCUs can cause at the worst phases, and every byte of the first one.
    const uint64_t per_interval = plan.restart_interval_mcus() == 0
                                      ? n_mcus
                                      : uint64_t{plan.restart_interval_mcus()};
    const uint64_t n_stuffed = n_intervals * (plan.most_stuffed_bytes(per_interval) + 1) +
                               plan.max_mcu_bits() / 8 + 1;
    constexpr uint64_t kIntervalOverheadBytes = 2 + 1;  // RSTm and padding
    return bits / 8 + 1 + n_stuffed + n_intervals * kIntervalOverheadBytes + 1 + bytes_after_scan();
}

}  // namespace pycodec_lm::jpeg
