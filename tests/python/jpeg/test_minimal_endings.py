"""Endings of tiny pictures against a search of all shorter ones."""

import contextlib
import itertools
import random

import pytest
from cursor_walks import members, walk

from pycodec_lm import _core
from pycodec_lm.bench.field_tables import AC, DC, random_huffman_table
from pycodec_lm.errors import UsageError
from pycodec_lm.grammar import JpegGrammar

_EOI = b"\xff\xd9"
_MAX_BYTES = 5  # of an ending that is searched for shorter ones


def _find_ending(cursor: _core.JpegCursor, n_bytes: int) -> bytes | None:
    """Any ending of at most so many bytes, all of which end in EOI."""
    for rest in (b"", _EOI[1:], _EOI)[: n_bytes + 1]:
        ahead = cursor.copy()
        if ahead.push(rest) and ahead.is_complete():
            return rest
    if n_bytes <= len(_EOI):
        return None
    for byte in members(cursor.allowed()):
        ahead = cursor.copy()
        assert ahead.push(bytes([byte]))
        if (rest := _find_ending(ahead, n_bytes - 1)) is not None:
            return bytes([byte]) + rest
    return None


def _tiny_grammars(process: str, n: int) -> list[JpegGrammar]:
    """Pictures of one or two blocks, under tables that nobody would choose."""
    grammars: list[JpegGrammar] = []
    for seed in itertools.count():
        rng = random.Random(seed)
        designs = {
            ("dc", 0): random_huffman_table(rng, DC),
            ("ac", 0): random_huffman_table(rng, AC),
        }
        with contextlib.suppress(UsageError):  # no block can be coded with some
            grammars.append(
                JpegGrammar(
                    process=process,
                    width=rng.choice((8, 16)),
                    height=8,
                    subsampling="gray",
                    quality=50,
                    restart_interval=0,
                    huffman_tables={key: (d.bits, d.values) for key, d in designs.items()},
                )
            )
        if len(grammars) == n:
            return grammars
    raise AssertionError


@pytest.mark.parametrize("process", ["baseline", "progressive"])
def test_an_ending_is_minimal_but_for_stuffed_bytes(process: str) -> None:
    n_searched = 0
    for seed, grammar in enumerate(_tiny_grammars(process, 60)):
        least = len(_core.JpegCursor(grammar).complete())
        for cursor, _ in walk(grammar, seed, budget_bytes=least + 12):
            if not cursor.describe().startswith("scan"):
                continue
            ending = cursor.complete()
            if len(ending) > _MAX_BYTES:
                continue
            n_searched += 1
            n_stuffed = ending.count(b"\xff\x00")
            assert _find_ending(cursor, len(ending) - n_stuffed - 1) is None, cursor.describe()
    assert n_searched > 50
