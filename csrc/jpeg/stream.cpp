// What happens when a syntax element of the marker segments takes a value: T.81 Annex B, Figures
// B.2 to B.9. Values are legal when they come here; legal.cpp has seen to that.
#include <algorithm>

#include "jpeg/cursor.hpp"
#include "jpeg/markers.hpp"

namespace pycodec_lm::jpeg {

JpegCursor::JpegCursor(std::shared_ptr<const JpegGrammar> grammar) : grammar_(std::move(grammar)) {
    auto header = std::make_shared<Header>();
    header->tables = grammar_->outside;
    header_ = std::move(header);
}

void JpegCursor::expect(Element element) { position_.at = element; }

void JpegCursor::expect_marker() { position_.at = Element::kMarkerPrefix; }

void JpegCursor::take(uint32_t value) {
    Position& p = position_;
    switch (p.at) {
        case Element::kSoi:
            if (value == marker::kSoi) return expect_marker();
            p.index = 1;
            return;
        case Element::kMarkerPrefix:
            return expect(Element::kMarker);
        case Element::kMarker:
            return take_marker(static_cast<uint8_t>(value));
        case Element::kLf:
        case Element::kP:
        case Element::kY:
        case Element::kX:
        case Element::kNf:
        case Element::kCi:
        case Element::kHi:
        case Element::kVi:
        case Element::kTqi:
            return take_frame_field(value);
        case Element::kLs:
        case Element::kNs:
        case Element::kCsj:
        case Element::kTdj:
        case Element::kTaj:
        case Element::kSs:
        case Element::kSe:
        case Element::kAh:
        case Element::kAl:
            return take_scan_header_field(value);
        case Element::kLq:
        case Element::kPq:
        case Element::kTq:
        case Element::kQk:
            return take_quantization_field(value);
        case Element::kLh:
        case Element::kTc:
        case Element::kTh:
        case Element::kLi:
        case Element::kVij:
            return take_huffman_field(value);
        case Element::kLr:
            return expect(Element::kRi);
        case Element::kRi: {
            auto header = std::make_shared<Header>(*header_);
            header->restart_interval_mcus = static_cast<uint16_t>(value);
            header_ = std::move(header);
            return expect_marker();
        }
        case Element::kLd:
            return expect(Element::kNl);
        case Element::kNl: {
            auto header = std::make_shared<Header>(*header_);
            header->frame.height_px = static_cast<uint16_t>(value);
            header->frame.lines_due = false;
            header_ = std::move(header);
            return expect_marker();
        }
        case Element::kLc:
        case Element::kLp:
            p.segment_left = static_cast<uint16_t>(value - 2);
            p.index = 0;
            if (p.segment_left == 0) return expect_marker();
            return expect(p.at == Element::kLc ? Element::kCmi : Element::kApi);
        case Element::kCmi:
        case Element::kApi:
            p.index = 1;
            if (--p.segment_left == 0) expect_marker();
            return;
        case Element::kDcBits:
        case Element::kAcBits:
            return take_amplitude(value);
        case Element::kDcBit:
            return take_dc_bit(value);
        case Element::kEobBits:
            return take_run_bits(value);
        case Element::kCorrectionBit:
            return take_correction_bit(value);
        default:
            return;
    }
}

void JpegCursor::take_marker(uint8_t code) {
    Position& p = position_;
    if (code == marker::kPrefix) return;  // fill byte, B.1.1.2
    if (p.restart_due && code == marker::kDnl) end_open_scan();
    if (p.restart_due) {
        p.restart_due = false;
        p.restart_number = (p.restart_number + 1) & 7;
        p.interval_left_mcus = plan().interval_length_mcus(p.mcu);
        p.predictors = {};
        p.predictors_are_relative = false;  // from here on they are known
        return begin_interval();
    }
    p.marker = code;
    if (marker::is_application(code)) return expect(Element::kLp);
    switch (code) {
        case marker::kEoi:
            return expect(Element::kEnd);
        case marker::kSof0:
        case marker::kSof1:
        case marker::kSof2:
            segment_.frame = {.sof = code};
            return expect(Element::kLf);
        case marker::kSos:
            return expect(Element::kLs);
        case marker::kDqt:
            return expect(Element::kLq);
        case marker::kDht:
            return expect(Element::kLh);
        case marker::kDri:
            return expect(Element::kLr);
        case marker::kDnl:
            return expect(Element::kLd);
        default:
            return expect(Element::kLc);
    }
}

/// T.81 B.2.2, Figure B.3.
void JpegCursor::take_frame_field(uint32_t value) {
    Position& p = position_;
    Frame& frame = segment_.frame;
    Component& component = frame.components[std::min<size_t>(p.index, kMaxComponents - 1)];
    switch (p.at) {
        case Element::kLf:
            frame.n_components = static_cast<uint8_t>((value - 8) / 3);
            return expect(Element::kP);
        case Element::kP:
            frame.precision_bits = static_cast<uint8_t>(value);
            return expect(Element::kY);
        case Element::kY:
            frame.height_px = static_cast<uint16_t>(value);
            frame.lines_due = value == 0;
            if (frame.lines_due) frame.height_px = grammar_->known_lines.value_or(0);
            return expect(Element::kX);
        case Element::kX:
            frame.width_px = static_cast<uint16_t>(value);
            return expect(Element::kNf);
        case Element::kNf:
            p.index = 0;
            return expect(Element::kCi);
        case Element::kCi:
            component.identifier = static_cast<uint8_t>(value);
            return expect(Element::kHi);
        case Element::kHi:
            component.horizontal_sampling = static_cast<uint8_t>(value);
            return expect(Element::kVi);
        case Element::kVi:
            component.vertical_sampling = static_cast<uint8_t>(value);
            return expect(Element::kTqi);
        default: {  // Tqi
            component.quantization_slot = static_cast<uint8_t>(value);
            if (++p.index < frame.n_components) return expect(Element::kCi);
            auto header = std::make_shared<Header>(*header_);
            header->frame = frame;
            header_ = std::move(header);
            return expect_marker();
        }
    }
}

/// T.81 B.2.3, Figure B.4.
void JpegCursor::take_scan_header_field(uint32_t value) {
    Position& p = position_;
    ScanComponent& component =
        segment_.scan_components[std::min<size_t>(p.index, kMaxComponents - 1)];
    switch (p.at) {
        case Element::kLs:
            p.n_scan_components = static_cast<uint8_t>((value - 6) / 2);
            return expect(Element::kNs);
        case Element::kNs:
            p.index = 0;
            return expect(Element::kCsj);
        case Element::kCsj:
            for (uint8_t i = 0; i < header_->frame.n_components; ++i) {
                if (header_->frame.components[i].identifier == value) component.frame_index = i;
            }
            return expect(Element::kTdj);
        case Element::kTdj:
            component.dc_slot = static_cast<uint8_t>(value);
            return expect(Element::kTaj);
        case Element::kTaj:
            component.ac_slot = static_cast<uint8_t>(value);
            if (++p.index < p.n_scan_components) return expect(Element::kCsj);
            return expect(Element::kSs);
        case Element::kSs:
            segment_.scan.ss = static_cast<uint8_t>(value);
            segment_.scan.is_portable = grammar_->portable;
            return expect(Element::kSe);
        case Element::kSe:
            segment_.scan.se = static_cast<uint8_t>(value);
            return expect(Element::kAh);
        case Element::kAh:
            segment_.scan.ah = static_cast<uint8_t>(value);
            return expect(Element::kAl);
        default:  // Al
            segment_.scan.al = static_cast<uint8_t>(value);
            return begin_scan();
    }
}

/// What the last scan said of AC coefficients, for scans that refine them.
void JpegCursor::end_history() {
    HistoryLog& log = position_.history_log;
    if (log.is_empty()) return;
    auto header = std::make_shared<Header>(*header_);
    auto& history = header->histories[plan().component(0).frame_index];
    history = std::make_shared<const CoefficientHistory>(std::move(history), std::move(log));
    header->histories_number = header->serial_number.value();
    header_ = std::move(header);
    log = {};
}

void JpegCursor::begin_scan() {
    Position& p = position_;
    const Header& before = *header_;
    const auto begin = segment_.scan_components.begin();
    std::vector<ScanComponent> components(begin, begin + p.n_scan_components);
    auto header = std::make_shared<Header>(before);
    const ScanParameters& scan = segment_.scan;
    for (const ScanComponent& c : components) {
        auto& accuracy = header->accuracy[c.frame_index];
        std::fill(accuracy.begin() + scan.ss, accuracy.begin() + scan.se + 1, scan.al);
    }
    ++header->n_scans;
    header->scan = std::make_shared<const ScanPlan>(
        before, std::move(components), scan, grammar_->scan_ids.get()
    );
    header_ = std::move(header);
    p.in_scan = true;
    p.mcu = 0;
    p.interval_left_mcus = plan().interval_length_mcus(0);
    p.restart_number = 0;
    p.predictors = {};
    p.in_band = codes_bands(plan().kind());
    p.history_index = 0;
    if (observer_ != nullptr) observer_->begin_scan(plan());
    begin_interval();
}

/// T.81 B.2.4.1, Figure B.6.
void JpegCursor::take_quantization_field(uint32_t value) {
    Position& p = position_;
    switch (p.at) {
        case Element::kLq:
            p.segment_left = static_cast<uint16_t>(value - 2);
            return expect(Element::kPq);
        case Element::kPq:
            p.precision_bits = value == 0 ? 8 : 16;
            return expect(Element::kTq);
        case Element::kTq:
            p.slot = static_cast<uint8_t>(value);
            p.index = 0;
            --p.segment_left;
            return expect(Element::kQk);
        default: {  // Qk
            p.segment_left = static_cast<uint16_t>(p.segment_left - p.precision_bits / 8);
            if (++p.index < kBlockSize) return;
            auto header = std::make_shared<Header>(*header_);
            header->tables.quantization_bits[p.slot] = p.precision_bits;
            header_ = std::move(header);
            return p.segment_left == 0 ? expect_marker() : expect(Element::kPq);
        }
    }
}

/// T.81 B.2.4.2, Figure B.7.
void JpegCursor::take_huffman_field(uint32_t value) {
    Position& p = position_;
    switch (p.at) {
        case Element::kLh:
            p.segment_left = static_cast<uint16_t>(value - 2);
            return expect(Element::kTc);
        case Element::kTc:
            p.table_class = static_cast<uint8_t>(value);
            return expect(Element::kTh);
        case Element::kTh:
            p.slot = static_cast<uint8_t>(value);
            p.index = 0;
            p.n_codes = 0;
            p.next_code = 0;
            // From here on: the symbols of this table and all of later ones.
            p.segment_left = static_cast<uint16_t>(p.segment_left - 17);
            return expect(Element::kLi);
        case Element::kLi:
            segment_.bits[p.index] = static_cast<uint8_t>(value);
            p.n_codes = static_cast<uint16_t>(p.n_codes + value);
            p.next_code = (p.next_code + value) << 1;
            if (++p.index < 16) return;
            p.index = 0;
            if (p.n_codes == 0) return end_huffman_table();
            return expect(Element::kVij);
        default:  // Vi,j
            segment_.values[p.index] = static_cast<uint8_t>(value);
            --p.segment_left;
            if (++p.index < p.n_codes) return;
            return end_huffman_table();
    }
}

void JpegCursor::end_huffman_table() {
    Position& p = position_;
    auto header = std::make_shared<Header>(*header_);
    header->tables.huffman[p.table_class][p.slot] = HuffmanTable::shared(
        static_cast<TableClass>(p.table_class), segment_.bits,
        std::span<const uint8_t>(segment_.values).first(p.n_codes)
    );
    header_ = std::move(header);
    if (p.segment_left == 0) return expect_marker();
    expect(Element::kTc);
}

}  // namespace pycodec_lm::jpeg
