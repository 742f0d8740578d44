#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <optional>
#include <string>

#include "bindings/bind_cursor.hpp"
#include "bindings/bindings.hpp"
#include "h264/check.hpp"
#include "h264/cursor.hpp"
#include "h264/grammar.hpp"

namespace py = pybind11;

namespace pycodec_lm {
namespace {

using h264::AvcCursor;
using h264::AvcGrammar;

h264::Slicing slicing_of(const std::string& name) {
    if (name == "any") return h264::Slicing::kAny;
    if (name == "picture") return h264::Slicing::kPicture;
    if (name == "macroblock") return h264::Slicing::kMacroblock;
    throw UsageError("slices '" + name + "' is not one of any, picture, macroblock");
}

const char* name_of(h264::Slicing slicing) {
    constexpr const char* kNames[] = {"any", "picture", "macroblock"};
    return kNames[static_cast<size_t>(slicing)];
}

uint8_t profile_of(const std::string& name) {
    if (name == "baseline") return h264::profile::kBaseline;
    if (name == "main") return h264::profile::kMain;
    if (name == "high") return h264::profile::kHigh;
    throw UsageError("profile '" + name + "' is not one of baseline, main, high");
}

/// Of a picture, in luma samples, which 4:2:0 has in pairs.
std::optional<uint32_t> side_of(const char* name, std::optional<int64_t> side) {
    if (!side) return std::nullopt;
    // Sqrt(MaxFS * 8) of the highest levels, A.3.1.
    constexpr int64_t kMost = 16 * int64_t{max_side_mbs(h264::kTableA_1.back())};
    if (*side < 2 || *side > kMost || *side % 2 != 0) {
        throw UsageError(
            std::string(name) + " must be even, 2 to " + std::to_string(kMost) + ", not " +
            std::to_string(*side)
        );
    }
    return static_cast<uint32_t>(*side);
}

std::shared_ptr<AvcGrammar> make_grammar(
    bool portable, std::optional<int64_t> width, std::optional<int64_t> height,
    std::optional<int64_t> frames, const std::optional<std::string>& profile,
    const std::optional<std::string>& slices, std::optional<int64_t> qp,
    std::optional<uint8_t> level_idc, const std::optional<py::buffer>& like
) {
    auto grammar = std::make_shared<AvcGrammar>();
    if (like) {
        const py::buffer_info info = like->request();
        const auto data = bytes_of(info);
        const h264::Pinned pinned = h264::pin_like(data.data(), data.size());
        if (!pinned.status)
            throw UsageError("the sample cannot be followed: " + to_string(pinned.status));
        if (pinned.complaint != nullptr)
            throw UsageError(std::string("the sample cannot be followed: ") + pinned.complaint);
        *grammar = *pinned.grammar;
    } else {
        grammar->portable = portable;
        grammar->width = side_of("width", width);
        grammar->height = side_of("height", height);
        if (profile) grammar->profile_idc = profile_of(*profile);
        grammar->level_idc = level_idc;
        if (portable && level_idc && *level_idc > h264::kMaxPortableLevel)
            throw UsageError("levels above 5.2 are not portable: openh264 does not know them");
        if (!grammar->has_level()) {
            throw UsageError(
                level_idc ? "the level has no pictures of this width and height"
                          : "no level has pictures of this width and height"
            );
        }
        if (qp) {
            if (*qp < 0 || *qp > 51)
                throw UsageError("qp must be 0 to 51, not " + std::to_string(*qp));
            grammar->qp = static_cast<int8_t>(*qp);
        }
    }
    if (slices) grammar->slicing = slicing_of(*slices);
    if (frames) {
        if (*frames < 1) throw UsageError("frames must be at least 1");
        grammar->n_pictures = static_cast<uint64_t>(*frames);
    }
    if ((slices || frames) && !note_endings(*grammar)) {  // else the sample's
        throw UsageError(
            "no stream like the sample has " + std::to_string(*grammar->n_pictures) + " frames: " +
            (grammar->has_constants() ? "their picture order counts do not reach so far"
                                      : "it has no headers for so many") +
            "; ask for fewer"
        );
    }
    return grammar;
}

}  // namespace

void bind_h264(py::module_& m) {
    // Fields stand in the keyword order of the public class, pycodec_lm.AvcGrammar.
    py::classh<AvcGrammar>(m, "AvcGrammar", "The C++ side of pycodec_lm.AvcGrammar.")
        .def(
            py::init(&make_grammar), py::kw_only(), py::arg("portable") = true,
            py::arg("width") = py::none(), py::arg("height") = py::none(),
            py::arg("frames") = py::none(), py::arg("profile") = py::none(),
            py::arg("slices") = py::none(), py::arg("qp") = py::none(),
            py::arg("level_idc") = py::none(), py::arg("like") = py::none()
        )
        .def_property_readonly("frames", [](const AvcGrammar& self) { return self.n_pictures; })
        .def_property_readonly(
            "slices", [](const AvcGrammar& self) { return name_of(self.slicing); }
        )
        .def_property_readonly("pinned", [](const AvcGrammar& self) {
            return to_bytes(self.pinned);
        });
    py::class_<AvcCursor> cursor(m, "AvcCursor", "Where an H.264 stream stands between two bytes.");
    cursor.def(py::init<std::shared_ptr<const AvcGrammar>>(), py::arg("grammar"));
    bind_cursor_contract(cursor);
    cursor.def_property_readonly("n_pictures", &AvcCursor::n_pictures);
    cursor.def("ending_bound", &AvcCursor::ending_bound, py::arg("n_bytes"));
    m.def(
        "check_h264",
        [](const py::buffer& buffer) {
            const py::buffer_info info = buffer.request();
            const auto data = bytes_of(info);
            h264::CheckResult result;
            {
                const py::gil_scoped_release release;
                result = h264::check(std::make_shared<AvcGrammar>(), data.data(), data.size());
            }
            return py::make_tuple(result.status, result.n_pictures);
        },
        py::arg("data"), "(status, pictures) of an Annex B byte stream."
    );
}

}  // namespace pycodec_lm
