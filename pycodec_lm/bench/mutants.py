"""Valid files with one fault each: who notices."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .._core import check_jpeg, trace_jpeg
from ..errors import UsageError
from .decoders import DECODERS, all_complaints
from .libjpeg_reasons import T81, reason_of
from .structure import SOS, read_structure

__all__ = [
    "ALWAYS_WRONG",
    "KINDS",
    "Mutant",
    "MutantReport",
    "flip_bit",
    "make_mutant",
    "replace_byte",
    "try_mutants",
]

_EOI = b"\xff\xd9"
_BATCH = 200  # files between two reports


@dataclass(frozen=True)
class Mutant:
    """A file with one fault."""

    source: str
    kind: str
    seed: int
    data: bytes

    def __str__(self) -> str:
        return f"{self.source}, {self.kind}, seed {self.seed}"


@dataclass
class MutantReport:
    """How many mutants of each kind there were, and who flagged how many."""

    n: Counter[str] = field(default_factory=Counter)
    flagged: Counter[tuple[str, str]] = field(default_factory=Counter)  # (kind, reader)
    codes: Counter[tuple[str, str]] = field(default_factory=Counter)  # (kind, our code)
    # Ours were silent where a fault was done that no valid file can come of, or where a decoder
    # named a reason of the standard.
    problems: list[tuple[Mutant, str]] = field(default_factory=list)
    # Valid in our check, while a decoder of H.264 complains: for a person to look at.
    only_others: list[tuple[Mutant, str]] = field(default_factory=list)
    # djpeg had a reason of its own.
    n_own_reasons: Counter[str] = field(default_factory=Counter)


def flip_bit(data: bytearray, begin: int, end: int, _: int, rng: random.Random) -> None:
    """One bit of data[begin:end]."""
    data[rng.randrange(begin, end)] ^= 1 << rng.randrange(8)


def replace_byte(data: bytearray, begin: int, end: int, _: int, rng: random.Random) -> None:
    """One byte of data[begin:end], by another."""
    data[rng.randrange(begin, end)] ^= rng.randrange(1, 256)


def _delete(data: bytearray, begin: int, end: int, _: int, rng: random.Random) -> None:
    del data[rng.randrange(begin, end)]


def _cut(data: bytearray, begin: int, end: int, _: int, rng: random.Random) -> None:
    data[rng.randrange(begin, end) :] = _EOI


def _spare_byte(data: bytearray, _begin: int, end: int, _: int, rng: random.Random) -> None:
    data.insert(end, rng.randrange(0xFF))


def _padding_bit(
    data: bytearray, _begin: int, end: int, n_padding_bits: int, rng: random.Random
) -> None:
    cleared = 1 << rng.randrange(n_padding_bits)
    # An FF that is data has a stuffed 00 behind it (B.1.1.5), which goes with it.
    if data[end - 2 : end] == b"\xff\x00":
        data[end - 2 : end] = bytes([0xFF ^ cleared])
    else:
        data[end - 1] ^= cleared


_Change = Callable[[bytearray, int, int, int, random.Random], None]
KINDS: dict[str, _Change] = {
    "a bit flipped in the scan": flip_bit,
    "a byte replaced in the scan": replace_byte,
    "a byte deleted from the scan": _delete,
    "cut inside the scan, then EOI": _cut,
    "a spare byte before EOI": _spare_byte,
    "a padding bit cleared": _padding_bit,
}
_PADDING = "a padding bit cleared"
# No valid file can come of these.
ALWAYS_WRONG = tuple(KINDS)[3:]


def make_mutant(data: bytes, source: str, kind: str, seed: int) -> Mutant | None:
    """One fault in the last scan of a valid file; None where there is no padding to clear.

    Args:
        data: a valid file that ends with EOI.
        source: its name, part of the seed.
        kind: a key of KINDS.
        seed: of the place and the value.
    """
    begin = next(s for s in reversed(read_structure(data).segments) if s.marker == SOS)
    first = begin.offset + 4 + len(begin.payload)
    end = len(data) - len(_EOI)
    n_padding_bits = _last_padding_bits(data, end) if kind == _PADDING else 0
    if kind == _PADDING and n_padding_bits == 0:
        return None
    mutant = bytearray(data)
    KINDS[kind](mutant, first, end, n_padding_bits, random.Random(f"{seed} {source} {kind}"))
    return Mutant(source, kind, seed, bytes(mutant))


def _last_padding_bits(data: bytes, end: int) -> int:
    """Padding of the last interval: what its last symbol leaves of the byte it ends in."""
    traced = trace_jpeg(data)
    end_bit = int(traced["scans"][-1]["intervals"]["end_bit"][-1])
    if end_bit % 8 == 0:
        return 0
    last = end - 1 - (data[end - 2 : end] == b"\xff\x00")
    assert end_bit // 8 == last
    return 8 - end_bit % 8


def try_mutants(
    paths: Sequence[Path], folder: Path, seed: int, n_threads: int = 2
) -> Iterator[MutantReport]:
    """Lets our check and all decoders read a mutant of each kind of each file.

    Yields the report so far, every now and then and at the end.

    Raises:
        UsageError: a file is not valid to begin with, or has bytes after its end.
    """
    report = MutantReport()
    mutants: list[Mutant] = []
    for path in paths:
        data = path.read_bytes()
        status, end, _ = check_jpeg(data)
        if not status or end != len(data):
            raise UsageError(f"{path} is no valid file to begin with: {status.message}")
        made = (make_mutant(data, path.name, kind, seed) for kind in KINDS)
        mutants += [mutant for mutant in made if mutant is not None]
    for first in range(0, len(mutants), _BATCH):
        _try_batch(mutants[first : first + _BATCH], folder, report, n_threads)
        yield report


def _try_batch(
    mutants: Sequence[Mutant], folder: Path, report: MutantReport, n_threads: int
) -> None:
    by_path: dict[Path, Mutant] = {}
    for i, mutant in enumerate(mutants):
        path = folder / f"{i}.jpg"
        path.write_bytes(mutant.data)
        by_path[path] = mutant
    for path, complaints in all_complaints([*by_path], n_threads):
        mutant = by_path[path]
        kind = mutant.kind
        report.n[kind] += 1
        status, end, _ = check_jpeg(mutant.data)
        is_ours = not status or end != len(mutant.data)
        if is_ours:
            report.flagged[kind, "check"] += 1
            report.codes[kind, status.code if not status else "trailing bytes"] += 1
        elif kind in ALWAYS_WRONG:
            report.problems.append((mutant, "our check finds it valid"))
        said = {complaint.decoder: complaint.message for complaint in complaints}
        for decoder in DECODERS:
            report.flagged[kind, decoder] += decoder in said
        if "djpeg" not in said:
            continue
        reason = reason_of(said["djpeg"])
        if reason != T81:
            report.n_own_reasons[reason] += 1
        elif not is_ours:
            report.problems.append((mutant, f"our check is silent, djpeg: {said['djpeg']}"))
