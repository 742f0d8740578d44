// What a narrower grammar leaves of the standard, and how a sample makes one.
#include "h264/grammar.hpp"

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <utility>

#include "h264/cursor.hpp"
#include "h264/trace.hpp"

namespace pycodec_lm::h264 {

bool AvcGrammar::allows_level(const LevelLimits& limits) const {
    if (level_idc && *level_idc != limits.level_idc) return false;
    if (portable && limits.level_idc > kMaxPortableLevel) return false;
    return may_have_side(limits, std::max(least_width_mbs(), least_height_mbs())) &&
           least_frame_mbs() <= limits.max_fs;
}

bool AvcGrammar::has_level() const {
    return std::any_of(kTableA_1.begin(), kTableA_1.end(), [&](const LevelLimits& limits) {
        return allows_level(limits);
    });
}

/// The stream may not go on: it has all its pictures.
bool AvcCursor::is_stream_full() const {
    return grammar_->n_pictures && position_.n_pictures >= *grammar_->n_pictures;
}

namespace {

/// A field of slice headers behind first_mb_in_slice, in NAL units of slices.
bool is_behind_first_mb(Element element) {
    return element == Element::kPicParameterSetId ||
           (element > Element::kFirstMbInSlice && element < Element::kMbSkipRun);
}

}  // namespace

/// The constants of the slice header that is being read; null where it has none.
const SliceConstants* AvcCursor::constants() const {
    if (!grammar_->has_constants()) return nullptr;
    return position_.slice.is_idr() ? &grammar_->idr : &grammar_->p;
}

/// Of a field in a slice header; none where it is free, as first_mb_in_slice always is.
std::optional<int64_t> AvcCursor::pinned_value() const {
    const Position& p = position_;
    if (grammar_->headers.empty() || !is_in_slice() || !is_behind_first_mb(p.at))
        return std::nullopt;
    return grammar_->headers[p.n_pictures].values[p.n_header_fields];
}

/// Of the next slice of a pinned stream that is not full.
AvcCursor::NalHeader AvcCursor::pinned_nal_header() const {
    const uint64_t picture = position_.n_pictures;
    if (!grammar_->headers.empty()) {
        const PinnedHeader& header = grammar_->headers[picture];
        return {header.nal_ref_idc, header.nal_unit_type};
    }
    if (picture == 0) return {grammar_->idr.nal_ref_idc, nal::kIdrSlice};
    return {grammar_->p.nal_ref_idc, nal::kSlice};
}

bool AvcCursor::is_legal_nal_header(uint32_t type, uint32_t nal_ref_idc) const {
    const Position& p = position_;
    const AvcGrammar& grammar = *grammar_;
    if (type == nal::kEndOfStream && grammar.n_pictures) return false;  // pictures are still due
    if (grammar.is_pinned() && p.offset >= grammar.pinned.size()) {
        const NalHeader due = pinned_nal_header();
        if (type != due.nal_unit_type || nal_ref_idc != due.nal_ref_idc) return false;
    } else if (grammar.portable && !grammar.is_pinned()) {
        // One SPS, one PPS, slices.
        const bool has_sps = context_->sets->has_sps();
        const bool has_pps = context_->sets->has_pps();
        const uint32_t due = has_pps ? nal::kSlice : has_sps ? nal::kPps : nal::kSps;
        if (type != due && !(has_pps && type == nal::kIdrSlice)) return false;
    }
    // openh264 has no room for a picture beside that of the last reference picture then.
    if (grammar.portable && type == nal::kSlice && nal_ref_idc == 0 && context_->sps &&
        context_->sps->max_num_ref_frames == 0)
        return false;
    return is_legal_nal_unit_type(type, nal_ref_idc);
}

/// Zeros before the 01 of a start code, where they are not free: as few as may be (B.1.2).
uint8_t AvcCursor::n_start_zeros() const {
    const Phase phase = position_.phase;
    return phase == Phase::kPicture || (phase == Phase::kDelimited && position_.n_pictures == 0 &&
                                        context_->sets->has_pps())
               ? 2
               : 3;
}

/// Of the legal values of a slice header's field, those that the grammar keeps.
ValueSet AvcCursor::narrowed(ValueSet values) const {
    const Position& p = position_;
    const SliceConstants* constants = this->constants();
    if (grammar_->portable) values = portable_part(values);
    if (constants == nullptr && !grammar_->portable) return values;
    const auto only = [&](uint32_t value) {
        return values.contains(value) ? ValueSet::only(value) : ValueSet();
    };
    switch (p.at) {
        case Element::kNumRefIdxActiveOverrideFlag: {
            const auto is_other = [&](size_t list) {
                return n_portable_refs(list) != pps().num_ref_idx_default_active_minus1[list] + 1u;
            };
            return only(is_other(0) || (p.slice.type == SliceType::kB && is_other(1)));
        }
        case Element::kNumRefIdxL0ActiveMinus1:
            return only(n_portable_refs(0) - 1);
        case Element::kNumRefIdxL1ActiveMinus1:
            return only(n_portable_refs(1) - 1);
        default:
            break;
    }
    if (constants == nullptr) return values;
    switch (p.at) {
        case Element::kSliceType:
            return only(constants->slice_type);
        case Element::kIdrPicId:
        case Element::kRefPicListModificationFlagL0:
        case Element::kNoOutputOfPriorPicsFlag:
        case Element::kLongTermReferenceFlag:
        case Element::kAdaptiveRefPicMarkingModeFlag:
            return only(0);
        case Element::kCabacInitIdc:
            return only(constants->cabac_init_idc);
        case Element::kDisableDeblockingFilterIdc:
            return only(constants->disable_deblocking_filter_idc);
        default:
            return values;
    }
}

/// Of the legal values of a sequence parameter set's field, those that the grammar keeps. There is
/// always one: what comes first leaves room for what comes later.
ValueSet AvcCursor::narrowed_sps_field(ValueSet values) const {
    const AvcGrammar& grammar = *grammar_;
    const Draft& draft = context_->draft;
    const Sps& sps = draft.sps;
    const bool is_high = sps.profile_idc == profile::kHigh;
    // Cropped by two samples at a time.
    const uint32_t crop_x = grammar.width ? 8 * sps.width_mbs - *grammar.width / 2 : 0;
    const uint32_t crop_y = grammar.height ? 8 * sps.height_mbs - *grammar.height / 2 : 0;
    const auto keep_if = [&](const auto& is_kept) {  // values below 64
        uint64_t bits = 0;
        for (uint32_t value = 0; value < 64; ++value) {
            if (values.contains(value) && is_kept(value)) bits |= uint64_t{1} << value;
        }
        return ValueSet::of_bits(bits);
    };
    switch (position_.at) {
        case Element::kProfileIdc:
            return grammar.profile_idc ? ValueSet::only(*grammar.profile_idc) : values;
        case Element::kConstraintSetFlags:
            return keep_if([&](uint32_t flags) {
                const bool has_set1 = (flags & 0b010000) != 0;
                const bool has_set3 = (flags & 0b000100) != 0;
                if (grammar.profile_idc == profile::kBaseline && !has_set1) return false;
                if (is_high) return true;
                // Before High the third is level 1b.
                return has_set3 ? grammar.allows_level(*limits_of(9)) : grammar.level_idc != 9;
            });
        case Element::kLevelIdc:
            if (!is_high && sps.has_constraint_set(3)) return values;
            return keep_if([&](uint32_t level_idc) {
                return grammar.allows_level(*limits_of(static_cast<uint8_t>(level_idc)));
            });
        case Element::kPicOrderCntType:
            return grammar.shows_all_pictures() ? ValueSet::only(2) : values;
        case Element::kMaxNumRefFrames:
            return {0, max_dpb_frames(sps.limits(), grammar.least_frame_mbs())};
        case Element::kPicWidthInMbsMinus1: {
            if (grammar.width) return ValueSet::only(grammar.least_width_mbs() - 1);
            const uint32_t most = max_frame_mbs(sps.limits(), sps.max_num_ref_frames);
            return {0, std::min(most / grammar.least_height_mbs(), max_side_mbs(sps.limits())) - 1};
        }
        case Element::kPicHeightInMapUnitsMinus1:
            return grammar.height ? ValueSet::only(grammar.least_height_mbs() - 1) : values;
        case Element::kDirect8x8InferenceFlag:
            // openh264 has transform_size_8x8_flag for direct macroblocks of 4x4 blocks too.
            return grammar.portable && is_high ? ValueSet::only(1) : values;
        case Element::kFrameCroppingFlag:
            return crop_x + crop_y > 0 ? ValueSet::only(1) : values;
        case Element::kFrameCropLeftOffset:
            // libavcodec shows some of what is cropped at the left, for alignment.
            if (!grammar.width) return values;
            return grammar.portable ? ValueSet::only(0) : ValueSet(0, crop_x);
        case Element::kFrameCropRightOffset:
            return grammar.width ? ValueSet::only(crop_x - draft.crop[0]) : values;
        case Element::kFrameCropTopOffset:
            return grammar.height ? ValueSet(0, crop_y) : values;
        case Element::kFrameCropBottomOffset:
            return grammar.height ? ValueSet::only(crop_y - draft.crop[2]) : values;
        default:
            return values;
    }
}

/// As many reference indices as there are pictures, up to the default: more make libavcodec warn.
uint32_t AvcCursor::n_portable_refs(size_t list) const {
    const auto n_existing = static_cast<uint32_t>(context_->references.n_existing());
    return std::clamp<uint32_t>(n_existing, 1, pps().num_ref_idx_default_active_minus1[list] + 1u);
}

namespace {

/// The start of the start code of the NAL unit that the byte at `at` belongs to.
size_t start_of_nal_unit(const uint8_t* data, size_t at) {
    while (at > 2 && !(data[at] == 1 && data[at - 1] == 0 && data[at - 2] == 0)) --at;
    at -= 2;
    while (at > 0 && data[at - 1] == 0) --at;
    return at;
}

/// What the slice headers of a sample have in common.
struct Sample {
    std::optional<SliceConstants> idr;
    std::optional<SliceConstants> p;
    bool has_constants = true;
    std::optional<uint32_t> last_first_mb;
    bool has_whole_pictures = true;
    bool has_single_macroblocks = true;

    /// Why no grammar follows the sample; null where one can.
    const char* add(const AvcCursor& cursor) {
        const SliceHeader& slice = cursor.slice();
        if (slice.is_idr() && cursor.n_pictures() > 0) return "it has more than one IDR picture";
        const bool is_b = slice.type == SliceType::kB;
        if (is_b && !slice.direct_spatial_mv_pred_flag)
            return "it has B slices with temporal direct prediction";
        auto& constants = slice.is_idr() ? idr : p;
        if (!constants) constants = slice.constants;
        has_constants = has_constants && !is_b && *constants == slice.constants;
        has_whole_pictures = has_whole_pictures && slice.first_mb == 0;
        if (last_first_mb) {
            const uint32_t next = (*last_first_mb + 1) % cursor.frame_mbs();
            has_single_macroblocks = has_single_macroblocks && slice.first_mb == next;
        }
        last_first_mb = slice.first_mb;
        return nullptr;
    }

    Slicing slicing() const {
        if (has_whole_pictures) return Slicing::kPicture;
        return has_single_macroblocks ? Slicing::kMacroblock : Slicing::kAny;
    }
};

/// The headers of a valid sample, by picture; none where the slices of a picture differ.
std::vector<PinnedHeader> headers_of(const uint8_t* data, size_t n_bytes) {
    const TraceLimits all{
        .n_fields = SIZE_MAX, .n_nals = SIZE_MAX, .n_mbs = 0, .n_symbols = 0, .n_bins = 0
    };
    const Trace traced = trace(data, n_bytes, all, 0, 0);
    std::vector<PinnedHeader> headers;
    for (const SliceRow& slice : traced.slices) {
        const NalRow& nal = traced.nals[slice.nal];
        PinnedHeader header{
            .nal_ref_idc = nal.nal_ref_idc, .nal_unit_type = nal.nal_unit_type, .values = {}
        };
        for (uint32_t i = 0; i < nal.n_fields; ++i) {
            const FieldRow& field = traced.fields[nal.first_field + i];
            if (is_behind_first_mb(static_cast<Element>(field.element)))
                header.values.push_back(static_cast<int32_t>(field.value));
        }
        if (slice.picture == headers.size()) {
            headers.push_back(std::move(header));
        } else if (headers.back() != header) {
            return {};
        }
    }
    return headers;
}

/// What the grammar forces otherwise than the sample has it: start codes, and what counts pictures.
/// That the sample's pictures are signed is no matter.
Status why_not_in(const AvcGrammar& grammar, const uint8_t* data, size_t n_bytes) {
    AvcCursor cursor(std::make_shared<const AvcGrammar>(grammar));
    for (size_t i = 0; i < n_bytes; ++i) {
        if (const Status status = cursor.push(data[i]); !status) return status;
    }
    return {};
}

}  // namespace

Pinned pin_like(const uint8_t* data, size_t n_bytes) {
    Pinned result;
    auto grammar = std::make_shared<AvcGrammar>();
    AvcCursor cursor(std::make_shared<const AvcGrammar>());
    Sample sample;
    uint64_t n_slices = 0;
    for (size_t i = 0; i < n_bytes && result.complaint == nullptr; ++i) {
        if (result.status = cursor.push(data[i]); !result.status) return result;
        if (cursor.n_slices() == n_slices) continue;
        n_slices = cursor.n_slices();
        if (grammar->pinned.empty())
            grammar->pinned.assign(data, data + start_of_nal_unit(data, i));
        result.complaint = sample.add(cursor);
    }
    if (result.complaint != nullptr) return result;
    if (!cursor.is_complete()) {
        result.status = {
            .code = Code::kStreamTruncated, .element = cursor.element(), .byte = cursor.offset()
        };
        return result;
    }
    grammar->n_pictures = cursor.n_pictures();
    grammar->idr = *sample.idr;
    grammar->p = sample.p.value_or(SliceConstants{.nal_ref_idc = 1});
    grammar->slicing = sample.slicing();
    if (!sample.has_constants || !why_not_in(*grammar, data, n_bytes)) {
        grammar->headers = headers_of(data, n_bytes);
        if (grammar->headers.empty()) {
            result.complaint = "the slices of a picture differ in more than where they begin";
            return result;
        }
        if (result.status = why_not_in(*grammar, data, n_bytes); !result.status) return result;
    }
    grammar->has_portable_data = true;
    grammar->has_pinned_cabac = cursor.has_cabac();
    if (!note_endings(*grammar)) throw std::logic_error("the sample has more pictures than it can");
    result.grammar = std::move(grammar);
    return result;
}

/// What stands before a slice decides its header by its length alone: frame_num and the number of
/// references count pictures, and where order counts do not follow from these (types 0 and 1) the
/// ending is left to be worked out each time, unless all headers are the sample's.
bool note_endings(AvcGrammar& grammar) {
    grammar.bytes_behind_slices.clear();
    grammar.most_bytes_of_ending_slice = 0;
    if (!grammar.is_pinned() || !grammar.n_pictures) return true;
    if (!grammar.headers.empty() && *grammar.n_pictures > grammar.headers.size()) return false;
    AvcCursor cursor(std::make_shared<const AvcGrammar>(grammar));
    std::vector<uint8_t> stream;
    try {
        cursor.complete(stream, std::numeric_limits<uint64_t>::max());
    } catch (const std::logic_error&) {
        for (const uint8_t byte : stream) cursor.accept(byte);
        if (cursor.allowed().empty()) return false;
        throw;
    }
    std::vector<uint64_t> bytes_behind{stream.size()};
    uint64_t most_bytes = 0;
    uint64_t last_end = stream.size();
    for (const uint8_t byte : stream) {
        cursor.accept(byte);
        if (cursor.n_slices() > 0 && grammar.has_constants() && !cursor.counts_order_by_frame_num())
            return true;
        if (cursor.n_whole_slices() != bytes_behind.size()) continue;
        const uint64_t offset = cursor.offset();
        bytes_behind.push_back(stream.size() - offset);
        if (offset > last_end) most_bytes = std::max(most_bytes, offset - last_end);
        last_end = offset;
    }
    grammar.most_bytes_of_ending_slice = most_bytes;
    grammar.bytes_behind_slices = std::move(bytes_behind);
    return true;
}

}  // namespace pycodec_lm::h264
