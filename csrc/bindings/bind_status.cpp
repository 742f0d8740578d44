#include <pybind11/pybind11.h>

#include "bindings/bindings.hpp"
#include "grammar/status.hpp"
#include "grammar/usage_error.hpp"

namespace py = pybind11;

namespace pycodec_lm {

void bind_status(py::module_& m) {
    py::register_exception_translator([](std::exception_ptr pointer) {
        try {
            if (pointer) std::rethrow_exception(pointer);
        } catch (const UsageError& error) {
            py::set_error(
                py::module_::import("pycodec_lm.errors").attr("UsageError"), error.what()
            );
        }
    });

    py::class_<Status>(m, "Status", "The verdict on a byte or on a file.")
        .def_property_readonly("ok", [](const Status& s) { return static_cast<bool>(s); })
        .def_property_readonly("family", [](const Status& s) { return to_string(s.family()); })
        .def_property_readonly("code", [](const Status& s) { return info(s.code).id; })
        .def_property_readonly("clause", [](const Status& s) { return clause_of(s); })
        .def_property_readonly("element", [](const Status& s) { return info(s.element).name; })
        .def_readonly("value", &Status::value)
        .def_readonly("limit", &Status::limit)
        .def_readonly("offset", &Status::byte)
        .def_readonly("bit", &Status::bit)
        .def_property_readonly("message", [](const Status& s) { return to_string(s); })
        .def("__bool__", [](const Status& s) { return static_cast<bool>(s); })
        .def(
            "__eq__", [](const Status& a, const Status& b) { return a == b; }, py::is_operator()
        )
        .def("__repr__", [](const Status& s) { return "<Status: " + to_string(s) + ">"; });
}

}  // namespace pycodec_lm
