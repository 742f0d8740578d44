// Masks over token ids: 32 to a word, least significant bit first, 1 = allowed. Bits beyond the
// vocabulary are 0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "grammar/tokenizer_info.hpp"

namespace pycodec_lm {

using MaskWords = std::span<uint32_t>;

constexpr size_t n_mask_words(size_t vocab_size) { return (vocab_size + 31) / 32; }

inline void set_bit(MaskWords mask, TokenId token) {
    const auto id = static_cast<uint32_t>(token);
    mask[id / 32] |= uint32_t{1} << (id % 32);
}

inline void clear_bit(MaskWords mask, TokenId token) {
    const auto id = static_cast<uint32_t>(token);
    mask[id / 32] &= ~(uint32_t{1} << (id % 32));
}

inline bool has_bit(std::span<const uint32_t> mask, TokenId token) {
    const auto id = static_cast<uint32_t>(token);
    return (mask[id / 32] >> (id % 32)) & 1;
}

/// The bits of the last word that belong to tokens.
constexpr uint32_t last_word_bits(size_t vocab_size) {
    return vocab_size % 32 == 0 ? ~uint32_t{0} : (uint32_t{1} << (vocab_size % 32)) - 1;
}

/// Allows every token of the vocabulary.
void allow_all(MaskWords mask, size_t vocab_size);
/// Some token of the vocabulary is forbidden.
bool forbids_any(std::span<const uint32_t> mask, size_t vocab_size);

enum class LogitType : uint8_t { kFloat32, kFloat64, kFloat16, kBfloat16 };
constexpr size_t size_bytes(LogitType type) {
    return type == LogitType::kFloat64 ? 8 : type == LogitType::kFloat32 ? 4 : 2;
}

/// Sets the logits of one row to -inf wherever the mask is 0, and beyond the mask.
void apply_mask(LogitType type, void* logits, size_t n_logits, std::span<const uint32_t> mask);

}  // namespace pycodec_lm
