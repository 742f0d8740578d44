// Table contents and text taken whole: twin of the cursor's field by field walk (legal.cpp,
// stream.cpp). It only ever says yes; what is not in order, and all that is rare, is left to the
// fields.
#include <algorithm>

#include "jpeg/cursor.hpp"

namespace pycodec_lm::jpeg {
namespace {

/// T.81 C.2: the codes fit, and the one of all 1-bits is free.
bool is_code(std::span<const uint8_t, 16> bits) {
    uint32_t next_code = 0;
    for (size_t i = 0; i < bits.size(); ++i) {
        const uint32_t all_ones = (1u << (i + 1)) - 1;
        next_code += bits[i];
        if (next_code > all_ones) return false;
        next_code <<= 1;
    }
    return true;
}

}  // namespace

size_t JpegCursor::accept_contents(const uint8_t* data, size_t n_bytes) {
    Position& p = position_;
    const bool is_text = p.at == Element::kApi || p.at == Element::kCmi;
    const bool is_table_start = p.index == 0 && (p.at == Element::kQk || p.at == Element::kLi);
    if ((!is_text && !is_table_start) || n_bytes == 0 || !grammar_->has_free_contents()) return 0;
    if (is_text) {
        n_bytes = std::min<size_t>(n_bytes, p.segment_left);
        p.index = 1;
        p.segment_left = static_cast<uint16_t>(p.segment_left - n_bytes);
        if (p.segment_left == 0) expect_marker();
    } else if (p.at == Element::kQk) {
        n_bytes = take_quantization_table(data, n_bytes);
    } else {
        n_bytes = take_huffman_table(data, n_bytes);
    }
    p.offset += n_bytes;
    return n_bytes;
}

size_t JpegCursor::take_quantization_table(const uint8_t* data, size_t n_bytes) {
    Position& p = position_;
    if (p.precision_bits != 8 || n_bytes < kBlockSize) return 0;
    if (std::find(data, data + kBlockSize, 0) != data + kBlockSize) return 0;
    p.index = kBlockSize - 1;
    p.segment_left = static_cast<uint16_t>(p.segment_left - (kBlockSize - 1));
    take(data[kBlockSize - 1]);
    return kBlockSize;
}

size_t JpegCursor::take_huffman_table(const uint8_t* data, size_t n_bytes) {
    Position& p = position_;
    constexpr size_t kLengths = 16;
    if (n_bytes < kLengths) return 0;
    const std::span<const uint8_t, kLengths> bits(data, kLengths);
    size_t n_codes = 0;
    for (const uint8_t n : bits) n_codes += n;
    if (n_codes > segment_.values.size() || n_codes > p.segment_left ||
        n_bytes < kLengths + n_codes) {
        return 0;
    }
    const size_t rest = p.segment_left - n_codes;
    if ((rest > 0 && rest < smallest_table_bytes()) || !is_code(bits)) return 0;
    const auto values = std::span(data + kLengths, n_codes);
    if (p.table_class == 0 &&
        std::any_of(values.begin(), values.end(), [](uint8_t v) { return v > kMaxDcSymbol; })) {
        return 0;
    }
    std::copy(bits.begin(), bits.end(), segment_.bits.begin());
    std::copy(values.begin(), values.end(), segment_.values.begin());
    p.n_codes = static_cast<uint16_t>(n_codes);
    p.segment_left = static_cast<uint16_t>(rest);
    end_huffman_table();
    return kLengths + n_codes;
}

}  // namespace pycodec_lm::jpeg
