#include "h264/motion.hpp"

#include <memory>

#include "h264/cabac_steps.hpp"

namespace pycodec_lm::h264 {

std::vector<MacroblockMotion> MotionReader::read(const uint8_t* data, size_t n_bytes) {
    std::vector<MacroblockMotion> motion;
    AvcCursor cursor(std::make_shared<const AvcGrammar>());
    for (size_t i = 0; i < n_bytes; ++i) {
        const Position& p = cursor.position_;
        const bool is_escape = p.n_zeros == 2 && data[i] == 3;
        if (cursor.is_in_slice() && !is_escape) read_byte(cursor, data[i], motion);
        if (!cursor.accept(data[i])) break;
    }
    return motion;
}

void MotionReader::read_byte(
    AvcCursor cursor, uint8_t byte, std::vector<MacroblockMotion>& motion
) {
    Position& p = cursor.position_;
    for (int i = 7; i >= 0 && cursor.is_in_slice(); --i) {
        if (cursor.is_at_bins()) {
            if (!take_cabac_bit(cursor, (byte >> i) & 1, motion)) return;
            continue;
        }
        const AvcCursor before = cursor;
        p.may_end = false;
        // Trailing bits are no data where the unit may end, and begin none that are whole.
        if (!cursor.take_bit((byte >> i) & 1)) return;
        const auto n_pictures = static_cast<uint32_t>(before.position_.n_pictures);
        const uint32_t mb = before.position_.next_mb;
        if (before.position_.at == Element::kMbSkipRun && p.at != Element::kMbSkipRun) {
            // Each skipped macroblock by itself: a run works out no more of them than it needs.
            AvcCursor each = before;
            for (; each.position_.next_mb < p.next_mb;) {
                MacroblockMotion skipped{
                    .picture = n_pictures,
                    .macroblock = each.position_.next_mb,
                    .is_skipped = true,
                };
                each.skip_macroblocks(1);
                skipped.mv.fill(each.position_.left.mv[0]);
                motion.push_back(skipped);
            }
        } else if (before.position_.at == Element::kMvdL0Y && p.at == Element::kCodedBlockPattern) {
            motion.push_back({
                .picture = n_pictures,
                .macroblock = mb,
                .shape = p.mb.shape,
                .sub_mb_type = p.mb.sub_mb_type,
                .ref_idx = p.mb.ref_idx,
                .mv = p.mb.mv,
            });
        }
    }
}

/// A bit of CABAC, which may be all of several macroblocks.
bool MotionReader::take_cabac_bit(
    AvcCursor& cursor, bool bit, std::vector<MacroblockMotion>& motion
) {
    const Position& p = cursor.position_;
    return cursor.take_cabac_bit(bit, [&] {
        if (p.cabac.string.n_bins() > 0) return;
        MacroblockMotion read{.picture = static_cast<uint32_t>(p.n_pictures)};
        if (p.at == Element::kEndOfSliceFlag && p.left.cabac.says.is_skipped) {
            read.macroblock = p.next_mb - 1;
            read.is_skipped = true;
            read.mv.fill(p.left.mv[0]);
        } else if (p.at == Element::kCodedBlockPattern && p.mb.kind == MbKind::kInter) {
            read.macroblock = p.next_mb;
            read.shape = p.mb.shape;
            read.sub_mb_type = p.mb.sub_mb_type;
            read.ref_idx = p.mb.ref_idx;
            read.mv = p.mb.mv;
        } else {
            return;
        }
        motion.push_back(read);
    });
}

}  // namespace pycodec_lm::h264
