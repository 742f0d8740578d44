"""Random walks over the grammar, without any model: each must end in a file that decoders read.

Four kinds of walk: a token drawn uniformly among those of the mask; a syntax outcome drawn
uniformly, then a token for it; always the legal token with the highest number, under a shuffled
numbering; and a legal value for every field, spelled by the writer (field_walk.py).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from .._core import CompiledGrammar, check_jpeg, compile_grammar, read_coefficients
from ..errors import CodecLMError, UsageError
from ..grammar import JpegGrammar
from ..tokenizer_info import TokenizerInfo
from .coverage import PROCESSES, Coverage, error_codes
from .decoders import Complaint, LibjpegPeer, Planes, all_complaints, planes_differ
from .field_walk import write_random_file
from .mask_walk import BrokenWalkError, MaskWalk, least_tokens
from .structure import read_structure
from .vocabularies import byte_vocabulary, pair_vocabulary, shuffled

__all__ = [
    "KINDS",
    "PROCESSES",
    "Walk",
    "WalkCase",
    "WalkReport",
    "check_walks",
    "plan_walks",
    "run_walk",
]

KINDS = ("field", "token", "outcome", "highest")
_BUDGETS = (1, 2, 10)  # times the tokens of the shortest file
_N_SAMPLES = 12
# Near the end of a budget each candidate's ending is spelled anew where scans still refine it.
_MAX_SAMPLE_BYTES = {"sequential": 6000, "multi-scan": 6000, "progressive": 1200}
# What masks are walked over: the names of JpegGrammar's makers, by process.
_GRAMMARS = {
    "sequential": ("any", "jpeg_lm", "like"),
    "multi-scan": ("like",),  # any other grammar also has files of one scan
    "progressive": ("any", "narrow", "like"),
}
_NARROW_FORMS: tuple[dict[str, int | str], ...] = (
    {"width": 20, "height": 30, "subsampling": "4:2:0", "quality": 60},
    {"width": 64, "height": 64, "subsampling": "gray", "restart_interval": 5},
    {"width": 8, "height": 8, "subsampling": "4:4:4"},
)
_BATCH = 50  # walks between two reports
_FIELD_WALKS: dict[str, dict[str, Any]] = {  # arguments of write_random_file
    "sequential": {},
    "multi-scan": {"several_scans": True},
    "progressive": {"process": "progressive"},
}
_LM_FORMS: tuple[dict[str, int | str], ...] = (
    {"width": 64, "height": 64},
    {"width": 128, "height": 128},
    {"width": 32, "height": 32, "restart_interval": 0},
    {"width": 128, "height": 128, "restart_interval": 0, "quality": 75},
    {"width": 17, "height": 9, "subsampling": "4:4:4", "quality": 95},
    {"width": 70, "height": 64, "subsampling": "4:4:4", "restart_interval": 3},
    {"width": 130, "height": 64, "subsampling": "4:2:2", "restart_interval": 9},
    {"width": 64, "height": 130, "subsampling": "4:4:0", "quality": 1},
    {"width": 256, "height": 64, "subsampling": "4:1:1", "restart_interval": 200},
    {"width": 64, "height": 64, "subsampling": "gray", "restart_interval": 11},
)


@dataclass(frozen=True)
class WalkCase:
    """What one walk is made of; the same case gives the same walk."""

    kind: str
    process: str  # of PROCESSES
    grammar: str  # "any", "narrow", "jpeg_lm", "like"
    form: int  # which of the grammars of that name
    vocabulary: str  # "bytes", "pieces"
    budget: int  # times the least
    seed: int

    def __str__(self) -> str:
        if self.kind == "field":
            return f"field walk {self.seed}, {self.process}"
        return (
            f"{self.kind} walk {self.seed} over {self.process} {self.grammar} {self.form}, "
            f"vocabulary {self.vocabulary}, budget {self.budget}x"
        )


@dataclass
class Walk:
    """A walk that came to its end."""

    case: WalkCase
    file: bytes
    planes: Planes
    n_tokens: int
    path: Path | None = None


@dataclass
class WalkReport:
    """What came of the walks."""

    coverage: Coverage = field(default_factory=Coverage)
    n_done: dict[tuple[str, str, str], int] = field(default_factory=dict)
    n_cases: int = 0
    n_excused: int = 0
    problems: list[tuple[WalkCase, str]] = field(default_factory=list)


def plan_walks(n: int, seed: int = 0, process: str | None = None) -> list[WalkCase]:
    """n cases: two fifths field-uniform, the rest in turns over grammars, budgets, vocabularies.

    Args:
        n: how many.
        seed: of the first.
        process: one of PROCESSES; None for sequential and progressive in turns.
    """
    processes = ("sequential", "progressive") if process is None else (process,)
    cases = []
    for i in range(n):
        kind = ("field", "token", "field", "outcome", "highest")[i % 5]
        turn = i // 5
        of = processes[turn % len(processes)]
        turn //= len(processes)
        grammars = _GRAMMARS[of]
        grammar = grammars[turn % len(grammars)]
        turn //= len(grammars)
        cases.append(
            WalkCase(
                kind=kind,
                process=of,
                grammar="any" if kind == "field" else grammar,
                form=turn // len(_BUDGETS),
                vocabulary="pieces" if turn // len(_BUDGETS) % 2 else "bytes",
                budget=_BUDGETS[turn % len(_BUDGETS)],
                seed=seed + i,
            )
        )
    return cases


def run_walk(case: WalkCase) -> Walk:
    """Walks one case.

    Raises:
        CodecLMError: a promise of the engine was broken.
    """
    if case.kind == "field":
        written = write_random_file(case.seed, **_FIELD_WALKS[case.process])
        return _checked(Walk(case, written.data, written.planes, written.n_fields))
    grammar = _grammar(case.process, case.grammar, case.form)
    info = _vocabulary(case.process, case.vocabulary)
    if case.kind == "highest":
        compiled = compile_grammar(grammar, shuffled(info, case.seed))
    else:
        compiled = _compiled(case.process, case.grammar, case.form, case.vocabulary)
    budget = case.budget * least_tokens(compiled)
    result = MaskWalk(compiled, budget, case.kind, case.seed).run()
    file = grammar.to_file(result.stream)
    return _checked(Walk(case, file, read_coefficients(file), result.n_tokens))


def _checked(walk: Walk) -> Walk:
    """The walk, if our own check finds its file valid and reads what was written."""
    for by_push in (False, True):
        status, end, n_trailing = check_jpeg(walk.file, by_push=by_push)
        if not status:
            raise BrokenWalkError(f"the file is not valid: {status.message}")
        if n_trailing or end != len(walk.file):
            raise BrokenWalkError(f"the file ends at byte {end} of {len(walk.file)}")
    difference = planes_differ(walk.planes, read_coefficients(walk.file))
    if difference is not None:
        raise BrokenWalkError(f"read_coefficients is not what was written: {difference}")
    return walk


def check_walks(
    cases: Sequence[WalkCase],
    folder: Path,
    peer: LibjpegPeer | None,
    *,
    process: str | None = None,
    n_threads: int = 2,
) -> Iterator[WalkReport]:
    """Walks all cases and lets all decoders read the files; the report so far, after each batch.

    Args:
        cases: what to walk.
        folder: where the files go; those that something is wrong with stay there.
        peer: reads the coefficients; None where libjpeg is not to be asked.
        process: of the cases, as `plan_walks` has it.
        n_threads: decoders that run at once.
    """
    report = WalkReport(Coverage(process))
    for start in range(0, len(cases), _BATCH):
        walks = []
        for case in cases[start : start + _BATCH]:
            try:
                walk = run_walk(case)
                structure = read_structure(walk.file)
                codes = error_codes(walk.file, structure, random.Random(case.seed))
            except CodecLMError as error:
                report.problems.append((case, str(error)))
                continue
            report.coverage.add(walk.file, structure, codes)
            walk.path = folder / f"walk-{case.seed:06}.jpg"
            walk.path.write_bytes(walk.file)
            walks.append(walk)
        _decode(walks, peer, report, n_threads)
        report.n_cases = min(start + _BATCH, len(cases))
        yield report


def _decode(
    walks: list[Walk], peer: LibjpegPeer | None, report: WalkReport, n_threads: int
) -> None:
    paths = [walk.path for walk in walks if walk.path is not None]
    read = peer.coefficients(paths) if peer is not None else (walk.planes for walk in walks)
    answers = zip(walks, all_complaints(paths, n_threads), read, strict=True)
    for walk, (path, complaints), theirs in answers:
        problems = [f"{c.decoder}: {c.message}" for c in complaints if not c.is_excused]
        report.n_excused += any(c.is_excused for c in complaints)
        if isinstance(theirs, Complaint):
            problems.append(f"libjpeg: {theirs.message}")
        elif (difference := planes_differ(walk.planes, theirs)) is not None:
            problems.append(f"coefficients: {difference}")
        report.problems += [(walk.case, f"{problem} ({path.name})") for problem in problems]
        key = (walk.case.process, walk.case.kind, walk.case.grammar)
        report.n_done[key] = report.n_done.get(key, 0) + 1
        if not problems:
            path.unlink()


@cache
def _samples(process: str) -> tuple[bytes, ...]:
    """Files to make `like` grammars and vocabularies from; every other one is no small one."""
    samples: list[bytes] = []
    seed = 1_000_000
    while len(samples) < _N_SAMPLES:
        data = write_random_file(seed, **_FIELD_WALKS[process]).data
        seed += 1
        wants_large = len(samples) % 2
        is_small = len(data) < _MAX_SAMPLE_BYTES[process]
        is_wanted = is_small and (read_structure(data).n_mcus >= 64) == wants_large
        if is_wanted and _can_be_pinned(data):
            samples.append(data)
    return tuple(samples)


def _can_be_pinned(data: bytes) -> bool:
    """Some refinements of random files can be coded after some first scans only."""
    try:
        JpegGrammar.like(data)
    except UsageError:
        return False
    return True


@cache
def _grammar(process: str, name: str, form: int) -> JpegGrammar:
    if name == "any":
        return JpegGrammar(process=process if process == "progressive" else None)
    if name == "narrow":
        narrow = _NARROW_FORMS[form % len(_NARROW_FORMS)]
        return JpegGrammar(process=process, **narrow)  # type: ignore[arg-type]
    if name == "like":
        return JpegGrammar.like(_samples(process)[form % _N_SAMPLES])
    return JpegGrammar.jpeg_lm(**_LM_FORMS[form % len(_LM_FORMS)])  # type: ignore[arg-type]


@cache
def _vocabulary(process: str, name: str) -> TokenizerInfo:
    return byte_vocabulary() if name == "bytes" else pair_vocabulary(_samples(process), 300)


@cache
def _compiled(process: str, grammar: str, form: int, vocabulary: str) -> CompiledGrammar:
    return compile_grammar(_grammar(process, grammar, form), _vocabulary(process, vocabulary))
