// What a stream says, field by field: the rows that the inspector shows. The cursor names the
// fields; nothing here knows the syntax.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "jpeg/check.hpp"
#include "jpeg/cursor.hpp"

namespace pycodec_lm::jpeg {

/// One syntax element, or several of one kind that stand one after the other (Qk, Li, Vi,j, text).
struct FieldRow {
    uint64_t byte = 0;  // where it begins, offset in the file
    uint8_t bit = 0;    // 0..7 from the most significant
    uint8_t element = 0;
    int8_t block = -1;        // in the MCU; this and the next two are -1 outside blocks
    int8_t component = -1;    // index in the frame
    int8_t coefficient = -1;  // zig-zag index; of an AC code the next one to be coded
    uint32_t n_bits = 0;      // of all of them, stuffed bytes not counted
    uint32_t n_values = 1;
    int32_t value = 0;  // of the first: the number, the symbol of a code, or what bits stand for
    int32_t scan = -1;  // from 0
    int64_t mcu = -1;   // of the scan
};

/// Kinds of bits in a block.
enum class BitKind : uint8_t { kDcCode, kDcBits, kAcCode, kAcBits };
inline constexpr size_t kBitKinds = 4;

/// A restart interval. Positions of bits are 8 * byte + bit.
struct IntervalRow {
    int64_t marker_byte = -1;  // of the RST marker before it (fill bytes are before it), -1: none
    uint64_t first_byte = 0;
    uint64_t end_bit = 0;    // after its last symbol, padding not counted
    uint32_t first_mcu = 0;  // of the scan
};

/// What a scan consists of: 8 * (end_byte - first_byte) bits are those of its components, padding,
/// stuffed bytes, and RST markers with their fill bytes. Where the stream breaks inside a block,
/// the bits of that byte before the one that is wrong are counted too.
struct ScanTrace {
    std::shared_ptr<const ScanPlan> plan;
    uint64_t first_byte = 0;  // after SOS
    uint64_t end_byte = 0;    // after the last byte that belongs to it
    uint64_t n_mcus = 0;      // whole ones
    std::array<std::array<uint64_t, kBitKinds>, kMaxComponents> bits{};  // by index in the scan
    uint64_t n_padding_bits = 0;
    uint64_t n_stuffed_bytes = 0;
    uint64_t n_marker_bytes = 0;
    bool is_whole = false;
    // One entry an MCU that has begun, as far as the limit goes.
    std::vector<uint64_t> mcu_bits;   // where it begins
    std::vector<uint16_t> mcu_costs;  // [MCU][component of the scan][DC, AC], in bits
    std::vector<IntervalRow> intervals;
};

/// What a trace keeps at most; the rest is counted.
struct TraceLimits {
    size_t n_fields = 1u << 17;   // outside scans
    size_t n_mcus = 1u << 22;     // of all scans
    size_t n_symbols = 1u << 20;  // fields inside scans
};

struct Trace {
    CheckResult result;  // that of check()
    std::string place;   // in words, where it ended
    Frame frame;
    std::vector<FieldRow> fields;
    uint64_t n_fields_left_out = 0;
    std::vector<ScanTrace> scans;
    /// The fields inside scans that touch the bytes asked for.
    std::vector<FieldRow> symbols;
    uint64_t n_symbols_left_out = 0;
};

/// Walks a buffer up to its end or to what is wrong. Time is linear in `n_bytes`, memory is bounded
/// by the limits. Fields that the stream breaks in the middle of are left out.
///
/// Symbols are kept for the bytes `begin_symbols` to `end_symbols` (not included).
Trace trace(
    std::shared_ptr<const JpegGrammar> grammar, const uint8_t* data, size_t n_bytes,
    const TraceLimits& limits, uint64_t begin_symbols, uint64_t end_symbols
);

}  // namespace pycodec_lm::jpeg
