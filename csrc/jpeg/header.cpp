#include "jpeg/header.hpp"

#include <algorithm>
#include <atomic>

#include "jpeg/scan_plan.hpp"
#include "jpeg/scan_script.hpp"

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

uint32_t Frame::blocks_wide(int component) const {
    const Component& c = components[static_cast<size_t>(component)];
    const auto h_max = static_cast<uint32_t>(max_horizontal_sampling());
    return divide_up(divide_up(width_px * uint32_t{c.horizontal_sampling}, h_max), kBlockSide);
}

uint32_t Frame::blocks_high(int component) const {
    const Component& c = components[static_cast<size_t>(component)];
    const auto v_max = static_cast<uint32_t>(max_vertical_sampling());
    return divide_up(divide_up(lines() * uint32_t{c.vertical_sampling}, v_max), kBlockSide);
}

bool Header::is_ready(int component) const {
    const Component& c = frame.components[static_cast<size_t>(component)];
    // B.2.4.1: quantization tables of 16 bits are for 12-bit samples.
    const int table_bits = tables.quantization_bits[c.quantization_slot];
    return !is_coded(component) && table_bits != 0 &&
           table_bits <= (frame.precision_bits == 8 ? 8 : 16);
}

bool Header::is_scan_possible(bool portable) const {
    return is_scan_possible_.get([&] { return ScanScript(*this, portable).allows({}); });
}

uint64_t Header::bytes_from_marker(const std::function<uint64_t()>& compute) const {
    return bytes_from_marker_.get(compute);
}

bool Header::is_fully_coded() const {
    if (!frame.is_present()) return false;
    for (int i = 0; i < frame.n_components; ++i) {
        if (!is_coded(i)) return false;
    }
    return true;
}

bool Header::is_finished() const {
    if (!is_fully_coded()) return false;
    if (!frame.is_progressive()) return true;
    constexpr std::array<uint8_t, kBlockSize> kExact{};
    const auto end = accuracy.begin() + frame.n_components;
    return std::all_of(accuracy.begin(), end, [&](const auto& of) { return of == kExact; });
}

}  // namespace pycodec_lm::jpeg
