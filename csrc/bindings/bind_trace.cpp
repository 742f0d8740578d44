#include <pybind11/gil_safe_call_once.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>
#include <span>

#include "bindings/bind_trace.hpp"
#include "bindings/bindings.hpp"
#include "bindings/buffers.hpp"
#include "jpeg/trace.hpp"

namespace py = pybind11;

namespace pycodec_lm {
namespace {

using jpeg::FieldRow;
using jpeg::IntervalRow;

py::dict to_dict(const jpeg::Frame& frame) {
    py::list components;
    for (const jpeg::Component& c : std::span(frame.components).first(frame.n_components)) {
        components.append(
            py::make_tuple(
                c.identifier, c.horizontal_sampling, c.vertical_sampling, c.quantization_slot
            )
        );
    }
    py::dict out;
    out["width"] = frame.width_px;
    out["height"] = frame.height_px;
    out["components"] = components;
    return out;
}

py::dict to_dict(const jpeg::ScanTrace& scan) {
    const jpeg::ScanPlan& plan = *scan.plan;
    py::list components;
    for (int i = 0; i < plan.n_components(); ++i) {
        const jpeg::ScanComponent& c = plan.component(i);
        components.append(
            py::make_tuple(
                c.frame_index, c.dc_slot, c.ac_slot, c.horizontal_blocks, c.vertical_blocks,
                scan.bits[static_cast<size_t>(i)]
            )
        );
    }
    py::dict out;
    out["first_byte"] = scan.first_byte;
    out["end_byte"] = scan.end_byte;
    out["is_whole"] = scan.is_whole;
    out["n_mcus"] = plan.n_mcus();
    out["n_mcus_read"] = scan.n_mcus;
    out["mcus_wide"] = plan.mcus_wide();
    out["restart_interval"] = plan.restart_interval_mcus();
    out["components"] = components;
    out["n_padding_bits"] = scan.n_padding_bits;
    out["n_stuffed_bytes"] = scan.n_stuffed_bytes;
    out["n_marker_bytes"] = scan.n_marker_bytes;
    out["mcu_bits"] = to_array(scan.mcu_bits);
    out["mcu_costs"] =
        to_array(scan.mcu_costs).reshape(std::vector<py::ssize_t>{-1, plan.n_components(), 2});
    out["intervals"] = to_array(scan.intervals);
    return out;
}

py::dict to_dict(const jpeg::Trace& trace) {
    py::list scans;
    for (const jpeg::ScanTrace& scan : trace.scans) scans.append(to_dict(scan));
    py::dict out;
    out["status"] = trace.result.status;
    out["end_offset"] = trace.result.end_offset;
    out["trailing_bytes"] = trace.result.trailing_bytes;
    out["place"] = trace.place;
    out["frame"] = trace.frame.is_present() ? py::object(to_dict(trace.frame)) : py::none();
    out["fields"] = to_array(trace.fields);
    out["n_fields_left_out"] = trace.n_fields_left_out;
    out["scans"] = scans;
    out["symbols"] = to_array(trace.symbols);
    out["n_symbols_left_out"] = trace.n_symbols_left_out;
    return out;
}

/// The columns of the rows, told to numpy with the first trace: this module loads without numpy.
void register_rows() {
    PYBIND11_CONSTINIT static py::gil_safe_call_once_and_store<bool> once;
    once.call_once_and_store_result([] {
        PYBIND11_NUMPY_DTYPE(
            FieldRow, byte, bit, element, block, component, coefficient, n_bits, n_values, value,
            scan, mcu
        );
        PYBIND11_NUMPY_DTYPE(IntervalRow, marker_byte, first_byte, end_bit, first_mcu);
        return true;
    });
}

}  // namespace

void bind_trace(py::module_& m) {
    py::list elements;
    for (int i = 0; i <= static_cast<int>(kLastElement); ++i) {
        const ElementInfo& element = info(static_cast<Element>(i));
        elements.append(py::make_tuple(element.name, element.clause));
    }
    m.attr("ELEMENTS") = py::tuple(elements);
    m.def(
        "trace_jpeg",
        [](const py::object& object, bool abbreviated, const std::optional<py::buffer>& tables,
           std::pair<uint64_t, uint64_t> symbols, size_t max_fields, size_t max_mcus,
           size_t max_symbols) {
            const BytesView view(object.ptr());
            const auto data = view.bytes();
            const auto grammar = standard_grammar(abbreviated, tables);
            const jpeg::TraceLimits limits{max_fields, max_mcus, max_symbols};
            jpeg::Trace trace;
            {
                py::gil_scoped_release release;
                trace = jpeg::trace(
                    grammar, data.data(), data.size(), limits, symbols.first, symbols.second
                );
            }
            register_rows();
            return to_dict(trace);
        },
        py::arg("data"), py::kw_only(), py::arg("abbreviated") = false,
        py::arg("tables") = py::none(), py::arg("symbols") = std::pair<uint64_t, uint64_t>{0, 0},
        py::arg("max_fields") = jpeg::TraceLimits{}.n_fields,
        py::arg("max_mcus") = jpeg::TraceLimits{}.n_mcus,
        py::arg("max_symbols") = jpeg::TraceLimits{}.n_symbols,
        "What a stream says, field by field; csrc/jpeg/trace.hpp names the columns. Symbols are"
        " kept for bytes symbols[0] to symbols[1], not included."
    );
}

}  // namespace pycodec_lm
