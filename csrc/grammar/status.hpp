// What a check says: a closed list of codes in three families, each with the place in the stream.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace pycodec_lm {

enum class Family : uint8_t {
    kValid,
    kTruncated,    // a valid beginning that stops too early
    kCorrupt,      // the standard forbids it
    kUnsupported,  // the standard allows it, this library does not yet
    kMisuse,       // the caller's mistake
};

enum class Code : uint8_t {
    kOk,
    kTruncated,
    // What a grammar narrower than the standard forbids (pinned bytes, fixed sizes, portable
    // files).
    kNotInGrammar,
    kAfterEnd,
    kTooLarge,
    // JPEG, corrupt.
    kMissingStartOfImage,
    kMarkerExpected,
    kUnexpectedMarker,
    kReservedMarker,
    kSecondFrame,
    kFrameMissing,
    kScanMissing,
    kScanNotReady,
    kSegmentLength,
    kReservedValue,
    kZeroDimension,
    kLinesMissing,
    kNumberOfLines,
    kComponentRepeated,
    kSamplingFactor,
    kQuantizationTableUndefined,
    kQuantizationTablePrecision,
    kZeroQuantizer,
    kHuffmanCodeOverfull,
    kHuffmanAllOnesCode,
    kHuffmanCodeCount,
    kHuffmanDcSymbol,
    kHuffmanTableUndefined,
    kHuffmanTableUnusable,
    kComponentUnknown,
    kComponentOrder,
    kComponentCodedTwice,
    kTooManyBlocksInMcu,
    kSpectralSelection,
    kSuccessiveApproximation,
    kBandOrder,
    kBandAccuracy,
    kAcInterleaved,
    kAcBeforeDc,
    kCoefficientCodedTwice,
    kComponentsDiffer,
    kHuffmanCodeInvalid,
    kDcCategory,
    kDcRange,
    kAcSize,
    kAcSymbolReserved,
    kAcRunPastEnd,
    kAcZrlPastEnd,
    kAcDeadEnd,
    kEobRun,
    kRefinementSize,
    kRefinementRun,
    kPaddingBit,
    kUnstuffedFf,
    kFillBeforeStuffing,
    kRestartMissing,
    kRestartNumber,
    kRestartUnexpected,
    kEntropyDataAfterInterval,
    // JPEG, unsupported.
    kProcessUnsupported,
    kArithmeticCoding,
    kHierarchical,
    kJpegExtension,
    kComponentCountUnsupported,
};

/// A syntax element of the standards; ElementInfo gives its name and clause.
enum class Element : uint8_t {
    kNone,
    // JPEG: the marker layer and the segments, in the order of T.81 Annex B.
    kSoi,
    kMarkerPrefix,
    kMarker,
    kLf,
    kP,
    kY,
    kX,
    kNf,
    kCi,
    kHi,
    kVi,
    kTqi,
    kLs,
    kNs,
    kCsj,
    kTdj,
    kTaj,
    kSs,
    kSe,
    kAh,
    kAl,
    kLq,
    kPq,
    kTq,
    kQk,
    kLh,
    kTc,
    kTh,
    kLi,
    kVij,
    kLr,
    kRi,
    kLc,
    kCmi,
    kLp,
    kApi,
    kLd,
    kNl,
    // JPEG: entropy-coded data.
    kDcCode,
    kDcBits,
    kDcBit,  // of a refinement
    kAcCode,
    kAcBits,
    kEobBits,
    kCorrectionBit,
    kPadding,
    kStuffing,
    // After EOI.
    kEnd,
};

struct CodeInfo {
    Family family;
    std::string_view id;      // stable name, "dc_range"
    std::string_view clause;  // "T.81 F.1.2.1"
    std::string_view text;    // one sentence; {value} and {limit} are replaced
};

struct ElementInfo {
    std::string_view name;    // the standard's symbol or word
    std::string_view clause;  // where the standard defines it
};

const CodeInfo& info(Code code);
const ElementInfo& info(Element element);
std::string_view to_string(Family family);

/// The verdict on a byte or on a file. kOk converts to true.
struct Status {
    Code code = Code::kOk;
    Element element = Element::kNone;
    uint8_t bit = 0;    // 0..7 from the most significant, of the byte at `byte`
    int32_t value = 0;  // what was read
    int32_t limit = 0;  // what it was held against, where one number says it
    uint64_t byte = 0;  // offset in the file, stuffing counted

    explicit operator bool() const { return code == Code::kOk; }
    Family family() const { return info(code).family; }
    friend bool operator==(const Status&, const Status&) = default;
};

/// "T.81 F.1.2.2: AC run reaches coefficient 67, the last is 63 (byte 1034, bit 3)"
std::string to_string(const Status& status);

}  // namespace pycodec_lm
