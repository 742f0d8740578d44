"""Measurements as reports: what each `pycodec-lm bench` command prints."""

from __future__ import annotations

from collections.abc import Sequence

from .check_speed import CheckTimes
from .coverage import PROCESSES
from .decoders import decoder_versions
from .measure import Report
from .survival import Survival
from .walks import KINDS, WalkReport

__all__ = ["check_report", "survival_report", "walk_report"]

# How many walks each value of the scope should be reached by, of 2,000.
_LEAST_OF_2000 = 20


def least_coverage(n_walks: int) -> int:
    """How often each value must occur in so many walks."""
    return max(1, _LEAST_OF_2000 * n_walks // 2000)


def walk_report(walks: WalkReport, command: str) -> Report:
    """What the walks reached, and what went wrong."""
    report = Report("Random walks over the grammar, read by real decoders", command)
    n_done = sum(walks.n_done.values())
    least = least_coverage(n_done)
    report.notes += [f"{name}: {text}" for name, text in decoder_versions().items()]
    report.notes += [
        "each file: valid in our check by both ways of reading; djpeg -strict, Pillow (warnings as"
        " errors) and ffmpeg -v error -err_detect explode exit with 0 and say nothing; the"
        " coefficients written equal libjpeg's jpeg_read_coefficients",
        f"ffmpeg has no pixel format for the sampling factors of {walks.n_excused} of the files",
        f"{len(walks.problems)} problems",
    ]
    grammars = ("any", "narrow", "jpeg_lm", "like")
    rows = [
        [process, kind, *(str(walks.n_done.get((process, kind, name), 0)) for name in grammars)]
        for process in PROCESSES
        for kind in KINDS
        if any(done[:2] == (process, kind) for done in walks.n_done)
    ]
    report.add_table(
        f"Walks, {n_done}",
        ["files", "kind of walk", "JpegGrammar()", "narrowed", ".jpeg_lm(...)", ".like(file)"],
        rows,
    )
    rows = [
        [group, str(len(values)), *_rarest(walks, group, values)]
        for group, values in walks.coverage.scope.items()
    ]
    report.add_table(
        f"Coverage: walks that reached a value (asked for: {least} or more)",
        ["", "values", "rarest", "its walks", f"values below {least}"],
        [[*row, str(_n_below(walks, row[0], least))] for row in rows],
    )
    common = walks.coverage.sampling.most_common(12)
    report.add_table(
        f"Sampling factors HxV: {len(walks.coverage.sampling)} combinations, the most common",
        ["components", "walks"],
        [[text, str(n)] for text, n in common],
    )
    if walks.problems:
        rows = [[str(case), text.replace("|", "/")] for case, text in walks.problems]
        report.add_table("Problems", ["walk", "what happened"], rows)
    report.data = {
        "walks": {", ".join(key): n for key, n in walks.n_done.items()},
        "excused": walks.n_excused,
        "problems": [[str(case), text] for case, text in walks.problems],
        "coverage": {group: dict(counts) for group, counts in walks.coverage.walks.items()},
    }
    return report


def _rarest(walks: WalkReport, group: str, values: Sequence[str]) -> tuple[str, str]:
    counts = walks.coverage.walks[group]
    rarest = min(values, key=lambda value: counts[value])
    return rarest, str(counts[rarest])


def _n_below(walks: WalkReport, group: str, least: int) -> int:
    values = walks.coverage.scope[group]
    return sum(walks.coverage.walks[group][value] < least for value in values)


def check_report(measured: Sequence[CheckTimes], command: str, title: str) -> Report:
    """Checking beside decoding."""
    report = Report(title, command)
    report.notes += [f"{name}: {text}" for name, text in decoder_versions().items()]
    report.notes.append(
        "valid files in memory; CPU time of one thread; readers take turns, the spread is over"
        " rounds; what is recoded is so by jpegtran, coefficients compared"
    )
    for times in measured:
        bytes_per_file = times.n_bytes / times.n_files
        ours = times.readers["check"]
        rows = [
            [
                name,
                f"{spread.median:.1f}",
                f"{spread.p10:.1f} - {spread.p90:.1f}",
                f"{bytes_per_file / spread.median:.1f}",
                f"{spread.median / ours.median:.2f}",
            ]
            for name, spread in times.readers.items()
        ]
        report.add_table(
            f"{times.n_files} files {times.coding}, {bytes_per_file:.0f} bytes on average: CPU time"
            f" a file, {ours.n} rounds",
            ["", "median us", "10 % - 90 %", "MB/s", "times our check"],
            rows,
        )
    report.data = {
        times.coding: {name: vars(spread) for name, spread in times.readers.items()}
        for times in measured
    }
    return report


def survival_report(rows: Sequence[Survival], command: str) -> Report:
    """Files with the mask and without it."""
    report = Report("Files with and without the mask", command)
    report.notes += [f"{name}: {text}" for name, text in decoder_versions().items()]
    report.notes += [
        "the same classes and seeds with and without; a file survives when our check finds it valid"
        " and djpeg -strict, Pillow (warnings as errors) and ffmpeg -v error -err_detect explode"
        " exit with 0 and say nothing",
        "log Z: the mean over files of the sum of log(allowed mass), which is what masking adds to"
        " a file's log-probability",
    ]
    report.add_table(
        "Survival",
        [
            "training steps",
            "temperature",
            "mask",
            "files",
            "valid",
            "survive",
            "distinct",
            "ended by budget",
            "draws vetoed",
            "allowed mass",
            "log Z",
        ],
        [
            [
                f"{row.steps:,}",
                f"{row.temperature:g}",
                "yes" if row.mask else "no",
                str(row.n),
                str(row.n_valid),
                f"{row.n_clean} ({100 * row.share:.1f} %)",
                str(row.n_distinct),
                str(row.n_by_budget),
                f"{100 * row.vetoed:.3f} %" if row.mask else "",
                f"{100 * row.allowed_mass:.3f} %",
                f"{row.mean_log_z:.3f}" if row.mask else "",
            ]
            for row in rows
        ],
    )
    report.data = {
        "rows": [
            {name: value for name, value in vars(row).items() if row.mask or name != "mean_log_z"}
            for row in rows
        ]
    }
    return report
