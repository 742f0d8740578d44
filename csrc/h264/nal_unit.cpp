// NAL units and their order: 7.3.1, 7.4.1, and the small ones of 7.3.2.3 to 7.3.2.7.
#include <algorithm>

#include "h264/cursor.hpp"

namespace pycodec_lm::h264 {

bool AvcCursor::has_usable_pps(bool is_idr) const {
    const auto& ids = context_->sets->pps_ids;
    return std::any_of(ids.begin(), ids.end(), [&](uint8_t id) {
        return why_no_pps(id, is_idr) == Code::kOk;
    });
}

/// Some picture parameter set of first..last can be the slice's.
bool AvcCursor::any_usable_pps(uint64_t first, uint64_t last) const {
    const auto& ids = context_->sets->pps_ids;
    return std::any_of(ids.begin(), ids.end(), [&](uint8_t id) {
        return first <= id && id <= last && why_no_pps(id, position_.slice.is_idr()) == Code::kOk &&
               is_countable_with(id);
    });
}

/// 7.4.1 and 7.4.1.2.3.
bool AvcCursor::is_legal_nal_unit_type(uint32_t type, uint32_t nal_ref_idc) const {
    const Position& p = position_;
    const bool is_in_picture = p.phase == Phase::kPicture;
    const bool is_after = p.phase == Phase::kAfter;
    // The next NAL unit that may be the first of an access unit is.
    const bool is_first = p.phase != Phase::kDelimited && !is_in_picture;
    const bool may_be_first = p.has_zero_byte || !is_first;  // B.1.2
    const bool is_reference = nal_ref_idc != 0;
    switch (type) {
        case nal::kSlice:
            if (is_in_picture) {
                const SliceHeader& first = context_->first_slice;
                return !first.is_idr() && first.is_reference() == is_reference;
            }
            return may_be_first && !p.needs_idr && has_usable_pps(false) &&
                   can_start_picture(is_reference);
        case nal::kIdrSlice:
            if (!is_reference) return false;
            if (is_in_picture) return context_->first_slice.is_idr();
            return may_be_first && has_usable_pps(true);
        case nal::kSei:
            return !is_reference && !is_in_picture && may_be_first;
        case nal::kSps:
        case nal::kPps:
            return is_reference && !is_in_picture && p.has_zero_byte;
        case nal::kAccessUnitDelimiter:
            return !is_reference && is_first && p.has_zero_byte;
        case nal::kEndOfSequence:
            return !is_reference && is_after;
        case nal::kEndOfStream:
            return !is_reference && (is_after || p.phase == Phase::kEndOfSequence);
        case nal::kFiller:
            return !is_reference && (is_after || is_in_picture);
        case nal::kSpsExtension:
            return is_reference && p.sps_before < kMaxSeqParameterSets;
        case nal::kAuxiliarySlice:
            return is_after;
        case nal::kPartitionA:
        case nal::kPartitionA + 1:
        case nal::kPartitionC:
            return false;
        default:
            // Decoders ignore these.
            if (type >= nal::kPrefix && type <= nal::kReserved18) {
                if (type == nal::kPrefix + 1 && !is_reference) return false;  // a subset SPS
                return is_in_picture || may_be_first;
            }
            return is_after || is_in_picture;
    }
}

ValueSet AvcCursor::legal_nal_unit_types(uint32_t nal_ref_idc) const {
    uint64_t types = 0;
    for (uint32_t type = 0; type < 32; ++type) {
        if (is_legal_nal_header(type, nal_ref_idc)) types |= uint64_t{1} << type;
    }
    return types == 0 ? ValueSet() : ValueSet::of_bits(types);
}

bool AvcCursor::any_legal_nal_ref_idc(uint64_t first, uint64_t last) const {
    for (auto idc = static_cast<uint32_t>(first); idc <= last; ++idc) {
        for (uint32_t type = 0; type < 32; ++type) {
            if (is_legal_nal_header(type, idc)) return true;
        }
    }
    return false;
}

ValueSet AvcCursor::legal_nal_field() const {
    const Position& p = position_;
    switch (p.at) {
        case Element::kForbiddenZeroBit:
            return ValueSet::only(0);
        case Element::kNalRefIdc: {
            ValueSet values;
            for (uint32_t idc = 0; idc < 4; ++idc) {
                if (any_legal_nal_ref_idc(idc, idc)) values.add(idc);
            }
            return values;
        }
        case Element::kNalUnitType:
            return legal_nal_unit_types(p.nal_ref_idc);
        case Element::kFfByte:
            return ValueSet::only(0xFF);
        case Element::kPrimaryPicType: {
            ValueSet types(0, 7);
            for (const uint32_t without_i : {3u, 4u}) types.remove(without_i);
            return types;
        }
        default:
            return {0, 255};
    }
}

void AvcCursor::take_nal_field(int64_t value) {
    Position& p = position_;
    switch (p.at) {
        case Element::kForbiddenZeroBit:
            return expect(Element::kNalRefIdc);
        case Element::kNalRefIdc:
            p.nal_ref_idc = static_cast<uint8_t>(value);
            return expect(Element::kNalUnitType);
        case Element::kNalUnitType:
            return begin_nal_unit(static_cast<uint8_t>(value));
        case Element::kPrimaryPicType:
            p.primary_pic_type = static_cast<uint8_t>(value);
            return begin_trailing_bits();
        case Element::kPayloadType:
            if (value == 0xFF) return;
            p.n_payload = 0;
            return expect(Element::kPayloadSize);
        case Element::kPayloadSize:
            p.n_payload += static_cast<uint64_t>(value);
            if (value == 0xFF) return;
            break;
        case Element::kSeiPayload:
            --p.n_payload;
            break;
        case Element::kFfByte:
            p.may_end = true;
            return;
        default:
            return;
    }
    // In an SEI message.
    expect(p.n_payload > 0 ? Element::kSeiPayload : Element::kPayloadType);
    p.may_end = p.n_payload == 0;
}

void AvcCursor::begin_nal_unit(uint8_t nal_unit_type) {
    Position& p = position_;
    p.nal_unit_type = nal_unit_type;
    p.may_end = false;
    const bool is_vcl = nal_unit_type == nal::kSlice || nal_unit_type == nal::kIdrSlice;
    const bool is_before_picture =
        (nal_unit_type >= nal::kSei && nal_unit_type <= nal::kAccessUnitDelimiter) ||
        (nal_unit_type >= nal::kPrefix && nal_unit_type <= nal::kReserved18);
    if (p.phase != Phase::kPicture && p.phase != Phase::kDelimited &&
        (is_vcl || is_before_picture)) {
        p.phase = Phase::kDelimited;
        p.primary_pic_type = 7;
    }
    if (nal_unit_type != nal::kSpsExtension) p.sps_before = kMaxSeqParameterSets;
    switch (nal_unit_type) {
        case nal::kSlice:
        case nal::kIdrSlice:
            p.slice = {.nal_unit_type = nal_unit_type, .nal_ref_idc = p.nal_ref_idc};
            return expect(Element::kFirstMbInSlice);
        case nal::kSei:
            return expect(Element::kPayloadType);
        case nal::kSps:
            context_.edit().draft = {};
            return expect(Element::kProfileIdc);
        case nal::kPps:
            context_.edit().draft = {};
            return expect(Element::kPicParameterSetId);
        case nal::kAccessUnitDelimiter:
            return expect(Element::kPrimaryPicType);
        case nal::kEndOfSequence:
        case nal::kEndOfStream:
            return end_nal_unit(p.offset + 1);
        case nal::kFiller:
            p.may_end = true;
            return expect(Element::kFfByte);
        default:
            return expect(Element::kNalPayload);
    }
}

void AvcCursor::begin_trailing_bits() { expect(Element::kRbspTrailingBits); }

/// After the last bit of a NAL unit.
///
/// @param end offset behind its last byte
void AvcCursor::end_nal_unit(uint64_t end) {
    Position& p = position_;
    switch (p.nal_unit_type) {
        case nal::kSlice:
        case nal::kIdrSlice:
            p.phase = Phase::kPicture;
            p.n_vcl_bytes += end - p.nal_begin;
            if (p.next_mb == sps().frame_mbs()) end_picture();
            break;
        case nal::kSps:
            end_sps();
            break;
        case nal::kPps:
            end_pps();
            break;
        case nal::kEndOfSequence:
            p.phase = Phase::kEndOfSequence;
            p.needs_idr = true;
            break;
        case nal::kEndOfStream:
            p.phase = Phase::kEndOfStream;
            break;
        default:
            break;
    }
    p.at = Element::kStartCode;
    p.bit = 0;
    p.n_partial = 0;
    p.partial = 0;
    p.n_zeros = 0;
    p.after_emulation = false;
    p.may_end = false;
    p.ended = {};
}

}  // namespace pycodec_lm::h264
