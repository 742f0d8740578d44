"""Evidence on strictness as reports: `pycodec-lm bench corpora` and `bench mutants`."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from .corpora import Arguments, CorporaResult, Judged, is_good
from .decoders import DECODERS, decoder_versions
from .libjpeg_reasons import T81
from .measure import Report
from .mutants import ALWAYS_WRONG, KINDS, MutantReport

__all__ = [
    "SLOW_SECONDS",
    "add_mutant_problems",
    "add_mutant_tables",
    "corpora_report",
    "mutant_report",
    "nested",
]

# A verdict on a file of up to 1 MB, and on each further MB, should take no longer.
SLOW_SECONDS = 0.05
_MB = 1_000_000
_NOT_ARGUED = "(nobody has argued this yet)"


def corpora_report(result: CorporaResult, command: str) -> Report:
    """Where our verdict differs from what decoders say, by name and with the reason."""
    files, arguments = result.files, result.arguments
    report = Report("Real files, good and bad", command)
    report.notes += [
        "labels and what djpeg -strict said are those of the table of the corpora; a label is what"
        " decoders say, not the truth",
        "a file is in scope where its process is: `unsupported` is neither accepted nor refused",
        f"{len(result.not_argued())} files whose argument is missing",
    ]
    _add_good_files(report, result)
    _add_libjpeg(report, files, arguments)
    _add_rejections(report, result.rejections, arguments)
    _add_times(report, [f for f in files if not is_good(f)])
    report.data = {
        "files": [
            {
                "file": f.name,
                "label": f.label,
                "sof": f.sof,
                "family": f.verdict.family,
                "code": f.verdict.code,
                "clause": f.verdict.clause,
                "element": f.verdict.element,
                "offset": f.verdict.offset,
                "bit": f.verdict.bit,
                "djpeg": f.djpeg_message,
                "reason": f.djpeg_reason,
                "milliseconds": 1000 * f.seconds,
            }
            for f in files
        ],
        "not_argued": [[f.name, f.verdict.code] for f in result.not_argued()],
    }
    return report


def _add_good_files(report: Report, result: CorporaResult) -> None:
    groups: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for f in result.files:
        if is_good(f):
            groups[f.label, f.sof][_outcome(f)] += 1
    report.add_table(
        "Files that decoders accept, or that were built to be valid",
        ["label and process", "files", "accepted", "refused by a named rule", "unsupported"],
        [
            [
                f"{label}, {sof or 'no frame'}",
                str(counts.total()),
                *(str(counts[name]) for name in ("accepted", "refused", "unsupported")),
            ]
            for (label, sof), counts in sorted(groups.items())
        ],
    )
    refused = [f for f in result.good() if not f.verdict.valid]
    report.add_table(
        f"Of these in scope: {len(result.good())} files, {len(refused)} refused",
        ["file", "code", "clause", "place", "bytes", "because"],
        [_argued(f, result.arguments) for f in refused],
    )


def _add_libjpeg(report: Report, files: Sequence[Judged], arguments: Arguments) -> None:
    groups: dict[str, Counter[str]] = defaultdict(Counter)
    for f in files:
        if f.djpeg_reason:
            groups[f.djpeg_reason][_outcome(f)] += 1
    order = sorted(groups, key=lambda reason: (reason != T81, -groups[reason].total()))
    report.add_table(
        "Files that libjpeg-turbo rejects or warns about, by its reason",
        ["reason", "files", "refused", "share refused", "unsupported", "accepted"],
        [
            [
                "T.81" if reason == T81 else f"its own: {reason}",
                str(groups[reason].total()),
                str(groups[reason]["refused"]),
                _percent(groups[reason]["refused"], groups[reason].total()),
                str(groups[reason]["unsupported"]),
                str(groups[reason]["accepted"]),
            ]
            for reason in order
        ],
    )
    accepted = [f for f in files if f.verdict.valid and f.djpeg_reason == T81]
    if accepted:
        report.add_table(
            "Accepted, though libjpeg-turbo names what may be a reason of T.81",
            ["file", "djpeg -strict", "because"],
            [[f.name, f.djpeg_message, _argument(f, arguments)] for f in accepted],
        )


def _add_rejections(report: Report, rejections: Sequence[Judged], arguments: Arguments) -> None:
    report.add_table(
        f"{len(rejections)} refused files, in turns over the codes, chosen by a seed",
        ["file", "code", "clause", "place", "bytes", "because"],
        [_argued(f, arguments) for f in rejections],
    )


def _add_times(report: Report, files: Sequence[Judged]) -> None:
    rows = []
    for name, least, most in (
        ("up to 10 kB", 0, 10_000),
        ("10 to 100 kB", 10_000, 100_000),
        ("100 kB to 1 MB", 100_000, _MB),
        ("1 MB and more", _MB, 1 << 62),
    ):
        group = [f for f in files if least <= f.n_bytes < most]
        if not group:
            continue
        times = [1000 * f.seconds for f in group]
        slowest = max(f.seconds / max(1.0, f.n_bytes / _MB) for f in group)
        rows.append(
            [
                name,
                str(len(group)),
                f"{statistics.median(times):.3f}",
                f"{max(times):.2f}",
                f"{1000 * slowest:.2f}",
            ]
        )
    report.add_table(
        f"Time to a verdict on files that are not labelled as good, ms (asked for: at most"
        f" {1000 * SLOW_SECONDS:.0f} a file and a MB)",
        ["size", "files", "median", "longest", "longest, a MB begun"],
        rows,
    )


def _outcome(f: Judged) -> str:
    if f.verdict.valid:
        return "accepted"
    return "refused" if f.is_refused else "unsupported"


def _argued(f: Judged, arguments: Arguments) -> list[str]:
    place = f"{f.verdict.element}, byte {f.verdict.offset}, bit {f.verdict.bit}"
    return [
        f.name,
        f.verdict.code,
        f.verdict.clause,
        place,
        f"`{f.context}`",
        _argument(f, arguments),
    ]


def _argument(f: Judged, arguments: Arguments) -> str:
    return arguments.get((f.name, f.verdict.code), _NOT_ARGUED)


def add_mutant_tables(
    report: Report, mutants: MutantReport, kinds: Sequence[str], readers: Mapping[str, str]
) -> None:
    """Who flagged how many of each kind, and what our check said.

    Args:
        report: gets the tables.
        mutants: what was counted.
        kinds: of faults, in the order of the rows.
        readers: beside our check: what each is called in the heading.
    """
    report.add_table(
        "Mutants flagged",
        ["fault", "mutants", "pycodec-lm check", *readers.values()],
        [
            [
                kind,
                str(mutants.n[kind]),
                *(
                    _percent(mutants.flagged[kind, reader], mutants.n[kind])
                    for reader in ("check", *readers)
                ),
            ]
            for kind in kinds
            if mutants.n[kind]
        ],
    )
    report.add_table(
        "What our check says, by fault",
        ["fault and code", "mutants"],
        [
            [f"{kind}: {code}", str(n)]
            for (kind, code), n in sorted(
                mutants.codes.items(), key=lambda item: (kinds.index(item[0][0]), -item[1])
            )
        ],
    )


def add_mutant_problems(report: Report, mutants: MutantReport) -> None:
    """A table of them, where there are any."""
    if mutants.problems:
        report.add_table(
            "Problems",
            ["mutant", "what happened"],
            [[str(m), " ".join(text.split()).replace("|", "/")] for m, text in mutants.problems],
        )


def mutant_report(mutants: MutantReport, n_files: int, command: str) -> Report:
    """Who flags which fault."""
    report = Report("One fault in a valid file: who notices", command)
    report.notes += [f"{name}: {text}" for name, text in decoder_versions().items()]
    report.notes += [
        f"{n_files} valid files; flagged: our check finds the file not valid or not at its end;"
        " djpeg -strict (stops at warnings), Pillow (warnings as errors) and ffmpeg -v error"
        " -err_detect explode exit with another code than 0 or say something",
        "a flipped, replaced or deleted byte can make another valid file: nobody can flag those",
        f"{len(mutants.problems)} problems: one of the last three faults that our check does not"
        " see, or a mutant that djpeg -strict flags for a reason of T.81 and our check does not",
    ]
    add_mutant_tables(report, mutants, [*KINDS], {name: _reader(name) for name in DECODERS})
    if mutants.n_own_reasons:
        report.add_table(
            "djpeg -strict had a reason of its own",
            ["reason", "mutants"],
            [[reason, str(n)] for reason, n in mutants.n_own_reasons.most_common()],
        )
    add_mutant_problems(report, mutants)
    report.data = {
        "mutants": dict(mutants.n),
        "always_wrong": list(ALWAYS_WRONG),
        "flagged": nested(mutants.flagged.items()),
        "codes": nested(mutants.codes.items()),
        "own_reasons": dict(mutants.n_own_reasons),
        "problems": [[str(mutant), text] for mutant, text in mutants.problems],
    }
    return report


def _reader(decoder: str) -> str:
    return {"djpeg": "djpeg -strict", "ffmpeg": "ffmpeg explode"}.get(decoder, decoder)


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %"


def nested(items: Iterable[tuple[tuple[str, str], int]]) -> dict[str, dict[str, int]]:
    """Counts of pairs as counts in counts."""
    out: dict[str, dict[str, int]] = defaultdict(dict)
    for (first, second), n in items:
        out[first][second] = n
    return dict(out)
