#pragma once

#include <pybind11/pybind11.h>

#include <memory>
#include <optional>

#include "jpeg/grammar.hpp"

namespace pycodec_lm {

/// All that the standard allows, for cursors that make no masks. `tables` are outside tables, as a
/// stream of tables alone; throws UsageError where they are none.
std::shared_ptr<const jpeg::JpegGrammar> standard_grammar(
    bool abbreviated, const std::optional<pybind11::buffer>& tables
);

void bind_status(pybind11::module_& m);
void bind_jpeg(pybind11::module_& m);
void bind_h264(pybind11::module_& m);
void bind_avc_writer(pybind11::module_& m);
void bind_avc_recode(pybind11::module_& m);
void bind_trace(pybind11::module_& m);
void bind_avc_trace(pybind11::module_& m);
void bind_grammar(pybind11::module_& m);

}  // namespace pycodec_lm
