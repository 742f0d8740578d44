#include "h264/nal_unit_reader.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "h264/cavlc_lookup.hpp"
#include "h264/field_reader.hpp"

namespace pycodec_lm::h264 {
namespace {

constexpr size_t kPadding = 16;
constexpr int kHeaderBits = 16;  // given to a field of the header at once
constexpr int kDataBits = 56;
constexpr int kUnknown = -1;
// No block has more bits, with the cheapest way on from it: see read_block().
constexpr uint32_t kMaxBlockBits = 1200;

/// The first element of a slice, a parameter set or SEI.
bool is_known(Element element) {
    return element == Element::kFirstMbInSlice || element == Element::kProfileIdc ||
           element == Element::kPicParameterSetId || element == Element::kPayloadType;
}

/// Bytes up to 00 00 00 or 00 00 01; all of them where neither comes.
size_t n_bytes_of_nal_unit(const uint8_t* data, size_t n_bytes) {
    size_t i = 2;
    while (i < n_bytes) {
        if (data[i] > 1) {
            i += 3;
        } else if (data[i - 1] == 0 && data[i - 2] == 0) {
            return i - 2;
        } else {
            ++i;
        }
    }
    return n_bytes;
}

}  // namespace

size_t NalUnitReader::take(AvcCursor& cursor, const uint8_t* data, size_t n_bytes) {
    if (!is_known(cursor.element())) return 0;
    const size_t n_taken = n_bytes_of_nal_unit(data, n_bytes);
    if (cursor.is_in_pinned_bytes() || !unescape(data, n_taken)) return 0;
    const AvcCursor before = cursor;
    if (cursor.position_.nal_unit_type == nal::kSps) {
        auto& sps = cursor.context_.edit().draft.sps;
        sps.rbsp.assign(rbsp_.begin(), rbsp_.begin() + static_cast<std::ptrdiff_t>(n_bytes_));
    }
    const bool is_whole = take_fields(cursor);
    // Where more might come, a start code has to show that nothing does.
    const bool is_end_sure = n_taken < n_bytes || cursor.element() == Element::kRbspTrailingBits;
    if (!is_whole || !is_end_sure) {
        cursor = before;
        return 0;
    }
    cursor.end_nal_unit();
    cursor.position_.offset += n_taken;
    return n_taken;
}

/// The RBSP without emulation prevention; false where that is not as it should be.
bool NalUnitReader::unescape(const uint8_t* data, size_t n_bytes) {
    if (n_bytes == 0 || data[n_bytes - 1] == 0) return false;
    rbsp_.resize(n_bytes + kPadding);
    size_t n = 0;
    int n_zeros = 0;
    for (size_t i = 0; i < n_bytes; ++i) {
        const uint8_t byte = data[i];
        if (n_zeros == 2 && byte <= 3) {
            if (byte != 3 || i + 1 == n_bytes || data[i + 1] > 3) return false;
            n_zeros = 0;
            continue;
        }
        n_zeros = byte == 0 ? n_zeros + 1 : 0;
        rbsp_[n++] = byte;
    }
    std::memset(rbsp_.data() + n, 0, kPadding);
    n_bytes_ = n;
    at_ = 0;
    end_ = 8 * n - 1 - static_cast<uint64_t>(std::countr_zero(rbsp_[n - 1]));
    return true;
}

/// 57 bits and more from here, at the top.
inline uint64_t NalUnitReader::bits_here() const {
    uint64_t word;
    std::memcpy(&word, rbsp_.data() + (at_ >> 3), sizeof word);
    if constexpr (std::endian::native == std::endian::little) word = __builtin_bswap64(word);
    return word << (at_ & 7);
}

/// The RBSP, but for its trailing bits; false where not all is legal.
bool NalUnitReader::take_fields(AvcCursor& cursor) {
    auto& p = cursor.position_;
    while (p.at < Element::kMbSkipRun && p.at != Element::kRbspTrailingBits && at_ < end_) {
        p.may_end = false;
        if (p.at == Element::kSeiPayload) {  // any bytes
            const uint64_t n_bits = 8 * (p.n_payload - 1);
            if (n_bits > end_ - at_) return false;
            at_ += n_bits;
            p.n_payload = 1;
        }
        const auto bits = static_cast<unsigned>(bits_here() >> (64 - kHeaderBits));
        const int n = cursor.take_bits(bits, kHeaderBits);
        at_ += static_cast<uint64_t>(n);
        if (n == 0) return false;
    }
    while (true) {
        if (p.at == Element::kCoeffToken && p.n_partial == 0 && !take_blocks(cursor)) return false;
        if (p.at < Element::kMbSkipRun || at_ >= end_) break;
        p.may_end = false;
        const int n_bits = static_cast<int>(std::min<uint64_t>(kDataBits, end_ - at_));
        const int n = AvcCursor::FieldReader(cursor, bits_here(), n_bits).take();
        if (n == 0) return false;
        at_ += static_cast<uint64_t>(n);
    }
    return at_ == end_ && (p.at == Element::kRbspTrailingBits || p.may_end);
}

/// The residual blocks of a macroblock from the one that is due, as far as they are common; false
/// where they go past the end.
bool NalUnitReader::take_blocks(AvcCursor& cursor) {
    auto& p = cursor.position_;
    Macroblock& mb = p.mb;
    const uint32_t macroblock = p.next_mb;
    while (p.next_mb == macroblock && p.at == Element::kCoeffToken) {
        if (mb.n_bits + kMaxBlockBits > kMaxMacroblockBits) return true;
        const uint64_t start = at_;
        const int total = read_block(mb.coeff_table, mb.max_coeff);
        if (total == kUnknown) {
            at_ = start;
            return true;
        }
        if (at_ > end_) return false;
        cursor.count_bits(static_cast<int>(at_ - start));
        cursor.note_total_coeff(static_cast<uint8_t>(total));
        cursor.end_block();
    }
    return true;
}

/// residual_block_cavlc(), 7.3.5.3.2: its total_coeff, or kUnknown where a field of it is not legal
/// or rare. At most 16 + 16 * (15 + 12) + 9 + 15 * 3 bits.
int NalUnitReader::read_block(int coeff_table, int max_coeff) {
    uint64_t word = bits_here();
    const CodeEntry& token = kCoeffTokens8[static_cast<size_t>(coeff_table)][word];
    if (token.length == 0) return kUnknown;
    const CoeffTokenRow& row = kTable9_5[token.symbol];
    const int total = row.total_coeff;
    at_ += token.length;
    if (total == 0) return 0;
    if (total > max_coeff) return kUnknown;
    at_ += row.trailing_ones;  // their signs
    int suffix_length = total > 10 && row.trailing_ones < 3 ? 1 : 0;
    for (int i = row.trailing_ones; i < total; ++i) {
        word = bits_here();
        const int prefix = std::countl_zero(word);
        if (prefix >= 15) return kUnknown;
        const int n_suffix = prefix == 14 && suffix_length == 0 ? 4 : suffix_length;
        const auto suffix =
            n_suffix == 0 ? 0 : static_cast<int>(word << (prefix + 1) >> (64 - n_suffix));
        at_ += static_cast<uint64_t>(prefix + 1 + n_suffix);
        int code = (prefix << suffix_length) + suffix;
        if (i == row.trailing_ones && row.trailing_ones < 3) code += 2;
        const int magnitude = (code + 2) / 2;
        if (suffix_length == 0) suffix_length = 1;
        if (magnitude > 3 << (suffix_length - 1) && suffix_length < 6) ++suffix_length;
    }
    if (total == max_coeff) return total;
    word = bits_here();
    const auto index = static_cast<size_t>(total - 1);
    const CodeEntry& zeros =
        max_coeff == 4 ? kChromaDcTotalZeros3[index][word] : kTotalZeros9[index][word];
    if (zeros.length == 0 || zeros.symbol > max_coeff - total) return kUnknown;
    at_ += zeros.length;
    int zeros_left = zeros.symbol;
    for (int n_runs = total - 1; n_runs > 0 && zeros_left > 0; --n_runs) {
        const CodeEntry& run =
            kRunBefore3[std::min<size_t>(static_cast<size_t>(zeros_left), 7) - 1][bits_here()];
        if (run.length == 0 || run.symbol > zeros_left) return kUnknown;
        at_ += run.length;
        zeros_left -= run.symbol;
    }
    return total;
}

}  // namespace pycodec_lm::h264
