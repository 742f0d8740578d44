// In place of libFuzzer where the compiler has none: runs files, mutates them, and leaves the input
// that stopped the process in a file. It sees nothing of the paths that inputs take.
//
//   fuzz_x [-max_total_time=SECONDS] [-seed=N] [-max_len=BYTES] [FILE or FOLDER ...]
//
// With files only, no option, it runs them once each; other options of libFuzzer are ignored.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "fuzzing.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t n_bytes);
// The sanitizers end in abort(), so that one handler sees all.
extern "C" const char* __asan_default_options() { return "abort_on_error=1"; }
extern "C" const char* __ubsan_default_options() { return "abort_on_error=1"; }

namespace {

using File = std::vector<uint8_t>;
using Random = std::minstd_rand;

File the_input;

void keep_input(int) {
    std::signal(SIGABRT, SIG_DFL);
    if (std::FILE* out = std::fopen("crash-input", "wb")) {
        std::fwrite(the_input.data(), 1, the_input.size(), out);
        std::fclose(out);
        std::fputs("the input is in crash-input\n", stderr);
    }
    std::abort();
}

size_t below(Random& random, size_t n) { return random() % n; }

void mutate(File& file, const std::vector<File>& corpus, Random& random, size_t max_bytes) {
    for (size_t i = below(random, 6); i < 6; ++i) {
        const size_t at = file.empty() ? 0 : below(random, file.size());
        const auto place = file.begin() + static_cast<std::ptrdiff_t>(at);
        const auto byte = static_cast<uint8_t>(random() >> 8);
        switch (file.empty() ? 3 : below(random, 6)) {
            case 0:
                *place ^= static_cast<uint8_t>(1u << (byte & 7));
                break;
            case 1:
                *place = byte;
                break;
            case 2:
                file.erase(place);
                break;
            case 3:
                file.insert(place, byte % 4 == 0 ? uint8_t{0xFF} : byte);
                break;
            case 4: {
                const size_t n = std::min(file.size() - at, below(random, 40));
                const File copy(place, place + static_cast<std::ptrdiff_t>(n));
                const size_t to = below(random, file.size());
                file.insert(
                    file.begin() + static_cast<std::ptrdiff_t>(to), copy.begin(), copy.end()
                );
                break;
            }
            default: {
                const File& other = corpus[below(random, corpus.size())];
                if (other.empty()) break;
                const size_t from = below(random, other.size());
                file.erase(place, file.end());
                file.insert(
                    file.end(), other.begin() + static_cast<std::ptrdiff_t>(from), other.end()
                );
            }
        }
    }
    if (file.size() > max_bytes) file.resize(max_bytes);
}

File read(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

void run(const File& file) {
    the_input = file;
    // Exactly as long as it is, so that the sanitizer sees reads past the end.
    const File exact(file);
    LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

}  // namespace

int main(int argc, char** argv) {
    std::signal(SIGABRT, keep_input);
    std::vector<File> corpus;
    double seconds = 0;
    size_t max_bytes = 4096;
    Random random(1);
    for (int i = 1; i < argc; ++i) {
        const std::string argument = argv[i];
        const std::string value =
            argument.substr(std::min(argument.size(), argument.find('=') + 1));
        if (argument.starts_with("-max_total_time=")) {
            seconds = std::stod(value);
        } else if (argument.starts_with("-seed=")) {
            random.seed(static_cast<uint32_t>(std::stoul(value)) + 1);
        } else if (argument.starts_with("-max_len=")) {
            max_bytes = std::stoul(value);
        } else if (argument.starts_with("-")) {
            continue;
        } else if (std::filesystem::is_directory(argument)) {
            for (const auto& entry : std::filesystem::directory_iterator(argument)) {
                if (entry.is_regular_file()) corpus.push_back(read(entry.path()));
            }
        } else {
            corpus.push_back(read(argument));
        }
    }
    corpus.emplace_back();
    for (const File& file : corpus) run(file);
    size_t n_runs = corpus.size();
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    for (; std::chrono::steady_clock::now() < end; ++n_runs) {
        File file = corpus[below(random, corpus.size())];
        mutate(file, corpus, random, max_bytes);
        run(file);
    }
    std::printf("%zu runs\n", n_runs);
}
