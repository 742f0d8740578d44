#include "h264/motion.hpp"

#include <memory>
#include <utility>

#include "h264/cabac_steps.hpp"

namespace pycodec_lm::h264 {
namespace {

/// The macroblock whose motion is known by now.
MacroblockMotion of_macroblock(const Position& p, uint32_t picture, bool is_skipped) {
    const bool is_b = p.limits.is_b;
    MacroblockMotion motion{
        .picture = picture,
        .macroblock = p.next_mb,
        .is_skipped = is_skipped,
        .shape = p.mb.shape,
        .sub_mb_type = p.mb.sub_mb_type,
        .ref_idx = {p.mb.ref_idx, p.b.ref_idx},
        .mv = {p.mb.mv, p.b.mv},
        .lists = p.b.lists,
        .is_b = is_b,
        .is_direct = is_b && p.b.is_direct,
    };
    if (!is_b) {
        motion.ref_idx[1].fill(kNoRefIdx);
        motion.mv[1] = {};
    }
    return motion;
}

}  // namespace

std::vector<MacroblockMotion> MotionReader::read(const uint8_t* data, size_t n_bytes) {
    MotionReader reader;
    AvcCursor cursor(std::make_shared<const AvcGrammar>());
    for (size_t i = 0; i < n_bytes; ++i) {
        const Position& p = cursor.position_;
        const bool is_escape = p.n_zeros == 2 && data[i] == 3;
        // Behind it comes a start code, or nothing.
        const bool is_last = i + 2 >= n_bytes || (data[i + 1] == 0 && data[i + 2] == 0);
        if (cursor.is_in_slice() && !is_escape) reader.read_byte(cursor, data[i], is_last);
        if (!cursor.accept(data[i])) break;
    }
    return std::move(reader.motion_);
}

void MotionReader::read_byte(AvcCursor cursor, uint8_t byte, bool is_last) {
    Position& p = cursor.position_;
    for (int i = 7; i >= 0 && cursor.is_in_slice(); --i) {
        if (cursor.is_at_bins()) {
            if (!take_cabac_bit(cursor, (byte >> i) & 1)) return;
            continue;
        }
        const AvcCursor before = cursor;
        // Trailing bits are no data.
        if (is_last && p.may_end && (byte & ((2u << i) - 1)) == 1u << i) return;
        p.may_end = false;
        if (!cursor.take_bit((byte >> i) & 1)) return;
        const auto n_pictures = static_cast<uint32_t>(before.position_.n_pictures);
        if (before.position_.at == Element::kMbSkipRun && p.at != Element::kMbSkipRun) {
            // Each skipped macroblock by itself: a run works out no more of them than it needs.
            AvcCursor each = before;
            each.is_looking_ahead_ = true;
            for (; each.position_.next_mb < p.next_mb;) {
                MacroblockMotion skipped{
                    .picture = n_pictures,
                    .macroblock = each.position_.next_mb,
                    .is_skipped = true,
                };
                if (each.is_b_slice()) {
                    motion_.push_back(if_skipped(each));
                    each.skip_b_macroblock();
                    each.infer_direct();
                    continue;
                }
                each.skip_macroblocks(1);
                skipped.mv[0].fill(each.position_.left.mv[0]);
                skipped.ref_idx[1].fill(kNoRefIdx);
                motion_.push_back(skipped);
            }
        } else if (
            before.position_.at != Element::kCodedBlockPattern &&
            p.at == Element::kCodedBlockPattern && p.mb.kind == MbKind::kInter
        ) {
            motion_.push_back(of_macroblock(p, n_pictures, false));
        }
    }
}

MacroblockMotion MotionReader::if_skipped(AvcCursor cursor) {
    if (cursor.max_skip_run(1) == 0) return {};
    cursor.reset_macroblock();
    cursor.put_direct_macroblock(cursor.even_direct());
    const Position& p = cursor.position_;
    return of_macroblock(p, static_cast<uint32_t>(p.n_pictures), true);
}

/// A bit of CABAC, which may be all of several macroblocks.
bool MotionReader::take_cabac_bit(AvcCursor& cursor, bool bit) {
    const Position& p = cursor.position_;
    return cursor.take_cabac_bit(bit, [&](bool) {
        if (p.cabac.string.n_bins() > 0) return;
        const auto n_pictures = static_cast<uint32_t>(p.n_pictures);
        const bool is_skipped = p.at == Element::kEndOfSliceFlag && p.left.cabac.says.is_skipped;
        if (p.at == Element::kMbSkipFlag && p.limits.is_b) {
            if_skipped_ = if_skipped(cursor);
        } else if (is_skipped && p.limits.is_b) {
            motion_.push_back(if_skipped_);
        } else if (is_skipped) {
            motion_.push_back(
                {.picture = n_pictures, .macroblock = p.next_mb - 1, .is_skipped = true}
            );
            motion_.back().mv[0].fill(p.left.mv[0]);
            motion_.back().ref_idx[1].fill(kNoRefIdx);
        } else if (p.at == Element::kCodedBlockPattern && p.mb.kind == MbKind::kInter) {
            motion_.push_back(of_macroblock(p, n_pictures, false));
        }
    });
}

}  // namespace pycodec_lm::h264
