#include "h264/recode_headers.hpp"

#include "h264/cursor.hpp"
#include "h264/mb_coder_cavlc.hpp"

namespace pycodec_lm::h264 {
namespace {

constexpr uint32_t kMaxFrameMbs = 36'864;  // level 5.2: whole slices are held
constexpr int kMaxModifications = 66;
constexpr int kMaxMarkings = 66;

/// The codes of 7.2, read.
class Reader {
public:
    explicit Reader(std::span<const uint8_t> rbsp) : bits_(rbsp, 0) {}

    uint32_t u(int n_bits) { return bits_.u(n_bits, 0); }
    bool flag() { return u(1) != 0; }
    uint32_t ue() { return bits_.ue(0); }
    uint8_t small_ue(uint32_t most) {
        const uint32_t value = ue();
        if (value > most) throw BrokenSyntax("a value of a header is out of range");
        return static_cast<uint8_t>(value);
    }
    int32_t se() { return bits_.se(0); }
    bool has_more_data() const { return bits_.has_more_data(); }
    size_t position() const { return bits_.position(); }

private:
    BitReader bits_;
};

void skip_scaling_list(Reader& r, int size) {
    int last = 8;
    int next = 8;
    for (int i = 0; i < size; ++i) {
        if (next != 0) next = (last + r.se() + 256) % 256;
        if (next != 0) last = next;
    }
}

void skip_scaling_lists(Reader& r, int n_lists) {
    for (int i = 0; i < n_lists; ++i) {
        if (r.flag()) skip_scaling_list(r, i < 6 ? 16 : 64);
    }
}

bool has_high_syntax(uint8_t profile_idc) {
    for (const int profile : {100, 110, 122, 244, 44, 83, 86, 118, 128}) {
        if (profile_idc == profile) return true;
    }
    return false;
}

// ref_pic_list_modification()
void skip_list_modifications(Reader& r) {
    if (!r.flag()) return;
    for (int i = 0; i < kMaxModifications; ++i) {
        if (r.small_ue(3) == 3) return;
        r.ue();
    }
    throw BrokenSyntax("ref_pic_list_modification() does not end");
}

// pred_weight_table()
void skip_weights(Reader& r, const SliceFacts& slice) {
    r.ue();
    r.ue();
    const int n_lists = slice.type == MbSliceType::kB ? 2 : 1;
    for (int list = 0; list < n_lists; ++list) {
        for (int i = 0; i < slice.num_ref_idx_active[static_cast<size_t>(list)]; ++i) {
            for (const int n_numbers : {2, 4}) {
                if (!r.flag()) continue;
                for (int k = 0; k < n_numbers; ++k) r.se();
            }
        }
    }
}

// dec_ref_pic_marking()
void skip_marking(Reader& r, bool is_idr) {
    if (is_idr) {
        r.u(2);
        return;
    }
    if (!r.flag()) return;
    for (int i = 0; i < kMaxMarkings; ++i) {
        const uint8_t operation = r.small_ue(6);
        if (operation == 0) return;
        if (operation != 5) r.ue();
        if (operation == 3) r.ue();
    }
    throw BrokenSyntax("dec_ref_pic_marking() does not end");
}

void read_order_counts(Reader& r, const RecodeSps& sps, const RecodePps& pps) {
    const bool has_bottom = pps.bottom_field_pic_order_in_frame_present_flag;
    if (sps.pic_order_cnt_type == 0) {
        r.u(sps.log2_max_pic_order_cnt_lsb);
        if (has_bottom) r.se();
    } else if (sps.pic_order_cnt_type == 1 && !sps.delta_pic_order_always_zero_flag) {
        r.se();
        if (has_bottom) r.se();
    }
}

MbSliceType read_slice_type(Reader& r) {
    constexpr MbSliceType kTypes[] = {MbSliceType::kP, MbSliceType::kB, MbSliceType::kI};
    const int type = r.small_ue(9) % 5;  // Table 7-6
    if (type > 2) throw BrokenSyntax("SP and SI slices are not in scope");
    return kTypes[type];
}

void read_active_references(Reader& r, const RecodePps& pps, SliceFacts& slice) {
    if (slice.type == MbSliceType::kI) return;
    const size_t n_lists = slice.type == MbSliceType::kB ? 2 : 1;
    const bool overrides = r.flag();
    for (size_t list = 0; list < n_lists; ++list) {
        slice.num_ref_idx_active[list] = overrides ? static_cast<uint8_t>(r.small_ue(31) + 1)
                                                   : pps.num_ref_idx_default_active[list];
    }
    for (size_t list = 0; list < n_lists; ++list) skip_list_modifications(r);
}

}  // namespace

RecodeSps read_sps(std::span<const uint8_t> rbsp) {
    Reader r(rbsp);
    RecodeSps sps;
    sps.profile_idc = static_cast<uint8_t>(r.u(8));
    r.u(16);
    sps.id = r.small_ue(31);
    if (has_high_syntax(sps.profile_idc)) {
        if (r.ue() != 1) throw BrokenSyntax("chroma formats other than 4:2:0");
        if (r.ue() != 0 || r.ue() != 0) throw BrokenSyntax("samples of more than 8 bits");
        r.flag();
        if (r.flag()) skip_scaling_lists(r, 8);
    }
    sps.log2_max_frame_num = r.small_ue(12) + 4;
    sps.pic_order_cnt_type = r.small_ue(2);
    if (sps.pic_order_cnt_type == 0) sps.log2_max_pic_order_cnt_lsb = r.small_ue(12) + 4;
    if (sps.pic_order_cnt_type == 1) {
        sps.delta_pic_order_always_zero_flag = r.flag();
        r.se();
        r.se();
        for (uint32_t n = r.small_ue(255); n > 0; --n) r.se();
    }
    r.ue();
    r.flag();
    sps.width_mbs = r.ue() + 1;
    sps.height_mbs = r.ue() + 1;
    sps.frame_mbs_only_flag = r.flag();
    if (!sps.frame_mbs_only_flag) {
        if (r.flag()) throw BrokenSyntax("mb_adaptive_frame_field_flag");
        sps.height_mbs *= 2;
    }
    sps.direct_8x8_inference_flag_at = r.position();
    sps.direct_8x8_inference_flag = r.flag();
    return sps;
}

RecodePps read_pps(std::span<const uint8_t> rbsp) {
    Reader r(rbsp);
    RecodePps pps;
    pps.id = r.small_ue(255);
    pps.sps_id = r.small_ue(31);
    pps.entropy_coding_mode_flag_at = r.position();
    pps.entropy_coding_mode_flag = r.flag();
    pps.bottom_field_pic_order_in_frame_present_flag = r.flag();
    if (r.ue() != 0) throw BrokenSyntax("slice groups");
    for (uint8_t& n : pps.num_ref_idx_default_active) n = static_cast<uint8_t>(r.small_ue(31) + 1);
    pps.weighted_pred_flag = r.flag();
    pps.weighted_bipred_idc = static_cast<int>(r.u(2));
    pps.pic_init_qp = 26 + r.se();
    r.se();
    r.se();
    pps.deblocking_filter_control_present_flag = r.flag();
    r.flag();
    pps.redundant_pic_cnt_present_flag = r.flag();
    if (r.has_more_data()) pps.transform_8x8_mode_flag = r.flag();
    return pps;
}

uint8_t read_pps_id(std::span<const uint8_t> rbsp) {
    Reader r(rbsp);
    r.ue();
    r.ue();
    return r.small_ue(255);
}

RecodeSliceHeader read_slice_header(
    std::span<const uint8_t> rbsp, uint8_t nal_unit_type, uint8_t nal_ref_idc, const RecodeSps& sps,
    const RecodePps& pps
) {
    if (sps.width_mbs > kMaxFrameMbs || sps.height_mbs > kMaxFrameMbs ||
        sps.width_mbs * sps.height_mbs > kMaxFrameMbs) {
        throw BrokenSyntax("pictures are larger than level 5.2 allows");
    }
    Reader r(rbsp);
    RecodeSliceHeader header;
    SliceFacts& slice = header.facts;
    const bool is_idr = nal_unit_type == nal::kIdrSlice;
    slice.width_mbs = sps.width_mbs;
    slice.frame_mbs = sps.width_mbs * sps.height_mbs;
    slice.transform_8x8_mode_flag = pps.transform_8x8_mode_flag;
    slice.direct_8x8_inference_flag = sps.direct_8x8_inference_flag;
    slice.first_mb = r.ue();
    slice.type = read_slice_type(r);
    header.pps_id = r.small_ue(255);
    header.frame_num = r.u(sps.log2_max_frame_num);
    if (!sps.frame_mbs_only_flag && r.flag()) throw BrokenSyntax("field_pic_flag");
    if (is_idr) r.ue();
    read_order_counts(r, sps, pps);
    if (pps.redundant_pic_cnt_present_flag) r.ue();
    if (slice.type == MbSliceType::kB) r.flag();  // direct_spatial_mv_pred_flag
    read_active_references(r, pps, slice);
    const bool is_weighted = slice.type == MbSliceType::kP
                                 ? pps.weighted_pred_flag
                                 : slice.type == MbSliceType::kB && pps.weighted_bipred_idc == 1;
    if (is_weighted) skip_weights(r, slice);
    if (nal_ref_idc != 0) skip_marking(r, is_idr);
    header.cabac_init_idc_at = r.position();
    if (pps.entropy_coding_mode_flag && slice.type != MbSliceType::kI)
        header.cabac_init_idc = r.small_ue(2);
    header.behind_cabac_init_idc = r.position();
    header.slice_qp = pps.pic_init_qp + r.se();
    if (pps.deblocking_filter_control_present_flag && r.ue() != 1) {
        r.se();
        r.se();
    }
    header.end = r.position();
    return header;
}

}  // namespace pycodec_lm::h264
