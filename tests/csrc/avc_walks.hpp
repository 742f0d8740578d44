// Walks over the bytes that an H.264 cursor allows: no dead end may come, and endings must be
// exact.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "h264/cursor.hpp"
#include "h264/grammar.hpp"

namespace avc_walks {

/// One of a few grammars: the standard, what is portable, other slicings, a pinned one.
std::shared_ptr<const pycodec_lm::h264::AvcGrammar> grammar_of(uint32_t seed);

/// The beginning of a stream, made of legal values of its fields, each size of number as likely.
std::vector<uint8_t> beginning(
    const std::shared_ptr<const pycodec_lm::h264::AvcGrammar>& grammar, uint32_t seed
);

struct Walk {
    uint64_t n_bytes = 0;       // walked behind the beginning
    std::string broken;         // what promise was; empty: none
    std::vector<uint8_t> data;  // all of it
};

/// Goes on from a beginning: uniform among allowed bytes, always the smallest, always the largest,
/// or along the ending, in turns of random lengths. Asks for the ending at every seventh byte.
Walk walk_from_beginning(uint32_t seed, uint64_t n_bytes);

}  // namespace avc_walks
