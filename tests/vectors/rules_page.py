"""Writes docs/rules-jpeg.md: each rule of T.81, the vectors that keep and break it, and what
decoders do with them. In a checkout, with djpeg and ffmpeg on the PATH:

python -m tests.vectors.rules_page
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

from pycodec_lm import _core
from pycodec_lm.bench.decoders import decoder_versions

from .decoders import DECODERS, ask_all
from .vectors import Vector, all_vectors

PAGE = Path(__file__).parents[2] / "docs" / "rules-jpeg.md"
_COMMAND = "python -m tests.vectors.rules_page"
_HEAD = """\
# The rules of JPEG, and who checks them

Made by `{command}`; do not edit. Each row is one file of
`tests/vectors/jpeg`, written there as syntax elements; a rule and its clause in ITU-T T.81 stand
before the first of its files. A file of the upper table of a chapter breaks this rule and no other,
and `pycodec_lm.check` gives the code at the element named; a file of the lower table is valid, and
`check` accepts it. Files of other processes are legal and refused as unsupported.

"Lenient" says whether `check(strict=False)` reads such a file and notes what is wrong, which it
means to do where all three decoders read on without a word, or refuses it.

What decoders do is from a run, not from their documentation: `djpeg -strict` (a warning is what
djpeg without that option goes on after), `ffmpeg -err_detect explode -xerror`, and Pillow with
`load()`. Messages are shortened. Abbreviated streams are given to decoders as they are, without
the tables they need.

{versions}

{counts}
"""


def versions_line() -> str:
    """The decoders of this machine, in a line."""
    versions = decoder_versions()
    return "; ".join(
        f"{name}: {versions[name].split(' Copyright')[0].strip()}" for name in DECODERS
    )


def render(vectors: Sequence[Vector], answers: Sequence[Sequence[str]], versions: str) -> str:
    """The page. `answers` has a row for each vector, with what each of DECODERS said."""
    said = dict(zip((vector.name for vector in vectors), answers, strict=True))
    head = _HEAD.format(command=_COMMAND, versions=versions, counts=_counts(vectors, said))
    lines = head.splitlines()
    for chapter, group in itertools.groupby(vectors, key=lambda vector: vector.rule.chapter):
        lines += ["", f"## {chapter}"]
        rows = list(group)
        broken = [vector for vector in rows if vector.expected is not None]
        kept = [vector for vector in rows if vector.expected is None]
        lines += [*_table("broken", broken, said), *_table("kept", kept, said)]
    return "\n".join(lines) + "\n"


def columns(vector: Vector, before: Vector | None) -> list[str]:
    """The cells of a vector's row, without what decoders said; `before` has the row above."""
    is_first = before is None or before.rule != vector.rule
    cells = [vector.rule.clause, vector.rule.says] if is_first else ["", ""]
    cells.append(vector.name)
    if vector.expected is not None:
        e = vector.expected
        is_passed_over = bool(_core.check_jpeg_leniently(vector.data, **vector.options)[0])
        cells += [
            f"`{e.code}`",
            f"{e.element}, byte {e.byte}, bit {e.bit}",
            "noted" if is_passed_over else "refused",
        ]
    return [cell.replace("|", "\\|") for cell in cells]


def _table(kind: str, vectors: Sequence[Vector], said: dict[str, Sequence[str]]) -> Iterator[str]:
    if not vectors:
        return
    names = ["clause", "rule"]
    names += (
        ["the file that breaks it", "code", "where", "lenient"]
        if kind == "broken"
        else ["a valid file"]
    )
    names += DECODERS
    yield ""
    yield f"| {' | '.join(names)} |"
    yield "|" + "---|" * len(names)
    for before, vector in itertools.pairwise([None, *vectors]):
        assert vector is not None
        answers = [text.replace("|", "\\|") for text in said[vector.name]]
        yield f"| {' | '.join([*columns(vector, before), *answers])} |"


def _counts(vectors: Sequence[Vector], said: dict[str, Sequence[str]]) -> str:
    groups: dict[str, list[Sequence[str]]] = {}
    for vector in vectors:
        group = "valid files"
        if vector.expected is not None:
            status, _, _ = _core.check_jpeg(vector.data, **vector.options)
            is_legal = status.family == "unsupported"
            group = "legal files that `check` does not read" if is_legal else "broken files"
        groups.setdefault(group, []).append(said[vector.name])
    lines = [f"| | {' | '.join(DECODERS)} |", "|---|" + "---|" * len(DECODERS)]
    for group, rows in sorted(groups.items()):
        cells = []
        for i in range(len(DECODERS)):
            words = [row[i].partition(":")[0] for row in rows]
            cells.append(f"{words.count('error')} errors, {words.count('warning')} warnings")
        lines.append(f"| {len(rows)} {group} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Asks the decoders and writes the page."""
    vectors = all_vectors()
    text = render(vectors, ask_all([vector.data for vector in vectors]), versions_line())
    new = PAGE.with_suffix(".new")
    new.write_text(text)
    new.replace(PAGE)


if __name__ == "__main__":
    main()
