#include "h264/writer.hpp"

#include <algorithm>
#include <stdexcept>

#include "h264/cabac_zero_words.hpp"
#include "h264/exp_golomb.hpp"

namespace pycodec_lm::h264 {

AvcWriter::AvcWriter(std::shared_ptr<const AvcGrammar> grammar)
    : whole_(std::move(grammar)), ahead_(whole_) {}

bool AvcWriter::may_end_unit() const {
    if (is_between_units()) return false;
    // Of a unit that decoders pass over all bytes are alike, and only its last must not be 0.
    if (ahead_.position_.at == Element::kNalPayload) return whole_.position_.ended.is_alive;
    return ahead_.position_.may_end;
}

int AvcWriter::code_table() const {
    const Macroblock& mb = ahead_.position_.mb;
    switch (ahead_.position_.at) {
        case Element::kCoeffToken:
            return mb.coeff_table;
        case Element::kTotalZeros:
            return mb.total + (mb.max_coeff == 4 ? 16 : 0);
        case Element::kRunBefore:
            return std::min<int>(mb.zeros_left, 7);
        default:
            return 0;
    }
}

bool AvcWriter::any_legal(int64_t first, int64_t last) const {
    if (is_writing_bins()) return first <= last && any_bins_fit(bin_values(first, last));
    const AvcCursor::Field field = ahead_.field();
    int64_t least = 0;
    int64_t most = 0;
    switch (field.spelling) {
        case Spelling::kNumber:
            most = (int64_t{1} << field.n_bits) - 1;
            break;
        case Spelling::kUe:
            most = int64_t{UINT32_MAX} - 1;
            break;
        case Spelling::kSe:
            least = -int64_t{INT32_MAX};
            most = INT32_MAX;
            break;
        case Spelling::kFlipped:
            most = 1;
            break;
        case Spelling::kCode:
            most = PrefixCode::kMaxSymbols - 1;
            break;
        case Spelling::kUnary:
            most = UINT8_MAX;
            break;
        case Spelling::kTrailing:
        case Spelling::kZeros:
        case Spelling::kBins:
            return false;  // written when they are due
    }
    first = std::max(first, least);
    last = std::min(last, most);
    if (is_between_units() || first > last) return false;
    if (field.spelling == Spelling::kSe) return ahead_.any_in_signed(first, last);
    if (field.spelling == Spelling::kCode) {
        const uint64_t rows = ahead_.legal_rows() & field.code->symbols();
        return (rows & (~uint64_t{0} >> (63 - last)) & (~uint64_t{0} << first)) != 0;
    }
    return ahead_.any_legal(static_cast<uint64_t>(first), static_cast<uint64_t>(last));
}

std::optional<int64_t> AvcWriter::lowest_legal(int64_t first, int64_t last) const {
    if (!any_legal(first, last)) return std::nullopt;
    while (first < last) {
        const int64_t middle = first + (last - first) / 2;
        if (any_legal(first, middle)) {
            last = middle;
        } else {
            first = middle + 1;
        }
    }
    return first;
}

std::optional<int64_t> AvcWriter::highest_legal(int64_t first, int64_t last) const {
    if (!any_legal(first, last)) return std::nullopt;
    while (first < last) {
        const int64_t middle = first + (last - first + 1) / 2;
        if (any_legal(middle, last)) {
            first = middle;
        } else {
            last = middle - 1;
        }
    }
    return first;
}

Status AvcWriter::write(int64_t value) {
    if (is_between_units()) {
        return {
            .code = Code::kStartCodeExpected,
            .element = Element::kStartCode,
            .byte = whole_.offset(),
        };
    }
    if (!any_legal(value, value)) {
        Status status = ahead_.why_not(value);
        status.byte = whole_.offset();
        status.bit = static_cast<uint8_t>(n_pending_);
        return status;
    }
    if (is_writing_bins()) {
        write_bins(value);
    } else {
        write_bits(spell(value));
    }
    write_automatic();
    return {};
}

bool AvcWriter::write_start_code(int n_zeros) {
    if (!is_between_units()) return false;
    AvcCursor next = whole_;
    for (int i = 0; i <= n_zeros; ++i) {
        if (!next.accept(i == n_zeros)) return false;
    }
    bytes_.insert(bytes_.end(), static_cast<size_t>(n_zeros), 0);
    bytes_.push_back(1);
    whole_ = next;
    ahead_ = next;
    is_ended_ = false;
    return true;
}

void AvcWriter::end_unit() {
    if (!may_end_unit()) throw std::logic_error("no NAL unit may end " + ahead_.describe());
    if (ahead_.position_.at != Element::kNalPayload) {
        // rbsp_trailing_bits(), which the cursor ahead would take for data.
        for (bool bit = true; bit || n_pending_ > 0; bit = false) add_bit(bit);
    }
    is_ended_ = true;
}

/// The bits of a value, the most significant first.
AvcWriter::Bits AvcWriter::spell(int64_t value) const {
    const AvcCursor::Field field = ahead_.field();
    const auto golomb = [](uint64_t code_num) { return Bits{code_num + 1, code_length(code_num)}; };
    switch (field.spelling) {
        case Spelling::kUe:
            return golomb(static_cast<uint64_t>(value));
        case Spelling::kSe:
            return golomb(code_num_of(value));
        case Spelling::kFlipped:
            return {value == 0, 1};
        case Spelling::kUnary:
            return {1, static_cast<int>(value) + 1};
        case Spelling::kCode: {
            Bits bits{0, 0};
            for (int node = 0; node >= 0; ++bits.n) {
                const auto& children = field.code->node(node).children;
                const bool bit = (field.code->symbols_below(children[1]) >> value) & 1;
                bits.value = bits.value << 1 | bit;
                node = children[bit];
            }
            return bits;
        }
        default:
            return {static_cast<uint64_t>(value), field.n_bits};
    }
}

void AvcWriter::write_bits(Bits bits) {
    for (int i = bits.n - 1; i >= 0; --i) {
        const bool bit = i < 64 && ((bits.value >> i) & 1);
        ahead_.position_.may_end = false;
        if (!ahead_.take_bit(bit))
            throw std::logic_error("a legal value is refused " + ahead_.describe());
        add_bit(bit);
    }
}

void AvcWriter::write_automatic() {
    while (!is_between_units()) {
        const Spelling spelling = ahead_.field().spelling;
        const bool is_one = ahead_.element() == Element::kCabacAlignmentOneBit;
        if (!is_one && spelling != Spelling::kTrailing && spelling != Spelling::kZeros) return;
        const bool is_stop = spelling == Spelling::kTrailing && ahead_.position_.n_partial == 0;
        write_bits({is_one || is_stop, 1});
    }
    while (whole_.is_zero_word_due()) {
        for (const uint8_t byte : kEscapedZeroWord) put_byte(byte);
        ahead_ = whole_;
    }
}

/// Legal values of first..last, as bins have them.
BinValues AvcWriter::bin_values(int64_t first, int64_t last) const {
    const BinValues& legal = ahead_.position_.cabac.legal;
    BinValues values;
    if (legal.symbols == 0) {
        values.first = static_cast<int32_t>(std::max<int64_t>(first, legal.first));
        values.last = static_cast<int32_t>(std::min<int64_t>(last, legal.last));
        return values;
    }
    for (int symbol = 0; symbol < 64; ++symbol) {
        const int64_t value = AvcCursor::value_of_string(ahead_.element(), symbol);
        if (first <= value && value <= last) values.symbols |= uint64_t{1} << symbol;
    }
    values.symbols &= legal.symbols;
    return values;
}

/// Of some values one leaves the macroblock room to end.
bool AvcWriter::any_bins_fit(const BinValues& values) const {
    AvcCursor at = ahead_;
    CabacPosition& c = at.position_.cabac;
    if (values.symbols == 0 && values.first > values.last) return false;
    const Element element = at.element();
    const uint64_t n_bins = c.n_bins;
    // Along the shortest of their strings.
    while (at.element() == element && !c.is_terminated) {
        if (c.string.n_bins() == 0 && c.n_bins != n_bins) break;  // the next of the same kind
        const bool zero = c.string.can_be(false, values) && at.may_be(false);
        if (!zero && !(c.string.can_be(true, values) && at.may_be(true))) return false;
        c.interval.forget_bits();
        at.take_bin(!zero);
    }
    return true;
}

void AvcWriter::write_bins(int64_t value) {
    CabacPosition& c = ahead_.position_.cabac;
    const BinValues wanted = bin_values(value, value);
    if (!code_) code_.emplace(c.interval);
    BinString string = c.string;
    while (!string.is_whole()) {
        const bool bin = string.can_be(true, wanted);
        string.take(bin);
        ahead_.take_bin(bin);
        code_->note(c.interval);
    }
    if (!c.is_terminated) return put_code_bits(code_->n_settled());
    put_code_bits(code_->end(*c.interval.ending()).size());
    // The bits of the last byte, which the cursor at its begin takes.
    const unsigned bits = pending_;
    const int n_bits = n_pending_;
    ahead_ = whole_;
    for (int i = n_bits - 1; i >= 0; --i) ahead_.take_bit((bits >> i) & 1);
    code_.reset();
    n_put_ = 0;
}

/// Bits of the code up to one.
void AvcWriter::put_code_bits(size_t end) {
    for (; n_put_ < end; ++n_put_) {
        pending_ = pending_ << 1 | (code_->bits()[n_put_] ? 1 : 0);
        if (++n_pending_ == 8) put_pending();
    }
}

void AvcWriter::add_bit(bool bit) {
    pending_ = pending_ << 1 | (bit ? 1 : 0);
    if (++n_pending_ < 8) return;
    put_pending();
    ahead_ = whole_;
}

void AvcWriter::put_pending() {
    const auto byte = static_cast<uint8_t>(pending_);
    pending_ = 0;
    n_pending_ = 0;
    const Position& p = whole_.position_;
    if (p.n_zeros == 2 && byte <= 3) put_byte(3);  // emulation_prevention_three_byte, 7.4.1
    put_byte(byte);
}

void AvcWriter::put_byte(uint8_t byte) {
    if (!whole_.accept(byte))
        throw std::logic_error("a byte of legal values is refused " + whole_.describe());
    bytes_.push_back(byte);
}

}  // namespace pycodec_lm::h264
