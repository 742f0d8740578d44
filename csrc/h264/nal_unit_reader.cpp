#include "h264/nal_unit_reader.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "h264/block_reader.hpp"
#include "h264/cabac_slice_reader.hpp"
#include "h264/field_reader.hpp"

namespace pycodec_lm::h264 {
namespace {

constexpr size_t kPadding = 16;
constexpr int kHeaderBits = 16;  // given to a field of the header at once
constexpr int kDataBits = 56;
// No block that is read at once has more: 16 + 16 * (15 + 12) + 9 + 15 * 3.
constexpr uint32_t kMaxBlockBits = 512;

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
    cursor.end_nal_unit(cursor.offset() + n_taken);
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

/// 57 bits and more from a bit on, at the top.
inline uint64_t NalUnitReader::bits_at(uint64_t at) const {
    uint64_t word;
    std::memcpy(&word, rbsp_.data() + (at >> 3), sizeof word);
    if constexpr (std::endian::native == std::endian::little) word = __builtin_bswap64(word);
    return word << (at & 7);
}

/// What BlockReader reads: bits from here on, and zeros behind the end.
class NalUnitReader::Bits {
public:
    explicit Bits(const NalUnitReader& reader) : reader_(reader), at_(reader.at_) {}

    uint64_t at() const { return at_; }
    uint64_t here() const { return reader_.bits_at(at_); }
    int n_left() const { return INT32_MAX; }
    bool has(int) const { return true; }
    void skip(int n) { at_ += static_cast<uint64_t>(n); }

private:
    const NalUnitReader& reader_;
    uint64_t at_;
};

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
        const auto bits = static_cast<unsigned>(bits_at(at_) >> (64 - kHeaderBits));
        const int n = cursor.take_bits(bits, kHeaderBits);
        at_ += static_cast<uint64_t>(n);
        if (n == 0) return false;
    }
    if (p.limits.has_cabac && cursor.is_in_slice()) return take_cabac_data(cursor);
    while (true) {
        if (p.at == Element::kCoeffToken && p.n_partial == 0 && !take_blocks(cursor)) return false;
        if (p.at < Element::kMbSkipRun || at_ >= end_) break;
        p.may_end = false;
        const int n_bits = static_cast<int>(std::min<uint64_t>(kDataBits, end_ - at_));
        const int n = AvcCursor::FieldReader(cursor, bits_at(at_), n_bits).take();
        if (n == 0) return false;
        at_ += static_cast<uint64_t>(n);
    }
    return at_ == end_ && (p.at == Element::kRbspTrailingBits || p.may_end);
}

bool NalUnitReader::take_cabac_data(AvcCursor& cursor) {
    auto& p = cursor.position_;
    while (p.at == Element::kCabacAlignmentOneBit) {
        if (at_ >= end_ || !cursor.take_bit(bits_at(at_) >> 63)) return false;
        ++at_;
    }
    const size_t first = at_ / 8;
    if (at_ % 8 != 0 || first >= n_bytes_) return false;
    return CabacSliceReader(cursor, rbsp_.data() + first, n_bytes_ - first, end_ - at_).take();
}

/// The residual blocks of a macroblock from the one that is due, as far as they are common; false
/// where they go past the end.
bool NalUnitReader::take_blocks(AvcCursor& cursor) {
    auto& p = cursor.position_;
    Macroblock& mb = p.mb;
    const uint32_t macroblock = p.next_mb;
    while (p.next_mb == macroblock && p.at == Element::kCoeffToken) {
        if (!cursor.is_bit_limit_far(kMaxBlockBits)) return true;
        Bits bits(*this);
        BlockReader block(bits, mb);
        if (block.read(Element::kCoeffToken) != BlockEnd::kWhole) return true;
        if (bits.at() > end_) return false;
        cursor.take_block(static_cast<int>(bits.at() - at_), block.total());
        at_ = bits.at();
    }
    return true;
}

}  // namespace pycodec_lm::h264
