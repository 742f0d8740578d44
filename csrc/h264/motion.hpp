// The motion of a stream's macroblocks, to hold against what decoders make of it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "h264/cursor.hpp"

namespace pycodec_lm::h264 {

struct MacroblockMotion {
    uint32_t picture = 0;
    uint32_t macroblock = 0;  // its address
    bool is_skipped = false;
    MbShape shape = MbShape::k16x16;
    std::array<uint8_t, 4> sub_mb_type{};
    std::array<std::array<int8_t, 4>, 2> ref_idx{};    // by list and 8x8 block
    std::array<std::array<MotionVector, 16>, 2> mv{};  // by list and 4x4 block, in raster order
    std::array<uint8_t, 4> lists{};                    // of B slices, by partition
    bool is_b = false;
    bool is_direct = false;
};

class MotionReader {
public:
    /// Every inter macroblock of a stream up to its end, or to where it stops being valid.
    static std::vector<MacroblockMotion> read(const uint8_t* data, size_t n_bytes);

private:
    /// What the bits of the byte that comes next say, one by one.
    void read_byte(AvcCursor cursor, uint8_t byte, bool is_last);
    bool take_cabac_bit(AvcCursor& cursor, bool bit);
    /// What the next macroblock of a B slice has if it is skipped.
    static MacroblockMotion if_skipped(AvcCursor cursor);

    std::vector<MacroblockMotion> motion_;
    MacroblockMotion if_skipped_;  // of the macroblock of a B slice that comes next
};

}  // namespace pycodec_lm::h264
