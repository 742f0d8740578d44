// The shortest known ending of a stream: bit by bit, towards the cheapest value of each field.
//
// An intra macroblock without coefficients has 8 bits, a run of skipped ones of any length a few;
// so a picture that may have P slices is ended with one.
#include <algorithm>
#include <bit>
#include <limits>
#include <stdexcept>

#include "h264/cursor.hpp"
#include "h264/exp_golomb.hpp"
#include "h264/residual_tables.hpp"

namespace pycodec_lm::h264 {
namespace {

constexpr int64_t kFlatIntra = 3;       // I_16x16_2_0_0, Table 7-11
constexpr int64_t kNoPatternIntra = 3;  // coded_block_pattern 0, Table 9-4
// Another slice takes about as many bytes.
constexpr uint32_t kManyMacroblocks = 16;

/// Of a portable P slice that skips all its macroblocks: start code, NAL header, slice header with
/// first_mb_in_slice, pic_parameter_set_id up to 56, a weight table of 16 frames that have none and
/// slice_qp_delta up to 51, and the run.
uint64_t most_bytes_of_slice(const Sps& sps) {
    constexpr uint64_t kStartBytes = 5;
    constexpr uint64_t kOtherBits = 7 + 11 + 1 + 9 + 1 + 1 + 34 + 13 + 3 + 1;
    const auto n_mbs_bits = static_cast<uint64_t>(code_length(sps.frame_mbs()));
    // A B slice that is begun says more, and has weights of list 1.
    const uint64_t of_b_bits = sps.obeys_baseline() ? 0 : 1 + 9 + 1 + 32;
    const uint64_t n_bits = kOtherBits + of_b_bits + sps.log2_max_frame_num + 2 * n_mbs_bits;
    return kStartBytes + (n_bits / 8 + 1) * 3 / 2 + 1;
}

}  // namespace

bool AvcCursor::is_complete() const {
    const Position& p = position_;
    if (p.at != Element::kStartCode && (!p.ended.is_alive || is_in_slice())) return false;
    if (is_in_pinned_bytes() || (grammar_->n_pictures && !is_stream_full())) return false;
    if (is_zero_word_due()) return false;
    return p.phase == Phase::kAfter || p.phase == Phase::kEndOfSequence ||
           p.phase == Phase::kEndOfStream;
}

/// With so many macroblocks left behind it, the I slice ends sooner than its picture.
bool AvcCursor::prefers_another_slice(uint32_t next_mb) const {
    return grammar_->slicing == Slicing::kAny && !grammar_->is_pinned() &&
           position_.slice.type == SliceType::kI && may_be_p_slice() &&
           !context_->has_one_slice_type && sps().frame_mbs() - next_mb > kManyMacroblocks;
}

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
        case Element::kMaxNumRefFrames:
            return grammar_->n_pictures > 1u ? 1 : 0;  // for P slices, which may skip
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
            // In P slices nothing hangs on how far it goes.
            return p.limits.is_b ? max_skip_run() : n_mbs_of_slice_left();
        case Element::kMbType:
            return kFlatIntra + p.slice.n_inter_types();
        case Element::kPrevIntra4x4PredModeFlag:
        case Element::kPrevIntra8x8PredModeFlag:
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
    if (grammar_->is_pinned()) return pinned_nal_header();
    // A slice, or what it lacks; where its start code is too short, what needs no longer one.
    const NalHeader candidates[] = {
        {0, nal::kSlice},         {1, nal::kSlice},
        {1, nal::kIdrSlice},      {1, c.sets->has_sps() ? nal::kPps : nal::kSps},
        {0, nal::kEndOfSequence}, {0, nal::kSei},
    };
    const bool is_type_due = p.at == Element::kNalUnitType;
    for (const NalHeader& header : candidates) {
        if (is_type_due && (header.nal_ref_idc != 0) != (p.nal_ref_idc != 0)) continue;
        if (is_legal_nal_header(header.nal_unit_type, header.nal_ref_idc)) return header;
    }
    return {
        p.nal_ref_idc,
        static_cast<uint8_t>(legal_nal_unit_types(p.nal_ref_idc).lowest_in(0, 31).value_or(0))
    };
}

/// The symbol of the code in force, of those below its node, that is cheapest with what follows.
int AvcCursor::wanted_row() const {
    const Position& p = position_;
    const Macroblock& mb = p.mb;
    const PrefixCode& code = *field().code;
    int best = 0;
    int least = INT32_MAX;
    for (uint64_t left = code.symbols_behind(p.partial, p.n_partial) & legal_rows(); left != 0;
         left &= left - 1) {
        const int row = std::countr_zero(left);
        const int n_bits = code.length(row) + least_bits_after_row(mb, p.at, row);
        if (n_bits >= least) continue;
        least = n_bits;
        best = row;
    }
    return best;
}

/// Takes the next bit of the ending.
bool AvcCursor::take_ending_bit() {
    Position& p = position_;
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
                                                                    : code_num_of(*wanted);
            const uint64_t code = code_num + 1;
            const int n_left = code_length(code_num) - p.n_partial;
            if (n_left > 0 && code >> n_left == p.partial) bit = (code >> (n_left - 1)) & 1;
            break;
        }
        case Spelling::kFlipped:
        case Spelling::kUnary:
            bit = true;
            break;
        case Spelling::kCode: {
            const uint64_t rows = how.code->symbols_behind(p.partial << 1 | 1, p.n_partial + 1);
            bit = (rows >> wanted_row()) & 1;
            break;
        }
        case Spelling::kTrailing:
            bit = p.n_partial == 0;
            break;
        case Spelling::kZeros:
            break;
        case Spelling::kBins:
            bit = next_code_bit();
    }
    p.may_end = false;
    if (take_bit(bit)) return bit;
    take_bit(!bit);
    return !bit;
}

/// The first byte of the ending; the stream must not be complete.
uint8_t AvcCursor::ending_byte() const {
    const Position& p = position_;
    if (is_in_pinned_bytes()) return grammar_->pinned[p.offset];
    if (is_zero_word_due()) return p.n_zeros < 2 ? 0 : 3;
    if (p.at == Element::kStartCode && has_short_start_codes())
        return p.n_zeros < n_start_zeros() ? 0 : 1;
    if (p.at == Element::kStartCode) return p.n_zeros >= (is_short_start_enough() ? 2 : 3) ? 1 : 0;
    if (p.ended.is_alive && prefers_end(p.ended.next_mb))
        return p.ended.n_zeros == 2 && is_short_start_enough() ? 1 : 0;
    AvcCursor at = *this;
    unsigned byte = 0;
    for (int n_left = 8; n_left > 0; --n_left) {
        Position& next = at.position_;
        if (next.may_end && !p.after_emulation && at.prefers_end(next.next_mb)) {
            // rbsp_trailing_bits() up to the end of the byte.
            byte = (byte << n_left) | (1u << (n_left - 1));
            break;
        }
        bool bit = false;
        if (p.after_emulation && n_left > 2) {  // after 00 00 03 six zeros come
            next.may_end = false;
            at.take_bit(bit);
        } else {
            bit = at.take_ending_bit();
        }
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

/// Where the RBSP may end, in front of a macroblock if it is a slice's, it should.
bool AvcCursor::prefers_end(uint32_t next_mb) const {
    return !is_in_slice() || prefers_another_slice(next_mb);
}

void AvcCursor::complete(std::vector<uint8_t>& out, uint64_t limit) const {
    AvcCursor cursor = *this;
    cursor.is_looking_ahead_ = true;
    for (uint64_t n = 0; n < limit && !cursor.is_complete();) {
        const auto slice = cursor.ending_of_slice();
        const auto bytes = slice ? slice->bytes : std::vector<uint8_t>{cursor.ending_byte()};
        for (const uint8_t byte : bytes) {
            if (n++ == limit) break;
            cursor.accept_ending(byte);
            out.push_back(byte);
        }
    }
}

/// A byte of the ending, which is never refused: this would be a defect.
void AvcCursor::accept_ending(uint8_t byte) {
    if (!accept(byte)) throw std::logic_error("the ending is refused " + describe());
}

/// Of a regular slicing.
uint64_t AvcCursor::slices_of_picture() const {
    return grammar_->slicing == Slicing::kMacroblock ? sps().frame_mbs() : 1;
}

bool AvcCursor::is_right_behind_picture() const {
    const Position& p = position_;
    return p.at == Element::kStartCode && p.n_zeros == 0 && p.phase == Phase::kAfter &&
           !is_zero_word_due();
}

std::optional<uint64_t> AvcCursor::n_whole_slices() const {
    const Position& p = position_;
    if (is_right_behind_picture()) return p.n_pictures * slices_of_picture();
    const bool is_right_behind_macroblock = p.at == Element::kStartCode && p.n_zeros == 0 &&
                                            p.phase == Phase::kPicture &&
                                            grammar_->slicing == Slicing::kMacroblock;
    if (!is_right_behind_macroblock) return std::nullopt;
    return p.n_pictures * slices_of_picture() + p.next_mb;
}

uint64_t AvcCursor::bytes_to_complete() const {
    AvcCursor cursor = *this;
    cursor.is_looking_ahead_ = true;
    const Position& p = cursor.position_;
    const uint64_t start = p.offset;
    const auto& behind = grammar_->bytes_behind_slices;
    const std::shared_ptr<BytesBehindPicture> shared = context_->behind;
    std::optional<uint64_t> picture_end;
    uint32_t first_flat_mb = p.next_mb;
    uint64_t slice = p.n_slices;
    while (!cursor.is_complete()) {
        const auto n_slices = cursor.n_whole_slices();
        if (n_slices && *n_slices < behind.size()) return p.offset - start + behind[*n_slices];
        if (shared && cursor.is_right_behind_picture() && p.n_pictures == shared->n_pictures) {
            const uint64_t n_bytes = shared->n_bytes;
            if (n_bytes != BytesBehindPicture::kUnknown) return p.offset - start + n_bytes;
            picture_end = p.offset;
        }
        if (const auto ending = cursor.ending_of_slice()) return p.offset - start + ending->n_all;
        cursor.accept_ending(cursor.ending_byte());
        if (p.n_slices != slice) {
            slice = p.n_slices;
            first_flat_mb = p.next_mb;
        }
        if (cursor.is_flat_behind(first_flat_mb)) cursor.skip_flat_macroblocks();
    }
    if (picture_end) shared->n_bytes = p.offset - *picture_end;
    return p.offset - start;
}

/// In an I slice all that the next macroblocks look at is flat, so each of them takes the same
/// byte.
bool AvcCursor::is_flat_behind(uint32_t first_flat_mb) const {
    const Position& p = position_;
    return is_in_slice() && !p.limits.has_cabac && p.slice.type == SliceType::kI &&
           p.at >= Element::kMbType && p.next_mb > first_flat_mb + sps().width_mbs + 2;
}

/// All but the last two macroblocks of the slice, as endings have them: 8 bits each (none of which
/// makes two bytes of zeros).
void AvcCursor::skip_flat_macroblocks() {
    const uint32_t n_left = n_mbs_of_slice_left();
    if (n_left <= 2) return;
    move_on(n_left - 2);
    position_.offset += n_left - 2;
}

/// Bits that the macroblock begun takes at most to its end, if each field goes for its cheapest
/// value.
uint64_t AvcCursor::most_bits_of_macroblock() const {
    const Position& p = position_;
    const Macroblock& mb = p.mb;
    constexpr uint64_t kPcmBits = 8 * 385;
    constexpr uint64_t kEmptyBlockBits = 6;
    constexpr uint64_t kBegunFieldBits = 32;
    // An empty I_16x16 macroblock whose mb_type says that all blocks are coded.
    constexpr uint64_t kFromMbTypeBits = kBegunFieldBits + 5 + 27 * kEmptyBlockBits;
    if (p.limits.has_cabac) return std::max<uint64_t>(kPcmBits, kFarCabacBits);
    switch (p.at) {
        case Element::kMbSkipRun:
            // A run that is begun may end before the slice: then a flat macroblock, and a run.
            return p.n_partial == 0 ? kBegunFieldBits : 2 * kBegunFieldBits + 32;
        case Element::kMbType:
            // Five bits may be those of I_PCM only.
            return p.n_partial >= 5 ? kPcmBits : kFromMbTypeBits;
        default:
            break;
    }
    if (p.at < Element::kCoeffToken) {
        if (mb.kind == MbKind::kPcm) return kPcmBits;
        // 4 sub_mb_type and 4 ref_idx of at most 16 bits and 32 mvd; or 16 modes and the rest.
        return kFromMbTypeBits + 128;
    }
    const auto n_blocks_behind =
        static_cast<uint64_t>(std::popcount(mb.coded_blocks >> mb.block >> 1));
    // Levels of 7 bits, total_zeros of 9, runs of 3.
    const uint64_t n_coeffs = p.at == Element::kCoeffToken ? 16 : mb.total;
    return kBegunFieldBits + n_coeffs * 10 + 9 + n_blocks_behind * kEmptyBlockBits;
}

/// Of pinned grammars with so many pictures, and of portable ones whose size is known too: a
/// picture with its last slice takes at most so many bytes to end, wherever it stands, and those
/// behind it as many as their endings.
uint64_t AvcCursor::ending_bound(uint64_t n_bytes) const {
    constexpr uint64_t kNone = std::numeric_limits<uint64_t>::max();
    constexpr uint64_t kSliceBytes = 40;  // a header with start code, and a run of skipped ones
    constexpr uint64_t kParameterSetBytes = 512;  // portable ones have no list that is long
    constexpr uint64_t kRunBits = 32;         // a run of skipped macroblocks, rbsp_trailing_bits()
    constexpr uint64_t kBegunFieldBits = 63;  // of a header
    constexpr uint64_t kContextBytes = 160;   // until contexts expect what endings have
    constexpr auto kI = static_cast<uint8_t>(SliceType::kI);
    const AvcGrammar& grammar = *grammar_;
    const Context& c = *context_;
    const auto& behind = grammar.bytes_behind_slices;
    const bool is_pinned = grammar.is_pinned();
    const bool has_size = grammar.portable && grammar.width && grammar.height;
    if (!(is_pinned || has_size) || !grammar.n_pictures) return kNone;
    if (is_pinned && c.sps == nullptr) return behind.empty() ? kNone : behind[0] + kSliceBytes;
    // The only set there will be.
    const Sps* set = c.sps ? c.sps.get() : c.sets->sps[c.sets->first_sps_id()].get();
    const Position& p = position_;
    const bool is_here = n_bytes == 0 && p.at >= Element::kMbSkipRun;
    const uint64_t n_mbs = set != nullptr ? set->frame_mbs() : grammar.least_frame_mbs();
    const uint64_t width_mbs = set != nullptr ? set->width_mbs : grammar.least_width_mbs();
    const uint64_t n_mbs_left = is_here ? n_mbs - p.next_mb : n_mbs;
    // With emulation prevention bytes; any macroblock may begin within n_bytes.
    const uint64_t begun_bits = n_bytes > 0 ? kMaxMacroblockBits
                                : is_here   ? most_bits_of_macroblock()
                                            : kBegunFieldBits;
    const uint64_t macroblock = (begun_bits + kRunBits) / 8 * 3 / 2 + 2;
    // Macroblocks that cannot be skipped take a byte, those beside full ones up to 13 bits. Behind
    // the IDR picture there is a reference to skip to, if there are references at all.
    const bool has_constants = grammar.has_constants();
    const bool are_skipped_behind = has_constants ? grammar.p.slice_type % 5 != kI
                                                  : set != nullptr && set->max_num_ref_frames > 0;
    const bool is_skipped_here =
        has_constants ? p.n_pictures > 0 : is_here && p.slice.type == SliceType::kP;
    const bool has_flat = !is_skipped_here || !are_skipped_behind;
    // In B slices none need be legal to skip; then one has a run of 0 in front, and its mb_type 9
    // bits.
    const bool may_be_b =
        !has_constants && (is_here ? p.limits.is_b : set == nullptr || !set->obeys_baseline());
    const uint64_t flat_bytes = may_be_b ? 4 : 1;
    const uint64_t n_flat = has_flat ? flat_bytes * (n_mbs_left + width_mbs + 2) : 0;
    // By CABAC what follows is a fraction of a bit a macroblock, once its contexts expect it.
    const bool may_have_cabac =
        c.pps ? c.pps->entropy_coding_mode_flag : set == nullptr || !set->obeys_baseline();
    const uint64_t a_code = may_have_cabac ? kContextBytes + n_mbs / 8 : 0;
    const uint64_t a_header = is_pinned
                                  ? std::max(kSliceBytes, grammar.most_bytes_of_ending_slice + 2)
                              : set ? most_bytes_of_slice(*set)
                                    : kSliceBytes;
    const uint64_t a_slice = a_header + a_code;
    const bool has_single_mbs = grammar.slicing == Slicing::kMacroblock;
    const uint64_t slices_of_picture = has_single_mbs ? n_mbs : 1;
    // An I slice may end before its picture does, and a P slice follow.
    const uint64_t n_slices = (has_single_mbs ? n_mbs_left : is_here ? 0 : 1) + (is_pinned ? 0 : 1);
    const uint64_t n_done = std::min(p.n_pictures + 1, *grammar.n_pictures);
    const uint64_t i_behind = n_done * slices_of_picture;
    const uint64_t a_picture =
        slices_of_picture * a_slice + (are_skipped_behind ? 0 : 2 * n_mbs + a_slice);
    const uint64_t pictures_behind =
        i_behind < behind.size() ? behind[i_behind] : (*grammar.n_pictures - n_done) * a_picture;
    return (c.sps ? 0 : kParameterSetBytes) + macroblock + a_code + n_slices * a_slice + n_flat +
           pictures_behind;
}

}  // namespace pycodec_lm::h264
