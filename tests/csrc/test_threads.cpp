// Everything that threads share, used by several at once: under -DPYCODEC_LM_SANITIZE=thread a race
// fails the test, without it a wrong answer does.
#include <array>
#include <atomic>
#include <functional>
#include <thread>

#include "grammar/batch.hpp"
#include "grammar/matcher_of.hpp"
#include "grammars.hpp"
#include "jpeg/block_lookup.hpp"
#include "jpeg/check.hpp"
#include "jpeg/coefficients.hpp"
#include "testing.hpp"
#include "toy_vocabulary.hpp"

namespace {

using pycodec_lm::BatchMatcher;
using pycodec_lm::CompiledGrammar;
using pycodec_lm::CompiledGrammarOf;
using pycodec_lm::Matcher;
using pycodec_lm::TokenId;
using pycodec_lm::jpeg::BlockLookup;
using pycodec_lm::jpeg::HuffmanTable;
using pycodec_lm::jpeg::JpegCursor;
using pycodec_lm::jpeg::JpegGrammar;
using pycodec_lm::jpeg::ScanIds;
using pycodec_lm::jpeg::TableClass;
using File = std::vector<uint8_t>;

constexpr int kThreads = 4;
// Of grammars.hpp: a pinned header of 4:2:0 with restarts, and gray without.
constexpr size_t kColor = 6;
constexpr size_t kGray = 5;

/// Runs work(i) in thread i, all of them started together; fails where one of them throws.
void together(const std::function<void(int)>& work) {
    std::atomic<int> n_waiting{kThreads};
    std::array<std::exception_ptr, kThreads> failures;
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) {
        threads.emplace_back([&, i] {
            --n_waiting;
            while (n_waiting > 0) std::this_thread::yield();
            try {
                work(i);
            } catch (...) {
                failures[static_cast<size_t>(i)] = std::current_exception();
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    for (const std::exception_ptr& failure : failures) {
        if (failure) std::rethrow_exception(failure);
    }
}

/// A file of random bytes as far as they are allowed, then the shortest ending.
File random_file(const std::shared_ptr<const JpegGrammar>& grammar, uint32_t seed) {
    testing::Random random(seed);
    JpegCursor cursor(grammar);
    File file;
    for (size_t i = 0; i < 3000 && file.size() < 900 && !cursor.is_complete(); ++i) {
        const auto byte = static_cast<uint8_t>(testing::below(random, 256));
        const auto forced = cursor.forced_byte();
        if (cursor.accept(forced.value_or(byte))) file.push_back(forced.value_or(byte));
    }
    cursor.complete(file, file.size() + cursor.bytes_to_complete());
    return file;
}

/// A DC table like no other: 12 codes of 4 bits, whose symbols are turned by `turn`.
std::shared_ptr<const HuffmanTable> table_of(size_t turn) {
    constexpr std::array<uint8_t, 16> kBits{0, 0, 0, 12};
    std::vector<uint8_t> values;
    for (size_t i = 0; i < 12; ++i) values.push_back(static_cast<uint8_t>((i + turn) % 12));
    std::swap(values[0], values[turn % 11 + 1]);
    return HuffmanTable::shared(TableClass::kDc, kBits, values);
}

TEST(threads_share_huffman_tables_and_their_look_ups) {
    constexpr std::array<uint8_t, 16> kOneOfOneBit{1};
    constexpr std::array<uint8_t, 1> kEndOfBlock{0};
    const auto end_of_block = HuffmanTable::shared(TableClass::kAc, kOneOfOneBit, kEndOfBlock);
    together([&end_of_block](int thread) {
        testing::Random random(static_cast<uint32_t>(thread));
        for (int i = 0; i < 300; ++i) {
            // More tables than are kept, so that some are made while others are dropped.
            const size_t turn = testing::below(random, 100);
            const auto table = table_of(turn);
            CHECK(table->bits()[3] == 12);
            CHECK(&table->at_precision(12) == &table->at_precision(12));
            CHECK(table->at_precision(12).limits().max_dc_category == 15);
            const auto lookup = BlockLookup::shared(table, end_of_block);
            for (uint32_t code = 0; code < 12; ++code) {
                const auto category = static_cast<unsigned>(table->leaf(code).symbol);
                CHECK(lookup->find_dc(code << 28).n_bits() == 4 + category);
            }
        }
    });
}

TEST(threads_check_files_with_the_same_tables) {
    const auto grammar = fuzzing::grammar_of(kColor);
    std::vector<File> files;
    for (uint32_t seed = 0; seed < 6; ++seed) files.push_back(random_file(grammar, seed));
    together([&](int thread) {
        const auto standard = std::make_shared<const JpegGrammar>();
        for (size_t i = 0; i < files.size(); ++i) {
            const File& file = files[(i + static_cast<size_t>(thread)) % files.size()];
            const auto result =
                check(thread % 2 == 0 ? grammar : standard, file.data(), file.size());
            CHECK(bool(result.status) && result.end_offset == file.size());
            std::vector<pycodec_lm::jpeg::CoefficientPlane> planes;
            CHECK(
                bool(pycodec_lm::jpeg::read_coefficients(
                    standard, file.data(), file.size(), size_t{1} << 24, planes
                ))
            );
        }
    });
}

TEST(threads_share_the_header_that_copies_of_a_cursor_share) {
    for (const size_t number : {kColor, kGray}) {
        // What is worked out once, worked out by all at once: the cursor is new each round.
        for (uint32_t round = 0; round < 8; ++round) {
            JpegCursor cursor(fuzzing::grammar_of(number));
            while (!cursor.in_scan()) CHECK(cursor.accept(cursor.forced_byte().value()));
            std::array<uint64_t, kThreads> lengths{};
            together([&](int thread) {
                const JpegCursor copy = cursor;
                lengths[static_cast<size_t>(thread)] = copy.bytes_to_complete();
                CHECK(copy.ending_bound(9) >= lengths[static_cast<size_t>(thread)]);
                File ending;
                copy.complete(ending, copy.bytes_to_complete());
                CHECK(ending.size() == lengths[static_cast<size_t>(thread)]);
                CHECK(copy.local_key({.n_bytes = 4, .n_unit_bytes = 4}).has_value());
            });
            for (const uint64_t length : lengths) CHECK(length == lengths[0]);
        }
    }
}

TEST(threads_get_the_same_number_for_the_same_scan) {
    ScanIds ids;
    std::array<std::array<uint16_t, 50>, kThreads> seen{};
    together([&](int thread) {
        for (size_t i = 0; i < 50; ++i)
            seen[static_cast<size_t>(thread)][i] = ids.id_of("scan " + std::to_string(i));
    });
    for (const auto& numbers : seen) CHECK(numbers == seen[0]);
}

std::shared_ptr<const CompiledGrammar> compile(size_t number, size_t cache_bytes) {
    testing::Random random(7);
    return std::make_shared<const CompiledGrammarOf<JpegCursor>>(
        JpegCursor(fuzzing::grammar_of(number)), toy::random_info(random, true), cache_bytes
    );
}

/// Stands at the first MCU: no header is in the way.
std::unique_ptr<Matcher> in_scan(
    const CompiledGrammar& compiled, size_t number, std::optional<uint64_t> max_tokens
) {
    return compiled.make_matcher(max_tokens, fuzzing::grammar_of(number)->pinned[0]);
}

/// Takes tokens along a file; the masks it saw, folded into a number.
uint64_t walk(Matcher& matcher, uint32_t seed, int n_steps) {
    testing::Random random(seed);
    uint64_t seen = 0;
    for (int i = 0; i < n_steps; ++i) {
        const auto mask = toy::mask_of(matcher);
        for (const uint32_t word : mask) seen = seen * 0x9E3779B97F4A7C15u + word;
        const auto tokens = toy::tokens_of(mask);
        if (tokens.empty() || matcher.is_terminated()) break;
        CHECK(matcher.accept_token(tokens[testing::below(random, tokens.size())]));
    }
    return seen;
}

TEST(threads_share_masks_and_endings_of_a_compiled_grammar) {
    // A cache that is always full, and one that holds all.
    for (const size_t cache_bytes : {size_t{60000}, size_t{1} << 22}) {
        for (const size_t number : {kColor, kGray}) {
            const auto compiled = compile(number, cache_bytes);
            const uint64_t least = in_scan(*compiled, number, {})->min_tokens_to_complete();
            std::array<uint64_t, kThreads> seen{};
            together([&](int thread) {
                // Two threads take each walk, at the same time.
                const auto seed = static_cast<uint32_t>(thread / 2);
                const auto free = in_scan(*compiled, number, {});
                const auto bounded = in_scan(*compiled, number, least + 5);
                seen[static_cast<size_t>(thread)] =
                    walk(*free, seed, 60) + walk(*bounded, seed, 25);
                CHECK(compiled->masks().stats().n_hits + compiled->masks().stats().n_misses > 0);
            });
            CHECK(seen[0] == seen[1] && seen[2] == seen[3]);
            CHECK(seen[0] != seen[2]);
        }
    }
}

TEST(threads_fill_masks_of_batches_at_once) {
    const auto compiled = compile(kColor, size_t{1} << 20);
    const size_t n_words = pycodec_lm::n_mask_words(compiled->info().encoded_vocab().size());
    together([&](int thread) {
        std::vector<std::shared_ptr<Matcher>> rows;
        for (uint32_t row = 0; row < 5; ++row) {
            rows.emplace_back(in_scan(*compiled, kColor, {}));
            walk(*rows.back(), 10 * static_cast<uint32_t>(thread) + row, 5 + 3 * thread);
        }
        BatchMatcher batch(rows);
        for (int i = 0; i < 6; ++i) {
            std::vector<std::vector<uint32_t>> masks(rows.size(), std::vector<uint32_t>(n_words));
            std::vector<pycodec_lm::MaskWords> spans(masks.begin(), masks.end());
            static_cast<void>(batch.fill_masks(spans));
            std::vector<int64_t> tokens;
            for (size_t row = 0; row < rows.size(); ++row) {
                CHECK(masks[row] == toy::mask_of(*rows[row]->fork()));
                tokens.push_back(toy::tokens_of(masks[row]).at(0));
            }
            for (const bool accepted : batch.accept_tokens(tokens)) CHECK(accepted);
        }
    });
}

}  // namespace
