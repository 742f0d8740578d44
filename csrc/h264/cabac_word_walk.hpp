// Tokens that are plain bits, by CABAC: those that begin with the same bits share them. On the way
// the look ahead is left out, which only says sooner what a longer token finds out; behind a token
// it is made up for.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "h264/avc_tokens.hpp"
#include "h264/cabac_steps.hpp"

namespace pycodec_lm::h264 {

template <bool kSees, class See>
class CabacWordWalk {
public:
    using Words = std::span<const AvcTokens::Word>;

    /// @param see called with a word that may come, with the cursor behind it if kSees
    /// @param left_over where words go that end a code, or skip too many macroblocks
    CabacWordWalk(
        AvcCursor& at, uint32_t n_edges_most, const See& see,
        std::vector<const AvcTokens::Word*>& left_over
    )
        : at_(at),
          p_(at.position_),
          n_edges_most_(n_edges_most),
          see_(see),
          left_over_(left_over) {}

    /// The words share their first `depth` bits, which the cursor has taken. It ends up anywhere.
    void walk(Words words, int depth) {
        while (!words.empty()) {
            if (is_left_over()) return leave(words, depth);
            const size_t n_ending = n_ending_at(words, depth);
            const Words longer = words.subspan(n_ending);
            const size_t n_zeros = n_with_zero(longer, depth);
            const bool is_split = n_zeros > 0 && n_zeros < longer.size();
            SavedPosition before;
            if (is_split || (n_ending > 0 && !longer.empty())) before.save(p_);
            if (n_ending > 0) {
                see_words(words.first(n_ending));
                if (longer.empty()) return;
                before.restore(p_);
            }
            if (is_split) {
                if (take_bit(false)) walk(longer.first(n_zeros), depth + 1);
                before.restore(p_);
                words = longer.subspan(n_zeros);
            } else {
                words = longer;
            }
            if (!take_bit(n_zeros != longer.size())) return;
            ++depth;
        }
    }

private:
    static size_t n_ending_at(Words words, int depth) {
        size_t n = 0;
        while (n < words.size() && words[n].n_bits == depth) ++n;
        return n;
    }
    /// Words are in the order of their bits.
    static size_t n_with_zero(Words words, int depth) {
        const auto first = std::partition_point(words.begin(), words.end(), [&](const auto& word) {
            return ((word.bits << depth) >> 63) == 0;
        });
        return static_cast<size_t>(first - words.begin());
    }

    bool is_left_over() const {
        return !at_.is_at_bins() || p_.cabac.is_terminated || p_.n_edges > n_edges_most_;
    }

    void leave(Words words, int depth) {
        const bool ends_slice = p_.cabac.is_terminated && p_.at == Element::kEndOfSliceFlag;
        for (const AvcTokens::Word& word : words) {
            if (ends_slice && !may_end_slice(word, depth)) continue;
            left_over_.push_back(&word);
        }
    }

    /// Behind end_of_slice_flag, the first byte of the rest of a word is as it must be: there the
    /// code ends, or goes on behind it, and zeros follow to the end of the byte.
    bool may_end_slice(const AvcTokens::Word& word, int depth) const {
        const int n_bits = std::min(word.n_bits - depth, 8 - depth % 8);
        if (n_bits == 0) return true;
        const auto bits = static_cast<unsigned>(word.bits << depth >> (64 - n_bits));
        const auto ending = p_.cabac.interval.ending();
        if (!ending) return false;
        const int n_behind = n_bits - std::max(ending->n_bits, 0);
        const uint64_t wanted = n_behind > 0 ? ending->bits << n_behind : ending->bits >> -n_behind;
        return bits == wanted || (n_behind > 0 && bits == (wanted | 1) && at_.may_mark_slice_end());
    }

    /// False where no legal bins meet it.
    bool take_bit(bool bit) {
        CabacPosition& c = p_.cabac;
        c.interval.take_bit(bit);
        p_.bit = (p_.bit + 1) & 7;
        return at_.take_settled_bins();
    }

    void see_words(Words words) {
        AvcCursor::BinSyntax syntax(at_);
        if (kSees) {
            while (syntax.is_at_bin()) {
                const unsigned set = at_.possible_bins();
                if (set == 0) return;
                if (set == bins::kBoth) break;
                at_.take_bin(set == bins::kOne);
            }
            if (is_left_over()) return leave(words, words.front().n_bits);
        } else if (!CabacWalk(syntax).has_way_on()) {
            return;
        }
        for (const AvcTokens::Word& word : words) see_(word);
    }

    AvcCursor& at_;
    Position& p_;
    const uint32_t n_edges_most_;
    const See& see_;
    std::vector<const AvcTokens::Word*>& left_over_;
};

}  // namespace pycodec_lm::h264
