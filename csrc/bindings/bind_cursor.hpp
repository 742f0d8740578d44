// The contract of a cursor (grammar/cursor.hpp), as Python sees it.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <array>
#include <span>
#include <vector>

#include "grammar/cursor.hpp"
#include "grammar/usage_error.hpp"

namespace pycodec_lm {

inline std::span<const uint8_t> bytes_of(const pybind11::buffer_info& info) {
    if (info.itemsize != 1 || info.ndim != 1 || (info.size > 1 && info.strides[0] != 1)) {
        throw UsageError("data must be a contiguous one-dimensional buffer of bytes");
    }
    return {static_cast<const uint8_t*>(info.ptr), static_cast<size_t>(info.size)};
}

inline pybind11::bytes to_bytes(std::span<const uint8_t> data) {
    return {reinterpret_cast<const char*>(data.data()), data.size()};
}

template <GrammarCursor Cursor>
void bind_cursor_contract(pybind11::class_<Cursor>& cursor) {
    namespace py = pybind11;
    cursor
        .def(
            "push",
            [](Cursor& self, const py::buffer& buffer) {
                const py::buffer_info info = buffer.request();
                Status status;
                for (const uint8_t byte : bytes_of(info)) {
                    if (status = self.push(byte); !status) break;
                }
                return status;
            },
            py::arg("data"), "Accepts bytes up to the first that no valid file goes on with."
        )
        .def(
            "allowed",
            [](const Cursor& self) {
                std::array<uint8_t, 32> bits{};
                const ByteSet set = self.allowed();
                for (unsigned i = 0; i < 256; ++i) {
                    if (set.contains(static_cast<uint8_t>(i)))
                        bits[i / 8] |= static_cast<uint8_t>(1u << (i % 8));
                }
                return to_bytes(bits);
            },
            "The bytes that may come next: 256 bits, least significant first."
        )
        .def("is_complete", &Cursor::is_complete)
        .def("bytes_to_complete", &Cursor::bytes_to_complete)
        .def(
            "complete",
            [](const Cursor& self, uint64_t limit) {
                std::vector<uint8_t> out;
                self.complete(out, limit);
                return to_bytes(out);
            },
            py::arg("limit") = uint64_t{1} << 30
        )
        .def("copy", [](const Cursor& self) { return self; })
        .def("describe", &Cursor::describe)
        .def(
            "annotation",
            [](const Cursor& self) {
                const Annotation values = self.annotation();
                return py::array_t<int16_t>(static_cast<py::ssize_t>(values.size()), values.data());
            }
        )
        .def_property_readonly("offset", &Cursor::offset);
}

}  // namespace pycodec_lm
