#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>
#include <vector>

#include "bindings/bind_grammar.hpp"
#include "bindings/buffers.hpp"
#include "grammar/bitmask.hpp"
#include "grammar/usage_error.hpp"

namespace py = pybind11;

namespace pycodec_lm {
namespace {

py::array_t<int32_t> allocate_bitmask(py::ssize_t batch_size, py::ssize_t vocab_size) {
    if (batch_size < 0 || vocab_size < 1) {
        throw UsageError(
            "a bitmask needs a batch size of 0 or more and a vocabulary of 1 token or more"
        );
    }
    const size_t n_words = n_mask_words(static_cast<size_t>(vocab_size));
    py::array_t<int32_t> array(
        std::vector<py::ssize_t>{batch_size, static_cast<py::ssize_t>(n_words)}
    );
    auto* words = reinterpret_cast<uint32_t*>(array.mutable_data());
    for (py::ssize_t row = 0; row < batch_size; ++row, words += n_words) {
        allow_all({words, n_words}, static_cast<size_t>(vocab_size));
    }
    return array;
}

LogitType logit_type(ItemType type) {
    switch (type) {
        case ItemType::kFloat32:
            return LogitType::kFloat32;
        case ItemType::kFloat64:
            return LogitType::kFloat64;
        case ItemType::kFloat16:
            return LogitType::kFloat16;
        case ItemType::kBfloat16:
            return LogitType::kBfloat16;
        default:
            throw UsageError("the logits must be float16, bfloat16, float32 or float64");
    }
}

void apply_bitmask(
    const py::object& logits_object, const py::object& bitmask_object,
    const std::optional<std::vector<py::ssize_t>>& indices
) {
    const ArrayView logits(logits_object.ptr(), ArrayView::Access::kWrite, "the array of logits");
    const BitmaskView bitmask(bitmask_object.ptr(), ArrayView::Access::kRead);
    const LogitType type = logit_type(logits.type());
    const size_t n_mask_rows = bitmask.view().n_rows();
    if (!indices && logits.n_rows() != n_mask_rows) {
        throw UsageError(
            "there are " + std::to_string(logits.n_rows()) + " rows of logits, but " +
            std::to_string(n_mask_rows) + " of the bitmask: name the rows with indices=[...]"
        );
    }
    std::vector<size_t> rows;
    if (indices) {
        for (const py::ssize_t row : *indices) {
            if (row < 0 || static_cast<size_t>(row) >= std::min(logits.n_rows(), n_mask_rows)) {
                throw UsageError(
                    "index " + std::to_string(row) + " is no row of both logits and bitmask"
                );
            }
            rows.push_back(static_cast<size_t>(row));
        }
    } else {
        for (size_t row = 0; row < n_mask_rows; ++row) rows.push_back(row);
    }
    const py::gil_scoped_release release;
    for (const size_t row : rows) {
        apply_mask(
            type, logits.row(row), logits.n_columns(), bitmask.words(static_cast<ptrdiff_t>(row), 0)
        );
    }
}

}  // namespace

void bind_bitmask(py::module_& m) {
    m.def(
        "allocate_token_bitmask", &allocate_bitmask, py::arg("batch_size"), py::arg("vocab_size"),
        "An int32 array [batch_size, ceil(vocab_size / 32)] that allows every token."
    );
    m.def(
        "apply_token_bitmask_inplace", &apply_bitmask, py::arg("logits"), py::arg("bitmask"),
        py::arg("indices") = py::none(),
        "Sets forbidden logits to -inf, in arrays or CPU tensors.\n\n"
        "Args:\n"
        "    logits: [batch, vocabulary] or [vocabulary], float16, bfloat16, float32 or float64. "
        "What\n"
        "        lies beyond the bitmask is forbidden.\n"
        "    bitmask: int32 [batch, words] or [words].\n"
        "    indices: the rows to do, all by default."
    );
}

}  // namespace pycodec_lm
