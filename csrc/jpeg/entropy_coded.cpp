// Entropy-coded data, bit by bit: of sequential scans, T.81 F.2.2, of DC coefficients in
// progressive ones, G.1.2.1, and intervals, B.2.1. Bands are in progressive.cpp.
#include <algorithm>
#include <bit>

#include "jpeg/cursor.hpp"

namespace pycodec_lm::jpeg {

const HuffmanTable& JpegCursor::huffman_table() const {
    return position_.at == Element::kDcCode ? plan().dc_table(position_.block)
                                            : plan().ac_table(position_.block);
}

int JpegCursor::predictor() const {
    return position_.predictors[static_cast<size_t>(plan().component_of_block(position_.block))];
}

void JpegCursor::begin_interval() {
    if (position_.in_band) return begin_band_interval();
    begin_block();
}

void JpegCursor::begin_block() {
    position_.at = plan().kind() == ScanKind::kDcRefinement ? Element::kDcBit : Element::kDcCode;
    position_.k = 0;
    position_.node = 0;
}

/// T.81 F.2.2.3, Figure F.16: as many of the low `n_bits` bits of `bits` as belong to the code and
/// go on to a legal symbol; returns how many.
int JpegCursor::take_code_bits(unsigned bits, int n_bits) {
    if (position_.in_band) {
        const BandTable& band = plan().band();
        const BandTable::Way way = band_way();
        const int n_left = band_left();
        const uint16_t runs = legal_runs();
        return take_code(bits, n_bits, [&](uint16_t index) {
            const BandTable::Node& node = band.node(index);
            return ((node.legal[way] >> n_left) & 1) != 0 || (node.runs & runs) != 0;
        });
    }
    const HuffmanTable& table = huffman_table();
    const int k = position_.k;
    return take_code(bits, n_bits, [&](uint16_t index) {
        const uint64_t legal = table.node(index).legal >> k;
        const bool is_open = (legal & 1) != 0;
        if (position_.notes_lead)
            note_other_lead(is_open ? std::countr_one(legal) : std::countr_zero(legal));
        return is_open;
    });
}

template <class IsOpen>
int JpegCursor::take_code(unsigned bits, int n_bits, const IsOpen& is_open) {
    Position& p = position_;
    const HuffmanTable& table = huffman_table();
    uint16_t index = p.node;
    int n = 0;
    while (n < n_bits) {
        const uint16_t child = table.node(index).child[(bits >> (n_bits - 1 - n)) & 1];
        if (child == HuffmanTable::kNoNode || !is_open(child)) break;
        const HuffmanTable::Node& node = table.node(child);
        index = child;
        ++n;
        if (!node.is_leaf) continue;
        p.bit = static_cast<uint8_t>((p.bit + n) & 7);
        p.node = 0;
        p.partial = 0;
        p.n_partial = 0;
        take_symbol(table.leaf(node.first_leaf).symbol);
        return n;
    }
    p.bit = static_cast<uint8_t>((p.bit + n) & 7);
    p.node = index;
    p.partial = (p.partial << n) | (bits >> (n_bits - n) & ((1u << n) - 1));
    p.n_partial = static_cast<uint8_t>(p.n_partial + n);
    return n;
}

/// Of a FarWalker: from a state so many coefficients further the bits may mean another thing.
void JpegCursor::note_other_lead(int lead) {
    uint8_t& least = position_.least_other_lead;
    least = static_cast<uint8_t>(std::min<int>(least, lead));
}

void JpegCursor::take_symbol(uint8_t symbol) {
    Position& p = position_;
    if (position_.in_band) return take_band_symbol(symbol);
    p.symbol = symbol;
    if (p.at == Element::kDcCode) {
        if (symbol == 0) return take_amplitude(0);
        return expect(Element::kDcBits);
    }
    if (p.notes_lead && symbol != kEndOfBlock) {
        // Further on the block ends here, or this does not fit into it.
        const int n_left = kBlockSize - (p.k + run_of(symbol) + 1);
        note_other_lead(n_left == 0 ? 1 : n_left);
    }
    if (size_of(symbol) > 0) {
        p.k = static_cast<uint8_t>(p.k + run_of(symbol));
        return expect(Element::kAcBits);
    }
    if (observer_ != nullptr) observer_->ac(plan(), p.block, p.mcu, p.k, symbol, 0);
    p.k = static_cast<uint8_t>(HuffmanTable::next_coefficient(symbol, p.k));
    if (p.k == kBlockSize) end_block();
}

/// T.81 F.2.2.1 (EXTEND, Figure F.12) and F.2.2.2.
void JpegCursor::take_amplitude(uint32_t bits) {
    if (position_.in_band) return take_band_amplitude(bits);
    Position& p = position_;
    const bool is_dc = p.k == 0;
    const int size = is_dc ? p.symbol : size_of(p.symbol);
    const int value = extend(bits, size);
    if (is_dc) {
        const auto component = static_cast<size_t>(plan().component_of_block(p.block));
        int32_t& predictor = p.predictors[component];
        predictor += value;
        if (p.predictors_are_relative) {
            p.lowest[component] = std::min(p.lowest[component], predictor);
            p.highest[component] = std::max(p.highest[component], predictor);
        }
        if (observer_ != nullptr) observer_->dc(plan(), p.block, p.mcu, p.symbol, predictor);
    } else if (observer_ != nullptr) {
        observer_->ac(plan(), p.block, p.mcu, p.k, p.symbol, value);
    }
    if (++p.k == kBlockSize || plan().kind() == ScanKind::kDcFirst) return end_block();
    expect(Element::kAcCode);
}

/// T.81 G.1.2.1: the next bit of a DC coefficient.
void JpegCursor::take_dc_bit(uint32_t bit) {
    if (observer_ != nullptr) {
        observer_->correction(plan(), position_.block, position_.mcu, 0, bit != 0);
    }
    end_block();
}

void JpegCursor::end_block() {
    Position& p = position_;
    p.notes_lead = false;
    if (++p.block < plan().n_blocks()) return begin_block();
    p.block = 0;
    ++p.mcu;
    --p.interval_left_mcus;
    if (plan().is_open()) note_row_end();
    if (p.interval_left_mcus > 0) return begin_block();
    p.k = 0;
    if (p.bit != 0) return expect(Element::kPadding);
    end_interval();
}

void JpegCursor::end_interval() {
    Position& p = position_;
    p.restart_due = p.mcu < plan().n_mcus();
    if (!p.restart_due) {
        p.in_scan = false;
        p.in_band = false;
        end_history();
        ++p.pinned_chunk;
        p.pinned_index = 0;
    }
    expect_marker();
}

bool JpegCursor::take_bit(bool bit) {
    Position& p = position_;
    switch (p.at) {
        case Element::kDcCode:
        case Element::kAcCode:
            return take_code_bits(bit ? 1 : 0, 1) == 1;
        case Element::kPadding:  // F.1.2.3: 1-bits fill the last byte
            if (!bit) return false;
            p.bit = (p.bit + 1) & 7;
            if (p.bit == 0) end_interval();
            return true;
        case Element::kEnd:
            return false;
        default:
            break;
    }
    return take_bits(bit ? 1 : 0, 1) == 1;
}

/// The code that this bit starts or goes on with is no code, or all symbols it can still become
/// are forbidden here: then the first of them says why.
Status JpegCursor::reject_bit(bool bit) const {
    const Position& p = position_;
    Status status{.code = Code::kHuffmanCodeInvalid, .element = p.at};
    if (p.at == Element::kPadding) {
        status.code = Code::kPaddingBit;
        return status;
    }
    if (spelling() == Spelling::kNumber) {
        const int n_left = field_bits() - p.n_partial - 1;
        return why_not(((p.partial << 1) | (bit ? 1 : 0)) << n_left);
    }
    const HuffmanTable& table = huffman_table();
    const uint16_t child = table.node(p.node).child[bit ? 1 : 0];
    if (child == HuffmanTable::kNoNode) return status;
    const uint8_t symbol = table.leaf(table.node(child).first_leaf).symbol;
    const auto because = [&status](Code code, int value, int limit) {
        status.code = code;
        status.value = value;
        status.limit = limit;
        return status;
    };
    if (position_.in_band) return reject_band_symbol(symbol);
    const SampleLimits& limits = plan().limits();
    if (p.k == 0) return because(Code::kDcCategory, symbol, limits.max_dc_category);
    if (size_of(symbol) > limits.max_ac_size) {
        return because(Code::kAcSize, size_of(symbol), limits.max_ac_size);
    }
    const int last = p.k + run_of(symbol);
    if (symbol == kZeroRunLength && last + 1 >= kBlockSize) {
        return because(Code::kAcZrlPastEnd, last, kBlockSize - 1);
    }
    if (size_of(symbol) == 0 && symbol != kEndOfBlock && symbol != kZeroRunLength) {
        return because(Code::kAcSymbolReserved, symbol, 0);
    }
    if (last >= kBlockSize) return because(Code::kAcRunPastEnd, last, kBlockSize - 1);
    return because(Code::kAcDeadEnd, symbol, 0);
}

}  // namespace pycodec_lm::jpeg
