// The arithmetic code of CABAC: the decoding engine of 9.3.3.2 and the encoding engine of 9.3.4,
// bit by bit as the standard draws them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "h264/cabac_contexts.hpp"

namespace pycodec_lm::h264 {

// Table 9-44, by pStateIdx and qCodIRangeIdx.
inline constexpr uint8_t kRangeTabLps[64][4] = {
    {128, 176, 208, 240}, {128, 167, 197, 227}, {128, 158, 187, 216}, {123, 150, 178, 205},
    {116, 142, 169, 195}, {111, 135, 160, 185}, {105, 128, 152, 175}, {100, 122, 144, 166},
    {95, 116, 137, 158},  {90, 110, 130, 150},  {85, 104, 123, 142},  {81, 99, 117, 135},
    {77, 94, 111, 128},   {73, 89, 105, 122},   {69, 85, 100, 116},   {66, 80, 95, 110},
    {62, 76, 90, 104},    {59, 72, 86, 99},     {56, 69, 81, 94},     {53, 65, 77, 89},
    {51, 62, 73, 85},     {48, 59, 69, 80},     {46, 56, 66, 76},     {43, 53, 63, 72},
    {41, 50, 59, 69},     {39, 48, 56, 65},     {37, 45, 54, 62},     {35, 43, 51, 59},
    {33, 41, 48, 56},     {32, 39, 46, 53},     {30, 37, 43, 50},     {29, 35, 41, 48},
    {27, 33, 39, 45},     {26, 31, 37, 43},     {24, 30, 35, 41},     {23, 28, 33, 39},
    {22, 27, 32, 37},     {21, 26, 30, 35},     {20, 24, 29, 33},     {19, 23, 27, 31},
    {18, 22, 26, 30},     {17, 21, 25, 28},     {16, 20, 23, 27},     {15, 19, 22, 25},
    {14, 18, 21, 24},     {14, 17, 20, 23},     {13, 16, 19, 22},     {12, 15, 18, 21},
    {12, 14, 17, 20},     {11, 14, 16, 19},     {11, 13, 15, 18},     {10, 12, 15, 17},
    {10, 12, 14, 16},     {9, 11, 13, 15},      {9, 11, 12, 14},      {8, 10, 12, 14},
    {8, 9, 11, 13},       {7, 9, 11, 12},       {7, 9, 10, 12},       {7, 8, 10, 11},
    {6, 8, 9, 11},        {6, 7, 9, 10},        {6, 7, 8, 9},         {2, 2, 2, 2},
};

// Table 9-45, transIdxLPS by pStateIdx.
inline constexpr uint8_t kTransIdxLps[64] = {
    0,  0,  1,  2,  2,  4,  4,  5,  6,  7,  8,  9,  9,  11, 11, 12, 13, 13, 15, 15, 16, 16,
    18, 18, 19, 19, 21, 21, 22, 22, 23, 24, 24, 25, 26, 26, 27, 27, 28, 29, 29, 30, 30, 30,
    31, 32, 32, 33, 33, 33, 34, 34, 35, 35, 35, 36, 36, 36, 37, 37, 37, 38, 38, 63,
};

/// Table 9-45, transIdxMPS.
constexpr uint8_t trans_idx_mps(uint8_t p_state_idx) {
    return p_state_idx < 62 ? static_cast<uint8_t>(p_state_idx + 1) : p_state_idx;
}

/// codIRangeLPS for a state and a codIRange of 256 to 510.
constexpr uint32_t range_of_lps(ContextState state, uint32_t cod_i_range) {
    return kRangeTabLps[state.p_state_idx()][(cod_i_range >> 6) & 3];
}

/// 9.3.3.2.1.1: the state behind a bin.
constexpr ContextState state_after(ContextState state, bool bin) {
    const uint8_t p_state_idx = state.p_state_idx();
    const bool val_mps = state.val_mps();
    if (bin == val_mps) return ContextState::of(trans_idx_mps(p_state_idx), val_mps);
    return ContextState::of(kTransIdxLps[p_state_idx], p_state_idx == 0 ? !val_mps : val_mps);
}

/// 9.3.1.2, 9.3.3.2: bins out of bits that are all there.
class CabacDecoder {
public:
    /// Reads from the bit `position` on, counted from the first of `bytes`.
    CabacDecoder(const uint8_t* bytes, size_t n_bytes, size_t position)
        : bytes_(bytes), n_bits_(8 * n_bytes), position_(position) {
        for (int i = 0; i < 9; ++i) read_bit();
    }

    /// codIOffset is not one of those that no slice begins with.
    bool is_valid_start() const { return cod_i_offset_ != 510 && cod_i_offset_ != 511; }
    /// Behind the last bit that is read. Once a terminating bin is 1, that bit is the last of what
    /// was coded: of a slice its rbsp_stop_one_bit.
    size_t position() const { return position_; }
    /// Bits were needed that are not there.
    bool is_past_end() const { return position_ > n_bits_; }

    bool decode_decision(ContextState& state) {
        const uint32_t range_lps = range_of_lps(state, cod_i_range_);
        cod_i_range_ -= range_lps;
        bool bin = state.val_mps();
        if (cod_i_offset_ >= cod_i_range_) {
            bin = !bin;
            cod_i_offset_ -= cod_i_range_;
            cod_i_range_ = range_lps;
        }
        state = state_after(state, bin);
        renormalise();
        return bin;
    }

    bool decode_bypass() {
        read_bit();
        if (cod_i_offset_ < cod_i_range_) return false;
        cod_i_offset_ -= cod_i_range_;
        return true;
    }

    bool decode_terminate() {
        cod_i_range_ -= 2;
        if (cod_i_offset_ >= cod_i_range_) return true;
        renormalise();
        return false;
    }

private:
    void read_bit() {
        const bool bit = position_ < n_bits_ && (bytes_[position_ / 8] >> (7 - position_ % 8)) & 1;
        ++position_;
        cod_i_offset_ = cod_i_offset_ << 1 | (bit ? 1 : 0);
    }

    void renormalise() {
        for (; cod_i_range_ < 256; cod_i_range_ <<= 1) read_bit();
    }

    const uint8_t* bytes_;
    size_t n_bits_;
    size_t position_;
    uint32_t cod_i_range_ = 510;
    uint32_t cod_i_offset_ = 0;
};

/// 9.3.4: bins into bits.
class CabacEncoder {
public:
    /// The bits go behind those of `bits`.
    explicit CabacEncoder(std::vector<bool>& bits) : bits_(bits) {}

    void encode_decision(ContextState& state, bool bin) {
        const uint32_t range_lps = range_of_lps(state, cod_i_range_);
        cod_i_range_ -= range_lps;
        if (bin != state.val_mps()) {
            cod_i_low_ += cod_i_range_;
            cod_i_range_ = range_lps;
        }
        state = state_after(state, bin);
        renormalise();
    }

    void encode_bypass(bool bin) {
        cod_i_low_ <<= 1;
        if (bin) cod_i_low_ += cod_i_range_;
        put_low_bit(1);
    }

    /// On 1 all that was coded is written, its last bit a 1: of a slice the rbsp_stop_one_bit.
    void encode_terminate(bool bin) {
        cod_i_range_ -= 2;
        if (!bin) return renormalise();
        cod_i_low_ += cod_i_range_;
        cod_i_range_ = 2;
        renormalise();
        put_bit((cod_i_low_ >> 9) & 1);
        bits_.push_back((cod_i_low_ >> 8) & 1);
        bits_.push_back(true);
    }

    /// 9.3.4.1, behind a terminating 1 and pcm samples.
    void restart() {
        cod_i_low_ = 0;
        cod_i_range_ = 510;
        is_first_bit_ = true;
        n_bits_outstanding_ = 0;
    }

private:
    void renormalise() {
        for (; cod_i_range_ < 256; cod_i_range_ <<= 1) {
            put_low_bit(0);
            cod_i_low_ <<= 1;
        }
    }

    /// Figure 9-31: the highest bit of codILow is known, or hangs on a carry. Bypass bins have
    /// doubled codILow before, by `shift`.
    void put_low_bit(int shift) {
        const uint32_t half = 512u << shift;
        if (cod_i_low_ >= half) {
            put_bit(true);
            cod_i_low_ -= half;
        } else if (cod_i_low_ < half / 2) {
            put_bit(false);
        } else {
            cod_i_low_ -= half / 2;
            ++n_bits_outstanding_;
        }
    }

    void put_bit(bool bit) {
        if (is_first_bit_) {
            is_first_bit_ = false;
        } else {
            bits_.push_back(bit);
        }
        bits_.insert(bits_.end(), n_bits_outstanding_, !bit);
        n_bits_outstanding_ = 0;
    }

    std::vector<bool>& bits_;
    uint32_t cod_i_low_ = 0;
    uint32_t cod_i_range_ = 510;
    bool is_first_bit_ = true;
    size_t n_bits_outstanding_ = 0;
};

}  // namespace pycodec_lm::h264
