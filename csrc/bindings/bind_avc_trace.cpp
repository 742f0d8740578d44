#include <pybind11/gil_safe_call_once.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <utility>

#include "bindings/bind_trace.hpp"
#include "bindings/bindings.hpp"
#include "bindings/buffers.hpp"
#include "h264/trace.hpp"

namespace py = pybind11;

namespace pycodec_lm {
namespace {

using h264::BinRow;
using h264::FieldRow;
using h264::NalRow;
using h264::PictureRow;
using h264::SliceRow;

py::dict to_dict(const h264::Trace& trace) {
    py::array_t<uint16_t> mb_bits(
        std::vector<py::ssize_t>{static_cast<py::ssize_t>(trace.mb_bits.size()), h264::kMbBitKinds},
        trace.mb_bits.empty() ? nullptr : trace.mb_bits.front().data()
    );
    py::dict out;
    out["status"] = trace.status;
    out["end_offset"] = trace.end_offset;
    out["n_pictures"] = trace.n_pictures;
    out["place"] = trace.place;
    out["fields"] = to_array(trace.fields);
    out["n_fields_left_out"] = trace.n_fields_left_out;
    out["nals"] = to_array(trace.nals);
    out["n_nals_left_out"] = trace.n_nals_left_out;
    out["slices"] = to_array(trace.slices);
    out["pictures"] = to_array(trace.pictures);
    out["mb_starts"] = to_array(trace.mb_starts);
    out["mb_bits"] = mb_bits;
    out["mb_types"] = to_array(trace.mb_types);
    out["mb_qps"] = to_array(trace.mb_qps);
    out["mb_bins"] = to_array(trace.mb_bins);
    out["mb_information"] = to_array(trace.mb_information);
    out["symbols"] = to_array(trace.symbols);
    out["n_symbols_left_out"] = trace.n_symbols_left_out;
    out["bins"] = to_array(trace.bins);
    out["n_bins_left_out"] = trace.n_bins_left_out;
    return out;
}

/// The columns of the rows, told to numpy with the first trace: this module loads without numpy.
void register_rows() {
    PYBIND11_CONSTINIT static py::gil_safe_call_once_and_store<bool> once;
    once.call_once_and_store_result([] {
        PYBIND11_NUMPY_DTYPE(
            FieldRow, byte, bit, element, block, n_bits, n_values, value, picture, mb
        );
        PYBIND11_NUMPY_DTYPE(
            NalRow, start, offset, end, nal_ref_idc, nal_unit_type, is_whole, n_emulation_bytes,
            first_field, n_fields
        );
        PYBIND11_NUMPY_DTYPE(
            SliceRow, nal, picture, first_mb, slice_type, pic_parameter_set_id, frame_num,
            idr_pic_id, pic_order_cnt, qp, n_mbs, n_skipped, n_intra, header_bits, skip_bits,
            n_bins, information_bits, mb_bits, trailing_bits
        );
        PYBIND11_NUMPY_DTYPE(
            BinRow, picture, mb, element, value, is_first, ctx_idx, p_state_idx, val_mps,
            information_bits
        );
        PYBIND11_NUMPY_DTYPE(
            PictureRow, first_slice, n_slices, width_mbs, height_mbs, crop_px, first_mb_row,
            n_mb_rows, n_mbs, end
        );
        return true;
    });
}

}  // namespace

void bind_avc_trace(py::module_& m) {
    m.def(
        "trace_h264",
        [](const py::object& object, std::pair<uint64_t, uint64_t> symbols, size_t max_fields,
           size_t max_nals, size_t max_mbs, size_t max_symbols, size_t max_bins) {
            const BytesView view(object.ptr());
            const auto data = view.bytes();
            const h264::TraceLimits limits{max_fields, max_nals, max_mbs, max_symbols, max_bins};
            h264::Trace trace;
            {
                const py::gil_scoped_release release;
                trace =
                    h264::trace(data.data(), data.size(), limits, symbols.first, symbols.second);
            }
            register_rows();
            return to_dict(trace);
        },
        py::arg("data"), py::kw_only(), py::arg("symbols") = std::pair<uint64_t, uint64_t>{0, 0},
        py::arg("max_fields") = h264::TraceLimits{}.n_fields,
        py::arg("max_nals") = h264::TraceLimits{}.n_nals,
        py::arg("max_mbs") = h264::TraceLimits{}.n_mbs,
        py::arg("max_symbols") = h264::TraceLimits{}.n_symbols,
        py::arg("max_bins") = h264::TraceLimits{}.n_bins,
        "What a byte stream says, field by field; csrc/h264/trace.hpp names the columns. Symbols"
        " are kept for bytes symbols[0] to symbols[1], not included."
    );
}

}  // namespace pycodec_lm
