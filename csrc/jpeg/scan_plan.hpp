// What is fixed for a whole scan: its components, the geometry of its MCUs (T.81 A.1.1, A.2) and,
// worked out when first asked for, how long its cheapest ending is.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "jpeg/band_table.hpp"
#include "jpeg/header.hpp"
#include "jpeg/scan_script.hpp"

namespace pycodec_lm::jpeg {

inline constexpr uint64_t kRestartMarkerBytes = 2;

/// DC prediction of each component of the scan, in scan order.
using Predictors = std::array<int32_t, kMaxComponents>;

struct ScanComponent {
    uint8_t frame_index = 0;
    uint8_t dc_slot = 0;            // Tdj
    uint8_t ac_slot = 0;            // Taj
    uint8_t horizontal_blocks = 1;  // in an MCU of this scan
    uint8_t vertical_blocks = 1;
    std::shared_ptr<const HuffmanTable> dc;  // none where the scan does not use it
    std::shared_ptr<const HuffmanTable> ac;
};

/// What the end of a scan header says.
struct ScanParameters {
    uint8_t ss = 0;
    uint8_t se = kBlockSize - 1;
    uint8_t ah = 0;
    uint8_t al = 0;
    bool is_portable = false;  // of the grammar
};

ScanKind kind_of(const Frame& frame, const ScanParameters& parameters);

/// How far the bits of an ending have come inside a byte: the bits written of it, and whether all
/// of them are 1. A byte of eight 1-bits is followed by a stuffed 00 (T.81 B.1.1.5).
struct BytePhase {
    uint8_t n_bits = 0;
    bool all_ones = true;

    /// Returns the number of stuffed bytes this bit causes, 0 or 1.
    unsigned add(bool bit) {
        all_ones = all_ones && bit;
        if (++n_bits < 8) return 0;
        const unsigned n_stuffed = all_ones ? 1 : 0;
        n_bits = 0;
        all_ones = true;
        return n_stuffed;
    }
};

/// Small numbers for what scans have in common, so that scans that are coded alike can share masks:
/// equal ids mean equal tables, blocks and restart intervals. Bounded; safe to use from many
/// threads.
class ScanIds {
public:
    static constexpr uint16_t kNone = 0;

    uint16_t id_of(const std::string& description);

private:
    static constexpr size_t kMaxIds = 4096;

    std::mutex mutex_;
    std::unordered_map<std::string, uint16_t> ids_;
};

class BandEnding;

/// What follows a scan that codes bands, in its cheapest ending.
struct LaterScans {
    uint64_t n_bytes = 0;  // of all that does not hang on the scan
    /// Refinements of its component: what they take hangs on the coefficients the scan adds.
    std::vector<std::shared_ptr<const ScanPlan>> refinements;
    bool is_known = true;  // false where a later scan ends blocks by coding coefficients

    // For bounds.
    uint64_t most_bytes = 0;        // from any state at most, without correction bits
    uint64_t most_begun_bytes = 0;  // and more where a state has begun an MCU, in any of the scans
    uint64_t n_corrections = 0;     // in the scan and later ones, by what was known before it
    uint32_t n_refinements = 0;     // of any component
};

class ScanPlan {
public:
    /// A scan that the header's script allows.
    ScanPlan(
        const Header& before, std::vector<ScanComponent> components,
        const ScanParameters& parameters, ScanIds* ids
    );
    ~ScanPlan();

    /// ScanIds::kNone where the scan has none.
    uint16_t id() const { return id_; }

    ScanKind kind() const { return kind_; }
    const ScanParameters& parameters() const { return parameters_; }
    /// Of DC coefficients and of first scans of AC ones, as they are coded: shifted by Al.
    const SampleLimits& limits() const { return limits_; }
    /// Of scans that code bands.
    const BandTable& band() const { return *band_; }
    /// Of refinements of AC coefficients: what was known before the scan.
    const CoefficientHistory& history() const { return *history_; }
    /// The correction bits of scans that code bands, from a block on.
    class Corrections corrections_from(uint32_t block) const;
    /// How bands end; worked out when first asked for.
    const BandEnding& band_ending() const;
    /// The cheapest ending of each interval has nothing but runs.
    bool ends_by_runs() const;
    /// Blocks of the shortest interval.
    uint32_t least_interval_mcus() const;
    int n_components() const { return static_cast<int>(components_.size()); }
    const ScanComponent& component(int index) const {
        return components_[static_cast<size_t>(index)];
    }
    int n_blocks() const { return n_blocks_; }
    int component_of_block(int block) const {
        return component_of_block_[static_cast<size_t>(block)];
    }
    const HuffmanTable& dc_table(int block) const {
        return *dc_of_block_[static_cast<size_t>(block)];
    }
    const HuffmanTable& ac_table(int block) const {
        return *ac_of_block_[static_cast<size_t>(block)];
    }
    /// In scans that code bands an MCU is a block.
    uint32_t n_mcus() const { return n_mcus_; }
    uint32_t mcus_wide() const { return mcus_wide_; }
    /// The frame has no height yet: the scan may end behind any row of MCUs (B.2.5), and n_mcus()
    /// is the most it can have.
    bool is_open() const { return is_open_; }
    uint16_t restart_interval_mcus() const { return restart_interval_mcus_; }
    /// MCUs of the interval that starts at an MCU.
    uint32_t interval_length_mcus(uint32_t first_mcu) const;

    /// No state inside an MCU is further than this from the MCU's end.
    uint32_t max_mcu_bits() const { return max_mcu_bits_; }
    /// Bits of the cheapest MCU; all cheapest MCUs have the same length.
    uint32_t cheapest_mcu_bits() const;
    /// What cheapest MCUs see of the predictors: bit i is the parity of component i's cell, 0 where
    /// its cheapest DC code has no amplitude.
    unsigned parities_of(const Predictors& predictors) const;
    /// Stuffed bytes in `n` cheapest MCUs that start at `phase`; the phase moves on.
    uint64_t stuffed_bytes(uint64_t n_mcus, const Predictors& predictors, BytePhase& phase) const;
    /// The most stuffed_bytes() can give from any phase and predictor.
    uint64_t most_stuffed_bytes(uint64_t n_mcus) const;
    /// Bytes of `n` cheapest MCUs from the start of a restart interval, padding included.
    uint64_t interval_bytes(uint64_t n_mcus) const;
    /// interval_bytes() of a whole restart interval and its RST marker; 0 where the scan has no
    /// more than one interval.
    uint64_t whole_interval_bytes() const;
    /// All cheapest intervals after the one that ends before `first_mcu`, each with its RST marker.
    uint64_t later_intervals_bytes(uint32_t first_mcu) const;

    /// What follows the scan in its cheapest ending; `compute` is called the first time only.
    uint64_t bytes_after_scan(const std::function<uint64_t()>& compute) const;
    /// The same for scans that code bands; `compute` is called the first time only.
    const LaterScans& later_scans(const std::function<LaterScans()>& compute) const;

    /// DC bits as the cheapest ending writes them: the value steps up from even cells of width
    /// 2^(size-1) and down from odd ones, so it never leaves its range and repeats after two steps.
    uint32_t cheapest_dc_bits(int size, int predictor) const;

private:
    // 16 phases: n_bits * 2 + all_ones.
    struct Step {
        std::array<uint8_t, 16> to{};
        std::array<uint64_t, 16> n_stuffed{};
    };
    struct Ending {
        uint32_t mcu_bits = 0;
        unsigned toggles = 0;  // bit i: the parity of component i changes with each MCU
        // steps[parities][j]: 2^j MCUs, where bit i of parities is the parity of component i's
        // cell.
        std::array<std::vector<Step>, 16> steps;
    };

    const Ending& ending() const;
    void build_ending(Ending& ending) const;
    std::string describe() const;
    void choose_tables(const Header& before, ScanComponent& component) const;
    bool has_dc_codes() const {
        return kind_ == ScanKind::kSequential || kind_ == ScanKind::kDcFirst;
    }
    Step cheapest_mcu(unsigned parities, uint32_t* n_bits) const;

    ScanKind kind_;
    ScanParameters parameters_;
    SampleLimits limits_;
    std::vector<ScanComponent> components_;
    std::shared_ptr<const BandTable> band_;
    std::shared_ptr<const CoefficientHistory> history_;
    std::array<uint8_t, kMaxBlocksInMcu> component_of_block_{};
    std::array<const HuffmanTable*, kMaxBlocksInMcu> dc_of_block_{};
    std::array<const HuffmanTable*, kMaxBlocksInMcu> ac_of_block_{};
    int n_blocks_ = 0;
    uint32_t n_mcus_ = 0;
    uint32_t mcus_wide_ = 0;
    uint16_t restart_interval_mcus_ = 0;
    bool is_open_ = false;
    uint32_t max_mcu_bits_ = 0;
    uint16_t id_ = ScanIds::kNone;

    mutable std::once_flag ending_once_;
    mutable Ending ending_;
    mutable std::once_flag band_ending_once_;
    mutable std::shared_ptr<const BandEnding> band_ending_;
    Memo<bool> ends_by_runs_;
    Memo<LaterScans> later_scans_;
    Memo<uint64_t> bytes_after_;
    Memo<uint64_t> whole_interval_bytes_;
};

}  // namespace pycodec_lm::jpeg
