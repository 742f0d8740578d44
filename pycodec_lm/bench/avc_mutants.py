"""Valid H.264 streams with one fault each: who notices."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from .._core import check_h264
from ..avc_profiles import PROFILES
from ..codecs.avc import nal_units
from ..errors import UsageError
from .avc_by_profile import profile_of
from .avc_decoders import AvcDecoders
from .mutants import Mutant, MutantReport, flip_bit, replace_byte

__all__ = [
    "AVC_ALWAYS_WRONG",
    "AVC_KINDS",
    "AVC_MUTANT_ROWS",
    "choose_clips",
    "make_avc_mutant",
    "try_avc_mutants",
]

_SLICES = (1, 5)
_BATCH = 100  # files between two reports


def _flip(data: bytearray, slices: Sequence[range], rng: random.Random) -> None:
    flip_bit(data, slices[0].start, slices[-1].stop, 0, rng)


def _replace(data: bytearray, slices: Sequence[range], rng: random.Random) -> None:
    replace_byte(data, slices[0].start, slices[-1].stop, 0, rng)


def _cut(data: bytearray, slices: Sequence[range], rng: random.Random) -> None:
    last = slices[-1]
    del data[rng.randrange(last.start, last.stop) :]


_Change = Callable[[bytearray, Sequence[range], random.Random], None]
AVC_KINDS: dict[str, _Change] = {
    "a bit flipped behind the parameter sets": _flip,
    "a byte replaced behind the parameter sets": _replace,
    "cut inside the last slice": _cut,
}
# A picture of which macroblocks are missing is in no valid stream.
AVC_ALWAYS_WRONG = tuple(AVC_KINDS)[2:]
AVC_MUTANT_ROWS = [f"{profile}: {kind}" for profile in PROFILES.values() for kind in AVC_KINDS]


def make_avc_mutant(data: bytes, source: str, kind: str, seed: int) -> Mutant:
    """One fault in the slices of a valid stream, their start codes included.

    Args:
        data: a valid stream.
        source: its name, part of the seed.
        kind: a key of AVC_KINDS.
        seed: of the place and the value.
    """
    slices = [
        range(start, start + len(nal)) for start, nal in nal_units(data) if nal[0] & 31 in _SLICES
    ]
    mutant = bytearray(data)
    AVC_KINDS[kind](mutant, slices, random.Random(f"{seed} {source} {kind}"))
    return Mutant(source, kind, seed, bytes(mutant))


def choose_clips(paths: Sequence[Path]) -> tuple[list[Path], int]:
    """The streams that are in scope, and how many are not.

    Raises:
        UsageError: a stream is not valid to begin with, or none is in scope.
    """
    chosen = []
    for path in paths:
        status, _ = check_h264(path.read_bytes())
        if status:
            chosen.append(path)
        elif status.family != "unsupported":
            raise UsageError(f"{path} is no valid stream to begin with: {status.message}")
    if not chosen:
        raise UsageError("none of these streams is in scope")
    return chosen, len(paths) - len(chosen)


def try_avc_mutants(
    paths: Sequence[Path], folder: Path, seed: int, decoders: AvcDecoders, n_threads: int = 2
) -> Iterator[MutantReport]:
    """Lets our check and all decoders read a mutant of each kind of each stream.

    Yields the report so far, every now and then and at the end; it counts each profile by itself,
    under AVC_MUTANT_ROWS.
    """
    report = MutantReport()
    mutants = [
        make_avc_mutant(path.read_bytes(), path.name, kind, seed)
        for path in paths
        for kind in AVC_KINDS
    ]
    for first in range(0, len(mutants), _BATCH):
        by_path: dict[Path, Mutant] = {}
        for i, mutant in enumerate(mutants[first : first + _BATCH]):
            path = folder / f"{i}.264"
            path.write_bytes(mutant.data)
            by_path[path] = mutant
        for path, answers in decoders.ask([*by_path], counts=False, n_threads=n_threads):
            said = {a.decoder: a.message for a in answers if a.message is not None}
            _count(by_path[path], said, report)
        yield report


def _count(mutant: Mutant, said: Mapping[str, str], report: MutantReport) -> None:
    kind = f"{profile_of(mutant.data)}: {mutant.kind}"
    report.n[kind] += 1
    status, _ = check_h264(mutant.data)
    for decoder in said:
        report.flagged[kind, decoder] += 1
    if not status:
        report.flagged[kind, "check"] += 1
        report.codes[kind, status.code] += 1
    elif mutant.kind in AVC_ALWAYS_WRONG:
        report.problems.append((mutant, "our check finds it valid"))
    if status:
        report.only_others += [(mutant, f"{name}: {text}") for name, text in said.items()]
