"""The H.264 half of `pycodec-lm bench`: corpora, walks and mutants."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ._common import Progress, progress
from .bench_report import bench_command, show

if TYPE_CHECKING:
    from ..bench.avc_decoders import AvcDecoders
    from ..bench.avc_field_walks import AvcFieldReport
    from ..bench.avc_walks import AvcWalkReport
    from ..bench.measure import Report

__all__ = ["judge_streams", "try_streams", "walk_avc", "walk_avc_fields"]

Walks = TypeVar("Walks", "AvcWalkReport", "AvcFieldReport")
Case = TypeVar("Case")


def judge_streams(table: Path, args: argparse.Namespace) -> int:
    """`bench corpora h264.tsv`."""
    from ..bench.avc_corpora import (
        AvcCorporaResult,
        judge_avc,
        read_avc_arguments,
        read_avc_table,
    )
    from ..bench.avc_figures import avc_corpora_report

    rows = progress(read_avc_table(table), "checking", quiet=args.quiet or args.json)
    files = [judge_avc(table.parent, row) for row in rows]
    result = AvcCorporaResult(files, read_avc_arguments())
    show(avc_corpora_report(result, bench_command("corpora", table.name)), args)
    return 1 if result.not_argued() else 0


def walk_avc(args: argparse.Namespace) -> int:
    """`bench walks --of avc`."""
    from ..bench.avc_figures import avc_walk_report
    from ..bench.avc_walks import AvcWalkReport, check_avc_walks, plan_avc_walks

    cases = plan_avc_walks(args.walks, args.seed)
    return _walk(cases, check_avc_walks, AvcWalkReport(), avc_walk_report, args)


def walk_avc_fields(args: argparse.Namespace) -> int:
    """`bench walks --of avc-fields`."""
    from ..bench.avc_field_figures import avc_field_report
    from ..bench.avc_field_walks import (
        AvcFieldReport,
        check_avc_field_walks,
        plan_avc_field_walks,
    )

    cases = plan_avc_field_walks(args.walks, args.seed)
    return _walk(cases, check_avc_field_walks, AvcFieldReport(), avc_field_report, args)


def _walk(
    cases: Sequence[Case],
    check: Callable[..., Iterator[Walks]],
    result: Walks,
    report: Callable[[Walks, AvcDecoders, str], Report],
    args: argparse.Namespace,
) -> int:
    """Shows what the last of `check` says."""
    from ..bench.avc_decoders import AvcDecoders

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(args.keep or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        decoders = AvcDecoders(Path(temporary))
        _say_what_is_missing(decoders)
        bar: Progress[int]
        with progress(len(cases), "walking", quiet=args.quiet or args.json) as bar:
            n_before = 0
            for result in check(cases, folder, decoders, n_threads=args.threads):
                bar.update(result.n_cases - n_before, f"{len(result.problems)} problems")
                n_before = result.n_cases
        command = bench_command("walks", "-n", args.walks, "--seed", args.seed, "--of", args.of)
        show(report(result, decoders, command), args)
    return 1 if result.problems else 0


def try_streams(paths: list[Path], args: argparse.Namespace) -> int:
    """`bench mutants` of a folder of streams."""
    from ..bench.avc_decoders import AvcDecoders
    from ..bench.avc_figures import avc_mutant_report
    from ..bench.avc_mutants import AVC_KINDS, choose_clips, try_avc_mutants
    from ..bench.mutants import MutantReport

    chosen, n_left_out = choose_clips(paths)
    result = MutantReport()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        decoders = AvcDecoders(folder)
        _say_what_is_missing(decoders)
        bar: Progress[int]
        n = len(AVC_KINDS) * len(chosen)
        with progress(n, "reading", quiet=args.quiet or args.json) as bar:
            n_before = 0
            for result in try_avc_mutants(chosen, folder, args.seed, decoders, args.threads):
                bar.update(result.n.total() - n_before, f"{len(result.problems)} problems")
                n_before = result.n.total()
        command = bench_command("mutants", Path(args.folder).resolve().name, "--seed", args.seed)
        show(avc_mutant_report(result, len(chosen), n_left_out, decoders, command), args)
    return 1 if result.problems else 0


def _say_what_is_missing(decoders: AvcDecoders) -> None:
    for line in decoders.missing:
        print(f"pycodec-lm: {line}", file=sys.stderr)
