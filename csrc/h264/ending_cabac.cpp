// The ending of a slice by CABAC: the bins that endings go for, as far as the bits so far leave
// them possible.
#include <algorithm>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "h264/cabac_code_bits.hpp"
#include "h264/cabac_walk.hpp"
#include "h264/cursor.hpp"
#include "h264/emulation_prevention.hpp"

namespace pycodec_lm::h264 {

bool AvcCursor::may_change_ending() const {
    if (grammar_->is_pinned()) return grammar_->has_pinned_cabac;
    const ParameterSets& sets = *context_->sets;
    return std::any_of(sets.pps_ids.begin(), sets.pps_ids.end(), [&](uint8_t id) {
        return sets.pps[id]->entropy_coding_mode_flag;
    });
}

/// The bin that endings go for.
bool AvcCursor::wanted_bin() const {
    const CabacPosition& c = position_.cabac;
    const int32_t value = wanted_bin_value();
    if (c.legal.contains(value)) {
        const BinValues wanted = BinValues::only(value);
        if (c.string.can_be(false, wanted)) return false;
        if (c.string.can_be(true, wanted)) return true;
    }
    return !c.string.can_be(false, c.legal);
}

int32_t AvcCursor::wanted_bin_value() const {
    const Position& p = position_;
    switch (p.at) {
        case Element::kMbSkipFlag:
        case Element::kPrevIntra4x4PredModeFlag:
        case Element::kPrevIntra8x8PredModeFlag:
        case Element::kSignificantCoeffFlag:
        case Element::kLastSignificantCoeffFlag:
            return 1;
        case Element::kEndOfSliceFlag:
            return prefers_another_slice(p.next_mb) ? 1 : 0;
        case Element::kMbType:
            return static_cast<int32_t>(*wanted_value());
        default:
            return 0;
    }
}

namespace {

// Bits that have come may leave the wanted bin only a sliver of its part, and then the next, so
// that a long way is forced. With the other bin all codes are open again: of the first two bins
// that are open, one at the latest has all of its part. So the ending is the shortest of those that
// choose freely in the first two and go for what is wanted from then on. What is left of it behind
// its first byte is again one of those.
constexpr int kMostChoices = 2;
constexpr uint8_t kPlainSample = 128;

}  // namespace

/// The bits from here to rbsp_stop_one_bit, and the cursor behind their last bin.
struct AvcCursor::CodePlan {
    AvcCursor behind;
    std::vector<bool> bits;
    unsigned others = 0;  // bit i: the i-th bin that was open is the other than the wanted one
    int n_choices = 0;    // bins that were open, up to kMostChoices

    /// Takes a bin, which must be possible.
    bool choose(std::optional<unsigned> wanted_others) {
        AvcCursor& at = behind;
        const CabacInterval& interval = at.position_.cabac.interval;
        const bool wanted = at.wanted_bin();
        if (interval.is_full()) return wanted;
        const unsigned set = at.possible_bins();
        if (set != bins::kBoth) return set == bins::kOne;
        if (n_choices == kMostChoices) return wanted;
        const bool is_other =
            wanted_others ? ((*wanted_others >> n_choices) & 1) != 0 : at.opens_all_codes(!wanted);
        others |= is_other ? 1u << n_choices : 0;
        ++n_choices;
        return wanted != is_other;
    }

    /// I_PCM was forced: its samples come, and another code.
    void take_pcm() {
        AvcCursor& at = behind;
        at.position_.bit = bits.size() & 7;
        at.position_.cabac.is_terminated = false;
        at.take_string();
        if (at.position_.at == Element::kPcmAlignmentZeroBit) at.take(0);
        bits.resize((bits.size() + 7) / 8 * 8);
        for (size_t i = 0; i < kPcmSamples; ++i) {
            for (int k = 7; k >= 0; --k) bits.push_back((kPlainSample >> k) & 1);
            at.take(kPlainSample);
        }
    }
};

/// @param before bits of this byte that are decided already
/// @param others as in CodePlan; none for the ones after which all codes are open the soonest
/// @param most_bits of a plan that is wanted
std::optional<AvcCursor::CodePlan> AvcCursor::plan_code(
    const std::vector<bool>& before, std::optional<unsigned> others, size_t most_bits
) const {
    CodePlan plan{.behind = *this, .bits = before};
    plan.behind.is_looking_ahead_ = true;
    Position& p = plan.behind.position_;
    CabacPosition& c = p.cabac;
    while (true) {
        CabacCodeBits code(c.interval);
        while (!c.is_terminated) {
            if (code.bits().size() > most_bits) return std::nullopt;
            const bool bin = plan.choose(others);
            plan.behind.take_bin(bin);
            code.note(c.interval);
        }
        const bool is_slice_over = p.at == Element::kEndOfSliceFlag;
        const auto ending = is_slice_over ? c.interval.ending() : c.interval.any_ending();
        if (!ending) throw std::logic_error("a slice has no ending " + describe());
        const std::vector<bool>& bits = code.end(*ending);
        plan.bits.insert(plan.bits.end(), bits.begin(), bits.end());
        if (is_slice_over) return plan;
        plan.take_pcm();
    }
}

/// Behind the bin any string of bins is possible.
bool AvcCursor::opens_all_codes(bool bin) const {
    const CabacPosition& c = position_.cabac;
    return c.interval.part_of(bin, c.string.ctx_idx(), c.states) == CabacInterval::Part::kAll;
}

/// Of a code before pcm samples that is over but for its last bits.
bool AvcCursor::next_code_bit() const {
    const CabacInterval& interval = position_.cabac.interval;
    const auto ending = interval.any_ending();
    return (ending->bits >> (ending->n_bits - 1)) & 1;
}

/// The bytes up to the end of the slice.
///
/// @param before bits of this byte that are decided already
AvcCursor::SliceEnding AvcCursor::ending_of_slice(const std::vector<bool>& before) const {
    SliceEnding best{.bytes = {}, .n_all = UINT64_MAX};
    const auto try_plan = [&](CodePlan& plan) {
        std::vector<uint8_t> bytes;
        put_escaped(bytes, bytes_of(plan.bits), position_.n_zeros);
        AvcCursor& after = plan.behind;
        after.take_string();
        after.position_.bit = 0;
        after.position_.after_emulation = false;
        after.position_.offset = position_.offset + bytes.size();
        after.end_nal_unit(after.position_.offset);
        const uint64_t n_all = bytes.size() + after.bytes_to_complete();
        if (n_all < best.n_all) best = {.bytes = std::move(bytes), .n_all = n_all};
    };
    std::optional<CodePlan> first = plan_code(before, std::nullopt, SIZE_MAX);
    try_plan(*first);
    const unsigned n_plans = first->n_choices == 0 ? 0 : 1u << kMostChoices;
    for (unsigned others = 0; others < n_plans; ++others) {
        if (others == first->others) continue;
        if (auto plan = plan_code(before, others, 8 * best.n_all)) try_plan(*plan);
    }
    return best;
}

/// Of slice data by CABAC, from a byte boundary on; none where the next byte is not of the code
/// alone.
std::optional<AvcCursor::SliceEnding> AvcCursor::ending_of_slice() const {
    constexpr size_t kZerosAfterEmulation = 6;
    const auto is_in_code = [](const AvcCursor& at) {
        const Position& p = at.position_;
        const bool is_before_pcm = p.cabac.is_terminated && p.at == Element::kMbType;
        return at.is_at_bins() && !is_before_pcm && !at.is_in_pinned_bytes();
    };
    if (!is_in_code(*this)) return std::nullopt;
    if (!position_.after_emulation) return ending_of_slice(std::vector<bool>{});
    AvcCursor at = *this;
    for (size_t i = 0; i < kZerosAfterEmulation; ++i) at.take_bit(false);
    if (!is_in_code(at)) return std::nullopt;
    return at.ending_of_slice(std::vector<bool>(kZerosAfterEmulation));
}

}  // namespace pycodec_lm::h264
