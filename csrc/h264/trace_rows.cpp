#include "h264/trace_rows.hpp"

namespace pycodec_lm::h264 {
namespace {

bool is_payload(Element element) {
    return element == Element::kSeiPayload || element == Element::kFfByte ||
           element == Element::kNalPayload;
}

}  // namespace

MbBits kind_of(Element element, int block) {
    switch (element) {
        case Element::kMbType:
        case Element::kSubMbType:
        case Element::kTransformSize8x8Flag:
        case Element::kPcmAlignmentZeroBit:
        case Element::kCodedBlockPattern:
        case Element::kMbQpDelta:
            return MbBits::kType;
        case Element::kPcmSampleLuma:
            return MbBits::kLuma;
        case Element::kPcmSampleChroma:
            return MbBits::kChroma;
        case Element::kPrevIntra4x4PredModeFlag:
        case Element::kRemIntra4x4PredMode:
        case Element::kPrevIntra8x8PredModeFlag:
        case Element::kRemIntra8x8PredMode:
        case Element::kIntraChromaPredMode:
        case Element::kRefIdxL0:
        case Element::kRefIdxL1:
        case Element::kMvdL0X:
        case Element::kMvdL0Y:
        case Element::kMvdL1X:
        case Element::kMvdL1Y:
            return MbBits::kPrediction;
        default:
            return block < block::kChromaDc ? MbBits::kLuma : MbBits::kChroma;
    }
}

bool TraceRows::begin_nal(uint64_t start, uint64_t offset) {
    if (trace.nals.size() >= limits_.n_nals) {
        ++trace.n_nals_left_out;
        return false;
    }
    trace.nals.push_back({
        .start = start,
        .offset = offset,
        .end = offset,
        .first_field = static_cast<uint32_t>(trace.fields.size()),
    });
    return true;
}

void TraceRows::keep(const FieldRow& row) {
    if (row.mb >= 0) {
        keep_symbol(row);
    } else {
        keep_field(row);
    }
}

void TraceRows::keep_field(const FieldRow& row) {
    if (trace.fields.size() >= limits_.n_fields) {
        ++trace.n_fields_left_out;
        return;
    }
    NalRow& nal = trace.nals.back();
    if (nal.n_fields > 0 && is_payload(static_cast<Element>(row.element)) &&
        trace.fields.back().element == row.element) {
        trace.fields.back().n_bits += row.n_bits;
        ++trace.fields.back().n_values;
        return;
    }
    trace.fields.push_back(row);
    ++nal.n_fields;
}

void TraceRows::keep_symbol(const FieldRow& row) {
    // Emulation prevention may lie inside, which makes the last byte one later.
    const uint64_t last = row.byte + (row.bit + row.n_bits - 1) / 8;
    if (last < begin_symbols_ || row.byte >= end_symbols_) return;
    if (trace.symbols.size() < limits_.n_symbols) {
        trace.symbols.push_back(row);
    } else {
        ++trace.n_symbols_left_out;
    }
}

bool TraceRows::begin_macroblock(uint64_t start, uint8_t type, int qp) {
    if (trace.mb_starts.size() >= limits_.n_mbs) return false;
    trace.mb_starts.push_back(start);
    trace.mb_bits.push_back({});
    trace.mb_types.push_back(type);
    trace.mb_qps.push_back(static_cast<int8_t>(qp));
    trace.mb_bins.push_back(0);
    trace.mb_information.push_back(0);
    ++trace.pictures.back().n_mb_rows;
    return true;
}

void TraceRows::keep_bin(const BinRow& row) {
    if (trace.bins.size() < limits_.n_bins) {
        trace.bins.push_back(row);
    } else {
        ++trace.n_bins_left_out;
    }
}

}  // namespace pycodec_lm::h264
