// Syntax elements to bytes: the cursor's fields, spelled. Markers' FF, padding and stuffing are
// written when they are due.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "jpeg/cursor.hpp"

namespace pycodec_lm::jpeg {

class JpegWriter {
public:
    explicit JpegWriter(std::shared_ptr<const JpegGrammar> grammar);

    /// The cursor before the next field; its element() says which.
    const JpegCursor& cursor() const { return ahead_; }
    /// Writes the next field; on a value that is not legal, says why and changes nothing.
    Status write(uint32_t value);
    /// Writes what has no choice: pinned bytes, and the RST marker that is due.
    void write_forced();
    bool is_complete() const { return ahead_.is_complete(); }
    /// The whole bytes so far.
    const std::vector<uint8_t>& bytes() const { return bytes_; }

private:
    void write_bit(bool bit);
    void write_automatic();

    JpegCursor whole_;  // at the last byte boundary
    JpegCursor ahead_;  // where the bits since then have led
    unsigned pending_ = 0;
    int n_pending_ = 0;
    std::vector<uint8_t> bytes_;
};

}  // namespace pycodec_lm::jpeg
