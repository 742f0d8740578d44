#include "jpeg/scan_fast.hpp"

#include <bit>
#include <cstring>

#include "jpeg/markers.hpp"

namespace pycodec_lm::jpeg {
namespace {

constexpr uint8_t kBlockEnd = 64;
constexpr uint8_t kZrlAdvance = 16;

}  // namespace

/// Bits of entropy-coded data, most significant first, with stuffed bytes taken out. It stops
/// before a marker; asking for more gives 0-bits and makes is_overrun() true.
class BitReader {
public:
    BitReader(const uint8_t* data, size_t n_bytes, size_t offset)
        : data_(data), n_bytes_(n_bytes), next_(offset) {}

    /// At least 32 bits are there afterwards, real or not.
    void refill() {
        if (n_bits_ > 32) return;
        if (next_ + 4 <= n_bytes_) {
            uint32_t word = 0;
            std::memcpy(&word, data_ + next_, sizeof word);
            // A byte FF somewhere: its complement has a zero byte.
            const uint32_t inverse = ~word;
            if (((inverse - 0x01010101u) & ~inverse & 0x80808080u) == 0) {
                if constexpr (std::endian::native == std::endian::little)
                    word = __builtin_bswap32(word);
                buffer_ |= uint64_t{word} << (32 - n_bits_);
                n_bits_ += 32;
                next_ += 4;
                return;
            }
        }
        refill_bytewise();
    }
    uint32_t peek(int n_bits) const { return static_cast<uint32_t>(buffer_ >> (64 - n_bits)); }
    void skip(int n_bits) {
        buffer_ <<= n_bits;
        n_bits_ -= n_bits;
    }
    bool is_overrun() const { return n_bits_ < n_phantom_; }

    /// At the end of an interval: the rest of the byte is 1-bits and a marker follows at once.
    bool ends_here() {
        const int n_real = n_bits_ - n_phantom_;
        if (n_real < 0 || n_real >= 8) return false;
        if (n_real > 0 && peek(n_real) != (1u << n_real) - 1) return false;
        return next_ + 1 < n_bytes_ && data_[next_] == marker::kPrefix && data_[next_ + 1] != 0;
    }
    size_t next() const { return next_; }

private:
    void refill_bytewise() {
        while (n_bits_ <= 32) {
            uint8_t byte = 0;
            if (next_ < n_bytes_ && data_[next_] != marker::kPrefix) {
                byte = data_[next_++];
            } else if (next_ + 1 < n_bytes_ && data_[next_ + 1] == 0) {
                byte = marker::kPrefix;
                next_ += 2;
            } else {
                n_phantom_ += 8;
            }
            buffer_ |= uint64_t{byte} << (56 - n_bits_);
            n_bits_ += 8;
        }
    }

    const uint8_t* data_;
    size_t n_bytes_;
    size_t next_;
    uint64_t buffer_ = 0;
    int n_bits_ = 0;     // in the buffer
    int n_phantom_ = 0;  // of these, how many the data did not have
};

FastScan::Table FastScan::make_table(const HuffmanTable& table) {
    Table entries{};
    for (const HuffmanTable::Leaf& leaf : table.leaves()) {
        if (leaf.length_bits > kIndexBits) break;
        const Entry entry = long_entry(table, uint32_t{leaf.code} << (16 - leaf.length_bits));
        const size_t first = size_t{leaf.code} << (kIndexBits - leaf.length_bits);
        const size_t n = size_t{1} << (kIndexBits - leaf.length_bits);
        for (size_t i = first; i < first + n; ++i) entries[i] = entry;
    }
    return entries;
}

/// The entry of whatever code these bits start; n_bits = 0 where it is none or no legal symbol.
FastScan::Entry FastScan::long_entry(const HuffmanTable& table, uint32_t next_16_bits) {
    uint16_t node = 0;
    for (int bit = 15; bit >= 0; --bit) {
        node = table.node(node).child[(next_16_bits >> bit) & 1];
        if (node == HuffmanTable::kNoNode) return {};
        if (!table.node(node).is_leaf) continue;
        const HuffmanTable::Leaf& leaf = table.leaf(table.node(node).first_leaf);
        const bool is_dc = table.table_class() == TableClass::kDc;
        if (!table.is_legal(leaf.symbol, is_dc ? 0 : 1) && leaf.symbol != kZeroRunLength) return {};
        const int size = is_dc ? leaf.symbol : size_of(leaf.symbol);
        Entry entry;
        entry.n_bits = static_cast<uint8_t>(leaf.length_bits + size);
        entry.code_bits = leaf.length_bits;
        entry.size = static_cast<uint8_t>(size);
        entry.advance = static_cast<uint8_t>(run_of(leaf.symbol) + 1);
        if (!is_dc && leaf.symbol == kEndOfBlock) entry.advance = kBlockEnd;
        return entry;
    }
    return {};
}

FastScan::FastScan(const ScanPlan& plan) : plan_(plan) {
    std::vector<const HuffmanTable*> made;
    const auto index_of = [&](const HuffmanTable* table) {
        for (size_t i = 0; i < made.size(); ++i) {
            if (made[i] == table) return i;
        }
        made.push_back(table);
        tables_.push_back(make_table(*table));
        return made.size() - 1;
    };
    for (int i = 0; i < plan.n_components(); ++i) {
        const ScanComponent& c = plan.component(i);
        // Without EOB a run can lead where the block cannot be finished; that is left to the
        // cursor.
        if (c.ac->find(kEndOfBlock).length_bits == 0) is_possible_ = false;
        dc_of_component_[static_cast<size_t>(i)] = index_of(c.dc.get());
        ac_of_component_[static_cast<size_t>(i)] = index_of(c.ac.get());
    }
}

bool FastScan::check_block(BitReader& bits, int component, int& predictor) const {
    const ScanComponent& c = plan_.component(component);
    const auto at = static_cast<size_t>(component);
    const Table& dc = tables_[dc_of_component_[at]];
    const Table& ac = tables_[ac_of_component_[at]];

    bits.refill();
    Entry entry = dc[bits.peek(kIndexBits)];
    if (entry.n_bits == 0) entry = long_entry(*c.dc, bits.peek(16));
    if (entry.n_bits == 0) return false;
    bits.skip(entry.code_bits);
    if (entry.size > 0) {
        const auto raw = static_cast<int>(bits.peek(entry.size));
        predictor += raw >> (entry.size - 1) ? raw : raw - (1 << entry.size) + 1;
        if (predictor < kMinDc || predictor > kMaxDc) return false;
        bits.skip(entry.size);
    }
    for (int k = 1; k < kBlockSize;) {
        bits.refill();
        entry = ac[bits.peek(kIndexBits)];
        if (entry.n_bits == 0) entry = long_entry(*c.ac, bits.peek(16));
        if (entry.n_bits == 0) return false;
        bits.skip(entry.n_bits);
        if (entry.advance == kBlockEnd) break;
        k += entry.advance;
        // A ZRL must leave room for a coefficient; others may reach the end of the block.
        if (k > kBlockSize || (entry.size == 0 && k >= kBlockSize)) return false;
    }
    return true;
}

bool FastScan::check_interval(BitReader& bits, uint32_t n_mcus) const {
    std::array<int, kMaxComponents> predictors{};
    for (uint32_t mcu = 0; mcu < n_mcus; ++mcu) {
        for (int block = 0; block < plan_.n_blocks(); ++block) {
            const int component = plan_.component_of_block(block);
            if (!check_block(bits, component, predictors[static_cast<size_t>(component)]))
                return false;
        }
        // Once an MCU, so that a short file cannot ask for work in proportion to its picture.
        if (bits.is_overrun()) return false;
    }
    return bits.ends_here();
}

size_t FastScan::advance(JpegCursor& cursor, const uint8_t* data, size_t n_bytes, size_t offset) {
    const std::shared_ptr<const Header> header = cursor.header_;
    const ScanPlan& plan = *header->scan;
    const FastScan scan(plan);
    if (!scan.is_possible_) return offset;
    JpegCursor::Position& p = cursor.position_;
    while (true) {
        BitReader bits(data, n_bytes, offset);
        const uint32_t n_mcus = p.interval_left_mcus;
        if (!scan.check_interval(bits, n_mcus)) return offset;
        offset = bits.next();
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
