// Macroblocks with random syntax elements, of all types: what a writer of test streams fills slices
// with.
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "h264/mb_syntax.hpp"

namespace pycodec_lm::h264 {

struct RandomMacroblockOptions {
    /// What decodes in any slice whose reference indices all have pictures: DC prediction, small
    /// vectors, levels and changes of the quantizer. Else every value that has bits.
    bool is_decodable = false;
};

class RandomMacroblocks {
public:
    RandomMacroblocks(uint32_t seed, const RandomMacroblockOptions& options)
        : random_(seed), options_(options) {}

    void fill(const SliceFacts& slice, std::vector<MacroblockSyntax>& mbs);

private:
    size_t below(size_t n) { return random_() % n; }
    bool once_in(size_t n) { return below(n) == 0; }
    uint8_t small(size_t n) { return static_cast<uint8_t>(below(n)); }

    void fill_macroblock(MacroblockSyntax& mb);
    uint8_t mb_type();
    void fill_intra(MacroblockSyntax& mb, MbKind kind);
    void fill_inter(MacroblockSyntax& mb, const MbTypeFacts& facts);
    void fill_part(MacroblockSyntax& mb, uint8_t lists, const Partition& at, int width, int height);
    void fill_residual(MacroblockSyntax& mb, bool is_16x16);
    void fill_block(std::span<int32_t> levels, bool must_have_some);
    int16_t vector_component();
    int32_t level();

    std::mt19937 random_;
    RandomMacroblockOptions options_;
    SliceFacts slice_;
    bool may_have_8x8_ = true;  // transform_size_8x8_flag behind coded_block_pattern
};

}  // namespace pycodec_lm::h264
