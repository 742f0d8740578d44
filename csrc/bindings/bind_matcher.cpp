#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "bindings/bind_grammar.hpp"
#include "bindings/buffers.hpp"
#include "grammar/batch.hpp"
#include "grammar/matcher.hpp"
#include "grammar/timing.hpp"
#include "grammar/usage_error.hpp"

namespace py = pybind11;

namespace pycodec_lm {
namespace {

py::bytes to_python(const std::vector<uint8_t>& bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::shared_ptr<Matcher> make_matcher(
    const BoundCompiledGrammar& compiled, std::optional<int64_t> max_tokens,
    const py::object& prompt
) {
    if (max_tokens && *max_tokens < 0) throw UsageError("max_tokens must not be negative");
    const BytesView bytes(prompt.ptr());
    std::optional<uint64_t> budget;
    if (max_tokens) budget = static_cast<uint64_t>(*max_tokens);
    return compiled.compiled->make_matcher(budget, bytes.bytes());
}

void rollback(Matcher& matcher, int64_t n_tokens) {
    if (n_tokens < 0) throw UsageError("cannot roll back a negative number of tokens");
    matcher.rollback(static_cast<uint64_t>(n_tokens));
}

BatchMatcher make_batch(
    std::vector<std::shared_ptr<Matcher>> matchers, std::optional<int64_t> max_threads
) {
    if (!max_threads) return BatchMatcher(std::move(matchers));
    if (*max_threads < 1) throw UsageError("max_threads must be at least 1");
    return BatchMatcher(std::move(matchers), static_cast<size_t>(*max_threads));
}

py::array_t<int64_t> time_steps_of(Matcher& matcher, const std::vector<int64_t>& tokens) {
    std::vector<StepTimes> times;
    {
        const py::gil_scoped_release release;
        times = time_steps(matcher, tokens);
    }
    static_assert(sizeof(StepTimes) == 3 * sizeof(int64_t));
    const std::vector<py::ssize_t> shape{static_cast<py::ssize_t>(times.size()), 3};
    py::array_t<int64_t> array(shape);
    std::memcpy(array.mutable_data(), times.data(), times.size() * sizeof(StepTimes));
    return array;
}

std::vector<bool> batch_fill(
    BatchMatcher& batch, const py::object& array,
    const std::optional<std::vector<py::ssize_t>>& indices
) {
    const BitmaskView bitmask(array.ptr(), ArrayView::Access::kWrite);
    const size_t n_rows = indices ? indices->size() : bitmask.view().n_rows();
    if (n_rows != batch.n_rows()) {
        throw UsageError(
            "the bitmask has " + std::to_string(n_rows) + " rows, but the batch " +
            std::to_string(batch.n_rows()) + ": name the rows to write with indices=[...]"
        );
    }
    const size_t n_words = n_mask_words(batch.vocab_size());
    std::vector<MaskWords> masks;
    std::vector<bool> is_taken(bitmask.view().n_rows());
    for (size_t i = 0; i < n_rows; ++i) {
        const py::ssize_t row = indices ? (*indices)[i] : static_cast<py::ssize_t>(i);
        const MaskWords words = bitmask.words(row, n_words);
        if (is_taken[static_cast<size_t>(row)]) {
            throw UsageError("row " + std::to_string(row) + " of the bitmask is named twice");
        }
        is_taken[static_cast<size_t>(row)] = true;
        for (uint32_t& word : words.subspan(n_words)) word = 0;
        masks.push_back(words.first(n_words));
    }
    const py::gil_scoped_release release;
    return batch.fill_masks(masks);
}

/// The answer of each row.
template <class Answer>
auto each_row(Answer (Matcher::*ask)()) {
    return [ask](BatchMatcher& batch) {
        std::vector<Answer> answers;
        for (const auto& row : batch.rows()) answers.push_back((row.get()->*ask)());
        return answers;
    };
}

void bind_batch(py::module_& m) {
    py::class_<BatchMatcher>(
        m, "BatchGrammarMatcher",
        "Matchers of many streams, asked all at once.\n\n"
        "Args:\n"
        "    matchers: one for each row, no two the same, all with the same vocabulary size.\n"
        "    max_threads: that fill masks, the caller's included; None for one a core."
    )
        .def(
            py::init(&make_batch), py::arg("matchers"), py::kw_only(),
            py::arg("max_threads") = py::none()
        )
        .def("__len__", &BatchMatcher::n_rows)
        .def_property_readonly("matchers", &BatchMatcher::rows)
        .def(
            "batch_accept_token",
            [](BatchMatcher& batch, const std::vector<int64_t>& tokens) {
                const py::gil_scoped_release release;
                return batch.accept_tokens(tokens);
            },
            py::arg("token_ids"), "What accept_token says of one token for each row."
        )
        .def(
            "batch_fill_next_token_bitmask", &batch_fill, py::arg("bitmask"),
            py::arg("indices") = py::none(),
            "Writes the mask of every row, to row indices[i] or to row i of the bitmask. Returns\n"
            "what fill_next_token_bitmask says of each."
        )
        .def("batch_find_jump_forward_tokens", &BatchMatcher::forced_tokens)
        .def(
            "batch_rollback",
            [](BatchMatcher& batch, const std::vector<int64_t>& n_tokens) {
                if (n_tokens.size() != batch.n_rows())
                    throw UsageError("give a number of tokens for each row");
                for (size_t i = 0; i < n_tokens.size(); ++i)
                    rollback(*batch.rows()[i], n_tokens[i]);
            },
            py::arg("n_tokens")
        )
        .def("batch_is_terminated", each_row(&Matcher::is_terminated))
        .def("batch_is_completed", each_row(&Matcher::is_complete))
        .def("batch_min_tokens_to_complete", each_row(&Matcher::min_tokens_to_complete));
}

}  // namespace

void bind_matcher(py::module_& m) {
    py::class_<Matcher, std::shared_ptr<Matcher>> matcher(
        m, "GrammarMatcher",
        "Walks a compiled grammar token by token: which tokens may come next, and what follows.\n\n"
        "A matcher belongs to one thread at a time; another one that calls it meanwhile gets an "
        "error.\n\n"
        "Args:\n"
        "    compiled: the grammar.\n"
        "    max_tokens: the file is complete, stop token included, after at most so many calls "
        "of\n"
        "        accept_token; None for no limit.\n"
        "    prompt: bytes that the file begins with. They do not count in max_tokens.\n\n"
        "Raises:\n"
        "    UsageError: no file ends within max_tokens (the message says how many it takes), or "
        "the\n"
        "        prompt begins no file."
    );
    matcher
        .def(
            py::init(&make_matcher), py::arg("compiled"), py::kw_only(),
            py::arg("max_tokens") = py::none(), py::arg("prompt") = py::bytes()
        )
        .def(
            "accept_bytes",
            [](Matcher& self, const py::object& data) {
                return self.accept_bytes(BytesView(data.ptr()).bytes());
            },
            py::arg("data"),
            "Takes bytes that are no token, all or none; they do not count in max_tokens."
        )
        .def(
            "find_jump_forward_tokens", &Matcher::forced_tokens,
            "The tokens that come next whatever happens, as the tokenizer would spell them."
        )
        .def(
            "find_jump_forward_bytes", [](Matcher& self) { return to_python(self.forced_bytes()); },
            "The bytes that come next whatever happens."
        )
        .def(
            "validate_tokens",
            [](Matcher& self, const std::vector<int64_t>& tokens) {
                return self.validate_tokens(tokens);
            },
            py::arg("token_ids"),
            "How many of the tokens accept_token would take, one after the other."
        )
        .def(
            "rollback", &rollback, py::arg("n_tokens"),
            "Forgets the last n tokens, and bytes accepted after the first of them."
        )
        .def(
            "fork", [](Matcher& self) { return std::shared_ptr<Matcher>(self.fork()); },
            "A matcher that stands at the same place and goes its own way; takes no time that "
            "grows "
            "with the tokens taken."
        )
        .def("reset", &Matcher::reset, "Goes back to where the matcher stood when it was made.")
        .def(
            "is_terminated", &Matcher::is_terminated,
            "A stop token was taken; where the vocabulary has none, nothing can come next."
        )
        .def("is_completed", &Matcher::is_complete, "The bytes so far are a whole file.")
        .def(
            "min_tokens_to_complete", &Matcher::min_tokens_to_complete,
            "Tokens of the shortest known ending, the stop token included."
        )
        .def(
            "complete", [](Matcher& self) { return to_python(self.complete()); },
            "The bytes of the shortest known ending."
        )
        .def("describe", &Matcher::describe, "Where in the syntax the stream stands, in words.")
        .def(
            "annotation",
            [](Matcher& self) {
                const Annotation values = self.annotation();
                return py::array_t<int16_t>(static_cast<py::ssize_t>(values.size()), values.data());
            },
            "Where in the syntax the stream stands, as int16 [8] for a model (see annotate)."
        )
        .def_property_readonly(
            "tokens_left", &Matcher::tokens_left,
            "How many tokens max_tokens leaves; None without a limit."
        );
    bind_matcher_fast_calls(matcher);
    bind_batch(m);
    m.def(
        "time_steps", &time_steps_of, py::arg("matcher"), py::arg("token_ids"),
        "Takes the tokens one by one, each after its mask. Nanoseconds inside C++: int64 [n, 3],\n"
        "columns nothing (the clock alone), mask, accept.\n\n"
        "Raises:\n"
        "    UsageError: a mask forbids the token that comes next."
    );
}

}  // namespace pycodec_lm
