// The grammars that the fuzz targets choose from, made without any file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "fuzzing.hpp"
#include "jpeg/grammar.hpp"

namespace fuzzing {

/// Grammars 0 to kWholeFiles - 1 let a file say nearly everything itself; of the others only the
/// scan, or little more, is free. Any number is taken modulo kGrammars.
inline constexpr size_t kWholeFiles = 3;
inline constexpr size_t kGrammars = 8;

std::shared_ptr<const pycodec_lm::jpeg::JpegGrammar> grammar_of(size_t number);

/// `file`, mostly with the pinned header before it: no fuzzer would guess that.
std::vector<uint8_t> with_header(
    const pycodec_lm::jpeg::JpegGrammar& grammar, Bytes file, Choices& choices
);

/// What most targets read out of their input: a grammar, a file for it, and more to choose by.
struct Subject {
    explicit Subject(Bytes input);

    Choices choices;
    std::shared_ptr<const pycodec_lm::jpeg::JpegGrammar> grammar;
    std::vector<uint8_t> file;
};

}  // namespace fuzzing
