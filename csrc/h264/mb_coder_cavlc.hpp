// Macroblocks by CAVLC: each syntax element to its code, 7.3.5.3.2, 9.1, 9.2. Plain and whole, for
// writers.
#pragma once

#include "h264/mb_syntax.hpp"
#include "h264/prefix_code.hpp"

namespace pycodec_lm::h264 {

/// Where bits come from or go to.
class BitPort {
public:
    virtual ~BitPort() = default;
    /// Writes the bit, or reads one.
    virtual bool bit(bool bit) = 0;
    /// Of a reader: more_rbsp_data().
    virtual bool has_more_data() const = 0;
    virtual bool reads() const = 0;
    virtual size_t position() const = 0;

    // The codes of 7.2 and 9.1, each from the value to write or to the one that is there.
    uint32_t u(int n_bits, uint32_t value);
    uint32_t ue(uint32_t value);
    int32_t se(int32_t value);
    uint32_t te(uint32_t most, uint32_t value);
    int symbol(const PrefixCode& code, int symbol);
};

class BitWriter final : public BitPort {
public:
    explicit BitWriter(std::vector<bool>& bits) : bits_(bits) {}

    bool bit(bool bit) override {
        bits_.push_back(bit);
        return bit;
    }
    bool has_more_data() const override { return false; }
    bool reads() const override { return false; }
    size_t position() const override { return bits_.size(); }

private:
    std::vector<bool>& bits_;
};

class BitReader final : public BitPort {
public:
    BitReader(std::span<const uint8_t> rbsp, size_t position);

    bool bit(bool) override;
    bool has_more_data() const override { return position_ < end_; }
    bool reads() const override { return true; }
    size_t position() const override { return position_; }

private:
    std::span<const uint8_t> rbsp_;
    size_t position_;
    size_t end_ = 0;  // of the data: where rbsp_stop_one_bit is
};

class CavlcMbCoder final : public MbCoder {
public:
    explicit CavlcMbCoder(BitPort& port) : port_(port) {}

    void begin_slice(const SliceFacts& slice) override;
    void begin_macroblock(const MbPlace& place) override;
    bool skipped(bool is_skipped) override;
    bool last(bool is_last) override;
    uint8_t mb_type(uint8_t mb_type) override;
    void pcm(std::vector<uint8_t>& samples) override;
    bool transform_size_8x8_flag(bool flag) override;
    uint8_t sub_mb_type(uint8_t sub_mb_type) override;
    int8_t intra_pred_mode(int8_t mode) override;
    uint8_t intra_chroma_pred_mode(uint8_t mode) override;
    uint8_t ref_idx(int list, const Partition& at, uint8_t ref_idx) override;
    std::array<int16_t, 2> mvd(int list, const Partition& at, std::array<int16_t, 2> mvd) override;
    uint8_t coded_block_pattern(uint8_t pattern, bool is_intra) override;
    int8_t mb_qp_delta(int8_t delta) override;
    void block(BlockCat cat, int index, std::span<int32_t> levels) override;

private:
    /// total_coeff of a macroblock's blocks, by raster position.
    struct MbTotals {
        std::array<uint8_t, 16> luma{};
        std::array<std::array<uint8_t, 4>, 2> chroma{};
    };

    const PrefixCode& coeff_token_code(BlockCat cat, int index) const;
    int total_around(BlockCat cat, int index) const;
    uint8_t* total_of(BlockCat cat, int index);
    void block_of_4x4(BlockCat cat, int index, std::span<int32_t> levels);
    int32_t level(int suffix_length, bool is_above_one, int32_t level);

    BitPort& port_;
    std::vector<MbTotals> mbs_;  // of the slice
    SliceFacts slice_;
    MbPlace place_;
    int64_t run_ = 0;  // mb_skip_run: of a writer so far, of a reader what is left, or kNoRun
};

}  // namespace pycodec_lm::h264
