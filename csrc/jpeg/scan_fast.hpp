// The whole-buffer loop over entropy-coded data: twin of JpegCursor's bit by bit walk.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "jpeg/cursor.hpp"

namespace pycodec_lm::jpeg {

/// Checks scans by table look-up, several bits at a time. It only ever says yes: where a byte is
/// not what it expects, the cursor is left at the start of that restart interval, and pushing the
/// bytes from there finds what is wrong and where.
class FastScan {
public:
    /// Takes a cursor that stands at the start of a scan over as many whole intervals as are in
    /// order; returns the offset it then stands at.
    static size_t advance(JpegCursor& cursor, const uint8_t* data, size_t n_bytes, size_t offset);

private:
    // One look-up of kIndexBits bits: what the symbol that starts here takes and does.
    struct Entry {
        uint8_t n_bits = 0;   // code and amplitude; 0: not decided by these bits
        uint8_t advance = 0;  // coefficients; kBlockEnd for EOB
        uint8_t code_bits = 0;
        uint8_t size = 0;  // amplitude bits
    };
    static constexpr int kIndexBits = 10;
    using Table = std::array<Entry, 1 << kIndexBits>;

    explicit FastScan(const ScanPlan& plan);
    static Table make_table(const HuffmanTable& table);
    static Entry long_entry(const HuffmanTable& table, uint32_t next_16_bits);
    bool check_interval(class BitReader& bits, uint32_t n_mcus) const;
    bool check_block(class BitReader& bits, int component, int& predictor) const;

    const ScanPlan& plan_;
    bool is_possible_ = true;
    std::vector<Table> tables_;
    std::array<size_t, kMaxComponents> dc_of_component_{};
    std::array<size_t, kMaxComponents> ac_of_component_{};
};

}  // namespace pycodec_lm::jpeg
