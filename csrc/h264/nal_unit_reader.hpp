// NAL units of a buffer that is all there, faster than byte by byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "h264/cursor.hpp"

namespace pycodec_lm::h264 {

/// Reads slices, parameter sets and SEI whole: where the next start code is known, so is the last
/// bit, and neither bytes nor the two readings of an end need be told apart. AvcCursor::accept() is
/// the definition.
class NalUnitReader {
public:
    /// Moves the cursor, which is right behind the header of a NAL unit, to behind the unit, and
    /// returns the bytes of `data` that it took: all up to the start code that follows, or to the
    /// end. 0, and the cursor as it was, where the unit is of another kind, where its end is not
    /// sure, or where byte by byte must say what is wrong.
    size_t take(AvcCursor& cursor, const uint8_t* data, size_t n_bytes);

private:
    bool unescape(const uint8_t* data, size_t n_bytes);
    bool take_fields(AvcCursor& cursor);
    bool take_blocks(AvcCursor& cursor);
    bool take_cabac_data(AvcCursor& cursor);
    class Bits;
    uint64_t bits_at(uint64_t at) const;

    std::vector<uint8_t> rbsp_;  // and zeros behind it, so that reads past its end are safe
    uint64_t at_ = 0;            // bit
    size_t n_bytes_ = 0;         // without those zeros
    uint64_t end_ = 0;           // the rbsp_stop_one_bit
};

}  // namespace pycodec_lm::h264
