#include "h264/recode.hpp"

#include <algorithm>
#include <map>

#include "h264/cabac_zero_words.hpp"
#include "h264/cursor.hpp"
#include "h264/emulation_prevention.hpp"
#include "h264/mb_coder_cabac.hpp"
#include "h264/mb_coder_cavlc.hpp"
#include "h264/random_macroblocks.hpp"
#include "h264/recode_headers.hpp"

namespace pycodec_lm::h264 {
namespace {

/// rbsp_byte of 7.3.1, behind the header of the NAL unit.
std::vector<uint8_t> rbsp_of(std::span<const uint8_t> unit) {
    std::vector<uint8_t> rbsp;
    int n_zeros = 0;
    for (const uint8_t byte : unit.subspan(1)) {
        const bool is_escape = n_zeros == 2 && byte == 3;
        if (n_zeros == 2 && byte < 3) throw BrokenSyntax("a NAL unit has 00 00 00 or 00 00 02");
        n_zeros = byte == 0 ? n_zeros + 1 : 0;
        if (!is_escape) rbsp.push_back(byte);
    }
    return rbsp;
}

/// The other way, header included.
void put_nal(std::vector<uint8_t>& out, uint8_t header, std::span<const uint8_t> rbsp) {
    out.push_back(header);
    const int n_zeros = put_escaped(out, rbsp);
    if (n_zeros == 2) out.push_back(3);  // no NAL unit ends with 00
}

std::vector<bool> bits_of(std::span<const uint8_t> bytes, size_t first, size_t end) {
    std::vector<bool> bits;
    for (size_t i = first; i < end; ++i) bits.push_back((bytes[i / 8] >> (7 - i % 8)) & 1);
    return bits;
}

ContextStates states_of(const RecodeSliceHeader& header, int cabac_init_idc) {
    const auto column = header.facts.type == MbSliceType::kI
                            ? ContextColumn::kI
                            : static_cast<ContextColumn>(1 + cabac_init_idc);
    return {column, header.slice_qp};
}

class Recoder {
public:
    explicit Recoder(const RecodeOptions& options) : options_(options) {
        if (options.random_macroblocks)
            random_.emplace(*options.random_macroblocks, RandomMacroblockOptions{true});
    }

    Recoded run(std::span<const uint8_t> stream) {
        size_t at = find_start_code(stream, 0);
        if (at == stream.size()) throw BrokenSyntax("a stream has no start code");
        put(stream.subspan(0, at));
        while (at < stream.size()) {
            put(stream.subspan(at, 3));
            const size_t begin = at + 3;
            at = find_start_code(stream, begin);
            size_t end = at;
            // trailing_zero_8bits, or the zero_byte of the next start code
            while (end > begin && stream[end - 1] == 0) --end;
            if (end == begin) throw BrokenSyntax("a NAL unit is empty");
            recode_nal(stream.subspan(begin, end - begin));
            put(stream.subspan(end, at - end));
        }
        return std::move(result_);
    }

private:
    static size_t find_start_code(std::span<const uint8_t> stream, size_t from) {
        for (size_t i = from; i + 3 <= stream.size(); ++i) {
            if (stream[i] == 0 && stream[i + 1] == 0 && stream[i + 2] == 1) return i;
        }
        return stream.size();
    }

    void put(std::span<const uint8_t> bytes) {
        result_.bytes.insert(result_.bytes.end(), bytes.begin(), bytes.end());
    }

    void recode_nal(std::span<const uint8_t> unit) {
        const uint8_t type = unit[0] & 31;
        switch (type) {
            case nal::kSps:
                return recode_sps(unit[0], rbsp_of(unit));
            case nal::kPps:
                return recode_pps(unit[0], rbsp_of(unit));
            case nal::kSlice:
            case nal::kIdrSlice:
                return recode_slice(unit[0], rbsp_of(unit));
            default:
                if (type >= nal::kPartitionA && type <= nal::kPartitionC)
                    throw BrokenSyntax("data partitioning");
                put(unit);
        }
    }

    void recode_sps(uint8_t header, std::vector<uint8_t> rbsp) {
        RecodeSps sps = read_sps(rbsp);
        if (options_.entropy_coding_mode_flag && sps.profile_idc == profile::kBaseline) {
            rbsp[0] = profile::kMain;
            // Not constraint_set0_flag, and of the reserved ones nothing.
            rbsp[1] = 0x40;
            // Table A-4 wants it at some levels; Baseline has no B slices, for which it matters.
            // Where there are some, they are read and written as if it had been so.
            sps.direct_8x8_inference_flag = true;
            const size_t at = sps.direct_8x8_inference_flag_at;
            rbsp[at / 8] = static_cast<uint8_t>(rbsp[at / 8] | 0x80 >> at % 8);
        } else if (options_.entropy_coding_mode_flag) {
            rbsp[1] &= 0x7F;  // constraint_set0_flag: what Baseline reads
        }
        sps_[sps.id] = sps;
        put_nal(result_.bytes, header, rbsp);
    }

    void recode_pps(uint8_t header, std::vector<uint8_t> rbsp) {
        const RecodePps pps = read_pps(rbsp);
        pps_[pps.id] = pps;
        if (pps.entropy_coding_mode_flag != options_.entropy_coding_mode_flag) {
            uint8_t& byte = rbsp[pps.entropy_coding_mode_flag_at / 8];
            byte = static_cast<uint8_t>(byte ^ (0x80 >> pps.entropy_coding_mode_flag_at % 8));
        }
        put_nal(result_.bytes, header, rbsp);
    }

    void recode_slice(uint8_t nal_header, const std::vector<uint8_t>& rbsp) {
        const auto pps = pps_.find(read_pps_id(rbsp));
        if (pps == pps_.end()) throw BrokenSyntax("a picture parameter set is missing");
        const auto sps = sps_.find(pps->second.sps_id);
        if (sps == sps_.end()) throw BrokenSyntax("a sequence parameter set is missing");
        const RecodeSliceHeader header = read_slice_header(
            rbsp, nal_header & 31, (nal_header >> 5) & 3, sps->second, pps->second
        );
        std::vector<MacroblockSyntax> mbs = read_data(rbsp, header, pps->second);
        if (random_) random_->fill(header.facts, mbs);
        count(header.facts.type, mbs);
        write_slice(nal_header, rbsp, header, mbs);
    }

    std::vector<MacroblockSyntax> read_data(
        const std::vector<uint8_t>& rbsp, const RecodeSliceHeader& header, const RecodePps& pps
    ) {
        const SliceFacts& slice = header.facts;
        std::vector<MacroblockSyntax> mbs;
        if (!pps.entropy_coding_mode_flag) {
            BitReader port(rbsp, header.end);
            CavlcMbCoder coder(port);
            code_slice_data(coder, slice, mbs, true);
            return mbs;
        }
        size_t begin = header.end;
        for (; begin % 8 != 0; ++begin) {
            if (((rbsp[begin / 8] >> (7 - begin % 8)) & 1) == 0)
                throw BrokenSyntax("cabac_alignment_one_bit is 0");
        }
        BinReader port(rbsp, begin, states_of(header, header.cabac_init_idc));
        CabacMbCoder coder(port);
        code_slice_data(coder, slice, mbs, true);
        check_end(rbsp, port.position());
        result_.counts.n_bins += port.n_bins();
        return mbs;
    }

    /// The last bit of the arithmetic code is rbsp_stop_one_bit. Zeros follow, but libx264 marks
    /// some pictures by the last bit of that byte.
    void check_end(const std::vector<uint8_t>& rbsp, size_t position) {
        const auto bit = [&](size_t i) { return (rbsp[i / 8] >> (7 - i % 8)) & 1; };
        if (!bit(position - 1)) throw BrokenSyntax("rbsp_stop_one_bit is 0");
        const size_t end = (position + 7) / 8 * 8;
        if (end > position && bit(end - 1)) ++result_.counts.n_marked_slices;
        for (size_t i = position; i < 8 * rbsp.size(); ++i) {
            if (i + 1 != end && bit(i))
                throw BrokenSyntax("slice data go on behind end_of_slice_flag");
        }
    }

    void write_slice(
        uint8_t nal_header, const std::vector<uint8_t>& rbsp, const RecodeSliceHeader& header,
        std::vector<MacroblockSyntax>& mbs
    ) {
        const SliceFacts& slice = header.facts;
        const int cabac_init_idc = options_.cabac_init_idc.value_or(header.cabac_init_idc);
        std::vector<bool> bits = bits_of(rbsp, 0, header.cabac_init_idc_at);
        BitWriter plain(bits);
        uint64_t n_bins = 0;
        if (options_.entropy_coding_mode_flag && slice.type != MbSliceType::kI)
            plain.ue(static_cast<uint32_t>(cabac_init_idc));
        const std::vector<bool> rest = bits_of(rbsp, header.behind_cabac_init_idc, header.end);
        bits.insert(bits.end(), rest.begin(), rest.end());
        if (options_.entropy_coding_mode_flag) {
            bits.resize((bits.size() + 7) / 8 * 8, true);  // cabac_alignment_one_bit
            BinWriter port(bits, states_of(header, cabac_init_idc));
            CabacMbCoder coder(port);
            code_slice_data(coder, slice, mbs, false);
            n_bins = port.n_bins();
        } else {
            CavlcMbCoder coder(plain);
            code_slice_data(coder, slice, mbs, false);
            bits.push_back(true);  // rbsp_stop_one_bit
        }
        const size_t begin = result_.bytes.size();
        put_nal(result_.bytes, nal_header, bytes_of(bits));
        const size_t n_bytes = result_.bytes.size() - begin;
        for (uint64_t n = n_cabac_zero_words(n_bins, n_bytes, mbs.size()); n > 0; --n)
            put(kEscapedZeroWord);
    }

    void count(MbSliceType type, const std::vector<MacroblockSyntax>& mbs) {
        RecodeCounts& counts = result_.counts;
        const auto slice = static_cast<size_t>(type);
        ++counts.n_slices;
        for (const MacroblockSyntax& mb : mbs) {
            counts.n_skipped += mb.is_skipped;
            counts.n_8x8_transforms += mb.transform_size_8x8_flag;
            if (mb.is_skipped) continue;
            ++counts.mb_types[slice][mb.mb_type];
            const MbTypeFacts facts = facts_of_mb_type(type, mb.mb_type);
            if (facts.kind != MbKind::kInter || facts.shape != MbShape::k8x8) continue;
            for (const uint8_t sub : mb.sub_mb_type) ++counts.sub_mb_types[slice][sub];
        }
    }

    RecodeOptions options_;
    std::optional<RandomMacroblocks> random_;
    std::map<uint8_t, RecodeSps> sps_;
    std::map<uint8_t, RecodePps> pps_;
    Recoded result_;
};

}  // namespace

Recoded recode(std::span<const uint8_t> stream, const RecodeOptions& options) {
    return Recoder(options).run(stream);
}

}  // namespace pycodec_lm::h264
