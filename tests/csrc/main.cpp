// Runs the tests whose names contain the first argument, or all.
#include <exception>
#include <iostream>

#include "testing.hpp"

int main(int argc, char** argv) {
    const std::string wanted = argc > 1 ? argv[1] : "";
    int n_failed = 0;
    for (const testing::Test& test : testing::all_tests()) {
        if (test.name.find(wanted) == std::string::npos) continue;
        try {
            test.body();
            std::cout << "ok      " << test.name << '\n';
        } catch (const std::exception& error) {
            ++n_failed;
            std::cout << "FAILED  " << test.name << "\n        " << error.what() << '\n';
        }
    }
    return n_failed == 0 ? 0 : 1;
}
