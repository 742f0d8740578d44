"""Field-uniform walks of H.264: each stream must pass every reader of it, whole and in pieces."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .._core import AvcCursor, check_h264
from ..avc_grammar import AvcGrammar
from ..errors import CodecLMError
from .avc_decoders import AvcDecoders, complaint_about
from .avc_field_coverage import AvcCoverage, avc_error_codes
from .avc_field_walk import WrittenStream, write_random_stream
from .avc_motion import motion_differences
from .mask_walk import BrokenWalkError

__all__ = [
    "AvcFieldCase",
    "AvcFieldReport",
    "check_avc_field_walks",
    "plan_avc_field_walks",
    "run_avc_field_walk",
]

_BATCH = 24  # walks between two reports
_PIECES = (1, 7)  # bytes pushed at a time
_MASKED_BYTES = 400  # of a stream, in runs, whose allowed() is asked for
_RUN = 40


@dataclass(frozen=True)
class AvcFieldCase:
    """What one walk is made of; the same case gives the same walk."""

    portable: bool
    seed: int

    def __str__(self) -> str:
        return f"field walk {self.seed}, {'portable' if self.portable else 'standard'}"


@dataclass
class AvcFieldReport:
    """What came of the walks."""

    n_cases: int = 0
    n_done: Counter[bool] = field(default_factory=Counter)  # by whether they are portable
    n_bytes: Counter[bool] = field(default_factory=Counter)
    n_pictures: Counter[bool] = field(default_factory=Counter)
    n_fields: Counter[bool] = field(default_factory=Counter)
    n_vectors: int = 0  # that libavcodec has too
    coverage: AvcCoverage = field(default_factory=AvcCoverage)
    problems: list[tuple[AvcFieldCase, str]] = field(default_factory=list)


def plan_avc_field_walks(n: int, seed: int = 0) -> list[AvcFieldCase]:
    """n cases; two of three are portable, which decoders read.

    Args:
        n: how many.
        seed: of the first.
    """
    return [AvcFieldCase(portable=i % 3 != 2, seed=seed + i) for i in range(n)]


def run_avc_field_walk(case: AvcFieldCase) -> tuple[WrittenStream, set[str]]:
    """Walks one case; also the error codes of wrong bytes in it.

    Raises:
        CodecLMError: a promise of the engine was broken.
    """
    stream = write_random_stream(case.seed, portable=case.portable)
    rng = random.Random(case.seed)
    status, n_pictures = check_h264(stream.data)
    if not status:
        raise BrokenWalkError(f"the stream is not valid: {status.message}")
    if n_pictures != stream.n_pictures:
        raise BrokenWalkError(f"check counts {n_pictures} pictures, not {stream.n_pictures}")
    for size in _PIECES:
        cursor = AvcCursor(AvcGrammar(portable=case.portable))
        for at in range(0, len(stream.data), size):
            if not (status := cursor.push(stream.data[at : at + size])):
                raise BrokenWalkError(f"in pieces of {size} bytes: {status.message}")
        if not cursor.is_complete():
            raise BrokenWalkError(f"not complete: {cursor.describe()}")
    _compare_masks(stream.data, case.portable, rng)
    return stream, avc_error_codes(stream.data, rng)


def _compare_masks(data: bytes, portable: bool, rng: random.Random) -> None:
    """Each byte is in the mask of its place."""
    cursor = AvcCursor(AvcGrammar(portable=portable))
    n_runs = _MASKED_BYTES // _RUN
    starts = sorted(rng.randrange(len(data)) for _ in range(n_runs))
    for start, end in zip(starts, [*starts[1:], len(data)], strict=True):
        if cursor.offset < start:
            cursor.push(data[cursor.offset : start])
        for at in range(start, min(start + _RUN, end)):
            if not cursor.allowed()[data[at] >> 3] >> (data[at] & 7) & 1:
                raise BrokenWalkError(f"byte {at} is not in its mask, at {cursor.describe()}")
            cursor.push(data[at : at + 1])


def check_avc_field_walks(
    cases: Sequence[AvcFieldCase], folder: Path, decoders: AvcDecoders, *, n_threads: int = 2
) -> Iterator[AvcFieldReport]:
    """Walks all cases; decoders read the portable ones. The report so far, now and then.

    Args:
        cases: what to walk.
        folder: where the streams go; those that something is wrong with stay there.
        decoders: who reads them; where libavcodec is among them, PyAV must be there too.
        n_threads: decoders that run at once.
    """
    report = AvcFieldReport()
    for start in range(0, len(cases), _BATCH):
        walked: dict[Path, tuple[AvcFieldCase, WrittenStream]] = {}
        for case in cases[start : start + _BATCH]:
            try:
                stream, codes = run_avc_field_walk(case)
            except CodecLMError as error:
                report.problems.append((case, str(error)))
                continue
            _count(case, stream, codes, report)
            if case.portable:
                path = folder / f"field-{case.seed:06}.264"
                path.write_bytes(stream.data)
                walked[path] = case, stream
        for path, answers in decoders.ask([*walked], n_threads=n_threads):
            case, stream = walked[path]
            said = [complaint_about(answer, stream.n_pictures) for answer in answers]
            problems = [text for text in said if text is not None]
            if "libavcodec" in decoders.names():
                width = max(stream.values("pic_width_in_mbs_minus1")) + 1
                n_same, differences = motion_differences(stream.data, width)
                report.n_vectors += n_same
                problems += differences
            report.problems += [(case, f"{text} ({path.name})") for text in problems]
            if not problems:
                path.unlink()
        report.n_cases = min(start + _BATCH, len(cases))
        yield report


def _count(
    case: AvcFieldCase, stream: WrittenStream, codes: set[str], report: AvcFieldReport
) -> None:
    report.n_done[case.portable] += 1
    report.n_bytes[case.portable] += len(stream.data)
    report.n_pictures[case.portable] += stream.n_pictures
    report.n_fields[case.portable] += stream.fields.total()
    report.coverage.add(stream, codes)
