// Masks, matchers and batches over the toy codec.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "grammar/batch.hpp"
#include "grammar/mask.hpp"
#include "grammar/thread_pool.hpp"
#include "grammar/usage_error.hpp"
#include "testing.hpp"
#include "toy_vocabulary.hpp"

namespace {

using pycodec_lm::BatchMatcher;
using pycodec_lm::UsageError;
using toy::Matcher;
using toy::TokenId;

/// Takes a random allowed token that goes on with the file; false at its end.
bool step(testing::Random& random, Matcher& matcher) {
    const auto tokens = toy::tokens_of(toy::mask_of(matcher));
    if (matcher.is_terminated() || tokens.empty()) return false;
    CHECK(matcher.accept_token(tokens[testing::below(random, tokens.size())]));
    return true;
}

template <class Cursor>
void check_masks(testing::Random& random, bool has_stop, std::optional<uint64_t> max_tokens) {
    const toy::Info info = toy::random_info(random, has_stop);
    const auto matcher = toy::compile<Cursor>(info)->make_matcher(max_tokens, {});
    do {
        const auto mask = toy::mask_of(*matcher);
        CHECK(toy::tokens_of(mask) == toy::accepted_by(*matcher));
    } while (step(random, *matcher));
    CHECK(matcher->is_complete());
}

TEST(mask_is_what_accept_token_accepts) {
    testing::Random random(1);
    for (int round = 0; round < 6; ++round) {
        check_masks<toy::PlainCursor>(random, round % 2 == 0, std::nullopt);
        check_masks<toy::FastCursor>(random, round % 2 == 0, std::nullopt);
    }
}

TEST(trie_walk_is_its_slow_twin) {
    testing::Random random(2);
    const toy::Info info = toy::random_info(random, true);
    const pycodec_lm::TokenTrie trie(*info);
    const size_t n_words = pycodec_lm::n_mask_words(info->encoded_vocab().size());
    for (unsigned count = 0; count < 8; ++count) {
        toy::FastCursor cursor;
        cursor.accept(static_cast<uint8_t>(count));
        while (!cursor.is_complete()) {
            std::vector<uint32_t> fast(n_words);
            std::vector<uint32_t> slow(n_words);
            pycodec_lm::fill_mask(trie, trie, cursor, fast);
            pycodec_lm::fill_mask_slowly(*info, cursor, slow);
            CHECK(fast == slow);
            const auto magnitude = pycodec_lm::magnitude_of(cursor.counters());
            const auto masks =
                pycodec_lm::make_shared_mask(trie, cursor.walker(), n_words, magnitude);
            masks.write(cursor.counters(), fast);
            CHECK(fast == slow);
            while (!cursor.accept(static_cast<uint8_t>(testing::below(random, 256)))) {
            }
        }
    }
}

TEST(fill_says_whether_anything_is_forbidden) {
    const toy::Info info = std::make_shared<const pycodec_lm::TokenizerInfo>(
        toy::byte_vocab(), std::vector<int64_t>{}, std::vector<int64_t>{}
    );
    const auto matcher = toy::compile<toy::FastCursor>(info)->make_matcher({}, {});
    std::vector<uint32_t> mask(8);
    CHECK(!matcher->fill_mask(mask));  // any count may come
    CHECK(std::all_of(mask.begin(), mask.end(), [](uint32_t word) {
        return word == ~uint32_t{0};
    }));
    CHECK(matcher->accept_token(info->token_of_byte(0)));
    CHECK(matcher->fill_mask(mask));
    CHECK((toy::tokens_of(mask) == std::vector<TokenId>{info->token_of_byte(toy::kEnd)}));
}

TEST(hooks_change_nothing_but_time) {
    testing::Random random(3);
    for (int round = 0; round < 12; ++round) {
        const toy::Info info = toy::random_info(random, round % 2 == 0);
        std::optional<uint64_t> budget;
        if (round % 3 != 0) budget = 3 + testing::below(random, 200);
        const auto plain = toy::compile<toy::PlainCursor>(info)->make_matcher(budget, {});
        // A cache of a few hundred bytes is always full.
        const auto compiled = toy::compile<toy::FastCursor>(info, round % 4 == 0 ? 20000 : 1 << 20);
        const auto fast = compiled->make_matcher(budget, {});
        for (bool more = true; more;) {
            const auto mask = toy::mask_of(*plain);
            CHECK(mask == toy::mask_of(*fast));
            CHECK(plain->min_tokens_to_complete() == fast->min_tokens_to_complete());
            CHECK(plain->forced_bytes() == fast->forced_bytes());
            CHECK(plain->forced_tokens() == fast->forced_tokens());
            CHECK(plain->is_terminated() == fast->is_terminated());
            const auto tokens = toy::tokens_of(mask);
            more = !tokens.empty() && !plain->is_terminated();
            if (!more) break;
            const TokenId token = tokens[testing::below(random, tokens.size())];
            CHECK(plain->accept_token(token) && fast->accept_token(token));
        }
    }
}

TEST(budget_is_kept_from_the_least_on) {
    testing::Random random(4);
    for (int round = 0; round < 150; ++round) {
        const bool has_stop = round % 2 == 0;
        const auto compiled = toy::compile<toy::FastCursor>(toy::random_info(random, has_stop));
        const uint64_t least = compiled->make_matcher({}, {})->min_tokens_to_complete();
        CHECK(!testing::message_of<UsageError>([&] {
                   static_cast<void>(compiled->make_matcher(least - 1, {}));
               }).empty());
        const uint64_t budget = least * (round % 3 == 0   ? 1
                                         : round % 3 == 1 ? 2
                                                          : 10) +
                                testing::below(random, 3);
        const auto matcher = compiled->make_matcher(budget, {});
        uint64_t n_tokens = 0;
        while (!matcher->is_terminated()) {
            CHECK(matcher->tokens_left() == budget - n_tokens);
            if (n_tokens % 5 == 0)
                CHECK(toy::tokens_of(toy::mask_of(*matcher)) == toy::accepted_by(*matcher));
            CHECK(step(random, *matcher));  // some token is allowed
            ++n_tokens;
        }
        CHECK(matcher->is_complete() && n_tokens <= budget);
    }
}

TEST(budget_counts_from_the_prompt_on) {
    testing::Random random(5);
    const auto compiled = toy::compile<toy::FastCursor>(toy::random_info(random, true, 0));
    const std::vector<uint8_t> prompt{9, 64, 64};  // 7 steps, FF and a stop token to come
    CHECK(compiled->make_matcher(9, prompt)->tokens_left() == 9);
    const auto too_small = [&] { static_cast<void>(compiled->make_matcher(8, prompt)); };
    CHECK(testing::message_of<UsageError>(too_small).find("takes 9") != std::string::npos);
    const auto matcher = compiled->make_matcher(8, {});
    CHECK(!testing::message_of<UsageError>([&] { matcher->accept_bytes(prompt); }).empty());
    CHECK(matcher->min_tokens_to_complete() == 3);  // nothing has changed
    CHECK(!matcher->accept_bytes(std::vector<uint8_t>{1, 200}));
    CHECK(matcher->accept_bytes(std::vector<uint8_t>{6}));
    CHECK(matcher->tokens_left() == 8 && matcher->min_tokens_to_complete() == 8);
}

TEST(after_the_stop_token) {
    testing::Random random(6);
    const toy::Info info = toy::random_info(random, true);
    const auto matcher = toy::compile<toy::FastCursor>(info)->make_matcher(10, {});
    const TokenId stop = info->stop_token_ids()[0];
    CHECK(!matcher->accept_token(stop));
    CHECK(matcher->accept_bytes(std::vector<uint8_t>{0, toy::kEnd}));
    CHECK(matcher->is_complete() && !matcher->is_terminated());
    for (int round = 0; round < 3; ++round) {
        CHECK(
            toy::tokens_of(toy::mask_of(*matcher)) ==
            std::vector(info->stop_token_ids().begin(), info->stop_token_ids().end())
        );
        CHECK(matcher->accept_token(info->stop_token_ids()[1]));
        CHECK(matcher->is_terminated() && matcher->tokens_left() == 9);
        CHECK(!matcher->accept_token(info->token_of_byte(0)));
        CHECK(!matcher->accept_bytes(std::vector<uint8_t>{0}));
        CHECK(matcher->min_tokens_to_complete() == 0);
    }
    matcher->rollback(1);
    CHECK(!matcher->is_terminated() && matcher->is_complete() && matcher->tokens_left() == 10);
}

TEST(rollback_and_fork_are_replays) {
    testing::Random random(7);
    for (int round = 0; round < 40; ++round) {
        const auto compiled =
            toy::compile<toy::FastCursor>(toy::random_info(random, round % 2 == 0));
        struct Twin {
            std::unique_ptr<Matcher> matcher;
            // Tokens, with the bytes that were accepted after each; [0] stands for the start.
            std::vector<std::pair<TokenId, std::vector<uint8_t>>> taken;
        };
        std::vector<Twin> twins;
        twins.push_back({compiled->make_matcher(300, {}), {{-1, {}}}});
        for (int action = 0; action < 120; ++action) {
            Twin& twin = twins[testing::below(random, twins.size())];
            const size_t kind = testing::below(random, 12);
            if (kind == 0 && twins.size() < 8) {
                auto fork = Twin{twin.matcher->fork(), twin.taken};
                twins.push_back(std::move(fork));
            } else if (kind == 1) {
                const size_t n = testing::below(random, twin.taken.size());
                twin.matcher->rollback(n);
                twin.taken.resize(twin.taken.size() - n);
            } else if (kind == 2) {
                if (twin.matcher->accept_bytes(std::vector<uint8_t>{64}))
                    twin.taken.back().second.push_back(64);
            } else if (kind == 3 && testing::below(random, 8) == 0) {
                twin.matcher->reset();
                twin.taken = {{-1, {}}};
            } else {
                const auto tokens = toy::tokens_of(toy::mask_of(*twin.matcher));
                if (twin.matcher->is_terminated() || tokens.empty()) continue;
                const TokenId token = tokens[testing::below(random, tokens.size())];
                CHECK(twin.matcher->accept_token(token));
                twin.taken.push_back({token, {}});
            }
        }
        for (Twin& twin : twins) {
            const auto replayed = compiled->make_matcher(300, {});
            for (const auto& [token, bytes] : twin.taken) {
                if (token >= 0) CHECK(replayed->accept_token(token));
                CHECK(replayed->accept_bytes(bytes));
            }
            CHECK(replayed->describe() == twin.matcher->describe());
            CHECK(replayed->tokens_left() == twin.matcher->tokens_left());
            CHECK(toy::mask_of(*replayed) == toy::mask_of(*twin.matcher));
            CHECK(!testing::message_of<UsageError>([&] {
                       twin.matcher->rollback(twin.taken.size());
                   }).empty());
        }
    }
}

TEST(validated_tokens_are_those_accepted) {
    testing::Random random(8);
    const toy::Info info = toy::random_info(random, true);
    const auto compiled = toy::compile<toy::FastCursor>(info);
    for (int round = 0; round < 200; ++round) {
        const auto matcher = compiled->make_matcher(20, {});
        std::vector<int64_t> tokens;
        const auto walker = matcher->fork();
        for (int i = 0; i < 12; ++i) {
            auto allowed = toy::tokens_of(toy::mask_of(*walker));
            if (testing::below(random, 10) == 0)
                allowed = {static_cast<TokenId>(testing::below(random, 256))};
            tokens.push_back(allowed[testing::below(random, allowed.size())]);
            walker->accept_token(tokens.back());
        }
        const std::string before = matcher->describe();
        const size_t n_valid = matcher->validate_tokens(tokens);
        CHECK(matcher->describe() == before);
        for (size_t i = 0; i < tokens.size() && i <= n_valid; ++i) {
            CHECK(matcher->accept_token(tokens[i]) == (i < n_valid));
        }
    }
}

TEST(forced_bytes_and_tokens) {
    testing::Random random(9);
    std::vector<std::string> vocab = toy::byte_vocab();
    vocab.emplace_back("\x40\x40\xFF");
    const toy::Info info = std::make_shared<const pycodec_lm::TokenizerInfo>(
        vocab, std::vector<int64_t>{}, std::vector<int64_t>{}
    );
    const auto matcher = toy::compile<toy::FastCursor>(info)->make_matcher({}, {});
    CHECK(matcher->forced_bytes().empty() && matcher->forced_tokens().empty());
    CHECK(matcher->accept_bytes(std::vector<uint8_t>{0}));
    CHECK(matcher->forced_bytes() == std::vector<uint8_t>{toy::kEnd});
    CHECK(matcher->forced_tokens() == std::vector<TokenId>{info->token_of_byte(toy::kEnd)});
}

TEST(batch_is_its_rows) {
    testing::Random random(10);
    const toy::Info info = toy::random_info(random, true);
    const auto compiled = toy::compile<toy::PlainCursor>(info);
    std::vector<std::shared_ptr<Matcher>> rows;
    std::vector<std::shared_ptr<Matcher>> alone;
    for (int row = 0; row < 7; ++row) {
        rows.push_back(compiled->make_matcher(30 + static_cast<uint64_t>(row), {}));
        alone.push_back(rows.back()->fork());
    }
    BatchMatcher batch(rows);
    const size_t n_words = pycodec_lm::n_mask_words(batch.vocab_size());
    for (int step_idx = 0; step_idx < 20; ++step_idx) {
        std::vector<uint32_t> words(rows.size() * n_words);
        std::vector<pycodec_lm::MaskWords> masks;
        for (size_t row = 0; row < rows.size(); ++row)
            masks.emplace_back(&words[row * n_words], n_words);
        const auto forbids = batch.fill_masks(masks);
        std::vector<int64_t> tokens;
        for (size_t row = 0; row < rows.size(); ++row) {
            const auto mask = toy::mask_of(*alone[row]);
            CHECK(std::equal(mask.begin(), mask.end(), masks[row].begin()));
            CHECK(forbids[row]);
            const auto allowed = toy::tokens_of(mask);
            tokens.push_back(allowed[testing::below(random, allowed.size())]);
        }
        for (const bool accepted : batch.accept_tokens(tokens)) CHECK(accepted);
        for (size_t row = 0; row < rows.size(); ++row) CHECK(alone[row]->accept_token(tokens[row]));
    }
    const std::string before = rows[0]->describe();
    std::vector<int64_t> tokens(rows.size(), info->stop_token_ids()[0]);
    tokens.back() = -1;
    CHECK(!testing::message_of<UsageError>([&] { batch.accept_tokens(tokens); }).empty());
    CHECK(rows[0]->describe() == before);
    rows.push_back(rows[2]);
    CHECK(testing::message_of<UsageError>([&] {
              BatchMatcher twice(rows);
          }).find("rows 2 and 7") == 0);
}

TEST(threads_share_a_compiled_grammar) {
    testing::Random seeds(11);
    const auto compiled = toy::compile<toy::FastCursor>(toy::random_info(seeds, true), 20000);
    std::vector<std::thread> threads;
    std::atomic<int> n_failed = 0;
    for (unsigned seed = 0; seed < 4; ++seed) {
        threads.emplace_back([&, seed] {
            testing::Random random(seed);
            try {
                for (int round = 0; round < 5; ++round) {
                    const auto matcher = compiled->make_matcher(100, {});
                    while (step(random, *matcher)) {
                    }
                    CHECK(matcher->is_complete());
                }
            } catch (const std::exception&) {
                ++n_failed;
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(n_failed == 0);
}

TEST(parallel_calls_come_once_each_and_errors_come_back) {
    for (int round = 0; round < 50; ++round) {
        std::vector<std::atomic<int>> n_calls(100);
        pycodec_lm::parallel_for(n_calls.size(), [&](size_t i) { ++n_calls[i]; });
        CHECK(std::all_of(n_calls.begin(), n_calls.end(), [](const auto& n) { return n == 1; }));
        const auto failing = [](size_t i) {
            if (i == 7) throw UsageError("seven");
        };
        CHECK(testing::message_of<UsageError>([&] {
                  pycodec_lm::parallel_for(20, failing);
              }) == "seven");
    }
}

TEST(a_forked_process_has_threads_of_its_own) {
    const auto count = [] {
        std::atomic<size_t> n_calls = 0;
        pycodec_lm::parallel_for(64, [&](size_t) { ++n_calls; });
        return n_calls == 64;
    };
    CHECK(count());
    const pid_t child = fork();
    if (child == 0) _exit(count() ? 0 : 1);
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(count());
}

TEST(a_token_of_history_takes_48_bytes_at_most) {
    using History = pycodec_lm::History<toy::FastCursor>;
    constexpr double kTokens = static_cast<double>(History::kChunkTokens);
    // What is shared for each chunk: the cursor, the ids, pointers, and what two pieces of memory
    // and their shared counts take.
    CHECK((sizeof(toy::FastCursor) + 4 * kTokens + 104) / kTokens <= 48);
}

}  // namespace
