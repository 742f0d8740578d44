// What direct and bi-predicted macroblocks of a B slice may be: worked out once for the slice.
#include "h264/b_slice.hpp"

#include <algorithm>
#include <cstdlib>

#include "h264/cursor.hpp"

namespace pycodec_lm::h264 {
namespace {

/// "-128 <= w0C + w1C <= ( ( logWDC = = 7 ) ? 127 : 128 )": 8.4.2.3, of explicit weights. What is
/// not set is 2^logWD, so two such weights of denominator 7 are too much.
bool may_pair(const PredWeights& weights, size_t ref_idx_l0, size_t ref_idx_l1) {
    for (size_t component = 0; component < 3; ++component) {
        const int sum = weights.of[0][ref_idx_l0][component] + weights.of[1][ref_idx_l1][component];
        const int most = weights.log2_denoms[component == 0 ? 0 : 1] == 7 ? 127 : 128;
        if (sum < -128 || sum > most) return false;
    }
    return true;
}

void note_partners(
    BSlice& b, const SliceHeader& slice, const Pps& pps, const PredWeights& weights
) {
    const bool has_weights = pps.weighted_bipred_idc == 1;
    b.may_pair_any = true;
    for (size_t i = 0; i < slice.num_ref_idx_active[0]; ++i) {
        if (!((slice.usable_refs[0] >> i) & 1)) continue;
        for (size_t j = 0; j < slice.num_ref_idx_active[1]; ++j) {
            if (!((slice.usable_refs[1] >> j) & 1)) continue;
            if (!has_weights || may_pair(weights, i, j)) {
                b.partners[i] |= 1u << j;
            } else {
                b.may_pair_any = false;
            }
        }
        if (b.partners[i] != 0) b.bi_refs |= 1u << i;
    }
}

/// DistScaleFactor, 8.4.1.2.3; none where vectors are not scaled.
std::optional<int16_t> scale_of(int64_t current, const RefFrame& pic_0, const RefFrame& pic_1) {
    const auto distance = [](int64_t a, int64_t b) {
        return static_cast<int>(std::clamp<int64_t>(a - b, -128, 127));
    };
    const int tb = distance(current, pic_0.pic_order_cnt);
    const int td = distance(pic_1.pic_order_cnt, pic_0.pic_order_cnt);
    if (pic_0.is_long_term || td == 0) return std::nullopt;
    const int tx = (16384 + std::abs(td / 2)) / td;
    return static_cast<int16_t>(std::clamp((tb * tx + 32) >> 6, -1024, 1023));
}

/// MapColToList0 of 8.4.1.2.3: the lowest index "that references" the frame.
std::optional<uint32_t> ref_idx_of(
    const SliceHeader& slice, std::span<const RefFrame> frames, uint64_t id
) {
    for (uint32_t i = 0; i < slice.num_ref_idx_active[0]; ++i) {
        if (!((slice.usable_refs[0] >> i) & 1)) continue;
        if (frames[static_cast<size_t>(slice.lists[0][i])].id == id) return i;
    }
    return std::nullopt;
}

}  // namespace

void AvcCursor::begin_b_slice() {
    Context& context = context_.edit();
    const SliceHeader& slice = position_.slice;
    const std::span<const RefFrame> frames = context.references.frames();
    auto b = std::make_shared<BSlice>();
    note_partners(*b, slice, *context.pps, context.draft.weights);
    b->is_spatial = slice.direct_spatial_mv_pred_flag;
    b->has_col = (slice.usable_refs[1] & 1) != 0;
    if (b->has_col) b->col = frames[static_cast<size_t>(slice.lists[1][0])].motion;
    if (b->col != nullptr) {
        const RefFrame& col = frames[static_cast<size_t>(slice.lists[1][0])];
        b->is_col_short_term = !col.is_long_term;
        const int64_t current = std::min(context.current.top, context.current.bottom);
        for (uint32_t i = 0; i < slice.num_ref_idx_active[0]; ++i) {
            if (!((slice.usable_refs[0] >> i) & 1)) continue;
            b->scales[i] = scale_of(current, frames[static_cast<size_t>(slice.lists[0][i])], col);
        }
        // refIdxL1 is 0.
        b->is_intra_legal = (b->partners[0] & 1) != 0;
        for (size_t frame = 0; frame < b->col->frame_ids.size(); ++frame) {
            const auto ref_idx = ref_idx_of(slice, frames, b->col->frame_ids[frame]);
            if (!ref_idx || !(b->partners[*ref_idx] & 1)) continue;
            b->ref_idx_l0[frame] = static_cast<int8_t>(*ref_idx);
            b->legal_col_frames |= 1u << frame;
        }
    }
    context.b_slice = std::move(b);
}

}  // namespace pycodec_lm::h264
