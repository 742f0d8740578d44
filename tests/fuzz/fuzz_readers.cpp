// All else that reads a file: the trace, the coefficients, symbol counts, pinned headers, tables,
// and the way from one header to another. None may differ from check() about what is valid.
#include "fuzzing.hpp"
#include "grammars.hpp"
#include "jpeg/check.hpp"
#include "jpeg/coefficients.hpp"
#include "jpeg/cursor.hpp"
#include "jpeg/trace.hpp"

namespace {

using fuzzing::Bytes;
using pycodec_lm::Code;
using pycodec_lm::Status;
using pycodec_lm::jpeg::CheckResult;
using pycodec_lm::jpeg::CoefficientPlane;
using pycodec_lm::jpeg::JpegGrammar;
using pycodec_lm::jpeg::ScanTrace;
using pycodec_lm::jpeg::Trace;
using Grammar = std::shared_ptr<const JpegGrammar>;

constexpr size_t kMaxPlaneBytes = size_t{1} << 22;

/// 8 * (end - first) bits are those of components, padding, stuffing and markers.
void check_bits(const ScanTrace& scan) {
    uint64_t n_bits = scan.n_padding_bits + 8 * (scan.n_stuffed_bytes + scan.n_marker_bytes);
    for (const auto& kinds : scan.bits) {
        for (const uint64_t n : kinds) n_bits += n;
    }
    REQUIRE(scan.end_byte >= scan.first_byte);
    if (scan.is_whole) REQUIRE(n_bits == 8 * (scan.end_byte - scan.first_byte));
}

void check_trace(
    const Grammar& grammar, Bytes file, const CheckResult& result, fuzzing::Choices& choices
) {
    const uint64_t begin = choices.below(file.size() + 1);
    const uint64_t end = begin + choices.below(300);
    pycodec_lm::jpeg::TraceLimits limits;
    if (choices.one_in(4)) limits = {choices.below(40), choices.below(40), choices.below(40)};
    const Trace trace =
        pycodec_lm::jpeg::trace(grammar, file.data(), file.size(), limits, begin, end);
    REQUIRE(trace.result.status == result.status);
    REQUIRE(trace.result.end_offset == result.end_offset);
    REQUIRE(trace.result.trailing_bytes == result.trailing_bytes);
    REQUIRE(trace.symbols.size() <= limits.n_symbols);
    for (const ScanTrace& scan : trace.scans) check_bits(scan);
    for (const auto& row : trace.fields) {
        REQUIRE(row.scan < 0 || row.scan < static_cast<int32_t>(trace.scans.size()));
        REQUIRE(row.n_values >= 1 && row.byte < file.size());
    }
    for (const auto& row : trace.symbols) {
        REQUIRE(row.byte < end && row.byte + (row.bit + row.n_bits - 1) / 8 >= begin);
    }
}

std::vector<CoefficientPlane> planes_of(const Grammar& grammar, Bytes file, const Status& verdict) {
    std::vector<CoefficientPlane> planes;
    const Status status = pycodec_lm::jpeg::read_coefficients(
        grammar, file.data(), file.size(), kMaxPlaneBytes, planes
    );
    if (status.code == Code::kTooLarge) return {};
    REQUIRE(status == verdict);
    if (!status) return {};
    for (const CoefficientPlane& plane : planes)
        REQUIRE(plane.values.size() == size_t{64} * plane.blocks_wide * plane.blocks_high);
    return planes;
}

bool are_same(const std::vector<CoefficientPlane>& a, const std::vector<CoefficientPlane>& b) {
    return std::equal(
        a.begin(), a.end(), b.begin(), b.end(),
        [](const CoefficientPlane& x, const CoefficientPlane& y) {
            return x.blocks_wide == y.blocks_wide && x.blocks_high == y.blocks_high &&
                   x.values == y.values;
        }
    );
}

bool is_progressive(const Grammar& grammar, Bytes file) {
    pycodec_lm::jpeg::JpegCursor cursor(grammar);
    for (const uint8_t byte : file) {
        if (cursor.in_scan() || !cursor.accept(byte)) break;
    }
    return cursor.header().frame.is_progressive();
}

/// A valid file under its own header says the same again.
void check_pinned(const Grammar& grammar, Bytes file, const std::vector<CoefficientPlane>& planes) {
    const auto like = pycodec_lm::jpeg::pin_like(grammar, file.data(), file.size());
    REQUIRE(bool(like.status));
    const auto pinned = std::make_shared<JpegGrammar>();
    pinned->abbreviated = grammar->abbreviated;
    pinned->outside = grammar->outside;
    pinned->pinned = like.chunks;
    const Status pinnable = pycodec_lm::jpeg::check_pinned(pinned);
    // Some refinements can be coded after some first scans only.
    if (pinnable.code == pycodec_lm::Code::kHuffmanTableUnusable) return;
    REQUIRE(bool(pinnable));
    if (is_progressive(grammar, file)) return;  // transcode() writes sequential scans
    std::vector<uint8_t> again;
    const Status status =
        pycodec_lm::jpeg::transcode(grammar, file.data(), file.size(), pinned, again);
    REQUIRE(bool(status));
    const CheckResult result = check(pinned, again.data(), again.size());
    REQUIRE(bool(result.status) && result.trailing_bytes == 0);
    REQUIRE(are_same(planes, planes_of(pinned, again, {})));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t n_bytes) {
    auto [choices, grammar, file] = fuzzing::Subject(Bytes(data, n_bytes));
    const CheckResult result = check(grammar, file.data(), file.size());

    check_trace(grammar, file, result, choices);
    const std::vector<CoefficientPlane> planes = planes_of(grammar, file, result.status);
    pycodec_lm::jpeg::SymbolCounts counts{};
    REQUIRE(
        pycodec_lm::jpeg::count_symbols(grammar, file.data(), file.size(), counts) == result.status
    );
    const auto like = pycodec_lm::jpeg::pin_like(grammar, file.data(), file.size());
    REQUIRE(like.status == result.status);
    if (result.status && !planes.empty() && !grammar->is_pinned())
        check_pinned(grammar, file, planes);
    pycodec_lm::jpeg::Tables tables;
    static_cast<void>(pycodec_lm::jpeg::read_tables(file.data(), file.size(), tables));
    return 0;
}
