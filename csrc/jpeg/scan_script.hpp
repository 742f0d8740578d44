// Which scans may come next: T.81 B.2.3 for sequential frames, G.1.1.1 for progressive ones.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "jpeg/band_table.hpp"
#include "jpeg/header.hpp"

namespace pycodec_lm::jpeg {

inline constexpr int kMaxBlocksInMcu = 10;
inline constexpr int kMaxAl = 13;

enum class ScanKind : uint8_t {
    kSequential,
    kDcFirst,       // G.1.2.1, Ss = 0 and Ah = 0
    kDcRefinement,  // G.1.2.1, Ss = 0 and Ah > 0
    kAcFirst,       // G.1.2.2
    kAcRefinement,  // G.1.2.3
};

constexpr bool codes_bands(ScanKind kind) {
    return kind == ScanKind::kAcFirst || kind == ScanKind::kAcRefinement;
}

/// A scan header as far as it has been read.
struct ScanChoice {
    struct Component {
        uint8_t frame_index = 0;
        std::optional<uint8_t> dc_slot{};  // Tdj
        std::optional<uint8_t> ac_slot{};  // Taj
    };

    int n_components = 1;  // Ns
    int n_known = 0;       // components that are named
    std::array<Component, kMaxComponents> components{};
    std::optional<uint8_t> ss{}, se{}, ah{}, al{};
};

/// Says which scan headers can be gone on with to one that the standard allows and that leads into
/// no dead end: with tables that can finish each block the scan can come to.
///
/// One decision where a scan would be legal all the same: a refinement whose table has no end of
/// band as short as its restart intervals is looked at block by block for up to
/// kMaxBlocksWithoutRun blocks, and refused beyond.
class ScanScript {
public:
    static constexpr uint32_t kMaxBlocksWithoutRun = 64;

    /// `portable`: tables that a progressive scan has no use for are those of slot 0, since ffmpeg
    /// wants a table there all the same.
    explicit ScanScript(const Header& header, bool portable = false)
        : header_(header), frame_(header.frame), portable_(portable) {}

    /// Some scan header goes on from here.
    bool allows(const ScanChoice& choice);

    /// A DC table that a sequential or first DC scan could use; an AC table of sequential scans.
    bool is_usable(TableClass table_class, int slot, int al = 0) const;
    bool has_usable_table(TableClass table_class) const;

    /// The Al that all of Ss..Se has been coded with last, kNotCoded where none of it was; nothing
    /// where they differ.
    std::optional<uint8_t> band_accuracy(int component, int ss, int se) const;

private:
    bool allows(const ScanChoice& choice, ScanKind kind);
    bool fits_components(const ScanChoice& choice, ScanKind kind, uint8_t accuracy) const;
    bool fits_tables(const ScanChoice& choice, TableClass table_class) const;
    /// Of a component that is coded alone.
    struct Intervals {
        uint32_t n_blocks;
        uint32_t longest;
        uint32_t last;  // which is the shortest
    };
    Intervals intervals_of(int component) const;
    struct Bands {
        int component;
        int ss;
        int first_se;
        int last_se;
    };
    bool fits_bands(const ScanChoice& choice, ScanKind kind);
    bool fits_band(const Bands& bands, ScanKind kind, int slot, int al, const Intervals& intervals);
    const BandPaths& paths_of(int slot, const BandRules& rules);
    bool fits_unused_slots(const ScanChoice& choice, ScanKind kind) const;

    const Header& header_;
    const Frame& frame_;
    bool portable_;
    // What was worked out last, by slot.
    std::array<BandRules, kTableSlots> rules_;
    std::array<std::optional<BandPaths>, kTableSlots> paths_;
};

}  // namespace pycodec_lm::jpeg
