#include "h264/motion.hpp"

#include <memory>

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
    std::vector<MacroblockMotion> motion;
    AvcCursor cursor(std::make_shared<const AvcGrammar>());
    for (size_t i = 0; i < n_bytes; ++i) {
        const Position& p = cursor.position_;
        const bool is_escape = p.n_zeros == 2 && data[i] == 3;
        // Behind it comes a start code, or nothing.
        const bool is_last = i + 2 >= n_bytes || (data[i + 1] == 0 && data[i + 2] == 0);
        if (cursor.is_in_slice() && !is_escape) read_byte(cursor, data[i], is_last, motion);
        if (!cursor.accept(data[i])) break;
    }
    return motion;
}

void MotionReader::read_byte(
    AvcCursor cursor, uint8_t byte, bool is_last, std::vector<MacroblockMotion>& motion
) {
    Position& p = cursor.position_;
    for (int i = 7; i >= 0 && cursor.is_in_slice(); --i) {
        if (cursor.is_at_bins()) {
            if (!take_cabac_bit(cursor, (byte >> i) & 1, motion)) return;
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
                    each.put_direct_macroblock();
                    motion.push_back(of_macroblock(each.position_, n_pictures, true));
                    each.leave_macroblock();
                    each.reset_macroblock();
                    continue;
                }
                each.skip_macroblocks(1);
                skipped.mv[0].fill(each.position_.left.mv[0]);
                skipped.ref_idx[1].fill(kNoRefIdx);
                motion.push_back(skipped);
            }
        } else if (
            before.position_.at != Element::kCodedBlockPattern &&
            p.at == Element::kCodedBlockPattern && p.mb.kind == MbKind::kInter
        ) {
            motion.push_back(of_macroblock(p, n_pictures, false));
        }
    }
}

/// A bit of CABAC, which may be all of several macroblocks.
bool MotionReader::take_cabac_bit(
    AvcCursor& cursor, bool bit, std::vector<MacroblockMotion>& motion
) {
    const Position& p = cursor.position_;
    return cursor.take_cabac_bit(bit, [&](bool) {
        if (p.cabac.string.n_bins() > 0) return;
        const auto n_pictures = static_cast<uint32_t>(p.n_pictures);
        const bool is_skipped = p.at == Element::kEndOfSliceFlag && p.left.cabac.says.is_skipped;
        if (is_skipped) {
            motion.push_back(of_macroblock(p, n_pictures, true));
            MacroblockMotion& skipped = motion.back();
            skipped.macroblock = p.next_mb - 1;
            if (p.limits.is_b) return;
            skipped.shape = MbShape::k16x16;
            skipped.sub_mb_type = {};
            skipped.ref_idx[0] = {};
            skipped.mv[0].fill(p.left.mv[0]);
        } else if (p.at == Element::kCodedBlockPattern && p.mb.kind == MbKind::kInter) {
            motion.push_back(of_macroblock(p, n_pictures, false));
        }
    });
}

}  // namespace pycodec_lm::h264
