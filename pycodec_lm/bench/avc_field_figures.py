"""The field walks of H.264 as a report: `pycodec-lm bench walks --of avc-fields`."""

from __future__ import annotations

from .avc_decoders import AvcDecoders
from .avc_field_coverage import AVC_SCOPE
from .avc_field_walks import AvcFieldReport
from .measure import Report

__all__ = ["avc_field_report"]


def avc_field_report(walks: AvcFieldReport, decoders: AvcDecoders, command: str) -> Report:
    """What the walks reached, and what went wrong."""
    report = Report("A legal value for every field of H.264, read by real decoders", command)
    report.notes += decoders.versions()
    report.notes += [
        "each stream: valid in our check, whole, byte by byte and in pieces of 7 bytes; 400 of its"
        " bytes are in the mask of their place; at some 80 places every byte outside the mask is"
        " refused, with a code",
        "portable streams: libavcodec (-err_detect explode -xerror) and openh264, its concealment"
        " off, say nothing and count the same pictures",
        f"motion: {walks.n_vectors} vectors are the same in libavcodec's export_mvs (of parts"
        " smaller than 8x8 it exports the first of each quarter)",
        f"{len(walks.problems)} problems",
    ]
    report.add_table(
        "Walks",
        ["language", "walks", "pictures", "fields", "bytes"],
        [
            [
                "portable" if portable else "standard",
                *(
                    str(counter[portable])
                    for counter in (walks.n_done, walks.n_pictures, walks.n_fields, walks.n_bytes)
                ),
            ]
            for portable in (True, False)
        ],
    )
    coverage = walks.coverage
    report.add_table(
        "What was reached",
        ["group", "values", "reached", "fewest walks"],
        [
            [
                group,
                str(len(values)),
                str(coverage.n_reached(group)),
                str(min(coverage.walks[group][value] for value in values)),
            ]
            for group, values in AVC_SCOPE.items()
        ],
    )
    if missing := coverage.missing():
        report.add_table("Not reached", ["group", "value"], [list(pair) for pair in missing])
    report.add_table(
        "Error codes of wrong bytes, in walks",
        ["code", "walks"],
        [[code, str(coverage.walks["error code"][code])] for code in AVC_SCOPE["error code"]],
    )
    if walks.problems:
        rows = [[str(case), " ".join(text.split())] for case, text in walks.problems]
        report.add_table(
            "Problems",
            ["walk", "what happened"],
            [[cell.replace("|", "/") for cell in row] for row in rows],
        )
    report.data = {
        "walks": sum(walks.n_done.values()),
        "vectors": walks.n_vectors,
        "missing": [list(pair) for pair in coverage.missing()],
        "problems": [[str(case), text] for case, text in walks.problems],
    }
    return report
