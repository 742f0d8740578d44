"""Walks over cursors without any mask engine, for the tests of their contract."""

import random
from collections.abc import Iterator
from typing import TypeVar

from pycodec_lm import _core

Cursor = TypeVar("Cursor", _core.JpegCursor, _core.AvcCursor)


def members(bits: bytes) -> list[int]:
    """The bytes of a 256-bit set."""
    return [value for value in range(256) if bits[value >> 3] >> (value & 7) & 1]


def walk(
    grammar: _core.JpegGrammar, seed: int, budget_bytes: int
) -> Iterator[tuple[_core.JpegCursor, bytes]]:
    """`walk_from` the beginning of a JPEG file."""
    return walk_from(_core.JpegCursor(grammar), seed, budget_bytes)


def walk_from(
    cursor: Cursor, seed: int, budget_bytes: int, n_tries: int = 6
) -> Iterator[tuple[Cursor, bytes]]:
    """Yields (cursor, bytes so far) at every byte of a random file of at most `budget_bytes`.

    Of `n_tries` legal bytes that one is taken which leaves room for an ending; where none does, the
    first byte of the shortest ending. A stream that may go on ends where it can.
    """
    rng = random.Random(seed)
    written = bytearray()
    while not cursor.is_complete():
        yield cursor, bytes(written)
        left = budget_bytes - len(written)
        candidates = members(cursor.allowed())
        rng.shuffle(candidates)
        for byte in candidates[:n_tries]:
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
