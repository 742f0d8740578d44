#include "jpeg/scan_fast.hpp"

#include "jpeg/markers.hpp"
#include "jpeg/symbol_lookup.hpp"

namespace pycodec_lm::jpeg {

namespace {

/// What one block of an MCU is coded with.
struct BlockTables {
    const DcLookup* dc;
    const AcLookup* ac;
    const HuffmanTable* ac_table;
    size_t component;
};

/// One AC symbol and its amplitude, what AcLookup leaves open: moves k on and returns the bits, 0
/// where the symbol is not legal.
int take_coefficient(const HuffmanTable& table, uint32_t next_16_bits, int& k) {
    const HuffmanTable::Leaf leaf = table.ac_lookup().code().find(next_16_bits);
    if (leaf.length_bits == 0 || !table.is_legal(leaf.symbol, k)) return 0;
    k = HuffmanTable::next_coefficient(leaf.symbol, k);
    return leaf.length_bits + size_of(leaf.symbol);
}

/// Some coefficients; false where the next is not in order.
inline bool take_run(BitReader& bits, const BlockTables& tables, int& k) {
    const AcLookup::Run run = tables.ac->find(bits.peek(AcLookup::kIndexBits));
    if (run.n_bits() > 0 && k + run.n_coefficients() < kBlockSize) {
        bits.skip(run.n_bits());
        k = run.ends_block() ? kBlockSize : k + run.n_coefficients();
        return true;
    }
    bits.refill();
    const int n_bits = take_coefficient(*tables.ac_table, bits.peek(16), k);
    bits.skip(n_bits);
    bits.refill();
    return n_bits > 0;
}

/// One block; false where it is not in order. The reader comes and goes by value, or it would live
/// in memory.
inline bool check_block(
    BitReader& reader, const BlockTables& tables, const SampleLimits& limits, int& predictor
) {
    BitReader bits = reader;
    bits.refill();
    DcLookup::Difference difference = tables.dc->find(bits.peek(DcLookup::kIndexBits));
    if (difference.n_bits == 0) {
        difference = tables.dc->decode(bits.peek(32));
        if (difference.n_bits == 0) return false;
        bits.skip(difference.n_bits);
        bits.refill();
    } else {
        bits.skip(difference.n_bits);
    }
    predictor += difference.value;
    if (predictor < limits.min_dc || predictor > limits.max_dc) return false;

    static_assert(DcLookup::kIndexBits + 2 * AcLookup::kIndexBits <= BitReader::kRefilledBits);
    for (int k = 1; k < kBlockSize; bits.refill()) {
        // Twice for each refill.
        if (!take_run(bits, tables, k)) return false;
        if (k < kBlockSize && !take_run(bits, tables, k)) return false;
    }
    reader = bits;
    return true;
}

}  // namespace

bool FastScan::check_interval(uint32_t n_mcus) {
    BitReader bits(interval_.data());
    const SampleLimits limits = plan_.limits();
    Predictors predictors{};
    std::array<BlockTables, kMaxBlocksInMcu> blocks;
    const auto n_blocks = static_cast<size_t>(plan_.n_blocks());
    for (size_t i = 0; i < n_blocks; ++i) {
        const int component = plan_.component_of_block(static_cast<int>(i));
        const ScanComponent& c = plan_.component(component);
        blocks[i] = {
            &c.dc->dc_lookup(), &c.ac->ac_lookup(), c.ac.get(), static_cast<size_t>(component)
        };
    }
    later_ = {};
    for (uint32_t mcu = 0; mcu < n_mcus; ++mcu) {
        constexpr uint32_t kMcusBetweenPlaces = 16;
        if (mcu % kMcusBetweenPlaces == 0) {
            earlier_ = later_;
            later_ = {mcu, bits.position_bits(), predictors};
        }
        for (size_t i = 0; i < n_blocks; ++i) {
            const BlockTables& tables = blocks[i];
            if (check_block(bits, tables, limits, predictors[tables.component])) continue;
            reached_bit_ = bits.position_bits();
            return false;
        }
        // Once an MCU, so that a short file cannot ask for work in proportion to its picture.
        if (bits.position_bits() > interval_.n_bits()) break;
    }
    reached_bit_ = bits.position_bits();
    return interval_.may_end_at(reached_bit_);
}

/// Puts a cursor that stands at the start of the interval behind the byte of a place.
size_t FastScan::leave_at(JpegCursor& cursor, const Place& place) const {
    JpegCursor::Position& p = cursor.position_;
    const auto index = static_cast<size_t>(place.bit / 8);
    const int n_taken = static_cast<int>(place.bit % 8);
    p.mcu += place.n_mcus;
    p.interval_left_mcus -= place.n_mcus;
    p.predictors = place.predictors;
    const size_t offset = interval_.offset_of(index);
    p.offset = offset;
    p.bit = static_cast<uint8_t>(n_taken);
    const uint8_t byte = interval_.data()[index];
    cursor.take_legal(byte & (0xFFu >> n_taken), 8 - n_taken);
    cursor.end_byte(byte, true, false);
    return offset + 1;
}

size_t FastScan::advance(JpegCursor& cursor, const uint8_t* data, size_t n_bytes, size_t offset) {
    const std::shared_ptr<const Header> header = cursor.header_;
    FastScan scan(*header->scan);
    JpegCursor::Position& p = cursor.position_;
    while (true) {
        scan.interval_.read(data, n_bytes, offset);
        const uint32_t n_mcus = p.interval_left_mcus;
        if (!scan.check_interval(n_mcus)) {
            // The byte of the place must be in order to its last bit.
            const auto is_before = [&](const Place& place) {
                return place.n_mcus > 0 && place.bit + 8 <= scan.reached_bit_ &&
                       place.bit + 8 <= scan.interval_.n_bits();
            };
            if (is_before(scan.later_)) return scan.leave_at(cursor, scan.later_);
            if (is_before(scan.earlier_)) return scan.leave_at(cursor, scan.earlier_);
            return offset;
        }
        offset = scan.interval_.end();
        p.mcu += n_mcus;
        p.offset = offset;
        cursor.end_interval();
        if (!p.restart_due) return offset;
        // RSTm without fill bytes; anything else is the cursor's.
        if (data[offset + 1] != marker::kRst0 + p.restart_number) return offset;
        cursor.expect(Element::kMarker);
        cursor.take(data[offset + 1]);
        offset += 2;
        p.offset = offset;
    }
}

}  // namespace pycodec_lm::jpeg
