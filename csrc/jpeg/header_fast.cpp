// Table contents, text and scan headers taken whole: twin of the cursor's field by field walk
// (legal.cpp, stream.cpp). It only ever says yes; what is not in order, and all that is rare, is
// left to the fields.
#include <algorithm>

#include "jpeg/cursor.hpp"

namespace pycodec_lm::jpeg {
namespace {

/// T.81 C.2: the codes fit, and the one of all 1-bits is free.
bool is_code(std::span<const uint8_t, 16> bits) {
    uint32_t next_code = 0;
    for (size_t i = 0; i < bits.size(); ++i) {
        const uint32_t all_ones = (1u << (i + 1)) - 1;
        next_code += bits[i];
        if (next_code > all_ones) return false;
        next_code <<= 1;
    }
    return true;
}

}  // namespace

size_t JpegCursor::accept_contents(const uint8_t* data, size_t n_bytes) {
    Position& p = position_;
    if (n_bytes == 0 || !grammar_->has_free_contents()) return 0;
    if (p.at == Element::kMarker) return accept_segment_start(data, n_bytes);
    const bool is_text = p.at == Element::kApi || p.at == Element::kCmi;
    const bool is_table_start = p.index == 0 && (p.at == Element::kQk || p.at == Element::kLi);
    if (!is_text && !is_table_start) return 0;
    if (is_text) {
        n_bytes = std::min<size_t>(n_bytes, p.segment_left);
        p.index = 1;
        p.segment_left = static_cast<uint16_t>(p.segment_left - n_bytes);
        if (p.segment_left == 0) expect_marker();
    } else if (p.at == Element::kQk) {
        n_bytes = take_quantization_table(data, n_bytes);
    } else {
        n_bytes = take_huffman_table(data, n_bytes);
    }
    p.offset += n_bytes;
    return n_bytes;
}

/// T.81 B.2.1: a marker that needs no look at what scans there may still be, or that of a scan with
/// its header.
size_t JpegCursor::accept_segment_start(const uint8_t* data, size_t n_bytes) {
    const Header& h = *header_;
    const bool are_lines_due = is_after_first_scan() && h.frame.lines_due;
    if (position_.restart_due || are_lines_due || h.is_finished()) return 0;
    const uint8_t code = data[0];
    size_t n_taken = 1;
    if (code == marker::kSos) {
        n_taken += take_scan_header(data + 1, n_bytes - 1);
        if (n_taken == 1) return 0;
    } else if (code == marker::kDht || code == marker::kDqt || marker::is_application(code)) {
        take_marker(code);
    } else {
        return 0;
    }
    position_.offset += n_taken;
    return n_taken;
}

/// T.81 B.2.3, Figure B.4. A header that is legal as a whole is legal field by field.
size_t JpegCursor::take_scan_header(const uint8_t* data, size_t n_bytes) {
    const Frame& frame = header_->frame;
    const JpegGrammar& g = *grammar_;
    const uint16_t ri = header_->restart_interval_mcus;
    if (n_bytes < 3 || g.restart_interval_mcus.value_or(ri) != ri) return 0;
    const uint8_t n = data[2];                // Ns
    const size_t length = 6 + 2 * size_t{n};  // Ls
    if (n == 0 || n > frame.n_components || n_bytes < length) return 0;
    if (data[0] != 0 || data[1] != length) return 0;
    ScanChoice choice{.n_components = n, .n_known = n};
    const uint8_t* at = data + 3;
    size_t next = 0;
    for (size_t j = 0; j < n; ++j, at += 2) {
        while (next < frame.n_components && frame.components[next].identifier != at[0]) ++next;
        const uint8_t dc_slot = at[1] >> 4;
        const uint8_t ac_slot = at[1] & 15;
        if (next == frame.n_components || std::max(dc_slot, ac_slot) >= frame.n_huffman_slots())
            return 0;
        choice.components[j] = {static_cast<uint8_t>(next++), dc_slot, ac_slot};
    }
    choice.ss = at[0];
    choice.se = at[1];
    choice.ah = static_cast<uint8_t>(at[2] >> 4);
    choice.al = static_cast<uint8_t>(at[2] & 15);
    if (!ScanScript(*header_, g.portable).allows(choice)) return 0;
    for (size_t j = 0; j < n; ++j) {
        const ScanChoice::Component& c = choice.components[j];
        ScanComponent& component = segment_.scan_components[j];
        component.frame_index = c.frame_index;
        component.dc_slot = *c.dc_slot;
        component.ac_slot = *c.ac_slot;
    }
    segment_.scan = {*choice.ss, *choice.se, *choice.ah, *choice.al, g.portable};
    position_.marker = marker::kSos;
    position_.n_scan_components = n;
    position_.index = n;
    begin_scan();
    return length;
}

size_t JpegCursor::take_quantization_table(const uint8_t* data, size_t n_bytes) {
    Position& p = position_;
    if (p.precision_bits != 8 || n_bytes < kBlockSize) return 0;
    if (std::find(data, data + kBlockSize, 0) != data + kBlockSize) return 0;
    p.index = kBlockSize - 1;
    p.segment_left = static_cast<uint16_t>(p.segment_left - (kBlockSize - 1));
    take(data[kBlockSize - 1]);
    return kBlockSize;
}

size_t JpegCursor::take_huffman_table(const uint8_t* data, size_t n_bytes) {
    Position& p = position_;
    constexpr size_t kLengths = 16;
    if (n_bytes < kLengths) return 0;
    const std::span<const uint8_t, kLengths> bits(data, kLengths);
    size_t n_codes = 0;
    for (const uint8_t n : bits) n_codes += n;
    if (n_codes > segment_.values.size() || n_codes > p.segment_left ||
        n_bytes < kLengths + n_codes) {
        return 0;
    }
    const size_t rest = p.segment_left - n_codes;
    if ((rest > 0 && rest < smallest_table_bytes()) || !is_code(bits)) return 0;
    const auto values = std::span(data + kLengths, n_codes);
    if (p.table_class == 0 &&
        std::any_of(values.begin(), values.end(), [](uint8_t v) { return v > kMaxDcSymbol; })) {
        return 0;
    }
    std::copy(bits.begin(), bits.end(), segment_.bits.begin());
    std::copy(values.begin(), values.end(), segment_.values.begin());
    p.n_codes = static_cast<uint16_t>(n_codes);
    p.segment_left = static_cast<uint16_t>(rest);
    end_huffman_table();
    return kLengths + n_codes;
}

}  // namespace pycodec_lm::jpeg
