// What a narrower grammar leaves of the standard, and how a sample makes one.
#include "h264/grammar.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "h264/cursor.hpp"

namespace pycodec_lm::h264 {

/// The stream may not go on: it has all its pictures.
bool AvcCursor::is_stream_full() const {
    return grammar_->n_pictures && position_.n_pictures >= *grammar_->n_pictures;
}

/// The constants of the slice header that is being read; null where it has none.
const SliceConstants* AvcCursor::constants() const {
    if (!grammar_->is_pinned()) return nullptr;
    return position_.slice.is_idr() ? &grammar_->idr : &grammar_->p;
}

bool AvcCursor::is_legal_nal_header(uint32_t type, uint32_t nal_ref_idc) const {
    const Position& p = position_;
    const AvcGrammar& grammar = *grammar_;
    if (grammar.is_pinned() && p.offset >= grammar.pinned.size()) {
        // One IDR picture, then P pictures.
        const bool is_idr =
            p.phase == Phase::kPicture ? context_->first_slice.is_idr() : p.n_pictures == 0;
        const SliceConstants& constants = is_idr ? grammar.idr : grammar.p;
        if (type != (is_idr ? nal::kIdrSlice : nal::kSlice)) return false;
        if (nal_ref_idc != constants.nal_ref_idc) return false;
    } else if (grammar.portable && !grammar.is_pinned()) {
        // One SPS, one PPS, slices.
        const bool has_sps = context_->sets->has_sps();
        const bool has_pps = context_->sets->has_pps();
        const uint32_t due = has_pps ? nal::kSlice : has_sps ? nal::kPps : nal::kSps;
        if (type != due && !(has_pps && type == nal::kIdrSlice)) return false;
    }
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

/// Macroblocks that the slice still may have.
uint32_t AvcCursor::n_mbs_of_slice_left() const {
    const uint32_t n_left = n_mbs_left();
    if (grammar_->slicing != Slicing::kMacroblock) return n_left;
    return std::min(n_left, position_.slice.first_mb + 1 - position_.next_mb);
}

/// Of the legal values of a slice header's field, those that the grammar keeps.
ValueSet AvcCursor::narrowed(ValueSet values) const {
    const Position& p = position_;
    const SliceConstants* constants = this->constants();
    if (constants == nullptr && !grammar_->portable) return values;
    const auto only = [&](uint32_t value) {
        return values.contains(value) ? ValueSet::only(value) : ValueSet();
    };
    switch (p.at) {
        case Element::kNumRefIdxActiveOverrideFlag:
            return only(n_portable_refs() != pps().num_ref_idx_l0_default_active_minus1 + 1u);
        case Element::kNumRefIdxL0ActiveMinus1:
            return only(n_portable_refs() - 1);
        case Element::kGapsInFrameNumValueAllowedFlag:
            return only(0);
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
        case Element::kDisableDeblockingFilterIdc:
            return only(constants->disable_deblocking_filter_idc);
        default:
            return values;
    }
}

/// As many reference indices as there are pictures, up to the default: more make libavcodec warn.
uint32_t AvcCursor::n_portable_refs() const {
    uint32_t n_existing = 0;
    for (const RefFrame& frame : context_->references.frames()) n_existing += frame.is_existing;
    return std::clamp<uint32_t>(n_existing, 1, pps().num_ref_idx_l0_default_active_minus1 + 1u);
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
    std::optional<uint32_t> last_first_mb;
    bool has_whole_pictures = true;
    bool has_single_macroblocks = true;

    /// Why no grammar follows the sample; null where one can.
    const char* add(const AvcCursor& cursor) {
        const SliceHeader& slice = cursor.slice();
        if (slice.is_idr() && cursor.n_pictures() > 0) return "it has more than one IDR picture";
        auto& constants = slice.is_idr() ? idr : p;
        if (!constants) constants = slice.constants;
        if (*constants != slice.constants) return "its slice headers differ in more than counters";
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
    // What the grammar forces otherwise than the sample has it: start codes, reference counts.
    AvcCursor of_grammar(grammar);
    for (size_t i = 0; i < n_bytes; ++i) {
        if (result.status = of_grammar.push(data[i]); !result.status) return result;
    }
    note_endings(*grammar);
    result.grammar = std::move(grammar);
    return result;
}

/// What stands before a picture decides its header by its length alone: frame_num and the number of
/// references count pictures, and where order counts do not follow from these (types 0 and 1) the
/// ending is left to be worked out each time.
void note_endings(AvcGrammar& grammar) {
    grammar.bytes_behind_pictures.clear();
    if (!grammar.is_pinned() || !grammar.n_pictures) return;
    AvcCursor cursor(std::make_shared<const AvcGrammar>(grammar));
    std::vector<uint8_t> stream;
    cursor.complete(stream, std::numeric_limits<uint64_t>::max());
    std::vector<uint64_t> ends;
    for (const uint8_t byte : stream) {
        const uint64_t n_before = cursor.n_pictures();
        cursor.accept(byte);
        if (n_before == 0 && cursor.n_slices() > 0 && !cursor.counts_order_by_frame_num()) return;
        if (cursor.n_pictures() > n_before) ends.push_back(cursor.offset());
    }
    grammar.bytes_behind_pictures.push_back(0);  // of none: not asked for
    for (const uint64_t end : ends) grammar.bytes_behind_pictures.push_back(stream.size() - end);
}

}  // namespace pycodec_lm::h264
