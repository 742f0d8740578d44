// What narrows the language of H.264: which streams a cursor accepts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "grammar/status.hpp"
#include "h264/level_limits.hpp"

namespace pycodec_lm::h264 {

/// Where slices end.
enum class Slicing : uint8_t { kAny, kPicture, kMacroblock };

/// What all slice headers of a kind say that is not forced anyway.
struct SliceConstants {
    uint8_t nal_ref_idc = 0;
    uint8_t slice_type = 0;  // as written, 0 to 9
    uint8_t cabac_init_idc = 0;
    int8_t slice_qp_delta = 0;
    uint8_t disable_deblocking_filter_idc = 0;
    int8_t slice_alpha_c0_offset_div2 = 0;
    int8_t slice_beta_offset_div2 = 0;

    friend bool operator==(const SliceConstants&, const SliceConstants&) = default;
};

/// All that the slices of one picture say in their headers, behind first_mb_in_slice.
struct PinnedHeader {
    uint8_t nal_ref_idc = 0;
    uint8_t nal_unit_type = 0;
    std::vector<int32_t> values;  // of the fields, in their order

    friend bool operator==(const PinnedHeader&, const PinnedHeader&) = default;
};

/// openh264 knows none above.
inline constexpr uint8_t kMaxPortableLevel = 52;

struct AvcGrammar {
    /// Leaves out what is legal but makes some decoder complain (docs/design.md).
    bool portable = false;
    /// Slice data leave out what portable ones do, as a sample's need not: level_prefix above 15,
    /// and by CABAC the bit that libx264 sets behind rbsp_stop_one_bit.
    bool has_portable_data = false;
    Slicing slicing = Slicing::kAny;
    /// The stream ends behind so many pictures, and not before.
    std::optional<uint64_t> n_pictures;
    /// What all sequence parameter sets say. Baseline comes with constraint_set1_flag (constrained
    /// baseline, A.2.1.1); level_idc is 9 for level 1b, however it is written.
    std::optional<uint8_t> profile_idc;
    std::optional<uint8_t> level_idc;
    /// Luma samples that are shown, even numbers, of the fewest macroblocks that have so many.
    std::optional<uint32_t> width;
    std::optional<uint32_t> height;
    /// QP_Y of all macroblocks but those of I_PCM.
    std::optional<int8_t> qp;
    /// Not empty: the stream begins so (with its parameter sets), and all that follows are the
    /// slices of one IDR picture and of others. Start codes are as short as they may be.
    std::vector<uint8_t> pinned;
    bool has_pinned_cabac = false;  // the slices behind them
    /// Of pinned streams, either what the slices of each picture say, one after the other, or,
    /// where this is empty, what those of the IDR picture and all others, which are P, have in
    /// common.
    std::vector<PinnedHeader> headers;
    SliceConstants idr;
    SliceConstants p;
    /// By slices there are (pictures, if slicing is not regular): bytes of the ending behind them,
    /// where these are known.
    std::vector<uint64_t> bytes_behind_slices;
    /// The longest slice of those endings, the first left out.
    uint64_t most_bytes_of_ending_slice = 0;

    bool is_pinned() const { return !pinned.empty(); }
    bool leaves_out_unportable_data() const { return portable || has_portable_data; }
    bool has_constants() const { return is_pinned() && headers.empty(); }
    /// Decoders show all n_pictures: libavcodec drops what comes behind its turn by order counts.
    bool shows_all_pictures() const { return portable && n_pictures; }
    /// The fewest macroblocks that pictures have in a row, in a column, and in all.
    uint32_t least_width_mbs() const { return (width.value_or(1) + 15) / 16; }
    uint32_t least_height_mbs() const { return (height.value_or(1) + 15) / 16; }
    uint32_t least_frame_mbs() const { return least_width_mbs() * least_height_mbs(); }
    /// It is the level asked for, if one is, and has pictures of the size.
    bool allows_level(const LevelLimits& limits) const;
    /// Some level is allowed.
    bool has_level() const;
};

/// A grammar of streams like a sample: its parameter sets, the constants of its slice headers or,
/// of samples that have none, these headers; its number of pictures, and its slicing where that is
/// one of the two regular ones.
struct Pinned {
    Status status;                    // of the sample
    const char* complaint = nullptr;  // why a valid sample cannot be followed
    std::shared_ptr<const AvcGrammar> grammar;
};
Pinned pin_like(const uint8_t* data, size_t n_bytes);

/// Works out what a pinned grammar knows of endings, once all else is set. False where no stream
/// has so many pictures: their order counts, as the sample has them, do not reach so far.
bool note_endings(AvcGrammar& grammar);

}  // namespace pycodec_lm::h264
