// What narrows the language of H.264: which streams a cursor accepts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "grammar/status.hpp"

namespace pycodec_lm::h264 {

/// Where slices end.
enum class Slicing : uint8_t { kAny, kPicture, kMacroblock };

/// What all slice headers of a kind say that is not forced anyway.
struct SliceConstants {
    uint8_t nal_ref_idc = 0;
    uint8_t slice_type = 0;  // as written, 0 to 9
    int8_t slice_qp_delta = 0;
    uint8_t disable_deblocking_filter_idc = 0;
    int8_t slice_alpha_c0_offset_div2 = 0;
    int8_t slice_beta_offset_div2 = 0;

    friend bool operator==(const SliceConstants&, const SliceConstants&) = default;
};

struct AvcGrammar {
    /// Leaves out what is legal but makes some decoder complain (docs/design.md).
    bool portable = false;
    Slicing slicing = Slicing::kAny;
    /// The stream ends behind so many pictures, and not before.
    std::optional<uint64_t> n_pictures;
    /// Not empty: the stream begins so (with its parameter sets), and all that follows are the
    /// slices of one IDR picture and of P pictures, with these constants in their headers. Start
    /// codes are as short as they may be.
    std::vector<uint8_t> pinned;
    SliceConstants idr;
    SliceConstants p;
    /// By pictures there are: bytes of the ending behind them, where these are known.
    std::vector<uint64_t> bytes_behind_pictures;

    bool is_pinned() const { return !pinned.empty(); }
};

/// A grammar of streams like a sample: its parameter sets, the constants of its slice headers, its
/// number of pictures, and its slicing where that is one of the two regular ones.
struct Pinned {
    Status status;                    // of the sample
    const char* complaint = nullptr;  // why a valid sample cannot be followed
    std::shared_ptr<const AvcGrammar> grammar;
};
Pinned pin_like(const uint8_t* data, size_t n_bytes);

/// Works out bytes_behind_pictures of a pinned grammar, once all else is set.
void note_endings(AvcGrammar& grammar);

}  // namespace pycodec_lm::h264
