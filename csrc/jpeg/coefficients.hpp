// Quantised coefficients out of a file, and into another grammar: T.81 Annex F without the DCT.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "grammar/status.hpp"
#include "jpeg/cursor.hpp"

namespace pycodec_lm::jpeg {

/// The blocks of one component as its (first) scan coded them, blocks that only fill MCUs included.
struct CoefficientPlane {
    uint32_t blocks_wide = 0;
    uint32_t blocks_high = 0;
    std::vector<int16_t> values;  // [blocks_high, blocks_wide, 64], zig-zag order
};

/// One plane per component of the frame. Fails with kMisuse where the planes would pass
/// `max_bytes`: a header of 20 bytes can ask for gigabytes.
Status read_coefficients(
    std::shared_ptr<const JpegGrammar> grammar, const uint8_t* data, size_t n_bytes,
    size_t max_bytes, std::vector<CoefficientPlane>& planes
);

/// How often each Huffman symbol occurs: [Tc][Th][symbol].
using SymbolCounts = std::array<std::array<std::array<int64_t, 256>, kTableSlots>, 2>;
Status count_symbols(
    std::shared_ptr<const JpegGrammar> grammar, const uint8_t* data, size_t n_bytes,
    SymbolCounts& counts
);

/// The same coefficients under another grammar that pins its header: other Huffman tables, other
/// restart intervals. Scans and their components must agree, and be sequential.
Status transcode(
    std::shared_ptr<const JpegGrammar> from, const uint8_t* data, size_t n_bytes,
    std::shared_ptr<const JpegGrammar> to, std::vector<uint8_t>& out
);

}  // namespace pycodec_lm::jpeg
