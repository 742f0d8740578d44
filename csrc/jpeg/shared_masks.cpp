// Which states of a scan accept the same bytes, and which end alike: the hooks of
// grammar/cursor_hooks.hpp.
#include <algorithm>
#include <bit>
#include <iterator>
#include <limits>

#include "jpeg/cursor.hpp"
#include "jpeg/markers.hpp"

namespace pycodec_lm::jpeg {
/// Packs fields into 64 bits, lowest first.
class Packer {
public:
    void add(uint64_t value, unsigned n_bits) {
        word_ |= value << n_used_;
        n_used_ += n_bits;
    }
    uint64_t word() const { return word_; }

private:
    uint64_t word_ = 0;
    unsigned n_used_ = 0;
};

namespace {

constexpr uint64_t kFar = 0xFFFF;  // more MCUs than can be reached
constexpr uint16_t kMaxChunkInKey = (1u << 12) - 1;

/// States at coefficients from one of these up to the next share far masks. Steps grow smaller
/// towards the end of a block, where more tokens reach it: few nodes hang on the exact coefficient.
constexpr std::array<uint8_t, 7> kFirstOfLeads{1, 32, 48, 56, 60, 62, 63};

}  // namespace

/// A scan goes on up to a marker that is no RST.
uint64_t JpegCursor::unit_bytes(std::string_view token) {
    for (size_t i = 0; i + 1 < token.size(); ++i) {
        if (static_cast<uint8_t>(token[i]) != marker::kPrefix) continue;
        const auto next = static_cast<uint8_t>(token[i + 1]);
        if (next != 0 && next != marker::kPrefix && !marker::is_restart(next)) return i + 1;
    }
    return token.size();
}

std::optional<StateKey> JpegCursor::local_key(TokenReach token_reach) const {
    const Position& p = position_;
    const bool in_text = p.at == Element::kCmi || p.at == Element::kApi;
    if (in_text && p.segment_left >= token_reach.n_bytes && !grammar_->is_pinned()) {
        Packer text;
        text.add(static_cast<uint64_t>(p.at), 8);
        text.add(p.index, 1);  // the first byte of a segment has rules of its own
        text.add(is_portable_after_scan() ? 1 : 0, 1);
        return StateKey{.high = 0, .low = text.word() << 16};
    }
    // What a band may be hangs on how many blocks are left, and on those that came before.
    if (!p.in_scan || p.in_band || plan().is_open() || plan().id() == ScanIds::kNone) {
        return std::nullopt;
    }
    // MCUs that the bytes can touch: the one begun, and as many of the cheapest as fit.
    uint64_t reach = 8 * token_reach.n_unit_bytes / plan().cheapest_mcu_bits() + 2;
    if (const uint64_t interval_bytes = plan().whole_interval_bytes(); interval_bytes > 0) {
        const uint64_t n_intervals = token_reach.n_unit_bytes / interval_bytes + 2;
        reach = std::min(reach, plan().restart_interval_mcus() * n_intervals);
    }
    if (reach >= kFar) return std::nullopt;
    uint64_t interval_left = p.restart_due ? 0 : p.interval_left_mcus;
    uint64_t after_interval = plan().n_mcus() - p.mcu - interval_left;
    uint8_t restart_number = p.restart_number;
    uint64_t chunk = 0;
    uint64_t owner = 0;
    if (interval_left > reach) {
        interval_left = kFar;
        after_interval = kFar;
        restart_number = 0;
    } else if (after_interval > reach) {
        after_interval = kFar;
    } else if (!only_end_follows()) {
        // The scan may end, and then follows what is pinned, or much.
        if (!grammar_->is_pinned() || p.pinned_chunk >= kMaxChunkInKey) return std::nullopt;
        chunk = p.pinned_chunk + uint64_t{1};
        owner = header_->histories_number;
    }
    Packer low;
    Packer high;
    add_place(low, high, p.k);
    low.add(restart_number, 3);
    low.add(0, 1);  // no far key
    low.add(chunk, 12);
    high.add(interval_left, 16);
    high.add(after_interval, 16);
    return StateKey{.high = high.word(), .low = low.word(), .owner = owner};
}

/// How many coefficients a state of a sequential scan is past the one that its far key stands for.
uint32_t JpegCursor::lead() const {
    const Position& p = position_;
    const bool is_in_block = p.at == Element::kAcCode || p.at == Element::kAcBits;
    if (!is_in_block || p.in_band) return 0;
    return p.k - *std::prev(std::ranges::upper_bound(kFirstOfLeads, p.k));
}

/// Where the cursor stands in an MCU: 32 bits of `high`, 45 of `low`.
void JpegCursor::add_place(Packer& low, Packer& high, uint32_t k) const {
    const Position& p = position_;
    const bool has_size =
        p.at == Element::kDcBits || p.at == Element::kAcBits || p.at == Element::kEobBits;
    // The bits of an AC coefficient are free: it only matters how many are left.
    const bool is_free = p.at == Element::kAcBits;
    const int n_bits = field_bits() - (is_free ? p.n_partial : 0);
    low.add(plan().id(), 16);
    low.add(static_cast<uint64_t>(p.at), 8);
    low.add(p.block, 4);
    low.add(k, 7);
    low.add(is_free ? 0 : p.n_partial, 5);
    // A run has done its work when the amplitude is read; then only the size matters.
    low.add(has_size ? static_cast<uint64_t>(n_bits) : 0, 4);
    low.add(p.stuffing_due ? 1 : 0, 1);
    high.add(is_free ? 0 : p.partial, 16);
    high.add(p.node, 16);
}

std::optional<FarKey> JpegCursor::far_key() const {
    const Position& p = position_;
    if (!p.in_scan || plan().is_open() || p.restart_due || plan().id() == ScanIds::kNone ||
        p.interval_left_mcus == 0) {
        return std::nullopt;
    }
    // What a refinement may be hangs on what is known of the blocks.
    if (plan().kind() == ScanKind::kAcRefinement) return std::nullopt;
    Packer low;
    Packer high;
    const uint32_t n_past = lead();
    add_place(low, high, p.k - n_past);
    low.add(0, 3);
    low.add(1, 1);
    return FarKey{{.high = high.word(), .low = low.word()}, {p.interval_left_mcus, n_past}};
}

static_assert(static_cast<unsigned>(Element::kEnd) < 1u << 6, "keys give an element six bits");

std::optional<StateKey> JpegCursor::ending_key() const {
    if (!position_.in_scan) return header_ending_key();
    return position_.in_band ? band_ending_key() : scan_ending_key();
}

/// Where a marker is due, and inside the segments that have long contents: what was read of those
/// does not matter, only how much is left.
std::optional<StateKey> JpegCursor::header_ending_key() const {
    const Position& p = position_;
    if (grammar_->is_pinned()) {
        return StateKey{
            .high = uint64_t{1} << 63 | uint64_t{p.pinned_chunk} << 32 | p.pinned_index,
            .low = p.stuffing_due ? uint64_t{1} << 1 : 0,
            .owner = header_->histories_number,
        };
    }
    Packer low;
    low.add(0, 1);                       // no scan
    low.add(p.stuffing_due ? 1 : 0, 1);  // of the last byte of the last one
    switch (p.at) {
        case Element::kMarkerPrefix:
        case Element::kMarker:
            break;
        case Element::kApi:
        case Element::kCmi:
            low.add(p.index, 1);  // the first byte of an APPn segment has rules of its own
            break;
        case Element::kQk:
            low.add(p.index, 6);
            low.add(p.slot, 2);
            low.add(p.precision_bits, 5);
            low.add(p.n_partial, 4);
            low.add(p.partial, 8);
            break;
        default:
            return std::nullopt;
    }
    low.add(p.segment_left, 16);
    low.add(static_cast<uint64_t>(p.at), 6);
    return StateKey{.low = low.word(), .owner = header_->serial_number.value()};
}

std::optional<StateKey> JpegCursor::scan_ending_key() const {
    const Position& p = position_;
    if (plan().is_open() || plan().id() == ScanIds::kNone) return std::nullopt;
    // The ending looks at no more of the predictors than their parities, except where it goes on
    // with a DC difference of a size of its own.
    if (p.at == Element::kDcBits) return std::nullopt;
    if (p.at == Element::kDcCode) {
        const HuffmanTable& table = huffman_table();
        const uint8_t symbol = table.leaf(table.cheapest_leaf(p.node, 0)).symbol;
        if (symbol != 0 && symbol != table.leaf(table.cheapest_leaf(0, 0)).symbol)
            return std::nullopt;
    }
    Packer low;
    low.add(1, 1);  // in a scan
    low.add(plan().id(), 16);
    low.add(static_cast<uint64_t>(p.at), 6);
    low.add(p.block, 4);
    low.add(p.k, 7);
    low.add(p.n_partial, 5);
    low.add(p.stuffing_due ? 1 : 0, 1);
    low.add(p.restart_due ? 1 : 0, 1);
    low.add(p.restart_number, 3);
    low.add(plan().parities_of(p.predictors), 4);
    low.add(plan().restart_interval_mcus() == 0 ? 0 : p.interval_left_mcus, 16);
    Packer high;
    high.add(plan().n_mcus() - p.mcu, 32);
    high.add(p.partial, 16);
    // Inside a code the node counts, behind it the size that the symbol gave.
    high.add(p.at == Element::kAcBits ? p.symbol : p.node, 16);
    // Behind the last scan come EOI or pinned bytes; behind others, what this header needs.
    const uint64_t owner = only_end_follows() ? 0 : header_->serial_number.value();
    return StateKey{.high = high.word(), .low = low.word(), .owner = owner};
}

/// Nothing of the coefficients that the scan adds matters where no later scan refines them.
std::optional<StateKey> JpegCursor::band_ending_key() const {
    const Position& p = position_;
    const LaterScans& later = plan().later_scans([this] { return later_scans(); });
    const bool adds_none = p.history_log.is_empty() && p.new_coefficients == 0;
    if (!later.is_known || !(later.refinements.empty() || adds_none)) return std::nullopt;
    Packer low;
    low.add(1, 1);  // in a scan, the one of the header
    low.add(static_cast<uint64_t>(p.at), 6);
    low.add(p.k, 7);
    low.add(p.n_partial, 5);
    low.add(p.symbol, 8);
    low.add(p.end_of_band_run, 15);
    low.add(p.zeros_to_pass, 5);
    low.add(p.is_negative ? 1 : 0, 1);
    low.add(p.stuffing_due ? 1 : 0, 1);
    low.add(p.restart_due ? 1 : 0, 1);
    low.add(p.restart_number, 3);
    Packer high;
    high.add(p.mcu, 32);
    high.add(p.partial, 16);
    high.add(p.node, 16);
    return StateKey{
        .high = high.word(), .low = low.word(), .owner = header_->serial_number.value()
    };
}

std::array<int32_t, JpegCursor::kCounters> JpegCursor::counters() const {
    std::array<int32_t, kCounters> values{};
    std::copy(position_.predictors.begin(), position_.predictors.end(), values.begin());
    return values;
}

JpegCursor::Walker JpegCursor::walker() const { return Walker(*this); }

JpegCursor::Walker::Walker(const JpegCursor& cursor) : cursor_(cursor) {
    cursor_.observer_ = nullptr;
    cursor_.position_.predictors = {};
    cursor_.position_.predictors_are_relative = true;
}

bool JpegCursor::Walker::accept(uint8_t byte) {
    if (!cursor_.accept(byte)) return false;
    const auto all = ranges();
    if (!cursor_.header_->scan) return true;
    const SampleLimits& limits = cursor_.plan().limits();
    return std::none_of(all.begin(), all.end(), [&](CounterRange range) {
        range.narrow(limits.min_dc, limits.max_dc);
        return range.first > range.last;
    });
}

JpegCursor::FarWalker JpegCursor::far_walker() const { return FarWalker(*this); }

JpegCursor::FarWalker::FarWalker(const JpegCursor& cursor)
    : walker_(cursor), first_mcu_(cursor.position_.mcu) {
    Position& p = walker_.cursor_.position_;
    // Fewer than BandPaths::kNever.
    p.interval_left_mcus = std::numeric_limits<uint32_t>::max() - 1;
    p.keeps_history = false;
    p.k = static_cast<uint8_t>(p.k - cursor.lead());
    const auto next = std::ranges::upper_bound(kFirstOfLeads, p.k);
    n_leads_ = (next == kFirstOfLeads.end() ? kBlockSize : *next) - p.k;
    // Where there are several, the end of an amplitude that is begun ends no block.
    p.notes_lead = n_leads_ > 1;
}

WalkScope JpegCursor::FarWalker::scope() const {
    const uint8_t least_other = walker_.cursor_.position_.least_other_lead;
    return {n_ended(), least_other < n_leads_ ? least_other : WalkScope::kNoLead};
}

uint32_t JpegCursor::FarWalker::n_ended() const {
    const JpegCursor& cursor = walker_.cursor_;
    return cursor.position_.mcu - first_mcu_ + (cursor.position_.in_band ? cursor.band_reach() : 0);
}

/// Of a first scan: blocks that must be left, this one not counted, or the bits so far could not go
/// on as they do far from the end of the interval.
uint32_t JpegCursor::band_reach() const {
    const Position& p = position_;
    const BandPaths& paths = plan().band().paths();
    const bool strands_none = paths.least_run() == 1 || paths.least_run() == BandPaths::kNever;
    const uint32_t margin = strands_none ? 0 : paths.least_run();
    const auto of_run = [margin](uint32_t n_blocks) { return n_blocks - 1 + margin; };
    if (p.at == Element::kEobBits) {
        const int n = run_of(p.symbol);
        return of_run((1u << n) + (p.partial << (n - p.n_partial)));
    }
    if (p.at != Element::kAcCode) return margin;
    const BandTable::Node& node = plan().band().node(p.node);
    if (((node.legal[band_way()] >> band_left()) & 1) != 0 || node.runs == 0) return margin;
    return of_run(1u << std::countr_zero(node.runs));
}

bool JpegCursor::FarWalker::accept(uint8_t byte) {
    JpegCursor& cursor = walker_.cursor_;
    const uint64_t offset = cursor.offset();
    if (walker_.accept(byte)) return true;
    // Where the bits refuse the byte, not the predictors: as far as they go, for n_ended().
    if (cursor.offset() == offset && !cursor.is_stuffing_due()) {
        for (int n_left = 8, n = 1; n_left > 0 && n > 0; n_left -= n)
            n = cursor.take_bits(byte & ((1u << n_left) - 1), n_left);
    }
    return false;
}

std::array<CounterRange, JpegCursor::kCounters> JpegCursor::Walker::ranges() const {
    const Position& p = cursor_.position_;
    std::array<CounterRange, kCounters> all;
    for (size_t i = 0; i < kCounters; ++i) {
        if (p.lowest[i] != 0 || p.highest[i] != 0) {
            const SampleLimits& limits = cursor_.plan().limits();
            all[i].narrow(limits.min_dc - p.lowest[i], limits.max_dc - p.highest[i]);
        }
    }
    if (p.predictors_are_relative && p.at == Element::kDcBits && p.n_partial > 0) {
        // Some value that starts with these bits must keep the coefficient in its range. The first
        // bit is the sign, so the values are consecutive numbers.
        const int size = p.symbol;
        const int n_left = size - p.n_partial;
        const auto first = static_cast<int>(p.partial << n_left);
        const int last = first + (1 << n_left) - 1;
        const int offset = first >> (size - 1) ? 0 : 1 - (1 << size);
        const auto component = static_cast<size_t>(cursor_.plan().component_of_block(p.block));
        const int before = p.predictors[component];
        const SampleLimits& limits = cursor_.plan().limits();
        all[component].narrow(
            limits.min_dc - before - (last + offset), limits.max_dc - before - (first + offset)
        );
    }
    return all;
}

std::optional<uint8_t> JpegCursor::forced_byte() const {
    if ((position_.stuffing_due && !is_in_open_scan()) ||
        (grammar_->is_pinned() && !position_.in_scan))
        return ending_byte();
    if (is_in_open_scan()) {
        const ByteSet all = allowed();
        return all.size() == 1 ? std::optional<uint8_t>(ending_byte()) : std::nullopt;
    }
    JpegCursor cursor = *this;
    cursor.observer_ = nullptr;
    unsigned byte = 0;
    for (int i = 0; i < 8; ++i) {
        JpegCursor other = cursor;
        const Bits field = cursor.ending_field();
        const bool bit = (field.value >> (field.n - 1)) & 1;
        if (other.take_bit(!bit)) return std::nullopt;
        cursor.take_bit(bit);
        byte = (byte << 1) | (bit ? 1 : 0);
    }
    return static_cast<uint8_t>(byte);
}

}  // namespace pycodec_lm::jpeg
