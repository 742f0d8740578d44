"""Random walks over the masks of H.264: each must end in a stream that decoders read.

Grammars are those of `avc_walk_forms`. Walks are made by a token drawn uniformly among those of the
mask, by the legal token with the highest number under a shuffled numbering, by the lowest byte, and
by a search for I_PCM macroblocks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from .._core import AvcCursor, GrammarMatcher, check_h264, compile_grammar
from ..errors import CodecLMError
from ..inspect import inspect_h264
from .avc_decoders import AvcDecoders, complaint_about
from .avc_walk_forms import FRAMES, WALK_FORMS, WalkForm, compiled_of, vocabulary_of
from .mask_walk import BrokenWalkError, Chooser, MaskWalk, WalkResult
from .vocabularies import shuffled

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "AVC_WALK_BUDGETS",
    "AVC_WALK_KINDS",
    "FIELD_KINDS",
    "AvcWalkCase",
    "AvcWalkReport",
    "check_avc_walks",
    "plan_avc_walks",
    "run_avc_walk",
]

AVC_WALK_BUDGETS = (1, 2, 10)  # times the tokens of the shortest stream
# Two of three by CABAC.
_FORMS_IN_TURN = ("picture", "CABAC", "CABAC with B", "macroblock", "CABAC", "CABAC with B")
_VOCABULARIES = ("bytes", "pieces")
_BATCH = 24  # walks between two reports
# What AvcCursor.annotation() has first, from the first macroblock on.
_MB_TYPE, _PCM = 5, 14
FIELD_KINDS = {
    4: "mb_skip_run; mb_skip_flag and end_of_slice_flag",
    _MB_TYPE: "mb_type, sub_mb_type and transform_size_8x8_flag",
    6: "intra prediction modes",
    7: "ref_idx",
    8: "mvd",
    9: "coded_block_pattern",
    10: "mb_qp_delta",
    11: "coeff_token; coded_block_flag",
    12: "levels",
    13: "total_zeros and run_before; flags of significant coefficients",
    _PCM: "PCM samples",
    15: "trailing bits",
}
# mb_type of I_PCM, ue(v) (Tables 7-11 and 7-13): codeNum 25 in I slices, 5 + 25 in P slices.
_PCM_CODES = (0b000011010, 0b000011111)
_PCM_CODE_BITS = 9
_MAX_MB_TYPE_BINS = 13  # of intra types in B slices (Table 9-37)


@dataclass(frozen=True)
class AvcWalkCase:
    """What one walk is made of; the same case gives the same walk."""

    kind: str  # of AVC_WALK_KINDS
    form: str  # of WALK_FORMS
    vocabulary: str
    budget: int  # times the least
    seed: int

    def __str__(self) -> str:
        return (
            f"{self.kind} walk {self.seed}, {self.form}, "
            f"vocabulary {self.vocabulary}, budget {self.budget}x"
        )


@dataclass
class AvcWalkReport:
    """What came of the walks."""

    n_cases: int = 0
    n_done: Counter[AvcWalkCase] = field(default_factory=Counter)
    n_tokens: Counter[tuple[str, int]] = field(default_factory=Counter)  # (form, budget)
    n_bytes: Counter[tuple[str, int]] = field(default_factory=Counter)
    n_vetoed: Counter[tuple[str, int]] = field(default_factory=Counter)  # walks
    reached: Counter[tuple[str, int]] = field(default_factory=Counter)  # (form, kind of field)
    n_slices: Counter[tuple[str, str]] = field(default_factory=Counter)  # (form, "I", "P" or "B")
    problems: list[tuple[AvcWalkCase, str]] = field(default_factory=list)

    def n_walks(self, **values: object) -> int:
        """Walks done whose case has these values."""
        return sum(all(getattr(case, k) == v for k, v in values.items()) for case in self.n_done)


def plan_avc_walks(n: int, seed: int = 0) -> list[AvcWalkCase]:
    """n cases, half of them uniform, in turns over budgets, forms and vocabularies.

    Args:
        n: how many.
        seed: of the first.
    """
    kinds = ("token", "highest", "token", "lowest", "token", "PCM")
    cases = []
    for i in range(n):
        turn, kind = divmod(i, len(kinds))
        turn, form = divmod(turn, len(_FORMS_IN_TURN))
        # What a form has had by now: the places of its turns count, not those of all.
        name = _FORMS_IN_TURN[form]
        turn = turn * _FORMS_IN_TURN.count(name) + _FORMS_IN_TURN[:form].count(name)
        budgets = WALK_FORMS[name].budgets
        cases.append(
            AvcWalkCase(
                kind=kinds[kind],
                form=name,
                vocabulary=_VOCABULARIES[(turn + kind // 2) % 2],
                budget=budgets[turn % len(budgets)],
                seed=seed + i,
            )
        )
    return cases


def run_avc_walk(case: AvcWalkCase) -> tuple[WalkResult, int]:
    """Walks one case; also how many pictures its stream has.

    Raises:
        CodecLMError: a promise of the engine was broken.
    """
    form = WALK_FORMS[case.form]
    compiled = compiled_of(form.name, case.vocabulary)
    if case.kind == "highest":
        renumbered = shuffled(vocabulary_of(form.name, case.vocabulary), case.seed)
        compiled = compile_grammar(form.grammar(), renumbered)
    chooser = AVC_WALK_KINDS[case.kind]
    if case.kind == "PCM" and form.has_cabac:
        chooser = _search_pcm_by_cabac
    result = MaskWalk(
        compiled,
        case.budget * form.least_tokens(case.vocabulary),
        chooser,
        case.seed,
        watches_budget=True,
        prompt=form.prompt(case.seed),
        stops_late=form.has_b,
    ).run()
    status, n_pictures = check_h264(result.stream)
    if not status:
        raise BrokenWalkError(f"the stream is not valid: {status.message}")
    if not form.has_b and n_pictures != FRAMES:
        raise BrokenWalkError(f"our check counts {n_pictures} pictures, not {FRAMES}")
    return result, n_pictures


def _pcm_search(nearness: Callable[[GrammarMatcher, int], int]) -> Chooser:
    """A token that leads into I_PCM, or furthest into its mb_type; else any."""

    def choose(walk: MaskWalk, legal: NDArray[np.intp]) -> int:
        tokens: list[int] = legal.tolist()
        walk.rng.shuffle(tokens)
        if walk.matcher.annotation()[0] == _PCM:
            return tokens[0]
        # Without the budget, by which the mask goes already: looking ahead with it costs far more.
        matcher = walk.free or walk.matcher
        return max(tokens, key=lambda token: nearness(matcher, token))

    return choose


def _nearness_by_cavlc(matcher: GrammarMatcher, token: int) -> int:
    fork = matcher.fork()
    fork.accept_token(token)
    annotation = fork.annotation()
    if annotation[0] == _PCM:
        return _PCM_CODE_BITS
    n_bits, bits = int(annotation[6]), int(annotation[7])
    if annotation[0] != _MB_TYPE or n_bits >= _PCM_CODE_BITS:
        return 0
    beginnings = [code >> (_PCM_CODE_BITS - n_bits) for code in _PCM_CODES]
    return n_bits if bits in beginnings else 0


def _nearness_by_cabac(matcher: GrammarMatcher, token: int) -> int:
    """By how many bins of mb_type are read, that of I_PCM being among the longest."""
    fork = matcher.fork()
    fork.accept_token(token)
    annotation = fork.annotation()
    if annotation[0] == _PCM:
        return _MAX_MB_TYPE_BINS + 1
    return int(annotation[6]) if annotation[0] == _MB_TYPE else 0


_search_pcm_by_cabac = _pcm_search(_nearness_by_cabac)
AVC_WALK_KINDS: dict[str, str | Chooser] = {
    "token": "token",
    "highest": "highest",
    "lowest": "lowest",
    "PCM": _pcm_search(_nearness_by_cavlc),
}


def check_avc_walks(
    cases: Sequence[AvcWalkCase], folder: Path, decoders: AvcDecoders, *, n_threads: int = 2
) -> Iterator[AvcWalkReport]:
    """Walks all cases and lets the decoders read the streams; the report so far, now and then.

    Args:
        cases: what to walk.
        folder: where the streams go; those that something is wrong with stay there.
        decoders: who reads them.
        n_threads: decoders that run at once.
    """
    report = AvcWalkReport()
    for start in range(0, len(cases), _BATCH):
        walked: dict[Path, tuple[AvcWalkCase, int]] = {}
        for case in cases[start : start + _BATCH]:
            try:
                result, n_pictures = run_avc_walk(case)
            except CodecLMError as error:
                report.problems.append((case, str(error)))
                continue
            _count(case, result, report)
            path = folder / f"walk-{case.seed:06}.264"
            path.write_bytes(result.stream)
            walked[path] = case, n_pictures
        for path, answers in decoders.ask([*walked], n_threads=n_threads):
            case, n_pictures = walked[path]
            said = [complaint_about(answer, n_pictures) for answer in answers]
            problems = [text for text in said if text is not None]
            report.problems += [(case, f"{text} ({path.name})") for text in problems]
            if not problems:
                path.unlink()
        report.n_cases = min(start + _BATCH, len(cases))
        yield report


def _count(case: AvcWalkCase, result: WalkResult, report: AvcWalkReport) -> None:
    key = (case.form, case.budget)
    report.n_done[case] += 1
    report.n_tokens[key] += result.n_tokens
    report.n_bytes[key] += len(result.stream)
    report.n_vetoed[key] += bool(result.n_vetoed)
    for picture in inspect_h264(result.stream).pictures:
        for part in picture.slices:
            report.n_slices[case.form, part.type] += 1
    for kind in _fields_met(WALK_FORMS[case.form], case.seed, result.stream):
        report.reached[case.form, kind] += 1


def _fields_met(form: WalkForm, seed: int, stream: bytes) -> set[int]:
    """The kinds of field that some byte of the stream begins in, the prompt's left out."""
    cursor = AvcCursor(form.grammar())
    n_prompt = len(form.prompt(seed))
    cursor.push(stream[:n_prompt])
    kinds = set()
    for byte in stream[n_prompt:]:
        kinds.add(int(cursor.annotation()[0]))
        cursor.push(bytes([byte]))
    return kinds & {*FIELD_KINDS}
