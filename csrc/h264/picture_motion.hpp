// What direct prediction needs of the pictures that B slices refer to: 8.4.1.2.1.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "grammar/copy_on_write.hpp"
#include "h264/macroblock.hpp"

namespace pycodec_lm::h264 {

/// The motion that a block has for those who look at it from another picture: of list 0, or of list
/// 1 where it has none of list 0.
struct ColBlock {
    /// Index of the frame among the reference frames there were; kNoRefIdx of intra blocks.
    int8_t frame = kNoRefIdx;
    bool is_ref_idx_0 = false;
    MotionVector mv;
};

/// The motion of a picture's macroblocks, as far as they are read. Copies share it in chunks until
/// one of them writes.
///
/// A macroblock is written when it ends. Who goes back to a place before that ends it again before
/// anybody looks, so nothing has to be undone.
class MotionField {
public:
    static constexpr uint32_t kChunkMbs = 64;

    /// All of it intra.
    /// @param n_vectors of a macroblock: its 16 blocks, or the 4 in its corners
    void reset(uint32_t n_mbs, uint32_t n_vectors);

    using Mb = std::array<ColBlock, 16>;  // the first n_vectors of them, row by row
    void put(uint32_t mb, const Mb& blocks);
    /// Of a macroblock all of whose blocks have the same, and are not intra.
    void put_even(uint32_t mb, const ColBlock& block);
    void put_intra(uint32_t mb);
    /// Macroblocks that stand still and refer to the frame of index 0 of list 0.
    void put_still(uint32_t first_mb, uint32_t n_mbs, int8_t frame);

    uint32_t n_vectors() const { return n_vectors_; }
    ColBlock at(uint32_t mb, uint32_t block) const {
        const Chunk& chunk = *chunks_[mb / kChunkMbs];
        const uint32_t i = mb % kChunkMbs;
        // Blocks of one quarter have one reference.
        const uint32_t quarter = n_vectors_ == 4 ? block : quarter_of(block);
        const uint8_t reference = chunk.references[4 * i + quarter];
        if (reference == kIntra) return {};
        return {
            static_cast<int8_t>(reference & ~kRefIdx0), (reference & kRefIdx0) != 0,
            chunk.vectors[n_vectors_ * i + block]
        };
    }

    /// What the blocks of a chunk have together.
    struct Extent {
        uint32_t frames = 0;  // indices of the frames that they refer to, a bit each
        bool has_intra = false;
        int most = 0;  // the largest component of a vector
    };
    Extent extent(uint32_t chunk) const;
    uint32_t n_chunks() const { return static_cast<uint32_t>(chunks_.size()); }

private:
    static constexpr uint8_t kIntra = 0xFF;
    static constexpr uint8_t kRefIdx0 = 0x40;
    static uint8_t reference_of(const ColBlock& block) {
        if (block.frame == kNoRefIdx) return kIntra;
        return static_cast<uint8_t>(block.frame | (block.is_ref_idx_0 ? kRefIdx0 : 0));
    }
    struct Chunk {
        std::array<uint8_t, size_t{4} * kChunkMbs> references;
        std::vector<MotionVector> vectors;  // none while all is intra

        Chunk() { references.fill(kIntra); }
    };
    Chunk& edit(uint32_t mb);

    std::vector<CopyOnWrite<Chunk>> chunks_;
    uint32_t n_vectors_ = 0;
};

/// That of a whole picture, which is kept with it.
struct PictureMotion {
    CopyOnWrite<MotionField> field;
    std::vector<MotionField::Extent> extents;  // of its chunks
    std::vector<uint64_t> frame_ids;           // of the reference frames there were
};

}  // namespace pycodec_lm::h264
