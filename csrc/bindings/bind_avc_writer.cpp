#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>

#include "bindings/bind_cursor.hpp"
#include "bindings/bindings.hpp"
#include "grammar/status.hpp"
#include "h264/motion.hpp"
#include "h264/writer.hpp"

namespace py = pybind11;

namespace pycodec_lm {
namespace {

using h264::AvcGrammar;
using h264::AvcWriter;
using h264::MacroblockMotion;

const char* name_of(h264::Spelling spelling) {
    constexpr const char* kNames[] = {"u(n)",  "ue(v)", "se(v)", "te(v)", "code",
                                      "unary", "end",   "zeros", "ae(v)"};
    return kNames[static_cast<size_t>(spelling)];
}

/// Columns: picture, macroblock, whether it is skipped, MbShape, 4 sub_mb_type; by list 4 reference
/// indices, then x and y of the 16 motion vectors; whether it is of a B slice, whether it is direct
/// as a whole, and the lists of its 4 partitions.
py::array_t<int32_t> motion_array(const std::vector<MacroblockMotion>& motion) {
    constexpr py::ssize_t kColumns = 8 + 2 * 36 + 6;
    py::array_t<int32_t> array({static_cast<py::ssize_t>(motion.size()), kColumns});
    int32_t* out = array.mutable_data();
    for (const MacroblockMotion& mb : motion) {
        *out++ = static_cast<int32_t>(mb.picture);
        *out++ = static_cast<int32_t>(mb.macroblock);
        *out++ = mb.is_skipped;
        *out++ = static_cast<int32_t>(mb.shape);
        for (const uint8_t type : mb.sub_mb_type) *out++ = type;
        for (size_t list = 0; list < 2; ++list) {
            for (const int8_t index : mb.ref_idx[list]) *out++ = index;
            for (const h264::MotionVector mv : mb.mv[list]) {
                *out++ = mv.x;
                *out++ = mv.y;
            }
        }
        *out++ = mb.is_b;
        *out++ = mb.is_direct;
        for (const uint8_t lists : mb.lists) *out++ = lists;
    }
    return array;
}

}  // namespace

void bind_avc_writer(py::module_& m) {
    py::class_<AvcWriter>(
        m, "AvcWriter", "Writes an H.264 stream syntax element by syntax element."
    )
        .def(py::init<std::shared_ptr<const AvcGrammar>>(), py::arg("grammar"))
        .def(
            "field",
            [](const AvcWriter& self) {
                return py::make_tuple(
                    info(self.cursor().element()).name, name_of(self.spelling()), self.code_table()
                );
            },
            "(element, spelling, code table) of the field that comes next."
        )
        .def("any_legal", &AvcWriter::any_legal, py::arg("first"), py::arg("last"))
        .def("lowest_legal", &AvcWriter::lowest_legal, py::arg("first"), py::arg("last"))
        .def("highest_legal", &AvcWriter::highest_legal, py::arg("first"), py::arg("last"))
        .def("write", &AvcWriter::write, py::arg("value"))
        .def("is_between_units", &AvcWriter::is_between_units)
        .def("write_start_code", &AvcWriter::write_start_code, py::arg("n_zeros"))
        .def("may_end_unit", &AvcWriter::may_end_unit)
        .def("end_unit", &AvcWriter::end_unit)
        .def("is_complete", &AvcWriter::is_complete)
        .def_property_readonly(
            "n_pictures", [](const AvcWriter& self) { return self.cursor().n_pictures(); }
        )
        .def("describe", [](const AvcWriter& self) { return self.cursor().describe(); })
        .def("to_bytes", [](const AvcWriter& self) { return to_bytes(self.bytes()); });
    m.def(
        "read_motion",
        [](const py::buffer& buffer) {
            const py::buffer_info info = buffer.request();
            const auto data = bytes_of(info);
            return motion_array(h264::MotionReader::read(data.data(), data.size()));
        },
        py::arg("data"), "Motion of the inter macroblocks of an Annex B stream, a row each."
    );
}

}  // namespace pycodec_lm
