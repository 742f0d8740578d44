#include "jpeg/scan_plan.hpp"

#include <algorithm>

#include "jpeg/band_ending.hpp"
#include "jpeg/band_intervals.hpp"

namespace pycodec_lm::jpeg {
namespace {

// Each coefficient of a band with the longest code and amplitude, or a correction bit.
constexpr uint32_t kMaxBandBits = kBlockSize * (16 + 15);

size_t index_of(const BytePhase& phase) {
    return static_cast<size_t>(phase.n_bits * 2 + (phase.all_ones ? 1 : 0));
}

BytePhase phase_of(size_t index) { return {static_cast<uint8_t>(index / 2), (index & 1) != 0}; }

}  // namespace

/// T.81 A.1.1, A.2.2-A.2.4. Worked example: 36x28 samples, 4:2:0 (2x2, 1x1, 1x1). Interleaved: MCUs
/// of 16x16 samples, 3 wide and 2 high, 6 blocks each. The second component alone: it has 18x14
/// samples, so 3x2 blocks, each an MCU; the first alone has 5x4 blocks.
ScanPlan::ScanPlan(
    const Header& before, std::vector<ScanComponent> components, const ScanParameters& parameters,
    ScanIds* ids
)
    : kind_(kind_of(before.frame, parameters)),
      parameters_(parameters),
      limits_(limits_of(before.frame.precision_bits, parameters.al)),
      components_(std::move(components)),
      restart_interval_mcus_(before.restart_interval_mcus),
      is_open_(before.frame.is_open()) {
    const Frame& frame = before.frame;
    const bool interleaved = components_.size() > 1;
    for (size_t i = 0; i < components_.size(); ++i) {
        ScanComponent& c = components_[i];
        const Component& in_frame = frame.components[c.frame_index];
        c.horizontal_blocks = interleaved ? in_frame.horizontal_sampling : uint8_t{1};
        c.vertical_blocks = interleaved ? in_frame.vertical_sampling : uint8_t{1};
        choose_tables(before, c);
        for (int block = 0; block < c.horizontal_blocks * c.vertical_blocks; ++block) {
            const auto at = static_cast<size_t>(n_blocks_++);
            component_of_block_[at] = static_cast<uint8_t>(i);
            dc_of_block_[at] = c.dc.get();
            ac_of_block_[at] = c.ac.get();
            if (codes_bands(kind_)) {
                max_mcu_bits_ += kMaxBandBits;
            } else if (kind_ == ScanKind::kDcRefinement) {
                ++max_mcu_bits_;
            } else {
                max_mcu_bits_ += c.dc->max_bits_to_finish();
                if (c.ac) max_mcu_bits_ += c.ac->max_bits_to_finish();
            }
        }
    }
    uint32_t mcus_high = 0;
    if (interleaved) {
        mcus_wide_ = divide_up(
            frame.width_px, kBlockSide * static_cast<uint32_t>(frame.max_horizontal_sampling())
        );
        mcus_high = divide_up(
            frame.lines(), kBlockSide * static_cast<uint32_t>(frame.max_vertical_sampling())
        );
    } else {
        mcus_wide_ = frame.blocks_wide(components_[0].frame_index);
        mcus_high = frame.blocks_high(components_[0].frame_index);
    }
    n_mcus_ = mcus_wide_ * mcus_high;
    if (codes_bands(kind_)) {
        const bool refines = kind_ == ScanKind::kAcRefinement;
        const BandRules rules =
            band_rules(frame.precision_bits, parameters.al, refines, parameters.is_portable);
        band_ = BandTable::shared(components_[0].ac, rules);
        if (refines) history_ = before.histories[components_[0].frame_index];
        if (refines && !history_) {
            history_ = std::make_shared<const CoefficientHistory>(nullptr, HistoryLog());
        }
    }
    if (ids != nullptr) id_ = ids->id_of(describe());
}

ScanPlan::~ScanPlan() = default;

ScanKind kind_of(const Frame& frame, const ScanParameters& parameters) {
    if (!frame.is_progressive()) return ScanKind::kSequential;
    const bool refines = parameters.ah != 0;
    if (parameters.ss == 0) return refines ? ScanKind::kDcRefinement : ScanKind::kDcFirst;
    return refines ? ScanKind::kAcRefinement : ScanKind::kAcFirst;
}

void ScanPlan::choose_tables(const Header& before, ScanComponent& c) const {
    // A view for another precision is kept alive by the table that it is a part of.
    const auto at_precision = [&](const std::shared_ptr<const HuffmanTable>& table) {
        const HuffmanTable& view = table->at_precision(before.frame.precision_bits);
        return std::shared_ptr<const HuffmanTable>(table, &view);
    };
    if (has_dc_codes()) {
        const auto& table = before.tables.share(TableClass::kDc, c.dc_slot);
        c.dc = parameters_.al == 0 ? at_precision(table) : table->with_limits(limits_);
    }
    if (kind_ == ScanKind::kSequential) {
        c.ac = at_precision(before.tables.share(TableClass::kAc, c.ac_slot));
    } else if (codes_bands(kind_)) {
        c.ac = before.tables.share(TableClass::kAc, c.ac_slot);
    }
}

uint32_t ScanPlan::least_interval_mcus() const {
    const uint32_t ri = restart_interval_mcus_;
    if (ri == 0 || ri >= n_mcus_) return n_mcus_;
    return n_mcus_ % ri == 0 ? ri : n_mcus_ % ri;
}

const BandEnding& ScanPlan::band_ending() const {
    std::call_once(band_ending_once_, [this] {
        const int n_in_block = parameters_.se - parameters_.ss + 1;
        band_ending_ = BandEnding::shared(band_, n_in_block, interval_length_mcus(0));
    });
    return *band_ending_;
}

Corrections ScanPlan::corrections_from(uint32_t block) const {
    if (kind_ != ScanKind::kAcRefinement) return {};
    return Corrections(*history_, parameters_, block);
}

bool ScanPlan::ends_by_runs() const {
    return ends_by_runs_.get([this] {
        return band_ending().ends_by_runs(interval_length_mcus(0)) &&
               band_ending().ends_by_runs(least_interval_mcus());
    });
}

uint16_t ScanIds::id_of(const std::string& description) {
    const std::lock_guard lock(mutex_);
    if (const auto found = ids_.find(description); found != ids_.end()) return found->second;
    if (ids_.size() >= kMaxIds) return kNone;
    const auto id = static_cast<uint16_t>(ids_.size() + 1);
    ids_.emplace(description, id);
    return id;
}

/// All that decides, beside the place in the scan, what its bits may be.
std::string ScanPlan::describe() const {
    std::string text = std::to_string(restart_interval_mcus_);
    for (const int value :
         {static_cast<int>(kind_), limits_.max_dc_category, limits_.max_ac_size,
          static_cast<int>(parameters_.ss), static_cast<int>(parameters_.se)}) {
        text.push_back(static_cast<char>(value));
    }
    for (const ScanComponent& c : components_) {
        text.push_back(static_cast<char>(c.horizontal_blocks * c.vertical_blocks));
        for (const HuffmanTable* table : {c.dc.get(), c.ac.get()}) {
            if (table == nullptr) continue;
            text.append(table->bits().begin(), table->bits().end());
            for (const HuffmanTable::Leaf& leaf : table->leaves()) {
                text.push_back(static_cast<char>(leaf.symbol));
            }
        }
    }
    return text;
}

uint32_t ScanPlan::interval_length_mcus(uint32_t first_mcu) const {
    const uint32_t left = n_mcus_ - first_mcu;
    return restart_interval_mcus_ == 0 ? left : std::min<uint32_t>(left, restart_interval_mcus_);
}

uint32_t ScanPlan::cheapest_dc_bits(int size, int predictor) const {
    const int half = 1 << (size - 1);
    const int cell = (predictor - limits_.min_dc) / half;
    // +half is spelled 10..0, -half is 01..1 (T.81 F.1.2.1, Figure F.12).
    return static_cast<uint32_t>(cell % 2 == 0 ? half : half - 1);
}

unsigned ScanPlan::parities_of(const Predictors& predictors) const {
    unsigned parities = 0;
    for (size_t i = 0; has_dc_codes() && i < components_.size(); ++i) {
        const HuffmanTable& dc = *components_[i].dc;
        const int size = dc.leaf(dc.cheapest_leaf(0, 0)).symbol;
        if (size == 0) continue;
        const int cell = (predictors[i] - limits_.min_dc) / (1 << (size - 1));
        parities |= static_cast<unsigned>(cell & 1) << i;
    }
    return parities;
}

/// The bits of one cheapest MCU as a step on byte phases.
ScanPlan::Step ScanPlan::cheapest_mcu(unsigned parities, uint32_t* n_bits) const {
    std::vector<bool> bits;
    const auto append = [&bits](uint32_t value, int n) {
        for (int i = n - 1; i >= 0; --i) bits.push_back((value >> i) & 1);
    };
    for (int block = 0; block < n_blocks_; ++block) {
        if (kind_ == ScanKind::kDcRefinement) {
            append(0, 1);
            continue;
        }
        const HuffmanTable& dc = dc_table(block);
        const auto& dc_leaf = dc.leaf(dc.cheapest_leaf(0, 0));
        append(dc_leaf.code, dc_leaf.length_bits);
        if (const int size = dc_leaf.symbol; size > 0) {
            const unsigned mine = 1u << component_of_block(block);
            const int half = 1 << (size - 1);
            append(static_cast<uint32_t>((parities & mine) == 0 ? half : half - 1), size);
            parities ^= mine;
        }
        if (kind_ == ScanKind::kDcFirst) continue;
        const HuffmanTable& ac = ac_table(block);
        for (int k = 1; k < kBlockSize;) {
            const auto& leaf = ac.leaf(ac.cheapest_leaf(0, k));
            append(leaf.code, leaf.length_bits);
            append(0, size_of(leaf.symbol));
            k = HuffmanTable::next_coefficient(leaf.symbol, k);
        }
    }
    Step step;
    for (size_t from = 0; from < 16; ++from) {
        BytePhase phase = phase_of(from);
        for (const bool bit : bits) step.n_stuffed[from] += phase.add(bit);
        step.to[from] = static_cast<uint8_t>(index_of(phase));
    }
    *n_bits = static_cast<uint32_t>(bits.size());
    return step;
}

void ScanPlan::build_ending(Ending& ending) const {
    unsigned free_parities = 0;
    for (size_t i = 0; has_dc_codes() && i < components_.size(); ++i) {
        const ScanComponent& c = components_[i];
        if (c.dc->leaf(c.dc->cheapest_leaf(0, 0)).symbol == 0) continue;
        free_parities |= 1u << i;
        if ((c.horizontal_blocks * c.vertical_blocks) % 2 == 1) ending.toggles |= 1u << i;
    }
    for (unsigned parities = 0; parities < 16; ++parities) {
        if ((parities & ~free_parities) != 0) continue;
        ending.steps[parities].push_back(cheapest_mcu(parities, &ending.mcu_bits));
    }
    for (unsigned j = 0; (uint64_t{2} << j) <= n_mcus_; ++j) {
        for (unsigned parities = 0; parities < 16; ++parities) {
            if (ending.steps[parities].empty()) continue;
            // After 2^j MCUs the parities have changed for j = 0 only.
            const Step first = ending.steps[parities][j];
            const Step second = ending.steps[j == 0 ? parities ^ ending.toggles : parities][j];
            Step both;
            for (size_t from = 0; from < 16; ++from) {
                both.to[from] = second.to[first.to[from]];
                both.n_stuffed[from] = first.n_stuffed[from] + second.n_stuffed[first.to[from]];
            }
            ending.steps[parities].push_back(both);
        }
    }
}

const ScanPlan::Ending& ScanPlan::ending() const {
    std::call_once(ending_once_, [this] { build_ending(ending_); });
    return ending_;
}

uint32_t ScanPlan::cheapest_mcu_bits() const { return ending().mcu_bits; }

uint64_t ScanPlan::stuffed_bytes(
    uint64_t n_mcus, const Predictors& predictors, BytePhase& phase
) const {
    const Ending& ending = this->ending();
    unsigned parities = parities_of(predictors);
    uint64_t n_stuffed = 0;
    size_t at = index_of(phase);
    for (size_t j = 0; (n_mcus >> j) != 0; ++j) {
        if (((n_mcus >> j) & 1) == 0) continue;
        const Step& step = ending.steps[parities][j];
        n_stuffed += step.n_stuffed[at];
        at = step.to[at];
        if (j == 0) parities ^= ending.toggles;
    }
    phase = phase_of(at);
    return n_stuffed;
}

uint64_t ScanPlan::most_stuffed_bytes(uint64_t n_mcus) const {
    const Ending& ending = this->ending();
    uint64_t most = 0;
    for (unsigned start = 0; start < 16; ++start) {
        if (ending.steps[start].empty()) continue;
        for (size_t from = 0; from < 16; ++from) {
            unsigned parities = start;
            uint64_t n_stuffed = 0;
            size_t at = from;
            for (size_t j = 0; (n_mcus >> j) != 0; ++j) {
                if (((n_mcus >> j) & 1) == 0) continue;
                const Step& step = ending.steps[parities][j];
                n_stuffed += step.n_stuffed[at];
                at = step.to[at];
                if (j == 0) parities ^= ending.toggles;
            }
            most = std::max(most, n_stuffed);
        }
    }
    return most;
}

uint64_t ScanPlan::interval_bytes(uint64_t n_mcus) const {
    BytePhase phase;
    uint64_t n_stuffed = stuffed_bytes(n_mcus, Predictors{}, phase);
    while (phase.n_bits != 0) n_stuffed += phase.add(true);
    return (n_mcus * cheapest_mcu_bits() + 7) / 8 + n_stuffed;
}

uint64_t ScanPlan::whole_interval_bytes() const {
    return whole_interval_bytes_.get([this]() -> uint64_t {
        if (restart_interval_mcus_ == 0 || restart_interval_mcus_ >= n_mcus_) return 0;
        return kRestartMarkerBytes + interval_bytes(restart_interval_mcus_);
    });
}

uint64_t ScanPlan::later_intervals_bytes(uint32_t first_mcu) const {
    if (first_mcu >= n_mcus_) return 0;
    const uint32_t left = n_mcus_ - first_mcu;
    const uint32_t n_full = left / restart_interval_mcus_;
    const uint32_t rest = left % restart_interval_mcus_;
    uint64_t n_bytes = 0;
    if (n_full > 0)
        n_bytes += n_full * (kRestartMarkerBytes + interval_bytes(restart_interval_mcus_));
    if (rest > 0) n_bytes += kRestartMarkerBytes + interval_bytes(rest);
    return n_bytes;
}

uint64_t ScanPlan::bytes_after_scan(const std::function<uint64_t()>& compute) const {
    return bytes_after_.get(compute);
}

const LaterScans& ScanPlan::later_scans(const std::function<LaterScans()>& compute) const {
    return later_scans_.get(compute);
}

}  // namespace pycodec_lm::jpeg
