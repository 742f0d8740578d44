// H.264 cursors: what copies share, used by several threads; rings, runs and the other reading.
#include <array>
#include <atomic>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "avc_walks.hpp"
#include "h264/check.hpp"
#include "h264/token_walk.hpp"
#include "testing.hpp"

namespace {

using pycodec_lm::ByteSet;
using pycodec_lm::h264::AvcCursor;
using pycodec_lm::h264::AvcGrammar;

constexpr int kThreads = 4;
// SPS and PPS of 64 x 48 pixels, constrained baseline, as libx264 writes them.
constexpr std::array<uint8_t, 36> kParameterSets{
    0x00, 0x00, 0x00, 0x01, 0x67, 0x42, 0xc0, 0x0a, 0xd9, 0x04, 0x7b, 0x01,
    0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00, 0x00, 0x03, 0x00, 0x60, 0xf1,
    0x22, 0x64, 0x80, 0x00, 0x00, 0x00, 0x01, 0x68, 0xcb, 0x80, 0xb4, 0xb2,
};

AvcCursor behind_parameter_sets() {
    auto grammar = std::make_shared<AvcGrammar>();
    grammar->portable = true;
    AvcCursor cursor(std::move(grammar));
    for (const uint8_t byte : kParameterSets) CHECK(cursor.accept(byte));
    return cursor;
}

/// Takes allowed bytes at random; returns them.
std::vector<uint8_t> walk(AvcCursor& cursor, uint32_t seed, int n_bytes) {
    testing::Random random(seed);
    std::vector<uint8_t> taken;
    for (int i = 0; i < n_bytes; ++i) {
        const ByteSet allowed = cursor.allowed();
        uint8_t byte = 0;
        do {
            byte = static_cast<uint8_t>(testing::below(random, 256));
        } while (!allowed.contains(byte));
        CHECK(cursor.accept(byte));
        taken.push_back(byte);
    }
    return taken;
}

TEST(threads_share_what_copies_of_an_h264_cursor_share) {
    for (uint32_t round = 0; round < 6; ++round) {
        AvcCursor cursor = behind_parameter_sets();
        walk(cursor, round, 150);
        std::atomic<int> n_waiting{kThreads};
        std::array<std::vector<uint8_t>, kThreads> streams;
        std::vector<std::thread> threads;
        for (size_t i = 0; i < kThreads; ++i) {
            threads.emplace_back([&, i] {
                --n_waiting;
                while (n_waiting > 0) std::this_thread::yield();
                AvcCursor copy = cursor;
                streams[i] = walk(copy, static_cast<uint32_t>(i / 2), 120);
                copy.complete(streams[i], copy.bytes_to_complete());
            });
        }
        for (std::thread& thread : threads) thread.join();
        // Two threads take each walk.
        CHECK(streams[0] == streams[1] && streams[2] == streams[3]);
        for (const auto& stream : streams) {
            AvcCursor copy = cursor;
            for (const uint8_t byte : stream) CHECK(copy.accept(byte));
            CHECK(copy.is_complete());
        }
    }
}

TEST(an_h264_byte_is_taken_whole_or_not_at_all) {
    for (uint32_t seed = 0; seed < 4; ++seed) {
        AvcCursor cursor = behind_parameter_sets();
        for (int i = 0; i < 60; ++i) {
            const std::string before = cursor.describe();
            const uint64_t n_bytes = cursor.bytes_to_complete();
            const ByteSet allowed = cursor.allowed();
            for (unsigned byte = 0; byte < 256; ++byte) {
                if (allowed.contains(static_cast<uint8_t>(byte))) continue;
                CHECK(!cursor.accept(static_cast<uint8_t>(byte)));
            }
            CHECK(cursor.describe() == before);
            CHECK(cursor.bytes_to_complete() == n_bytes);
            walk(cursor, seed * 100 + static_cast<uint32_t>(i), 1);
        }
    }
}

// `soak_avc` does the same for long.
TEST(h264_walks_end_nowhere) {
    for (uint32_t seed = 0; seed < 24; ++seed) {
        const avc_walks::Walk walk = avc_walks::walk_from_beginning(seed, 400);
        if (!walk.broken.empty())
            throw std::runtime_error("walk " + std::to_string(seed) + ": " + walk.broken);
    }
}

}  // namespace
