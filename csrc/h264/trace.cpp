#include "h264/trace.hpp"

#include <algorithm>
#include <bit>
#include <span>

#include "h264/cabac_steps.hpp"
#include "h264/residual_tables.hpp"
#include "h264/trace_rows.hpp"

namespace pycodec_lm::h264 {
namespace {

constexpr uint32_t kCropUnit = 2;    // 7.4.2.1.1, frames of 4:2:0
constexpr size_t kMaxUndecided = 3;  // bytes of a NAL unit that may be behind its end

}  // namespace

/// Two cursors: `whole_` takes bytes and judges them, `ahead_` takes the bits of a NAL unit one by
/// one and says to which field each belongs. `ahead_` stays behind while it is not yet known
/// whether the NAL unit has ended, so that no row has to be taken back.
class Tracer {
public:
    Tracer(
        const uint8_t* data, size_t n_bytes, const TraceLimits& limits, uint64_t begin_symbols,
        uint64_t end_symbols
    )
        : data_(data, n_bytes),
          rows_(limits, begin_symbols, end_symbols),
          trace_(rows_.trace),
          whole_(std::make_shared<const AvcGrammar>()),
          ahead_(whole_) {}

    Trace run() {
        while (at_ < data_.size() && take_byte()) ++at_;
        if (at_ < data_.size()) {
            trace_.status = whole_.push(data_[at_]);
            take_refused_byte();
        } else {
            if (n_undecided_ > 0) end_at_first_undecided();
            if (!whole_.is_complete()) {
                trace_.status = {
                    .code = Code::kStreamTruncated,
                    .element = whole_.element(),
                    .byte = whole_.offset()
                };
            }
        }
        take_undecided();
        if (is_open_ || is_string_open_) count_bits();
        keep_interruptions();
        trace_.end_offset = whole_.offset();
        trace_.n_pictures = whole_.n_pictures();
        trace_.place = whole_.describe();
        return std::move(trace_);
    }

private:
    bool take_byte() {
        const bool was_between = whole_.element() == Element::kStartCode;
        if (!whole_.accept(data_[at_])) return false;
        const Position& p = whole_.position_;
        const bool is_between = p.at == Element::kStartCode;
        const bool is_start = p.at == Element::kForbiddenZeroBit;
        if (was_between) {
            if (is_start) begin_nal();
        } else if (is_start || (is_between && p.n_zeros > 0)) {
            // This byte is part of a start code, and so are the zeros before it.
            end_at_first_undecided();
            if (is_start) begin_nal();
        } else if (p.after_emulation) {
            take_undecided();
            take_emulation();
        } else if (is_between) {
            take_undecided();
            take_bits(at_, true);
            end_nal(at_ + 1);
        } else {
            if (data_[at_] != 0) take_undecided();
            undecided_[n_undecided_++] = at_;
            if (!p.ended.is_alive) take_undecided();
        }
        return true;
    }

    /// The bits before the one that is wrong, where it is the bits that are wrong.
    void take_refused_byte() {
        const Position& p = whole_.position_;
        take_undecided();
        const bool is_escape_wrong =
            p.after_emulation ? data_[at_] > 3 : p.n_zeros == 2 && data_[at_] <= 3;
        if (p.at != Element::kStartCode && !is_escape_wrong) take_bits(at_, false);
    }

    void take_undecided() {
        for (size_t i = 0; i < n_undecided_; ++i) take_bits(undecided_[i], false);
        n_undecided_ = 0;
    }

    /// The NAL unit ended in the first of the bytes that are not decided; the others are zeros.
    void end_at_first_undecided() {
        take_bits(undecided_[0], true);
        end_nal(undecided_[0] + 1);
        n_undecided_ = 0;
    }

    void begin_nal() {
        is_nal_kept_ = rows_.begin_nal(nal_end_, at_ + 1);
        slice_ = nullptr;
        is_in_code_ = false;
        is_string_open_ = false;
        n_nal_bits_ = 0;
        if (is_nal_kept_) ahead_ = whole_;
    }

    void end_nal(size_t end) {
        nal_end_ = end;
        if (!is_nal_kept_) return;
        NalRow& nal = trace_.nals.back();
        nal.end = end;
        nal.is_whole = true;
        if (slice_ == nullptr) return;
        trace_.pictures.back().end = end;
    }

    void take_emulation() {
        if (!is_nal_kept_) return;
        NalRow& nal = trace_.nals.back();
        ++nal.n_emulation_bytes;
        nal.end = at_ + 1;
        FieldRow row{
            .byte = at_,
            .element = static_cast<uint8_t>(Element::kEmulationPrevention),
            .n_bits = 8,
            .value = 3,
        };
        if (is_in_slice_data(ahead_.element())) place_in_slice(row);
        interruptions_.push_back(row);
        if (!is_open_) keep_interruptions();
    }

    /// A field may go on behind emulation prevention, which comes after it in the rows.
    void keep_interruptions() {
        for (const FieldRow& row : interruptions_) rows_.keep(row);
        interruptions_.clear();
    }

    /// The bits of a byte, as far as they are legal; `is_last`: the NAL unit ends with it.
    void take_bits(size_t at, bool is_last) {
        if (!is_nal_kept_) return;
        const uint8_t byte = data_[at];
        trace_.nals.back().end = at + 1;
        for (int bit = 0; bit < 8; ++bit) {
            Position& p = ahead_.position_;
            const unsigned rest = byte & (0xFFu >> bit);
            if (is_last && p.may_end && rest == 1u << (7 - bit)) ahead_.begin_trailing_bits();
            p.may_end = false;
            if (ahead_.is_at_bins()) {
                if (!take_cabac_bit(at, bit)) return;
                continue;
            }
            if (!is_open_) open(at, bit);
            const AvcCursor::Field how = ahead_.field();
            const bool is_code = how.spelling == Spelling::kCode;
            const bool value = (byte >> (7 - bit)) & 1;
            if (is_code) node_ = how.code->node(node_).children[value];
            const uint32_t next_mb = p.next_mb;
            if (!ahead_.take_bit(value)) return;  // push() says why
            ++field_.n_bits;
            bits_ = (bits_ << 1) | (value ? 1 : 0);
            const bool is_over =
                how.spelling == Spelling::kZeros ? bit == 7 : ahead_.position_.n_partial == 0;
            if (is_over) close(how.spelling, next_mb);
            // End of sequence and of stream have no payload; behind trailing bits nothing is read.
            if (ahead_.element() == Element::kStartCode) return;
        }
    }

    void open(size_t at, int bit) {
        const Position& p = ahead_.position_;
        is_open_ = true;
        bits_ = 0;
        node_ = 0;
        field_ = {
            .byte = at,
            .bit = static_cast<uint8_t>(bit),
            .element = static_cast<uint8_t>(p.at),
        };
        if (!is_in_slice_data(p.at)) return;
        place_in_slice(field_);
        if (p.at >= Element::kCoeffToken) field_.block = static_cast<int8_t>(p.mb.block);
        if (p.at == Element::kMbType)
            begin_macroblock(8 * uint64_t{at} + static_cast<unsigned>(bit), 0);
    }

    void place_in_slice(FieldRow& row) const {
        row.picture = static_cast<int32_t>(trace_.pictures.size()) - 1;
        row.mb = ahead_.position_.next_mb;
    }

    void close(Spelling spelling, uint32_t next_mb_before) {
        field_.value = value_of(spelling);
        count_bits();
        is_open_ = false;
        const auto element = static_cast<Element>(field_.element);
        rows_.keep(field_);
        keep_interruptions();
        if (is_in_slice_data(element)) {
            if (ahead_.has_cabac() && element >= Element::kMbType) note_information(field_.n_bits);
            note_macroblock(element, next_mb_before);
        } else {
            note_header(element);
        }
    }

    int64_t value_of(Spelling spelling) const {
        const auto bits = static_cast<int64_t>(bits_);
        switch (spelling) {
            case Spelling::kUe:
                return bits - 1;
            case Spelling::kSe:
                return (bits & 1) != 0 ? -(bits / 2) : bits / 2;  // Table 9-3, codeNum is bits - 1
            case Spelling::kFlipped:
                return 1 - bits;
            case Spelling::kUnary:
                return field_.n_bits - 1;
            case Spelling::kCode: {
                const int symbol = -node_ - 1;
                if (static_cast<Element>(field_.element) != Element::kCoeffToken) return symbol;
                const CoeffTokenRow& token = kTable9_5[static_cast<size_t>(symbol)];
                return 4 * token.total_coeff + token.trailing_ones;
            }
            default:
                return bits;
        }
    }

    /// A bit of CABAC. Bins have no bits of their own; a bin counts the ones that the decoding
    /// engine reads behind it (9.3.3.2), as A.3.1 n) counts those of a macroblock. The 9 bits that
    /// it reads first count as trailing bits: so many more than its bins need has a code.
    bool take_cabac_bit(size_t at, int bit) {
        const CabacPosition& c = ahead_.position_.cabac;
        const auto n_read = [&] {
            return n_code_bits_ + static_cast<uint64_t>(c.interval.n_open()) - 1;
        };
        if (!is_in_code_) begin_code();
        const bool value = (data_[at] >> (7 - bit)) & 1;
        ++n_code_bits_;
        const bool is_taken = ahead_.take_cabac_bit(value, [&](bool bin) {
            // The bit is in n_code_bits_, and not open any more.
            count_bin(n_read());
            see_bin(at, bit, bin);
        });
        if (!is_taken) return false;
        if (!ahead_.is_at_bins()) end_code(n_read());
        return true;
    }

    void begin_code() {
        constexpr uint32_t kFirstBits = 9;  // 9.3.1.2
        is_in_code_ = true;
        n_code_bits_ = 0;
        n_counted_ = kFirstBits;
        n_nal_bits_ += kFirstBits;
        slice_->trailing_bits += kFirstBits;
    }

    void end_code(uint64_t n_read) {
        count_bin(n_read);
        close_string();
        is_in_code_ = false;
    }

    /// What the engine has read since the bin before goes to its element.
    void count_bin(uint64_t n_read) {
        const auto n = static_cast<uint32_t>(n_read - n_counted_);
        n_counted_ = n_read;
        field_.n_bits += n;
    }

    void see_bin(size_t at, int bit, bool bin) {
        const CabacPosition& c = ahead_.position_.cabac;
        if (c.string.n_bins() == 0) {
            close_string();
            open_string(at, bit);
        }
        weigh_bin(bin);
        BinString string = c.string;
        string.take(bin);
        field_.value = AvcCursor::value_of_string(ahead_.element(), string.value());
    }

    /// What the bin says, for its slice and macroblock.
    void weigh_bin(bool bin) {
        const CabacPosition& c = ahead_.position_.cabac;
        const uint16_t ctx_idx = c.string.ctx_idx();
        const double bits = c.interval.information_of(bin, ctx_idx, c.states);
        ++slice_->n_bins;
        ++mb_bins_;
        note_information(bits);
        const bool is_behind_mb = ahead_.element() == Element::kEndOfSliceFlag;
        BinRow row{
            .picture = field_.picture,
            .mb = field_.mb - (is_behind_mb ? 1 : 0),
            .element = field_.element,
            .value = bin,
            .is_first = c.string.n_bins() == 0,
            .information_bits = static_cast<float>(bits),
        };
        if (ctx_idx != kBypass) row.ctx_idx = static_cast<int16_t>(ctx_idx);
        if (ctx_idx != kBypass && ctx_idx != kTerminate) {
            row.p_state_idx = static_cast<int8_t>(c.states[ctx_idx].p_state_idx());
            row.val_mps = c.states[ctx_idx].val_mps();
        }
        rows_.keep_bin(row);
    }

    void note_information(double bits) {
        slice_->information_bits += bits;
        mb_information_ += bits;
    }

    /// Behind end_of_slice_flag, the last that a macroblock has.
    void end_weighing() {
        if (is_mb_kept_) {
            trace_.mb_bins.back() = mb_bins_;
            trace_.mb_information.back() = static_cast<float>(mb_information_);
        }
        mb_bins_ = 0;
        mb_information_ = 0;
    }

    void open_string(size_t at, int bit) {
        const Position& p = ahead_.position_;
        is_string_open_ = true;
        open(at, bit);
        is_open_ = false;
        if (p.at == Element::kEndOfSliceFlag) note_whole_macroblock();
    }

    void close_string() {
        if (!is_string_open_) return;
        is_string_open_ = false;
        count_bits();
        rows_.keep(field_);
        keep_interruptions();
        const auto element = static_cast<Element>(field_.element);
        note_type(element);
        if (element == Element::kEndOfSliceFlag) end_weighing();
    }

    /// In front of end_of_slice_flag.
    void note_whole_macroblock() {
        const bool is_skipped = ahead_.position_.left.cabac.says.is_skipped;
        ++slice_->n_mbs;
        ++trace_.pictures.back().n_mbs;
        if (!is_skipped) {
            slice_->n_intra += is_intra_;
            return;
        }
        ++slice_->n_skipped;
        const bool is_b = ahead_.slice().type == SliceType::kB;
        begin_macroblock(8 * field_.byte + field_.bit, is_b ? kBSkip : kPSkip);
    }

    /// The field's bits, whole or not, where they belong.
    void count_bits() {
        const auto element = static_cast<Element>(field_.element);
        n_nal_bits_ += field_.n_bits;
        if (slice_ == nullptr) return;
        if (element == Element::kRbspTrailingBits || element == Element::kCabacAlignmentOneBit) {
            slice_->trailing_bits += field_.n_bits;
        } else if (element >= Element::kMbSkipRun && element < Element::kMbType) {
            slice_->skip_bits += field_.n_bits;
        } else if (is_in_slice_data(element)) {
            const auto kind = static_cast<size_t>(kind_of(element, field_.block));
            slice_->mb_bits[kind] += field_.n_bits;
            if (!is_mb_kept_) return;
            uint16_t& bits = trace_.mb_bits.back()[kind];
            bits = static_cast<uint16_t>(bits + field_.n_bits);
        }
    }

    void note_header(Element element) {
        const auto number = static_cast<uint32_t>(field_.value);
        switch (element) {
            case Element::kNalUnitType:
                trace_.nals.back().nal_unit_type = static_cast<uint8_t>(field_.value);
                trace_.nals.back().nal_ref_idc = ahead_.position_.nal_ref_idc;
                return;
            case Element::kSeqParameterSetId:
                if (ahead_.position_.nal_unit_type != nal::kSps) return;
                sps_id_ = number;
                crops_px_[sps_id_] = {};
                return;
            case Element::kFrameCropLeftOffset:
                crops_px_[sps_id_][0] = kCropUnit * number;
                return;
            case Element::kFrameCropRightOffset:
                crops_px_[sps_id_][1] = kCropUnit * number;
                return;
            case Element::kFrameCropTopOffset:
                crops_px_[sps_id_][2] = kCropUnit * number;
                return;
            case Element::kFrameCropBottomOffset:
                crops_px_[sps_id_][3] = kCropUnit * number;
                return;
            case Element::kSliceQpDelta:
                qp_ = 26 + ahead_.pps().pic_init_qp_minus26 + static_cast<int>(field_.value);
                break;
            default:
                break;
        }
        // Headers end with different elements, so it is the cursor that says when data begin.
        if (ahead_.n_slices() != n_slices_) begin_slice();
    }

    void begin_slice() {
        n_slices_ = ahead_.n_slices();
        const SliceHeader& header = ahead_.slice();
        if (ahead_.is_first_slice()) begin_picture();
        PictureRow& picture = trace_.pictures.back();
        ++picture.n_slices;
        const PictureNumbers& numbers = ahead_.context_->current;
        trace_.slices.push_back({
            .nal = static_cast<uint32_t>(trace_.nals.size()) - 1,
            .picture = static_cast<uint32_t>(trace_.pictures.size()) - 1,
            .first_mb = header.first_mb,
            .slice_type = header.constants.slice_type,
            .pic_parameter_set_id = header.pic_parameter_set_id,
            .frame_num = header.frame_num,
            .idr_pic_id = header.is_idr() ? static_cast<int32_t>(header.idr_pic_id) : -1,
            .pic_order_cnt = std::min(numbers.top, numbers.bottom),
            .qp = static_cast<int8_t>(qp_),
            .header_bits = n_nal_bits_,
        });
        slice_ = &trace_.slices.back();
    }

    void begin_picture() {
        const Sps& sps = ahead_.sps();
        trace_.pictures.push_back({
            .first_slice = static_cast<uint32_t>(trace_.slices.size()),
            .width_mbs = sps.width_mbs,
            .height_mbs = sps.height_mbs,
            .crop_px = crops_px_[sps.seq_parameter_set_id],
            .first_mb_row = trace_.mb_starts.size(),
        });
    }

    void begin_macroblock(uint64_t start, uint8_t type) {
        is_mb_kept_ = rows_.begin_macroblock(start, type, qp_);
    }

    void note_type(Element element) {
        if (element == Element::kMbType) {
            // Tables 7-13 and 7-14: the types of I slices follow those of P and B slices.
            const SliceHeader& slice = ahead_.slice();
            const int64_t first = slice.type == SliceType::kB ? kFirstBType : kFirstPType;
            const int64_t n_inter = slice.n_inter_types();
            const int64_t type =
                field_.value < n_inter ? first + field_.value : field_.value - n_inter;
            is_intra_ = type < kFirstPType;
            if (is_mb_kept_) trace_.mb_types.back() = static_cast<uint8_t>(type);
        } else if (element == Element::kMbQpDelta) {
            qp_ = (qp_ + static_cast<int>(field_.value) + 52) % 52;  // 7.4.5
            if (is_mb_kept_) trace_.mb_qps.back() = static_cast<int8_t>(qp_);
        }
    }

    void note_macroblock(Element element, uint32_t next_mb_before) {
        note_type(element);
        const Position& p = ahead_.position_;
        const uint32_t n_done = p.next_mb - next_mb_before;
        if (n_done == 0 || p.limits.has_cabac) return;
        slice_->n_mbs += n_done;
        trace_.pictures.back().n_mbs += n_done;
        if (element != Element::kMbSkipRun) {
            slice_->n_intra += is_intra_;
            return;
        }
        slice_->n_skipped += n_done;
        for (uint32_t i = 0; i < n_done; ++i) {
            const bool is_b = ahead_.slice().type == SliceType::kB;
            begin_macroblock(8 * field_.byte + field_.bit, is_b ? kBSkip : kPSkip);
            if (!is_mb_kept_) break;
        }
    }

    std::span<const uint8_t> data_;
    size_t at_ = 0;
    TraceRows rows_;
    Trace& trace_;  // that of the rows
    AvcCursor whole_;
    AvcCursor ahead_;
    std::array<size_t, kMaxUndecided> undecided_{};  // offsets
    size_t n_undecided_ = 0;

    // The field that has begun and not ended.
    bool is_open_ = false;
    FieldRow field_;
    std::vector<FieldRow> interruptions_;  // of it, by emulation prevention
    uint64_t bits_ = 0;
    int node_ = 0;  // in a code table

    // By CABAC.
    bool is_in_code_ = false;
    bool is_string_open_ = false;
    uint64_t n_code_bits_ = 0;  // of the code that have come
    uint64_t n_counted_ = 0;    // of the bits that the engine has read
    uint32_t mb_bins_ = 0;      // of the macroblock so far
    double mb_information_ = 0;

    size_t nal_end_ = 0;  // of the one before
    bool is_nal_kept_ = false;
    uint32_t n_nal_bits_ = 0;    // read of the NAL unit, emulation prevention not counted
    SliceRow* slice_ = nullptr;  // whose data have begun
    uint64_t n_slices_ = 0;      // slices whose data have begun
    bool is_mb_kept_ = false;    // the macroblock that was begun last
    bool is_intra_ = false;
    int qp_ = 0;
    uint32_t sps_id_ = 0;  // of the set that is being read
    std::array<std::array<uint32_t, 4>, kMaxSeqParameterSets> crops_px_{};
};

Trace trace(
    const uint8_t* data, size_t n_bytes, const TraceLimits& limits, uint64_t begin_symbols,
    uint64_t end_symbols
) {
    return Tracer(data, n_bytes, limits, begin_symbols, end_symbols).run();
}

}  // namespace pycodec_lm::h264
