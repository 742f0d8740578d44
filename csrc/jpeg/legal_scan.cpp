// Which values the fields of a scan header may take, and why another may not: T.81 B.2.3, G.1.1.1.
#include "jpeg/cursor.hpp"

namespace pycodec_lm::jpeg {

/// The scan header up to the field that comes next.
ScanChoice JpegCursor::scan_choice() const {
    const Position& p = position_;
    ScanChoice choice;
    choice.n_components = p.n_scan_components;
    const bool is_one_open = p.at == Element::kTdj || p.at == Element::kTaj;
    choice.n_known = p.index + (is_one_open ? 1 : 0);
    for (int j = 0; j < choice.n_known; ++j) {
        const ScanComponent& c = segment_.scan_components[static_cast<size_t>(j)];
        ScanChoice::Component& known = choice.components[static_cast<size_t>(j)];
        known.frame_index = c.frame_index;
        const bool is_last = j + 1 == choice.n_known;
        if (!is_last || p.at != Element::kTdj) known.dc_slot = c.dc_slot;
        if (!is_last || !is_one_open) known.ac_slot = c.ac_slot;
    }
    switch (p.at) {
        case Element::kAl:
            choice.ah = segment_.scan.ah;
            [[fallthrough]];
        case Element::kAh:
            choice.se = segment_.scan.se;
            [[fallthrough]];
        case Element::kSe:
            choice.ss = segment_.scan.ss;
            break;
        default:
            break;
    }
    return choice;
}

/// Ls = 6 + 2 Ns.
ValueSet JpegCursor::legal_scan_lengths() const {
    ScanScript script(*header_, grammar_->portable);
    ValueSet set;
    for (int n = 1; n <= header_->frame.n_components; ++n) {
        if (script.allows({.n_components = n})) set.add(static_cast<uint32_t>(6 + 2 * n));
    }
    return set;
}

ValueSet JpegCursor::legal_scan_field(bool portable) const {
    const Position& p = position_;
    const Frame& frame = header_->frame;
    ScanScript script(*header_, portable);
    ScanChoice choice = scan_choice();
    if (p.at == Element::kCsj) {
        ValueSet set;
        auto& added = choice.components[static_cast<size_t>(choice.n_known++)];
        int first = 0;
        if (choice.n_known > 1) {
            first = choice.components[static_cast<size_t>(choice.n_known - 2)].frame_index + 1;
        }
        for (int i = first; i < frame.n_components; ++i) {
            added.frame_index = static_cast<uint8_t>(i);
            if (!script.allows(choice)) continue;
            set.add(frame.components[static_cast<size_t>(i)].identifier);
        }
        return set;
    }
    if (p.at == Element::kTdj || p.at == Element::kTaj) {
        ScanChoice::Component& last = choice.components[static_cast<size_t>(choice.n_known - 1)];
        auto& slot = p.at == Element::kTdj ? last.dc_slot : last.ac_slot;
        ValueSet set;
        for (int i = 0; i < frame.n_huffman_slots(); ++i) {
            slot = static_cast<uint8_t>(i);
            if (script.allows(choice)) set.add(static_cast<uint32_t>(i));
        }
        return set;
    }
    if (!frame.is_progressive()) return ValueSet::only(p.at == Element::kSe ? kBlockSize - 1 : 0);
    auto& field = p.at == Element::kSs   ? choice.ss
                  : p.at == Element::kSe ? choice.se
                  : p.at == Element::kAh ? choice.ah
                                         : choice.al;
    const int end = p.at == Element::kSs || p.at == Element::kSe ? kBlockSize : 16;
    uint64_t legal = 0;
    for (int value = 0; value < end; ++value) {
        field = static_cast<uint8_t>(value);
        if (script.allows(choice)) legal |= uint64_t{1} << value;
    }
    return ValueSet::of_bits(legal);
}

/// A scan that codes the component goes on from here.
bool JpegCursor::is_component_possible(int component) const {
    ScanChoice choice;
    choice.n_known = 1;
    choice.components[0].frame_index = static_cast<uint8_t>(component);
    return ScanScript(*header_, grammar_->portable).allows(choice);
}

Status JpegCursor::why_not_scan_field(uint32_t value, Status status) const {
    const Position& p = position_;
    const Header& h = *header_;
    const bool is_progressive = h.frame.is_progressive();
    const auto because = [&status](Code code, int32_t limit = 0) {
        status.code = code;
        status.limit = limit;
        return status;
    };
    if (grammar_->portable && legal_scan_field(false).contains(value)) return status;
    ScanScript script(h);
    const ScanChoice choice = scan_choice();
    const ScanChoice::Component& first = choice.components[0];
    // The first table of the scan that it could not be coded with.
    const auto because_of_table = [&](bool is_dc) {
        for (int j = 0; j < choice.n_known; ++j) {
            const ScanChoice::Component& c = choice.components[static_cast<size_t>(j)];
            const int slot = is_dc ? *c.dc_slot : *c.ac_slot;
            const auto table_class = is_dc ? TableClass::kDc : TableClass::kAc;
            status.value = slot;
            if (h.tables.find(table_class, slot) == nullptr) {
                return because(Code::kHuffmanTableUndefined);
            }
            if (is_dc && !script.is_usable(table_class, slot, choice.al.value_or(0))) break;
        }
        return because(Code::kHuffmanTableUnusable);
    };
    switch (p.at) {
        case Element::kCsj: {
            for (int i = 0; i < h.frame.n_components; ++i) {
                const Component& c = h.frame.components[static_cast<size_t>(i)];
                if (c.identifier != value) continue;
                const int slot = c.quantization_slot;
                const bool is_done = is_progressive
                                         ? script.band_accuracy(i, 0, kBlockSize - 1) == 0
                                         : h.is_coded(i);
                if (is_done) return because(Code::kComponentCodedTwice);
                if (h.tables.quantization_bits[c.quantization_slot] == 0) {
                    return because(Code::kQuantizationTableUndefined, slot);
                }
                if (!h.is_coded(i) && !h.is_ready(i)) {
                    return because(Code::kQuantizationTablePrecision, slot);
                }
                if (p.index > 0 && i <= segment_.scan_components[p.index - 1u].frame_index) {
                    return because(Code::kComponentOrder);
                }
                if (is_progressive && p.n_scan_components > 1) {
                    const uint8_t accuracy = h.accuracy[static_cast<size_t>(i)][0];
                    if (accuracy == 0) return because(Code::kComponentCodedTwice);
                    if (p.index > 0 && accuracy != h.accuracy[first.frame_index][0]) {
                        return because(Code::kComponentsDiffer);
                    }
                }
                if (p.n_scan_components == 1) return because(Code::kScanNotReady);
                // In order, but the components that must follow it are not there.
                int n_after = 0;
                for (int j = i + 1; j < h.frame.n_components; ++j) {
                    n_after += is_component_possible(j) ? 1 : 0;
                }
                return because(
                    n_after >= p.n_scan_components - p.index - 1 ? Code::kTooManyBlocksInMcu
                                                                 : Code::kComponentOrder
                );
            }
            return because(Code::kComponentUnknown);
        }
        case Element::kTdj:
        case Element::kTaj: {
            const auto table_class = p.at == Element::kTdj ? TableClass::kDc : TableClass::kAc;
            if (static_cast<int>(value) >= h.frame.n_huffman_slots())
                return because(Code::kReservedValue);
            if (h.tables.find(table_class, static_cast<int>(value)) == nullptr) {
                return because(Code::kHuffmanTableUndefined);
            }
            return because(Code::kHuffmanTableUnusable);
        }
        case Element::kSs:
            if (!is_progressive) return because(Code::kSpectralSelection, 0);
            if (value > kBlockSize - 1) return because(Code::kReservedValue);
            if (value > 0 && choice.n_components > 1) return because(Code::kAcInterleaved);
            if (value > 0 && !h.is_coded(first.frame_index)) return because(Code::kAcBeforeDc);
            if (h.accuracy[first.frame_index][value] == 0) {
                return because(Code::kCoefficientCodedTwice);
            }
            return because_of_table(value == 0);
        case Element::kSe:
            if (!is_progressive) return because(Code::kSpectralSelection, kBlockSize - 1);
            if (choice.ss == 0) return because(Code::kSpectralSelection, 0);
            if (value > kBlockSize - 1) return because(Code::kReservedValue);
            if (value < *choice.ss) return because(Code::kBandOrder, *choice.ss);
            if (!script.band_accuracy(first.frame_index, *choice.ss, static_cast<int>(value))) {
                return because(Code::kBandAccuracy);
            }
            return because_of_table(false);
        case Element::kAh: {
            const uint8_t before = is_progressive ? h.accuracy[first.frame_index][*choice.ss] : 0;
            return because(Code::kSuccessiveApproximation, before == kNotCoded ? 0 : before);
        }
        default:  // Al
            if (!is_progressive) return because(Code::kSuccessiveApproximation, 0);
            if (*choice.ah > 0) return because(Code::kSuccessiveApproximation, *choice.ah - 1);
            if (value > kMaxAl) return because(Code::kReservedValue);
            return because_of_table(choice.ss == 0);
    }
}

}  // namespace pycodec_lm::jpeg
