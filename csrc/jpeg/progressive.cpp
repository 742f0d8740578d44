// Entropy-coded data of progressive scans that code bands, bit by bit: T.81 G.1.2.2 and G.1.2.3,
// Figures G.3 to G.9. Scans of DC coefficients are in entropy_coded.cpp.
#include <algorithm>
#include <bit>

#include "jpeg/band_ending.hpp"
#include "jpeg/cursor.hpp"

namespace pycodec_lm::jpeg {

/// A new interval: which of its last blocks need no end of band.
void JpegCursor::begin_band_interval() {
    Position& p = position_;
    const ScanPlan& plan = this->plan();
    const BandPaths& paths = plan.band().paths();
    const ScanParameters& scan = plan.parameters();
    p.end_of_band_run = 0;
    p.tail_blocks = 0;
    if (plan.kind() == ScanKind::kAcFirst) {
        constexpr uint32_t kAll = std::numeric_limits<uint32_t>::max();
        if (paths.can_finish(scan.se - scan.ss + 1)) p.tail_blocks = kAll;
    } else if (paths.least_run() > 1) {
        // Where a run fits nothing hangs on more blocks.
        const uint32_t most = std::min(paths.least_run(), p.interval_left_mcus);
        const uint32_t end = p.mcu + p.interval_left_mcus;
        while (p.tail_blocks < most) {
            const uint64_t known = plan.history().of_block(end - 1 - p.tail_blocks);
            if (!can_finish_block(paths, known, scan.ss, scan.se)) break;
            ++p.tail_blocks;
        }
    }
    begin_band_block();
}

void JpegCursor::begin_band_block() {
    Position& p = position_;
    const ScanPlan& plan = this->plan();
    p.k = plan.parameters().ss;
    p.node = 0;
    p.new_coefficients = 0;
    p.at = Element::kAcCode;
    if (plan.kind() == ScanKind::kAcFirst) return;
    const auto blocks = plan.history().blocks();
    while (p.history_index < blocks.size() && blocks[p.history_index] < p.mcu) ++p.history_index;
    const bool is_known = p.history_index < blocks.size() && blocks[p.history_index] == p.mcu;
    p.known_coefficients = is_known ? plan.history().coefficients()[p.history_index] : 0;
    if (p.end_of_band_run > 0) pass_coefficients();
}

void JpegCursor::end_band_block() {
    Position& p = position_;
    if (p.new_coefficients != 0) {
        if (p.keeps_history) p.history_log.add(p.mcu, p.new_coefficients);
        p.new_coefficients = 0;
    }
    if (p.end_of_band_run > 0) --p.end_of_band_run;
    skip_blocks(1);
    if (p.end_of_band_run > 0) {
        // To the next block that has something to correct.
        const uint32_t n = std::min<uint32_t>(p.end_of_band_run, n_blocks_without_corrections());
        p.end_of_band_run = static_cast<uint16_t>(p.end_of_band_run - n);
        skip_blocks(n);
    }
    if (p.interval_left_mcus > 0) return begin_band_block();
    p.k = 0;
    if (p.bit != 0) return expect(Element::kPadding);
    end_interval();
}

void JpegCursor::skip_blocks(uint32_t n) {
    position_.mcu += n;
    position_.interval_left_mcus -= n;
}

/// From the block that would begin next on; none is counted twice, since the index only grows.
uint32_t JpegCursor::n_blocks_without_corrections() {
    Position& p = position_;
    const ScanPlan& plan = this->plan();
    if (plan.kind() == ScanKind::kAcFirst) return std::numeric_limits<uint32_t>::max();
    const auto blocks = plan.history().blocks();
    const auto coefficients = plan.history().coefficients();
    const uint64_t band = band_mask(plan.parameters().ss, plan.parameters().se);
    while (p.history_index < blocks.size() &&
           (blocks[p.history_index] < p.mcu || (coefficients[p.history_index] & band) == 0)) {
        ++p.history_index;
    }
    if (p.history_index == blocks.size()) return std::numeric_limits<uint32_t>::max();
    return blocks[p.history_index] - p.mcu;
}

int JpegCursor::band_left() const {
    const Position& p = position_;
    const ScanParameters& scan = plan().parameters();
    if (plan().kind() == ScanKind::kAcFirst) return scan.se + 1 - p.k;
    if (p.k > scan.se) return 0;
    return std::popcount(band_mask(p.k, scan.se) & ~p.known_coefficients);
}

/// Whether the last blocks of the interval can be ended when all before them have been.
bool JpegCursor::can_leave_blocks(uint32_t n) const {
    return n <= position_.tail_blocks || n >= plan().band().paths().least_run();
}

BandTable::Way JpegCursor::band_way() const {
    const Position& p = position_;
    if (p.interval_left_mcus < plan().band().paths().least_run()) return BandTable::kByCoding;
    if (is_last_known() || can_leave_blocks(p.interval_left_mcus - 1)) return BandTable::kEither;
    return BandTable::kByRun;
}

/// T.81 G.1.2.2: runs of EOBn that stay in the interval and strand none of its blocks, as R - 2^n.
ValueSet JpegCursor::legal_run_bits(int n) const {
    const Position& p = position_;
    const uint32_t left = p.interval_left_mcus;
    const uint32_t first = 1u << n;
    const uint32_t last = std::min(2 * first - 1, left);
    ValueSet set;
    if (last < first) return set;
    // left - R is at most the tail, or at least the shortest run.
    const uint32_t tail = p.tail_blocks;
    const uint32_t least_run = plan().band().paths().least_run();
    const uint32_t least_of_tail = left > tail ? std::max(first, left - tail) : first;
    if (least_of_tail <= last) set.add(least_of_tail - first, last - first);
    if (left >= least_run) {
        const uint32_t most = std::min({last, left - least_run, least_of_tail - 1});
        if (most >= first) set.add(0, most - first);
    }
    return set;
}

/// Bit n: EOBn may come.
uint16_t JpegCursor::legal_runs() const {
    const Position& p = position_;
    const uint32_t least_run = plan().band().paths().least_run();
    constexpr uint16_t kAll = 0x7FFF;
    constexpr uint32_t kMaxRun = 0x7FFF;
    if (least_run == 1 || p.interval_left_mcus >= uint64_t{kMaxRun} + least_run) {
        const auto width = static_cast<int>(std::bit_width(p.interval_left_mcus));
        return width >= 15 ? kAll : static_cast<uint16_t>((1u << width) - 1);
    }
    unsigned runs = 0;
    for (int n = 0; n < 15; ++n) {
        if (legal_run_bits(n).lowest_in(0, kMaxRun)) runs |= 1u << n;
    }
    return static_cast<uint16_t>(runs);
}

bool JpegCursor::is_legal_in_band(uint8_t symbol) const {
    if (is_end_of_band(symbol)) return (legal_runs() >> run_of(symbol)) & 1;
    return plan().band().is_legal(symbol, band_left(), band_way());
}

void JpegCursor::take_band_symbol(uint8_t symbol) {
    Position& p = position_;
    p.symbol = symbol;
    if (is_end_of_band(symbol)) {
        if (observer_ != nullptr) observer_->ac(plan(), 0, p.mcu, p.k, symbol, 0);
        if (run_of(symbol) == 0) return take_run_bits(0);
        return expect(Element::kEobBits);
    }
    if (plan().kind() == ScanKind::kAcRefinement) {
        p.zeros_to_pass = static_cast<uint8_t>(run_of(symbol));
        if (size_of(symbol) > 0) return expect(Element::kAcBits);
        if (observer_ != nullptr) observer_->ac(plan(), 0, p.mcu, p.k, symbol, 0);
        return pass_coefficients();
    }
    if (size_of(symbol) > 0) {
        p.k = static_cast<uint8_t>(p.k + run_of(symbol));
        return expect(Element::kAcBits);
    }
    if (observer_ != nullptr) observer_->ac(plan(), 0, p.mcu, p.k, symbol, 0);
    p.k = static_cast<uint8_t>(p.k + 16);
    expect(Element::kAcCode);
}

/// The bits after EOBn.
void JpegCursor::take_run_bits(uint32_t value) {
    Position& p = position_;
    p.end_of_band_run = static_cast<uint16_t>((1u << run_of(p.symbol)) + value);
    if (plan().kind() == ScanKind::kAcRefinement) return pass_coefficients();
    end_band_block();
}

/// The amplitude of a coefficient.
void JpegCursor::take_band_amplitude(uint32_t bits) {
    Position& p = position_;
    if (plan().kind() == ScanKind::kAcRefinement) {
        p.is_negative = bits == 0;
        return pass_coefficients();
    }
    if (observer_ != nullptr) {
        observer_->ac(plan(), 0, p.mcu, p.k, p.symbol, extend(bits, size_of(p.symbol)));
    }
    p.new_coefficients |= uint64_t{1} << p.k;
    if (++p.k > plan().parameters().se) return end_band_block();
    expect(Element::kAcCode);
}

/// T.81 Figure G.7, the way from a symbol's bits to the next symbol: over zeros that its run
/// counts, and over coefficients known not to be 0, each with a correction bit.
void JpegCursor::pass_coefficients() {
    Position& p = position_;
    for (const int se = plan().parameters().se; p.k <= se; ++p.k) {
        if ((p.known_coefficients >> p.k) & 1) return expect(Element::kCorrectionBit);
        if (p.end_of_band_run > 0) continue;
        if (p.zeros_to_pass > 0) {
            --p.zeros_to_pass;
            continue;
        }
        // The place of the new coefficient, or of the sixteenth zero.
        if (size_of(p.symbol) > 0) {
            p.new_coefficients |= uint64_t{1} << p.k;
            if (observer_ != nullptr) {
                observer_->ac(plan(), 0, p.mcu, p.k, p.symbol, p.is_negative ? -1 : 1);
            }
        }
        if (++p.k > se) return end_band_block();
        return expect(Element::kAcCode);
    }
    end_band_block();
}

void JpegCursor::take_correction_bit(uint32_t bit) {
    Position& p = position_;
    if (observer_ != nullptr) observer_->correction(plan(), 0, p.mcu, p.k, bit != 0);
    ++p.k;
    pass_coefficients();
}

/// Why none of the symbols that go on from a bit may come: the first of them says it.
Status JpegCursor::reject_band_symbol(uint8_t symbol) const {
    const Position& p = position_;
    const BandTable& band = plan().band();
    Status status{.element = p.at};
    const auto because = [&status](Code code, int64_t value, int64_t limit) {
        status.code = code;
        status.value = static_cast<int32_t>(value);
        status.limit = static_cast<int32_t>(std::min<int64_t>(limit, INT32_MAX));
        return status;
    };
    if (is_end_of_band(symbol)) {
        const int64_t least = int64_t{1} << run_of(symbol);
        if (least > p.interval_left_mcus)
            return because(Code::kEobRun, least, p.interval_left_mcus);
        return because(Code::kAcDeadEnd, symbol, 0);
    }
    const int n_left = band_left();
    const int n_taken = symbol == kZeroRunLength ? 16 : run_of(symbol) + 1;
    if (plan().kind() == ScanKind::kAcRefinement) {
        if (size_of(symbol) > 1) return because(Code::kRefinementSize, size_of(symbol), 1);
        if (n_taken + (symbol == kZeroRunLength ? 1 : 0) > n_left) {
            return because(Code::kRefinementRun, n_taken - (size_of(symbol) > 0 ? 1 : 0), n_left);
        }
        return because(Code::kAcDeadEnd, symbol, 0);
    }
    if (size_of(symbol) > band.rules().max_size) {
        if (size_of(symbol) <= plan().limits().max_ac_size) {
            return because(Code::kNotInGrammar, symbol, 0);
        }
        return because(Code::kAcSize, size_of(symbol), band.rules().max_size);
    }
    const int se = plan().parameters().se;
    const int last = p.k + run_of(symbol);
    if (symbol == kZeroRunLength && n_left < 17) return because(Code::kAcZrlPastEnd, last, se);
    if (last > se) return because(Code::kAcRunPastEnd, last, se);
    return because(Code::kAcDeadEnd, symbol, 0);
}

}  // namespace pycodec_lm::jpeg
