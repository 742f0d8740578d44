#pragma once

#include <pybind11/pybind11.h>

namespace pycodec_lm {

void bind_status(pybind11::module_& m);
void bind_jpeg(pybind11::module_& m);
void bind_trace(pybind11::module_& m);
void bind_grammar(pybind11::module_& m);

}  // namespace pycodec_lm
