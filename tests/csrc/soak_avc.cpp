// Walks over the bytes of H.264 for long: soak_avc [BYTES [SEED]]. Stops at the first broken
// promise.
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "avc_walks.hpp"

int main(int argc, char** argv) {
    constexpr uint64_t kBytesEach = 3000;
    const uint64_t n_wanted = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1'000'000;
    auto seed = static_cast<uint32_t>(argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 0);
    uint64_t n_bytes = 0;
    uint64_t n_walks = 0;
    for (; n_bytes < n_wanted; ++seed, ++n_walks) {
        const avc_walks::Walk walk = avc_walks::walk_from_beginning(seed, kBytesEach);
        n_bytes += walk.n_bytes;
        if (!walk.broken.empty()) {
            std::printf("walk %u: %s\n", seed, walk.broken.c_str());
            for (const uint8_t byte : walk.data) std::printf("%02x", byte);
            std::printf("\n");
            return 1;
        }
        if (n_walks % 100 == 0) {
            std::printf("%llu bytes\n", static_cast<unsigned long long>(n_bytes));
            std::fflush(stdout);
        }
    }
    std::printf(
        "%llu bytes walked in %llu walks, no dead end\n", static_cast<unsigned long long>(n_bytes),
        static_cast<unsigned long long>(n_walks)
    );
    return 0;
}
