// A few lines in place of a test framework.
#pragma once

#include <functional>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace testing {

struct Test {
    std::string name;
    std::function<void()> body;
};

inline std::vector<Test>& all_tests() {
    static std::vector<Test> tests;
    return tests;
}

struct Registration {
    Registration(const char* name, void (*body)()) { all_tests().push_back({name, body}); }
};

inline void check(bool holds, const char* what, const char* file, int line) {
    if (holds) return;
    throw std::runtime_error(std::string(file) + ":" + std::to_string(line) + ": " + what);
}

/// The message of the Error that `body` throws; fails where it throws none.
template <class Error>
std::string message_of(const std::function<void()>& body) {
    try {
        body();
    } catch (const Error& error) {
        return error.what();
    }
    throw std::runtime_error("nothing was thrown");
}

using Random = std::mt19937;

inline size_t below(Random& random, size_t n) {
    return std::uniform_int_distribution<size_t>(0, n - 1)(random);
}

}  // namespace testing

#define TEST(name)                                                        \
    static void name();                                                   \
    static const testing::Registration registration_##name(#name, &name); \
    static void name()
#define CHECK(condition) testing::check((condition), #condition, __FILE__, __LINE__)
