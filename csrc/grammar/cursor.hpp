// The contract between a codec's grammar and everything that is built on it (trie walk, masks,
// matcher, budget, batch). A cursor stands between two bytes of a stream; it is a small value, and
// copying it is forking it.
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <string>
#include <vector>

#include "grammar/byte_set.hpp"
#include "grammar/status.hpp"

namespace pycodec_lm {

/// Where a stream stands in its syntax, as a model may be told (see `annotate` in the Python
/// package): eight small numbers, each below the matching entry of kAnnotationSizes.
///   0 kind of field   1 component + 1   2 block in MCU + 1   3 MCU column   4 MCU row
///   5 coefficient index   6 bits already read of the field   7 those bits
using Annotation = std::array<int16_t, 8>;
inline constexpr Annotation kAnnotationSizes{16, 5, 11, 64, 64, 64, 32, 256};

/// The invariants (docs/design.md, section 3) that every model of this concept keeps, and that the
/// tests hold it to:
///  - push() accepts a byte iff some valid file starts with the bytes so far and that byte; a
///    rejecting push changes nothing. accept() is push() without the report: same verdict, same
///    state.
///  - allowed() is exactly the set that push() accepts. It is empty iff is_complete().
///  - complete() appends a valid ending of exactly bytes_to_complete() bytes; after the first byte
///    of it, the rest is what complete() gives, or where may_change_ending() says so something that
///    is no longer.
template <class C>
concept GrammarCursor =
    std::copyable<C> &&
    requires(C cursor, const C& fixed, uint8_t byte, std::vector<uint8_t>& out) {
        { cursor.push(byte) } -> std::same_as<Status>;
        { cursor.accept(byte) } -> std::same_as<bool>;
        { fixed.allowed() } -> std::same_as<ByteSet>;
        { fixed.is_complete() } -> std::same_as<bool>;
        { fixed.bytes_to_complete() } -> std::same_as<uint64_t>;
        // Appends the ending, but stops once `limit` bytes are written (the caller knows by the
        // length). A picture of 65,535 x 65,535 has endings of gigabytes.
        { fixed.complete(out, uint64_t{}) } -> std::same_as<void>;
        { fixed.offset() } -> std::same_as<uint64_t>;  // bytes accepted so far
        { fixed.annotation() } -> std::same_as<Annotation>;
        { fixed.describe() } -> std::same_as<std::string>;
    };

}  // namespace pycodec_lm
