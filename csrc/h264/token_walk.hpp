// AvcTokens::walk(): which tokens may come next. In slice data a token changes the data position
// alone, so it is saved where several tokens go on from it, and restored.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "grammar/mask.hpp"
#include "h264/avc_tokens.hpp"
#include "h264/block_reader.hpp"
#include "h264/cabac_cell_search.hpp"
#include "h264/cabac_word_walk.hpp"
#include "h264/field_reader.hpp"
#include "h264/token_byte_walk.hpp"

namespace pycodec_lm::h264 {

/// The tokens that are plain bits, field by field: those that begin with the same fields share
/// them.
template <bool kSees, class Visit>
class WordWalk {
public:
    using Words = std::span<const AvcTokens::Word>;
    static constexpr int kWordBits = 64;

    WordWalk(const AvcCursor& start, const Visit& visit)
        : at_(start),
          p_(at_.position_),
          visit_(visit),
          offset_(p_.offset),
          n_zeros_(p_.n_zeros),
          first_edge_(p_.n_edges),
          n_edges_room_(at_.room_for_edges()) {
        p_.ended.is_alive = false;  // tokens that go on with that reading are odd
        at_.is_looking_ahead_ = true;
    }

    /// Tokens that may end the slice, or have too many macroblocks: for accept() to tell.
    const std::vector<const AvcTokens::Word*>& left_over() const { return left_over_; }

    /// All words, from where the cursor starts.
    void walk_all(Words words, std::span<const AvcTokens::Cell> cells) {
        if (kSees || !at_.is_at_bins()) return walk(words, 0);
        SavedPosition before;
        before.save(p_);
        CabacCellSearch search(at_, first_edge_ + n_edges_room_, cells);
        const std::vector<uint8_t>& is_found = search.run();
        before.restore(p_);
        std::vector<uint8_t> is_seen(words.size());
        for (size_t i = 0; i < cells.size(); ++i) {
            if (!is_found[i]) continue;
            for (uint32_t word = cells[i].word; word != AvcTokens::kNoParent && !is_seen[word];
                 word = words[word].parent) {
                is_seen[word] = 1;
                visit_(words[word].node, at_);
            }
        }
        for (size_t i = 0; i < words.size(); ++i) {
            if (!is_seen[i]) others_.push_back(words[i]);
        }
        walk(others_, 0);
    }

    /// The words share their first `depth` bits, which the cursor has taken. It ends up anywhere.
    void walk(Words words, int depth) {
        if (p_.limits.has_cabac) {
            if (at_.is_at_bins()) return walk_bins(words, depth);
            if (p_.at < Element::kMbSkipRun) return leave(words);
        }
        const AvcTokens::Word* ends = nullptr;
        size_t n_ends = 0;
        if (p_.may_end || p_.at < Element::kMbSkipRun) {
            const Words those = leave_ends(words, depth);
            if (p_.at < Element::kMbSkipRun) return see_whole(words, depth);
            ends = those.data();
            n_ends = those.size();
        }
        if (words.size() == 1) return n_ends > 0 ? void() : walk_one(words.front(), depth);
        SavedPosition before;
        before.save(p_);
        for (bool is_changed = false; !words.empty();) {
            const AvcTokens::Word& word = words.front();
            if (&word == ends && n_ends > 0) {
                words = words.subspan(n_ends);
                continue;
            }
            if (is_changed) before.restore(p_);
            const Taken taken = take(word, depth);
            is_changed = taken.is_changed;
            if (!taken.goes_on) {
                if (taken.n_bits == word.n_bits - depth) see(word);
                words = words.subspan(1);
                continue;
            }
            const int n = depth + taken.n_bits;
            const size_t n_alike = n_words_alike(words, n);
            walk(words.first(n_alike), n);
            words = words.subspan(n_alike);
        }
    }

private:
    void walk_bins(Words words, int depth) {
        const auto see_word = [this](const AvcTokens::Word& word) { see(word); };
        CabacWordWalk<kSees, decltype(see_word)>(
            at_, first_edge_ + n_edges_room_, see_word, left_over_
        )
            .walk(words, depth);
    }

    void leave(Words words) {
        for (const AvcTokens::Word& word : words) left_over_.push_back(&word);
    }

    /// walk() of a single word.
    void walk_one(const AvcTokens::Word& word, int depth) {
        while (true) {
            const Taken taken = take(word, depth);
            depth += taken.n_bits;
            if (!taken.goes_on) return depth == word.n_bits ? see(word) : void();
            if (p_.may_end || p_.at < Element::kMbSkipRun) return walk({&word, 1}, depth);
        }
    }

    /// How many words begin with the same n bits as the first, which has them.
    static size_t n_words_alike(Words words, int n) {
        const uint64_t bits = words.front().bits;
        const auto is_alike = [&](size_t i) { return (words[i].bits ^ bits) >> (64 - n) == 0; };
        size_t low = 0;  // alike
        size_t high = 1;
        for (; high < words.size() && is_alike(high); high *= 2) low = high;
        high = std::min(high, words.size());
        while (high - low > 1) {
            const size_t middle = (low + high) / 2;
            (is_alike(middle) ? low : high) = middle;
        }
        return high;
    }

    struct Taken {
        int n_bits;       // of the word, 0 where they are refused
        bool goes_on;     // other words may; else the word is told of whole
        bool is_changed;  // the cursor is
    };

    Taken take(const AvcTokens::Word& word, int depth) {
        const int n_left = word.n_bits - depth;
        if (n_left == 0) return {0, false, false};
        p_.may_end = false;
        if (p_.n_edges - first_edge_ > n_edges_room_) {
            left_over_.push_back(&word);
            return {0, false, false};
        }
        if (!kSees && p_.at >= Element::kCoeffToken && !p_.limits.has_cabac) {
            if (const std::optional<Taken> taken = take_block(word, depth)) return *taken;
        }
        const bool is_state_seen = kSees || !word.is_last;
        const int n = AvcCursor::FieldReader(at_, word.bits << depth, n_left, is_state_seen).take();
        return {n, n > 0 && (n < n_left || !word.is_last), true};
    }

    /// The rest of a residual block; nothing where field by field must tell. A block that goes on
    /// behind the word is not taken, and each word tells by itself.
    std::optional<Taken> take_block(const AvcTokens::Word& word, int depth) {
        const int n_left = word.n_bits - depth;
        const int n_read = p_.n_partial;
        if (n_read + n_left > kWordBits || !at_.is_bit_limit_far(kWordBits)) return std::nullopt;
        const uint64_t fresh = word.bits << depth;
        WordBits bits(
            n_read == 0 ? fresh : p_.partial << (kWordBits - n_read) | fresh >> n_read,
            n_read + n_left
        );
        BlockReader block(bits, p_.mb);
        switch (block.read(p_.at)) {
            case BlockEnd::kRefused:
                return Taken{0, false, false};
            case BlockEnd::kBegun:
                return Taken{n_left, false, false};
            case BlockEnd::kWhole: {
                const int n = n_left - bits.n_left();
                if (n == n_left && word.is_last) return Taken{n, false, false};
                at_.take_block(n, block.total());
                return Taken{n, true, true};
            }
            default:  // kRare
                return std::nullopt;
        }
    }

    /// The words that go on with rbsp_trailing_bits(): 1 and zeros to the end of the byte.
    Words leave_ends(Words words, int depth) {
        const int n_rest = 8 - depth % 8;
        const auto ends_slice = [&](const AvcTokens::Word& word) {
            return word.n_bits > depth &&
                   (word.bits << depth) >> (64 - n_rest) == uint64_t{1} << (n_rest - 1);
        };
        const auto first = std::find_if(words.begin(), words.end(), ends_slice);
        const auto end = std::find_if_not(first, words.end(), ends_slice);
        for (auto word = first; word != end; ++word) left_over_.push_back(&*word);
        return {first, end};
    }

    void see_whole(Words words, int depth) {
        for (const AvcTokens::Word& word : words) {
            if (word.n_bits == depth) see(word);
        }
    }

    /// The cursor has taken all of it.
    void see(const AvcTokens::Word& word) {
        if (p_.at < Element::kMbSkipRun && p_.limits.has_cabac) {
            left_over_.push_back(&word);
            return;
        }
        if (kSees) {
            const auto n_bytes = static_cast<uint8_t>(word.n_bits / 8);
            const bool is_zero = word.n_end_zeros == n_bytes;
            p_.offset = offset_ + n_bytes;
            p_.n_zeros = static_cast<uint8_t>((is_zero ? n_zeros_ : 0) + word.n_end_zeros);
        }
        visit_(word.node, at_);
    }

    AvcCursor at_;
    Position& p_;
    const Visit& visit_;
    const uint64_t offset_;
    const uint8_t n_zeros_;
    const uint32_t first_edge_;
    const uint32_t n_edges_room_;
    std::vector<AvcTokens::Word> others_;  // that no search found
    std::vector<const AvcTokens::Word*> left_over_;
};

template <bool kSees, class Visit>
void AvcTokens::walk(const AvcCursor& start, const Visit& visit) const {
    if (!start.is_plain_slice_data()) return walk_trie<true>(*trie_, start, visit);
    const size_t n_zeros = start.n_zeros_before_token();
    WordWalk<kSees, Visit> walk(start, visit);
    walk.walk_all(words(n_zeros), cells(n_zeros));
    if (odd(n_zeros).empty() && walk.left_over().empty()) return;
    TokenByteWalk bytes(start);
    for (const Odd& token : odd(n_zeros)) {
        if (const AvcCursor* behind = bytes.take(token.bytes, token.n_shared))
            visit(token.node, *behind);
    }
    for (const Word* word : walk.left_over()) {
        if (const AvcCursor* behind = bytes.take(bytes_of(*word), 0)) visit(word->node, *behind);
    }
}

}  // namespace pycodec_lm::h264
