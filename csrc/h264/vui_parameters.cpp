// Video usability information and the hypothetical decoder's parameters: E.1, E.2. Nothing of it
// bears on slices; what is checked are its own ranges and the buffer it asks for.
#include <algorithm>

#include <array>

#include "h264/cursor.hpp"

namespace pycodec_lm::h264 {
namespace {

constexpr uint32_t kExtendedSar = 255;
constexpr uint32_t kMostOf32Bits = 0xFFFFFFFE;  // of ue(v)
// openh264 refuses some codes with more than 15 leading zeros.
constexpr uint32_t kMostPortableHrdValue = 0xFFFE;

/// Table E-1, from aspect_ratio_idc 1 on: width to height.
constexpr std::array<std::array<uint32_t, 2>, 16> kSampleAspectRatios{{
    {1, 1},
    {12, 11},
    {10, 11},
    {16, 11},
    {40, 33},
    {24, 11},
    {20, 11},
    {32, 11},
    {80, 33},
    {18, 11},
    {15, 11},
    {64, 33},
    {160, 99},
    {4, 3},
    {3, 2},
    {2, 1},
}};

/// aspect_ratio_idc that leave a picture of square samples at least one sample wide and high: with
/// others libavcodec starts anew at each picture.
ValueSet shapes_with_samples(const Draft& draft) {
    const Sps& sps = draft.sps;
    const uint32_t width = 2 * (8 * sps.width_mbs - draft.crop[0] - draft.crop[1]);
    const uint32_t height = 2 * (8 * sps.height_mbs - draft.crop[2] - draft.crop[3]);
    uint64_t values = 1;  // unspecified
    for (size_t i = 0; i < kSampleAspectRatios.size(); ++i) {
        const auto [across, down] = kSampleAspectRatios[i];
        const uint32_t side = across < down ? width * across / down : height * down / across;
        if (side > 0) values |= uint64_t{2} << i;
    }
    return ValueSet::of_bits(values);
}

}  // namespace

ValueSet AvcCursor::legal_vui_field() const {
    const Position& p = position_;
    const Draft& draft = context_->draft;
    const uint32_t most_hrd_value = grammar_->portable ? kMostPortableHrdValue : kMostOf32Bits;
    switch (p.at) {
        case Element::kAspectRatioIdc: {  // Table E-1
            if (grammar_->portable) return shapes_with_samples(draft);
            ValueSet values(0, 16);
            values.add(kExtendedSar);
            return values;
        }
        case Element::kSarWidth:
        case Element::kSarHeight:
            return {0, 65535};
        case Element::kVideoFormat:  // Table E-2
            return {0, 5};
        case Element::kColourPrimaries: {  // Table E-3
            ValueSet values(1, 2);
            values.add(4, 12);
            values.add(22);
            return values;
        }
        case Element::kTransferCharacteristics: {  // Table E-4
            ValueSet values(1, 2);
            values.add(4, 18);
            return values;
        }
        case Element::kMatrixCoefficients: {  // E.2.1; 0 is for 4:4:4
            ValueSet values(1, 2);
            values.add(4, 14);
            return values;
        }
        case Element::kChromaSampleLocTypeTopField:
        case Element::kChromaSampleLocTypeBottomField:
            return {0, 5};
        case Element::kNumUnitsInTick:
        case Element::kTimeScale:
            return {1, UINT32_MAX};
        case Element::kCpbCntMinus1:
            // openh264 refuses some sets that have several.
            return {0, grammar_->portable ? 0u : 31u};
        case Element::kBitRateScale:
        case Element::kCpbSizeScale:
            return {0, 15};
        case Element::kBitRateValueMinus1:
            // Each is larger than the one before, and room is left for those behind.
            return {p.j == 0 ? 0 : draft.last_bit_rate + 1, most_hrd_value - (p.i - p.j)};
        case Element::kCpbSizeValueMinus1:
            return {0, p.j == 0 ? most_hrd_value : draft.last_cpb_size};
        case Element::kInitialCpbRemovalDelayLengthMinus1:
        case Element::kCpbRemovalDelayLengthMinus1:
        case Element::kDpbOutputDelayLengthMinus1:
        case Element::kTimeOffsetLength:
            return {0, 31};
        case Element::kLowDelayHrdFlag:
            return {0, draft.has_several_cpbs ? 0u : 1u};
        case Element::kMaxBytesPerPicDenom:
        case Element::kMaxBitsPerMbDenom:
        // Editions before 2016 had 16 as the most here too.
        case Element::kLog2MaxMvLengthHorizontal:
        case Element::kLog2MaxMvLengthVertical:
            return {0, 16};
        case Element::kMaxNumReorderFrames:
            // Nothing is reordered there, and libavcodec can lose a picture that it holds back.
            if (grammar_->portable) return ValueSet::only(0);
            return {0, max_dpb_frames(draft.sps.limits(), draft.sps.frame_mbs())};
        case Element::kMaxDecFrameBuffering: {
            const uint32_t least =
                std::max(draft.max_num_reorder_frames, draft.sps.max_num_ref_frames);
            return {least, max_dpb_frames(draft.sps.limits(), draft.sps.frame_mbs())};
        }
        default:
            return {0, 1};
    }
}

void AvcCursor::take_vui_field(int64_t value) {
    Position& p = position_;
    Draft& draft = context_.edit().draft;
    const auto number = static_cast<uint32_t>(value);
    const bool flag = value != 0;
    switch (p.at) {
        case Element::kAspectRatioInfoPresentFlag:
            return expect(flag ? Element::kAspectRatioIdc : Element::kOverscanInfoPresentFlag);
        case Element::kAspectRatioIdc:
            return expect(
                number == kExtendedSar ? Element::kSarWidth : Element::kOverscanInfoPresentFlag
            );
        case Element::kSarWidth:
            return expect(Element::kSarHeight);
        case Element::kSarHeight:
            return expect(Element::kOverscanInfoPresentFlag);
        case Element::kOverscanInfoPresentFlag:
            return expect(
                flag ? Element::kOverscanAppropriateFlag : Element::kVideoSignalTypePresentFlag
            );
        case Element::kOverscanAppropriateFlag:
            return expect(Element::kVideoSignalTypePresentFlag);
        case Element::kVideoSignalTypePresentFlag:
            return expect(flag ? Element::kVideoFormat : Element::kChromaLocInfoPresentFlag);
        case Element::kVideoFormat:
            return expect(Element::kVideoFullRangeFlag);
        case Element::kVideoFullRangeFlag:
            return expect(Element::kColourDescriptionPresentFlag);
        case Element::kColourDescriptionPresentFlag:
            return expect(flag ? Element::kColourPrimaries : Element::kChromaLocInfoPresentFlag);
        case Element::kColourPrimaries:
            return expect(Element::kTransferCharacteristics);
        case Element::kTransferCharacteristics:
            return expect(Element::kMatrixCoefficients);
        case Element::kMatrixCoefficients:
            return expect(Element::kChromaLocInfoPresentFlag);
        case Element::kChromaLocInfoPresentFlag:
            return expect(
                flag ? Element::kChromaSampleLocTypeTopField : Element::kTimingInfoPresentFlag
            );
        case Element::kChromaSampleLocTypeTopField:
            return expect(Element::kChromaSampleLocTypeBottomField);
        case Element::kChromaSampleLocTypeBottomField:
            return expect(Element::kTimingInfoPresentFlag);
        case Element::kTimingInfoPresentFlag:
            return expect(flag ? Element::kNumUnitsInTick : Element::kNalHrdParametersPresentFlag);
        case Element::kNumUnitsInTick:
            return expect(Element::kTimeScale);
        case Element::kTimeScale:
            return expect(Element::kFixedFrameRateFlag);
        case Element::kFixedFrameRateFlag:
            return expect(Element::kNalHrdParametersPresentFlag);
        case Element::kNalHrdParametersPresentFlag:
        case Element::kVclHrdParametersPresentFlag:
            draft.is_nal_hrd = p.at == Element::kNalHrdParametersPresentFlag;
            draft.has_hrd = draft.has_hrd || flag;
            if (flag) return expect(Element::kCpbCntMinus1);
            return end_hrd();
        case Element::kCpbCntMinus1:
            p.i = number;
            p.j = 0;
            draft.has_several_cpbs = draft.has_several_cpbs || number > 0;
            return expect(Element::kBitRateScale);
        case Element::kBitRateScale:
            return expect(Element::kCpbSizeScale);
        case Element::kCpbSizeScale:
            return expect(Element::kBitRateValueMinus1);
        case Element::kBitRateValueMinus1:
            draft.last_bit_rate = number;
            return expect(Element::kCpbSizeValueMinus1);
        case Element::kCpbSizeValueMinus1:
            draft.last_cpb_size = number;
            return expect(Element::kCbrFlag);
        case Element::kCbrFlag:
            return expect(
                p.j++ < p.i ? Element::kBitRateValueMinus1
                            : Element::kInitialCpbRemovalDelayLengthMinus1
            );
        case Element::kInitialCpbRemovalDelayLengthMinus1:
            return expect(Element::kCpbRemovalDelayLengthMinus1);
        case Element::kCpbRemovalDelayLengthMinus1:
            return expect(Element::kDpbOutputDelayLengthMinus1);
        case Element::kDpbOutputDelayLengthMinus1:
            return expect(Element::kTimeOffsetLength);
        case Element::kTimeOffsetLength:
            return end_hrd();
        case Element::kLowDelayHrdFlag:
            return expect(Element::kPicStructPresentFlag);
        case Element::kPicStructPresentFlag:
            return expect(Element::kBitstreamRestrictionFlag);
        case Element::kBitstreamRestrictionFlag:
            if (flag) return expect(Element::kMotionVectorsOverPicBoundariesFlag);
            return begin_trailing_bits();
        case Element::kMotionVectorsOverPicBoundariesFlag:
            return expect(Element::kMaxBytesPerPicDenom);
        case Element::kMaxBytesPerPicDenom:
            return expect(Element::kMaxBitsPerMbDenom);
        case Element::kMaxBitsPerMbDenom:
            return expect(Element::kLog2MaxMvLengthHorizontal);
        case Element::kLog2MaxMvLengthHorizontal:
            return expect(Element::kLog2MaxMvLengthVertical);
        case Element::kLog2MaxMvLengthVertical:
            return expect(Element::kMaxNumReorderFrames);
        case Element::kMaxNumReorderFrames:
            draft.max_num_reorder_frames = static_cast<uint8_t>(value);
            return expect(Element::kMaxDecFrameBuffering);
        default:  // kMaxDecFrameBuffering
            return begin_trailing_bits();
    }
}

/// After hrd_parameters(), or where there are none.
void AvcCursor::end_hrd() {
    const Draft& draft = context_->draft;
    if (draft.is_nal_hrd) return expect(Element::kVclHrdParametersPresentFlag);
    expect(draft.has_hrd ? Element::kLowDelayHrdFlag : Element::kPicStructPresentFlag);
}

}  // namespace pycodec_lm::h264
