// accept_token and fill_next_token_bitmask as plain C functions: a call through pybind11's
// dispatcher takes some 0.4 us, more than what these two do.
#include <pybind11/pybind11.h>

#include <array>
#include <optional>
#include <string_view>

#include "bindings/bind_grammar.hpp"
#include "bindings/buffers.hpp"
#include "grammar/matcher.hpp"
#include "grammar/usage_error.hpp"

namespace py = pybind11;

namespace pycodec_lm {
namespace {

/// The method's descriptor has made sure that this is a matcher or of a class derived from it.
Matcher& matcher_of(PyObject* self) {
    const auto* instance = reinterpret_cast<const py::detail::instance*>(self);
    void* value = instance->simple_layout ? instance->simple_value_holder[0]
                                          : instance->nonsimple.values_and_holders[0];
    if (value == nullptr)
        throw UsageError("the matcher was never made: super().__init__ was not called");
    return *static_cast<Matcher*>(value);
}

/// Positional and keyword arguments by position; false, with a Python error, where they do not fit.
template <size_t kMax>
bool read_arguments(
    const char* function, const std::array<const char*, kMax>& names, size_t n_required,
    PyObject* const* given, Py_ssize_t n_positional, PyObject* keywords,
    std::array<PyObject*, kMax>& out
) {
    if (static_cast<size_t>(n_positional) > kMax) {
        PyErr_Format(
            PyExc_TypeError, "%s() takes %zu arguments, not %zd", function, kMax, n_positional
        );
        return false;
    }
    for (Py_ssize_t i = 0; i < n_positional; ++i) out[static_cast<size_t>(i)] = given[i];
    const Py_ssize_t n_keywords = keywords == nullptr ? 0 : PyTuple_GET_SIZE(keywords);
    for (Py_ssize_t k = 0; k < n_keywords; ++k) {
        PyObject* keyword = PyTuple_GET_ITEM(keywords, k);
        size_t i = 0;
        while (i < kMax && PyUnicode_CompareWithASCIIString(keyword, names[i]) != 0) ++i;
        if (i == kMax || out[i] != nullptr) {
            PyErr_Format(
                PyExc_TypeError, "%s() got an unexpected argument '%U'", function, keyword
            );
            return false;
        }
        out[i] = given[n_positional + k];
    }
    for (size_t i = 0; i < n_required; ++i) {
        if (out[i] != nullptr) continue;
        PyErr_Format(PyExc_TypeError, "%s() misses the argument '%s'", function, names[i]);
        return false;
    }
    return true;
}

/// What pybind11 does around a call: C++ exceptions become Python's.
template <class Body>
PyObject* translating(Body&& body) {
    try {
        return body();
    } catch (py::error_already_set& error) {
        error.restore();
    } catch (const UsageError& error) {
        py::set_error(py::module_::import("pycodec_lm.errors").attr("UsageError"), error.what());
    } catch (const std::bad_alloc&) {
        PyErr_NoMemory();
    } catch (const std::exception& error) {
        PyErr_SetString(PyExc_RuntimeError, error.what());
    }
    return nullptr;
}

PyObject* accept_token(
    PyObject* self, PyObject* const* given, Py_ssize_t n_positional, PyObject* keywords
) {
    std::array<PyObject*, 1> arguments{};
    if (!read_arguments<1>(
            "accept_token", {"token_id"}, 1, given, n_positional, keywords, arguments
        )) {
        return nullptr;
    }
    const long long token = PyLong_AsLongLong(arguments[0]);
    if (token == -1 && PyErr_Occurred() != nullptr) return nullptr;
    return translating([&] { return PyBool_FromLong(matcher_of(self).accept_token(token)); });
}

PyObject* fill_bitmask(
    PyObject* self, PyObject* const* given, Py_ssize_t n_positional, PyObject* keywords
) {
    std::array<PyObject*, 2> arguments{};
    if (!read_arguments<2>(
            "fill_next_token_bitmask", {"bitmask", "index"}, 1, given, n_positional, keywords,
            arguments
        )) {
        return nullptr;
    }
    const Py_ssize_t row =
        arguments[1] == nullptr ? 0 : PyNumber_AsSsize_t(arguments[1], PyExc_IndexError);
    if (row == -1 && PyErr_Occurred() != nullptr) return nullptr;
    return translating([&] {
        Matcher& matcher = matcher_of(self);
        const BitmaskView bitmask(arguments[0], ArrayView::Access::kWrite);
        const size_t n_words = n_mask_words(matcher.compiled().info().encoded_vocab().size());
        const MaskWords words = bitmask.words(row, n_words);
        for (uint32_t& word : words.subspan(n_words)) word = 0;
        std::optional<bool> forbids = matcher.fill_mask_if_cheap(words.first(n_words));
        if (!forbids) {
            const py::gil_scoped_release release;  // a walk: others may run meanwhile
            forbids = matcher.fill_mask(words.first(n_words));
        }
        return PyBool_FromLong(*forbids);
    });
}

template <class Function>
PyCFunction as_c_function(Function function) {
    // Python's own cast for functions with other signatures; the flags say which one it is.
    return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));
}

}  // namespace

void bind_matcher_fast_calls(py::handle matcher_class) {
    static std::array<PyMethodDef, 2> methods{{
        {"accept_token", as_c_function(&accept_token), METH_FASTCALL | METH_KEYWORDS,
         "accept_token($self, token_id)\n--\n\n"
         "Takes a token; False, and nothing changes, where it is not allowed.\n\n"
         "After a stop token only stop tokens are accepted, and change nothing.\n\n"
         "Raises:\n"
         "    UsageError: the id is not in the vocabulary."},
        {"fill_next_token_bitmask", as_c_function(&fill_bitmask), METH_FASTCALL | METH_KEYWORDS,
         "fill_next_token_bitmask($self, bitmask, index=0)\n--\n\n"
         "Writes which tokens may come next: bit i is 1 iff accept_token(i) would say True.\n\n"
         "Args:\n"
         "    bitmask: int32 [words] or [batch, words], an array or a CPU tensor, 32 tokens to a\n"
         "        word, least significant bit first.\n"
         "    index: the row to write.\n\n"
         "Returns:\n"
         "    False when nothing is forbidden."},
    }};
    auto* type = reinterpret_cast<PyTypeObject*>(matcher_class.ptr());
    for (PyMethodDef& method : methods) {
        const auto descriptor = py::reinterpret_steal<py::object>(PyDescr_NewMethod(type, &method));
        if (!descriptor) throw py::error_already_set();
        matcher_class.attr(method.ml_name) = descriptor;
    }
}

}  // namespace pycodec_lm
