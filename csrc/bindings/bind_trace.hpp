// What both traces need to become numpy arrays.
#pragma once

#include <pybind11/numpy.h>

#include <vector>

namespace pycodec_lm {

template <class T>
pybind11::array_t<T> to_array(const std::vector<T>& values) {
    return pybind11::array_t<T>(static_cast<pybind11::ssize_t>(values.size()), values.data());
}

}  // namespace pycodec_lm
