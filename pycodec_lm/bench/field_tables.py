"""Tables for random walks: Huffman codes of every shape, quantization tables of every kind."""

from __future__ import annotations

import random
from dataclasses import dataclass

from ..jpeg_tables import standard_huffman_tables

__all__ = [
    "AC",
    "DC",
    "TableDesign",
    "random_huffman_table",
    "random_quantization_table",
    "useless_huffman_table",
    "with_random_code",
]

DC, AC = 0, 1  # Tc
_EOB, _ZRL = 0x00, 0xF0
_MAX_LENGTH_BITS = 16
_MAX_CODES = 256
_LAST = 63  # coefficient of a block
_CODED_AC = [run << 4 | size for run in range(16) for size in range(1, 11)]
# Sizes that no 8-bit sample needs, and runs without a size: they may stand in a table unused.
# All but FF, which the portable language leaves out.
_UNUSED_AC = [symbol for symbol in range(255) if symbol not in {*_CODED_AC, _EOB, _ZRL}]


@dataclass(frozen=True)
class TableDesign:
    """A Huffman table as DHT spells it (B.2.4.2)."""

    table_class: int
    bits: tuple[int, ...]
    values: bytes

    @property
    def n_bytes(self) -> int:
        """Tc and Th, sixteen Li, the symbols."""
        return 17 + len(self.values)


def random_huffman_table(rng: random.Random, table_class: int) -> TableDesign:
    """A table with which at least one block can be coded, of one of several kinds."""
    kind = rng.choice(("standard", "all", "some", "few", "odd", "gaps"))
    if kind == "standard":
        name = "dc" if table_class == DC else "ac"
        bits, values = standard_huffman_tables()[name, rng.randrange(2)]
        return TableDesign(table_class, tuple(bits), bytes(values))
    symbols = _dc_symbols(rng, kind) if table_class == DC else _ac_symbols(rng, kind)
    rng.shuffle(symbols)
    return with_random_code(rng, table_class, symbols)


def useless_huffman_table(rng: random.Random, table_class: int) -> TableDesign:
    """A legal table with which no block can be coded: a scan that names it is refused."""
    if table_class == DC:
        symbols = rng.sample(range(12, 16), rng.randint(1, 4))
    else:
        # Runs without an end: after three of them coefficient 49 is reached, and no more fits.
        symbols = [_ZRL, *rng.sample(_UNUSED_AC, 3)]
    return with_random_code(rng, table_class, symbols)


def random_quantization_table(rng: random.Random, highest: int) -> list[int]:
    """64 elements of 1 to `highest`."""
    kind = rng.choice(("ones", "highest", "even", "random", "small"))
    if kind == "ones":
        return [1] * 64
    if kind == "highest":
        return [highest] * 64
    if kind == "even":
        return [rng.randint(1, highest)] * 64
    limit = highest if kind == "random" else 20
    return [rng.randint(1, limit) for _ in range(64)]


def _dc_symbols(rng: random.Random, kind: str) -> list[int]:
    if kind == "all":
        return [*range(12)]
    if kind == "some":
        return rng.sample(range(12), rng.randint(2, 11))
    if kind in ("few", "gaps"):
        return [rng.randrange(12)]
    # Categories of 12-bit samples, unused; the same symbol under two codes.
    symbols = [*rng.sample(range(12), 6), *rng.sample(range(12, 16), 2)]
    return [*symbols, symbols[0]]


def _ac_symbols(rng: random.Random, kind: str) -> list[int]:
    if kind == "all":
        return [*_CODED_AC, _EOB, _ZRL]
    if kind == "some":
        return [*rng.sample(_CODED_AC, rng.randint(8, 120)), _EOB, _ZRL]
    if kind == "few":
        # Without EOB a block must be filled to its last coefficient: size-1 symbols of run 0 can.
        return [rng.randint(1, 10), *rng.sample(_CODED_AC, rng.randint(0, 4))]
    if kind == "gaps":
        return _ac_symbols_with_gaps(rng)
    symbols = [*rng.sample(_CODED_AC, 20), *rng.sample(_UNUSED_AC, 10), _EOB]
    return [*symbols, symbols[0]]


def _ac_symbols_with_gaps(rng: random.Random) -> list[int]:
    """Neither EOB nor run 0: a block can be filled, but not from everywhere."""
    while True:
        symbols = [rng.randint(1, 15) << 4 | rng.randint(1, 10) for _ in range(rng.randint(2, 5))]
        is_reached = [False] * (_LAST + 2)
        is_reached[1] = True
        for k in range(1, _LAST + 1):
            for symbol in symbols:
                after = k + (symbol >> 4) + 1
                if is_reached[k] and after <= _LAST + 1:
                    is_reached[after] = True
        if is_reached[_LAST + 1]:
            return symbols


def with_random_code(rng: random.Random, table_class: int, symbols: list[int]) -> TableDesign:
    """A table of these symbols, of which at most 255 are kept; they may repeat."""
    symbols = symbols[: _MAX_CODES - 1]
    lengths = _random_code_lengths(rng, len(symbols))
    bits = [0] * _MAX_LENGTH_BITS
    for length in lengths:
        bits[length - 1] += 1
    return TableDesign(table_class, tuple(bits), bytes(symbols))


def _random_code_lengths(rng: random.Random, n_codes: int) -> list[int]:
    """Lengths of a prefix code in which the code of all 1-bits is free (C.2).

    Leaves of a tree are split at random, one more leaf than codes. Codes are given out in the order
    of their lengths, so the one of all 1-bits is a longest one: that leaf goes.
    """
    # Some splits more make codes that leave room.
    n_leaves = n_codes + 1 + (rng.randrange(8) if rng.random() < 0.3 else 0)
    depths = [0]
    deepest_first = rng.random() < 0.3
    while len(depths) < n_leaves:
        i = len(depths) - 1 if deepest_first else rng.randrange(len(depths))
        if depths[i] == _MAX_LENGTH_BITS:
            i = min(range(len(depths)), key=depths.__getitem__)
        depth = depths.pop(i)
        depths += [depth + 1, depth + 1]
    depths.sort()
    while len(depths) > n_codes:
        depths.pop()
    return depths
