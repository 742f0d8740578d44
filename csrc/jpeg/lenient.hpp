// Reading on where decoders read on in silence: each rule that is broken so becomes a note.
#pragma once

#include <cstdint>
#include <vector>

#include "jpeg/cursor.hpp"

namespace pycodec_lm::jpeg {

/// What a lenient check passed over.
struct Note {
    Status status;         // of the strict check, the first time
    uint64_t n_times = 1;  // in a row
};

/// Takes a cursor past what the standard forbids and neither libjpeg-turbo nor libavcodec nor
/// Pillow says anything about; docs/rules-jpeg.md has what they say. What they pass over by
/// guessing (tables that are not there, components out of order) stays an error.
class LenientReader {
public:
    static constexpr size_t kMaxNotes = 100;

    /// Takes a byte that push() has refused; false where it stays refused.
    bool take(JpegCursor& cursor, uint8_t byte, const Status& refusal);
    const std::vector<Note>& notes() const { return notes_; }

private:
    bool take_marker(JpegCursor& cursor, uint8_t code);
    bool take_byte_of_scan(JpegCursor& cursor, uint8_t byte);
    bool take_bit(JpegCursor& cursor, bool bit, Code why);
    static void widen_limits(JpegCursor& cursor);
    void note(const Status& status);

    std::vector<Note> notes_;
    bool in_code_ = false;  // of a symbol that may not stand here
};

}  // namespace pycodec_lm::jpeg
