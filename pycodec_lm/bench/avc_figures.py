"""Evidence on H.264 as reports: `pycodec-lm bench corpora`, `walks --of avc` and `mutants`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from .avc_corpora import AvcCorporaResult, AvcJudged
from .avc_decoders import AvcDecoders
from .avc_mutants import AVC_ALWAYS_WRONG, AVC_MUTANT_ROWS
from .avc_walk_forms import FRAMES, HEIGHT, WALK_FORMS, WIDTH
from .avc_walks import AVC_WALK_BUDGETS, AVC_WALK_KINDS, FIELD_KINDS, AvcWalkReport
from .evidence_figures import add_mutant_problems, add_mutant_tables, nested
from .measure import Report
from .mutants import MutantReport

__all__ = ["avc_corpora_report", "avc_mutant_report", "avc_walk_report"]

_OUTCOMES = ("accepted", "out of scope", "refused")
_MAX_MESSAGE = 100


def avc_corpora_report(result: AvcCorporaResult, command: str) -> Report:
    """Every stream: our verdict beside what decoders said."""
    files = result.files
    report = Report("Real H.264 streams, good and bad", command)
    report.notes += [
        "labels and what libavcodec (ffmpeg) and openh264 said are those of the table of the"
        " corpora; a label is what decoders say, not the truth",
        "accepted: valid to the last byte; out of scope: the first thing that is not in order is"
        " allowed by the standard, and not supported",
        f"{len(result.not_argued())} streams whose argument is missing",
    ]
    groups: dict[str, Counter[str]] = defaultdict(Counter)
    for f in files:
        groups[f.label][f.outcome] += 1
    report.add_table(
        "Verdicts, by label",
        ["label", "streams", *_OUTCOMES],
        [
            [label, str(counts.total()), *(str(counts[name]) for name in _OUTCOMES)]
            for label, counts in sorted(groups.items())
        ],
    )
    differing = [f for f in files if f.differs]
    report.add_table(
        "Refused though some decoder is silent, or accepted though one is not"
        f" or counts other pictures: {len(differing)}",
        ["stream", "label", "verdict", "bytes", "libavcodec", "openh264", "because"],
        [
            [
                f.name,
                f.label,
                _verdict(f),
                f"`{f.context}`" if f.context else "",
                *_decoders(f),
                result.arguments.get((f.name, f.status.code), "(nobody has argued this yet)"),
            ]
            for f in differing
        ],
    )
    for outcome in _OUTCOMES:
        rows = [f for f in files if f.outcome == outcome]
        report.add_table(
            f"Streams {outcome}: {len(rows)}",
            [
                "stream",
                "label",
                "kind",
                "bytes",
                "ms",
                "pictures",
                "libavcodec's",
                "verdict",
                "libavcodec",
                "openh264",
            ],
            [
                [
                    f.name,
                    f.label,
                    f.kind,
                    str(f.n_bytes),
                    f"{1000 * f.seconds:.1f}",
                    str(f.n_pictures),
                    f.n_frames,
                    _verdict(f),
                    *_decoders(f),
                ]
                for f in rows
            ],
        )
    report.data = {
        "files": [
            {
                "file": f.name,
                "label": f.label,
                "outcome": f.outcome,
                "code": f.status.code,
                "clause": f.status.clause,
                "element": f.status.element,
                "offset": f.status.offset,
                "bit": f.status.bit,
                "libavcodec": f.libavcodec,
                "openh264": f.openh264,
                "milliseconds": 1000 * f.seconds,
            }
            for f in files
        ],
        "not_argued": [[f.name, f.status.code] for f in result.not_argued()],
    }
    return report


def _verdict(f: AvcJudged) -> str:
    status = f.status
    if status.ok:
        return "valid"
    place = f"byte {status.offset}, bit {status.bit}"
    return f"{status.code} ({status.clause}), {status.element}, {place}"


def _decoders(f: AvcJudged) -> list[str]:
    said = f.libavcodec.replace("|", "/")
    if len(said) > _MAX_MESSAGE:
        said = said[:_MAX_MESSAGE].rstrip() + " ..."
    return [said or "clean", "clean" if f.openh264 == "0x0" else f.openh264]


def avc_walk_report(walks: AvcWalkReport, decoders: AvcDecoders, command: str) -> Report:
    """What the walks reached, and what went wrong."""
    n_done = len(walks.n_done)
    report = Report("Random walks over the masks of H.264, read by real decoders", command)
    report.notes += decoders.versions()
    report.notes += [
        f"picture, macroblock: AvcGrammar.avc_lm({WIDTH}, {HEIGHT}, {FRAMES}), slices of so much;"
        " CABAC: the same in high profile;"
        f" CABAC with B: AvcGrammar(width={WIDTH}, height={HEIGHT}, profile='high'),"
        " behind parameter sets of a seed, three grey pictures and the first bytes of a B slice",
        "vocabularies: bytes, and bytes with pieces of 2 to 8 bytes of encoded clips",
        f"each stream: valid in our check, with {FRAMES} pictures, if it has no B slices; ffmpeg -v"
        " error -err_detect explode -xerror exits with 0 and says nothing, ffprobe -count_frames"
        " counts as many;"
        " openh264, its concealment off, has no error bit and gives as many",
        "ended by the budget: in some step it forbade what would have been chosen without it; each"
        " other walk ended in time by itself",
        "streams with B slices have no given number of pictures: their budgets are those of CABAC,"
        " and they stop where the budget leaves nothing else",
        "few walks of slices of one macroblock have more than the least budget: they are long",
        "by CABAC no byte begins inside trailing bits: the code ends with rbsp_stop_one_bit",
        f"{len(walks.problems)} problems",
    ]
    report.add_table(
        f"Walks, {n_done}",
        ["form and kind of walk", *(f"budget {b}x" for b in AVC_WALK_BUDGETS), "bytes", "pieces"],
        [
            [
                f"{form}, {kind}",
                *(str(walks.n_walks(form=form, kind=kind, budget=b)) for b in AVC_WALK_BUDGETS),
                *(
                    str(walks.n_walks(form=form, kind=kind, vocabulary=name))
                    for name in ("bytes", "pieces")
                ),
            ]
            for form in WALK_FORMS
            for kind in AVC_WALK_KINDS
        ],
    )
    forms = [*WALK_FORMS]
    keys = sorted(walks.n_tokens, key=lambda key: (forms.index(key[0]), key[1]))
    report.add_table(
        "How they ended",
        ["form, budget", "walks", "tokens", "bytes", "ended by the budget", "share"],
        [
            [
                f"{form}, {budget}x",
                str(n := walks.n_walks(form=form, budget=budget)),
                str(walks.n_tokens[form, budget]),
                str(walks.n_bytes[form, budget]),
                str(walks.n_vetoed[form, budget]),
                f"{100 * walks.n_vetoed[form, budget] / n:.0f} %",
            ]
            for form, budget in keys
        ],
    )
    report.add_table(
        "Slices in them, the grey pictures of prompts included",
        ["form", "I", "P", "B"],
        [[form, *(str(walks.n_slices[form, kind]) for kind in "IPB")] for form in forms],
    )
    report.add_table(
        "Walks in which some byte begins inside a field of a kind; behind a semicolon, of CABAC",
        ["kind of field", *forms],
        [
            [name, *(str(walks.reached[form, kind]) for form in forms)]
            for kind, name in FIELD_KINDS.items()
        ],
    )
    if walks.problems:
        rows = [[str(case), " ".join(text.split())] for case, text in walks.problems]
        report.add_table("Problems", ["walk", "what happened"], _without_bars(rows))
    report.data = {
        "walks": n_done,
        "ended_by_budget": {f"{s}, {b}x": n for (s, b), n in walks.n_vetoed.items()},
        "problems": [[str(case), text] for case, text in walks.problems],
    }
    return report


def _without_bars(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    return [[cell.replace("|", "/") for cell in row] for row in rows]


def avc_mutant_report(
    mutants: MutantReport, n_files: int, n_left_out: int, decoders: AvcDecoders, command: str
) -> Report:
    """Who flags which fault."""
    report = Report("One fault in a valid H.264 stream: who notices", command)
    report.notes += decoders.versions()
    report.notes += [
        f"{n_files} valid streams; {n_left_out} others of the folder are out of scope",
        "flagged: our check finds the stream not valid; ffmpeg -v error -err_detect explode -xerror"
        " exits with another code than 0 or says something; openh264, its concealment off, has an"
        " error bit",
        "a flipped or replaced byte can make another valid stream: nobody can flag those",
        f"{len(mutants.problems)} problems: a cut that our check does not see",
    ]
    readers = {"libavcodec": "libavcodec explode", "openh264": "openh264"}
    names = {name: readers[name] for name in decoders.names()}
    add_mutant_tables(report, mutants, AVC_MUTANT_ROWS, names)
    if mutants.only_others:
        rows = [[str(m), " ".join(text.split())] for m, text in mutants.only_others]
        report.add_table(
            "Valid in our check, while a decoder complains",
            ["mutant", "what it says"],
            _without_bars(rows),
        )
    add_mutant_problems(report, mutants)
    report.data = {
        "mutants": dict(mutants.n),
        "always_wrong": list(AVC_ALWAYS_WRONG),
        "flagged": nested(mutants.flagged.items()),
        "codes": nested(mutants.codes.items()),
        "problems": [[str(mutant), text] for mutant, text in mutants.problems],
    }
    return report
