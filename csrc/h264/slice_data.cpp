// Slice data and the macroblock layer up to the residual: 7.3.4, 7.3.5, 7.4.4, 7.4.5.
#include <iterator>

#include "h264/coded_block_pattern.hpp"
#include "h264/cursor.hpp"

namespace pycodec_lm::h264 {
namespace {

constexpr int kPcmLumaSamples = 256;
constexpr int kSubMbMvs[] = {1, 2, 2, 4};  // Table 7-17
constexpr int kNoMvLimit = 64;
constexpr uint8_t kFirstLevelOfLargeBiParts = 31;  // Table A-4, MinLumaBiPredSize

/// The values below n of which a predicate holds, a bit each.
template <class IsLegal>
uint64_t values_below(uint32_t n, const IsLegal& is_legal) {
    uint64_t bits = 0;
    for (uint32_t value = 0; value < n; ++value) {
        if (is_legal(value)) bits |= uint64_t{1} << value;
    }
    return bits;
}

}  // namespace

void AvcCursor::begin_slice_data() {
    Position& p = position_;
    const LevelLimits& level = sps().limits();
    const bool is_single = grammar_->slicing == Slicing::kMacroblock;
    p.limits = {
        .width_mbs = sps().width_mbs,
        .end_mb = is_single ? p.slice.first_mb + 1 : sps().frame_mbs(),
        .mv_x = (sps().level_idc >= 60 ? 8192 : 2048) * 4,
        .mv_y = level.max_vmv_r * 4,
        .max_mvs = level.max_mvs_per_2mb == 0 ? kNoMvLimit : level.max_mvs_per_2mb,
        .is_b = p.slice.type == SliceType::kB,
        .records_motion = p.slice.is_reference() && !sps().obeys_baseline(),
        .has_large_bi_parts = level.level_idc >= kFirstLevelOfLargeBiParts,
        .has_constrained_intra_pred = pps().constrained_intra_pred_flag,
        .has_transform_8x8 = pps().transform_8x8_mode_flag,
        .has_cabac = pps().entropy_coding_mode_flag,
    };
    prepare_edges();
    if (is_first_slice() && p.limits.records_motion && !is_looking_ahead_)
        motion_.edit().reset(sps().frame_mbs(), sps().direct_8x8_inference_flag ? 4 : 16);
    if (p.limits.is_b) begin_b_slice();
    ++p.n_slices;
    if (grammar_->n_pictures && grammar_->bytes_behind_slices.empty())
        context_.edit().behind = std::make_shared<BytesBehindPicture>(p.n_pictures + 1);
    p.next_mb = p.slice.first_mb;
    p.column = p.next_mb % p.limits.width_mbs;
    p.left = {};
    p.b.left = {};
    if (is_first_slice()) {
        p.cabac.n_bins = 0;
        p.n_vcl_bytes = 0;
    }
    if (p.limits.has_cabac)
        return p.bit != 0 ? expect(Element::kCabacAlignmentOneBit) : begin_cabac();
    if (p.slice.type != SliceType::kI) return begin_skip();
    begin_macroblock();
}

bool AvcCursor::is_legal_mb_type(uint64_t mb_type) const {
    const Position& p = position_;
    if (p.limits.is_b) {
        if (mb_type < kBIntraTypes) return is_legal_b_type(static_cast<uint8_t>(mb_type));
        mb_type -= kBIntraTypes;
    } else if (p.slice.type == SliceType::kP) {
        switch (mb_type) {
            case 0:  // P_L0_16x16
                return p.slice.usable_refs[0] != 0 && n_mvs_left() >= 1;
            case 1:
            case 2:
                return p.slice.usable_refs[0] != 0 && n_mvs_left() >= 2;
            case 3:
                return p.slice.usable_refs[0] != 0 && n_mvs_left() >= 4;
            case kP8x8Ref0:
                return (p.slice.usable_refs[0] & 1) != 0 && n_mvs_left() >= 4;
            default:
                mb_type -= kPIntraTypes;
        }
    }
    if (mb_type == 0 || mb_type == kIPcm) return true;
    return mb_type < kIPcm && ((legal_intra16x16_modes() >> ((mb_type - 1) % 4)) & 1) != 0;
}

bool AvcCursor::is_legal_sub_mb_type(uint64_t type) const {
    const Macroblock& mb = position_.mb;
    if (position_.limits.is_b) return is_legal_b_sub_type(type);
    const int n_left = n_mvs_left() - mb.n_mvs - (3 - mb.part);
    return type < std::size(kSubMbMvs) && kSubMbMvs[type] <= n_left;
}

/// The largest legal mb_skip_run; of those up to `most`, which is as far as B slices look.
uint32_t AvcCursor::max_skip_run(uint32_t most) const {
    if (position_.limits.is_b) return max_b_skip_run(most);
    const bool may_skip = (position_.slice.usable_refs[0] & 1) != 0 && n_mvs_left() >= 1;
    return may_skip ? n_mbs_of_slice_left() : 0;
}

uint64_t AvcCursor::legal_mb_types() const {
    constexpr uint64_t kOfMode =
        0b1'0001'0001'0001'0001'0001'0;  // Intra_16x16 of a mode, Table 7-11
    const uint32_t n_inter = position_.slice.n_inter_types();
    uint64_t types = 1 | uint64_t{1} << kIPcm;
    const uint32_t modes = legal_intra16x16_modes();
    for (uint32_t mode = 0; mode < 4; ++mode) {
        if ((modes >> mode) & 1) types |= kOfMode << mode;
    }
    types <<= n_inter;
    if (position_.limits.is_b) return types | legal_coded_b_types() | (is_legal_b_type(0) ? 1 : 0);
    return types | values_below(n_inter, [this](uint32_t type) { return is_legal_mb_type(type); });
}

uint64_t AvcCursor::legal_sub_mb_types() const {
    return values_below(kNumBSubMbTypes, [this](uint32_t type) {
        return is_legal_sub_mb_type(type);
    });
}

uint64_t AvcCursor::legal_intra_chroma_modes() const {
    constexpr uint32_t kModes = 4;
    return values_below(kModes, [this](uint32_t mode) { return is_legal_intra_chroma_mode(mode); });
}

/// Values of prev_intra4x4_pred_mode_flag, a bit each.
uint32_t AvcCursor::legal_intra_mode_flags() const {
    const uint32_t modes = position_.mb.legal_intra_modes();
    const uint32_t predicted = 1u << position_.mb.predicted_intra_mode();
    return ((modes & ~predicted) != 0 ? 0b01u : 0u) | ((modes & predicted) != 0 ? 0b10u : 0u);
}

/// The modes that rem_intra4x4_pred_mode may say, a bit for each of its values: the predicted mode
/// is left out.
uint32_t AvcCursor::legal_intra_mode_rems() const {
    const uint32_t modes = position_.mb.legal_intra_modes();
    const uint32_t below = (1u << position_.mb.predicted_intra_mode()) - 1;
    return (modes & below) | ((modes >> 1) & ~below);
}

ValueSet AvcCursor::legal_macroblock_field() const {
    const Position& p = position_;
    switch (p.at) {
        case Element::kMbSkipRun:
            return {0, max_skip_run()};
        case Element::kMbType:
            return ValueSet::of_bits(legal_mb_types());
        case Element::kPcmSampleLuma:
        case Element::kPcmSampleChroma:
            return {sps().is_before_high() ? 1u : 0u, 255};
        case Element::kPrevIntra4x4PredModeFlag:
        case Element::kPrevIntra8x8PredModeFlag:
            return ValueSet::of_bits(legal_intra_mode_flags());
        case Element::kRemIntra4x4PredMode:
        case Element::kRemIntra8x8PredMode:
            return ValueSet::of_bits(legal_intra_mode_rems());
        case Element::kIntraChromaPredMode:
            return ValueSet::of_bits(legal_intra_chroma_modes());
        case Element::kSubMbType:
            return ValueSet::of_bits(legal_sub_mb_types());
        case Element::kRefIdxL0:
        case Element::kRefIdxL1:
            return ValueSet::of_bits(legal_refs());
        case Element::kCodedBlockPattern:
            return {0, kCodedBlockPatterns - 1};
        case Element::kCabacAlignmentOneBit:
            return ValueSet::only(1);
        default:
            return {0, 1};
    }
}

void AvcCursor::take_macroblock_field(int64_t value) {
    const Position& p = position_;
    const auto number = static_cast<uint32_t>(value);
    switch (p.at) {
        case Element::kMbSkipRun:
            return take_skip_run(number);
        case Element::kCabacAlignmentOneBit:
            return p.bit != 0 ? expect(Element::kCabacAlignmentOneBit) : begin_cabac();
        case Element::kMbType:
            return take_mb_type(number);
        case Element::kPcmAlignmentZeroBit:
            return expect(Element::kPcmSampleLuma);
        case Element::kPcmSampleLuma:
        case Element::kPcmSampleChroma:
            return take_pcm_sample();
        case Element::kTransformSize8x8Flag:
            return take_transform_size(value != 0);
        case Element::kPrevIntra4x4PredModeFlag:
        case Element::kPrevIntra8x8PredModeFlag:
            return take_intra_mode_flag(value != 0);
        case Element::kRemIntra4x4PredMode:
        case Element::kRemIntra8x8PredMode:
            return take_intra_mode_rem(number);
        case Element::kIntraChromaPredMode:
            return take_intra_chroma_mode();
        case Element::kSubMbType:
            return take_sub_mb_type(number);
        case Element::kRefIdxL0:
        case Element::kRefIdxL1:
            return take_ref_idx(static_cast<int8_t>(value));
        case Element::kMvdL0X:
        case Element::kMvdL1X:
            return take_mvd_x(value);
        case Element::kMvdL0Y:
        case Element::kMvdL1Y:
            return take_mvd_y(value);
        case Element::kCodedBlockPattern:
            return take_coded_block_pattern(number);
        default:  // kMbQpDelta
            return begin_residual();
    }
}

void AvcCursor::take_skip_run(uint32_t n) {
    if (n == 0) return begin_macroblock();
    skip_macroblocks(n);
    if (n_mbs_of_slice_left() == 0) return begin_trailing_bits();
    position_.may_end = may_slice_end();
    infer_direct();
    begin_macroblock();
}

void AvcCursor::take_pcm_sample() {
    Macroblock& mb = position_.mb;
    ++mb.n_pcm;
    if (mb.n_pcm == kPcmSamples) {
        end_macroblock();
        if (position_.limits.has_cabac) begin_code();
        return;
    }
    if (mb.n_pcm == kPcmLumaSamples) expect(Element::kPcmSampleChroma);
}

void AvcCursor::take_intra_mode_flag(bool is_predicted) {
    if (!is_predicted) return expect_intra_mode_rem();
    take_intra_mode(position_.mb.predicted_intra_mode());
}

void AvcCursor::take_intra_mode_rem(uint32_t rem) {
    const uint8_t predicted = position_.mb.predicted_intra_mode();
    take_intra_mode(static_cast<uint8_t>(rem < predicted ? rem : rem + 1));
}

void AvcCursor::take_intra_chroma_mode() {
    const bool has_pattern = position_.mb.kind == MbKind::kIntraNxN;
    expect(has_pattern ? Element::kCodedBlockPattern : Element::kMbQpDelta);
}

void AvcCursor::take_sub_mb_type(uint32_t type) {
    Macroblock& mb = position_.mb;
    if (position_.limits.is_b) return take_b_sub_type(static_cast<uint8_t>(type));
    mb.sub_mb_type[mb.part] = static_cast<uint8_t>(type);
    mb.n_mvs = static_cast<uint8_t>(mb.n_mvs + kSubMbMvs[type]);
    if (++mb.part == 4) begin_references();
}

void AvcCursor::take_ref_idx(int8_t ref_idx) {
    put_ref_idx(ref_idx);
    ++position_.mb.part;
    next_reference();
}

/// The reference index of the partition that is due.
void AvcCursor::put_ref_idx(int8_t ref_idx) {
    Position& p = position_;
    const size_t part = p.mb.part;
    auto& references = p.limits.is_b && p.b.list == 1 ? p.b.ref_idx : p.mb.ref_idx;
    switch (p.mb.shape) {
        case MbShape::k16x16:
            references.fill(ref_idx);
            break;
        case MbShape::k16x8:
            references[2 * part] = references[2 * part + 1] = ref_idx;
            break;
        case MbShape::k8x16:
            references[part] = references[part + 2] = ref_idx;
            break;
        default:
            references[part] = ref_idx;
    }
}

void AvcCursor::take_mvd_x(int64_t mvd) {
    Macroblock& mb = position_.mb;
    mb.predicted.x = static_cast<int16_t>(mb.predicted.x + mvd);
    expect(position_.at == Element::kMvdL0X ? Element::kMvdL0Y : Element::kMvdL1Y);
}

void AvcCursor::take_mvd_y(int64_t mvd) {
    Macroblock& mb = position_.mb;
    mb.predicted.y = static_cast<int16_t>(mb.predicted.y + mvd);
    take_motion(mb.predicted);
}

void AvcCursor::take_coded_block_pattern(uint32_t code_num) {
    const bool is_inter = position_.mb.kind == MbKind::kInter;
    take_pattern(is_inter ? kInterPattern[code_num] : kIntraPattern[code_num]);
}

/// 16 * CodedBlockPatternChroma + CodedBlockPatternLuma.
void AvcCursor::take_pattern(uint8_t pattern) {
    Macroblock& mb = position_.mb;
    mb.cbp_luma = pattern & 15;
    mb.cbp_chroma = pattern >> 4;
    if (pattern == 0) return end_macroblock();
    const bool has_flag = position_.limits.has_transform_8x8 && mb.kind == MbKind::kInter &&
                          mb.cbp_luma != 0 && mb.has_large_parts();
    expect(has_flag ? Element::kTransformSize8x8Flag : Element::kMbQpDelta);
}

/// Of I_NxN it comes before the prediction modes, else behind coded_block_pattern: 7.3.5.
void AvcCursor::take_transform_size(bool is_8x8) {
    Macroblock& mb = position_.mb;
    mb.has_transform_8x8 = is_8x8;
    if (mb.kind == MbKind::kInter) return expect(Element::kMbQpDelta);
    expect_intra_mode();
}

void AvcCursor::expect_intra_mode() {
    const bool is_8x8 = position_.mb.has_transform_8x8;
    expect(is_8x8 ? Element::kPrevIntra8x8PredModeFlag : Element::kPrevIntra4x4PredModeFlag);
}

void AvcCursor::expect_intra_mode_rem() {
    const bool is_8x8 = position_.mb.has_transform_8x8;
    expect(is_8x8 ? Element::kRemIntra8x8PredMode : Element::kRemIntra4x4PredMode);
}

void AvcCursor::begin_macroblock() {
    reset_macroblock();
    expect(Element::kMbType);
}

void AvcCursor::take_mb_type(uint32_t mb_type) {
    Position& p = position_;
    Macroblock& mb = p.mb;
    if (p.slice.type == SliceType::kI) return take_intra_mb_type(mb_type);
    if (p.limits.is_b) {
        if (mb_type < kBIntraTypes) return take_b_type(static_cast<uint8_t>(mb_type));
        return take_intra_mb_type(mb_type - kBIntraTypes);
    }
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
    if (mb_type == 0) {
        mb.kind = MbKind::kIntraNxN;
        put_intra_modes_around();
        if (p.limits.has_transform_8x8) return expect(Element::kTransformSize8x8Flag);
        return expect_intra_mode();
    }
    if (mb_type == kIPcm) {
        mb.kind = MbKind::kPcm;
        mb.luma_counts.fill(16);
        for (auto& counts : mb.chroma_counts) counts.fill(16);
        return expect(p.bit != 0 ? Element::kPcmAlignmentZeroBit : Element::kPcmSampleLuma);
    }
    mb.kind = MbKind::kIntra16x16;
    mb.cbp_chroma = static_cast<uint8_t>((mb_type - 1) / 4 % 3);
    mb.cbp_luma = mb_type >= 13 ? 15 : 0;
    expect(Element::kIntraChromaPredMode);
}

void AvcCursor::take_intra_mode(uint8_t mode) {
    Macroblock& mb = position_.mb;
    const int n_blocks = mb.has_transform_8x8 ? 4 : 1;  // 4x4 blocks that have the mode
    const int first = mb.intra_block();
    for (int i = first; i < first + n_blocks; ++i) mb.intra_mode.put(column_of(i), row_of(i), mode);
    if (++mb.part * n_blocks < 16) return expect_intra_mode();
    expect(Element::kIntraChromaPredMode);
}

void AvcCursor::begin_references() {
    position_.mb.part = 0;
    next_reference();
}

void AvcCursor::next_reference() {
    const Position& p = position_;
    const Macroblock& mb = p.mb;
    if (p.limits.is_b) return next_b_reference();
    const bool is_coded = p.slice.num_ref_idx_active[0] > 1 && !mb.has_only_ref0;
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
    if (position_.limits.is_b) return next_b_motion();
    position_.mb.predicted = predict_partition<0>();
    expect(Element::kMvdL0X);
}

/// The motion vector of the partition that was due: its blocks have it, and the next is due.
void AvcCursor::take_motion(MotionVector mv) {
    Macroblock& mb = position_.mb;
    const bool is_b = position_.limits.is_b;
    auto& vectors = is_b && position_.b.list == 1 ? position_.b.mv : mb.mv;
    if (mb.shape == MbShape::k16x16) {
        vectors.fill(mv);
        if (!is_b) return expect(Element::kCodedBlockPattern);
        mb.part = 1;
        return next_motion();
    }
    const Partition at = mb.partition();
    for (int row = at.row; row < at.row + at.height; ++row) {
        for (int column = at.column; column < at.column + at.width; ++column) {
            vectors[static_cast<size_t>(4 * row + column)] = mv;
            mb.mv_known = static_cast<uint16_t>(mb.mv_known | 1u << (4 * row + column));
        }
    }
    const bool is_whole =
        mb.shape != MbShape::k8x8 || ++mb.sub_part == kSubMbMvs[mb.sub_mb_type[mb.part]];
    if (is_whole) {
        ++mb.part;
        mb.sub_part = 0;
    }
    if (is_b || mb.part < n_parts(mb.shape)) return next_motion();
    expect(Element::kCodedBlockPattern);
}

void AvcCursor::end_macroblock() {
    Position& p = position_;
    leave_macroblock();
    if (p.limits.has_cabac) return expect(Element::kEndOfSliceFlag);
    if (n_mbs_of_slice_left() == 0) return begin_trailing_bits();
    p.may_end = may_slice_end();
    if (p.slice.type != SliceType::kI) return begin_skip();
    begin_macroblock();
}

}  // namespace pycodec_lm::h264
