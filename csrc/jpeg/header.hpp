// What the marker segments of a stream have said so far: tables, frame, restart interval.
// A Header is immutable once shared; a segment that ends makes a new one.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>

#include "jpeg/coefficient_history.hpp"
#include "jpeg/huffman_table.hpp"
#include "jpeg/markers.hpp"

namespace pycodec_lm::jpeg {

class ScanPlan;

constexpr uint32_t divide_up(uint32_t value, uint32_t by) { return (value + by - 1) / by; }

inline constexpr int kMaxComponents = 4;
inline constexpr int kTableSlots = 4;
inline constexpr int kBaselineHuffmanSlots = 2;
inline constexpr uint32_t kMaxLines = 65535;
inline constexpr uint8_t kNotCoded = 0xFF;  // in Header::accuracy

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
    uint16_t height_px = 0;  // Y; 0 until a DNL segment gives it
    uint16_t width_px = 0;   // X
    uint8_t sof = marker::kSof0;
    uint8_t precision_bits = 8;  // P
    uint8_t n_components = 0;
    std::array<Component, kMaxComponents> components{};

    bool lines_due = false;  // a DNL segment must give them (B.2.5)

    bool is_present() const { return width_px != 0; }
    /// No one has said where the first scan ends.
    bool is_open() const { return is_present() && height_px == 0; }
    /// At most.
    uint32_t lines() const { return height_px == 0 ? kMaxLines : height_px; }
    bool is_progressive() const { return sof == marker::kSof2; }
    /// Slots for Huffman tables of a class; before the frame header, what any frame could have.
    int n_huffman_slots() const {
        return is_present() && sof == marker::kSof0 ? kBaselineHuffmanSlots : kTableSlots;
    }
    int max_horizontal_sampling() const;
    int max_vertical_sampling() const;
    /// Blocks of a component, those left out that only fill MCUs (A.2.4).
    uint32_t blocks_wide(int component) const;
    uint32_t blocks_high(int component) const;
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

/// What is worked out when first asked for. Copies start empty.
template <class T>
class Memo {
public:
    Memo() = default;
    Memo(const Memo&) {}
    Memo& operator=(const Memo&) { return *this; }

    template <class Compute>
    const T& get(const Compute& compute) const {
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
    uint16_t n_scans = 0;
    std::shared_ptr<const ScanPlan> scan;  // the scan that began last
    /// Al of the last scan that coded a coefficient, [component][k]: T.81 G.1.1.1.2. A sequential
    /// scan codes all of a component with Al = 0.
    std::array<std::array<uint8_t, kBlockSize>, kMaxComponents> accuracy;
    /// Of progressive frames; none where a component has no AC coefficient yet.
    std::array<std::shared_ptr<const CoefficientHistory>, kMaxComponents> histories;
    uint64_t histories_number = 0;  // equal where they are the same; 0: there are none

    Header() {
        for (auto& of_component : accuracy) of_component.fill(kNotCoded);
    }

    bool is_coded(int component) const {
        return accuracy[static_cast<size_t>(component)][0] != kNotCoded;
    }
    /// The picture may end: each component has had its (DC) scan.
    bool is_fully_coded() const;
    /// Nothing is left that a scan could code.
    bool is_finished() const;
    /// The component has its quantization table and has not been coded.
    bool is_ready(int component) const;

    /// Some component can be coded with the tables there are. All that share a header must ask in
    /// the same language (ScanScript).
    bool is_scan_possible(bool portable) const;

    /// Bytes of the shortest known ending from where a marker is due; `compute` is called the first
    /// time only.
    uint64_t bytes_from_marker(const std::function<uint64_t()>& compute) const;

private:
    Memo<uint64_t> bytes_from_marker_;
    Memo<bool> is_scan_possible_;
};

}  // namespace pycodec_lm::jpeg
