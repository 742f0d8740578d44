// Where a cursor stands, in words and in the numbers a model is given.
#include <algorithm>

#include "jpeg/cursor.hpp"
#include "jpeg/markers.hpp"

namespace pycodec_lm::jpeg {
namespace {

// Column 0 of an annotation: the kind of field that comes next.
enum Kind : int16_t {
    kHeaderField = 0,
    kDcCodeField = 1,
    kDcBitsField = 2,
    kAcCodeField = 3,
    kAcBitsField = 4,
    kPaddingField = 5,
    kMarkerField = 6,
    kStuffingField = 7,
    kEndOfFile = 8,
    kDcBitField = 9,
    kEobBitsField = 10,
    kCorrectionBitField = 11,
};

constexpr int kMaxPlace = 63;

}  // namespace

Annotation JpegCursor::annotation() const {
    const Position& p = position_;
    Annotation a{};
    if (p.at == Element::kEnd) {
        a[0] = kEndOfFile;
        return a;
    }
    switch (p.at) {
        case Element::kDcCode:
            a[0] = kDcCodeField;
            break;
        case Element::kDcBits:
            a[0] = kDcBitsField;
            break;
        case Element::kAcCode:
            a[0] = kAcCodeField;
            break;
        case Element::kAcBits:
            a[0] = kAcBitsField;
            break;
        case Element::kDcBit:
            a[0] = kDcBitField;
            break;
        case Element::kEobBits:
            a[0] = kEobBitsField;
            break;
        case Element::kCorrectionBit:
            a[0] = kCorrectionBitField;
            break;
        case Element::kPadding:
            a[0] = kPaddingField;
            break;
        case Element::kMarkerPrefix:
        case Element::kMarker:
            a[0] = kMarkerField;
            break;
        default:
            a[0] = kHeaderField;
    }
    if (p.stuffing_due) a[0] = kStuffingField;
    if (p.in_scan) {
        const ScanPlan& plan = this->plan();
        if (p.mcu < plan.n_mcus()) {
            const int component = plan.component(plan.component_of_block(p.block)).frame_index;
            a[1] = static_cast<int16_t>(component + 1);
            a[2] = static_cast<int16_t>(p.block + 1);
            a[3] = static_cast<int16_t>(std::min<uint32_t>(p.mcu % plan.mcus_wide(), kMaxPlace));
            a[4] = static_cast<int16_t>(std::min<uint32_t>(p.mcu / plan.mcus_wide(), kMaxPlace));
            a[5] = static_cast<int16_t>(std::min<int>(p.k, kMaxPlace));
        }
    }
    a[6] = p.n_partial;
    if (p.at == Element::kDcBits || p.at == Element::kAcBits || p.at == Element::kEobBits) {
        a[7] = static_cast<int16_t>(
            16 * std::min(field_bits(), 15) + static_cast<int>(p.partial & 15)
        );
    } else {
        a[7] = static_cast<int16_t>(p.partial & 255);
    }
    return a;
}

std::string JpegCursor::describe() const {
    const Position& p = position_;
    if (is_complete()) return "after EOI: the file is complete";
    std::string text;
    const auto add = [&text](const char* what, uint64_t number) {
        text.append(what).append(std::to_string(number));
    };
    if (p.in_scan && !p.restart_due) {
        const ScanPlan& plan = this->plan();
        add("scan ", header_->n_scans);
        if (p.at != Element::kPadding) {
            const int component = plan.component(plan.component_of_block(p.block)).frame_index;
            add(", MCU ", p.mcu);
            add(" of ", plan.n_mcus());
            add(", component ", static_cast<uint64_t>(component));
            add(", block ", p.block);
            add(", coefficient ", p.k);
        }
        text.append(": ");
    } else if (p.restart_due) {
        add("after MCU ", p.mcu - 1);
        add(", RST", p.restart_number);
        text.append(" is due: ");
    }
    text.append(info(p.at).name);
    if (p.n_partial > 0) add(" after bit ", p.n_partial);
    if (p.stuffing_due) text.append(", a stuffed 00 is due");
    return text;
}

}  // namespace pycodec_lm::jpeg
