// Syntax elements to bytes: the cursor's fields, spelled. Emulation prevention bytes, trailing bits
// and alignment are written when they are due; where NAL units end and begin is the caller's
// choice.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "h264/cabac_code_bits.hpp"
#include "h264/cursor.hpp"

namespace pycodec_lm::h264 {

class AvcWriter {
public:
    explicit AvcWriter(std::shared_ptr<const AvcGrammar> grammar);

    /// The cursor before the next field; its element() says which.
    const AvcCursor& cursor() const { return ahead_; }
    /// A start code comes next, or the end of the stream.
    bool is_between_units() const {
        return is_ended_ || ahead_.position_.at == Element::kStartCode;
    }
    /// The NAL unit may end here, before another field.
    bool may_end_unit() const;
    bool is_complete() const { return is_between_units() && whole_.is_complete(); }

    Spelling spelling() const { return ahead_.field().spelling; }
    /// Which code of the tables of 9.2 is in force: of coeff_token the column of Table 9-5, of
    /// total_zeros TotalCoeff (16 more for chroma DC), of run_before zerosLeft, from 7 on 7.
    int code_table() const;
    /// Values are those of the syntax element; of coeff_token they are rows of Table 9-5. By CABAC
    /// coded_block_pattern is 16 * CodedBlockPatternChroma + CodedBlockPatternLuma.
    bool any_legal(int64_t first, int64_t last) const;
    /// The smallest, the largest legal value of first..last.
    std::optional<int64_t> lowest_legal(int64_t first, int64_t last) const;
    std::optional<int64_t> highest_legal(int64_t first, int64_t last) const;

    /// Writes the next field; on a value that is not legal, says why and changes nothing.
    Status write(int64_t value);
    /// 00 so many times, and 01; false and unchanged where the grammar refuses it.
    bool write_start_code(int n_zeros);
    /// Ends a NAL unit that may end.
    void end_unit();

    /// The whole bytes so far.
    const std::vector<uint8_t>& bytes() const { return bytes_; }

private:
    struct Bits {
        uint64_t value;
        int n;
    };
    Bits spell(int64_t value) const;
    bool is_writing_bins() const { return !is_between_units() && ahead_.is_at_bins(); }
    BinValues bin_values(int64_t first, int64_t last) const;
    bool any_bins_fit(const BinValues& values) const;
    void write_bins(int64_t value);
    void put_code_bits(size_t end);
    void write_bits(Bits bits);
    void write_automatic();
    void add_bit(bool bit);
    void put_pending();
    void put_byte(uint8_t byte);

    AvcCursor whole_;  // at the last byte boundary
    AvcCursor ahead_;  // where the bits since then have led
    unsigned pending_ = 0;
    int n_pending_ = 0;
    bool is_ended_ = false;  // by choice, which the start code shows
    // By CABAC ahead_ has taken bins whose bits are not whole_'s yet: those of code_ from
    // n_put_ on.
    std::optional<CabacCodeBits> code_;
    size_t n_put_ = 0;
    std::vector<uint8_t> bytes_;
};

}  // namespace pycodec_lm::h264
