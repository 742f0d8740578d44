// The parts of bind_grammar().
#pragma once

#include <pybind11/pybind11.h>

#include <memory>

#include "grammar/matcher.hpp"
#include "grammar/tokenizer_info.hpp"

namespace pycodec_lm {

/// A compiled grammar and the Python objects it was made from, which keep their Python types.
struct BoundCompiledGrammar {
    std::shared_ptr<const CompiledGrammar> compiled;
    pybind11::object grammar;
    pybind11::object tokenizer_info;
};

void bind_matcher(pybind11::module_& m);
void bind_bitmask(pybind11::module_& m);
/// Methods that are called at every step of generation, past pybind11's dispatcher.
void bind_matcher_fast_calls(pybind11::handle matcher_class);

/// The [n, 8] int16 array of annotations.
pybind11::object annotation_array(std::span<const Annotation> rows);

}  // namespace pycodec_lm
