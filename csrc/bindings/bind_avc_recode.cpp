#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <map>
#include <optional>
#include <string>
#include <utility>

#include "bindings/bind_cursor.hpp"
#include "bindings/bindings.hpp"
#include "h264/recode.hpp"

namespace py = pybind11;

namespace pycodec_lm {
namespace {

using h264::RecodeCounts;
using Counts = std::map<std::string, uint64_t>;

template <size_t n>
void put_types(
    Counts& named, const std::string& name, const std::array<std::array<uint64_t, n>, 3>& counts
) {
    for (size_t slice = 0; slice < 3; ++slice) {
        for (size_t type = 0; type < n; ++type) {
            const uint64_t count = counts[slice][type];
            if (count > 0) named["IPB"[slice] + (" " + name + " ") + std::to_string(type)] = count;
        }
    }
}

Counts named_counts(const RecodeCounts& counts) {
    Counts named{
        {"slices", counts.n_slices},
        {"skipped", counts.n_skipped},
        {"8x8 transforms", counts.n_8x8_transforms},
        {"bins", counts.n_bins},
        {"marked slices", counts.n_marked_slices},
    };
    put_types(named, "mb_type", counts.mb_types);
    put_types(named, "sub_mb_type", counts.sub_mb_types);
    return named;
}

}  // namespace

void bind_avc_recode(py::module_& m) {
    m.def(
        "recode_avc",
        [](const py::buffer& buffer, bool cabac, std::optional<uint8_t> cabac_init_idc,
           std::optional<uint32_t> random_macroblocks) {
            if (cabac_init_idc && *cabac_init_idc > 2)
                throw UsageError("cabac_init_idc must be 0, 1 or 2");
            const py::buffer_info info = buffer.request();
            try {
                const h264::Recoded recoded = h264::recode(
                    bytes_of(info), {.entropy_coding_mode_flag = cabac,
                                     .cabac_init_idc = cabac_init_idc,
                                     .random_macroblocks = random_macroblocks}
                );
                return std::pair(to_bytes(recoded.bytes), named_counts(recoded.counts));
            } catch (const h264::BrokenSyntax& error) {
                throw UsageError(std::string("the stream cannot be recoded: ") + error.what());
            }
        },
        py::arg("data"), py::arg("cabac"), py::arg("cabac_init_idc") = py::none(),
        py::arg("random_macroblocks") = py::none(),
        "An Annex B stream with the same syntax elements in CABAC or CAVLC, and what it has of "
        "them; "
        "with a seed, with random macroblocks in place of its own."
    );
}

}  // namespace pycodec_lm
