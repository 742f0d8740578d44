#include "jpeg/scan_script.hpp"

#include <algorithm>

namespace pycodec_lm::jpeg {
namespace {

constexpr int kLastCoefficient = kBlockSize - 1;

/// A value is known to be this, or not known.
template <class T>
bool may_be(const std::optional<T>& known, int value) {
    return !known || *known == value;
}

bool may_be_between(const std::optional<uint8_t>& known, int first, int last) {
    return !known || (first <= *known && *known <= last);
}

}  // namespace

bool ScanScript::allows(const ScanChoice& choice) {
    if (!frame_.is_progressive()) return allows(choice, ScanKind::kSequential);
    return allows(choice, ScanKind::kDcFirst) || allows(choice, ScanKind::kDcRefinement) ||
           allows(choice, ScanKind::kAcFirst) || allows(choice, ScanKind::kAcRefinement);
}

bool ScanScript::allows(const ScanChoice& choice, ScanKind kind) {
    if (portable_ && !fits_unused_slots(choice, kind)) return false;
    switch (kind) {
        case ScanKind::kSequential:
            return may_be(choice.ss, 0) && may_be(choice.se, kLastCoefficient) &&
                   may_be(choice.ah, 0) && may_be(choice.al, 0) &&
                   fits_components(choice, kind, kNotCoded) &&
                   fits_tables(choice, TableClass::kDc) && fits_tables(choice, TableClass::kAc);
        case ScanKind::kDcFirst:
            return may_be(choice.ss, 0) && may_be(choice.se, 0) && may_be(choice.ah, 0) &&
                   may_be_between(choice.al, 0, kMaxAl) &&
                   fits_components(choice, kind, kNotCoded) && fits_tables(choice, TableClass::kDc);
        case ScanKind::kDcRefinement:
            if (!may_be(choice.ss, 0) || !may_be(choice.se, 0)) return false;
            // All components of a scan are refined from one accuracy.
            for (uint8_t ah = 1; ah <= kMaxAl; ++ah) {
                if (may_be(choice.ah, ah) && may_be(choice.al, ah - 1) &&
                    fits_components(choice, kind, ah)) {
                    return true;
                }
            }
            return false;
        default:
            return may_be_between(choice.ss, 1, kLastCoefficient) && choice.n_components == 1 &&
                   fits_bands(choice, kind);
    }
}

bool ScanScript::fits_unused_slots(const ScanChoice& choice, ScanKind kind) const {
    const bool uses_dc = kind == ScanKind::kSequential || kind == ScanKind::kDcFirst;
    const bool uses_ac = kind == ScanKind::kSequential || codes_bands(kind);
    const auto end = choice.components.begin() + choice.n_known;
    return std::all_of(choice.components.begin(), end, [&](const ScanChoice::Component& c) {
        return (uses_dc || may_be(c.dc_slot, 0)) && (uses_ac || may_be(c.ac_slot, 0));
    });
}

/// Scans of DC coefficients: the components that are named, and enough others for the rest, have
/// this accuracy. A scan of one component has MCUs of one block (A.2.2), others at most 10 (B.2.3).
bool ScanScript::fits_components(const ScanChoice& choice, ScanKind kind, uint8_t accuracy) const {
    const auto fits = [&](int component) {
        if (kind != ScanKind::kDcRefinement) return header_.is_ready(component);
        return header_.accuracy[static_cast<size_t>(component)][0] == accuracy;
    };
    int next = 0;
    int n_blocks = 0;
    for (int j = 0; j < choice.n_known; ++j) {
        const int component = choice.components[static_cast<size_t>(j)].frame_index;
        if (!fits(component)) return false;
        n_blocks += frame_.components[static_cast<size_t>(component)].blocks_in_mcu();
        next = component + 1;
    }
    std::array<int, kMaxComponents> sizes;
    sizes.fill(kMaxBlocksInMcu + 1);
    auto end = sizes.begin();
    for (int i = next; i < frame_.n_components; ++i) {
        if (fits(i)) *end++ = frame_.components[static_cast<size_t>(i)].blocks_in_mcu();
    }
    const int n_missing = choice.n_components - choice.n_known;
    if (end - sizes.begin() < n_missing) return false;
    if (choice.n_components == 1) return true;
    for (int i = 0; i < n_missing; ++i) {
        const auto least = std::min_element(sizes.begin(), sizes.end());
        n_blocks += *least;
        *least = kMaxBlocksInMcu + 1;
    }
    return n_blocks <= kMaxBlocksInMcu;
}

/// Each component has a table of the class, or can still choose one.
bool ScanScript::fits_tables(const ScanChoice& choice, TableClass table_class) const {
    const int al = choice.al.value_or(0);
    bool is_one_open = choice.n_known < choice.n_components;
    for (int j = 0; j < choice.n_known; ++j) {
        const ScanChoice::Component& c = choice.components[static_cast<size_t>(j)];
        const auto& slot = table_class == TableClass::kDc ? c.dc_slot : c.ac_slot;
        if (!slot) {
            is_one_open = true;
        } else if (!is_usable(table_class, *slot, al)) {
            return false;
        }
    }
    return !is_one_open || has_usable_table(table_class);
}

bool ScanScript::is_usable(TableClass table_class, int slot, int al) const {
    const HuffmanTable* table = header_.tables.find(table_class, slot);
    if (table == nullptr || slot >= frame_.n_huffman_slots()) return false;
    if (table_class == TableClass::kAc) {
        return table->at_precision(frame_.precision_bits).is_usable();
    }
    const SampleLimits limits = limits_of(frame_.precision_bits, al);
    return table->least_dc_category() <= static_cast<uint32_t>(limits.max_dc_category);
}

bool ScanScript::has_usable_table(TableClass table_class) const {
    for (int slot = 0; slot < frame_.n_huffman_slots(); ++slot) {
        if (is_usable(table_class, slot)) return true;
    }
    return false;
}

std::optional<uint8_t> ScanScript::band_accuracy(int component, int ss, int se) const {
    const auto& of_component = header_.accuracy[static_cast<size_t>(component)];
    const auto begin = of_component.begin() + ss;
    const auto end = of_component.begin() + se + 1;
    if (std::any_of(begin, end, [&](uint8_t al) { return al != *begin; })) return std::nullopt;
    return *begin;
}

bool ScanScript::fits_bands(const ScanChoice& choice, ScanKind kind) {
    const bool is_first = kind == ScanKind::kAcFirst;
    for (int component = 0; component < frame_.n_components; ++component) {
        if (choice.n_known > 0 && choice.components[0].frame_index != component) continue;
        if (!header_.is_coded(component)) continue;  // G.1.1.1.1: DC first
        const auto& accuracy = header_.accuracy[static_cast<size_t>(component)];
        const Intervals intervals = intervals_of(component);
        const int first_ss = choice.ss.value_or(1);
        int end_of_band = kLastCoefficient;  // the last coefficient coded as ss is
        for (int ss = kLastCoefficient; ss >= first_ss; --ss) {
            const uint8_t before = accuracy[static_cast<size_t>(ss)];
            if (ss < kLastCoefficient && accuracy[static_cast<size_t>(ss) + 1] != before) {
                end_of_band = ss;
            }
            if (!may_be(choice.ss, ss)) continue;
            if (is_first != (before == kNotCoded) || before == 0) continue;
            if (!may_be(choice.ah, is_first ? 0 : before)) continue;
            if (!is_first && !may_be(choice.al, before - 1)) continue;
            const int al = is_first ? choice.al.value_or(0) : before - 1;
            const Bands bands{
                component, ss, choice.se.value_or(static_cast<uint8_t>(ss)),
                choice.se.value_or(static_cast<uint8_t>(end_of_band))
            };
            const int most_al = is_first && portable_ ? kMaxPortableBandAl : kMaxAl;
            if (al > most_al || bands.first_se < ss || bands.last_se > end_of_band) continue;
            const std::optional<uint8_t> known =
                choice.n_known > 0 ? choice.components[0].ac_slot : std::nullopt;
            for (int slot = 0; slot < kTableSlots; ++slot) {
                if (may_be(known, slot) && fits_band(bands, kind, slot, al, intervals)) return true;
            }
        }
    }
    return false;
}

ScanScript::Intervals ScanScript::intervals_of(int component) const {
    const uint32_t n_blocks = frame_.blocks_wide(component) * frame_.blocks_high(component);
    const uint32_t ri = header_.restart_interval_mcus;
    if (ri == 0 || ri >= n_blocks) return {n_blocks, n_blocks, n_blocks};
    return {n_blocks, ri, n_blocks % ri == 0 ? ri : n_blocks % ri};
}

const BandPaths& ScanScript::paths_of(int slot, const BandRules& rules) {
    auto& paths = paths_[static_cast<size_t>(slot)];
    BandRules& of = rules_[static_cast<size_t>(slot)];
    if (!paths || of != rules) {
        of = rules;
        paths.emplace(*header_.tables.find(TableClass::kAc, slot), rules);
    }
    return *paths;
}

/// For one of the bands every interval of the scan can be coded with the table: by an end of band
/// that fits it, or each block by its last coefficient.
bool ScanScript::fits_band(
    const Bands& bands, ScanKind kind, int slot, int al, const Intervals& intervals
) {
    if (header_.tables.find(TableClass::kAc, slot) == nullptr) return false;
    const bool refines = kind == ScanKind::kAcRefinement;
    const BandPaths& paths =
        paths_of(slot, band_rules(frame_.precision_bits, al, refines, portable_));
    if (paths.least_run() <= intervals.last) return true;
    const int ss = bands.ss;
    if (!refines) {
        const uint64_t lengths = band_mask(bands.first_se - ss + 1, bands.last_se - ss + 1);
        return (paths.finishable() & lengths) != 0;
    }
    // Only blocks whose last coefficient was 0 so far end without an end of band.
    const uint32_t n_blocks = intervals.n_blocks;
    const uint32_t n_without_run =
        paths.least_run() <= intervals.longest ? intervals.last : n_blocks;
    if (n_without_run > kMaxBlocksWithoutRun) return false;
    const CoefficientHistory* history =
        header_.histories[static_cast<size_t>(bands.component)].get();
    for (int se = bands.first_se; se <= bands.last_se; ++se) {
        uint32_t block = n_blocks - n_without_run;
        for (; block < n_blocks; ++block) {
            const uint64_t known = history == nullptr ? 0 : history->of_block(block);
            if (!can_finish_block(paths, known, ss, se)) break;
        }
        if (block == n_blocks) return true;
    }
    return false;
}

}  // namespace pycodec_lm::jpeg
