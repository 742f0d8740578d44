// Slice data by CABAC whose bits are all there, faster than bit by bit.
#pragma once

#include <cstddef>
#include <cstdint>

#include "h264/cabac_fast_decoder.hpp"
#include "h264/cursor.hpp"

namespace pycodec_lm::h264 {

/// AvcCursor::take_cabac_bit() is the definition: here each bin is what the engine decodes, and no
/// bits are open. False says that bit by bit must tell.
class CabacSliceReader {
public:
    /// @param rbsp from the first byte of the code on, with 16 more bytes behind it
    /// @param end the last bit of the RBSP that is 1, counted from there
    CabacSliceReader(AvcCursor& cursor, const uint8_t* rbsp, size_t n_bytes, uint64_t end)
        : cursor_(cursor),
          p_(cursor.position_),
          c_(cursor.position_.cabac),
          rbsp_(rbsp),
          n_bytes_(n_bytes),
          end_(end),
          engine_(rbsp, rbsp + n_bytes) {}

    /// Takes slice data from where a code begins up to their end.
    bool take();

private:
    uint64_t at() const { return code_begin_ + engine_.n_bits_read(); }
    /// The engine has read further than a code that ends in time lets it.
    bool is_past_end() const { return at() > end_ + 9; }
    bool decode(uint16_t ctx_idx);
    bool decode_decision(uint16_t ctx_idx) {
        ++n_bins_;
        return engine_.decode_decision(c_.states[ctx_idx]);
    }
    int32_t decode(const BinString& string) {
        return string.decode([this](uint16_t ctx_idx) { return decode(ctx_idx); });
    }
    bool take_due();
    bool take_element();
    bool take_mb_skip_flag();
    bool take_end_of_slice_flag();
    bool take_intra_mode_flag();
    bool take_intra_mode_rem();
    bool take_mvd(int component);
    bool take_blocks();
    bool take_block(BlockCat cat);
    bool take_level(ContextState& next);
    bool take_pcm(int32_t mb_type);
    bool is_at_end() const;
    bool bit_at(uint64_t i) const { return (rbsp_[i / 8] >> (7 - i % 8)) & 1; }

    AvcCursor& cursor_;
    Position& p_;
    CabacPosition& c_;
    const uint8_t* rbsp_;
    const size_t n_bytes_;
    const uint64_t end_;
    uint64_t code_begin_ = 0;  // bit
    CabacFastDecoder engine_;
    uint64_t n_bins_ = 0;
    uint64_t mb_begin_ = 0;  // bits read before macroblock_layer()
};

}  // namespace pycodec_lm::h264
