// Which bytes keep an arithmetic code alive, found by intervals, against all that the encoder
// writes.
#include <cstdint>
#include <set>
#include <vector>

#include "h264/cabac_walk.hpp"
#include "testing.hpp"

namespace {

using namespace pycodec_lm::h264;

using Bytes = std::vector<uint8_t>;

/// A syntax element of a toy: how it is spelled and which values are legal.
struct Element {
    BinString string;
    BinValues legal;
    std::vector<int32_t> values;  // the same, one by one
};

/// Slices of up to n_macroblocks, each of the same elements and end_of_slice_flag. The value of the
/// first element of a macroblock decides whether the others are there.
struct Toy {
    std::vector<Element> elements;
    size_t n_macroblocks = 1;
    size_t least_macroblocks = 1;
    ContextStates states;

    Element end_of_slice(size_t mb) const {
        const bool may_end = mb + 1 >= least_macroblocks;
        const bool may_go_on = mb + 1 < n_macroblocks;
        std::vector<int32_t> values;
        if (may_go_on) values.push_back(0);
        if (may_end) values.push_back(1);
        const uint64_t legal = (may_go_on ? 1u : 0u) | (may_end ? 2u : 0u);
        return {binarization::end_of_slice_flag(), BinValues::of_symbols(legal), values};
    }
};

/// Where a slice stands: macroblock, element in it (the last is end_of_slice_flag).
struct Place {
    size_t mb = 0;
    size_t element = 0;

    Element at(const Toy& toy) const {
        return element < toy.elements.size() ? toy.elements[element] : toy.end_of_slice(mb);
    }
    /// False behind the end of the slice.
    bool go_on(const Toy& toy, int32_t value) {
        if (element == toy.elements.size()) {
            ++mb;
            element = 0;
            return value == 0;
        }
        element = element == 0 && value == 0 ? toy.elements.size() : element + 1;
        return true;
    }
};

/// The first bytes, up to n_bytes, of everything that the encoder writes of a toy.
class Encodings {
public:
    static constexpr size_t kMaxBytes = 3;

    Encodings(const Toy& toy, size_t n_bytes) : toy_(toy), n_bytes_(n_bytes) {
        CHECK(n_bytes <= kMaxBytes);
        encode({}, {});
    }

    bool has_prefix(const Bytes& bytes) const { return prefixes_.contains(number_of(bytes)); }

private:
    struct Bin {
        uint16_t ctx_idx;
        bool bin;
    };

    void encode(Place place, const std::vector<Bin>& bins) {
        const Element element = place.at(toy_);
        for (const int32_t value : element.values) {
            std::vector<Bin> longer = bins;
            for (BinString string = element.string; !string.is_whole();) {
                const bool bin = string.can_be(true, BinValues::only(value));
                longer.push_back({string.ctx_idx(), bin});
                string.take(bin);
            }
            Place next = place;
            if (next.go_on(toy_, value)) {
                encode(next, longer);
            } else {
                put(longer);
            }
        }
    }

    void put(const std::vector<Bin>& bins) {
        std::vector<bool> bits;
        CabacEncoder encoder(bits);
        ContextStates states = toy_.states;
        for (const Bin& b : bins) {
            if (b.ctx_idx == kBypass) {
                encoder.encode_bypass(b.bin);
            } else if (b.ctx_idx == kTerminate) {
                encoder.encode_terminate(b.bin);
            } else {
                encoder.encode_decision(states[b.ctx_idx], b.bin);
            }
        }
        bits.resize((bits.size() + 7) / 8 * 8);
        Bytes bytes;
        for (size_t i = 0; i < bits.size() && bytes.size() < n_bytes_; i += 8) {
            unsigned byte = 0;
            for (size_t k = i; k < i + 8; ++k) byte = byte << 1 | (bits[k] ? 1u : 0u);
            bytes.push_back(static_cast<uint8_t>(byte));
            prefixes_.insert(number_of(bytes));
        }
    }

    /// Up to kMaxBytes bytes behind a 1, as a number.
    static uint32_t number_of(const Bytes& bytes) {
        uint32_t number = 1;
        for (const uint8_t byte : bytes) number = number << 8 | byte;
        return number;
    }

    const Toy& toy_;
    size_t n_bytes_;
    std::set<uint32_t> prefixes_;
};

/// A toy's slice between two bins, as CabacWalk asks for it.
class ToySyntax {
public:
    struct Saved {
        Place place;
        BinString string;
        CabacInterval interval;
        ContextStates states;
        bool is_terminated = false;
    };

    explicit ToySyntax(const Toy& toy) : toy_(toy) {
        at_.states = toy.states;
        at_.string = at_.place.at(toy).string;
    }

    bool is_at_bin() const { return !at_.is_terminated; }
    uint16_t ctx_idx() const { return at_.string.ctx_idx(); }
    const CabacInterval& interval() const { return at_.interval; }
    const ContextStates& states() const { return at_.states; }
    bool may_be(bool bin) const {
        if (!at_.string.can_be(bin, at_.place.at(toy_).legal)) return false;
        if (!bin || at_.string.ctx_idx() != kTerminate) return true;
        CabacInterval behind = at_.interval;
        ContextStates states = at_.states;
        behind.take_bin(true, kTerminate, states);
        return behind.ending().has_value();
    }
    void take_bin(bool bin) {
        at_.interval.take_bin(bin, at_.string.ctx_idx(), at_.states);
        at_.string.take(bin);
        if (!at_.string.is_whole()) return;
        at_.is_terminated = !at_.place.go_on(toy_, at_.string.value());
        if (!at_.is_terminated) at_.string = at_.place.at(toy_).string;
    }
    void save(Saved& saved) const { saved = at_; }
    void restore(const Saved& saved) { at_ = saved; }

    /// Takes a bit, and the bins that it settles; false where the code cannot go on so.
    bool take_bit(bool bit) {
        if (at_.is_terminated && at_.interval.n_open() == 1) return !bit;  // alignment
        at_.interval.take_bit(bit);
        CabacWalk walk(*this);
        while (!at_.is_terminated) {
            const unsigned set = walk.possible_bins();
            if (set == 0) return false;
            if (set == bins::kBoth) return true;
            CHECK(at_.interval.n_open() >= 1);
            take_bin(set == bins::kOne);
        }
        return at_.interval.ending().has_value();
    }
    /// Up to its last bit.
    bool is_over() const { return at_.is_terminated && at_.interval.n_open() == 1; }

private:
    const Toy& toy_;
    Saved at_;
};

/// Whether the bits of some bytes can go on to a legal slice, bit by bit as a cursor takes them.
bool is_viable(const Toy& toy, const Bytes& bytes) {
    ToySyntax syntax(toy);
    for (const uint8_t byte : bytes) {
        if (syntax.is_over()) return false;
        for (int i = 7; i >= 0; --i) {
            if (!syntax.take_bit((byte >> i) & 1)) return false;
        }
    }
    return true;
}

Element symbols(const BinString& string, const std::vector<int32_t>& values) {
    uint64_t legal = 0;
    for (const int32_t value : values) legal |= uint64_t{1} << value;
    return {string, BinValues::of_symbols(legal), values};
}

Element numbers(const BinString& string, int32_t first, int32_t last) {
    std::vector<int32_t> values;
    for (int32_t value = first; value <= last; ++value) values.push_back(value);
    return {string, BinValues::of_range(first, last), values};
}

/// Elements whose legal values leave out much, so that bits run into ends of all kinds.
Toy random_toy(testing::Random& random) {
    using namespace binarization;
    const auto some_of = [&](int n) {
        std::set<int32_t> values;
        for (size_t i = 1 + testing::below(random, 4); i > 0; --i)
            values.insert(static_cast<int32_t>(testing::below(random, static_cast<size_t>(n))));
        return std::vector<int32_t>(values.begin(), values.end());
    };
    Toy toy;
    toy.elements.push_back(symbols(mb_skip_flag(MbSliceType::kP, nullptr, nullptr), some_of(2)));
    for (size_t n = 1 + testing::below(random, 2); n > 0; --n) {
        const auto first = static_cast<int32_t>(testing::below(random, 30)) - 15;
        const auto last = first + static_cast<int32_t>(testing::below(random, 4));
        switch (testing::below(random, 6)) {
            case 0:
                toy.elements.push_back(
                    symbols(mb_type(MbSliceType::kI, nullptr, nullptr), some_of(25))
                );
                break;
            case 1:
                toy.elements.push_back(symbols(coded_block_pattern(nullptr, nullptr), some_of(48)));
                break;
            case 2:
                toy.elements.push_back(numbers(mvd(1, 0), first, last));
                break;
            case 3:
                toy.elements.push_back(symbols(coeff_sign_flag(), some_of(2)));
                break;
            case 4:
                toy.elements.push_back(symbols(mb_qp_delta(false), some_of(20)));
                break;
            default:
                toy.elements.push_back(
                    numbers(coeff_abs_level_minus1(BlockCat::kLuma4x4, 0, 0), 15 + first, 15 + last)
                );
        }
    }
    toy.n_macroblocks = 1 + testing::below(random, 2);
    toy.least_macroblocks = 1 + testing::below(random, toy.n_macroblocks);
    toy.states = ContextStates(
        static_cast<ContextColumn>(1 + testing::below(random, 3)),
        static_cast<int>(testing::below(random, 52))
    );
    return toy;
}

TEST(intervals_leave_just_the_bytes_that_the_encoder_writes) {
    testing::Random random(5);
    size_t n_alive = 0;
    for (int round = 0; round < 400; ++round) {
        const Toy toy = random_toy(random);
        constexpr size_t kBytes = Encodings::kMaxBytes;
        const Encodings encodings(toy, kBytes);
        // Every string that goes on from one that is alive; what goes on from others is not.
        std::vector<Bytes> alive{{}};
        for (size_t n = 1; n <= kBytes; ++n) {
            std::vector<Bytes> longer;
            for (const Bytes& bytes : alive) {
                for (unsigned byte = 0; byte < 256; ++byte) {
                    Bytes next = bytes;
                    next.push_back(static_cast<uint8_t>(byte));
                    const bool is_written = encodings.has_prefix(next);
                    CHECK(is_viable(toy, next) == is_written);
                    if (is_written) longer.push_back(next);
                }
            }
            alive = longer;
            n_alive += alive.size();
            if (alive.size() > 300) break;
        }
    }
    CHECK(n_alive > 5000);
}

TEST(an_interval_of_known_bits_is_what_the_engine_decodes) {
    testing::Random random(6);
    for (int round = 0; round < 200; ++round) {
        Bytes bytes(40);
        for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(testing::below(random, 256));
        bytes[0] &= 0x7F;  // no codIOffset of 510 or 511
        CabacDecoder decoder(bytes.data(), bytes.size(), 0);
        ContextStates states(ContextColumn::kI, round % 52);
        ContextStates decoded = states;
        CabacInterval interval;
        size_t n_bits = 0;
        const auto give_bits = [&](size_t n) {
            for (; n > 0; --n, ++n_bits)
                interval.take_bit((bytes[n_bits / 8] >> (7 - n_bits % 8)) & 1);
        };
        while (decoder.position() < 8 * bytes.size() - 16) {
            const size_t kind = testing::below(random, 10);
            const auto context = static_cast<uint16_t>(testing::below(random, 11));
            const uint16_t ctx_idx = kind == 0 ? kTerminate : kind < 3 ? kBypass : context;
            const bool bin = ctx_idx == kBypass      ? decoder.decode_bypass()
                             : ctx_idx == kTerminate ? decoder.decode_terminate()
                                                     : decoder.decode_decision(decoded[ctx_idx]);
            // As many bits as it takes until the other bin cannot be.
            const auto can_be = [&](bool some_bin) {
                return interval.part_of(some_bin, ctx_idx, states) != CabacInterval::Part::kNone;
            };
            while (can_be(!bin)) {
                CHECK(interval.n_open() > 0);
                give_bits(1);
            }
            CHECK(can_be(bin));
            if (ctx_idx == kTerminate && bin) break;
            interval.take_bin(bin, ctx_idx, states);
            CHECK(states == decoded);
            CHECK(n_bits + static_cast<size_t>(interval.n_open()) == decoder.position() + 1);
        }
    }
}

}  // namespace
