// Where an H.264 byte stream stands between two bits: the field oracle of ITU-T H.264, and the
// cursor over it.
//
// The syntax is written once, as fields: legal() says which values the next syntax element may
// take, take() says what happens when it takes one. All else follows from these two.
#pragma once

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
#include "h264/prefix_code.hpp"
#include "h264/state.hpp"

namespace pycodec_lm::h264 {

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
    kBins,      // ae(v)
};

class AvcTokens;

class AvcCursor {
public:
    using Tokens = AvcTokens;  // grammar/cursor_hooks.hpp, h264/token_walk.hpp

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
    /// ending_bound(0), which is cheap here.
    uint64_t ending_bound_here() const { return ending_bound(0); }
    /// Slices by CABAC may come, or go on (grammar/cursor_hooks.hpp).
    bool may_change_ending() const;
    Annotation annotation() const;
    std::string describe() const;

    Element element() const { return position_.at; }
    /// The next byte is slice data or ends them, and nothing but that matters.
    bool is_plain_slice_data() const {
        const Position& p = position_;
        return p.at >= Element::kMbSkipRun && !p.after_emulation && !is_in_pinned_bytes();
    }
    /// Bytes 00 that tokens may have to be escaped behind; 2 where they may begin a start code.
    size_t n_zeros_before_token() const {
        return position_.ended.is_alive ? size_t{2} : position_.n_zeros;
    }
    uint64_t n_pictures() const { return position_.n_pictures; }
    /// The header that is being read, or was read last.
    const SliceHeader& slice() const { return position_.slice; }
    uint64_t n_slices() const { return position_.n_slices; }
    /// Right behind the last byte of a slice, or of a picture where slicing is not regular: how
    /// many of them there are.
    std::optional<uint64_t> n_whole_slices() const;
    /// entropy_coding_mode_flag of the last slice.
    bool has_cabac() const { return position_.limits.has_cabac; }
    bool counts_order_by_frame_num() const { return sps().pic_order_cnt_type == 2; }
    /// Macroblocks of a picture; 0 while no sequence parameter set is active.
    uint32_t frame_mbs() const { return context_->sps ? sps().frame_mbs() : 0; }

private:
    friend class NalUnitReader;
    friend class CabacSliceReader;
    template <bool kSees, class Visit>
    friend class WordWalk;
    template <bool kSees, class See>
    friend class CabacWordWalk;
    friend class CabacCellSearch;
    friend class TokenByteWalk;
    friend class Tracer;  // trace.cpp: it looks on while fields are read
    friend class AvcWriter;
    friend class MotionReader;

    struct Field {
        Spelling spelling;
        uint8_t n_bits = 0;
        const PrefixCode* code = nullptr;
    };

    // fields.cpp: how bits become values.
    Field field() const;
    int take_bits(unsigned bits, int n_bits);
    bool take_bit(bool bit) { return take_bits(bit, 1) == 1; }
    void count_bits(int n) {
        Position& p = position_;
        p.bit = static_cast<uint8_t>((p.bit + n) & 7);
        if (p.at >= Element::kMbType) p.mb.n_bits = static_cast<uint16_t>(p.mb.n_bits + n);
    }
    int take_number_bits(const Field& field, unsigned bits, int n_bits);
    int take_golomb_bits(unsigned bits, int n_bits, bool is_signed);
    int take_code_bits(const PrefixCode& code, unsigned bits, int n_bits);
    int take_unary_bits(unsigned bits, int n_bits);
    int take_end_bits(Spelling spelling, unsigned bits, int n_bits);
    bool may_mark_slice_end() const;
    bool may_mark_alignment() const;
    bool any_legal(uint64_t first, uint64_t last) const;
    bool any_legal_signed(uint64_t first, uint64_t last) const;
    struct SignedRange {
        int64_t first;
        int64_t last;
    };
    bool any_in_signed(int64_t first, int64_t last) const;
    SignedRange legal_signed() const;
    /// Vectors are from -limit to limit - 1, A.3.1 l).
    static SignedRange legal_mvds(int32_t limit, int32_t predicted) {
        return {-limit - predicted, limit - 1 - predicted};
    }
    SignedRange legal_mb_qp_deltas() const {
        return grammar_->qp ? SignedRange{0, 0} : SignedRange{-26, 25};
    }
    ValueSet legal() const;
    void take(int64_t value);
    void expect(Element element) { position_.at = element; }
    class FieldReader;  // field_reader.hpp: fields of slice data, the same faster
    int take_data_bits(uint64_t bits, int n_bits);
    // rejection.cpp: why a byte is refused.
    Status reject_payload(uint8_t byte) const;
    Status reject_bits(uint8_t byte) const;
    bool is_legal_by_standard(uint8_t byte) const;
    Status why_not(int64_t value) const;
    // rejection_cabac.cpp
    Status reject_cabac_bit(bool bit) const;
    std::optional<Status> first_wrong_bin();
    Status why_not_bin(bool bin) const;
    // rejection.cpp
    Code why_not_nal_unit_type(uint32_t type) const;
    Code why_not_sps_value(int64_t value, int32_t& limit) const;
    Code why_not_slice_value(int64_t value, int32_t& limit) const;
    Code why_not_macroblock_value(int64_t value, int32_t& limit) const;
    // b_rejection.cpp
    Code why_not_direct(int32_t& limit, std::optional<int> quarter = std::nullopt) const;
    Code why_not_b_type(uint32_t mb_type, int32_t& limit) const;
    Code why_not_b_sub_type(uint32_t type, int32_t& limit) const;
    Code why_no_refs() const;
    // allowed.cpp
    void collect_bytes(unsigned prefix, int n_left, ByteSet& set);
    // byte_stream.cpp
    bool accept_start_code(uint8_t byte);
    bool is_zero_word_due() const;
    bool may_have_zero_word() const;
    /// The last NAL unit was one, and no other has begun.
    bool is_behind_cabac_slice() const {
        const Position& p = position_;
        return p.at == Element::kStartCode && p.limits.has_cabac &&
               (p.nal_unit_type == nal::kSlice || p.nal_unit_type == nal::kIdrSlice);
    }
    bool accept_payload(uint8_t byte);
    bool take_payload_byte(uint8_t byte);
    bool take_rbsp_byte(uint8_t byte);
    bool can_follow_emulation() const;
    bool may_start_with_three_bytes() const;
    void become_ended();
    // grammar.cpp: what a narrower grammar than the standard leaves.
    bool is_in_pinned_bytes() const { return position_.offset < grammar_->pinned.size(); }
    /// The parameter set that the pinned bytes end with might go on, by its own syntax alone.
    bool is_pinned_unit_over() const {
        return grammar_->is_pinned() && !is_in_pinned_bytes() && !is_in_slice() &&
               position_.at != Element::kForbiddenZeroBit;
    }
    bool has_short_start_codes() const { return grammar_->is_pinned() || grammar_->portable; }
    bool is_stream_full() const;
    struct NalHeader {
        uint8_t nal_ref_idc;
        uint8_t nal_unit_type;
    };
    NalHeader pinned_nal_header() const;
    bool is_legal_nal_header(uint32_t type, uint32_t nal_ref_idc) const;
    uint8_t n_start_zeros() const;
    const SliceConstants* constants() const;
    std::optional<int64_t> pinned_value() const;
    ValueSet narrowed(ValueSet values) const;
    ValueSet narrowed_sps_field(ValueSet values) const;
    uint32_t n_portable_refs(size_t list) const;
    // portable.cpp
    ValueSet portable_part(ValueSet values) const;
    ValueSet usable_part(ValueSet values) const;
    SignedRange portable_order_counts() const;
    // nal_unit.cpp
    ValueSet legal_nal_unit_types(uint32_t nal_ref_idc) const;
    bool any_legal_nal_ref_idc(uint64_t first, uint64_t last) const;
    bool is_legal_nal_unit_type(uint32_t type, uint32_t nal_ref_idc) const;
    bool has_usable_pps(bool is_idr) const;
    bool any_usable_pps(uint64_t first, uint64_t last) const;
    void begin_nal_unit(uint8_t nal_unit_type);
    void end_nal_unit(uint64_t end);
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
    bool may_be_b_slice() const;
    ValueSet legal_slice_types() const;
    ValueSet legal_frame_nums() const;
    void activate(uint8_t pic_parameter_set_id);
    void after_frame_num();
    void after_order_count();
    void after_redundant_pic_cnt();
    std::shared_ptr<const PictureMotion> whole_motion() const;
    void end_picture();
    // reference_lists.cpp
    void begin_list(int list);
    bool is_list_full() const;
    void modify_list(size_t frame);
    ValueSet legal_modifications() const;
    uint32_t unportable_modifications() const;
    ValueSet legal_pic_num_differences(int direction, int64_t prediction) const;
    ValueSet legal_long_term_pic_nums(const ReferencePictures& references) const;
    void end_list();
    // pred_weight_table.cpp
    void after_lists();
    void note_weight(size_t component, int64_t value);
    void take_weight_field(int64_t value);
    void after_weights();
    void after_marking();
    // slice_data.cpp
    void begin_slice_data();
    // reference_marking.cpp
    void begin_marking();
    ValueSet legal_marking_field() const;
    ValueSet legal_marking_operations() const;
    ValueSet legal_marked_differences(bool must_exist) const;
    void take_marking_field(int64_t value);
    void note_marking(int64_t value);
    // picture_order.cpp
    PictureNumbers numbers_of(const SliceHeader& slice) const;
    int64_t pic_order_cnt_msb_of(const SliceHeader& slice) const;
    int64_t expected_order_count(int64_t abs_frame_num) const;
    int32_t inferred_order_count(int64_t frame_num_with_offset) const;
    uint32_t n_inferred(uint32_t frame_num) const;
    SignedRange order_count_window(const SliceHeader& slice, uint32_t n_inferred = 0) const;
    SignedRange free_bottoms(const SliceHeader& slice, int64_t top) const;
    // order_room.cpp
    struct OrderRoom {
        int64_t below = INT32_MAX;
        int64_t above = INT32_MAX;
        int64_t highest = INT32_MAX;
    };
    OrderRoom order_room(const SliceHeader& slice) const;
    // picture_order.cpp
    bool any_free_count(
        const SliceHeader& slice, int64_t first, int64_t last, std::optional<int64_t> bottom,
        uint32_t n_inferred = 0
    ) const;
    bool any_free_lsb(SliceHeader slice, int64_t first, int64_t last, bool bottom_follows) const;
    bool any_legal_lsb(uint64_t first, uint64_t last) const;
    bool any_legal_delta(int64_t first, int64_t last) const;
    bool is_countable(const SliceHeader& slice, bool has_bottom_delta) const;
    bool is_countable_with(uint8_t pic_parameter_set_id) const;
    bool any_legal_frame_num(uint32_t first, uint32_t last) const;
    bool is_new_without_order(const SliceHeader& slice) const;
    void fill_frame_num_gap(Context& context) const;
    // slice_data.cpp
    ValueSet legal_macroblock_field() const;
    void take_macroblock_field(int64_t value);
    uint32_t n_mbs_left() const { return sps().frame_mbs() - position_.next_mb; }
    uint32_t n_mbs_of_slice_left() const { return position_.limits.end_mb - position_.next_mb; }
    bool may_slice_end() const { return grammar_->slicing == Slicing::kAny; }
    /// Motion vectors that the next macroblock may have, A.3.1 m).
    int n_mvs_left() const { return position_.limits.max_mvs - position_.last_n_mvs; }
    bool is_legal_mb_type(uint64_t mb_type) const;
    bool is_legal_sub_mb_type(uint64_t type) const;
    uint32_t max_skip_run(uint32_t most = UINT32_MAX) const;
    uint64_t legal_mb_types() const;
    uint64_t legal_sub_mb_types() const;
    uint32_t legal_intra_mode_flags() const;
    uint32_t legal_intra_mode_rems() const;
    uint64_t legal_intra_chroma_modes() const;
    void take_skip_run(uint32_t n);
    void take_pcm_sample();
    void take_intra_mode_flag(bool is_predicted);
    void take_intra_mode_rem(uint32_t rem);
    void take_intra_chroma_mode();
    void take_sub_mb_type(uint32_t type);
    void take_ref_idx(int8_t ref_idx);
    void take_mvd_x(int64_t mvd);
    void take_mvd_y(int64_t mvd);
    void take_coded_block_pattern(uint32_t code_num);
    void take_pattern(uint8_t pattern);
    void put_ref_idx(int8_t ref_idx);
    void begin_macroblock();
    void take_mb_type(uint32_t mb_type);
    void take_intra_mb_type(uint32_t mb_type);
    void end_macroblock();
    void take_transform_size(bool is_8x8);
    void expect_intra_mode();
    void expect_intra_mode_rem();
    void take_intra_mode(uint8_t mode);
    void begin_references();
    void next_reference();
    void begin_motion();
    void next_motion();
    void take_motion(MotionVector mv);
    // b_slice.cpp, b_macroblock.cpp
    bool is_b_slice() const { return position_.limits.is_b; }
    void begin_b_slice();
    void reset_macroblock();
    void infer_direct();
    void begin_skip();
    bool has_refs(uint8_t lists) const;
    uint32_t legal_coded_b_types() const;
    bool is_legal_b_type(uint8_t mb_type) const;
    bool is_legal_b_sub_type(uint64_t type) const;
    void take_b_type(uint8_t mb_type);
    void take_b_sub_type(uint8_t type);
    uint32_t legal_refs() const;
    void next_b_reference();
    void next_b_motion();
    // direct_prediction.cpp
    bool is_legal_direct(std::optional<int> quarter, int n_mvs_left) const;
    int n_direct_mvs_of_quarter() const;
    uint8_t n_direct_mvs() const;
    uint32_t max_b_skip_run(uint32_t most) const;
    void put_direct(int quarter);
    std::optional<SpatialDirect> even_direct() const;
    void put_direct_macroblock(const std::optional<SpatialDirect>& even);
    uint8_t shape_of_direct() const;
    void skip_b_macroblock();
    void skip_each_b_macroblock(uint32_t n);
    void skip_b_macroblocks(uint32_t n);
    // neighbours.cpp
    void leave_macroblock();
    void put_edges_of_list_1();
    void leave_skipped(const SpatialDirect& motion);
    void record_motion();
    void prepare_edges();
    void move_on(uint32_t n);
    void skip_macroblock();
    void skip_macroblocks(uint32_t n);
    void put_still_edges(uint32_t n);
    const MbEdge& slot(uint32_t distance) const;
    const ListEdge& slot_1(uint32_t distance) const;
    void put_edges(const MbEdge& bottom, const MbEdge& right);
    uint32_t room_for_edges() const;
    const MbEdge* left_edge() const;
    const MbEdge* top_edge() const;
    const MbEdge* top_right_edge() const;
    const MbEdge* top_left_edge() const;
    bool serves_intra(const MbEdge* edge) const;
    // mb_prediction.cpp
    void put_intra_modes_around();
    uint32_t legal_intra16x16_modes() const;
    bool is_legal_intra_chroma_mode(uint64_t mode) const;
    struct MotionNeighbour {
        bool is_available = false;
        int8_t ref_idx = kNoRefIdx;
        MotionVector mv;
    };
    template <int kList>
    MotionNeighbour motion_at(int column, int row) const;
    static MotionVector median_motion(
        const MotionNeighbour& a, const MotionNeighbour& b, const MotionNeighbour& c, int8_t ref_idx
    );
    template <int kList>
    MotionVector predict_motion(int column, int row, int width, int8_t ref_idx) const;
    template <int kList>
    MotionVector predict_partition() const;
    MotionVector skip_motion() const;
    SpatialDirect spatial_direct() const;
    // slice_data_cabac.cpp
    void begin_cabac();
    void begin_code();
    void begin_cabac_macroblock();
    void begin_string();
    size_t list_in_turn() const { return position_.limits.is_b ? position_.b.list : 0; }
    BinString due_string() const;
    BinString due_ref_idx() const;
    BinString due_mvd(int component) const;
    SignedRange due_mvds(int component) const {
        const Position& p = position_;
        return component == 0 ? legal_mvds(p.limits.mv_x, p.mb.predicted.x)
                              : legal_mvds(p.limits.mv_y, p.mb.predicted.y);
    }
    BinString due_residual_string() const;
    BinValues due_values() const;
    bool is_due_value(int32_t value) const;
    static int64_t value_of_string(Element element, int32_t value);
    void take_string();
    bool is_legal_end_of_slice(bool is_end) const;
    void take_mb_skip_flag(bool is_skipped);
    void take_end_of_slice_flag(bool is_end);
    void take_string_value(int32_t value);
    void note_ref_idx(int32_t ref_idx);
    void note_mvd(int32_t mvd);
    void put_cabac_edges(CabacEdge& bottom, CabacEdge& right) const;
    void end_cabac();
    // residual_cabac.cpp
    void begin_cabac_residual();
    BlockCat block_cat() const;
    void begin_cabac_block();
    void end_cabac_block();
    void note_coded_block();
    void begin_coded_block();
    bool is_coded_beside(bool to_left) const;
    void take_cabac_residual(int32_t value);
    // cabac_bins.cpp
    class BinSyntax;
    /// The element that is due is spelled in bins.
    bool is_at_bins() const {
        const Position& p = position_;
        return p.limits.has_cabac && p.at >= Element::kMbSkipFlag &&
               (p.at < Element::kPcmAlignmentZeroBit || p.at > Element::kPcmSampleChroma);
    }
    int take_cabac_bit(bool bit);
    template <class See>
    int take_cabac_bit(bool bit, const See& see);
    template <class See>
    bool take_settled_bins(const See& see);
    bool take_settled_bins();
    /// Makes up for a look ahead that was put off; false where there is no way on.
    bool look_ahead();
    void note_doubt(bool bin);
    bool can_code_end(const CabacInterval& interval) const;
    void take_code_end();
    bool may_be(bool bin) const;
    bool may_terminate() const;
    unsigned possible_bins();
    void take_bin(bool bin);
    bool is_cabac_limit_far() const {
        return position_.cabac.n_mb_bits + kFarCabacBits <= kMaxMacroblockBits;
    }
    bool fits_behind(bool bin) const;
    // residual_cavlc.cpp
    void begin_residual();
    void put_counts_around(uint8_t not_available);
    void begin_block();
    void end_block();
    int n_coeffs_around(int block) const;
    uint8_t coeff_table_of(int block) const;
    uint64_t legal_rows() const;
    static int least_bits_after_row(const Macroblock& mb, Element at, int row);
    int least_bits_behind_block() const;
    uint32_t max_level_prefix() const;
    /// No field in the next `n_bits` bits has to look at how many a macroblock may have.
    bool is_bit_limit_far(uint32_t n_bits = 0) const {
        return position_.mb.n_bits + n_bits + kFarBits <= kMaxMacroblockBits;
    }
    bool fits(int n_bits) const;
    ValueSet legal_residual_field() const;
    void take_residual_field(int64_t value);
    void note_total_coeff(uint8_t total);
    /// The rest of a residual block, of so many bits and coefficients.
    void take_block(int n_bits, int total) {
        position_.partial = 0;
        position_.n_partial = 0;
        count_bits(n_bits);
        note_total_coeff(static_cast<uint8_t>(total));
        end_block();
    }
    void next_level();
    void take_level(uint32_t suffix);
    void next_run();
    static int level_suffix_size(const Macroblock& mb);
    static int suffix_length_after(const Macroblock& mb, uint32_t suffix);
    // ending_cabac.cpp
    bool wanted_bin() const;
    int32_t wanted_bin_value() const;
    struct CodePlan;
    std::optional<CodePlan> plan_code(
        const std::vector<bool>& before, std::optional<unsigned> others, size_t most_bits
    ) const;
    bool opens_all_codes(bool bin) const;
    bool next_code_bit() const;
    struct SliceEnding {
        std::vector<uint8_t> bytes;
        uint64_t n_all;  // bytes, with those behind the slice
    };
    SliceEnding ending_of_slice(const std::vector<bool>& before) const;
    std::optional<SliceEnding> ending_of_slice() const;
    // ending.cpp
    bool is_right_behind_picture() const;
    bool prefers_another_slice(uint32_t next_mb) const;
    bool prefers_end(uint32_t next_mb) const;
    bool is_flat_behind(uint32_t first_flat_mb) const;
    void skip_flat_macroblocks();
    bool is_short_start_enough() const;
    /// In a slice's NAL unit, or with the reading alive that it ended.
    bool is_in_slice() const {
        const Position& p = position_;
        return p.at != Element::kStartCode &&
               (p.nal_unit_type == nal::kSlice || p.nal_unit_type == nal::kIdrSlice);
    }
    uint64_t slices_of_picture() const;
    std::optional<int64_t> wanted_value() const;
    NalHeader wanted_nal_header() const;
    int wanted_row() const;
    bool take_ending_bit();
    uint64_t most_bits_of_macroblock() const;
    uint8_t ending_byte() const;
    void accept_ending(uint8_t byte);

    const Sps& sps() const { return *context_->sps; }
    const Pps& pps() const { return *context_->pps; }

    std::shared_ptr<const AvcGrammar> grammar_;
    CopyOnWrite<Context> context_;
    CopyOnWrite<std::vector<MbEdge>> above_;      // bottoms of the last macroblocks, a ring
    CopyOnWrite<std::vector<ListEdge>> above_1_;  // what list 1 adds; of B slices
    CopyOnWrite<MotionField> motion_;             // of the picture, where later ones may need it
    // Only what may come next is asked, and where it ends: no picture behind needs the motion.
    bool is_looking_ahead_ = false;
    // Bits by CABAC are taken where no way may lead on: look_ahead() is to tell.
    bool looks_ahead_later_ = false;
    Position position_;
};

// Neighbours, 6.4.9 to 6.4.12, which each field of slice data may look at. Only those of the same
// slice are available.

/// The bottom of the macroblock so many addresses before this one.
inline const MbEdge& AvcCursor::slot(uint32_t distance) const {
    return (*above_)[(position_.n_edges - distance) & (above_->size() - 1)];
}

inline const ListEdge& AvcCursor::slot_1(uint32_t distance) const {
    return (*above_1_)[(position_.n_edges - distance) & (above_1_->size() - 1)];
}

inline const MbEdge* AvcCursor::left_edge() const {
    const Position& p = position_;
    return p.next_mb > p.slice.first_mb && p.column != 0 ? &p.left : nullptr;
}

inline const MbEdge* AvcCursor::top_edge() const {
    const uint32_t width = position_.limits.width_mbs;
    if (position_.next_mb < position_.slice.first_mb + width) return nullptr;
    return &slot(width);
}

inline const MbEdge* AvcCursor::top_right_edge() const {
    const uint32_t width = position_.limits.width_mbs;
    const bool is_last = position_.column == width - 1;
    if (is_last || position_.next_mb + 1 < position_.slice.first_mb + width) return nullptr;
    return &slot(width - 1);
}

inline const MbEdge* AvcCursor::top_left_edge() const {
    const uint32_t width = position_.limits.width_mbs;
    if (position_.column == 0 || position_.next_mb < position_.slice.first_mb + width + 1)
        return nullptr;
    return &slot(width + 1);
}

/// Its samples may be used for intra prediction.
inline bool AvcCursor::serves_intra(const MbEdge* edge) const {
    return edge != nullptr && (edge->is_intra() || !position_.limits.has_constrained_intra_pred);
}

/// What a neighbour says to contexts; null where it is not available.
inline const NeighbourMb* says(const MbEdge* edge) { return edge ? &edge->cabac.says : nullptr; }

inline void AvcCursor::put_edges(const MbEdge& bottom, const MbEdge& right) {
    auto& ring = above_.edit();
    ring[position_.n_edges++ & (ring.size() - 1)] = bottom;  // a power of two
    position_.left = right;
}

/// A legal value is behind the bin; of a terminating 1, the code may end so.
inline bool AvcCursor::may_be(bool bin) const {
    const CabacPosition& c = position_.cabac;
    if (!c.string.can_be(bin, c.legal)) return false;
    if (bin && c.string.ctx_idx() == kTerminate && !may_terminate()) return false;
    return is_cabac_limit_far() || fits_behind(bin);
}

static_assert(GrammarCursor<AvcCursor>);
static_assert(BoundsEndings<AvcCursor>);

}  // namespace pycodec_lm::h264
