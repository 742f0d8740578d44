// Slice data and the macroblock layer up to the residual: 7.3.4, 7.3.5, 7.4.4, 7.4.5.
#include <algorithm>
#include <bit>

#include "h264/cursor.hpp"

namespace pycodec_lm::h264 {
namespace {

constexpr uint32_t kIPcm = 25;        // Table 7-11
constexpr uint32_t kPIntraTypes = 5;  // Table 7-13: I types follow the P types
constexpr uint32_t kP8x8Ref0 = 4;
constexpr int kPcmLumaSamples = 256;
constexpr int kPcmSamples = 384;
constexpr int kSubMbMvs[] = {1, 2, 2, 4};  // Table 7-17
constexpr int kNoMvLimit = 64;

// Table 9-4, ChromaArrayType 1 or 2: coded_block_pattern by codeNum.
constexpr uint8_t kIntraPattern[48] = {
    47, 31, 15, 0,  23, 27, 29, 30, 7, 11, 13, 14, 39, 43, 45, 46, 16, 3,  5,  10, 12, 19, 21, 26,
    28, 35, 37, 42, 44, 1,  2,  4,  8, 17, 18, 20, 24, 6,  9,  22, 25, 32, 33, 34, 36, 40, 38, 41,
};
constexpr uint8_t kInterPattern[48] = {
    0,  16, 1,  2,  4,  8,  32, 3,  5,  10, 12, 15, 47, 7,  11, 13, 14, 6,  9,  31, 35, 37, 42, 44,
    33, 34, 36, 40, 39, 43, 45, 46, 17, 18, 20, 24, 19, 21, 26, 28, 23, 27, 29, 30, 22, 25, 38, 41,
};

int n_parts(MbShape shape) {
    constexpr int kParts[] = {1, 2, 2, 4};
    return kParts[static_cast<size_t>(shape)];
}

/// Room for what the next bits may add without losing what the bits before may need.
uint32_t ring_size(const Sps& sps) { return 2 * (sps.width_mbs + 1) + 16; }

// Intra_16x16 types of mode 0, every fourth from 1 to 24: Table 7-11.
constexpr uint64_t kTypesOfMode = 0x222222;

}  // namespace

void AvcCursor::begin_slice_data() {
    Position& p = position_;
    if (above_->size() != ring_size(sps())) {
        above_.edit().assign(ring_size(sps()), MbEdge{});
        p.ring = 0;
    }
    ++p.n_slices;
    p.next_mb = p.slice.first_mb;
    p.left = {};
    if (p.slice.type == SliceType::kP) return expect(Element::kMbSkipRun);
    begin_macroblock();
}

/// Motion vectors that the next macroblock may have, A.3.1 m).
int AvcCursor::n_mvs_left() const {
    const int limit = sps().limits().max_mvs_per_2mb;
    return limit == 0 ? kNoMvLimit : limit - position_.last_n_mvs;
}

ValueSet AvcCursor::legal_mb_types() const {
    const Position& p = position_;
    uint64_t intra = uint64_t{1} | uint64_t{1} << kIPcm;
    for (uint32_t mode = 0; mode < 4; ++mode) {
        if (is_legal_intra16x16_mode(mode)) intra |= kTypesOfMode << mode;
    }
    if (p.slice.type == SliceType::kI) return ValueSet::of_bits(intra);
    uint64_t types = intra << kPIntraTypes;
    const int n_mvs = n_mvs_left();
    const bool has_first = (p.slice.usable_refs & 1) != 0;
    if (p.slice.usable_refs != 0) {
        if (n_mvs >= 1) types |= 0b0001;
        if (n_mvs >= 2) types |= 0b0110;
        if (n_mvs >= 4) types |= has_first ? 0b11000 : 0b01000;
    }
    return ValueSet::of_bits(types);
}

ValueSet AvcCursor::legal_sub_mb_types() const {
    const Macroblock& mb = position_.mb;
    const int n_left = n_mvs_left() - mb.n_mvs - (3 - mb.part);
    uint64_t types = 0;
    for (unsigned type = 0; type < 4; ++type) {
        if (kSubMbMvs[type] <= n_left) types |= uint64_t{1} << type;
    }
    return ValueSet::of_bits(types);
}

ValueSet AvcCursor::legal_macroblock_field() const {
    const Position& p = position_;
    switch (p.at) {
        case Element::kMbSkipRun: {
            const bool may_skip = (p.slice.usable_refs & 1) != 0 && n_mvs_left() >= 1;
            return {0, may_skip ? n_mbs_of_slice_left() : 0};
        }
        case Element::kMbType:
            return legal_mb_types();
        case Element::kPcmSampleLuma:
        case Element::kPcmSampleChroma:
            return {sps().is_before_high() ? 1u : 0u, 255};
        case Element::kPrevIntra4x4PredModeFlag: {
            const uint32_t modes = legal_intra_modes();
            const uint32_t predicted = 1u << predicted_intra_mode();
            return {(modes & ~predicted) != 0 ? 0u : 1u, (modes & predicted) != 0 ? 1u : 0u};
        }
        case Element::kRemIntra4x4PredMode: {
            // The predicted mode is left out.
            const uint32_t modes = legal_intra_modes();
            const uint32_t below = (1u << predicted_intra_mode()) - 1;
            return ValueSet::of_bits((modes & below) | ((modes >> 1) & ~below));
        }
        case Element::kIntraChromaPredMode: {
            ValueSet modes;
            for (uint32_t mode = 0; mode < 4; ++mode) {
                if (is_legal_intra_chroma_mode(mode)) modes.add(mode);
            }
            return modes;
        }
        case Element::kSubMbType:
            return legal_sub_mb_types();
        case Element::kRefIdxL0:
            return ValueSet::of_bits(p.slice.usable_refs);
        case Element::kCodedBlockPattern:
            return {0, 47};
        default:
            return {0, 1};
    }
}

void AvcCursor::take_macroblock_field(int64_t value) {
    Position& p = position_;
    Macroblock& mb = p.mb;
    const auto number = static_cast<uint32_t>(value);
    switch (p.at) {
        case Element::kMbSkipRun:
            p.mb = {};
            if (number == 0) return begin_macroblock();
            skip_macroblocks(number);
            if (n_mbs_of_slice_left() == 0) return begin_trailing_bits();
            p.may_end = may_slice_end();
            return begin_macroblock();
        case Element::kMbType:
            return take_mb_type(number);
        case Element::kPcmAlignmentZeroBit:
            return expect(Element::kPcmSampleLuma);
        case Element::kPcmSampleLuma:
        case Element::kPcmSampleChroma:
            ++mb.n_pcm;
            if (mb.n_pcm == kPcmSamples) return end_macroblock();
            if (mb.n_pcm == kPcmLumaSamples) expect(Element::kPcmSampleChroma);
            return;
        case Element::kPrevIntra4x4PredModeFlag:
            if (value == 0) return expect(Element::kRemIntra4x4PredMode);
            return take_intra_mode(predicted_intra_mode());
        case Element::kRemIntra4x4PredMode:
            return take_intra_mode(
                static_cast<uint8_t>(number < predicted_intra_mode() ? number : number + 1)
            );
        case Element::kIntraChromaPredMode:
            return expect(
                mb.kind == MbKind::kIntra16x16 ? Element::kMbQpDelta : Element::kCodedBlockPattern
            );
        case Element::kSubMbType:
            mb.sub_mb_type[mb.part] = static_cast<uint8_t>(value);
            mb.n_mvs = static_cast<uint8_t>(mb.n_mvs + kSubMbMvs[number]);
            if (++mb.part < 4) return;
            return begin_references();
        case Element::kRefIdxL0: {
            const auto ref_idx = static_cast<int8_t>(value);
            switch (mb.shape) {
                case MbShape::k16x16:
                    mb.ref_idx.fill(ref_idx);
                    break;
                case MbShape::k16x8:
                    mb.ref_idx[2 * mb.part] = mb.ref_idx[2 * mb.part + size_t{1}] = ref_idx;
                    break;
                case MbShape::k8x16:
                    mb.ref_idx[mb.part] = mb.ref_idx[mb.part + size_t{2}] = ref_idx;
                    break;
                default:
                    mb.ref_idx[mb.part] = ref_idx;
            }
            ++mb.part;
            return next_reference();
        }
        case Element::kMvdL0X:
            mb.predicted.x = static_cast<int16_t>(mb.predicted.x + value);
            return expect(Element::kMvdL0Y);
        case Element::kMvdL0Y:
            mb.predicted.y = static_cast<int16_t>(mb.predicted.y + value);
            return take_motion(mb.predicted);
        case Element::kCodedBlockPattern: {
            const uint8_t pattern =
                mb.kind == MbKind::kInter ? kInterPattern[number] : kIntraPattern[number];
            mb.cbp_luma = pattern & 15;
            mb.cbp_chroma = pattern >> 4;
            if (pattern == 0) return end_macroblock();
            return expect(Element::kMbQpDelta);
        }
        default:  // kMbQpDelta
            return begin_residual();
    }
}

void AvcCursor::begin_macroblock() {
    position_.mb = {};
    expect(Element::kMbType);
}

void AvcCursor::take_mb_type(uint32_t mb_type) {
    Position& p = position_;
    Macroblock& mb = p.mb;
    if (p.slice.type == SliceType::kI) return take_intra_mb_type(mb_type);
    if (mb_type >= kPIntraTypes) return take_intra_mb_type(mb_type - kPIntraTypes);
    constexpr MbShape kShapes[] = {
        MbShape::k16x16, MbShape::k16x8, MbShape::k8x16, MbShape::k8x8, MbShape::k8x8
    };
    constexpr uint8_t kMvs[] = {1, 2, 2, 0, 0};
    mb.kind = MbKind::kInter;
    mb.shape = kShapes[mb_type];
    mb.n_mvs = kMvs[mb_type];
    mb.has_only_ref0 = mb_type == kP8x8Ref0;
    if (mb.shape == MbShape::k8x8) return expect(Element::kSubMbType);
    begin_references();
}

void AvcCursor::take_intra_mb_type(uint32_t mb_type) {
    Position& p = position_;
    Macroblock& mb = p.mb;
    mb.ref_idx.fill(kNoRefIdx);
    mb.intra_mode.fill(kIntraDc);
    if (mb_type == 0) {
        mb.kind = MbKind::kIntra4x4;
        return expect(Element::kPrevIntra4x4PredModeFlag);
    }
    if (mb_type == kIPcm) {
        mb.kind = MbKind::kPcm;
        mb.total_coeff.fill(16);
        for (auto& of_component : mb.chroma_total_coeff) of_component.fill(16);
        return expect(p.bit != 0 ? Element::kPcmAlignmentZeroBit : Element::kPcmSampleLuma);
    }
    mb.kind = MbKind::kIntra16x16;
    mb.cbp_chroma = static_cast<uint8_t>((mb_type - 1) / 4 % 3);
    mb.cbp_luma = mb_type >= 13 ? 15 : 0;
    expect(Element::kIntraChromaPredMode);
}

void AvcCursor::take_intra_mode(uint8_t mode) {
    Macroblock& mb = position_.mb;
    mb.intra_mode[static_cast<size_t>(4 * row_of(mb.part) + column_of(mb.part))] = mode;
    expect(++mb.part < 16 ? Element::kPrevIntra4x4PredModeFlag : Element::kIntraChromaPredMode);
}

void AvcCursor::begin_references() {
    position_.mb.part = 0;
    next_reference();
}

void AvcCursor::next_reference() {
    const Position& p = position_;
    const Macroblock& mb = p.mb;
    const bool is_coded = p.slice.num_ref_idx_active > 1 && !mb.has_only_ref0;
    if (is_coded && mb.part < n_parts(mb.shape)) return expect(Element::kRefIdxL0);
    begin_motion();
}

void AvcCursor::begin_motion() {
    Macroblock& mb = position_.mb;
    mb.part = 0;
    mb.sub_part = 0;
    next_motion();
}

void AvcCursor::next_motion() {
    position_.mb.predicted = predict_partition();
    expect(Element::kMvdL0X);
}

/// The motion vector of the partition that was due: its blocks have it, and the next is due.
void AvcCursor::take_motion(MotionVector mv) {
    Macroblock& mb = position_.mb;
    const Partition at = mb.partition();
    for (int row = at.row; row < at.row + at.height; ++row) {
        for (int column = at.column; column < at.column + at.width; ++column) {
            mb.mv[static_cast<size_t>(4 * row + column)] = mv;
            mb.mv_known = static_cast<uint16_t>(mb.mv_known | 1u << (4 * row + column));
        }
    }
    const bool is_whole =
        mb.shape != MbShape::k8x8 || ++mb.sub_part == kSubMbMvs[mb.sub_mb_type[mb.part]];
    if (is_whole) {
        ++mb.part;
        mb.sub_part = 0;
    }
    if (mb.part < n_parts(mb.shape)) return next_motion();
    expect(Element::kCodedBlockPattern);
}

void AvcCursor::end_macroblock() {
    Position& p = position_;
    const Macroblock& mb = p.mb;
    MbEdge bottom;
    MbEdge right;
    for (size_t i = 0; i < 4; ++i) {
        const size_t below = 12 + i;
        const size_t beside = 4 * i + 3;
        bottom.luma[i] = mb.total_coeff[below];
        right.luma[i] = mb.total_coeff[beside];
        bottom.intra_mode[i] = mb.kind == MbKind::kInter ? kIntraDc : mb.intra_mode[below];
        right.intra_mode[i] = mb.kind == MbKind::kInter ? kIntraDc : mb.intra_mode[beside];
        bottom.mv[i] = mb.mv[below];
        right.mv[i] = mb.mv[beside];
    }
    for (size_t c = 0; c < 2; ++c) {
        bottom.chroma[c] = {mb.chroma_total_coeff[c][2], mb.chroma_total_coeff[c][3]};
        right.chroma[c] = {mb.chroma_total_coeff[c][1], mb.chroma_total_coeff[c][3]};
    }
    bottom.ref_idx = {mb.ref_idx[2], mb.ref_idx[3]};
    right.ref_idx = {mb.ref_idx[1], mb.ref_idx[3]};
    put_edges(bottom, right);
    p.last_n_mvs = mb.n_mvs;
    ++p.next_mb;
    if (n_mbs_of_slice_left() == 0) return begin_trailing_bits();
    p.may_end = may_slice_end();
    if (p.slice.type == SliceType::kP) return expect(Element::kMbSkipRun);
    begin_macroblock();
}

/// P_Skip macroblocks. Behind the end of the row they all stand still: the first of a row has no
/// neighbour to the left, and then each has one that does not move (8.4.1.1). So of a long run only
/// the first row is worked out, and only as many edges are put as macroblocks behind can need.
void AvcCursor::skip_macroblocks(uint32_t n) {
    Position& p = position_;
    const uint32_t width = sps().width_mbs;
    MbEdge still;
    still.ref_idx = {0, 0};
    const uint32_t n_of_row = std::min(n, width - p.next_mb % width);
    const uint32_t n_needed = width + 1;
    const uint32_t n_behind = n - n_of_row;
    bool stands_still = false;
    for (uint32_t i = 0; i < n_of_row && n_behind < n_needed; ++i, ++p.next_mb) {
        MbEdge edge = still;
        if (!stands_still) {
            const MotionVector mv = skip_motion();
            edge.mv.fill(mv);
            stands_still = mv == MotionVector{};
        }
        put_edges(edge, edge);
    }
    if (n_behind >= n_needed) p.next_mb += n_of_row;
    const uint32_t n_put = std::min(n_behind, n_needed);
    for (uint32_t i = 0; i < n_put; ++i) put_edges(still, still);
    p.next_mb += n_behind;
    p.last_n_mvs = 1;
}

}  // namespace pycodec_lm::h264
