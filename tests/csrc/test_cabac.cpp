// CABAC: the engines against each other, bin strings against the sets of values that they are asked
// for, macroblocks of all kinds through both entropy coders.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "h264/binarization.hpp"
#include "h264/cabac_engine.hpp"
#include "h264/cabac_zero_words.hpp"
#include "h264/exp_golomb.hpp"
#include "h264/mb_coder_cabac.hpp"
#include "h264/mb_coder_cavlc.hpp"
#include "h264/random_macroblocks.hpp"
#include "testing.hpp"

namespace {

using namespace pycodec_lm::h264;

std::vector<uint8_t> bytes_of(const std::vector<bool>& bits) {
    std::vector<uint8_t> bytes((bits.size() + 7) / 8);
    for (size_t i = 0; i < bits.size(); ++i)
        bytes[i / 8] = static_cast<uint8_t>(bytes[i / 8] | (bits[i] ? 0x80 >> i % 8 : 0));
    return bytes;
}

/// A bin and how it is coded.
struct Bin {
    uint16_t ctx_idx;
    bool bin;
};

std::vector<Bin> random_bins(testing::Random& random, size_t n) {
    std::vector<Bin> bins;
    const size_t n_contexts = 1 + testing::below(random, 20);
    const size_t skew = 1 + testing::below(random, 40);
    for (size_t i = 0; i < n; ++i) {
        const size_t kind = testing::below(random, 20);
        const auto context = static_cast<uint16_t>(testing::below(random, n_contexts));
        const uint16_t ctx_idx = kind == 0 ? kTerminate : kind < 4 ? kBypass : context;
        const bool bin = ctx_idx != kTerminate && testing::below(random, skew) == 0;
        bins.push_back({ctx_idx, bin});
    }
    bins.push_back({kTerminate, true});
    return bins;
}

TEST(cabac_decodes_what_it_encodes_and_reads_its_last_bit_last) {
    testing::Random random(1);
    for (int round = 0; round < 300; ++round) {
        const std::vector<Bin> bins = random_bins(random, testing::below(random, 600));
        const ContextStates initial(
            static_cast<ContextColumn>(round % 4), static_cast<int>(testing::below(random, 52))
        );
        std::vector<bool> bits;
        CabacEncoder encoder(bits);
        ContextStates states = initial;
        for (const Bin& b : bins) {
            if (b.ctx_idx == kBypass) {
                encoder.encode_bypass(b.bin);
            } else if (b.ctx_idx == kTerminate) {
                encoder.encode_terminate(b.bin);
            } else {
                encoder.encode_decision(states[b.ctx_idx], b.bin);
            }
        }
        const ContextStates after = states;
        states = initial;
        const std::vector<uint8_t> bytes = bytes_of(bits);
        CabacDecoder decoder(bytes.data(), bytes.size(), 0);
        CHECK(decoder.is_valid_start());
        for (const Bin& b : bins) {
            const bool bin = b.ctx_idx == kBypass      ? decoder.decode_bypass()
                             : b.ctx_idx == kTerminate ? decoder.decode_terminate()
                                                       : decoder.decode_decision(states[b.ctx_idx]);
            CHECK(bin == b.bin);
        }
        CHECK(states == after);
        CHECK(decoder.position() == bits.size());
        CHECK(bits.back());
    }
}

TEST(cabac_contexts_begin_within_their_states) {
    for (int column = 0; column < 4; ++column) {
        for (int qp = -12; qp <= 51; ++qp) {
            const ContextStates states(static_cast<ContextColumn>(column), qp);
            for (uint16_t ctx_idx = 0; ctx_idx < kEndOfContexts; ++ctx_idx) {
                if (ctx_idx >= kFirstFieldContext && ctx_idx < kFirstContextBehindFields) continue;
                CHECK(states[ctx_idx].p_state_idx() <= 62);
            }
        }
    }
    // 9.3.1.1 by hand: ctxIdx 11 with cabac_init_idc 0 has m 23, n 33; SliceQPY 26 makes it 70.
    const ContextStates states(ContextColumn::kCabacInitIdc0, 26);
    CHECK(states[11].p_state_idx() == 6 && states[11].val_mps());
}

/// All bins of a value.
std::vector<Bin> spelled(BinString string, int32_t value) {
    std::vector<Bin> bins;
    while (!string.is_whole()) {
        const bool bin = string.can_be(true, BinValues::only(value));
        CHECK(bin != string.can_be(false, BinValues::only(value)));
        bins.push_back({string.ctx_idx(), bin});
        string.take(bin);
    }
    CHECK(string.value() == value);
    CHECK(static_cast<size_t>(string.n_bins()) == bins.size());
    return bins;
}

bool begins_with(const std::vector<Bin>& bins, const std::vector<Bin>& first) {
    if (bins.size() < first.size()) return false;
    for (size_t i = 0; i < first.size(); ++i) {
        if (bins[i].bin != first[i].bin) return false;
    }
    return true;
}

/// can_be() along the way to a value is what a search of all bin strings finds.
void check_can_be(
    BinString string, int32_t value, const BinValues& wanted,
    const std::vector<std::vector<Bin>>& strings_of_wanted
) {
    std::vector<Bin> first;
    for (const Bin& b : spelled(string, value)) {
        CHECK(string.ctx_idx() == b.ctx_idx);
        for (const bool bin : {false, true}) {
            std::vector<Bin> next = first;
            next.push_back({b.ctx_idx, bin});
            bool is_there = false;
            for (const auto& bins : strings_of_wanted) is_there |= begins_with(bins, next);
            CHECK(string.can_be(bin, wanted) == is_there);
        }
        first.push_back(b);
        string.take(b.bin);
    }
}

TEST(a_bin_can_be_where_a_wanted_symbol_is_behind_it) {
    testing::Random random(2);
    const NeighbourMb intra{.is_intra = true, .intra_chroma_pred_mode = 1};
    const std::vector<std::pair<BinString, int>> codes{
        {binarization::mb_type(MbSliceType::kI, &intra, nullptr), 26},
        {binarization::mb_type(MbSliceType::kP, &intra, nullptr), 31},
        {binarization::mb_type(MbSliceType::kB, &intra, nullptr), 49},
        {binarization::sub_mb_type(MbSliceType::kP), 4},
        {binarization::sub_mb_type(MbSliceType::kB), 13},
        {binarization::coded_block_pattern(nullptr, &intra), 48},
        {binarization::mb_qp_delta(true), 53},
        {binarization::ref_idx(false, true), 32},
        {binarization::intra_chroma_pred_mode(&intra, &intra), 4},
        {binarization::rem_intra_pred_mode(), 8},
        {binarization::prev_intra_pred_mode_flag(), 2},
        {binarization::end_of_slice_flag(), 2},
        {binarization::coeff_sign_flag(), 2},
    };
    for (const auto& [string, n_values] : codes) {
        for (int round = 0; round < 8; ++round) {
            uint64_t symbols = 0;
            std::vector<std::vector<Bin>> strings;
            for (int value = 0; value < n_values; ++value) {
                const bool is_p8x8ref0 = n_values == 31 && value == kP8x8Ref0;
                if (is_p8x8ref0 || testing::below(random, 3) != 0) continue;
                symbols |= uint64_t{1} << value;
                strings.push_back(spelled(string, value));
            }
            for (int value = 0; value < n_values; ++value) {
                if (n_values == 31 && value == kP8x8Ref0) continue;
                check_can_be(string, value, BinValues::of_symbols(symbols), strings);
            }
        }
    }
}

TEST(a_bin_can_be_where_a_wanted_number_is_behind_it) {
    testing::Random random(3);
    const std::vector<std::pair<BinString, int32_t>> numbers{
        {binarization::mvd(0, 0), -90},
        {binarization::mvd(1, 40), -90},
        {binarization::coeff_abs_level_minus1(BlockCat::kLuma8x8, 2, 0), 0},
        {binarization::coeff_abs_level_minus1(BlockCat::kChromaDc, 0, 7), 0},
    };
    for (const auto& [string, least] : numbers) {
        for (int round = 0; round < 12; ++round) {
            const int32_t first = least + static_cast<int32_t>(testing::below(random, 120));
            const int32_t last = first + static_cast<int32_t>(testing::below(random, 60));
            std::vector<std::vector<Bin>> strings;
            for (int32_t value = first; value <= last; ++value)
                strings.push_back(spelled(string, value));
            for (int32_t value = least; value < 90; value += 1 + round) {
                check_can_be(string, value, BinValues::of_range(first, last), strings);
            }
        }
        // As large as they come.
        for (int32_t value = 30'000; value < 33'000; value += 997) {
            spelled(string, value);
            if (least < 0) spelled(string, -value);
        }
    }
}

TEST(bin_strings_have_the_contexts_of_the_standard) {
    const auto contexts = [](const std::vector<Bin>& bins) {
        std::string text;
        for (const Bin& b : bins) {
            text += b.ctx_idx == kBypass ? "-" : std::to_string(b.ctx_idx);
            text += b.bin ? "=1 " : "=0 ";
        }
        return text;
    };
    const NeighbourMb inter{.cbp_luma = 0b0101, .cbp_chroma = 1};
    const NeighbourMb skipped{.is_skipped = true, .is_direct = true};
    const NeighbourMb pcm{.is_intra = true, .is_pcm = true, .cbp_luma = 15, .cbp_chroma = 2};
    using namespace binarization;
    CHECK(contexts(spelled(mb_type(MbSliceType::kI, &pcm, &pcm), 25)) == "5=1 276=1 ");
    CHECK(
        contexts(spelled(mb_type(MbSliceType::kI, nullptr, nullptr), 24)) ==
        "3=1 276=0 6=1 7=1 8=1 9=1 10=1 "
    );
    CHECK(
        contexts(spelled(mb_type(MbSliceType::kI, nullptr, nullptr), 2)) ==
        "3=1 276=0 6=0 7=0 9=0 10=1 "
    );
    CHECK(
        contexts(spelled(mb_type(MbSliceType::kP, &pcm, &pcm), 5 + 24)) ==
        "14=1 17=1 276=0 18=1 19=1 19=1 20=1 20=1 "
    );
    CHECK(contexts(spelled(mb_type(MbSliceType::kP, &pcm, &pcm), 2)) == "14=0 15=1 17=0 ");
    CHECK(
        contexts(spelled(mb_type(MbSliceType::kB, &skipped, &inter), 22)) ==
        "28=1 30=1 31=1 32=1 32=1 32=1 "
    );
    CHECK(contexts(spelled(sub_mb_type(MbSliceType::kB), 11)) == "36=1 37=1 38=1 39=1 39=0 ");
    // The block to the left of the first is coded of neither, that above of `inter`.
    CHECK(
        contexts(spelled(coded_block_pattern(&skipped, &inter), 16 * 2 + 0b1011)) ==
        "74=1 75=1 74=0 74=1 79=1 81=1 "
    );
    CHECK(contexts(spelled(coded_block_pattern(&pcm, nullptr), 0)) == "73=0 74=0 75=0 76=0 78=0 ");
    CHECK(contexts(spelled(mb_qp_delta(true), 3)) == "61=1 62=1 63=1 63=0 ");
    CHECK(contexts(spelled(ref_idx(true, true), 3)) == "57=1 58=1 59=1 59=0 ");
    CHECK(contexts(spelled(mvd(0, 30), -2)) == "41=1 43=1 44=0 -=1 ");
    CHECK(
        contexts(spelled(mvd(1, 0), 9)) ==
        "47=1 50=1 51=1 52=1 53=1 53=1 53=1 53=1 53=1 -=0 -=0 -=0 -=0 -=0 "
    );
    CHECK(contexts(spelled(intra_chroma_pred_mode(&pcm, &inter), 3)) == "64=1 67=1 67=1 ");
    CHECK(
        contexts(spelled(coeff_abs_level_minus1(BlockCat::kChromaDc, 1, 4), 2)) ==
        "257=1 265=1 265=0 "
    );
    CHECK(contexts(spelled(significant_coeff_flag(BlockCat::kChromaDc, 2), 1)) == "151=1 ");
    CHECK(contexts(spelled(significant_coeff_flag(BlockCat::kLuma8x8, 62), 1)) == "414=1 ");
    CHECK(contexts(spelled(last_significant_coeff_flag(BlockCat::kLuma8x8, 62), 1)) == "425=1 ");
}

SliceFacts random_slice(testing::Random& random) {
    SliceFacts slice;
    slice.type = static_cast<MbSliceType>(testing::below(random, 3));
    slice.width_mbs = static_cast<uint32_t>(1 + testing::below(random, 5));
    slice.frame_mbs = slice.width_mbs * static_cast<uint32_t>(1 + testing::below(random, 4));
    slice.first_mb = static_cast<uint32_t>(testing::below(random, slice.frame_mbs));
    for (uint8_t& n : slice.num_ref_idx_active)
        n = static_cast<uint8_t>(1 + testing::below(random, testing::below(random, 2) ? 3 : 32));
    slice.transform_8x8_mode_flag = testing::below(random, 2) == 0;
    slice.direct_8x8_inference_flag = testing::below(random, 2) == 0;
    return slice;
}

TEST(macroblocks_come_back_from_both_entropy_coders) {
    testing::Random random(4);
    for (int round = 0; round < 400; ++round) {
        const SliceFacts slice = random_slice(random);
        std::vector<MacroblockSyntax> mbs(
            1 + testing::below(random, slice.frame_mbs - slice.first_mb)
        );
        RandomMacroblocks(static_cast<uint32_t>(random()), {}).fill(slice, mbs);
        const std::vector<MacroblockSyntax> given = mbs;

        std::vector<bool> bits;
        const ContextStates states(static_cast<ContextColumn>(round % 4), round % 52);
        BinWriter bin_writer(bits, states);
        CabacMbCoder cabac_writer(bin_writer);
        code_slice_data(cabac_writer, slice, mbs, false);
        CHECK(mbs == given);
        const std::vector<uint8_t> cabac = bytes_of(bits);
        BinReader bin_reader(cabac, 0, states);
        CabacMbCoder cabac_reader(bin_reader);
        std::vector<MacroblockSyntax> read;
        code_slice_data(cabac_reader, slice, read, true);
        CHECK(read == given);
        CHECK(bin_reader.position() == bits.size());

        bits.clear();
        BitWriter bit_writer(bits);
        CavlcMbCoder cavlc_writer(bit_writer);
        code_slice_data(cavlc_writer, slice, mbs, false);
        CHECK(mbs == given);
        bits.push_back(true);
        const std::vector<uint8_t> cavlc = bytes_of(bits);
        BitReader bit_reader(cavlc, 0);
        CavlcMbCoder cavlc_reader(bit_reader);
        read.clear();
        code_slice_data(cavlc_reader, slice, read, true);
        CHECK(read == given);
    }
}

TEST(cabac_zero_words_make_room_for_bins) {
    // 32 / 3 bins a byte and 96 a macroblock.
    CHECK(n_cabac_zero_words(96, 0, 1) == 0);
    CHECK(n_cabac_zero_words(97, 0, 1) == 1);
    CHECK(n_cabac_zero_words(96 + 32, 3, 1) == 0);
    CHECK(n_cabac_zero_words(96 + 32 + 32, 3, 1) == 1);
    CHECK(n_cabac_zero_words(96 + 32 + 33, 3, 1) == 2);
    for (uint64_t n_bins = 0; n_bins < 3000; n_bins += 7) {
        const uint64_t n = n_cabac_zero_words(n_bins, 20, 2);
        CHECK(3 * n_bins <= 32 * (20 + 3 * n) + 3 * 192);
        CHECK(n == 0 || 3 * n_bins > 32 * (20 + 3 * (n - 1)) + 3 * 192);
    }
}

TEST(cabac_has_no_bins_for_an_8x8_block_without_levels) {
    SliceFacts slice;
    slice.transform_8x8_mode_flag = true;
    std::vector<MacroblockSyntax> mbs(1);
    mbs[0].transform_size_8x8_flag = true;
    mbs[0].coded_block_pattern = 1;
    std::vector<bool> bits;
    BinWriter port(bits, ContextStates(ContextColumn::kI, 26));
    CabacMbCoder coder(port);
    const auto write = [&] { code_slice_data(coder, slice, mbs, false); };
    CHECK(testing::message_of<BrokenSyntax>(write) == "a value has no bin string");
}

TEST(cabac_writes_nothing_that_its_reader_refuses) {
    SliceFacts slice;
    slice.type = MbSliceType::kP;
    slice.num_ref_idx_active = {2, 0};
    const auto write = [&](uint8_t ref_idx) {
        std::vector<MacroblockSyntax> mbs(1);
        mbs[0].ref_idx[0].fill(ref_idx);
        std::vector<bool> bits;
        BinWriter port(bits, ContextStates(ContextColumn::kCabacInitIdc0, 26));
        CabacMbCoder coder(port);
        code_slice_data(coder, slice, mbs, false);
        return bits.size();
    };
    CHECK(write(1) > 0);
    CHECK(testing::message_of<BrokenSyntax>([&] { write(2); }) == "a value has no bin string");
}

}  // namespace
