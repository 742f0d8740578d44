#include "jpeg/trace.hpp"

#include <algorithm>

namespace pycodec_lm::jpeg {
namespace {

bool is_in_block(Element element) {
    return element >= Element::kDcCode && element <= Element::kCorrectionBit;
}

BitKind kind_of(Element element) {
    switch (element) {
        case Element::kDcCode:
            return BitKind::kDcCode;
        case Element::kDcBits:
        case Element::kDcBit:
            return BitKind::kDcBits;
        case Element::kAcCode:
            return BitKind::kAcCode;
        default:
            return BitKind::kAcBits;
    }
}

bool is_text(Element element) { return element == Element::kCmi || element == Element::kApi; }

bool is_in_table(Element element) {
    return element == Element::kQk || element == Element::kLi || element == Element::kVij;
}

/// Two cursors: `whole_` takes bytes and judges them, `ahead_` takes the same bits one by one and
/// says to which field each belongs. Inside a scan they stay in step, since only `whole_` has to
/// know of stuffing; outside `ahead_` starts each byte anew.
class Tracer {
public:
    Tracer(
        std::shared_ptr<const JpegGrammar> grammar, const uint8_t* data, size_t n_bytes,
        const TraceLimits& limits, uint64_t begin_symbols, uint64_t end_symbols
    )
        : data_(data),
          n_bytes_(n_bytes),
          limits_(limits),
          begin_symbols_(begin_symbols),
          end_symbols_(end_symbols),
          whole_(std::move(grammar)),
          ahead_(whole_) {}

    Trace run() {
        Status status;
        while (status && at_ < n_bytes_ && !whole_.is_complete()) status = take_byte();
        if (is_open_) count_bits();
        trace_.result = {.status = status, .end_offset = whole_.offset()};
        if (status && !whole_.is_complete()) {
            trace_.result.status = {
                .code = Code::kTruncated, .element = whole_.element(), .byte = whole_.offset()
            };
        } else if (status) {
            trace_.result.trailing_bytes = n_bytes_ - whole_.offset();
        }
        trace_.place = whole_.describe();
        trace_.frame = whole_.header().frame;
        return std::move(trace_);
    }

private:
    Status take_byte() {
        if (whole_.is_stuffing_due()) return take_stuffing();
        const bool was_in_scan = whole_.in_scan();
        const bool was_restart_due = whole_.is_restart_due();
        const bool is_traced = was_in_scan || trace_.fields.size() < limits_.n_fields;
        if (is_traced) {
            if (!was_in_scan) ahead_ = whole_;
            take_bits(data_[at_]);
        } else {
            note_left_out();
        }
        const Status status = whole_.push(data_[at_]);
        if (!status) return status;
        ++at_;
        if (was_in_scan) end_scan_byte(was_restart_due);
        if (!was_in_scan && whole_.in_scan()) begin_scan();
        if (!was_in_scan) take_text();
        return status;
    }

    /// A field may go on behind it, and comes after it in the rows.
    Status take_stuffing() {
        const Status status = whole_.push(data_[at_]);
        if (!status) return status;
        keep_symbol({
            .byte = at_,
            .element = static_cast<uint8_t>(Element::kStuffing),
            .n_bits = 8,
            .scan = static_cast<int32_t>(trace_.scans.size()) - 1,
        });
        ++at_;
        ScanTrace& scan = trace_.scans.back();
        ++scan.n_stuffed_bytes;
        scan.end_byte = at_;
        return status;
    }

    /// A field that comes when the rows are full; several of one kind count once.
    void note_left_out() {
        if (whole_.element() != left_out_) ++trace_.n_fields_left_out;
        left_out_ = whole_.element();
    }

    /// A text, as far as it is here: it has no fields to tell apart.
    void take_text() {
        const Element element = whole_.element();
        if (!is_text(element)) return;
        const size_t n = whole_.accept_contents(data_ + at_, n_bytes_ - at_);
        if (n > 0 && trace_.n_fields_left_out == 0) {
            trace_.fields.push_back({
                .byte = at_,
                .element = static_cast<uint8_t>(element),
                .n_bits = static_cast<uint32_t>(8 * n),
                .n_values = static_cast<uint32_t>(n),
                .value = data_[at_],
            });
        }
        at_ += n;
    }

    void take_bits(uint8_t byte) {
        for (uint8_t i = 0; i < 8; ++i) {
            const Element element = ahead_.element();
            if (!is_open_) open(element, i);
            const bool bit = (byte >> (7 - i)) & 1;
            if (!ahead_.take_bit(bit)) return;  // push() says why
            ++field_.n_bits;
            bits_ = (bits_ << 1) | (bit ? 1 : 0);
            if (table_ != nullptr) node_ = table_->node(node_).child[bit ? 1 : 0];
            if (is_field_over(i)) close(i);
        }
    }

    bool is_field_over(uint8_t bit) const {
        if (table_ != nullptr) return table_->node(node_).is_leaf;
        if (static_cast<Element>(field_.element) == Element::kPadding) return bit == 7;
        return field_.n_bits == n_field_bits_;
    }

    void open(Element element, uint8_t bit) {
        is_open_ = true;
        field_ = {.byte = at_, .bit = bit, .element = static_cast<uint8_t>(element)};
        bits_ = 0;
        node_ = 0;
        table_ = nullptr;
        n_field_bits_ = 0;
        if (whole_.in_scan()) field_.scan = static_cast<int32_t>(trace_.scans.size()) - 1;
        if (ahead_.spelling() == Spelling::kHuffman) {
            table_ = &ahead_.huffman_table();
        } else if (ahead_.spelling() == Spelling::kNumber) {
            n_field_bits_ = static_cast<uint32_t>(ahead_.field_bits());
        }
        if (!is_in_block(element)) return;
        const ScanPlan& plan = *trace_.scans.back().plan;
        scan_component_ = plan.component_of_block(ahead_.block());
        field_.mcu = ahead_.mcu();
        field_.block = static_cast<int8_t>(ahead_.block());
        field_.component = static_cast<int8_t>(plan.component(scan_component_).frame_index);
        field_.coefficient = static_cast<int8_t>(ahead_.coefficient_index());
        begin_mcus();
    }

    /// Notes the beginnings of all MCUs up to the one that stands here, and of its interval.
    void begin_mcus() {
        ScanTrace& scan = trace_.scans.back();
        if (is_interval_due_) {
            is_interval_due_ = false;
            is_interval_kept_ = n_kept_ < limits_.n_mcus;
            if (is_interval_kept_) {
                scan.intervals.push_back({
                    .marker_byte = marker_byte_,
                    .first_byte = at_,
                    .end_bit = 8 * uint64_t{at_},
                    .first_mcu = ahead_.mcu(),
                });
            }
        }
        while (n_begun_ <= ahead_.mcu()) {
            ++n_begun_;
            if (n_kept_ >= limits_.n_mcus) continue;
            ++n_kept_;
            scan.mcu_bits.push_back(8 * field_.byte + field_.bit);
            scan.mcu_costs.resize(
                scan.mcu_costs.size() + 2 * static_cast<size_t>(scan.plan->n_components())
            );
        }
    }

    void close(uint8_t bit) {
        count_bits();
        is_open_ = false;
        const auto element = static_cast<Element>(field_.element);
        field_.value = static_cast<int32_t>(bits_);
        if (table_ != nullptr) {
            field_.value = table_->leaf(table_->node(node_).first_leaf).symbol;
        } else if (element == Element::kDcBits || element == Element::kAcBits) {
            field_.value = extend(bits_, static_cast<int>(field_.n_bits));
        }
        if (field_.scan < 0) return keep_field();
        keep_symbol(field_);
        if (!is_in_block(element)) return;
        ScanTrace& scan = trace_.scans.back();
        scan.n_mcus = ahead_.mcu();
        if (is_interval_kept_) scan.intervals.back().end_bit = 8 * uint64_t{at_} + bit + 1u;
    }

    void count_bits() {
        if (field_.scan < 0) return;
        ScanTrace& scan = trace_.scans.back();
        const auto element = static_cast<Element>(field_.element);
        if (element == Element::kPadding) scan.n_padding_bits += field_.n_bits;
        if (!is_in_block(element)) return;
        const auto component = static_cast<size_t>(scan_component_);
        const BitKind kind = kind_of(element);
        scan.bits[component][static_cast<size_t>(kind)] += field_.n_bits;
        const bool is_ac = kind == BitKind::kAcCode || kind == BitKind::kAcBits;
        const size_t row =
            static_cast<size_t>(field_.mcu) * static_cast<size_t>(scan.plan->n_components());
        const size_t index = 2 * (row + component) + (is_ac ? 1 : 0);
        if (index >= scan.mcu_costs.size()) return;
        uint16_t& cost = scan.mcu_costs[index];
        cost = static_cast<uint16_t>(cost + field_.n_bits);
    }

    void keep_field() {
        std::vector<FieldRow>& rows = trace_.fields;
        const auto element = static_cast<Element>(field_.element);
        // A table ends with its last Vi,j or Qk, and the next begins with other fields.
        if (is_in_table(element) && !rows.empty() && rows.back().element == field_.element) {
            rows.back().n_bits += field_.n_bits;
            ++rows.back().n_values;
        } else {
            rows.push_back(field_);
        }
    }

    void keep_symbol(const FieldRow& row) {
        const uint64_t last = row.byte + (row.bit + row.n_bits - 1) / 8;
        if (last < begin_symbols_ || row.byte >= end_symbols_) return;
        if (trace_.symbols.size() < limits_.n_symbols) {
            trace_.symbols.push_back(row);
        } else {
            ++trace_.n_symbols_left_out;
        }
    }

    void begin_scan() {
        ScanTrace& scan = trace_.scans.emplace_back();
        scan.plan = whole_.header().scan;
        scan.first_byte = at_;
        scan.end_byte = at_;
        ahead_ = whole_;
        n_begun_ = 0;
        is_interval_due_ = true;
        is_interval_kept_ = false;
        marker_byte_ = -1;
    }

    void end_scan_byte(bool was_restart_due) {
        ScanTrace& scan = trace_.scans.back();
        scan.end_byte = at_;
        if (was_restart_due) {
            ++scan.n_marker_bytes;
            is_interval_due_ = !whole_.is_restart_due();
            marker_byte_ = static_cast<int64_t>(at_) - 2;
        }
        // Without a height its last bits may have been read as more of it: the data end, or break,
        // before the DNL segment says where the scan ended.
        scan.is_whole = !whole_.in_scan() && !whole_.header().frame.is_open();
    }

    const uint8_t* data_;
    size_t n_bytes_;
    size_t at_ = 0;
    TraceLimits limits_;
    uint64_t begin_symbols_;
    uint64_t end_symbols_;
    JpegCursor whole_;
    JpegCursor ahead_;
    Trace trace_;

    // The field that has begun and not ended.
    bool is_open_ = false;
    FieldRow field_;
    uint32_t bits_ = 0;
    uint32_t n_field_bits_ = 0;  // of a number
    const HuffmanTable* table_ = nullptr;
    uint16_t node_ = 0;
    int scan_component_ = 0;

    Element left_out_ = Element::kNone;
    bool is_interval_due_ = false;
    bool is_interval_kept_ = false;
    int64_t marker_byte_ = -1;
    uint64_t n_begun_ = 0;  // MCUs of this scan
    size_t n_kept_ = 0;     // MCUs of all scans
};

}  // namespace

Trace trace(
    std::shared_ptr<const JpegGrammar> grammar, const uint8_t* data, size_t n_bytes,
    const TraceLimits& limits, uint64_t begin_symbols, uint64_t end_symbols
) {
    grammar = with_known_lines(std::move(grammar), data, n_bytes);
    return Tracer(std::move(grammar), data, n_bytes, limits, begin_symbols, end_symbols).run();
}

}  // namespace pycodec_lm::jpeg
