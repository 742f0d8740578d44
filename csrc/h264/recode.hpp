// An H.264 stream with its slices spelled by the other entropy coder: the same syntax elements, and
// so the same pictures, in other bits.
//
// It knows I, P and B slices of frames with the 8x8 transform and weighted prediction, more than
// the cursor does so far. It reads whole slices one macroblock after the other and judges only what
// it needs to. What writers of streams need of CABAC is here, and the definition that readers of
// its intervals are held against.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "h264/mb_syntax.hpp"

namespace pycodec_lm::h264 {

struct RecodeOptions {
    bool entropy_coding_mode_flag = true;  // CABAC
    /// Of all P and B slices; none keeps what there is, and is 0 where there was none.
    std::optional<uint8_t> cabac_init_idc;
    /// Every macroblock is replaced by a random one that decodes; this is the seed.
    std::optional<uint32_t> random_macroblocks;
};

/// What the slices of a stream were made of.
struct RecodeCounts {
    uint64_t n_slices = 0;
    uint64_t n_skipped = 0;
    uint64_t n_8x8_transforms = 0;
    uint64_t n_bins = 0;           // read
    uint64_t n_marked_slices = 0;  // whose last alignment bit is 1, as some of libx264's
    // By mb_type and sub_mb_type in slices of a type (MbSliceType).
    std::array<std::array<uint64_t, 64>, 3> mb_types{};
    std::array<std::array<uint64_t, 16>, 3> sub_mb_types{};
};

struct Recoded {
    std::vector<uint8_t> bytes;
    RecodeCounts counts;
};

/// Recodes an Annex B stream. NAL units other than parameter sets and slices stay as they are; a
/// baseline stream that becomes CABAC becomes Main.
///
/// Throws BrokenSyntax on a stream that is broken or not in scope, and where the other
/// entropy coder has no bits for it: CABAC cannot say that an 8x8 block of coded_block_pattern has
/// no coefficients.
Recoded recode(std::span<const uint8_t> stream, const RecodeOptions& options);

}  // namespace pycodec_lm::h264
