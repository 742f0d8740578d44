// A vocabulary as H.264 reads it: the tokens that are plain bits of slice data, as words in the
// order of their bits, and those with bytes of start codes or emulation prevention.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "grammar/token_trie.hpp"

namespace pycodec_lm::h264 {

class AvcCursor;

class AvcTokens {
public:
    /// The tokens of a node of the trie.
    struct Word {
        uint64_t bits = 0;  // at the top
        uint32_t node = 0;
        uint32_t parent = kNoParent;  // index of the longest that it begins with
        uint8_t n_bits = 0;
        uint8_t n_end_zeros = 0;  // bytes 00 at the end
        bool is_last = true;      // no other begins with it
    };
    static constexpr uint32_t kNoParent = UINT32_MAX;
    /// A word as the range of numbers of kBits, the next bits of the stream, that begin with its
    /// own. Behind the longest there are the 10 bits that the engine of CABAC knows of a number,
    /// and some that bins may still ask for.
    struct Cell {
        static constexpr int kMaxWordBits = 40;
        static constexpr int kBits = kMaxWordBits + 12;

        int64_t begin = 0;
        int64_t end = 0;
        uint32_t word = 0;
    };
    struct Odd {
        uint32_t node = 0;
        uint32_t n_shared = 0;  // first bytes, the same as those of the one before
        std::vector<uint8_t> bytes;
    };

    /// The trie must outlive this.
    explicit AvcTokens(const TokenTrie& trie);

    const TokenTrie& trie() const { return *trie_; }
    /// Behind so many bytes 00, up to 2: the tokens of up to 8 bytes in which no 00 00 comes before
    /// a byte below 04, ascending, shorter ones before those that they begin.
    std::span<const Word> words(size_t n_zeros) const { return words_[n_zeros]; }
    /// Those of the words that fit and that no other such word begins with.
    std::span<const Cell> cells(size_t n_zeros) const { return cells_[n_zeros]; }
    /// The others.
    std::span<const Odd> odd(size_t n_zeros) const { return odd_[n_zeros]; }

    /// Calls visit(node, cursor) at every node of the trie that has tokens and is accepted from
    /// `start`; the cursor has taken the node's bytes where `kSees` says so.
    template <bool kSees, class Visit>
    void walk(const AvcCursor& start, const Visit& visit) const;

private:
    static std::vector<uint8_t> bytes_of(const Word& word);

    static constexpr size_t kStates = 3;

    const TokenTrie* trie_;
    std::array<std::vector<Word>, kStates> words_;
    std::array<std::vector<Cell>, kStates> cells_;
    std::array<std::vector<Odd>, kStates> odd_;
};

}  // namespace pycodec_lm::h264
