#include "grammar/status.hpp"

#include <array>
#include <cstddef>

#include "grammar/status_h264.hpp"

namespace pycodec_lm {
namespace {

using enum Family;

// One row a code of JPEG and of all codecs, in the order of the enum (checked below). {value},
// {hex} and {limit} stand for the numbers of the Status.
constexpr CodeRow kCodes[] = {
    {Code::kOk, {kValid, "ok", "", "valid"}},
    {Code::kTruncated,
     {kTruncated, "truncated", "T.81 B.1.1", "the data end before the file does"}},
    {Code::kNotInGrammar,
     {kMisuse, "not_in_grammar", "", "{value} is legal, but this grammar does not allow it here"}},
    {Code::kAfterEnd,
     {kMisuse, "after_end", "T.81 B.2.1", "the file is complete, nothing may follow"}},
    {Code::kTooLarge, {kMisuse, "too_large", "", "the picture is larger than the caller's limit"}},
    {Code::kMissingStartOfImage,
     {kCorrupt, "missing_soi", "T.81 B.2.1", "the data do not start with an SOI marker, FF D8"}},
    {Code::kMarkerExpected,
     {kCorrupt, "marker_expected", "T.81 B.1.1.2",
      "a marker must start here with FF, not with {hex}"}},
    {Code::kUnexpectedMarker,
     {kCorrupt, "unexpected_marker", "T.81 B.2.1", "marker FF {hex} may not stand here"}},
    {Code::kReservedMarker,
     {kCorrupt, "reserved_marker", "T.81 B.1.1.3", "marker FF {hex} is reserved"}},
    {Code::kSecondFrame,
     {kCorrupt, "second_frame", "T.81 B.2.1", "a second frame header, marker FF {hex}"}},
    {Code::kFrameMissing, {kCorrupt, "frame_missing", "T.81 B.2.1", "no frame header came before"}},
    {Code::kScanMissing,
     {kCorrupt, "scan_missing", "T.81 B.2.3", "the image ends before every component was coded"}},
    {Code::kScanNotReady,
     {kCorrupt, "scan_not_ready", "T.81 B.2.3",
      "no component can be coded with the tables defined so far"}},
    {Code::kSegmentLength,
     {kCorrupt, "segment_length", "T.81 B.1.1.4",
      "a segment length of {value} does not fit its contents"}},
    {Code::kReservedValue,
     {kCorrupt, "reserved_value", "T.81 B.2", "the value {value} is not allowed"}},
    {Code::kZeroDimension,
     {kCorrupt, "zero_dimension", "T.81 B.2.2", "the image is 0 samples wide"}},
    {Code::kLinesMissing,
     {kCorrupt, "lines_missing", "T.81 B.2.5",
      "marker FF {hex} after the first scan of a frame without a height, a DNL segment is due"}},
    {Code::kNumberOfLines,
     {kCorrupt, "number_of_lines", "T.81 B.2.5",
      "{value} lines, where the frame or its first scan has {limit}"}},
    {Code::kComponentRepeated,
     {kCorrupt, "component_repeated", "T.81 B.2.2", "component identifier {value} is used twice"}},
    {Code::kSamplingFactor,
     {kCorrupt, "sampling_factor", "T.81 B.2.2", "a sampling factor of {value}, must be 1 to 4"}},
    {Code::kQuantizationTableUndefined,
     {kCorrupt, "quantization_table_undefined", "T.81 B.2.4.1",
      "component {value} uses quantization table {limit}, which is not defined"}},
    {Code::kQuantizationTablePrecision,
     {kCorrupt, "quantization_table_precision", "T.81 B.2.4.1",
      "component {value} has 8-bit samples but a 16-bit quantization table, {limit}"}},
    {Code::kZeroQuantizer,
     {kCorrupt, "zero_quantizer", "T.81 B.2.4.1", "a quantization table element is 0"}},
    {Code::kHuffmanCodeOverfull,
     {kCorrupt, "huffman_code_overfull", "T.81 C.2",
      "{value} Huffman codes of this length, only {limit} are free"}},
    {Code::kHuffmanAllOnesCode,
     {kCorrupt, "huffman_all_ones_code", "T.81 C.2",
      "{value} Huffman codes of this length would use the code of all 1-bits"}},
    {Code::kHuffmanCodeCount,
     {kCorrupt, "huffman_code_count", "T.81 B.2.4.2",
      "{value} Huffman codes of this length do not fit the length of the segment or the limit of "
      "256"}},
    {Code::kHuffmanDcSymbol,
     {kCorrupt, "huffman_dc_symbol", "T.81 F.1.2.1",
      "DC category {value} in a table, the last is 15"}},
    {Code::kHuffmanTableUndefined,
     {kCorrupt, "huffman_table_undefined", "T.81 B.2.4.2", "Huffman table {value} is not defined"}},
    {Code::kHuffmanTableUnusable,
     {kCorrupt, "huffman_table_unusable", "T.81 F.1.2",
      "no block can be coded with Huffman table {value}"}},
    {Code::kComponentUnknown,
     {kCorrupt, "component_unknown", "T.81 B.2.3", "component {value} is not in the frame header"}},
    {Code::kComponentOrder,
     {kCorrupt, "component_order", "T.81 B.2.3",
      "component {value} is out of the order of the frame header"}},
    {Code::kComponentCodedTwice,
     {kCorrupt, "component_coded_twice", "T.81 B.2.3", "component {value} was coded before"}},
    {Code::kTooManyBlocksInMcu,
     {kCorrupt, "too_many_blocks_in_mcu", "T.81 B.2.3", "the MCU would have more than 10 blocks"}},
    {Code::kSpectralSelection,
     {kCorrupt, "spectral_selection", "T.81 B.2.3", "{value}, must be {limit} in this scan"}},
    {Code::kSuccessiveApproximation,
     {kCorrupt, "successive_approximation", "T.81 B.2.3", "{value}, must be {limit} in this scan"}},
    {Code::kBandOrder,
     {kCorrupt, "band_order", "T.81 G.1.1.1.1",
      "a band that starts at {limit} and ends at {value}"}},
    {Code::kBandAccuracy,
     {kCorrupt, "band_accuracy", "T.81 G.1.1.1.2",
      "the coefficients up to {value} have not all been coded to one accuracy"}},
    {Code::kAcInterleaved,
     {kCorrupt, "ac_interleaved", "T.81 G.1.1.1.1",
      "AC coefficients in a scan of several components"}},
    {Code::kAcBeforeDc,
     {kCorrupt, "ac_before_dc", "T.81 G.1.1.1.1",
      "AC coefficients of a component whose DC coefficients have not been coded"}},
    {Code::kCoefficientCodedTwice,
     {kCorrupt, "coefficient_coded_twice", "T.81 G.1.1.1.2",
      "coefficient {value} has been coded to its last bit"}},
    {Code::kComponentsDiffer,
     {kCorrupt, "components_differ", "T.81 G.1.1.1.2",
      "component {value} was coded to another accuracy than the first of the scan"}},
    {Code::kHuffmanCodeInvalid,
     {kCorrupt, "huffman_code_invalid", "T.81 F.2.2.3",
      "these bits start no Huffman code of the table"}},
    {Code::kDcCategory,
     {kCorrupt, "dc_category", "T.81 F.1.2.1", "DC category {value}, the last is {limit}"}},
    {Code::kDcRange,
     {kCorrupt, "dc_range", "T.81 F.1.2.1",
      "the DC coefficient leaves the range that the precision of samples allows"}},
    {Code::kAcSize, {kCorrupt, "ac_size", "T.81 F.1.2.2", "AC size {value}, the last is {limit}"}},
    {Code::kAcSymbolReserved,
     {kCorrupt, "ac_symbol_reserved", "T.81 F.1.2.2",
      "AC symbol {hex} is not defined in sequential scans"}},
    {Code::kAcRunPastEnd,
     {kCorrupt, "ac_run_past_end", "T.81 F.1.2.2",
      "AC run reaches coefficient {value}, the last is {limit}"}},
    {Code::kAcZrlPastEnd,
     {kCorrupt, "ac_zrl_past_end", "T.81 F.1.2.2",
      "a run of 16 zeros reaches coefficient {value}, and one must follow by {limit}"}},
    {Code::kAcDeadEnd,
     {kCorrupt, "ac_dead_end", "T.81 F.1.2.2",
      "after AC symbol {hex} the Huffman table can neither fill nor end what is left"}},
    {Code::kEobRun,
     {kCorrupt, "eob_run", "T.81 G.1.2.2",
      "an end of band over {value} blocks, {limit} are left in the interval"}},
    {Code::kRefinementSize,
     {kCorrupt, "refinement_size", "T.81 G.1.2.3",
      "AC size {value} in a refinement, must be {limit}"}},
    {Code::kRefinementRun,
     {kCorrupt, "refinement_run", "T.81 G.1.2.3",
      "a run of {value} zeros and the coefficient after it, {limit} are left that were 0 so far"}},
    {Code::kPaddingBit,
     {kCorrupt, "padding_bit", "T.81 F.1.2.3", "a padding bit is 0, padding is made of 1-bits"}},
    {Code::kUnstuffedFf,
     {kCorrupt, "unstuffed_ff", "T.81 B.1.1.5",
      "marker FF {hex} inside entropy-coded data, {limit} MCUs of the interval are missing"}},
    {Code::kFillBeforeStuffing,
     {kCorrupt, "fill_before_stuffing", "T.81 B.1.1.5", "FF FF inside entropy-coded data"}},
    {Code::kRestartMissing,
     {kCorrupt, "restart_missing", "T.81 B.2.1", "marker FF {hex} where RST{limit} is due"}},
    {Code::kRestartNumber,
     {kCorrupt, "restart_number", "T.81 F.1.1.5.2", "RST{value} where RST{limit} is due"}},
    {Code::kRestartUnexpected,
     {kCorrupt, "restart_unexpected", "T.81 B.2.1", "RST{value} where no restart is due"}},
    {Code::kEntropyDataAfterInterval,
     {kCorrupt, "entropy_data_after_interval", "T.81 B.2.1",
      "byte {hex} after the last MCU of the interval, where a marker is due"}},
    {Code::kProcessUnsupported,
     {kUnsupported, "process_unsupported", "T.81 B.2.2",
      "the coding process of marker FF {hex} is not supported"}},
    {Code::kArithmeticCoding,
     {kUnsupported, "arithmetic_coding", "T.81 B.2.4.3",
      "arithmetic coding (marker FF {hex}) is not supported"}},
    {Code::kHierarchical,
     {kUnsupported, "hierarchical", "T.81 B.3",
      "hierarchical coding (marker FF {hex}) is not supported"}},
    {Code::kJpegExtension,
     {kUnsupported, "jpeg_extension", "T.81 B.1.1.3",
      "the JPEG extension of marker FF {hex} is not supported"}},
    {Code::kComponentCountUnsupported,
     {kUnsupported, "component_count_unsupported", "T.81 B.2.2",
      "more than 4 components are not supported"}},
};

consteval bool in_enum_order() {
    for (size_t i = 0; i < std::size(kCodes); ++i) {
        if (kCodes[i].code != static_cast<Code>(i)) return false;
    }
    return kCodes[std::size(kCodes) - 1].code == Code::kComponentCountUnsupported;
}
static_assert(in_enum_order());

// In the order of the enum Element.
constexpr ElementInfo kElements[] = {
    {"", ""},
    {"SOI", "T.81 B.2.1"},
    {"marker prefix", "T.81 B.1.1.2"},
    {"marker", "T.81 B.1.1.3"},
    {"Lf", "T.81 B.2.2"},
    {"P", "T.81 B.2.2"},
    {"Y", "T.81 B.2.2"},
    {"X", "T.81 B.2.2"},
    {"Nf", "T.81 B.2.2"},
    {"Ci", "T.81 B.2.2"},
    {"Hi", "T.81 B.2.2"},
    {"Vi", "T.81 B.2.2"},
    {"Tqi", "T.81 B.2.2"},
    {"Ls", "T.81 B.2.3"},
    {"Ns", "T.81 B.2.3"},
    {"Csj", "T.81 B.2.3"},
    {"Tdj", "T.81 B.2.3"},
    {"Taj", "T.81 B.2.3"},
    {"Ss", "T.81 B.2.3"},
    {"Se", "T.81 B.2.3"},
    {"Ah", "T.81 B.2.3"},
    {"Al", "T.81 B.2.3"},
    {"Lq", "T.81 B.2.4.1"},
    {"Pq", "T.81 B.2.4.1"},
    {"Tq", "T.81 B.2.4.1"},
    {"Qk", "T.81 B.2.4.1"},
    {"Lh", "T.81 B.2.4.2"},
    {"Tc", "T.81 B.2.4.2"},
    {"Th", "T.81 B.2.4.2"},
    {"Li", "T.81 B.2.4.2"},
    {"Vi,j", "T.81 B.2.4.2"},
    {"Lr", "T.81 B.2.4.4"},
    {"Ri", "T.81 B.2.4.4"},
    {"Lc", "T.81 B.2.4.5"},
    {"Cmi", "T.81 B.2.4.5"},
    {"Lp", "T.81 B.2.4.6"},
    {"Api", "T.81 B.2.4.6"},
    {"Ld", "T.81 B.2.5"},
    {"NL", "T.81 B.2.5"},
    {"DC code", "T.81 F.2.2.1"},
    {"DC bits", "T.81 F.2.2.1"},
    {"DC bit", "T.81 G.1.2.1"},
    {"AC code", "T.81 F.2.2.2"},
    {"AC bits", "T.81 F.2.2.2"},
    {"EOB bits", "T.81 G.1.2.2"},
    {"correction bit", "T.81 G.1.2.3"},
    {"padding", "T.81 F.1.2.3"},
    {"stuffing", "T.81 B.1.1.5"},
    {"end", "T.81 B.2.1"},
};
static_assert(std::size(kElements) == static_cast<size_t>(Element::kEnd) + 1);

void replace(std::string& text, std::string_view placeholder, const std::string& with) {
    if (const size_t at = text.find(placeholder); at != std::string::npos) {
        text.replace(at, placeholder.size(), with);
    }
}

std::string hex_byte(int32_t value) {
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    const auto byte = static_cast<size_t>(value) & 255;
    return {kDigits[byte >> 4], kDigits[byte & 15]};
}

}  // namespace

const CodeInfo& info(Code code) {
    const auto i = static_cast<size_t>(code);
    return i < std::size(kCodes) ? kCodes[i].info : h264_codes()[i - std::size(kCodes)].info;
}

const ElementInfo& info(Element element) {
    const auto i = static_cast<size_t>(element);
    return i < std::size(kElements) ? kElements[i] : h264_elements()[i - std::size(kElements)];
}

std::string_view to_string(Family family) {
    constexpr std::array<std::string_view, 5> kNames{
        "valid", "truncated", "corrupt", "unsupported", "misuse"
    };
    return kNames[static_cast<size_t>(family)];
}

std::string_view clause_of(const Status& status) {
    const CodeInfo& code = info(status.code);
    const bool is_of_element = code.clause.empty() && code.family == kCorrupt;
    return is_of_element ? info(status.element).clause : code.clause;
}

std::string to_string(const Status& status) {
    const CodeInfo& code = info(status.code);
    std::string text(code.text);
    replace(text, "{value}", std::to_string(status.value));
    replace(text, "{hex}", hex_byte(status.value));
    replace(text, "{limit}", std::to_string(status.limit));
    if (status) return text;
    std::string message;
    const std::string_view clause = clause_of(status);
    if (!clause.empty()) message.append(clause).append(": ");
    message.append(text);
    message.append(" (");
    if (status.element != Element::kNone) message.append(info(status.element).name).append(", ");
    message.append("byte ").append(std::to_string(status.byte));
    message.append(", bit ").append(std::to_string(status.bit)).append(")");
    return message;
}

}  // namespace pycodec_lm
