// Where a stream stands, in words and as numbers for a model.
#include <algorithm>

#include "h264/cursor.hpp"

namespace pycodec_lm::h264 {
namespace {

/// The kind of field, the first number of an annotation.
int kind_of(Element at) {
    if (at <= Element::kRbspTrailingBits) return at == Element::kRbspTrailingBits ? 15 : 0;
    if (at < Element::kPayloadType) return 1;
    if (at < Element::kFirstMbInSlice) return 2;
    if (at < Element::kMbSkipRun) return 3;
    if (at == Element::kCabacAlignmentOneBit) return 3;
    if (at < Element::kMbType) return 4;
    if (at == Element::kMbType || at == Element::kSubMbType || at == Element::kTransformSize8x8Flag)
        return 5;
    if (at <= Element::kPcmSampleChroma) return 14;
    if (at <= Element::kIntraChromaPredMode) return 6;
    if (at <= Element::kRefIdxL1) return 7;
    if (at <= Element::kMvdL1Y) return 8;
    if (at == Element::kCodedBlockPattern) return 9;
    if (at == Element::kMbQpDelta) return 10;
    if (at == Element::kCoeffToken || at == Element::kCodedBlockFlag) return 11;
    if (at >= Element::kCoeffAbsLevelMinus1) return 12;
    return at <= Element::kLevelSuffix ? 12 : 13;
}

}  // namespace

Annotation AvcCursor::annotation() const {
    const Position& p = position_;
    const Macroblock& mb = p.mb;
    Annotation values{};
    const auto put = [&](size_t i, uint64_t value) {
        const auto most = static_cast<uint64_t>(kAnnotationSizes[i] - 1);
        values[i] = static_cast<int16_t>(std::min(value, most));
    };
    put(0, static_cast<uint64_t>(kind_of(p.at)));
    if (p.at >= Element::kMbSkipRun && p.at != Element::kRbspTrailingBits) {
        put(3, p.next_mb % sps().width_mbs);
        put(4, p.next_mb / sps().width_mbs);
    }
    if (p.at >= Element::kCoeffToken) {
        const int index = mb.block;
        const bool is_chroma = index >= block::kChromaDc;
        const bool is_cr = index == block::kChromaDc + 1 || index >= block::kChromaAc + 4;
        put(1, is_chroma ? (is_cr ? 3 : 2) : 1);
        put(2, 1 + static_cast<uint64_t>(
                       is_chroma ? 5 + (index - block::kChromaDc) / 4 : (index + 3) / 4
                   ));
        put(5, is_at_bins() ? mb.cabac.i : static_cast<uint64_t>(index % 4) * 16 + mb.i_level);
    } else if (p.at > Element::kMbType) {
        put(5, uint64_t{mb.part} * 4 + mb.sub_part);
    }
    put(6, is_at_bins() ? static_cast<uint64_t>(p.cabac.string.n_bins()) : p.n_partial);
    values[7] = static_cast<int16_t>(p.partial & 255);
    return values;
}

std::string AvcCursor::describe() const {
    const Position& p = position_;
    std::string text;
    if (is_complete()) {
        text = "complete, " + std::to_string(p.n_pictures) + " pictures; a NAL unit may follow";
    } else {
        text = "before " + std::string(info(p.at).name);
        if (p.n_partial > 0) text += ", " + std::to_string(p.n_partial) + " bits of it read";
        if (p.phase == Phase::kPicture || p.at >= Element::kMbSkipRun) {
            text += ", picture " + std::to_string(p.n_pictures) + ", macroblock " +
                    std::to_string(p.next_mb) + " of " + std::to_string(sps().frame_mbs());
        }
    }
    if (p.ended.is_alive) text += "; or the NAL unit ended here";
    return text + " (byte " + std::to_string(p.offset) + ")";
}

}  // namespace pycodec_lm::h264
