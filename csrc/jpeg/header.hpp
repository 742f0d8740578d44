// What the marker segments of a stream have said so far: tables, frame, restart interval.
// A Header is immutable once shared; a segment that ends makes a new one.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>

#include "jpeg/huffman_table.hpp"
#include "jpeg/markers.hpp"

namespace pycodec_lm::jpeg {

class ScanPlan;

inline constexpr int kMaxComponents = 4;
inline constexpr int kTableSlots = 4;
inline constexpr int kBaselineHuffmanSlots = 2;

/// T.81 B.2.2: one row of the frame header.
struct Component {
    uint8_t identifier = 0;           // Ci
    uint8_t horizontal_sampling = 0;  // Hi
    uint8_t vertical_sampling = 0;    // Vi
    uint8_t quantization_slot = 0;    // Tqi

    int blocks_in_mcu() const { return horizontal_sampling * vertical_sampling; }
};

/// T.81 B.2.2. A width of 0 says that no frame header has been read.
struct Frame {
    uint16_t height_px = 0;  // Y
    uint16_t width_px = 0;   // X
    uint8_t sof = marker::kSof0;
    uint8_t precision_bits = 8;  // P
    uint8_t n_components = 0;
    std::array<Component, kMaxComponents> components{};

    bool is_present() const { return width_px != 0; }
    /// Slots for Huffman tables of a class; before the frame header, what any frame could have.
    int n_huffman_slots() const {
        return is_present() && sof == marker::kSof0 ? kBaselineHuffmanSlots : kTableSlots;
    }
    int max_horizontal_sampling() const;
    int max_vertical_sampling() const;
};

struct Tables {
    std::array<uint8_t, kTableSlots> quantization_bits{};  // 0: not defined; 8 or 16
    // [Tc][Th]
    std::array<std::array<std::shared_ptr<const HuffmanTable>, kTableSlots>, 2> huffman;

    const HuffmanTable* find(TableClass table_class, int slot) const {
        return share(table_class, slot).get();
    }
    const std::shared_ptr<const HuffmanTable>& share(TableClass table_class, int slot) const {
        return huffman[static_cast<size_t>(table_class)][static_cast<size_t>(slot)];
    }
};

/// A number that is worked out when first asked for. Copies start empty.
template <class T>
class Memo {
public:
    Memo() = default;
    Memo(const Memo&) {}
    Memo& operator=(const Memo&) { return *this; }

    template <class Compute>
    T get(const Compute& compute) const {
        std::call_once(once_, [&] { value_ = compute(); });
        return value_;
    }

private:
    mutable std::once_flag once_;
    mutable T value_{};
};

/// Tells one header from all others for as long as the program runs. A copy has a number of its
/// own.
class SerialNumber {
public:
    SerialNumber() = default;
    SerialNumber(const SerialNumber&) {}
    SerialNumber& operator=(const SerialNumber&) { return *this; }

    uint64_t value() const { return value_; }

private:
    static uint64_t next();
    uint64_t value_ = next();
};

struct Header {
    SerialNumber serial_number;
    Tables tables;
    Frame frame;
    uint16_t restart_interval_mcus = 0;  // Ri
    uint8_t coded_components = 0;        // bit i: component i has had its scan
    uint8_t n_scans = 0;
    std::shared_ptr<const ScanPlan> scan;  // the scan that began last

    bool is_coded(int component) const { return (coded_components >> component) & 1; }
    bool is_fully_coded() const {
        return frame.is_present() && coded_components == (1u << frame.n_components) - 1;
    }
    /// The component has its quantization table and has not been coded.
    bool is_ready(int component) const;
    /// A scan may code `n` more components from index `first` on, with `n_blocks` blocks in its MCU
    /// so far. A scan of one component has MCUs of one block (A.2.2), others at most 10 (B.2.3).
    bool can_code(int n, int first, int n_blocks, bool interleaved) const;
    /// The table lets a scan of this frame code a block.
    bool is_usable(TableClass table_class, int slot) const;
    bool has_usable_table(TableClass table_class) const;

    /// Bytes of the shortest known ending from where a marker is due; `compute` is called the first
    /// time only.
    uint64_t bytes_from_marker(const std::function<uint64_t()>& compute) const;

private:
    Memo<uint64_t> bytes_from_marker_;
};

}  // namespace pycodec_lm::jpeg
