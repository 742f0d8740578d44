#include "bindings/buffers.hpp"

#include <array>
#include <atomic>
#include <string>
#include <string_view>

#include "grammar/usage_error.hpp"

namespace py = pybind11;

namespace pycodec_lm {
namespace {

constexpr int kMaxDimensions = 2;

ItemType type_of_format(std::string_view format, size_t item_bytes) {
    if (!format.empty() && (format[0] == '@' || format[0] == '=' || format[0] == '<')) {
        format.remove_prefix(1);
    }
    if (format == "f" && item_bytes == 4) return ItemType::kFloat32;
    if (format == "d" && item_bytes == 8) return ItemType::kFloat64;
    if (format == "e" && item_bytes == 2) return ItemType::kFloat16;
    if ((format == "i" || format == "l") && item_bytes == 4) return ItemType::kInt32;
    return ItemType::kOther;
}

/// "library.int32" and the like.
ItemType type_of_dtype(py::handle dtype) {
    const auto text = py::str(dtype).cast<std::string>();
    const std::string_view name = std::string_view(text).substr(text.rfind('.') + 1);
    if (name == "int32") return ItemType::kInt32;
    if (name == "float32") return ItemType::kFloat32;
    if (name == "float64") return ItemType::kFloat64;
    if (name == "float16") return ItemType::kFloat16;
    if (name == "bfloat16") return ItemType::kBfloat16;
    return ItemType::kOther;
}

size_t item_bytes_of(ItemType type) {
    switch (type) {
        case ItemType::kFloat64:
            return 8;
        case ItemType::kInt32:
        case ItemType::kFloat32:
            return 4;
        default:
            return 2;
    }
}

/// Attribute names, made once: looking up a name that is no Python string yet costs as much again.
struct Names {
    py::str data_ptr = intern("data_ptr");
    py::str dtype = intern("dtype");
    py::str is_cpu = intern("is_cpu");
    py::str shape = intern("shape");
    py::str stride = intern("stride");

    static py::str intern(const char* name) {
        return py::reinterpret_steal<py::str>(PyUnicode_InternFromString(name));
    }
    static const Names& get() {
        static const Names* const names = new Names;  // outlives the interpreter on purpose
        return *names;
    }
};

py::object get(PyObject* object, const py::str& name) {
    PyObject* value = PyObject_GetAttr(object, name.ptr());
    if (value == nullptr) throw py::error_already_set();
    return py::reinterpret_steal<py::object>(value);
}

py::object call(PyObject* object, const py::str& name) {
    PyObject* value = PyObject_CallMethodNoArgs(object, name.ptr());
    if (value == nullptr) throw py::error_already_set();
    return py::reinterpret_steal<py::object>(value);
}

/// A tuple of one or two numbers; returns how many, or 0 where there are others.
int read_tuple(py::handle tuple, std::array<ptrdiff_t, kMaxDimensions>& out) {
    if (!PyTuple_Check(tuple.ptr())) return 0;
    const Py_ssize_t n = PyTuple_GET_SIZE(tuple.ptr());
    if (n < 1 || n > kMaxDimensions) return 0;
    for (Py_ssize_t i = 0; i < n; ++i) {
        out[static_cast<size_t>(i)] = PyLong_AsSsize_t(PyTuple_GET_ITEM(tuple.ptr(), i));
    }
    if (PyErr_Occurred() != nullptr) throw py::error_already_set();
    return static_cast<int>(n);
}

}  // namespace

ArrayView::ArrayView(PyObject* array, Access access, const char* name) {
    if (PyObject_CheckBuffer(array) != 0) {
        read_buffer(array, access, name);
    } else {
        read_tensor(array, name);
    }
}

ArrayView::~ArrayView() {
    if (buffer_.obj != nullptr) PyBuffer_Release(&buffer_);
}

void ArrayView::read_buffer(PyObject* array, Access access, const char* name) {
    const int flags =
        PyBUF_STRIDES | PyBUF_FORMAT | (access == Access::kWrite ? PyBUF_WRITABLE : 0);
    if (PyObject_GetBuffer(array, &buffer_, flags) != 0) {
        buffer_.obj = nullptr;
        PyErr_Clear();
        throw UsageError(
            std::string(name) + " must be a plain array in memory" +
            (access == Access::kWrite ? " that can be written" : "")
        );
    }
    data_ = static_cast<std::byte*>(buffer_.buf);
    item_bytes_ = static_cast<size_t>(buffer_.itemsize);
    type_ = type_of_format(buffer_.format == nullptr ? "" : buffer_.format, item_bytes_);
    try {
        set_shape(buffer_.ndim, buffer_.shape, buffer_.strides, name);
    } catch (const UsageError&) {
        PyBuffer_Release(&buffer_);
        throw;
    }
}

void ArrayView::read_tensor(PyObject* tensor, const char* name) {
    const Names& names = Names::get();
    if (PyObject_HasAttr(tensor, names.data_ptr.ptr()) == 0 ||
        PyObject_HasAttr(tensor, names.is_cpu.ptr()) == 0) {
        throw UsageError(
            std::string(name) + " must be an array or a CPU tensor, not " + Py_TYPE(tensor)->tp_name
        );
    }
    if (get(tensor, names.is_cpu).ptr() != Py_True)
        throw UsageError(std::string(name) + " must be on the CPU");
    // Types are few and live for ever: remember the one that bitmasks have.
    static std::atomic<PyObject*> known_int32{nullptr};
    const py::object dtype = get(tensor, names.dtype);
    if (dtype.ptr() == known_int32.load(std::memory_order_relaxed)) {
        type_ = ItemType::kInt32;
    } else {
        type_ = type_of_dtype(dtype);
        if (type_ == ItemType::kInt32) known_int32.store(py::object(dtype).release().ptr());
    }
    item_bytes_ = item_bytes_of(type_);
    std::array<ptrdiff_t, kMaxDimensions> shape{};
    std::array<ptrdiff_t, kMaxDimensions> strides{};
    const int n_dimensions = read_tuple(get(tensor, names.shape), shape);
    read_tuple(call(tensor, names.stride), strides);
    for (ptrdiff_t& stride : strides) stride *= static_cast<ptrdiff_t>(item_bytes_);
    set_shape(n_dimensions, shape.data(), strides.data(), name);
    data_ = static_cast<std::byte*>(PyLong_AsVoidPtr(call(tensor, names.data_ptr).ptr()));
}

void ArrayView::set_shape(
    int n_dimensions, const ptrdiff_t* shape, const ptrdiff_t* strides_bytes, const char* name
) {
    if (n_dimensions < 1 || n_dimensions > kMaxDimensions) {
        throw UsageError(std::string(name) + " must have one or two dimensions");
    }
    n_dimensions_ = n_dimensions;
    const int last = n_dimensions - 1;
    n_columns_ = static_cast<size_t>(shape[last]);
    if (n_dimensions == 2) {
        n_rows_ = static_cast<size_t>(shape[0]);
        row_stride_bytes_ = strides_bytes[0];
    }
    if (n_columns_ > 1 && strides_bytes[last] != static_cast<ptrdiff_t>(item_bytes_)) {
        throw UsageError("the rows of " + std::string(name) + " must be contiguous");
    }
}

void BitmaskView::check_type() const {
    if (view_.type() != ItemType::kInt32) throw UsageError("the bitmask must hold int32");
}

std::span<uint32_t> BitmaskView::words(ptrdiff_t row, size_t n_words) const {
    if (row < 0 || static_cast<size_t>(row) >= view_.n_rows()) {
        throw UsageError(
            "the bitmask has no row " + std::to_string(row) + ": it has " +
            std::to_string(view_.n_rows())
        );
    }
    if (view_.n_columns() < n_words) {
        throw UsageError(
            "a row of the bitmask has " + std::to_string(view_.n_columns()) +
            " words, but the vocabulary needs " + std::to_string(n_words)
        );
    }
    return {reinterpret_cast<uint32_t*>(view_.row(static_cast<size_t>(row))), view_.n_columns()};
}

BytesView::BytesView(PyObject* object) {
    if (PyObject_GetBuffer(object, &buffer_, PyBUF_SIMPLE) == 0) return;
    PyErr_Clear();
    throw UsageError("expected bytes, not " + std::string(Py_TYPE(object)->tp_name));
}

}  // namespace pycodec_lm
