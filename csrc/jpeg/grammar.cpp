#include "jpeg/grammar.hpp"

#include <algorithm>

#include "jpeg/cursor.hpp"
#include "jpeg/markers.hpp"

namespace pycodec_lm::jpeg {

bool JpegGrammar::fixes_quantization() const {
    return std::any_of(quantization.begin(), quantization.end(), [](const auto& t) {
        return t.has_value();
    });
}

bool JpegGrammar::fixes_huffman() const {
    for (const auto& tables : huffman) {
        for (const auto& table : tables) {
            if (table) return true;
        }
    }
    return false;
}

uint8_t JpegGrammar::quantization_slot_of(int component) const {
    uint8_t slot = 0;
    for (int i = 0; i < kTableSlots && i <= component; ++i) {
        if (quantization[static_cast<size_t>(i)]) slot = static_cast<uint8_t>(i);
    }
    return slot;
}

PinnedChunks pin_like(
    std::shared_ptr<const JpegGrammar> standard, const uint8_t* data, size_t n_bytes
) {
    standard = with_known_lines(std::move(standard), data, n_bytes);
    PinnedChunks result;
    JpegCursor cursor(std::move(standard));
    result.chunks.emplace_back();
    bool was_in_scan = false;
    for (size_t i = 0; i < n_bytes && !cursor.is_complete(); ++i) {
        const bool stuffing = cursor.is_stuffing_due();
        const bool had_prefix =
            cursor.element() == Element::kMarker || (cursor.element() == Element::kSoi && i > 0);
        const bool fill = had_prefix && data[i] == marker::kPrefix;
        if (result.status = cursor.push(data[i]); !result.status) return result;
        if (!was_in_scan && !stuffing && !fill) result.chunks.back().push_back(data[i]);
        if (was_in_scan && !cursor.in_scan()) result.chunks.emplace_back();
        was_in_scan = cursor.in_scan();
    }
    if (!cursor.is_complete()) {
        result.status = {.code = Code::kTruncated, .element = cursor.element(), .byte = n_bytes};
    }
    return result;
}

std::optional<uint16_t> lines_of(const std::vector<std::vector<uint8_t>>& pinned) {
    constexpr size_t kSegmentBytes = 6;  // the marker, Ld, NL
    if (pinned.size() < 2 || pinned[1].size() < kSegmentBytes) return std::nullopt;
    const std::vector<uint8_t>& chunk = pinned[1];
    if (chunk[0] != marker::kPrefix || chunk[1] != marker::kDnl) return std::nullopt;
    return static_cast<uint16_t>(chunk[4] << 8 | chunk[5]);
}

Status check_pinned(std::shared_ptr<const JpegGrammar> grammar) {
    JpegCursor cursor(grammar);
    for (size_t i = 0; i < grammar->pinned.size(); ++i) {
        for (const uint8_t byte : grammar->pinned[i]) {
            if (const Status status = cursor.push(byte); !status) return status;
        }
        if (cursor.is_complete() && i + 1 == grammar->pinned.size()) return {};
        if (!cursor.in_scan()) break;
        const ScanPlan& plan = *cursor.header().scan;
        // What refinements have to end hangs on what is still to be chosen.
        if (plan.kind() == ScanKind::kAcRefinement &&
            plan.band().paths().least_run() > plan.least_interval_mcus()) {
            return {
                .code = Code::kHuffmanTableUnusable,
                .element = Element::kTaj,
                .value = plan.component(0).ac_slot,
                .byte = cursor.offset(),
            };
        }
        cursor = cursor.at_scan_end();
    }
    return {.code = Code::kTruncated, .element = cursor.element(), .byte = cursor.offset()};
}

std::shared_ptr<const JpegGrammar> with_known_lines(
    std::shared_ptr<const JpegGrammar> grammar, const uint8_t* data, size_t n_bytes
) {
    JpegCursor cursor(grammar);
    for (size_t i = 0; i < n_bytes && !cursor.is_complete(); ++i) {
        if (!cursor.push(data[i])) break;
        const Frame& frame = cursor.header().frame;
        if (!frame.is_present() || frame.is_open()) continue;
        if (cursor.header().n_scans == 0) break;  // the frame header gave it
        auto known = std::make_shared<JpegGrammar>(*grammar);
        known->known_lines = frame.height_px;
        return known;
    }
    return grammar;
}

Status read_tables(const uint8_t* data, size_t n_bytes, Tables& tables) {
    auto grammar = std::make_shared<JpegGrammar>();
    grammar->abbreviated = true;
    JpegCursor cursor(grammar);
    for (size_t i = 0; i < n_bytes && !cursor.is_complete(); ++i) {
        if (const Status status = cursor.push(data[i]); !status) return status;
    }
    tables = cursor.header().tables;
    if (cursor.is_complete()) return {};
    return {.code = Code::kTruncated, .element = cursor.element(), .byte = n_bytes};
}

}  // namespace pycodec_lm::jpeg
