#include "grammar/bitmask.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <type_traits>

namespace pycodec_lm {
namespace {

constexpr uint16_t kFloat16MinusInfinity = 0xFC00;
constexpr uint16_t kBfloat16MinusInfinity = 0xFF80;

template <class T>
using BitsOf = std::conditional_t<
    sizeof(T) == 2, uint16_t, std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>>;

/// 1, 2, 4, ...: 32 of them, or as many as fit. Tests against constants, not shifts by a variable:
/// every vector unit has those.
template <class Bits>
constexpr auto kSingleBits = [] {
    std::array<Bits, std::min<size_t>(32, 8 * sizeof(Bits))> single{};
    for (size_t i = 0; i < single.size(); ++i) single[i] = static_cast<Bits>(Bits{1} << i);
    return single;
}();

/// One word of the mask. As integers and without any condition: what stands for "keep it if" turns
/// into 32 branches, which a mask of random bits makes twenty times as slow.
template <class T>
void apply_word(T* logits, uint32_t word, T minus_infinity) {
    using Bits = BitsOf<T>;
    constexpr auto& kSingle = kSingleBits<Bits>;
    const auto infinite = std::bit_cast<Bits>(minus_infinity);
    for (size_t first = 0; first < 32; first += kSingle.size()) {
        const auto part = static_cast<Bits>(word >> first);
        for (size_t i = 0; i < kSingle.size(); ++i) {
            T& logit = logits[first + i];
            const bool is_allowed = (part & kSingle[i]) == kSingle[i];
            const auto kept = static_cast<Bits>(is_allowed ? ~Bits{0} : Bits{0});
            const auto bits = static_cast<Bits>((std::bit_cast<Bits>(logit) ^ infinite) & kept);
            logit = std::bit_cast<T>(static_cast<Bits>(bits ^ infinite));
        }
    }
}

template <class T>
void apply(T* logits, size_t n_logits, std::span<const uint32_t> mask, T minus_infinity) {
    const size_t n_whole = std::min(n_logits / 32, mask.size());
    for (size_t w = 0; w < n_whole; ++w, logits += 32) {
        const uint32_t word = mask[w];
        if (word == ~uint32_t{0}) continue;
        if (word == 0) {
            std::fill_n(logits, 32, minus_infinity);
            continue;
        }
        apply_word(logits, word, minus_infinity);
    }
    const size_t n_done = n_whole * 32;
    for (size_t i = 0; i < n_logits - n_done; ++i) {
        const bool allowed = n_whole < mask.size() && i < 32 && ((mask[n_whole] >> i) & 1) != 0;
        if (!allowed) logits[i] = minus_infinity;
    }
}

}  // namespace

void allow_all(MaskWords mask, size_t vocab_size) {
    std::fill(mask.begin(), mask.end(), ~uint32_t{0});
    if (!mask.empty()) mask.back() = last_word_bits(vocab_size);
}

bool forbids_any(std::span<const uint32_t> mask, size_t vocab_size) {
    if (mask.empty()) return false;
    // From the end: special tokens, which are always forbidden, tend to be there.
    if (mask.back() != last_word_bits(vocab_size)) return true;
    for (size_t w = mask.size() - 1; w-- > 0;) {
        if (mask[w] != ~uint32_t{0}) return true;
    }
    return false;
}

void apply_mask(LogitType type, void* logits, size_t n_logits, std::span<const uint32_t> mask) {
    switch (type) {
        case LogitType::kFloat32:
            return apply(
                static_cast<float*>(logits), n_logits, mask, -std::numeric_limits<float>::infinity()
            );
        case LogitType::kFloat64:
            return apply(
                static_cast<double*>(logits), n_logits, mask,
                -std::numeric_limits<double>::infinity()
            );
        case LogitType::kFloat16:
            return apply(static_cast<uint16_t*>(logits), n_logits, mask, kFloat16MinusInfinity);
        case LogitType::kBfloat16:
            return apply(static_cast<uint16_t*>(logits), n_logits, mask, kBfloat16MinusInfinity);
    }
}

}  // namespace pycodec_lm
