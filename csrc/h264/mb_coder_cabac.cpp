#include "h264/mb_coder_cabac.hpp"

#include <algorithm>
#include <cstdlib>

#include "h264/exp_golomb.hpp"

namespace pycodec_lm::h264 {
namespace {

constexpr int32_t kMaxMvd = 1 << 15;

}  // namespace

int32_t BinWriter::code(BinString string, const BinValues& legal, int32_t value) {
    if (!legal.contains(value)) throw BrokenSyntax("a value has no bin string");
    const BinValues wanted = BinValues::only(value);
    while (!string.is_whole()) {
        const bool bin = string.can_be(true, wanted);
        if (!bin && !string.can_be(false, wanted)) throw BrokenSyntax("a value has no bin string");
        const uint16_t ctx_idx = string.ctx_idx();
        if (ctx_idx == kBypass) {
            engine_.encode_bypass(bin);
        } else if (ctx_idx == kTerminate) {
            engine_.encode_terminate(bin);
        } else {
            engine_.encode_decision(states_[ctx_idx], bin);
        }
        string.take(bin);
        ++n_bins_;
    }
    return value;
}

void BinWriter::pcm(std::vector<uint8_t>& samples) {
    bits_.resize((bits_.size() + 7) / 8 * 8);
    for (const uint8_t sample : samples) {
        for (int i = 7; i >= 0; --i) bits_.push_back((sample >> i) & 1);
    }
    engine_.restart();
}

BinReader::BinReader(std::span<const uint8_t> rbsp, size_t position, const ContextStates& states)
    : rbsp_(rbsp), states_(states), engine_(start(position)) {}

CabacDecoder BinReader::start(size_t position) const {
    CabacDecoder engine(rbsp_.data(), rbsp_.size(), position);
    if (!engine.is_valid_start()) throw BrokenSyntax("codIOffset begins as 510 or 511");
    return engine;
}

int32_t BinReader::code(BinString string, const BinValues& legal, int32_t) {
    while (!string.is_whole()) {
        const uint16_t ctx_idx = string.ctx_idx();
        const bool bin = ctx_idx == kBypass      ? engine_.decode_bypass()
                         : ctx_idx == kTerminate ? engine_.decode_terminate()
                                                 : engine_.decode_decision(states_[ctx_idx]);
        if (engine_.is_past_end()) throw BrokenSyntax("slice data end too early");
        if (!string.can_be(bin, legal)) throw BrokenSyntax("bins that no legal value has");
        string.take(bin);
        ++n_bins_;
    }
    return string.value();
}

void BinReader::pcm(std::vector<uint8_t>& samples) {
    const size_t first = (engine_.position() + 7) / 8;
    for (size_t bit = engine_.position(); bit < 8 * first; ++bit) {
        if ((rbsp_[bit / 8] >> (7 - bit % 8)) & 1)
            throw BrokenSyntax("pcm_alignment_zero_bit is 1");
    }
    if (first + kPcmSamples > rbsp_.size()) throw BrokenSyntax("slice data end too early");
    const auto begin = rbsp_.begin() + static_cast<std::ptrdiff_t>(first);
    samples.assign(begin, begin + static_cast<std::ptrdiff_t>(kPcmSamples));
    engine_ = start(8 * (first + kPcmSamples));
}

void CabacMbCoder::begin_slice(const SliceFacts& slice) {
    slice_ = slice;
    mbs_.clear();
    is_qp_changed_ = false;
}

void CabacMbCoder::begin_macroblock(const MbPlace& place) {
    place_ = place;
    mbs_.emplace_back();
    was_qp_changed_ = is_qp_changed_;
    is_qp_changed_ = false;
}

bool CabacMbCoder::flag(const BinString& string, bool value) {
    return port_.code(string, BinValues::of_symbols(kAnySymbol), value) != 0;
}

bool CabacMbCoder::skipped(bool is_skipped) {
    is_skipped = flag(binarization::mb_skip_flag(slice_.type, a(), b()), is_skipped);
    if (is_skipped) {
        current().says.is_skipped = true;
        current().says.is_direct = slice_.type == MbSliceType::kB;
    }
    return is_skipped;
}

bool CabacMbCoder::last(bool is_last) { return flag(binarization::end_of_slice_flag(), is_last); }

uint8_t CabacMbCoder::mb_type(uint8_t mb_type) {
    if (slice_.type == MbSliceType::kP && mb_type == kP8x8Ref0) mb_type = kP8x8;
    mb_type = static_cast<uint8_t>(port_.code(
        binarization::mb_type(slice_.type, a(), b()), BinValues::of_symbols(kAnySymbol), mb_type
    ));
    const MbTypeFacts facts = facts_of_mb_type(slice_.type, mb_type);
    MbContext& mb = current();
    mb.says.is_direct = facts.is_direct;
    mb.says.is_intra = facts.kind != MbKind::kInter;
    mb.says.is_intra_nxn = facts.kind == MbKind::kIntraNxN;
    mb.is_intra16x16 = facts.kind == MbKind::kIntra16x16;
    if (mb.is_intra16x16) {
        mb.says.cbp_luma = facts.coded_block_pattern & 15;
        mb.says.cbp_chroma = facts.coded_block_pattern >> 4;
    }
    return mb_type;
}

void CabacMbCoder::pcm(std::vector<uint8_t>& samples) {
    port_.pcm(samples);
    NeighbourMb& says = current().says;
    says.is_pcm = true;
    says.cbp_luma = 15;
    says.cbp_chroma = 2;
}

bool CabacMbCoder::transform_size_8x8_flag(bool value) {
    value = flag(binarization::transform_size_8x8_flag(a(), b()), value);
    current().says.transform_size_8x8_flag = value;
    return value;
}

uint8_t CabacMbCoder::sub_mb_type(uint8_t sub_mb_type) {
    const BinString string = binarization::sub_mb_type(slice_.type);
    const auto any = BinValues::of_symbols(kAnySymbol);
    return static_cast<uint8_t>(port_.code(string, any, sub_mb_type));
}

int8_t CabacMbCoder::intra_pred_mode(int8_t mode) {
    if (flag(binarization::prev_intra_pred_mode_flag(), mode == kPredictedMode))
        return kPredictedMode;
    const auto any = BinValues::of_symbols(kAnySymbol);
    return static_cast<int8_t>(port_.code(binarization::rem_intra_pred_mode(), any, mode));
}

uint8_t CabacMbCoder::intra_chroma_pred_mode(uint8_t mode) {
    const BinString string = binarization::intra_chroma_pred_mode(a(), b());
    mode = static_cast<uint8_t>(port_.code(string, BinValues::of_symbols(kAnySymbol), mode));
    current().says.intra_chroma_pred_mode = mode;
    return mode;
}

/// At a column and row of this macroblock, or one to the left or above.
CabacMbCoder::CodedMotion CabacMbCoder::motion_at(int list, int column, int row) const {
    const size_t mb = column < 0 ? place_.a : row < 0 ? place_.b : place_.mb;
    if (mb == MbPlace::kNone) return {};
    const auto index = static_cast<size_t>(4 * (row & 3) + (column & 3));
    return mbs_[mb].motion[static_cast<size_t>(list)][index];
}

uint8_t CabacMbCoder::ref_idx(int list, const Partition& at, uint8_t ref_idx) {
    const auto x = static_cast<size_t>(list);
    const BinString string = binarization::ref_idx(
        motion_at(list, at.column - 1, at.row).ref_idx > 0,
        motion_at(list, at.column, at.row - 1).ref_idx > 0
    );
    const uint64_t legal = (uint64_t{1} << slice_.num_ref_idx_active[x]) - 1;
    ref_idx = static_cast<uint8_t>(port_.code(string, BinValues::of_symbols(legal), ref_idx));
    for (int row = at.row; row < at.row + at.height; ++row) {
        for (int column = at.column; column < at.column + at.width; ++column)
            current().motion[x][static_cast<size_t>(4 * row + column)] = {ref_idx, {}};
    }
    return ref_idx;
}

std::array<int16_t, 2> CabacMbCoder::mvd(
    int list, const Partition& at, std::array<int16_t, 2> mvd
) {
    const CodedMotion left = motion_at(list, at.column - 1, at.row);
    const CodedMotion top = motion_at(list, at.column, at.row - 1);
    std::array<uint16_t, 2> magnitudes{};
    for (size_t c = 0; c < 2; ++c) {
        const int sum = left.abs_mvd[c] + top.abs_mvd[c];
        const BinString string = binarization::mvd(static_cast<int>(c), sum);
        const auto legal = BinValues::of_range(-kMaxMvd, kMaxMvd - 1);
        mvd[c] = static_cast<int16_t>(port_.code(string, legal, mvd[c]));
        magnitudes[c] = static_cast<uint16_t>(std::abs(mvd[c]));
    }
    for (int row = at.row; row < at.row + at.height; ++row) {
        for (int column = at.column; column < at.column + at.width; ++column) {
            const auto index = static_cast<size_t>(4 * row + column);
            current().motion[static_cast<size_t>(list)][index].abs_mvd = magnitudes;
        }
    }
    return mvd;
}

uint8_t CabacMbCoder::coded_block_pattern(uint8_t pattern, bool) {
    const BinString string = binarization::coded_block_pattern(a(), b());
    pattern = static_cast<uint8_t>(port_.code(string, BinValues::of_symbols(kAnySymbol), pattern));
    current().says.cbp_luma = pattern & 15;
    current().says.cbp_chroma = pattern >> 4;
    return pattern;
}

int8_t CabacMbCoder::mb_qp_delta(int8_t delta) {
    const BinString string = binarization::mb_qp_delta(was_qp_changed_);
    const auto mapped = static_cast<int32_t>(code_num_of(delta));
    const int32_t value = port_.code(string, BinValues::of_symbols(kMappedQpDeltas), mapped);
    is_qp_changed_ = value != 0;
    return static_cast<int8_t>(signed_value(static_cast<uint64_t>(value)));
}

/// Whether the block to the left or above counts as coded: 9.3.3.1.1.9.
bool CabacMbCoder::is_coded(BlockCat cat, int index, bool to_left) const {
    const size_t beside = to_left ? place_.a : place_.b;
    const MbContext& mb = mbs_[place_.mb];
    const MbContext* neighbour = context_at(beside);
    const NeighbourMb* says = says_at(beside);
    const bool is_intra = mb.says.is_intra;
    const auto judge = [&](bool has_block, bool flag) {
        const auto known = binarization::coded_without_flag(says, is_intra, has_block);
        return known ? *known : flag;
    };
    switch (cat) {
        case BlockCat::kIntra16x16Dc:
            return judge(
                neighbour && neighbour->is_intra16x16, neighbour && neighbour->is_luma_dc_coded
            );
        case BlockCat::kChromaDc:
            return judge(
                says && says->cbp_chroma != 0,
                neighbour && (neighbour->coded_chroma_dc >> index) & 1
            );
        case BlockCat::kChromaAc: {
            const auto c = static_cast<size_t>(index / 4);
            const int column = (index & 1) - (to_left ? 1 : 0);
            const int row = index % 4 / 2 - (to_left ? 0 : 1);
            const int bit = 2 * (row & 1) + (column & 1);
            if (column >= 0 && row >= 0) return (mb.coded_chroma_ac[c] >> bit) & 1;
            return judge(
                says && says->cbp_chroma == 2,
                neighbour && (neighbour->coded_chroma_ac[c] >> bit) & 1
            );
        }
        default: {
            const int column = column_of(index) - (to_left ? 1 : 0);
            const int row = row_of(index) - (to_left ? 0 : 1);
            const int bit = 4 * (row & 3) + (column & 3);
            if (column >= 0 && row >= 0) return (mb.coded_luma >> bit) & 1;
            const int quarter = 2 * ((row & 3) / 2) + (column & 3) / 2;
            return judge(
                says && (says->cbp_luma >> quarter) & 1,
                neighbour && (neighbour->coded_luma >> bit) & 1
            );
        }
    }
}

void CabacMbCoder::note_coded(BlockCat cat, int index) {
    MbContext& mb = current();
    const auto luma_bit = [](int i) { return 1u << (4 * row_of(i) + column_of(i)); };
    switch (cat) {
        case BlockCat::kIntra16x16Dc:
            mb.is_luma_dc_coded = true;
            return;
        case BlockCat::kChromaDc:
            mb.coded_chroma_dc = static_cast<uint8_t>(mb.coded_chroma_dc | 1u << index);
            return;
        case BlockCat::kChromaAc: {
            uint8_t& coded = mb.coded_chroma_ac[static_cast<size_t>(index / 4)];
            coded = static_cast<uint8_t>(coded | 1u << index % 4);
            return;
        }
        case BlockCat::kLuma8x8:
            for (int i = 4 * index; i < 4 * index + 4; ++i)
                mb.coded_luma = static_cast<uint16_t>(mb.coded_luma | luma_bit(i));
            return;
        default:
            mb.coded_luma = static_cast<uint16_t>(mb.coded_luma | luma_bit(index));
    }
}

// 7.3.5.3.3
void CabacMbCoder::block(BlockCat cat, int index, std::span<int32_t> levels) {
    if (cat != BlockCat::kLuma8x8) {
        const bool has_any =
            std::any_of(levels.begin(), levels.end(), [](int32_t level) { return level != 0; });
        const BinString string = binarization::coded_block_flag(
            cat, is_coded(cat, index, true), is_coded(cat, index, false)
        );
        if (!flag(string, has_any)) return;
    }
    note_coded(cat, index);
    std::vector<size_t> places;
    const size_t n_levels = levels.size();
    size_t last_given = n_levels;
    while (last_given > 0 && levels[last_given - 1] == 0) --last_given;
    if (last_given == 0) last_given = 1;  // of a reader's
    size_t i = 0;
    for (; i + 1 < n_levels; ++i) {
        const auto number = static_cast<int>(i);
        if (!flag(binarization::significant_coeff_flag(cat, number), levels[i] != 0)) continue;
        places.push_back(i);
        const bool is_last = i + 1 == last_given;
        if (flag(binarization::last_significant_coeff_flag(cat, number), is_last)) break;
    }
    if (i + 1 == n_levels) places.push_back(i);  // inferred
    int n_equal_1 = 0;
    int n_greater_1 = 0;
    for (size_t k = places.size(); k-- > 0;) {
        int32_t& level = levels[places[k]];
        const auto legal = BinValues::of_range(0, kMaxLevelMinus1);
        const int32_t minus1 = port_.code(
            binarization::coeff_abs_level_minus1(cat, n_equal_1, n_greater_1), legal,
            std::abs(level) - 1
        );
        level = flag(binarization::coeff_sign_flag(), level < 0) ? -(minus1 + 1) : minus1 + 1;
        if (minus1 == 0) {
            ++n_equal_1;
        } else {
            ++n_greater_1;
        }
    }
}

}  // namespace pycodec_lm::h264
