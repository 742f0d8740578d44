#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <map>
#include <optional>
#include <span>

#include "bindings/bind_cursor.hpp"
#include "bindings/bindings.hpp"
#include "grammar/usage_error.hpp"
#include "jpeg/check.hpp"
#include "jpeg/coefficients.hpp"
#include "jpeg/cursor.hpp"
#include "jpeg/grammar.hpp"
#include "jpeg/writer.hpp"

namespace py = pybind11;

namespace pycodec_lm {
namespace {

using jpeg::JpegCursor;
using jpeg::JpegGrammar;
using jpeg::JpegWriter;
using GrammarPointer = std::shared_ptr<const JpegGrammar>;

using HuffmanSpec = std::pair<std::vector<int>, py::bytes>;  // Li, Vi,j

std::shared_ptr<const jpeg::HuffmanTable> make_table(
    jpeg::TableClass table_class, const HuffmanSpec& spec
) {
    const auto& [counts, values_object] = spec;
    const std::string_view values = values_object;
    if (counts.size() != 16) throw UsageError("a Huffman table needs 16 code counts");
    std::array<uint8_t, 16> bits{};
    size_t n_codes = 0;
    uint32_t next_code = 0;
    for (size_t i = 0; i < 16; ++i) {
        if (counts[i] < 0 || counts[i] > 255)
            throw UsageError("a Huffman code count is not in 0..255");
        bits[i] = static_cast<uint8_t>(counts[i]);
        n_codes += bits[i];
        next_code += bits[i];
        if (bits[i] > 0 && next_code > (2u << i) - 1) {
            throw UsageError(
                "the Huffman codes of length " + std::to_string(i + 1) + " do not fit (T.81 C.2)"
            );
        }
        next_code <<= 1;
    }
    if (n_codes != values.size() || n_codes > 256) {
        throw UsageError(
            "a Huffman table has " + std::to_string(n_codes) + " codes but " +
            std::to_string(values.size()) + " values"
        );
    }
    if (table_class == jpeg::TableClass::kDc) {
        for (const char value : values) {
            if (static_cast<uint8_t>(value) > jpeg::kMaxDcSymbol) {
                throw UsageError("a DC Huffman table has a category over 15");
            }
        }
    }
    const std::span<const uint8_t> symbols(
        reinterpret_cast<const uint8_t*>(values.data()), values.size()
    );
    auto table = std::make_shared<const jpeg::HuffmanTable>(table_class, bits, symbols);
    if (!table->is_usable()) throw UsageError("no block can be coded with a Huffman table given");
    return table;
}

void set_quantization(JpegGrammar& grammar, const std::vector<std::vector<int>>& tables) {
    if (tables.empty() || tables.size() > jpeg::kTableSlots) {
        throw UsageError("give 1 to 4 quantization tables");
    }
    for (size_t slot = 0; slot < tables.size(); ++slot) {
        if (tables[slot].size() != jpeg::kBlockSize)
            throw UsageError("a quantization table needs 64 values");
        auto& table = grammar.quantization[slot].emplace();
        for (size_t k = 0; k < jpeg::kBlockSize; ++k) {
            const int value = tables[slot][k];
            if (value < 1 || value > 255) throw UsageError("a quantization value is not in 1..255");
            table[k] = static_cast<uint8_t>(value);
        }
    }
}

void set_outside_tables(JpegGrammar& grammar, const py::buffer& tables) {
    const py::buffer_info info = tables.request();
    const auto data = bytes_of(info);
    if (const Status status = jpeg::read_tables(data.data(), data.size(), grammar.outside);
        !status) {
        throw UsageError("the outside tables are no JPEG table stream: " + to_string(status));
    }
}

std::optional<uint16_t> size_or_free(const std::optional<int>& value, const char* name, int least) {
    if (!value) return std::nullopt;
    if (*value < least || *value > 65535) {
        throw UsageError(std::string(name) + " must be " + std::to_string(least) + " to 65535");
    }
    return static_cast<uint16_t>(*value);
}

std::shared_ptr<JpegGrammar> make_grammar(
    bool portable, std::optional<int> width, std::optional<int> height,
    const std::vector<std::array<int, 2>>& sampling,
    const std::optional<std::vector<std::vector<int>>>& quant_tables,
    const std::optional<std::map<std::pair<std::string, int>, HuffmanSpec>>& huffman_tables,
    std::optional<int> restart_interval, std::optional<int> sof, bool abbreviated,
    const std::optional<py::buffer>& tables, const std::vector<py::bytes>& pinned,
    std::optional<int> known_lines
) {
    auto grammar = std::make_shared<JpegGrammar>();
    grammar->portable = portable;
    grammar->abbreviated = abbreviated;
    if (sof) grammar->sof = static_cast<uint8_t>(*sof);
    grammar->width_px = size_or_free(width, "width", 1);
    grammar->height_px = size_or_free(height, "height", 1);
    grammar->restart_interval_mcus = size_or_free(restart_interval, "restart_interval", 0);
    if (sampling.size() > jpeg::kMaxComponents) throw UsageError("give 1 to 4 components");
    for (const auto& [h, v] : sampling) {
        if (h < 1 || h > 4 || v < 1 || v > 4) throw UsageError("sampling factors must be 1 to 4");
        grammar->sampling.push_back({static_cast<uint8_t>(h), static_cast<uint8_t>(v)});
    }
    if (quant_tables) set_quantization(*grammar, *quant_tables);
    if (huffman_tables) {
        for (const auto& [key, spec] : *huffman_tables) {
            const auto& [name, slot] = key;
            if ((name != "dc" && name != "ac") || slot < 0 || slot >= jpeg::kBaselineHuffmanSlots) {
                throw UsageError("Huffman tables are named ('dc' or 'ac', 0 or 1)");
            }
            const auto table_class = name == "dc" ? jpeg::TableClass::kDc : jpeg::TableClass::kAc;
            grammar->huffman[static_cast<size_t>(table_class)][static_cast<size_t>(slot)] =
                make_table(table_class, spec);
        }
        const auto has = [&](size_t c) { return grammar->huffman[c][0] || grammar->huffman[c][1]; };
        if (!has(0) || !has(1))
            throw UsageError("Huffman tables of both classes, dc and ac, are needed");
    }
    if (tables) set_outside_tables(*grammar, *tables);
    grammar->known_lines = size_or_free(known_lines, "known_lines", 1);
    if (!pinned.empty()) {
        grammar->portable = false;  // what is pinned was chosen; nothing else is free but the scans
        for (const std::string_view chunk : pinned) {
            grammar->pinned.emplace_back(chunk.begin(), chunk.end());
        }
        grammar->known_lines = jpeg::lines_of(grammar->pinned);
        if (const Status status = jpeg::check_pinned(grammar); !status) {
            throw UsageError("the pinned bytes are not the frame of a file: " + to_string(status));
        }
    }
    return grammar;
}

py::list coefficient_arrays(
    const py::buffer& buffer, bool abbreviated, const std::optional<py::buffer>& tables,
    size_t max_bytes
) {
    const GrammarPointer grammar = standard_grammar(abbreviated, tables);
    const py::buffer_info info = buffer.request();
    const auto data = bytes_of(info);
    std::vector<jpeg::CoefficientPlane> planes;
    const Status status =
        jpeg::read_coefficients(grammar, data.data(), data.size(), max_bytes, planes);
    if (!status) throw UsageError(to_string(status));
    py::list arrays;
    for (const auto& plane : planes) {
        py::array_t<int16_t> array(
            std::vector<py::ssize_t>{plane.blocks_high, plane.blocks_wide, jpeg::kBlockSize}
        );
        std::copy(plane.values.begin(), plane.values.end(), array.mutable_data());
        arrays.append(array);
    }
    return arrays;
}

jpeg::CheckResult run_check(
    jpeg::CheckResult (*check)(std::shared_ptr<const JpegGrammar>, const uint8_t*, size_t),
    const py::buffer& buffer, bool abbreviated, const std::optional<py::buffer>& tables
) {
    const py::buffer_info info = buffer.request();
    const auto data = bytes_of(info);
    const GrammarPointer grammar = standard_grammar(abbreviated, tables);
    const py::gil_scoped_release release;
    return check(grammar, data.data(), data.size());
}

void bind_cursor(py::module_& m) {
    py::class_<JpegCursor> cursor(m, "JpegCursor", "Where a JPEG stream stands between two bytes.");
    cursor.def(py::init<GrammarPointer>(), py::arg("grammar"));
    bind_cursor_contract(cursor);
    cursor.def("ending_bound", &JpegCursor::ending_bound, py::arg("n_bytes"));
}

void bind_writer(py::module_& m) {
    py::class_<JpegWriter>(
        m, "JpegWriter", "Writes a JPEG stream syntax element by syntax element."
    )
        .def(py::init<GrammarPointer>(), py::arg("grammar"))
        .def(
            "field",
            [](const JpegWriter& self) {
                const JpegCursor& cursor = self.cursor();
                const bool is_code = cursor.spelling() == jpeg::Spelling::kHuffman;
                return py::make_tuple(
                    info(cursor.element()).name, is_code ? "huffman" : "u(n)",
                    is_code ? 0 : cursor.field_bits()
                );
            },
            "(element, spelling, bits) of the field that comes next."
        )
        .def(
            "is_legal",
            [](const JpegWriter& self, uint32_t value) { return self.cursor().is_legal(value); }
        )
        .def(
            "legal_values",
            [](const JpegWriter& self, size_t limit) {
                const JpegCursor& cursor = self.cursor();
                const bool is_code = cursor.spelling() == jpeg::Spelling::kHuffman;
                const uint32_t end = is_code ? 256 : 1u << cursor.field_bits();
                std::vector<uint32_t> values;
                for (uint32_t value = 0; value < end && values.size() < limit; ++value) {
                    if (cursor.is_legal(value)) values.push_back(value);
                }
                return values;
            },
            py::arg("limit") = 65536
        )
        .def("write", &JpegWriter::write, py::arg("value"))
        .def("write_forced", &JpegWriter::write_forced)
        .def("is_complete", &JpegWriter::is_complete)
        .def("describe", [](const JpegWriter& self) { return self.cursor().describe(); })
        .def("to_bytes", [](const JpegWriter& self) {
            return py::bytes(
                reinterpret_cast<const char*>(self.bytes().data()), self.bytes().size()
            );
        });
}

}  // namespace

GrammarPointer standard_grammar(bool abbreviated, const std::optional<py::buffer>& tables) {
    auto grammar = std::make_shared<JpegGrammar>();
    grammar->abbreviated = abbreviated;
    grammar->scan_ids = nullptr;  // these cursors make no masks
    if (tables) set_outside_tables(*grammar, *tables);
    return grammar;
}

void bind_jpeg(py::module_& m) {
    // Fields stand in the keyword order of the public class, pycodec_lm.JpegGrammar.
    py::classh<JpegGrammar>(m, "JpegGrammar", "The C++ side of pycodec_lm.JpegGrammar.")
        .def(
            py::init(&make_grammar), py::kw_only(), py::arg("portable") = true,
            py::arg("width") = py::none(), py::arg("height") = py::none(),
            py::arg("sampling") = std::vector<std::array<int, 2>>{},
            py::arg("quant_tables") = py::none(), py::arg("huffman_tables") = py::none(),
            py::arg("restart_interval") = py::none(), py::arg("sof") = py::none(),
            py::arg("abbreviated") = false, py::arg("tables") = py::none(),
            py::arg("pinned") = std::vector<py::bytes>{}, py::arg("known_lines") = py::none()
        );
    bind_cursor(m);
    bind_writer(m);

    m.attr("ANNOTATION_SIZES") = py::tuple(py::cast(kAnnotationSizes));
    m.def(
        "check_jpeg",
        [](const py::buffer& buffer, bool abbreviated, const std::optional<py::buffer>& tables,
           bool by_push) {
            const auto result =
                run_check(by_push ? jpeg::check_by_push : jpeg::check, buffer, abbreviated, tables);
            return py::make_tuple(result.status, result.end_offset, result.trailing_bytes);
        },
        py::arg("data"), py::kw_only(), py::arg("abbreviated") = false,
        py::arg("tables") = py::none(), py::arg("by_push") = false,
        "(status, offset just after EOI or of the stop, bytes after EOI); by_push is the slow twin."
    );
    m.def(
        "check_jpeg_leniently",
        [](const py::buffer& buffer, bool abbreviated, const std::optional<py::buffer>& tables) {
            const auto result = run_check(jpeg::check_leniently, buffer, abbreviated, tables);
            py::list notes;
            for (const jpeg::Note& note : result.notes) {
                notes.append(py::make_tuple(note.status, note.n_times));
            }
            return py::make_tuple(result.status, result.end_offset, result.trailing_bytes, notes);
        },
        py::arg("data"), py::kw_only(), py::arg("abbreviated") = false,
        py::arg("tables") = py::none(),
        "check_jpeg() that goes on where decoders do; with a list of (status, times in a row)."
    );
    m.def(
        "pin_like",
        [](const py::buffer& buffer, bool abbreviated, const std::optional<py::buffer>& tables) {
            const py::buffer_info info = buffer.request();
            const auto data = bytes_of(info);
            const auto pinned =
                jpeg::pin_like(standard_grammar(abbreviated, tables), data.data(), data.size());
            if (!pinned.status)
                throw UsageError("the sample is not a valid file: " + to_string(pinned.status));
            std::vector<py::bytes> chunks;
            for (const auto& chunk : pinned.chunks) chunks.push_back(to_bytes(chunk));
            return chunks;
        },
        py::arg("data"), py::kw_only(), py::arg("abbreviated") = false,
        py::arg("tables") = py::none(),
        "What stands outside the entropy-coded data: before, between and after the scans."
    );
    m.def(
        "read_coefficients", &coefficient_arrays, py::arg("data"), py::kw_only(),
        py::arg("abbreviated") = false, py::arg("tables") = py::none(),
        py::arg("max_bytes") = size_t{1} << 30,
        "Quantised coefficients: a list of int16 [blocks_high, blocks_wide, 64] in zig-zag order."
    );
    m.def(
        "symbol_counts",
        [](const py::buffer& buffer, bool abbreviated, const std::optional<py::buffer>& tables) {
            const py::buffer_info info = buffer.request();
            const auto data = bytes_of(info);
            jpeg::SymbolCounts counts{};
            const GrammarPointer grammar = standard_grammar(abbreviated, tables);
            const Status status = jpeg::count_symbols(grammar, data.data(), data.size(), counts);
            if (!status) throw UsageError(to_string(status));
            py::array_t<int64_t> array(std::vector<py::ssize_t>{2, jpeg::kTableSlots, 256});
            std::copy_n(&counts[0][0][0], 2 * jpeg::kTableSlots * 256, array.mutable_data());
            return array;
        },
        py::arg("data"), py::kw_only(), py::arg("abbreviated") = false,
        py::arg("tables") = py::none(), "int64 [2 (dc, ac), 4 (slot), 256 (symbol)]"
    );
    m.def(
        "transcode",
        [](const py::buffer& buffer, const GrammarPointer& target, bool abbreviated,
           const std::optional<py::buffer>& tables) {
            const py::buffer_info info = buffer.request();
            const auto data = bytes_of(info);
            std::vector<uint8_t> out;
            const GrammarPointer source = standard_grammar(abbreviated, tables);
            const Status status = jpeg::transcode(source, data.data(), data.size(), target, out);
            if (!status) throw UsageError(to_string(status));
            return to_bytes(out);
        },
        py::arg("data"), py::arg("target"), py::kw_only(), py::arg("abbreviated") = false,
        py::arg("tables") = py::none(),
        "The same coefficients as a stream of another grammar, one that pins its header."
    );
}

}  // namespace pycodec_lm
