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
from pycodec_lm.jpeg_tables import HuffmanTable, HuffmanTables, standard_huffman_tables

__all__ = [
    "DESIGNS",
    "aligned_tables",
    "design_tables",
    "legal_symbols",
    "mean_element_bits",
    "one_byte_share",
    "optimal_tables",
]

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
        return {key: table for key, table in standard_huffman_tables().items() if key[1] in slots}
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
    tables: dict[tuple[str, int], HuffmanTable] = {}
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
