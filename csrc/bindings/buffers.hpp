// Numbers of Python's, without a copy: anything with the buffer protocol, or a CPU tensor, which is
// known by its methods alone, so that no tensor library is needed here.
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>
#include <cstdint>
#include <span>

namespace pycodec_lm {

enum class ItemType : uint8_t { kInt32, kFloat32, kFloat64, kFloat16, kBfloat16, kOther };

/// A one- or two-dimensional array of Python's, held while this lives; one dimension is one row.
class ArrayView {
public:
    enum class Access : uint8_t { kRead, kWrite };

    /// Throws UsageError, which calls the array `name`, where it is no such array, where rows are
    /// not contiguous, or where it cannot be written and must.
    ArrayView(PyObject* array, Access access, const char* name);
    ~ArrayView();
    ArrayView(const ArrayView&) = delete;
    ArrayView& operator=(const ArrayView&) = delete;

    ItemType type() const { return type_; }
    int n_dimensions() const { return n_dimensions_; }
    size_t n_rows() const { return n_rows_; }
    size_t n_columns() const { return n_columns_; }
    std::byte* row(size_t index) const {
        return data_ + static_cast<ptrdiff_t>(index) * row_stride_bytes_;
    }

private:
    void read_buffer(PyObject* array, Access access, const char* name);
    void read_tensor(PyObject* tensor, const char* name);
    void set_shape(
        int n_dimensions, const ptrdiff_t* shape, const ptrdiff_t* strides_bytes, const char* name
    );

    Py_buffer buffer_{};  // obj is null for a tensor
    std::byte* data_ = nullptr;
    ItemType type_ = ItemType::kOther;
    int n_dimensions_ = 0;
    size_t n_rows_ = 1;
    size_t n_columns_ = 0;
    size_t item_bytes_ = 0;
    ptrdiff_t row_stride_bytes_ = 0;
};

/// The rows of a bitmask: int32, at least `n_words` a row.
class BitmaskView {
public:
    BitmaskView(PyObject* array, ArrayView::Access access) : view_(array, access, "the bitmask") {
        check_type();
    }

    const ArrayView& view() const { return view_; }
    /// Throws UsageError where there is no such row or it is too short.
    std::span<uint32_t> words(ptrdiff_t row, size_t n_words) const;

private:
    void check_type() const;

    ArrayView view_;
};

/// Bytes of Python's, held while this lives.
class BytesView {
public:
    explicit BytesView(PyObject* object);
    ~BytesView() { PyBuffer_Release(&buffer_); }
    BytesView(const BytesView&) = delete;
    BytesView& operator=(const BytesView&) = delete;

    std::span<const uint8_t> bytes() const {
        return {static_cast<const uint8_t*>(buffer_.buf), static_cast<size_t>(buffer_.len)};
    }

private:
    Py_buffer buffer_{};
};

}  // namespace pycodec_lm
