// The bytes that may come next: a walk of the tree of their bits, field by field.
#include "h264/token_walk.hpp"

namespace pycodec_lm::h264 {
namespace {

/// All bytes, as tokens: byte i is node i + 1 of the trie.
const AvcTokens& all_bytes() {
    static const TokenTrie trie(TokenizerInfo(
        [] {
            std::vector<std::string> bytes;
            for (int i = 0; i < 256; ++i) bytes.emplace_back(1, static_cast<char>(i));
            return bytes;
        }(),
        {}, {}
    ));
    static const AvcTokens tokens(trie);
    return tokens;
}

}  // namespace

ByteSet AvcCursor::allowed() const {
    const Position& p = position_;
    ByteSet set;
    const auto try_byte = [&](uint8_t byte) {
        if (AvcCursor(*this).accept(byte)) set.insert(byte);
    };
    if (is_plain_slice_data()) {
        all_bytes().walk<false>(*this, [&](uint32_t node, const AvcCursor&) {
            set.insert(static_cast<uint8_t>(node - 1));
        });
        return set;
    }
    if (is_in_pinned_bytes()) {
        try_byte(grammar_->pinned[p.offset]);
        return set;
    }
    // Bytes of start codes and those that must be escaped are few; the others are data or nothing.
    try_byte(0);
    try_byte(1);
    if (is_behind_cabac_slice()) try_byte(3);
    if (p.at == Element::kStartCode || is_pinned_unit_over()) return set;
    if (p.after_emulation) {
        try_byte(2);
        try_byte(3);
        return set;
    }
    if (p.n_zeros == 2) try_byte(3);
    ByteSet data;
    AvcCursor at = *this;
    at.collect_bytes(0, 8, data);
    const unsigned least = p.n_zeros == 2 ? 4 : 2;
    for (unsigned byte = least; byte < 256; ++byte) {
        if (data.contains(static_cast<uint8_t>(byte))) set.insert(static_cast<uint8_t>(byte));
    }
    return set;
}

/// Adds the bytes that begin with the bits of `prefix` and go on with n_left bits from here. What
/// happens to this cursor on the way does not matter.
void AvcCursor::collect_bytes(unsigned prefix, int n_left, ByteSet& set) {
    if (n_left == 0) {
        set.insert(static_cast<uint8_t>(prefix));
        return;
    }
    Position& p = position_;
    const unsigned base = prefix << n_left;
    if (p.may_end) set.insert(static_cast<uint8_t>(base | 1u << (n_left - 1)));
    p.may_end = false;
    const Field how = field();
    int n = 1;  // bits to take at once
    switch (how.spelling) {
        case Spelling::kTrailing:
            set.insert(static_cast<uint8_t>(base | (p.n_partial == 0 ? 1u << (n_left - 1) : 0)));
            return;
        case Spelling::kNumber: {
            n = how.n_bits - p.n_partial;
            if (n < n_left) break;
            // Nothing follows in this byte.
            const int n_behind = n - n_left;
            for (uint64_t bits = 0; bits < uint64_t{1} << n_left; ++bits) {
                const uint64_t first = ((p.partial << n_left) | bits) << n_behind;
                const uint64_t last = first | ((uint64_t{1} << n_behind) - 1);
                if (any_legal(first, last)) set.insert(static_cast<uint8_t>(base | bits));
            }
            return;
        }
        default:
            break;
    }
    for (unsigned bits = 0; bits < 1u << n; ++bits) {
        AvcCursor next = *this;
        if (next.take_bits(bits, n) == n) next.collect_bytes((prefix << n) | bits, n_left - n, set);
    }
}

}  // namespace pycodec_lm::h264
