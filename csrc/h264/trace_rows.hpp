// The rows of a trace as they come, within its limits.
#pragma once

#include <cstdint>

#include "h264/trace.hpp"

namespace pycodec_lm::h264 {

inline bool is_in_slice_data(Element element) {
    return Element::kMbSkipRun <= element && element <= kLastElement;
}

/// What the bits of a field of a macroblock are for.
MbBits kind_of(Element element, int block);

class TraceRows {
public:
    TraceRows(const TraceLimits& limits, uint64_t begin_symbols, uint64_t end_symbols)
        : limits_(limits), begin_symbols_(begin_symbols), end_symbols_(end_symbols) {}

    /// `offset` is that of its first byte. False where it is left out, and what is in it.
    bool begin_nal(uint64_t start, uint64_t offset);
    /// A field of the NAL unit begun last.
    void keep(const FieldRow& row);
    /// Of the picture begun last; false where it is left out.
    bool begin_macroblock(uint64_t start, uint8_t type, int qp);
    void keep_bin(const BinRow& row);

    Trace trace;

private:
    void keep_field(const FieldRow& row);
    void keep_symbol(const FieldRow& row);

    TraceLimits limits_;
    uint64_t begin_symbols_;
    uint64_t end_symbols_;
};

}  // namespace pycodec_lm::h264
