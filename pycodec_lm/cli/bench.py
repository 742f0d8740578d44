"""`pycodec-lm bench`: measurements that refuse to print where a correctness check fails."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from .._files import write_file
from ..errors import UsageError
from ._common import Progress, let_threads_sleep, print_json, printable, progress
from .bench_avc import judge_streams, try_streams, walk_avc, walk_avc_fields
from .bench_ops import OPERATORS, add_all_operators, add_operator
from .bench_report import bench_command, show

__all__ = ["add_parser"]

_BYTES_ONLY = 259
_SHEET_FILES = 16


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds this command to the parser."""
    parser = subparsers.add_parser(
        "bench",
        help="measure, with the correctness checked first",
        description="Measures, and checks what it measures first; what is wrong is not printed.",
        epilog="Exit code: 0 fine, 1 something is not correct, 2 misuse.",
    )
    kinds = parser.add_subparsers(metavar="WHAT", required=True)

    walks = kinds.add_parser("walks", help="random walks over the masks, read by real decoders")
    walks.add_argument("-n", "--walks", type=int, default=2000, help="how many (2000)")
    walks.add_argument("--seed", type=int, default=0, help="of the first walk (0)")
    walks.add_argument(
        "--of",
        choices=["sequential", "multi-scan", "progressive", "avc", "avc-fields"],
        help="what files (sequential and progressive JPEG files in turns); avc: H.264 streams;"
        " avc-fields: such streams with a legal value drawn for each field",
    )
    walks.add_argument("--keep", metavar="FOLDER", help="where files that go wrong are left")
    walks.add_argument("--threads", type=int, default=2, help="decoders that run at once (2)")
    walks.set_defaults(func=_walks)

    check = kinds.add_parser("check", help="check beside libjpeg-turbo and Pillow, or libavcodec")
    check.add_argument("folder", help="a folder of valid JPEG files, or of .264 streams")
    check.add_argument("--rounds", type=int, default=11, help="over all the files (11)")
    check.set_defaults(func=_check)

    mask = kinds.add_parser(
        "mask",
        help="masks along files, beside XGrammar and llguidance",
        description="Times masks along files, and what else generation calls: batches, forks,"
        " bitmasks put to logits; and counts what matchers take of memory. XGrammar and llguidance"
        " are timed in the same run where they are installed.",
    )
    mask.add_argument(
        "folder",
        help="a folder of valid JPEG files of one size and subsampling, or of .264 streams with the"
        " same parameter sets in each profile",
    )
    mask.add_argument(
        "--vocab-sizes",
        type=int,
        nargs="+",
        default=[_BYTES_ONLY, 1024, 32768],
        metavar="V",
        help=f"sizes of the vocabularies ({_BYTES_ONLY} 1024 32768; {_BYTES_ONLY} is bytes alone)",
    )
    mask.add_argument(
        "--forms",
        nargs="+",
        choices=["jpeg_lm", "dense", "like", "any"],
        help="streams with a restart marker after each MCU, without any, files like the first, or"
        " any files (jpeg_lm dense; of H.264 there are like and any, for each profile, but no like"
        " of clips with B slices)",
    )
    mask.add_argument("--warm-up", type=int, default=100, help="files before the clock runs (100)")
    mask.add_argument("--files", type=int, default=20, help="files that are timed (20)")
    mask.add_argument("--rows", type=int, default=64, help="of a batch, a file each (64)")
    mask.set_defaults(func=_mask)

    survival = kinds.add_parser("survival", help="files of a model with the mask and without it")
    survival.add_argument(
        "--checkpoint",
        nargs="+",
        metavar="DIR",
        help="models, such as one after more and more training (default: the one in the package);"
        " all but the last are tried at the lowest, the middle and the highest temperature",
    )
    survival.add_argument("-n", type=int, default=200, metavar="N", help="files of a kind (200)")
    survival.add_argument(
        "--temperature",
        type=float,
        nargs="+",
        default=[0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3],
        metavar="T",
        help="(0.7 0.8 ... 1.3)",
    )
    survival.add_argument("--top-p", type=float, default=1.0, metavar="P", help="(1)")
    survival.add_argument("--seed", type=int, default=0, help="of the first file (0)")
    survival.add_argument("--plot", metavar="FILE.png", help="draw the shares")
    survival.add_argument(
        "--sheet",
        metavar="FILE.png",
        help=f"show the first {_SHEET_FILES} files of the last model at the highest temperature",
    )
    survival.set_defaults(func=_survival)

    decoders = kinds.add_parser("decoders", help="what djpeg, Pillow and ffmpeg say about files")
    decoders.add_argument("files", nargs="+", metavar="FILE", help="a JPEG file, named .jpg")
    decoders.add_argument("--threads", type=int, default=2, help="decoders that run at once (2)")
    decoders.set_defaults(func=_decoders)

    corpora = kinds.add_parser("corpora", help="verdicts on real files, beside what decoders say")
    corpora.add_argument(
        "table", help="jpeg.tsv or h264.tsv, with the folder of its files beside it"
    )
    corpora.add_argument(
        "-n", type=int, default=30, metavar="N", help="refused JPEG files shown (30)"
    )
    corpora.add_argument("--seed", type=int, default=0, help="of the choice (0)")
    corpora.set_defaults(func=_corpora)

    mutants = kinds.add_parser("mutants", help="one fault in a valid file: who notices")
    mutants.add_argument("folder", help="a folder of valid JPEG files, or of .264 streams")
    mutants.add_argument("--seed", type=int, default=0, help="of the faults (0)")
    mutants.add_argument("--threads", type=int, default=2, help="decoders that run at once (2)")
    mutants.set_defaults(func=_mutants)

    operators = [add_operator(kinds, name) for name in OPERATORS]
    everything = add_all_operators(kinds)

    for kind in (walks, check, mask, survival, decoders, corpora, mutants, everything):
        kind.add_argument("--json", action="store_true", help="print one JSON object")
    for kind in (walks, check, mask, survival, decoders, corpora, mutants, *operators, everything):
        kind.add_argument("-q", "--quiet", action="store_true", help="no progress bar")
    for kind in (walks, check, mask, survival, corpora, mutants, *operators):
        kind.add_argument(
            "-o", "--output", metavar="FILE.md", help="write the report to a file too"
        )


def _files_of(folder: str, suffixes: tuple[str, ...] = (".jpg", ".jpeg")) -> list[Path]:
    if not Path(folder).is_dir():
        raise UsageError(f"{folder} is not a folder")
    paths = sorted(p for p in Path(folder).iterdir() if p.suffix.lower() in suffixes)
    if not paths:
        raise UsageError(f"{folder} has no file named {suffixes[0]}")
    return paths


def _need_decoders() -> None:
    from ..bench.decoders import DECODERS, available_decoders

    if missing := [name for name in DECODERS if name not in available_decoders()]:
        raise UsageError(
            f"{' and '.join(missing)} must be on the PATH (Debian: libjpeg-turbo-progs, ffmpeg)"
        )


def _walks(args: argparse.Namespace) -> int:
    from ..bench.decoders import LibjpegPeer
    from ..bench.figures import least_coverage, walk_report
    from ..bench.walks import WalkReport, check_walks, plan_walks

    if args.walks < 1 or args.threads < 1:
        raise UsageError("--walks and --threads must be at least 1")
    if args.of == "avc":
        return walk_avc(args)
    if args.of == "avc-fields":
        return walk_avc_fields(args)
    _need_decoders()
    result = WalkReport()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(args.keep or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        peer = LibjpegPeer(Path(temporary))
        cases = plan_walks(args.walks, args.seed, args.of)
        bar: Progress[int]
        with progress(len(cases), "walking", quiet=args.quiet or args.json) as bar:
            n_before = 0
            for result in check_walks(cases, folder, peer, process=args.of, n_threads=args.threads):
                n_now = result.n_cases
                bar.update(n_now - n_before, f"{len(result.problems)} problems")
                n_before = n_now
    words = ["-n", args.walks, "--seed", args.seed, *(["--of", args.of] if args.of else [])]
    show(walk_report(result, bench_command("walks", *words)), args)
    rare = result.coverage.rare(least_coverage(args.walks))
    return 1 if result.problems or rare or result.coverage.unexpected() else 0


def _check(args: argparse.Namespace) -> int:
    from ..bench.avc_check_speed import measure_avc_check
    from ..bench.check_speed import measure_check
    from ..bench.figures import check_report

    if args.rounds < 1:
        raise UsageError("--rounds must be at least 1")
    paths = _files_of(args.folder, (".jpg", ".jpeg", ".264"))
    is_avc = paths[0].suffix == ".264"
    measure = measure_avc_check if is_avc else measure_check
    bar: Progress[int]
    with progress(args.rounds, "checking", quiet=args.quiet or args.json) as bar:
        measured = measure(paths, args.rounds, bar.update)
    command = bench_command("check", Path(args.folder).resolve().name, "--rounds", args.rounds)
    title = "Checking H.264 streams" if is_avc else "Checking JPEG files"
    show(check_report(measured, command, title), args)
    return 0


def _mask(args: argparse.Namespace) -> int:
    let_threads_sleep()
    from ..bench.mask_bench import measure_all, n_steps
    from ..bench.mask_figures import mask_report
    from ..bench.mask_streams import AVC_FORMS, FORMS, FileCounts, is_clip, streams_of

    if min(args.vocab_sizes) < _BYTES_ONLY:
        raise UsageError(f"--vocab-sizes start at {_BYTES_ONLY}")
    if min(args.warm_up, args.files, args.rows) < 1:
        raise UsageError("--warm-up, --files and --rows must be at least 1")
    files = [path.read_bytes() for path in _files_of(args.folder, (".jpg", ".jpeg", ".264"))]
    known = [*(AVC_FORMS if is_clip(files[0]) else FORMS)]
    forms = args.forms or known[:2]
    if not set(forms) <= set(known):
        raise UsageError(f"--forms of such files are {', '.join(known)}")
    counts = FileCounts(args.files, args.rows, args.warm_up)
    streams = [*streams_of(files, counts, forms)]
    if not streams:
        raise UsageError(
            f"none of these clips is in scope, or none has the form {' or '.join(forms)}"
        )
    n = n_steps(args.vocab_sizes, streams)
    bar: Progress[int]
    with progress(n, "timing", quiet=args.quiet or args.json) as bar:
        results = measure_all(files, streams, args.vocab_sizes, lambda note: bar.update(note=note))
    words = ["mask", Path(args.folder).resolve().name, "--vocab-sizes", *args.vocab_sizes]
    words += ["--forms", *forms, "--warm-up", args.warm_up]
    words += ["--files", args.files, "--rows", args.rows]
    show(mask_report(results, bench_command(*words)), args)
    return 0


def _survival(args: argparse.Namespace) -> int:
    let_threads_sleep()
    from ..bench.figures import survival_report
    from ..bench.survival import measure_survival, try_files
    from ..bench.survival_figures import comparison_sheet, survival_plot
    from ..generation import Sampling
    from ..generation.api import open_checkpoint
    from ..generation.sheet import png

    if args.n < 1:
        raise UsageError(f"-n {args.n}: ask for at least one file")
    checkpoints = [open_checkpoint(name) for name in args.checkpoint or [None]]
    temperatures = sorted(args.temperature)
    rows, last = [], {}
    few = sorted({temperatures[0], temperatures[len(temperatures) // 2], temperatures[-1]})
    tried = [(checkpoint, few) for checkpoint in checkpoints[:-1]]
    tried.append((checkpoints[-1], temperatures))
    n_files = 2 * args.n * sum(len(values) for _, values in tried)
    with (
        tempfile.TemporaryDirectory() as folder,
        progress(n_files, "generating", quiet=args.quiet or args.json) as bar,
    ):
        for checkpoint, values in tried:
            for temperature in values:
                sampling = Sampling(temperature, top_p=args.top_p)
                for mask in (False, True):
                    last[mask] = try_files(
                        checkpoint,
                        Path(folder),
                        n=args.n,
                        sampling=sampling,
                        mask=mask,
                        seed=args.seed,
                        on_file=bar.update,
                    )
                    rows.append(
                        measure_survival(checkpoint, last[mask], temperature=temperature, mask=mask)
                    )
    if args.plot:
        write_file(args.plot, survival_plot(rows))
    if args.sheet:
        sheet = comparison_sheet(last[False][:_SHEET_FILES], last[True][:_SHEET_FILES])
        write_file(args.sheet, png(sheet))
    words: list[object] = ["survival", "-n", args.n, "--temperature", *temperatures]
    words += ["--top-p", args.top_p, "--seed", args.seed]
    if args.checkpoint:
        words += ["--checkpoint", *(Path(name).resolve().name for name in args.checkpoint)]
    show(survival_report(rows, bench_command(*words)), args)
    return 0 if all(row.n_clean == row.n for row in rows if row.mask) else 1


def _decoders(args: argparse.Namespace) -> int:
    from ..bench.decoders import all_complaints, available_decoders

    if args.threads < 1:
        raise UsageError("--threads must be at least 1")
    paths = [Path(name) for name in args.files]
    for path in paths:
        with path.open("rb"):
            pass  # one line about what cannot be read, instead of three decoders' words
    n_bad = 0
    found: dict[str, list[dict[str, object]]] = {}
    bar: Progress[int] = progress(len(paths), "decoding", quiet=args.quiet or args.json)
    with bar:
        for path, complaints in all_complaints(paths, args.threads):
            bar.update()
            n_bad += any(not c.is_excused for c in complaints)
            found[str(path)] = [vars(c) for c in complaints]
    if args.json:
        print_json({"decoders": available_decoders(), "files": found})
    else:
        for name, said in found.items():
            for complaint in said:
                excuse = " (excused)" if complaint["is_excused"] else ""
                text = " ".join(str(complaint["message"]).split())
                print(f"{printable(name)}: {complaint['decoder']}: {text}{excuse}")
        decoders = ", ".join(available_decoders())
        print(f"{len(paths)} files, {len(paths) - n_bad} clean in {decoders}")
    return 1 if n_bad else 0


def _corpora(args: argparse.Namespace) -> int:
    from ..bench.avc_corpora import is_h264_table
    from ..bench.corpora import (
        CorporaResult,
        choose_rejections,
        judge,
        read_arguments,
        read_table,
    )
    from ..bench.evidence_figures import corpora_report

    if args.n < 0:
        raise UsageError("-n must not be negative")
    table = Path(args.table)
    if is_h264_table(table):
        return judge_streams(table, args)
    result = CorporaResult(arguments=read_arguments())
    rows = progress(read_table(table), "checking", quiet=args.quiet or args.json)
    result.files = [judge(table.parent, row) for row in rows]
    result.rejections = choose_rejections(result.files, args.n, args.seed)
    command = bench_command("corpora", table.name, "-n", args.n, "--seed", args.seed)
    show(corpora_report(result, command), args)
    return 1 if result.not_argued() else 0


def _mutants(args: argparse.Namespace) -> int:
    from ..bench.evidence_figures import mutant_report
    from ..bench.mutants import KINDS, MutantReport, try_mutants

    if args.threads < 1:
        raise UsageError("--threads must be at least 1")
    paths = _files_of(args.folder, (".jpg", ".jpeg", ".264"))
    if paths[0].suffix == ".264":
        return try_streams(paths, args)
    _need_decoders()
    result = MutantReport()
    bar: Progress[int]
    with (
        tempfile.TemporaryDirectory() as folder,
        progress(len(KINDS) * len(paths), "reading", quiet=args.quiet or args.json) as bar,
    ):
        n_before = 0
        for result in try_mutants(paths, Path(folder), args.seed, args.threads):
            n_now = result.n.total()
            bar.update(n_now - n_before, f"{len(result.problems)} problems")
            n_before = n_now
    command = bench_command("mutants", Path(args.folder).resolve().name, "--seed", args.seed)
    show(mutant_report(result, len(paths), command), args)
    return 1 if result.problems else 0
