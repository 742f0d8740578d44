#include "jpeg/header.hpp"

#include <algorithm>
#include <atomic>
#include <vector>

#include "jpeg/scan_plan.hpp"

namespace pycodec_lm::jpeg {

uint64_t SerialNumber::next() {
    static std::atomic<uint64_t> last = 0;
    return ++last;
}

int Frame::max_horizontal_sampling() const {
    int most = 1;
    for (int i = 0; i < n_components; ++i) {
        most = std::max<int>(most, components[static_cast<size_t>(i)].horizontal_sampling);
    }
    return most;
}

int Frame::max_vertical_sampling() const {
    int most = 1;
    for (int i = 0; i < n_components; ++i) {
        most = std::max<int>(most, components[static_cast<size_t>(i)].vertical_sampling);
    }
    return most;
}

bool Header::is_ready(int component) const {
    const Component& c = frame.components[static_cast<size_t>(component)];
    // B.2.4.1: quantization tables of 16 bits are for 12-bit samples.
    const int table_bits = tables.quantization_bits[c.quantization_slot];
    return !is_coded(component) && table_bits != 0 &&
           table_bits <= (frame.precision_bits == 8 ? 8 : 16);
}

bool Header::can_code(int n, int first, int n_blocks, bool interleaved) const {
    std::vector<int> sizes;
    for (int i = first; i < frame.n_components; ++i) {
        if (is_ready(i)) sizes.push_back(frame.components[static_cast<size_t>(i)].blocks_in_mcu());
    }
    if (static_cast<int>(sizes.size()) < n) return false;
    if (!interleaved) return true;
    std::sort(sizes.begin(), sizes.end());
    for (int i = 0; i < n; ++i) n_blocks += sizes[static_cast<size_t>(i)];
    return n_blocks <= kMaxBlocksInMcu;
}

uint64_t Header::bytes_from_marker(const std::function<uint64_t()>& compute) const {
    return bytes_from_marker_.get(compute);
}

bool Header::is_usable(TableClass table_class, int slot) const {
    const HuffmanTable* table = tables.find(table_class, slot);
    return table != nullptr && table->at_precision(frame.precision_bits).is_usable();
}

bool Header::has_usable_table(TableClass table_class) const {
    for (int slot = 0; slot < frame.n_huffman_slots(); ++slot) {
        if (is_usable(table_class, slot)) return true;
    }
    return false;
}

}  // namespace pycodec_lm::jpeg
