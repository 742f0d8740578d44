#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <string_view>
#include <vector>

#include "bindings/bind_grammar.hpp"
#include "bindings/bindings.hpp"
#include "bindings/buffers.hpp"
#include "grammar/matcher_of.hpp"
#include "grammar/usage_error.hpp"
#include "h264/token_walk.hpp"
#include "jpeg/cursor.hpp"

namespace py = pybind11;

namespace pycodec_lm {
namespace {

using JpegGrammarPointer = std::shared_ptr<const jpeg::JpegGrammar>;

std::string to_string(py::handle bytes) {
    const BytesView view(bytes.ptr());
    return {reinterpret_cast<const char*>(view.bytes().data()), view.bytes().size()};
}

std::shared_ptr<TokenizerInfo> make_tokenizer_info(
    const py::sequence& encoded_vocab, const std::vector<int64_t>& stop_token_ids,
    const std::vector<int64_t>& special_token_ids, const py::sequence& merges
) {
    std::vector<std::string> vocab;
    for (const py::handle bytes : encoded_vocab) vocab.push_back(to_string(bytes));
    std::vector<TokenizerInfo::Merge> pairs;
    for (const py::handle pair : merges) {
        const auto sides = pair.cast<py::sequence>();
        if (sides.size() != 2) throw UsageError("a merge is two byte strings");
        pairs.emplace_back(to_string(sides[0]), to_string(sides[1]));
    }
    return std::make_shared<TokenizerInfo>(
        std::move(vocab), stop_token_ids, special_token_ids, pairs
    );
}

void bind_tokenizer_info(py::module_& m) {
    py::class_<TokenizerInfo, std::shared_ptr<TokenizerInfo>>(
        m, "TokenizerInfo",
        "What the engine needs to know of a tokenizer.\n\n"
        "Args:\n"
        "    encoded_vocab: the bytes of each token; every byte value must have a token of its "
        "own.\n"
        "    stop_token_ids: tokens that end a file.\n"
        "    special_token_ids: tokens that never stand in a file; tokens without bytes are "
        "special\n"
        "        anyway, unless they are stop tokens.\n"
        "    merges: the pairs that a BPE tokenizer joins, as byte strings in the order learned; "
        "then\n"
        "        forced bytes are spelled as it would. Without them, by the longest match."
    )
        .def(
            py::init(&make_tokenizer_info), py::arg("encoded_vocab"), py::kw_only(),
            py::arg("stop_token_ids"), py::arg("special_token_ids") = py::tuple(),
            py::arg("merges") = py::tuple()
        )
        .def_property_readonly("vocab_size", &TokenizerInfo::vocab_size)
        .def_property_readonly(
            "encoded_vocab",
            [](const TokenizerInfo& self) {
                py::list list;
                for (const std::string& bytes : self.encoded_vocab()) list.append(py::bytes(bytes));
                return list;
            }
        )
        .def_property_readonly(
            "stop_token_ids",
            [](const TokenizerInfo& self) {
                return std::vector<TokenId>(
                    self.stop_token_ids().begin(), self.stop_token_ids().end()
                );
            }
        )
        .def_property_readonly("special_token_ids", [](const TokenizerInfo& self) {
            return std::vector<TokenId>(
                self.special_token_ids().begin(), self.special_token_ids().end()
            );
        });
}

/// A cursor at the start of any grammar that Python knows.
template <class Use>
auto with_start(const py::object& grammar, Use&& use) {
    if (py::isinstance<jpeg::JpegGrammar>(grammar)) {
        return use(jpeg::JpegCursor(grammar.cast<JpegGrammarPointer>()));
    }
    if (py::isinstance<h264::AvcGrammar>(grammar)) {
        return use(h264::AvcCursor(grammar.cast<std::shared_ptr<const h264::AvcGrammar>>()));
    }
    throw UsageError(
        "expected a grammar, such as JpegGrammar, not " +
        std::string(Py_TYPE(grammar.ptr())->tp_name)
    );
}

BoundCompiledGrammar compile_grammar(
    const py::object& grammar, const py::object& tokenizer_info, int64_t cache_bytes
) {
    if (cache_bytes < 0) throw UsageError("cache_bytes must not be negative");
    auto info = tokenizer_info.cast<std::shared_ptr<TokenizerInfo>>();
    using Pointer = std::shared_ptr<const CompiledGrammar>;
    Pointer compiled = with_start(grammar, [&](auto start) -> Pointer {
        using Compiled = CompiledGrammarOf<decltype(start)>;
        return std::make_shared<const Compiled>(
            start, std::move(info), static_cast<size_t>(cache_bytes)
        );
    });
    return {std::move(compiled), grammar, tokenizer_info};
}

py::dict stats_of(const BoundCompiledGrammar& self) {
    const MaskCache::Stats stats = self.compiled->masks().stats();
    py::dict dict;
    dict["trie_nodes"] = self.compiled->trie().n_nodes();
    dict["cache_hits"] = stats.n_hits;
    dict["cache_misses"] = stats.n_misses;
    dict["cache_evictions"] = stats.n_evictions;
    dict["cache_entries"] = stats.n_entries;
    dict["cache_bytes"] = stats.n_bytes;
    return dict;
}

py::object annotate(
    const py::object& grammar, const py::sequence& token_bytes, const py::object& prompt
) {
    std::vector<std::string> tokens;
    for (const py::handle bytes : token_bytes) tokens.push_back(to_string(bytes));
    const BytesView prompt_view(prompt.ptr());
    std::vector<Annotation> rows;
    with_start(grammar, [&](auto start) {
        const py::gil_scoped_release release;
        const std::vector<std::string_view> pieces(tokens.begin(), tokens.end());
        rows = annotate_pieces(std::move(start), prompt_view.bytes(), std::span(pieces));
    });
    return annotation_array(rows);
}

py::object annotate_ids(
    const BoundCompiledGrammar& compiled, const py::array& ids, const py::object& prompt
) {
    if ((ids.dtype().kind() != 'i' && ids.dtype().kind() != 'u') || ids.ndim() != 1) {
        throw UsageError("the ids must be a one-dimensional array of integers");
    }
    const auto wide = py::array_t<int64_t, py::array::c_style | py::array::forcecast>(ids);
    std::vector<TokenId> tokens;
    tokens.reserve(static_cast<size_t>(wide.size()));
    for (py::ssize_t i = 0; i < wide.size(); ++i) {
        tokens.push_back(compiled.compiled->info().checked(wide.data()[i]));
    }
    const BytesView prompt_view(prompt.ptr());
    std::vector<Annotation> rows;
    {
        const py::gil_scoped_release release;
        rows = compiled.compiled->annotate(tokens, prompt_view.bytes());
    }
    return annotation_array(rows);
}

}  // namespace

py::object annotation_array(std::span<const Annotation> rows) {
    constexpr auto kColumns = static_cast<py::ssize_t>(std::tuple_size_v<Annotation>);
    static_assert(sizeof(Annotation) == sizeof(int16_t) * kColumns);
    return py::array_t<int16_t>(
        std::vector<py::ssize_t>{static_cast<py::ssize_t>(rows.size()), kColumns}, rows[0].data()
    );
}

void bind_grammar(py::module_& m) {
    bind_tokenizer_info(m);
    py::class_<BoundCompiledGrammar>(
        m, "CompiledGrammar",
        "A grammar made ready for a vocabulary; matchers and threads share it."
    )
        .def_property_readonly(
            "grammar", [](const BoundCompiledGrammar& self) { return self.grammar; }
        )
        .def_property_readonly(
            "tokenizer_info", [](const BoundCompiledGrammar& self) { return self.tokenizer_info; }
        )
        .def_property_readonly(
            "vocab_size",
            [](const BoundCompiledGrammar& self) { return self.compiled->info().vocab_size(); }
        )
        .def("stats", &stats_of, "Counts of the trie and of the cache of masks.");
    m.def(
        "compile_grammar", &compile_grammar, py::arg("grammar"), py::arg("tokenizer_info"),
        py::kw_only(), py::arg("cache_bytes") = int64_t{64} << 20,
        "Makes a grammar ready for a vocabulary. Masks are kept in at most cache_bytes."
    );
    bind_matcher(m);
    bind_bitmask(m);
    m.def(
        "annotate", &annotate, py::arg("grammar"), py::arg("token_bytes"), py::kw_only(),
        py::arg("prompt") = py::bytes(),
        "Where the grammar stands after `prompt` and 0, 1, ... tokens: int16 [len + 1, 8], each\n"
        "column below its entry of ANNOTATION_SIZES.\n\n"
        "Raises:\n"
        "    UsageError: a token is not allowed; the message says which and why."
    );
    m.def(
        "annotate_ids", &annotate_ids, py::arg("compiled"), py::arg("ids"), py::kw_only(),
        py::arg("prompt") = py::bytes(),
        "annotate() for token ids; tokens without bytes leave the grammar where it is."
    );
}

}  // namespace pycodec_lm
