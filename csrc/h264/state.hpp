// What a cursor knows between two bits of an H.264 byte stream.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <type_traits>
#include <vector>

#include "grammar/copy_on_write.hpp"
#include "grammar/status.hpp"
#include "h264/b_slice.hpp"
#include "h264/binarization.hpp"
#include "h264/cabac_contexts.hpp"
#include "h264/cabac_interval.hpp"
#include "h264/grammar.hpp"
#include "h264/macroblock.hpp"
#include "h264/parameter_sets.hpp"
#include "h264/reference_pictures.hpp"

namespace pycodec_lm::h264 {

/// nal_unit_type, Table 7-1.
namespace nal {
inline constexpr uint8_t kSlice = 1;
inline constexpr uint8_t kPartitionA = 2;
inline constexpr uint8_t kPartitionC = 4;
inline constexpr uint8_t kIdrSlice = 5;
inline constexpr uint8_t kSei = 6;
inline constexpr uint8_t kSps = 7;
inline constexpr uint8_t kPps = 8;
inline constexpr uint8_t kAccessUnitDelimiter = 9;
inline constexpr uint8_t kEndOfSequence = 10;
inline constexpr uint8_t kEndOfStream = 11;
inline constexpr uint8_t kFiller = 12;
inline constexpr uint8_t kSpsExtension = 13;
inline constexpr uint8_t kPrefix = 14;
inline constexpr uint8_t kReserved18 = 18;
inline constexpr uint8_t kAuxiliarySlice = 19;
}  // namespace nal

/// RefPicList0 and RefPicList1: indices of the reference pictures before the picture, or kNoFrame.
inline constexpr int8_t kNoFrame = -1;
using RefPicLists = std::array<std::array<int8_t, kMaxRefFrames>, 2>;

/// slice_type % 5, Table 7-6.
enum class SliceType : uint8_t { kP = 0, kB = 1, kI = 2, kSp = 3, kSi = 4 };

struct SliceHeader {
    uint8_t nal_unit_type = 0;
    uint8_t nal_ref_idc = 0;
    uint8_t pic_parameter_set_id = 0;
    SliceType type = SliceType::kI;
    bool is_type_of_all = false;  // slice_type 5 to 9
    SliceConstants constants{};   // as read
    bool direct_spatial_mv_pred_flag = false;
    std::array<uint8_t, 2> num_ref_idx_active{};  // by list
    uint32_t first_mb = 0;
    uint32_t frame_num = 0;
    uint32_t idr_pic_id = 0;
    uint32_t pic_order_cnt_lsb = 0;
    int32_t delta_pic_order_cnt_bottom = 0;
    std::array<int32_t, 2> delta_pic_order_cnt{};
    std::array<uint32_t, 2> usable_refs{};  // reference indices that have a picture, by list
    RefPicLists lists{};

    /// mb_type from which on they are those of I slices: Tables 7-13, 7-14.
    uint8_t n_inter_types() const {
        if (type == SliceType::kI) return 0;
        return type == SliceType::kP ? kPIntraTypes : kBIntraTypes;
    }
    bool is_idr() const { return nal_unit_type == nal::kIdrSlice; }
    bool is_reference() const { return nal_ref_idc != 0; }
};

/// Where an access unit stands, 7.4.1.2.3.
enum class Phase : uint8_t {
    kNew,        // nothing of it yet
    kDelimited,  // NAL units that come before its picture
    kPicture,    // the primary coded picture, not yet whole
    kAfter,      // the picture is whole
    kEndOfSequence,
    kEndOfStream,
};

/// The other reading at an end that only the next start code shows: the RBSP ended at the last
/// byte that was not 0.
struct Ended {
    bool is_alive = false;
    uint8_t n_zeros = 0;  // bytes since
    uint8_t n_mvs = 0;    // of the last macroblock
    uint32_t next_mb = 0;
};

/// What the last bin would have said that was left out as illegal while the bits allowed it: what
/// is wrong where they turn out to say so.
struct BinDoubt {
    Element element = Element::kNone;
    Code code = Code::kOk;
    int32_t value = 0;
    int32_t limit = 0;
};

/// Where slice data by CABAC stand between two bins.
struct CabacPosition {
    BinString string{};  // of the element that is due
    BinValues legal{};   // that it may have
    CabacInterval interval{};
    BinDoubt doubt{};
    uint64_t n_bins = 0;          // of the picture, 7.4.2.10
    uint16_t n_mb_bits = 0;       // read of macroblock_layer(), A.3.1 n)
    bool is_terminated = false;   // behind a terminating 1; the code's last bits are still to come
    bool is_qp_changed = false;   // by the macroblock that is being read, 9.3.3.1.1.5
    bool was_qp_changed = false;  // by the one before
    ContextStates states{};
};

/// What the bytes of slice data change: walks save and restore it at every branch.
struct DataPosition {
    Element at = Element::kStartCode;
    uint8_t bit = 0;               // in the RBSP byte
    uint8_t n_partial = 0;         // bits of the field so far
    uint8_t n_zeros = 0;           // bytes 00 in a row, up to 3
    bool after_emulation = false;  // after 00 00 03
    bool may_end = false;          // the RBSP, before the next field
    uint8_t last_n_mvs = 0;
    uint64_t partial = 0;  // the bits of the field so far, as a number
    uint64_t offset = 0;
    uint32_t next_mb = 0;  // of the picture, in the order of addresses
    uint32_t column = 0;   // of macroblocks, next_mb's
    uint32_t n_edges = 0;  // put in the ring
    Ended ended;
    MbEdge left;  // right side of the macroblock before
    Macroblock mb;
    BMacroblock b;        // of B slices
    CabacPosition cabac;  // of CABAC; the last ones, since others do not save them
};
static_assert(std::is_trivially_copyable_v<DataPosition>);

/// What holds for all macroblocks of the slice that is being read.
struct SliceLimits {
    uint32_t width_mbs = 1;
    uint32_t end_mb = 0;  // behind the last macroblock that it may have
    int32_t mv_x = 0;     // vectors are from -mv_x to mv_x - 1, A.3.1 l)
    int32_t mv_y = 0;
    int max_mvs = 0;  // MaxMvsPer2Mb
    bool is_b = false;
    bool records_motion = false;      // for direct prediction of later pictures
    bool has_large_bi_parts = false;  // none below 8x8
    bool has_constrained_intra_pred = false;
    bool has_transform_8x8 = false;  // transform_8x8_mode_flag
    bool has_cabac = false;          // entropy_coding_mode_flag
};

struct Position : DataPosition {
    // The NAL unit.
    bool has_zero_byte = false;  // the start code had four bytes
    uint8_t nal_ref_idc = 0;
    uint8_t nal_unit_type = 0;
    uint64_t n_payload = 0;  // bytes left, or bytes read, of a payload
    // The access unit.
    Phase phase = Phase::kNew;
    uint8_t primary_pic_type = 7;
    uint8_t sps_before = kMaxSeqParameterSets;  // id of the SPS just before, for its extension
    bool needs_idr = true;
    uint64_t n_pictures = 0;
    uint64_t n_slices = 0;       // whose data have begun
    uint64_t nal_begin = 0;      // offset of the NAL unit's header
    uint64_t n_vcl_bytes = 0;    // of the picture's slices that are whole
    size_t n_header_fields = 0;  // of the slice header so far, behind first_mb_in_slice
    // The slice.
    SliceHeader slice;
    SliceLimits limits;
    uint8_t list = 0;  // that a header speaks of
    uint32_t i = 0;    // of a loop in a header
    uint32_t j = 0;
    int64_t number = 0;  // a sum or a prediction in a header
    Element scaling_flag = Element::kNone;
};

/// pred_weight_table(), 7.3.3.2, of B slices; those of luma, Cb, Cr.
struct PredWeights {
    std::array<uint8_t, 2> log2_denoms{};                                   // of luma, of chroma
    std::array<std::array<std::array<int16_t, 3>, kMaxRefFrames>, 2> of{};  // by list and refIdx
};

/// Room for a position of slice data, which costs nothing until one is saved.
class SavedPosition {
public:
    SavedPosition() {}  // "= default" would have containers fill it with zeros

    void save(const Position& position) {
        copy(bytes_.data(), static_cast<const DataPosition*>(&position), position.limits);
    }
    /// In the same slice.
    void restore(Position& position) const {
        copy(static_cast<DataPosition*>(&position), bytes_.data(), position.limits);
    }

private:
    /// As much as the kind of slice has.
    static void copy(void* to, const void* from, const SliceLimits& limits) {
        if (limits.has_cabac) {
            std::memcpy(to, from, sizeof(DataPosition));
        } else if (limits.is_b) {
            std::memcpy(to, from, offsetof(DataPosition, cabac));
        } else {
            std::memcpy(to, from, offsetof(DataPosition, b));
        }
    }

    std::array<std::byte, sizeof(DataPosition)> bytes_;
};

/// Parameter sets and header parts that are being read.
struct Draft {
    Sps sps;
    Pps pps;
    uint8_t max_num_reorder_frames = 0;
    std::array<uint32_t, 4> crop{};  // left, right, top, bottom
    bool is_nal_hrd = false;
    bool has_hrd = false;
    bool has_several_cpbs = false;
    uint32_t last_bit_rate = 0;
    uint32_t last_cpb_size = 0;
    // Of ref_pic_list_modification(): the list that it changes, with an entry behind.
    std::array<int8_t, 33> list{};
    PredWeights weights;
};

/// A picture's numbers as the pictures after it need them.
struct PictureNumbers {
    bool is_idr = false;
    bool is_reference = false;
    bool had_mmco5 = false;
    uint32_t idr_pic_id = 0;
    uint32_t frame_num = 0;  // after memory_management_control_operation 5: 0
    int64_t frame_num_offset = 0;
    int64_t top = 0;     // TopFieldOrderCnt
    int64_t bottom = 0;  // BottomFieldOrderCnt
};

/// Bytes of the ending behind a picture. What its slice data say does not change them, so states
/// inside it share them; whoever is asked first works them out.
struct BytesBehindPicture {
    static constexpr uint64_t kUnknown = UINT64_MAX;

    explicit BytesBehindPicture(uint64_t n) : n_pictures(n) {}

    const uint64_t n_pictures;  // with this one
    std::atomic<uint64_t> n_bytes = kUnknown;
};

/// What changes with headers only.
struct Context {
    CopyOnWrite<ParameterSets> sets;
    std::shared_ptr<const Sps> sps;  // active
    std::shared_ptr<const Pps> pps;
    Draft draft;
    ReferencePictures references;  // before the current picture
    OrderCounts order_counts;      // of the coded video sequence, current picture left out
    PictureNumbers previous;       // picture
    uint32_t prev_ref_frame_num = 0;
    int64_t prev_pic_order_cnt_msb = 0;
    uint32_t prev_pic_order_cnt_lsb = 0;
    // The current or last primary coded picture.
    SliceHeader first_slice;
    PictureNumbers current;
    int64_t pic_order_cnt_msb = 0;
    ReferencePictures after;                     // references once it is decoded, itself left out
    std::vector<uint32_t> marking;               // what dec_ref_pic_marking() says, value by value
    std::optional<uint8_t> long_term_frame_idx;  // of the picture itself
    bool has_mmco4 = false;
    bool has_mmco1_to_3 = false;
    uint8_t slice_types = 0;  // of the picture so far, a bit each
    bool has_one_slice_type = false;
    std::shared_ptr<BytesBehindPicture> behind;  // null where bytes_behind_slices says it
    std::shared_ptr<const BSlice> b_slice;       // of the last B slice whose data have begun
};

}  // namespace pycodec_lm::h264
