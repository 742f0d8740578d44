// Macroblocks by CABAC: each syntax element to its bin string in its place, 7.3.5.3.3, 9.3. Plain
// and whole: for writers and as the definition that faster readers are held against.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "h264/cabac_engine.hpp"
#include "h264/mb_syntax.hpp"

namespace pycodec_lm::h264 {

/// Where bins come from or go to.
class BinPort {
public:
    virtual ~BinPort() = default;
    /// Spells `value`, or reads one of `legal`.
    virtual int32_t code(BinString string, const BinValues& legal, int32_t value) = 0;
    /// pcm_alignment_zero_bit and samples behind a terminating bin: 9.3.1.2.
    virtual void pcm(std::vector<uint8_t>& samples) = 0;
};

class BinWriter final : public BinPort {
public:
    /// The bits go behind those of `bits`, which fill whole bytes.
    BinWriter(std::vector<bool>& bits, const ContextStates& states)
        : bits_(bits), states_(states), engine_(bits) {}

    int32_t code(BinString string, const BinValues& legal, int32_t value) override;
    void pcm(std::vector<uint8_t>& samples) override;
    uint64_t n_bins() const { return n_bins_; }

private:
    std::vector<bool>& bits_;
    ContextStates states_;
    CabacEncoder engine_;
    uint64_t n_bins_ = 0;
};

class BinReader final : public BinPort {
public:
    BinReader(std::span<const uint8_t> rbsp, size_t position, const ContextStates& states);

    int32_t code(BinString string, const BinValues& legal, int32_t value) override;
    void pcm(std::vector<uint8_t>& samples) override;
    size_t position() const { return engine_.position(); }
    uint64_t n_bins() const { return n_bins_; }

private:
    CabacDecoder start(size_t position) const;

    std::span<const uint8_t> rbsp_;
    ContextStates states_;
    CabacDecoder engine_;
    uint64_t n_bins_ = 0;
};

class CabacMbCoder final : public MbCoder {
public:
    explicit CabacMbCoder(BinPort& port) : port_(port) {}

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
    /// Of a 4x4 block and a list, 0 where nothing is coded.
    struct CodedMotion {
        uint8_t ref_idx = 0;
        std::array<uint16_t, 2> abs_mvd{};  // absMvdComp, x and y
    };
    /// What a macroblock leaves for those behind it.
    struct MbContext {
        NeighbourMb says;
        bool is_intra16x16 = false;
        // coded_block_flag, or what stands for it; by raster position where there are several.
        bool is_luma_dc_coded = false;
        uint16_t coded_luma = 0;
        uint8_t coded_chroma_dc = 0;
        std::array<uint8_t, 2> coded_chroma_ac{};
        std::array<std::array<CodedMotion, 16>, 2> motion{};  // by list and raster position
    };

    MbContext& current() { return mbs_[place_.mb]; }
    const MbContext* context_at(size_t mb) const {
        return mb == MbPlace::kNone ? nullptr : &mbs_[mb];
    }
    const NeighbourMb* says_at(size_t mb) const {
        return mb == MbPlace::kNone ? nullptr : &mbs_[mb].says;
    }
    const NeighbourMb* a() const { return says_at(place_.a); }
    const NeighbourMb* b() const { return says_at(place_.b); }
    CodedMotion motion_at(int list, int column, int row) const;
    bool is_coded(BlockCat cat, int index, bool to_left) const;
    void note_coded(BlockCat cat, int index);
    bool flag(const BinString& string, bool value);

    BinPort& port_;
    std::vector<MbContext> mbs_;  // of the slice
    SliceFacts slice_;
    MbPlace place_;
    bool was_qp_changed_ = false;  // by the macroblock before
    bool is_qp_changed_ = false;   // by this one
};

}  // namespace pycodec_lm::h264
