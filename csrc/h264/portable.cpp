// What the portable language leaves out of the standard: legal, and yet some decoder complains,
// loses pictures, or cannot go on.
#include "h264/cursor.hpp"

namespace pycodec_lm::h264 {
namespace {

// Of openh264 2.3.
constexpr uint32_t kMaxPortablePpsId = 56;
constexpr uint32_t kMaxPortableRefIdx = 15;  // frames never have more

constexpr uint32_t kMaxPortableCycle = 15;
// Codes of more than 15 leading zeros are refused in slice headers, by where they lie.
constexpr int64_t kMaxPortableDelta = 0x7FFF;
constexpr uint32_t kUnportableIdrPicId = 65535;

}  // namespace

/// The offsets and deltas of picture order counts. openh264 refuses long codes.
AvcCursor::SignedRange AvcCursor::portable_order_counts() const {
    const int64_t most = grammar_->portable ? kMaxPortableDelta : INT32_MAX;
    return {-most, most};
}

/// Of the legal values of a field in a parameter set or a slice header, those that are portable.
ValueSet AvcCursor::portable_part(ValueSet values) const {
    const Position& p = position_;
    switch (p.at) {
        case Element::kSliceType: {
            // openh264 works out order counts of type 0 only, and orders the lists of B slices by
            // them.
            const Sps* sps = context_->sps.get();
            if (sps == nullptr || sps->pic_order_cnt_type == 0) return values;
            uint64_t types = 0;
            for (const uint32_t type : {0u, 2u, 5u, 7u}) {
                if (values.contains(type)) types |= uint64_t{1} << type;
            }
            return ValueSet::of_bits(types);
        }
        case Element::kLevelIdc:
            for (const LevelLimits& limits : kTableA_1) {
                if (limits.level_idc > kMaxPortableLevel) values.remove(limits.level_idc);
            }
            return values;
        case Element::kNumRefFramesInPicOrderCntCycle:
            return {0, kMaxPortableCycle};
        case Element::kIdrPicId:
            values.remove(kUnportableIdrPicId);
            return values;
        case Element::kGapsInFrameNumValueAllowedFlag:
        case Element::kNoOutputOfPriorPicsFlag:  // libavcodec drops what is not shown yet
            return ValueSet::only(0);
        case Element::kLongTermReferenceFlag:
        case Element::kAdaptiveRefPicMarkingModeFlag:
            return ValueSet::only(0);  // openh264 misses references behind such operations
        case Element::kPicParameterSetId:
            return p.nal_unit_type == nal::kPps ? ValueSet(0, kMaxPortablePpsId) : values;
        case Element::kNumRefIdxL0DefaultActiveMinus1:
        case Element::kNumRefIdxL1DefaultActiveMinus1:
            return {0, kMaxPortableRefIdx};
        default:
            return p.nal_unit_type == nal::kPps ? usable_part(values) : values;
    }
}

/// Of the legal values of a picture parameter set's field, those with which a slice can activate
/// it: where it is the only one, nothing else could follow.
ValueSet AvcCursor::usable_part(ValueSet values) const {
    const uint8_t sps_id = context_->sets->first_sps_id();
    const auto part = [&](auto change) {
        ValueSet usable;
        for (uint32_t value = 0; value <= 2; ++value) {
            Pps changed = context_->draft.pps;
            change(changed, value);
            if (values.contains(value) && context_->sets->sps[sps_id]->allows(changed))
                usable.add(value);
        }
        return usable;
    };
    switch (position_.at) {
        case Element::kSeqParameterSetId:
            return ValueSet::only(sps_id);
        case Element::kEntropyCodingModeFlag:
            return part([](Pps& pps, uint32_t value) {
                pps.entropy_coding_mode_flag = value != 0;
            });
        case Element::kWeightedPredFlag:
            return part([](Pps& pps, uint32_t value) { pps.weighted_pred_flag = value != 0; });
        case Element::kWeightedBipredIdc:
            return part([](Pps& pps, uint32_t value) {
                pps.weighted_bipred_idc = static_cast<uint8_t>(value);
            });
        case Element::kRedundantPicCntPresentFlag:
            return part([](Pps& pps, uint32_t value) {
                pps.redundant_pic_cnt_present_flag = value != 0;
            });
        case Element::kTransform8x8ModeFlag:
            return part([](Pps& pps, uint32_t /*value*/) { pps.has_extension = true; });
        default:
            return values;
    }
}

}  // namespace pycodec_lm::h264
