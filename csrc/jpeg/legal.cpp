// Which values each syntax element may take, and why another may not: T.81 Annex B.
// A value is legal iff some valid file goes on from it.
#include <algorithm>
#include <limits>

#include "jpeg/cursor.hpp"
#include "jpeg/markers.hpp"
#include "jpeg/scan_script.hpp"

namespace pycodec_lm::jpeg {
namespace {

constexpr uint32_t kMaxU16 = 65535;
constexpr uint32_t kMaxPortableSize = 65500;  // libjpeg's JPEG_MAX_DIMENSION
constexpr uint32_t kMinPortableApplicationLength = 8;
constexpr uint32_t kMaxPortableIdentifier = 254;  // ffmpeg refuses 255
// While it probes a file, ffmpeg looks for markers inside DHT and DRI: no FF in the middle of
// these. Past a scan that others follow it also reads over the next marker, and then looks inside
// every segment: no FF before a byte of C0 or more, and no fill bytes that would make it lose more.
constexpr uint32_t kMaxPortableSymbol = 0xFE;
constexpr uint32_t kMaxPortableInterval = 0xFEFF;
constexpr uint32_t kMaxPortableLaterLength = 0xFEFF;
constexpr uint32_t kMaxPortableLaterByte = 0xFE;
constexpr uint32_t kMaxPortableAfterLength = 0xBF;
constexpr uint32_t kMaxPortableLaterWord = 0xBFFF;
constexpr uint32_t kMaxCodes = 256;               // in one Huffman table
constexpr uint32_t kTableHeadBytes = 17;          // Tc, Th and sixteen Li
constexpr uint32_t kQuantizationTableBytes = 65;  // Pq, Tq and 64 Qk of one byte; 129 with two

bool fits_quantization_tables(uint32_t n_bytes) {
    return n_bytes == 0 || ValueSet::sums(kQuantizationTableBytes, 0).contains(n_bytes);
}

}  // namespace

Spelling JpegCursor::spelling() const {
    switch (position_.at) {
        case Element::kDcCode:
        case Element::kAcCode:
            return Spelling::kHuffman;
        case Element::kPadding:
            return Spelling::kPadding;
        default:
            return Spelling::kNumber;
    }
}

int JpegCursor::field_bits() const {
    switch (position_.at) {
        case Element::kLf:
        case Element::kY:
        case Element::kX:
        case Element::kLs:
        case Element::kLq:
        case Element::kLh:
        case Element::kLr:
        case Element::kRi:
        case Element::kLc:
        case Element::kLp:
        case Element::kLd:
        case Element::kNl:
            return 16;
        case Element::kHi:
        case Element::kVi:
        case Element::kTdj:
        case Element::kTaj:
        case Element::kAh:
        case Element::kAl:
        case Element::kPq:
        case Element::kTq:
        case Element::kTc:
        case Element::kTh:
            return 4;
        case Element::kQk:
            return position_.precision_bits;
        case Element::kDcBits:
            return position_.symbol;
        case Element::kAcBits:
            return size_of(position_.symbol);
        case Element::kEobBits:
            return run_of(position_.symbol);
        case Element::kDcBit:
        case Element::kCorrectionBit:
            return 1;
        default:
            return 8;
    }
}

ValueSet JpegCursor::legal() const {
    const JpegGrammar& g = *grammar_;
    const Position& p = position_;
    switch (p.at) {
        case Element::kSoi:
            return legal_start_bytes();
        case Element::kMarkerPrefix:
            return ValueSet::only(marker::kPrefix);
        case Element::kMarker:
            return legal_markers();
        case Element::kLs:
            return legal_scan_lengths();
        case Element::kLf:
        case Element::kLq:
        case Element::kLh:
        case Element::kLr:
        case Element::kLc:
        case Element::kLp:
        case Element::kLd:
            return legal_lengths();
        case Element::kNl:
            return legal_lines();
        case Element::kP: {
            ValueSet set = ValueSet::only(8);
            if (segment_.frame.sof != marker::kSof0 && !g.portable) set.add(12);
            return set;
        }
        case Element::kY:
            if (g.height_px) return ValueSet::only(*g.height_px);
            return {g.portable ? 1u : 0u, g.portable ? kMaxPortableSize : kMaxU16};
        case Element::kX:
            if (g.width_px) return ValueSet::only(*g.width_px);
            return {1, g.portable ? kMaxPortableSize : kMaxU16};
        case Element::kNf:
            return ValueSet::only(segment_.frame.n_components);
        case Element::kCi:
            return legal_component_identifiers();
        case Element::kHi:
            return legal_sampling(true);
        case Element::kVi:
            return legal_sampling(false);
        case Element::kTqi:
            if (g.fixes_quantization()) return ValueSet::only(g.quantization_slot_of(p.index));
            return {0, kTableSlots - 1};
        case Element::kNs:
            return ValueSet::only(p.n_scan_components);
        case Element::kCsj:
        case Element::kTdj:
        case Element::kTaj:
        case Element::kSs:
        case Element::kSe:
        case Element::kAh:
        case Element::kAl:
            return legal_scan_field(g.portable);
        case Element::kPq: {
            ValueSet set;
            if (p.segment_left >= 65 && fits_quantization_tables(p.segment_left - 65u)) set.add(0);
            if (!g.fixes_quantization() && p.segment_left >= 129 &&
                fits_quantization_tables(p.segment_left - 129u)) {
                set.add(1);
            }
            return set;
        }
        case Element::kTq: {
            if (!g.fixes_quantization()) return {0, kTableSlots - 1};
            ValueSet set;
            for (uint32_t slot = 0; slot < kTableSlots; ++slot) {
                if (g.quantization[slot]) set.add(slot);
            }
            return set;
        }
        case Element::kQk:
            if (g.fixes_quantization()) return ValueSet::only((*g.quantization[p.slot])[p.index]);
            if (is_portable_after_scan()) {
                return {1, p.precision_bits == 8 ? kMaxPortableLaterByte : kMaxPortableLaterWord};
            }
            return {1, (1u << p.precision_bits) - 1};
        case Element::kTc:
        case Element::kTh: {
            const auto n_slots = static_cast<uint32_t>(header_->frame.n_huffman_slots());
            if (!g.fixes_huffman()) return {0, p.at == Element::kTc ? 1u : n_slots - 1};
            ValueSet set;
            for (uint32_t c = 0; c < 2; ++c) {
                if (p.at == Element::kTh && c != p.table_class) continue;
                for (uint32_t slot = 0; slot < n_slots; ++slot) {
                    const HuffmanTable* table = g.huffman[c][slot].get();
                    if (table == nullptr) continue;
                    if (table->leaves().size() + kTableHeadBytes != p.segment_left) continue;
                    if (p.at == Element::kTh) {
                        set.add(slot);
                    } else if (!set.contains(c)) {
                        set.add(c);
                    }
                }
            }
            return set;
        }
        case Element::kLi:
            return legal_code_counts();
        case Element::kVij:
            if (g.fixes_huffman()) {
                return ValueSet::only(g.huffman[p.table_class][p.slot]->leaf(p.index).symbol);
            }
            if (p.table_class == 0) return {0, kMaxDcSymbol};
            return {0, g.portable ? kMaxPortableSymbol : 255};
        case Element::kRi:
            if (g.restart_interval_mcus) return ValueSet::only(*g.restart_interval_mcus);
            return {0, g.portable ? kMaxPortableInterval : kMaxU16};
        case Element::kApi:
        case Element::kCmi:
            return legal_text_bytes();
        case Element::kDcBits:
            return legal_dc_bits();
        case Element::kAcBits:
            return {0, (1u << size_of(p.symbol)) - 1};
        case Element::kDcBit:
        case Element::kCorrectionBit:
            return {0, 1};
        case Element::kEobBits:
            return legal_run_bits(run_of(p.symbol));
        default:
            return {};
    }
}

bool JpegCursor::is_legal(uint32_t value) const {
    if (spelling() == Spelling::kHuffman) {
        if (value > 255) return false;
        const HuffmanTable& table = huffman_table();
        const auto symbol = static_cast<uint8_t>(value);
        if (table.find(symbol).length_bits == 0) return false;
        return position_.in_band ? is_legal_in_band(symbol) : table.is_legal(symbol, position_.k);
    }
    return legal().contains(value);
}

/// Contents of APPn and COM segments.
ValueSet JpegCursor::legal_text_bytes() const {
    const Position& p = position_;
    uint32_t highest = 255;
    if (is_portable_after_scan())
        highest = p.index == 0 ? kMaxPortableAfterLength : kMaxPortableLaterByte;
    if (!grammar_->portable || p.index > 0 || p.at == Element::kCmi) return {0, highest};
    // Known signatures (JFIF, Exif, Adobe...) start with a letter; their contents are judged by
    // decoders, so free bytes do not start one.
    ValueSet set(0, 'A' - 1);
    set.add('Z' + 1, 'a' - 1);
    set.add('z' + 1, highest);
    return set;
}

bool JpegCursor::is_portable_after_scan() const {
    return grammar_->portable && header_->n_scans > 0;
}

/// T.81 B.2.1, Figure B.2: what may follow a marker segment, a scan, an interval.
ValueSet JpegCursor::legal_markers() const {
    ValueSet set;
    if (grammar_->allows_fill_bytes() && (position_.restart_due || !is_portable_after_scan()))
        set.add(marker::kPrefix);
    if (position_.restart_due) {
        set.add(uint32_t{marker::kRst0} + position_.restart_number);
        if (is_row_end()) set.add(marker::kDnl);
        return set;
    }
    if (is_after_first_scan()) {
        if (header_->frame.lines_due || !grammar_->portable) set.add(marker::kDnl);
        if (header_->frame.lines_due) return set;
    }
    if (header_->is_fully_coded()) set.add(marker::kEoi);
    if (header_->is_finished()) return set;
    set.add(marker::kDht);
    set.add(marker::kDqt);
    set.add(marker::kDri);
    set.add(marker::kApp0, marker::kApp15);
    set.add(marker::kCom);
    if (!header_->frame.is_present()) {
        for (const uint8_t sof : {marker::kSof0, marker::kSof1, marker::kSof2}) {
            if (grammar_->sof.value_or(sof) == sof) set.add(sof);
        }
        if (grammar_->abbreviated) set.add(marker::kEoi);
    } else if (is_scan_possible()) {
        set.add(marker::kSos);
    }
    return set;
}

bool JpegCursor::is_scan_possible() const {
    const Header& h = *header_;
    if (grammar_->restart_interval_mcus &&
        *grammar_->restart_interval_mcus != h.restart_interval_mcus) {
        return false;
    }
    return h.is_scan_possible(grammar_->portable);
}

/// T.81 B.1.1.4: a length counts itself, not the marker.
ValueSet JpegCursor::legal_lengths() const {
    const JpegGrammar& g = *grammar_;
    const uint32_t longest = is_portable_after_scan() ? kMaxPortableLaterLength : kMaxU16;
    ValueSet set;
    switch (position_.at) {
        case Element::kLf:  // 8 + 3 Nf
            for (uint32_t n = 1; n <= kMaxComponents; ++n) {
                if (!g.sampling.empty() && g.sampling.size() != n) continue;
                if (g.portable && n == 2) continue;
                set.add(8 + 3 * n);
            }
            return set;
        case Element::kLq:
            if (g.fixes_quantization()) return ValueSet::only(2 + kQuantizationTableBytes);
            return ValueSet::sums(kQuantizationTableBytes, 2);
        case Element::kLh:
            if (!g.fixes_huffman()) return {2 + smallest_table_bytes(), longest};
            for (const auto& tables : g.huffman) {
                for (const auto& table : tables) {
                    if (!table) continue;
                    const auto length =
                        static_cast<uint32_t>(2 + kTableHeadBytes + table->leaves().size());
                    if (!set.contains(length)) set.add(length);
                }
            }
            return set;
        case Element::kLr:
        case Element::kLd:
            return ValueSet::only(4);
        case Element::kLp:
            return {g.portable ? kMinPortableApplicationLength : 2, longest};
        default:  // Lc
            return {2, longest};
    }
}

/// The standard lets a table have no code at all; no decoder has a use for one.
uint32_t JpegCursor::smallest_table_bytes() const {
    return kTableHeadBytes + (grammar_->portable ? 1 : 0);
}

/// Li: the codes must fit the code space with the code of all 1-bits left free (T.81 C.2), and the
/// number of codes must be able to reach one that the segment length allows.
ValueSet JpegCursor::legal_code_counts() const {
    const Position& p = position_;
    if (grammar_->fixes_huffman()) {
        return ValueSet::only(grammar_->huffman[p.table_class][p.slot]->bits()[p.index]);
    }
    const auto length = static_cast<uint32_t>(p.index + 1);
    const int32_t n_free = static_cast<int32_t>((1u << length) - 1 - p.next_code);
    const int32_t most = std::min<int32_t>(255, std::max(n_free, 0));
    const auto given = static_cast<int32_t>(p.n_codes);
    const auto left =
        static_cast<int32_t>(p.segment_left);  // symbols of this table, and later tables
    const auto smallest = static_cast<int32_t>(smallest_table_bytes());
    const auto later_lengths = static_cast<int32_t>(16 - length);
    ValueSet set;
    // Another table follows: any number of codes that leaves room for it, and at least the least.
    const int32_t with_more = std::min<int32_t>(left - smallest, kMaxCodes) - given;
    const int32_t least = later_lengths == 0 && grammar_->portable && given == 0 ? 1 : 0;
    const int32_t first_end = std::min(with_more, most);
    if (first_end >= least) set.add(static_cast<uint32_t>(least), static_cast<uint32_t>(first_end));
    // This is the last table: exactly `left` codes. What later lengths can still take shrinks by
    // 2^later_lengths with each code of this length.
    const int32_t missing = left - given;
    if (left > static_cast<int32_t>(kMaxCodes) || missing < 0) return set;
    if (later_lengths == 0) {
        if (missing <= most && missing > first_end) set.add(static_cast<uint32_t>(missing));
        return set;
    }
    const auto capacity_after = [&](int32_t n) {
        const int64_t codes = (int64_t{n_free} + 1 - n) * (int64_t{1} << later_lengths) - 1;
        return std::min<int64_t>(codes, int64_t{255} * later_lengths);
    };
    const int32_t lowest = std::max(0, missing - 255 * later_lengths);
    int32_t highest = std::min(missing, most);
    while (highest >= lowest && capacity_after(highest) < missing - highest) --highest;
    const int32_t from = std::max(lowest, first_end >= least ? first_end + 1 : lowest);
    if (from <= highest) set.add(static_cast<uint32_t>(from), static_cast<uint32_t>(highest));
    return set;
}

/// FF D8, after any number of fill bytes (B.1.1.2).
ValueSet JpegCursor::legal_start_bytes() const {
    ValueSet set;
    const bool has_prefix = position_.index > 0;
    if (has_prefix) set.add(marker::kSoi);
    // Decoders know a JPEG by its first two bytes.
    if (!has_prefix || (grammar_->allows_fill_bytes() && !grammar_->portable)) {
        set.add(marker::kPrefix);
    }
    return set;
}

ValueSet JpegCursor::legal_component_identifiers() const {
    ValueSet set(0, grammar_->portable ? kMaxPortableIdentifier : 255);
    for (size_t i = 0; i < position_.index; ++i)
        set.remove(segment_.frame.components[i].identifier);
    return set;
}

ValueSet JpegCursor::legal_sampling(bool horizontal) const {
    const auto& sampling = grammar_->sampling;
    if (!sampling.empty()) return ValueSet::only(sampling[position_.index][horizontal ? 0 : 1]);
    ValueSet set(1, 4);
    if (!grammar_->portable) return set;
    // Decoders want ratios that are whole numbers.
    for (size_t i = 0; i < position_.index; ++i) {
        const Component& c = segment_.frame.components[i];
        const int factor = horizontal ? c.horizontal_sampling : c.vertical_sampling;
        if (factor == 1) continue;
        ValueSet with_it;
        with_it.add(1);
        if (factor == 3) {
            with_it.add(3);
        } else {
            with_it.add(2);
            with_it.add(4);
        }
        return with_it;
    }
    return set;
}

/// T.81 F.1.2.1, Table F.1: `size` bits spell 2^(size-1)..2^size-1 as they are, and the negative
/// differences below them with a leading 0. The coefficient must stay in its range.
ValueSet JpegCursor::legal_dc_bits() const {
    const int size = position_.symbol;
    const int half = 1 << (size - 1);
    const int all_ones = 2 * half - 1;
    if (position_.predictors_are_relative) return {0, static_cast<uint32_t>(all_ones)};
    const int last_positive = std::min(all_ones, plan().limits().max_dc - predictor());
    const int first_negative = std::max(0, plan().limits().min_dc - predictor() + all_ones);
    ValueSet set;
    if (first_negative < half) {
        set.add(static_cast<uint32_t>(first_negative), static_cast<uint32_t>(half - 1));
    }
    if (last_positive >= half)
        set.add(static_cast<uint32_t>(half), static_cast<uint32_t>(last_positive));
    return set;
}

Code JpegCursor::reject_marker(uint32_t value) const {
    const auto code = static_cast<uint8_t>(value);
    const Header& h = *header_;
    if (!position_.restart_due && is_after_first_scan()) {
        if (h.frame.lines_due && code != 0) return Code::kLinesMissing;
        if (code == marker::kDnl) return Code::kNotInGrammar;
    }
    if (position_.restart_due) {
        return marker::is_restart(code) ? Code::kRestartNumber : Code::kRestartMissing;
    }
    if (marker::is_restart(code)) return Code::kRestartUnexpected;
    if (marker::is_start_of_frame(code)) {
        if (h.frame.is_present()) return Code::kSecondFrame;
        if (code <= marker::kSof2) return Code::kNotInGrammar;
        if (marker::is_arithmetic_frame(code)) return Code::kArithmeticCoding;
        return code >= 0xC5 ? Code::kHierarchical : Code::kProcessUnsupported;
    }
    if (code == marker::kPrefix) return Code::kNotInGrammar;
    if (code == marker::kDac) return Code::kArithmeticCoding;
    if (code == marker::kDhp || code == marker::kExp) return Code::kHierarchical;
    if (code == marker::kJpegLsSof) return Code::kProcessUnsupported;
    if (code == marker::kJpg || (code >= marker::kJpg0 && code <= marker::kJpg13)) {
        return Code::kJpegExtension;
    }
    if (code >= 0x01 && code <= 0xBF) return Code::kReservedMarker;
    if (code == marker::kEoi || code == marker::kSos) {
        if (!h.frame.is_present()) return Code::kFrameMissing;
        if (code == marker::kEoi) return Code::kScanMissing;
        if (!h.is_fully_coded()) return Code::kScanNotReady;
    }
    return Code::kUnexpectedMarker;
}

Status JpegCursor::why_not(uint32_t value) const {
    const Position& p = position_;
    const Header& h = *header_;
    Status status{
        .code = Code::kNotInGrammar, .element = p.at, .value = static_cast<int32_t>(value)
    };
    const auto because = [&status](Code code, int32_t limit = 0) {
        status.code = code;
        status.limit = limit;
        return status;
    };
    switch (p.at) {
        case Element::kSoi:
            return because(Code::kMissingStartOfImage);
        case Element::kMarkerPrefix:
            if (p.restart_due || (p.marker == marker::kSos && h.n_scans > 0)) {
                return because(Code::kEntropyDataAfterInterval);
            }
            return because(Code::kMarkerExpected);
        case Element::kMarker: {
            const Code code = reject_marker(value);
            if (code == Code::kScanNotReady) {
                for (int i = 0; i < h.frame.n_components; ++i) {
                    const Component& c = h.frame.components[static_cast<size_t>(i)];
                    const bool has_table = h.tables.quantization_bits[c.quantization_slot] != 0;
                    if (h.is_coded(i) || h.is_ready(i) || !has_table) continue;
                    status.value = c.identifier;
                    return because(Code::kQuantizationTablePrecision, c.quantization_slot);
                }
            }
            if (code == Code::kRestartNumber || code == Code::kRestartUnexpected) {
                status.value = static_cast<int32_t>(value & 7);
            }
            return because(code, p.restart_number);
        }
        case Element::kLf:
            // Progressive frames have 4 components at most (Table B.2).
            if (value > 20 && (value - 8) % 3 == 0 && segment_.frame.sof != marker::kSof2)
                return because(Code::kComponentCountUnsupported);
            if (value == 14) return status;
            return because(Code::kSegmentLength);
        case Element::kLs:
        case Element::kLq:
        case Element::kLr:
        case Element::kLd:
            return because(Code::kSegmentLength);
        case Element::kNl: {
            const auto most = static_cast<int32_t>(legal_lines().highest());
            return because(Code::kNumberOfLines, most);
        }
        case Element::kLh:
            return value > kMaxPortableLaterLength ? status : because(Code::kSegmentLength);
        case Element::kLc:
        case Element::kLp:
            return value >= 2 ? status : because(Code::kSegmentLength);
        case Element::kP:
        case Element::kNf:
        case Element::kNs:
            return because(Code::kReservedValue);
        case Element::kY:
            return status;
        case Element::kX:
            return value == 0 ? because(Code::kZeroDimension) : status;
        case Element::kCi:
            return value == 255 ? status : because(Code::kComponentRepeated);
        case Element::kHi:
        case Element::kVi:
            return value < 1 || value > 4 ? because(Code::kSamplingFactor) : status;
        case Element::kTqi:
        case Element::kTq:
            return value >= kTableSlots ? because(Code::kReservedValue) : status;
        case Element::kCsj:
        case Element::kTdj:
        case Element::kTaj:
        case Element::kSs:
        case Element::kSe:
        case Element::kAh:
        case Element::kAl:
            return why_not_scan_field(value, status);
        case Element::kPq:
            return because(value > 1 ? Code::kReservedValue : Code::kSegmentLength);
        case Element::kQk:
            return value == 0 ? because(Code::kZeroQuantizer) : status;
        case Element::kTc:
            return value > 1 ? because(Code::kReservedValue) : status;
        case Element::kTh: {
            const auto n_slots = static_cast<uint32_t>(h.frame.n_huffman_slots());
            return value >= n_slots ? because(Code::kReservedValue) : status;
        }
        case Element::kLi: {
            const auto n_left = static_cast<int32_t>((1u << (p.index + 1)) - p.next_code);
            if (static_cast<int32_t>(value) > n_left)
                return because(Code::kHuffmanCodeOverfull, n_left);
            if (static_cast<int32_t>(value) == n_left && value > 0)
                return because(Code::kHuffmanAllOnesCode);
            return because(Code::kHuffmanCodeCount);
        }
        case Element::kVij:
            return p.table_class == 0 && value > kMaxDcSymbol ? because(Code::kHuffmanDcSymbol)
                                                              : status;
        case Element::kDcBits:
            return because(Code::kDcRange);
        case Element::kEobBits: {
            const uint32_t run = (1u << run_of(p.symbol)) + value;
            if (run <= p.interval_left_mcus) {
                status.value = p.symbol;
                return because(Code::kAcDeadEnd);
            }
            status.value = static_cast<int32_t>(run);
            return because(Code::kEobRun, static_cast<int32_t>(p.interval_left_mcus));
        }
        default:
            return status;
    }
}

}  // namespace pycodec_lm::jpeg
