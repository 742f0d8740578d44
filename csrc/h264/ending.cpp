// The shortest known ending of a stream: bit by bit, towards the cheapest value of each field.
//
// An intra macroblock without coefficients has 8 bits, a run of skipped ones of any length a few;
// so a picture that may have P slices is ended with one.
#include <algorithm>
#include <bit>
#include <limits>
#include <stdexcept>

#include "h264/cursor.hpp"
#include "h264/residual_tables.hpp"

namespace pycodec_lm::h264 {
namespace {

constexpr int64_t kFlatIntra = 3;       // I_16x16_2_0_0, Table 7-11
constexpr int64_t kFlatIntraInP = 8;    // behind the five P types
constexpr int64_t kNoPatternIntra = 3;  // coded_block_pattern 0, Table 9-4
// Another slice takes about as many bytes.
constexpr uint32_t kManyMacroblocks = 16;

}  // namespace

bool AvcCursor::is_complete() const {
    const Position& p = position_;
    if (p.at != Element::kStartCode && (!p.ended.is_alive || is_in_slice())) return false;
    if (is_in_pinned_bytes() || (grammar_->n_pictures && !is_stream_full())) return false;
    return p.phase == Phase::kAfter || p.phase == Phase::kEndOfSequence ||
           p.phase == Phase::kEndOfStream;
}

/// With so many macroblocks left behind it, the I slice ends sooner than its picture.
bool AvcCursor::prefers_another_slice(uint32_t next_mb) const {
    return grammar_->slicing == Slicing::kAny && !grammar_->is_pinned() &&
           position_.slice.type == SliceType::kI && may_be_p_slice() && !is_p_excluded() &&
           sps().frame_mbs() - next_mb > kManyMacroblocks;
}

/// All slices of the picture are I slices, by the slice_type of one.
bool AvcCursor::is_p_excluded() const { return context_->has_one_slice_type; }

/// The value to go for, where it is not the one with the shortest code or the smallest.
std::optional<int64_t> AvcCursor::wanted_value() const {
    const Position& p = position_;
    switch (p.at) {
        case Element::kNalRefIdc:
            return wanted_nal_header().nal_ref_idc;
        case Element::kNalUnitType:
            return wanted_nal_header().nal_unit_type;
        case Element::kSeqParameterSetId:
            if (p.nal_unit_type != nal::kPps) return std::nullopt;
            return context_->sets->first_sps_id();
        case Element::kDeltaScale:
            return p.number > 128 ? 256 - p.number : -p.number;  // nextScale 0: no more of them
        case Element::kPayloadType:
        case Element::kSeiPayload:
        case Element::kNalPayload:
            return 128;  // not to be escaped
        case Element::kSliceType:
            return 0;
        case Element::kModificationOfPicNumsIdc:
            return 3;
        case Element::kMbSkipRun:
            return n_mbs_of_slice_left();
        case Element::kMbType:
            return p.slice.type == SliceType::kI ? kFlatIntra : kFlatIntraInP;
        case Element::kPrevIntra4x4PredModeFlag:
            return 1;
        case Element::kPcmSampleLuma:
        case Element::kPcmSampleChroma:
            return 128;
        case Element::kCodedBlockPattern:
            return p.mb.kind == MbKind::kInter ? 0 : kNoPatternIntra;
        default:
            return std::nullopt;
    }
}

/// nal_ref_idc and nal_unit_type of the unit that leads to a whole picture soonest, or past it.
AvcCursor::NalHeader AvcCursor::wanted_nal_header() const {
    const Position& p = position_;
    const Context& c = *context_;
    if (p.phase == Phase::kPicture) return {c.first_slice.nal_ref_idc, c.first_slice.nal_unit_type};
    // A slice, or what it lacks; where its start code is too short, what needs no longer one.
    const NalHeader candidates[] = {
        {grammar_->p.nal_ref_idc, nal::kSlice},
        {0, nal::kSlice},
        {1, nal::kSlice},
        {std::max<uint8_t>(grammar_->idr.nal_ref_idc, 1), nal::kIdrSlice},
        {1, c.sets->has_sps() ? nal::kPps : nal::kSps},
        {0, nal::kEndOfSequence},
        {0, nal::kSei},
    };
    const bool is_type_due = p.at == Element::kNalUnitType;
    for (const NalHeader& header : candidates) {
        if (is_type_due && (header.nal_ref_idc != 0) != (p.nal_ref_idc != 0)) continue;
        if (is_legal_nal_header(header.nal_unit_type, header.nal_ref_idc)) return header;
    }
    return {
        p.nal_ref_idc, static_cast<uint8_t>(*legal_nal_unit_types(p.nal_ref_idc).lowest_in(0, 31))
    };
}

/// The symbol of the code in force, of those below its node, that is cheapest with what follows.
int AvcCursor::wanted_row() const {
    const Position& p = position_;
    const Macroblock& mb = p.mb;
    const PrefixCode& code = *field().code;
    int best = 0;
    int least = INT32_MAX;
    for (uint64_t left = code.node(p.node).symbols & legal_rows(); left != 0; left &= left - 1) {
        const int row = std::countr_zero(left);
        const int n_bits = code.length(row) + least_bits_after_row(mb, p.at, row);
        if (n_bits >= least) continue;
        least = n_bits;
        best = row;
    }
    return best;
}

/// The next bit of the ending.
bool AvcCursor::ending_bit() const {
    const Position& p = position_;
    const Field how = field();
    bool bit = false;
    switch (how.spelling) {
        case Spelling::kNumber: {
            const auto wanted = wanted_value();
            const int n_left = how.n_bits - p.n_partial - 1;
            if (wanted) bit = (*wanted >> n_left) & 1;
            break;
        }
        case Spelling::kUe:
        case Spelling::kSe: {
            // The shortest code, of these the smallest, but for what is wanted.
            bit = p.partial == 0;
            const auto wanted = wanted_value();
            if (!wanted) break;
            const uint64_t code_num = how.spelling == Spelling::kUe ? static_cast<uint64_t>(*wanted)
                                      : *wanted > 0 ? static_cast<uint64_t>(2 * *wanted - 1)
                                                    : static_cast<uint64_t>(-2 * *wanted);
            const uint64_t code = code_num + 1;
            const int n_bits = 2 * static_cast<int>(std::bit_width(code)) - 1;
            const int n_left = n_bits - p.n_partial;
            if (n_left > 0 && code >> n_left == p.partial) bit = (code >> (n_left - 1)) & 1;
            break;
        }
        case Spelling::kFlipped:
        case Spelling::kUnary:
            bit = true;
            break;
        case Spelling::kCode: {
            const int child = how.code->node(p.node).children[1];
            bit = (how.code->symbols_below(child) >> wanted_row()) & 1;
            break;
        }
        case Spelling::kTrailing:
            bit = p.n_partial == 0;
            break;
        case Spelling::kZeros:
            break;
    }
    AvcCursor next = *this;
    next.position_.may_end = false;
    return next.take_bit(bit) ? bit : !bit;
}

/// The first byte of the ending; the stream must not be complete.
uint8_t AvcCursor::ending_byte() const {
    const Position& p = position_;
    if (is_in_pinned_bytes()) return grammar_->pinned[p.offset];
    if (p.at == Element::kStartCode && has_short_start_codes())
        return p.n_zeros < n_start_zeros() ? 0 : 1;
    if (p.at == Element::kStartCode) return p.n_zeros >= (is_short_start_enough() ? 2 : 3) ? 1 : 0;
    if (p.ended.is_alive && prefers_end())
        return p.ended.n_zeros == 2 && is_short_start_enough() ? 1 : 0;
    AvcCursor at = *this;
    unsigned byte = 0;
    for (int n_left = 8; n_left > 0; --n_left) {
        Position& next = at.position_;
        if (next.may_end && !p.after_emulation && at.prefers_end_here()) {
            // rbsp_trailing_bits() up to the end of the byte.
            byte = (byte << n_left) | (1u << (n_left - 1));
            break;
        }
        next.may_end = false;
        // After 00 00 03 six zeros come.
        const bool bit = p.after_emulation && n_left > 2 ? false : at.ending_bit();
        at.take_bit(bit);
        byte = (byte << 1) | bit;
    }
    if (p.n_zeros == 2 && !p.after_emulation && byte <= 3) return 3;
    return static_cast<uint8_t>(byte);
}

/// A slice may come next after a start code of three bytes.
bool AvcCursor::is_short_start_enough() const {
    if (position_.phase == Phase::kPicture || is_in_slice()) return true;
    AvcCursor at = *this;
    at.position_.has_zero_byte = false;
    return at.is_legal_nal_unit_type(nal::kSlice, 0) || at.is_legal_nal_unit_type(nal::kSlice, 1) ||
           at.is_legal_nal_unit_type(nal::kIdrSlice, 1);
}

/// The reading that the RBSP ended is the one to go on with.
bool AvcCursor::prefers_end() const {
    return !is_in_slice() || prefers_another_slice(position_.ended.next_mb);
}

/// The RBSP may end before the next bit, and should.
bool AvcCursor::prefers_end_here() const {
    return !is_in_slice() || prefers_another_slice(position_.next_mb);
}

void AvcCursor::complete(std::vector<uint8_t>& out, uint64_t limit) const {
    AvcCursor cursor = *this;
    for (uint64_t n = 0; n < limit && !cursor.is_complete(); ++n) {
        const uint8_t byte = cursor.ending_byte();
        cursor.accept_ending(byte);
        out.push_back(byte);
    }
}

/// A byte of the ending, which is never refused: this would be a defect.
void AvcCursor::accept_ending(uint8_t byte) {
    if (!accept(byte)) throw std::logic_error("the ending is refused " + describe());
}

uint64_t AvcCursor::bytes_to_complete() const {
    AvcCursor cursor = *this;
    const Position& p = cursor.position_;
    const uint64_t start = p.offset;
    const auto& behind = grammar_->bytes_behind_pictures;
    uint32_t first_flat_mb = p.next_mb;
    uint64_t slice = p.n_slices;
    while (!cursor.is_complete()) {
        const bool is_between = p.at == Element::kStartCode && p.phase == Phase::kAfter;
        if (is_between && p.n_zeros == 0 && p.n_pictures < behind.size())
            return p.offset - start + behind[p.n_pictures];
        cursor.accept_ending(cursor.ending_byte());
        if (p.n_slices != slice) {
            slice = p.n_slices;
            first_flat_mb = p.next_mb;
        }
        if (cursor.is_flat_behind(first_flat_mb)) cursor.skip_flat_macroblocks();
    }
    return p.offset - start;
}

/// In an I slice all that the next macroblocks look at is flat, so each of them takes the same
/// byte.
bool AvcCursor::is_flat_behind(uint32_t first_flat_mb) const {
    const Position& p = position_;
    return is_in_slice() && p.slice.type == SliceType::kI && p.at >= Element::kMbType &&
           p.next_mb > first_flat_mb + sps().width_mbs + 2;
}

/// All but the last two macroblocks of the slice, as endings have them: 8 bits each (none of which
/// makes two bytes of zeros).
void AvcCursor::skip_flat_macroblocks() {
    const uint32_t n_left = n_mbs_of_slice_left();
    if (n_left <= 2) return;
    position_.next_mb += n_left - 2;
    position_.offset += n_left - 2;
}

/// Of pinned grammars, whose sizes are known once the first slice has come: each macroblock, slice
/// and picture that is left takes at most so many bytes to end.
uint64_t AvcCursor::ending_bound(uint64_t /*n_bytes*/) const {
    constexpr uint64_t kNone = std::numeric_limits<uint64_t>::max();
    // The largest macroblock, its bits whole bytes, and one in two of them 03: too many, but safe.
    constexpr uint64_t kMacroblockBegun = kMaxMacroblockBits / 8 * 2;
    constexpr uint64_t kFlatMacroblock = 4;  // at most 20 bits, wherever its neighbours are full
    constexpr uint64_t kSliceHeader = 40;    // with start code, and a run of skipped macroblocks
    if (!grammar_->is_pinned() || !grammar_->n_pictures || context_->sps == nullptr) return kNone;
    const Position& p = position_;
    const uint64_t n_mbs = sps().frame_mbs();
    const uint64_t slices_a_picture = grammar_->slicing == Slicing::kMacroblock ? n_mbs : 1;
    const uint64_t n_pictures = *grammar_->n_pictures - p.n_pictures;
    return kMacroblockBegun + n_pictures * slices_a_picture * kSliceHeader +
           n_mbs * kFlatMacroblock;
}

}  // namespace pycodec_lm::h264
