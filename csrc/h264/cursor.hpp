// Where an H.264 byte stream stands between two bits: the field oracle of ITU-T H.264, and the
// cursor over it.
//
// The syntax is written once, as fields: legal() says which values the next syntax element may
// take, take() says what happens when it takes one. All else follows from these two.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "grammar/byte_set.hpp"
#include "grammar/copy_on_write.hpp"
#include "grammar/cursor.hpp"
#include "grammar/cursor_hooks.hpp"
#include "grammar/status.hpp"
#include "grammar/value_set.hpp"
#include "h264/grammar.hpp"
#include "h264/macroblock.hpp"
#include "h264/parameter_sets.hpp"
#include "h264/prefix_code.hpp"
#include "h264/reference_pictures.hpp"

namespace pycodec_lm::h264 {

/// nal_unit_type, Table 7-1.
namespace nal {
inline constexpr uint8_t kUnspecified = 0;
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

/// slice_type % 5, Table 7-6.
enum class SliceType : uint8_t { kP = 0, kB = 1, kI = 2, kSp = 3, kSi = 4 };

/// How a field is spelled in bits.
enum class Spelling : uint8_t {
    kNumber,    // u(n)
    kUe,        // ue(v), also me(v), and te(v) of a range above 1
    kSe,        // se(v)
    kFlipped,   // te(v) of the range 1: one bit, 1 for 0
    kCode,      // a code of the tables of 9.2, as rows
    kUnary,     // level_prefix: so many zeros and a one
    kTrailing,  // rbsp_trailing_bits()
    kZeros,     // zeros to the end of the byte
};

struct SliceHeader {
    uint8_t nal_unit_type = 0;
    uint8_t nal_ref_idc = 0;
    uint8_t pic_parameter_set_id = 0;
    SliceType type = SliceType::kI;
    bool is_type_of_all = false;  // slice_type 5 to 9
    SliceConstants constants{};   // as read
    uint8_t num_ref_idx_active = 0;
    uint8_t disable_deblocking_filter_idc = 0;
    uint32_t first_mb = 0;
    uint32_t frame_num = 0;
    uint32_t idr_pic_id = 0;
    uint32_t pic_order_cnt_lsb = 0;
    int32_t delta_pic_order_cnt_bottom = 0;
    std::array<int32_t, 2> delta_pic_order_cnt{};
    uint32_t usable_refs = 0;  // reference indices that have a picture

    bool is_idr() const { return nal_unit_type == nal::kIdrSlice; }
    bool is_reference() const { return nal_ref_idc != 0; }
};

class AvcCursor {
public:
    static constexpr bool kAllowedIsFast = true;  // grammar/cursor_hooks.hpp

    explicit AvcCursor(std::shared_ptr<const AvcGrammar> grammar);

    // The contract of grammar/cursor.hpp.
    Status push(uint8_t byte);
    bool accept(uint8_t byte);
    ByteSet allowed() const;
    bool is_complete() const;
    uint64_t bytes_to_complete() const;
    void complete(std::vector<uint8_t>& out, uint64_t limit) const;
    uint64_t offset() const { return position_.offset; }
    /// No state within n_bytes has a longer ending (grammar/cursor_hooks.hpp).
    uint64_t ending_bound(uint64_t n_bytes) const;
    Annotation annotation() const;
    std::string describe() const;

    Element element() const { return position_.at; }
    uint64_t n_pictures() const { return position_.n_pictures; }
    /// The header that is being read, or was read last.
    const SliceHeader& slice() const { return position_.slice; }
    uint64_t n_slices() const { return position_.n_slices; }
    bool counts_order_by_frame_num() const { return sps().pic_order_cnt_type == 2; }
    /// Macroblocks of a picture; 0 while no sequence parameter set is active.
    uint32_t frame_mbs() const { return context_->sps ? sps().frame_mbs() : 0; }

private:
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

    struct Position {
        Element at = Element::kStartCode;
        uint8_t bit = 0;        // in the RBSP byte
        uint8_t n_partial = 0;  // bits of the field so far
        uint16_t node = 0;      // in a code table
        uint64_t partial = 0;
        uint64_t offset = 0;
        // The byte layer.
        uint8_t n_zeros = 0;           // bytes 00 in a row, up to 3
        bool after_emulation = false;  // after 00 00 03
        bool has_zero_byte = false;    // the start code had four bytes
        uint8_t nal_ref_idc = 0;
        uint8_t nal_unit_type = 0;
        uint32_t n_payload = 0;  // bytes left, or bytes read, of a payload
        // The access unit.
        Phase phase = Phase::kNew;
        uint8_t primary_pic_type = 7;
        uint8_t sps_before = kMaxSeqParameterSets;  // id of the SPS just before, for its extension
        bool needs_idr = true;
        uint64_t n_pictures = 0;
        uint64_t n_slices = 0;  // whose data have begun
        uint32_t next_mb = 0;   // of the picture, in the order of addresses
        // The slice.
        SliceHeader slice;
        uint32_t i = 0;  // of a loop in a header
        uint32_t j = 0;
        int64_t number = 0;  // a sum or a prediction in a header
        Element scaling_flag = Element::kNone;
        bool may_end = false;  // the RBSP, before the next field
        uint8_t last_n_mvs = 0;
        Macroblock mb;
        MbEdge left;        // right side of the macroblock before
        uint32_t ring = 0;  // where the next bottom goes
        Ended ended;
    };

    /// Parameter sets and header parts that are being read.
    struct Draft {
        Sps sps;
        Pps pps;
        uint8_t max_num_reorder_frames = 0;
        std::array<uint32_t, 3> crop{};  // left, right, top
        bool is_nal_hrd = false;
        bool has_hrd = false;
        bool has_several_cpbs = false;
        uint32_t last_bit_rate = 0;
        uint32_t last_cpb_size = 0;
        // Of ref_pic_list_modification(): indices of frames, or kNoFrame.
        std::array<int8_t, 33> list{};
    };
    static constexpr int8_t kNoFrame = -1;

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
        ReferencePictures after;        // references once it is decoded, itself left out
        std::vector<uint32_t> marking;  // what dec_ref_pic_marking() says, value by value
        std::optional<uint8_t> long_term_frame_idx;  // of the picture itself
        bool has_mmco4 = false;
        bool has_mmco1_to_3 = false;
        uint8_t slice_types = 0;  // of the picture so far, a bit each
        bool has_one_slice_type = false;
    };

    struct Field {
        Spelling spelling;
        uint8_t n_bits = 0;
        const PrefixCode* code = nullptr;
    };

    // fields.cpp: how bits become values.
    Field field() const;
    int take_bits(unsigned bits, int n_bits);
    bool take_bit(bool bit) { return take_bits(bit, 1) == 1; }
    void count_bits(int n);
    int take_number_bits(const Field& field, unsigned bits, int n_bits);
    int take_golomb_bits(unsigned bits, int n_bits, bool is_signed);
    int take_code_bits(const PrefixCode& code, unsigned bits, int n_bits);
    int take_unary_bits(unsigned bits, int n_bits);
    int take_end_bits(Spelling spelling, unsigned bits, int n_bits);
    bool any_legal(uint64_t first, uint64_t last) const;
    bool any_legal_signed(uint64_t first, uint64_t last) const;
    struct SignedRange {
        int64_t first;
        int64_t last;
    };
    bool any_in_signed(int64_t first, int64_t last) const;
    SignedRange legal_signed() const;
    ValueSet legal() const;
    void take(int64_t value);
    void expect(Element element);
    // rejection.cpp: why a byte is refused.
    Status reject_payload(uint8_t byte) const;
    Status reject_bits(uint8_t byte) const;
    bool is_legal_by_standard(uint8_t byte) const;
    Status why_not(int64_t value) const;
    Code why_not_nal_unit_type(uint32_t type) const;
    Code why_not_sps_value(int64_t value, int32_t& limit) const;
    Code why_not_slice_value(int64_t value, int32_t& limit) const;
    Code why_not_macroblock_value(int64_t value, int32_t& limit) const;
    // allowed.cpp
    void collect_bytes(unsigned prefix, int n_left, ByteSet& set);
    // byte_stream.cpp
    bool accept_start_code(uint8_t byte);
    bool accept_payload(uint8_t byte);
    bool take_payload_byte(uint8_t byte);
    bool can_follow_emulation() const;
    bool may_start_with_three_bytes() const;
    void become_ended();
    // grammar.cpp: what a narrower grammar than the standard leaves.
    bool is_in_pinned_bytes() const { return position_.offset < grammar_->pinned.size(); }
    bool has_short_start_codes() const { return grammar_->is_pinned() || grammar_->portable; }
    bool is_stream_full() const;
    bool is_legal_nal_header(uint32_t type, uint32_t nal_ref_idc) const;
    uint8_t n_start_zeros() const;
    const SliceConstants* constants() const;
    ValueSet narrowed(ValueSet values) const;
    uint32_t n_portable_refs() const;
    // nal_unit.cpp
    ValueSet legal_nal_unit_types(uint32_t nal_ref_idc) const;
    bool is_legal_nal_unit_type(uint32_t type, uint32_t nal_ref_idc) const;
    bool has_usable_pps(bool is_idr) const;
    bool any_usable_pps(uint64_t first, uint64_t last) const;
    void begin_nal_unit(uint8_t nal_unit_type);
    void end_nal_unit();
    void begin_trailing_bits();
    void take_nal_field(int64_t value);
    ValueSet legal_nal_field() const;
    bool can_start_picture(bool is_reference) const;
    // seq_parameter_set.cpp, vui_parameters.cpp, pic_parameter_set.cpp
    ValueSet legal_sps_field() const;
    void take_sps_field(int64_t value);
    void end_sps();
    void take_scaling_field(int64_t value, uint32_t n_lists, Element next);
    ValueSet legal_vui_field() const;
    void take_vui_field(int64_t value);
    void end_hrd();
    ValueSet legal_pps_field() const;
    void take_pps_field(int64_t value);
    void end_pps();
    // slice_header.cpp
    ValueSet legal_slice_field() const;
    void take_slice_field(int64_t value);
    bool is_first_slice() const { return position_.phase != Phase::kPicture; }
    Code why_no_pps(uint32_t id, bool is_idr) const;
    bool may_be_p_slice() const;
    ValueSet legal_slice_types() const;
    ValueSet legal_frame_nums() const;
    void activate(uint8_t pic_parameter_set_id);
    void after_frame_num();
    void after_order_count();
    void after_redundant_pic_cnt();
    void begin_list();
    bool is_list_full() const;
    void modify_list(size_t frame);
    ValueSet legal_modifications() const;
    ValueSet legal_pic_num_differences(int direction, int64_t prediction) const;
    ValueSet legal_long_term_pic_nums(const ReferencePictures& references) const;
    void end_list();
    void after_lists();
    void begin_slice_data();
    void end_picture();
    // reference_marking.cpp
    void begin_marking();
    ValueSet legal_marking_field() const;
    ValueSet legal_marking_operations() const;
    void take_marking_field(int64_t value);
    void note_marking(int64_t value);
    // picture_order.cpp
    PictureNumbers numbers_of(const SliceHeader& slice) const;
    int64_t pic_order_cnt_msb_of(const SliceHeader& slice) const;
    SignedRange order_count_window(const SliceHeader& slice) const;
    SignedRange free_bottoms(const SliceHeader& slice, int64_t top) const;
    bool any_free_count(
        const SliceHeader& slice, int64_t first, int64_t last, std::optional<int64_t> bottom
    ) const;
    bool any_free_lsb(SliceHeader slice, int64_t first, int64_t last, bool bottom_follows) const;
    bool any_legal_lsb(uint64_t first, uint64_t last) const;
    bool any_legal_delta(int64_t first, int64_t last) const;
    bool is_new_without_order(const SliceHeader& slice) const;
    void fill_frame_num_gap(Context& context) const;
    // slice_data.cpp
    ValueSet legal_macroblock_field() const;
    void take_macroblock_field(int64_t value);
    uint32_t n_mbs_left() const { return sps().frame_mbs() - position_.next_mb; }
    uint32_t n_mbs_of_slice_left() const;
    bool may_slice_end() const { return grammar_->slicing == Slicing::kAny; }
    ValueSet legal_mb_types() const;
    ValueSet legal_sub_mb_types() const;
    int n_mvs_left() const;
    void begin_macroblock();
    void take_mb_type(uint32_t mb_type);
    void take_intra_mb_type(uint32_t mb_type);
    void end_macroblock();
    void skip_macroblocks(uint32_t n);
    void take_intra_mode(uint8_t mode);
    void begin_references();
    void next_reference();
    void begin_motion();
    void next_motion();
    void take_motion(MotionVector mv);
    // neighbours.cpp
    const MbEdge& slot(uint32_t distance) const;
    void put_edges(const MbEdge& bottom, const MbEdge& right);
    const MbEdge* left_edge() const;
    const MbEdge* top_edge() const;
    const MbEdge* top_right_edge() const;
    const MbEdge* top_left_edge() const;
    bool serves_intra(const MbEdge* edge) const;
    // mb_prediction.cpp
    uint8_t predicted_intra_mode() const;
    uint32_t legal_intra_modes() const;
    bool is_legal_intra16x16_mode(uint32_t mode) const;
    bool is_legal_intra_chroma_mode(uint32_t mode) const;
    struct MotionNeighbour {
        bool is_available = false;
        int8_t ref_idx = kNoRefIdx;
        MotionVector mv;
    };
    MotionNeighbour motion_at(int column, int row) const;
    MotionVector predict_motion(int column, int row, int width, int8_t ref_idx) const;
    MotionVector predict_partition() const;
    MotionVector skip_motion() const;
    // residual_cavlc.cpp
    void begin_residual();
    void begin_block();
    void end_block();
    bool has_block(int block) const;
    int n_coeffs_around(int block) const;
    uint64_t legal_rows() const;
    static int least_bits_after_row(const Macroblock& mb, Element at, int row);
    int least_bits_behind_block() const;
    uint32_t max_level_prefix() const;
    bool is_bit_limit_far() const;
    bool fits(int n_bits) const;
    ValueSet legal_residual_field() const;
    void take_residual_field(int64_t value);
    void note_total_coeff(uint8_t total);
    void next_level();
    void take_level(uint32_t suffix);
    void next_run();
    static int level_suffix_size(const Macroblock& mb);
    static int suffix_length_after(const Macroblock& mb, uint32_t suffix);
    // ending.cpp
    bool prefers_another_slice(uint32_t next_mb) const;
    bool prefers_end() const;
    bool prefers_end_here() const;
    bool is_flat_behind(uint32_t first_flat_mb) const;
    void skip_flat_macroblocks();
    bool is_p_excluded() const;
    bool is_short_start_enough() const;
    /// In a slice's NAL unit, or with the reading alive that it ended.
    bool is_in_slice() const {
        const Position& p = position_;
        return p.at != Element::kStartCode &&
               (p.nal_unit_type == nal::kSlice || p.nal_unit_type == nal::kIdrSlice);
    }
    std::optional<int64_t> wanted_value() const;
    struct NalHeader {
        uint8_t nal_ref_idc;
        uint8_t nal_unit_type;
    };
    NalHeader wanted_nal_header() const;
    int wanted_row() const;
    bool ending_bit() const;
    uint8_t ending_byte() const;
    void accept_ending(uint8_t byte);

    const Sps& sps() const { return *context_->sps; }
    const Pps& pps() const { return *context_->pps; }

    std::shared_ptr<const AvcGrammar> grammar_;
    CopyOnWrite<Context> context_;
    CopyOnWrite<std::vector<MbEdge>> above_;  // bottoms of the last macroblocks, a ring
    Position position_;
};

static_assert(GrammarCursor<AvcCursor>);
static_assert(BoundsEndings<AvcCursor>);

}  // namespace pycodec_lm::h264
