"""Random walks over the masks of H.264: each must end in a stream that decoders read.

Grammars are those of AVC-LM, shrunk to a few small pictures. Walks are made by a token drawn
uniformly among those of the mask, by the legal token with the highest number under a shuffled
numbering, by the lowest byte, and by a search for I_PCM macroblocks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .._core import AvcCursor, CompiledGrammar, GrammarMatcher, check_h264, compile_grammar
from ..avc_grammar import AvcGrammar
from ..codecs.avc import SLICES, AvcSettings, encode
from ..errors import CodecLMError
from ..tokenizer_info import TokenizerInfo
from .avc_decoders import AvcDecoders, complaint_about
from .mask_walk import BrokenWalkError, Chooser, MaskWalk, WalkResult, least_tokens
from .vocabularies import byte_vocabulary, pair_vocabulary, shuffled

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "AVC_WALK_BUDGETS",
    "AVC_WALK_KINDS",
    "FIELD_KINDS",
    "FRAMES",
    "AvcWalkCase",
    "AvcWalkReport",
    "check_avc_walks",
    "plan_avc_walks",
    "run_avc_walk",
]

WIDTH, HEIGHT, FRAMES = 64, 48, 4
AVC_WALK_BUDGETS = (1, 2, 10)  # times the tokens of the shortest stream
# A step under a budget is slow, and slices of a macroblock each make ten times as many: few of
# these have the largest budget.
_BUDGETS_IN_TURN = {
    "picture": (1, 2, 10),
    "macroblock": (1, 1, 1, 2, 1, 1, 2, 1, 1, 10, 10, 1),
}
_VOCABULARIES = ("bytes", "pieces")
_N_PIECES = 300
_BATCH = 24  # walks between two reports
# What AvcCursor.annotation() has first, from the first macroblock on.
_MB_TYPE, _PCM = 5, 14
FIELD_KINDS = {
    4: "mb_skip_run",
    _MB_TYPE: "mb_type and sub_mb_type",
    6: "intra prediction modes",
    7: "ref_idx",
    8: "mvd",
    9: "coded_block_pattern",
    10: "mb_qp_delta",
    11: "coeff_token",
    12: "levels",
    13: "total_zeros and run_before",
    _PCM: "PCM samples",
    15: "trailing bits",
}
# mb_type of I_PCM, ue(v) (Tables 7-11 and 7-13): codeNum 25 in I slices, 5 + 25 in P slices.
_PCM_CODES = (0b000011010, 0b000011111)
_PCM_CODE_BITS = 9


@dataclass(frozen=True)
class AvcWalkCase:
    """What one walk is made of; the same case gives the same walk."""

    kind: str  # of AVC_WALK_KINDS
    slices: str
    vocabulary: str
    budget: int  # times the least
    seed: int

    def __str__(self) -> str:
        return (
            f"{self.kind} walk {self.seed}, slices {self.slices}, "
            f"vocabulary {self.vocabulary}, budget {self.budget}x"
        )


@dataclass
class AvcWalkReport:
    """What came of the walks."""

    n_cases: int = 0
    n_done: Counter[AvcWalkCase] = field(default_factory=Counter)
    n_tokens: Counter[tuple[str, int]] = field(default_factory=Counter)  # (slices, budget)
    n_bytes: Counter[tuple[str, int]] = field(default_factory=Counter)
    n_vetoed: Counter[tuple[str, int]] = field(default_factory=Counter)  # walks
    reached: Counter[tuple[str, int]] = field(default_factory=Counter)  # (slices, kind of field)
    problems: list[tuple[AvcWalkCase, str]] = field(default_factory=list)

    def n_walks(self, **values: object) -> int:
        """Walks done whose case has these values."""
        return sum(all(getattr(case, k) == v for k, v in values.items()) for case in self.n_done)


def plan_avc_walks(n: int, seed: int = 0) -> list[AvcWalkCase]:
    """n cases, half of them uniform, in turns over budgets, slices and vocabularies.

    Args:
        n: how many.
        seed: of the first.
    """
    kinds = ("token", "highest", "token", "lowest", "token", "PCM")
    cases = []
    for i in range(n):
        turn, kind = divmod(i, len(kinds))
        turn, slices = divmod(turn, len(SLICES))
        budgets = _BUDGETS_IN_TURN[SLICES[slices]]
        cases.append(
            AvcWalkCase(
                kind=kinds[kind],
                slices=SLICES[slices],
                vocabulary=_VOCABULARIES[(turn + kind // 2) % 2],
                budget=budgets[turn % len(budgets)],
                seed=seed + i,
            )
        )
    return cases


def run_avc_walk(case: AvcWalkCase) -> WalkResult:
    """Walks one case.

    Raises:
        CodecLMError: a promise of the engine was broken.
    """
    compiled = _compiled(case.slices, case.vocabulary)
    if case.kind == "highest":
        renumbered = shuffled(_vocabulary(case.vocabulary, case.slices), case.seed)
        compiled = compile_grammar(_grammar(case.slices), renumbered)
    chooser = AVC_WALK_KINDS[case.kind]
    budget = case.budget * least_tokens(compiled)
    result = MaskWalk(compiled, budget, chooser, case.seed, watches_budget=True).run()
    status, n_pictures = check_h264(result.stream)
    if not status:
        raise BrokenWalkError(f"the stream is not valid: {status.message}")
    if n_pictures != FRAMES:
        raise BrokenWalkError(f"our check counts {n_pictures} pictures, not {FRAMES}")
    return result


def _search_pcm(walk: MaskWalk, legal: NDArray[np.intp]) -> int:
    """A token that leads into I_PCM, or furthest into its mb_type; else any."""
    tokens: list[int] = legal.tolist()
    walk.rng.shuffle(tokens)
    if walk.matcher.annotation()[0] == _PCM:
        return tokens[0]
    # Without the budget, by which the mask goes already: looking ahead with it costs far more.
    matcher = walk.free or walk.matcher
    return max(tokens, key=lambda token: _nearness_to_pcm(matcher, token))


def _nearness_to_pcm(matcher: GrammarMatcher, token: int) -> int:
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


AVC_WALK_KINDS: dict[str, str | Chooser] = {
    "token": "token",
    "highest": "highest",
    "lowest": "lowest",
    "PCM": _search_pcm,
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
        walked: dict[Path, AvcWalkCase] = {}
        for case in cases[start : start + _BATCH]:
            try:
                result = run_avc_walk(case)
            except CodecLMError as error:
                report.problems.append((case, str(error)))
                continue
            _count(case, result, report)
            path = folder / f"walk-{case.seed:06}.264"
            path.write_bytes(result.stream)
            walked[path] = case
        for path, answers in decoders.ask([*walked], n_threads=n_threads):
            said = [complaint_about(answer, FRAMES) for answer in answers]
            problems = [text for text in said if text is not None]
            report.problems += [(walked[path], f"{text} ({path.name})") for text in problems]
            if not problems:
                path.unlink()
        report.n_cases = min(start + _BATCH, len(cases))
        yield report


def _count(case: AvcWalkCase, result: WalkResult, report: AvcWalkReport) -> None:
    key = (case.slices, case.budget)
    report.n_done[case] += 1
    report.n_tokens[key] += result.n_tokens
    report.n_bytes[key] += len(result.stream)
    report.n_vetoed[key] += bool(result.n_vetoed)
    for kind in _fields_met(case.slices, result.stream):
        report.reached[case.slices, kind] += 1


def _fields_met(slices: str, stream: bytes) -> set[int]:
    """The kinds of field that some byte of the stream begins in."""
    cursor = AvcCursor(_grammar(slices))
    kinds = set()
    for byte in stream:
        kinds.add(int(cursor.annotation()[0]))
        cursor.push(bytes([byte]))
    return kinds & {*FIELD_KINDS}


@cache
def _grammar(slices: str) -> AvcGrammar:
    return AvcGrammar.avc_lm(WIDTH, HEIGHT, FRAMES, slices=slices)


@cache
def _vocabulary(name: str, slices: str) -> TokenizerInfo:
    if name == "bytes":
        return byte_vocabulary()
    settings = AvcSettings(WIDTH, HEIGHT, frames=FRAMES, slices=slices)
    samples = [encode(_patches(seed), settings) for seed in range(4)]
    return pair_vocabulary(samples, _N_PIECES)


def _patches(seed: int) -> NDArray[np.uint8]:
    """uint8 [FRAMES, HEIGHT, WIDTH, 3]: patches of colour, seen from further and further right."""
    rng = np.random.default_rng(seed)
    patches = rng.integers(0, 256, (HEIGHT // 8, WIDTH // 8 + FRAMES, 3), np.uint8)
    ground = patches.repeat(8, axis=0).repeat(8, axis=1)
    return np.stack([ground[:, 3 * i : 3 * i + WIDTH] for i in range(FRAMES)])


@cache
def _compiled(slices: str, vocabulary: str) -> CompiledGrammar:
    return compile_grammar(_grammar(slices), _vocabulary(vocabulary, slices))
