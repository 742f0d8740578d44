"""The tables of T.81 Annex K, and marker segments made of tables.

Quantization tables are 64 numbers in zig-zag order; Huffman tables are (bits, values) as DHT spells
them: how many codes there are of 1..16 bits, and the symbols in the order of their codes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .errors import UsageError

__all__ = [
    "SUBSAMPLINGS",
    "HuffmanTable",
    "HuffmanTables",
    "dht_segment",
    "dqt_segment",
    "quality_tables",
    "standard_huffman_tables",
    "table_stream",
]

HuffmanTable = tuple[Sequence[int], bytes]
# Keys: ("dc" | "ac", slot).
HuffmanTables = Mapping[tuple[str, int], HuffmanTable]

# (H, V) of each component.
SUBSAMPLINGS: dict[str, tuple[tuple[int, int], ...]] = {
    "4:4:4": ((1, 1), (1, 1), (1, 1)),
    "4:2:2": ((2, 1), (1, 1), (1, 1)),
    "4:2:0": ((2, 2), (1, 1), (1, 1)),
    "4:4:0": ((1, 2), (1, 1), (1, 1)),
    "4:1:1": ((4, 1), (1, 1), (1, 1)),
    "gray": ((1, 1),),
}

# Tables K.1 and K.2, in the rows of the standard.
_LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMINANCE = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
)

# Tables K.5 and K.6: the symbols in the order of their codes.
_AC_LUMINANCE_VALUES = (
    "01 02 03 00 04 11 05 12 21 31 41 06 13 51 61 07 22 71 14 32 81 91 a1 08 "
    "23 42 b1 c1 15 52 d1 f0 24 33 62 72 82 09 0a 16 17 18 19 1a 25 26 27 28 "
    "29 2a 34 35 36 37 38 39 3a 43 44 45 46 47 48 49 4a 53 54 55 56 57 58 59 "
    "5a 63 64 65 66 67 68 69 6a 73 74 75 76 77 78 79 7a 83 84 85 86 87 88 89 "
    "8a 92 93 94 95 96 97 98 99 9a a2 a3 a4 a5 a6 a7 a8 a9 aa b2 b3 b4 b5 b6 "
    "b7 b8 b9 ba c2 c3 c4 c5 c6 c7 c8 c9 ca d2 d3 d4 d5 d6 d7 d8 d9 da e1 e2 "
    "e3 e4 e5 e6 e7 e8 e9 ea f1 f2 f3 f4 f5 f6 f7 f8 f9 fa "
)
_AC_CHROMINANCE_VALUES = (
    "00 01 02 03 11 04 05 21 31 06 12 41 51 07 61 71 13 22 32 81 08 14 42 91 "
    "a1 b1 c1 09 23 33 52 f0 15 62 72 d1 0a 16 24 34 e1 25 f1 17 18 19 1a 26 "
    "27 28 29 2a 35 36 37 38 39 3a 43 44 45 46 47 48 49 4a 53 54 55 56 57 58 "
    "59 5a 63 64 65 66 67 68 69 6a 73 74 75 76 77 78 79 7a 82 83 84 85 86 87 "
    "88 89 8a 92 93 94 95 96 97 98 99 9a a2 a3 a4 a5 a6 a7 a8 a9 aa b2 b3 b4 "
    "b5 b6 b7 b8 b9 ba c2 c3 c4 c5 c6 c7 c8 c9 ca d2 d3 d4 d5 d6 d7 d8 d9 da "
    "e2 e3 e4 e5 e6 e7 e8 e9 ea f2 f3 f4 f5 f6 f7 f8 f9 fa "
)


def zigzag_order() -> list[int]:
    """The row-major index of each zig-zag position (T.81 A.3.6, Figure A.6)."""
    return sorted(range(64), key=lambda i: (i // 8 + i % 8, _along_diagonal(i)))


def _along_diagonal(index: int) -> int:
    row, column = divmod(index, 8)
    return row if (row + column) % 2 else column


def quality_tables(quality: int) -> list[list[int]]:
    """The luminance and chrominance tables of a libjpeg quality, limited to 8 bits.

    Args:
        quality: 1 to 100; 50 gives the tables of Annex K as they are.
    """
    if not 1 <= quality <= 100:
        raise UsageError(f"quality must be 1 to 100, not {quality}")
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    order = zigzag_order()
    tables = []
    for rows in (_LUMINANCE, _CHROMINANCE):
        flat = [value for row in rows for value in row]
        scaled = [min(255, max(1, (value * scale + 50) // 100)) for value in flat]
        tables.append([scaled[i] for i in order])
    return tables


def standard_huffman_tables() -> dict[tuple[str, int], HuffmanTable]:
    """Tables K.3 to K.6, which encoders use where nothing better is known."""
    return {
        ("dc", 0): ((0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0), bytes(range(12))),
        ("dc", 1): ((0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0), bytes(range(12))),
        ("ac", 0): (
            (0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125),
            bytes.fromhex(_AC_LUMINANCE_VALUES),
        ),
        ("ac", 1): (
            (0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 119),
            bytes.fromhex(_AC_CHROMINANCE_VALUES),
        ),
    }


def _segment(marker: int, payload: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(payload) + 2).to_bytes(2, "big") + payload


def dqt_segment(tables: Sequence[Sequence[int]]) -> bytes:
    """8-bit tables for slots 0, 1, ..., a segment each (T.81 B.2.4.1)."""
    return b"".join(_segment(0xDB, bytes((slot, *table))) for slot, table in enumerate(tables))


def dht_segment(tables: HuffmanTables) -> bytes:
    """Huffman tables, a segment each (T.81 B.2.4.2)."""
    return b"".join(
        _segment(0xC4, bytes(((name == "ac") << 4 | slot, *bits)) + values)
        for (name, slot), (bits, values) in sorted(tables.items(), key=lambda item: item[0][1])
    )


def table_stream(quant_tables: Sequence[Sequence[int]], huffman_tables: HuffmanTables) -> bytes:
    """An abbreviated stream of tables alone (T.81 B.5)."""
    return b"\xff\xd8" + dqt_segment(quant_tables) + dht_segment(huffman_tables) + b"\xff\xd9"
