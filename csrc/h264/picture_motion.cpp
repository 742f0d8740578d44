#include "h264/picture_motion.hpp"

#include <algorithm>
#include <cstdlib>

namespace pycodec_lm::h264 {

void MotionField::reset(uint32_t n_mbs, uint32_t n_vectors) {
    n_vectors_ = n_vectors;
    chunks_.assign((n_mbs + kChunkMbs - 1) / kChunkMbs, CopyOnWrite<Chunk>());
}

MotionField::Chunk& MotionField::edit(uint32_t mb) {
    Chunk& chunk = chunks_[mb / kChunkMbs].edit();
    if (chunk.vectors.empty()) chunk.vectors.resize(size_t{kChunkMbs} * n_vectors_);
    return chunk;
}

void MotionField::put(uint32_t mb, const Mb& blocks) {
    Chunk& chunk = edit(mb);
    const uint32_t i = mb % kChunkMbs;
    for (uint32_t quarter = 0; quarter < 4; ++quarter) {
        const ColBlock& block =
            blocks[n_vectors_ == 4 ? quarter : 8 * (quarter / 2) + 2 * (quarter % 2)];
        chunk.references[4 * i + quarter] = reference_of(block);
    }
    for (uint32_t block = 0; block < n_vectors_; ++block)
        chunk.vectors[size_t{n_vectors_} * i + block] = blocks[block].mv;
}

void MotionField::put_even(uint32_t mb, const ColBlock& block) {
    Chunk& chunk = edit(mb);
    const uint32_t i = mb % kChunkMbs;
    std::fill_n(chunk.references.begin() + 4 * i, 4, reference_of(block));
    std::fill_n(chunk.vectors.begin() + n_vectors_ * i, n_vectors_, block.mv);
}

void MotionField::put_intra(uint32_t mb) {
    if (chunks_[mb / kChunkMbs]->vectors.empty()) return;
    Chunk& chunk = edit(mb);
    std::fill_n(chunk.references.begin() + 4 * (mb % kChunkMbs), 4, kIntra);
}

void MotionField::put_still(uint32_t first_mb, uint32_t n_mbs, int8_t frame) {
    const auto reference = static_cast<uint8_t>(frame | kRefIdx0);
    const uint32_t end = first_mb + n_mbs;
    CopyOnWrite<Chunk> whole;  // one for all that are still from end to end
    for (uint32_t mb = first_mb; mb < end;) {
        const uint32_t i = mb % kChunkMbs;
        const uint32_t n = std::min(kChunkMbs - i, end - mb);
        if (n == kChunkMbs) {
            if (whole->vectors.empty()) {
                Chunk& chunk = whole.edit();
                chunk.references.fill(reference);
                chunk.vectors.resize(size_t{kChunkMbs} * n_vectors_);
            }
            chunks_[mb / kChunkMbs] = whole;
        } else {
            Chunk& chunk = edit(mb);
            std::fill_n(chunk.references.begin() + 4 * i, 4 * n, reference);
            std::fill_n(
                chunk.vectors.begin() + static_cast<std::ptrdiff_t>(n_vectors_ * i), n_vectors_ * n,
                MotionVector{}
            );
        }
        mb += n;
    }
}

MotionField::Extent MotionField::extent(uint32_t index) const {
    const Chunk& chunk = *chunks_[index];
    Extent extent;
    for (const uint8_t reference : chunk.references) {
        if (reference == kIntra) {
            extent.has_intra = true;
        } else {
            extent.frames |= 1u << (reference & ~kRefIdx0);
        }
    }
    for (const MotionVector& mv : chunk.vectors)
        extent.most = std::max({extent.most, std::abs(int{mv.x}), std::abs(int{mv.y})});
    return extent;
}

}  // namespace pycodec_lm::h264
