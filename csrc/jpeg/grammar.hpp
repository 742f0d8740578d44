// Which JPEG files: the standard's, those every decoder reads in silence, or fewer still.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "grammar/status.hpp"
#include "jpeg/header.hpp"
#include "jpeg/scan_plan.hpp"

namespace pycodec_lm::jpeg {

/// Everything left at its default is the standard language of check().
struct JpegGrammar {
    /// Leave out what is legal but makes some decoder complain; docs/design.md, "Two languages".
    bool portable = false;
    /// Allow streams whose tables come from `outside`, and streams of tables alone (T.81 B.4, B.5).
    bool abbreviated = false;

    /// The process, by its marker (SOF0, SOF1); none: any in scope.
    std::optional<uint8_t> sof;
    std::optional<uint16_t> width_px;
    std::optional<uint16_t> height_px;
    /// (Hi, Vi) of each component; empty: free.
    std::vector<std::array<uint8_t, 2>> sampling;
    /// Quantization tables by slot, in zig-zag order. Where any is given, the stream may define
    /// only these, 8 bit, one to a segment, and component i uses table min(i, last).
    std::array<std::optional<std::array<uint8_t, kBlockSize>>, kTableSlots> quantization;
    /// Huffman tables, [Tc][Th]; likewise.
    std::array<std::array<std::shared_ptr<const HuffmanTable>, kTableSlots>, 2> huffman;
    std::optional<uint16_t> restart_interval_mcus;

    /// The height of a picture whose frame header leaves it to a DNL segment, where it is known
    /// before that comes.
    std::optional<uint16_t> known_lines;

    /// Tables known before the first byte (abbreviated streams).
    Tables outside;

    /// All bytes outside entropy-coded data, when they are given: chunk 0 ends with the first SOS
    /// segment, chunk i is what stands after scan i, the last one ends with EOI.
    std::vector<std::vector<uint8_t>> pinned;
    /// Of the shortest known ending behind chunk 0.
    Memo<uint64_t> bytes_after_first_chunk;

    /// Shared by all cursors of the grammar.
    std::shared_ptr<ScanIds> scan_ids = std::make_shared<ScanIds>();

    bool fixes_quantization() const;
    bool fixes_huffman() const;
    bool is_pinned() const { return !pinned.empty(); }
    /// Tables and text may hold whatever the standard allows.
    bool has_free_contents() const {
        return !portable && !is_pinned() && !fixes_quantization() && !fixes_huffman();
    }
    /// Fill bytes (B.1.1.2) say nothing; grammars with pinned bytes have none.
    bool allows_fill_bytes() const { return !is_pinned(); }
    uint8_t quantization_slot_of(int component) const;
};

/// The pinned chunks of a sample file, or where and why the sample is no valid file of `standard`.
struct PinnedChunks {
    std::vector<std::vector<uint8_t>> chunks;
    Status status;
};
PinnedChunks pin_like(
    std::shared_ptr<const JpegGrammar> standard, const uint8_t* data, size_t n_bytes
);

/// The height that pinned chunks give behind the first scan (T.81 B.2.5).
std::optional<uint16_t> lines_of(const std::vector<std::vector<uint8_t>>& pinned);

/// Whether the pinned chunks of a grammar are the frame of a file: what is wrong with them if not.
Status check_pinned(std::shared_ptr<const JpegGrammar> grammar);

/// The grammar with the height of these data, where only a DNL segment gives it: how a scan ends is
/// then known from its start.
std::shared_ptr<const JpegGrammar> with_known_lines(
    std::shared_ptr<const JpegGrammar> grammar, const uint8_t* data, size_t n_bytes
);

/// The tables of a table-only stream, or of all tables a whole file defines.
Status read_tables(const uint8_t* data, size_t n_bytes, Tables& tables);

}  // namespace pycodec_lm::jpeg
