"""Walks over the cursor without any mask engine, for the tests of its contract."""

import random
from collections.abc import Iterator

from pycodec_lm import _core


def members(bits: bytes) -> list[int]:
    """The bytes of a 256-bit set."""
    return [value for value in range(256) if bits[value >> 3] >> (value & 7) & 1]


def walk(
    grammar: _core.JpegGrammar, seed: int, budget_bytes: int
) -> Iterator[tuple[_core.JpegCursor, bytes]]:
    """Yields (cursor, bytes so far) at every byte of a random file of at most `budget_bytes`."""
    rng = random.Random(seed)
    cursor = _core.JpegCursor(grammar)
    written = bytearray()
    while not cursor.is_complete():
        yield cursor, bytes(written)
        left = budget_bytes - len(written)
        candidates = members(cursor.allowed())
        rng.shuffle(candidates)
        for byte in candidates[:6]:
            ahead = cursor.copy()
            assert ahead.push(bytes([byte]))
            if ahead.bytes_to_complete() <= left - 1:
                break
        else:
            byte = cursor.complete(1)[0]
            ahead = cursor.copy()
            assert ahead.push(bytes([byte]))
        written.append(byte)
        cursor = ahead
    yield cursor, bytes(written)
