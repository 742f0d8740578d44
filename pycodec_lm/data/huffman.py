"""Huffman tables designed from symbol counts: `standard`, `optimal` and `aligned`.

A table is (bits, values) as DHT spells it (T.81 B.2.4.2): how many codes there are of 1..16 bits,
and the symbols in the order of their codes. Tables are keyed ("dc" | "ac", slot); slot 0 is for
luminance, slot 1 for the rest. Only the lengths are designed, the codes follow from them (Annex C).

Every table gives a code to every symbol that is legal at 8 bits (F.1.2), counted or not, so that
any picture can be written with tables that were made from others.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from pycodec_lm.errors import UsageError

__all__ = [
    "DESIGNS",
    "HuffmanTable",
    "HuffmanTables",
    "aligned_tables",
    "design_tables",
    "legal_symbols",
    "mean_element_bits",
    "one_byte_share",
    "optimal_tables",
    "standard_tables",
]

HuffmanTable = tuple[tuple[int, ...], bytes]
HuffmanTables = dict[tuple[str, int], HuffmanTable]

_CLASSES = ("dc", "ac")  # Tc 0 and 1
_MAX_CODE_BITS = 16
# One code of 16 bits. Code space is counted in these, so that all sums are whole numbers.
_CODE_SPACE = 1 << _MAX_CODE_BITS


def legal_symbols(table_class: str) -> tuple[int, ...]:
    """The symbols that may stand in an 8-bit scan (T.81 F.1.2.1.1, F.1.2.2.1).

    >>> len(legal_symbols("dc")), len(legal_symbols("ac"))
    (12, 162)
    """
    if table_class == "dc":
        return tuple(range(12))
    runs_and_sizes = ((run << 4) | size for run in range(16) for size in range(1, 11))
    return (0x00, 0xF0, *runs_and_sizes)


def amplitude_bits(symbol: int) -> int:
    """How many bits follow the code of `symbol`: SSSS of both classes."""
    return symbol & 15


def standard_tables() -> HuffmanTables:
    """The tables of Annex K.3, which encoders use where nothing better is known."""
    return {
        ("dc", 0): ((0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0), bytes(range(12))),  # K.3
        ("dc", 1): ((0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0), bytes(range(12))),  # K.4
        ("ac", 0): (
            (0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125),
            bytes.fromhex(_TABLE_K5_VALUES),
        ),
        ("ac", 1): (
            (0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 119),
            bytes.fromhex(_TABLE_K6_VALUES),
        ),
    }


def optimal_tables(counts: NDArray[np.int64], slots: Sequence[int] = (0, 1)) -> HuffmanTables:
    """The tables that make the counted scans shortest, with codes of at most 16 bits.

    Annex K.2 shortens codes that came out too long by a heuristic; package-merge gives the true
    minimum for the same limits.

    Args:
        counts: int64 [2, 4, 256], how often each symbol was seen by class and slot.
        slots: the slots that get a table.

    Source: L. Larmore and D. Hirschberg, A fast algorithm for optimal length-limited Huffman codes,
    Journal of the ACM 37, 1990.
    """
    return _design(counts, slots, _optimal_lengths)


def aligned_tables(counts: NDArray[np.int64], slots: Sequence[int] = (0, 1)) -> HuffmanTables:
    """Tables under which code and amplitude together fill whole bytes.

    A symbol with an amplitude of s bits has a code of 8n - s bits: n = 1 for the frequent ones,
    2 for rare ones, 3 for amplitudes of 8 bits and more that are rarer still (a code has at most 16
    bits, so no shorter amplitude can have n = 3). Read as bytes, a scan is then one syntax element
    after the other, and nobody has to keep a bit position. Of all such tables the one is chosen
    that makes the counted scans shortest.

    Args:
        counts: int64 [2, 4, 256], how often each symbol was seen by class and slot.
        slots: the slots that get a table.
    """
    return _design(counts, slots, _aligned_lengths)


DESIGNS = ("standard", "optimal", "aligned")


def design_tables(
    design: str, counts: NDArray[np.int64] | None = None, slots: Sequence[int] = (0, 1)
) -> HuffmanTables:
    """The tables of a design by its name; `standard` needs no counts.

    Raises:
        UsageError: there is no such design, or it needs counts.
    """
    if design not in DESIGNS:
        raise UsageError(f"Huffman design '{design}' is not one of {', '.join(DESIGNS)}")
    if design == "standard":
        return {key: table for key, table in standard_tables().items() if key[1] in slots}
    if counts is None:
        raise UsageError(f"the Huffman design '{design}' needs symbol counts")
    return (optimal_tables if design == "optimal" else aligned_tables)(counts, slots)


def one_byte_share(tables: HuffmanTables, counts: NDArray[np.int64]) -> float:
    """The share of counted symbols whose code and amplitude fill exactly one byte."""
    elements = _counted_elements(tables, counts)
    n_one_byte = sum(n for n_bits, n in elements if n_bits == 8)
    return n_one_byte / max(1, sum(n for _, n in elements))


def mean_element_bits(tables: HuffmanTables, counts: NDArray[np.int64]) -> float:
    """The mean length of code and amplitude over the counted symbols, in bits."""
    elements = _counted_elements(tables, counts)
    return sum(n_bits * n for n_bits, n in elements) / max(1, sum(n for _, n in elements))


def _counted_elements(tables: HuffmanTables, counts: NDArray[np.int64]) -> list[tuple[int, int]]:
    """(bits of code and amplitude, how often) of every symbol of `tables`."""
    elements = []
    for (table_class, slot), (bits, values) in tables.items():
        code_bits = [length for length, n in enumerate(bits, start=1) for _ in range(n)]
        for symbol, length in zip(values, code_bits, strict=True):
            n = int(counts[_CLASSES.index(table_class), slot, symbol])
            elements.append((length + amplitude_bits(symbol), n))
    return elements


def _design(
    counts: NDArray[np.int64],
    slots: Sequence[int],
    lengths_of: Callable[[Sequence[int], Sequence[int]], list[int]],
) -> HuffmanTables:
    if counts.shape != (2, 4, 256) or counts.min() < 0:
        raise UsageError(f"symbol counts are {counts.shape}, must be (2, 4, 256) and >= 0")
    tables: HuffmanTables = {}
    for tc, table_class in enumerate(_CLASSES):
        symbols = legal_symbols(table_class)
        for slot in slots:
            # A symbol that was never seen counts for less than any that was, but for something.
            weights = [int(counts[tc, slot, symbol]) * 1024 + 1 for symbol in symbols]
            tables[table_class, slot] = _table(symbols, lengths_of(symbols, weights))
    return tables


def _table(symbols: Sequence[int], lengths: Sequence[int]) -> HuffmanTable:
    """BITS and HUFFVAL of code lengths; codes of one length go to symbols in rising order."""
    ordered = sorted(zip(lengths, symbols, strict=True))
    bits = tuple(lengths.count(length) for length in range(1, _MAX_CODE_BITS + 1))
    return bits, bytes(symbol for _, symbol in ordered)


def _optimal_lengths(symbols: Sequence[int], weights: Sequence[int]) -> list[int]:
    """Package-merge: code lengths of least weighted sum, none above 16 bits."""
    # One more symbol, lighter than all others, takes the code of all ones, which no symbol may have
    # (T.81 C.2): the lightest has the longest code, and the last of them.
    order = sorted(range(len(symbols)), key=weights.__getitem__)
    leaves = [0, *(weights[i] for i in order)]
    levels: list[list[bool]] = []  # per level, whether each item in rising order is a leaf
    items: list[int] = []
    for _ in range(_MAX_CODE_BITS):
        packages = [items[i] + items[i + 1] for i in range(0, len(items) - 1, 2)]
        merged = sorted([(w, True) for w in leaves] + [(w, False) for w in packages])
        items = [w for w, _ in merged]
        levels.append([is_leaf for _, is_leaf in merged])

    lengths = [0] * len(leaves)
    n_taken = 2 * len(leaves) - 2
    for level in reversed(levels):
        n_leaves = sum(level[:n_taken])
        for i in range(n_leaves):
            lengths[i] += 1
        n_taken = 2 * (n_taken - n_leaves)
    by_symbol = dict(zip(order, lengths[1:], strict=True))
    return [by_symbol[i] for i in range(len(symbols))]


def _aligned_lengths(symbols: Sequence[int], weights: Sequence[int]) -> list[int]:
    """Code lengths 8n - s of least weighted sum of n: a knapsack over the code space, exactly."""
    capacity = _CODE_SPACE - 1  # the code of all ones stays free (T.81 C.2)
    # best[c]: the least weighted sum of n over the symbols so far, in at most c units of space.
    best = np.zeros(capacity + 1, dtype=np.int64)
    never = np.iinfo(np.int64).max // 2
    choices = np.zeros((len(symbols), capacity + 1), dtype=np.uint8)
    for i, (symbol, weight) in enumerate(zip(symbols, weights, strict=True)):
        new = np.full(capacity + 1, never)
        for n_bytes in (1, 2, 3):
            length = 8 * n_bytes - amplitude_bits(symbol)
            if not 1 <= length <= _MAX_CODE_BITS:
                continue
            space = _CODE_SPACE >> length
            cost = np.full(capacity + 1, never)
            cost[space:] = best[: capacity + 1 - space] + weight * n_bytes
            better = cost < new
            new[better] = cost[better]
            choices[i, better] = n_bytes
        best = np.minimum(new, never)

    lengths = [0] * len(symbols)
    left = capacity
    for i in reversed(range(len(symbols))):
        lengths[i] = 8 * int(choices[i, left]) - amplitude_bits(symbols[i])
        left -= _CODE_SPACE >> lengths[i]
    return lengths


# Tables K.5 and K.6: HUFFVAL of the AC tables.
_TABLE_K5_VALUES = (
    "01020300041105122131410613516107227114328191a1082342b1c11552d1f02433627282090a16"
    "1718191a25262728292a3435363738393a434445464748494a535455565758595a63646566676869"
    "6a737475767778797a838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6"
    "b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8"
    "f9fa"
)
_TABLE_K6_VALUES = (
    "000102031104052131061241510761711322328108144291a1b1c109233352f0156272d10a162434"
    "e125f11718191a262728292a35363738393a434445464748494a535455565758595a636465666768"
    "696a737475767778797a82838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4"
    "b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae2e3e4e5e6e7e8e9eaf2f3f4f5f6f7f8"
    "f9fa"
)
