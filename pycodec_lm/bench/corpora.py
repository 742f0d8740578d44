"""Verdicts on a folder of real files, good and bad, beside what decoders said about them.

Where a verdict differs from what decoders say, a person has argued by clause: one sentence for each
such file stands in corpora_arguments.toml, under the file's name and the code that it argues for.
"""

from __future__ import annotations

import csv
import hashlib
import time
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..check import Verdict, check
from ..errors import CodecLMError, UsageError
from .libjpeg_reasons import T81, reason_of

__all__ = [
    "Arguments",
    "CorporaResult",
    "Judged",
    "bytes_around",
    "choose_rejections",
    "first_sof",
    "is_good",
    "judge",
    "read_arguments",
    "read_file_of",
    "read_table",
]

_COLUMNS = ("folder", "file", "label", "djpeg_strict_rc", "djpeg_msg")
_ARGUMENTS = Path(__file__).with_name("corpora_arguments.toml")
_GOOD_LABELS = ("accept", "valid_by_construction")
_SOF_MARKERS = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}) | {0xF7}
_NO_LENGTH = frozenset({0x01, *range(0xD0, 0xDA)})


@dataclass(frozen=True)
class Judged:
    """A file: what the table of the corpora says, and our verdict."""

    name: str
    label: str
    sof: str  # "SOF0" and so on, of the file itself; "" where there is no frame
    djpeg_reason: str  # "" where djpeg -strict is silent
    djpeg_message: str
    verdict: Verdict
    n_bytes: int
    context: str  # bytes around the place, hexadecimal
    seconds: float

    @property
    def is_refused(self) -> bool:
        """Not valid, for another reason than that the process is not supported."""
        return self.verdict.family in ("corrupt", "truncated")


# (file, code): one sentence.
Arguments = Mapping[tuple[str, str], str]


@dataclass
class CorporaResult:
    """Verdicts on all files, and what nobody has argued for yet."""

    files: list[Judged] = field(default_factory=list)
    rejections: list[Judged] = field(default_factory=list)
    arguments: Arguments = field(default_factory=dict)

    def good(self) -> list[Judged]:
        """Files that decoders accept, or that were built to be valid, of a process in scope."""
        return [f for f in self.files if is_good(f) and f.verdict.family != "unsupported"]

    def differing(self) -> list[Judged]:
        """Files on which we and the decoders differ: each needs an argument."""
        refused = [f for f in self.good() if not f.verdict.valid]
        accepted = [f for f in self.files if f.verdict.valid and f.djpeg_reason == T81]
        return [*refused, *accepted]

    def not_argued(self) -> list[Judged]:
        """What is missing in the file of arguments."""
        return [
            f
            for f in [*self.differing(), *self.rejections]
            if (f.name, f.verdict.code) not in self.arguments
        ]


def is_good(judged: Judged) -> bool:
    """The label says that the file is valid."""
    return judged.label.startswith(_GOOD_LABELS)


def read_arguments(path: Path = _ARGUMENTS) -> dict[tuple[str, str], str]:
    """The sentences, by file and code."""
    with path.open("rb") as file:
        rows = tomllib.load(file)
    return {(row["file"], row["code"]): row["because"] for row in rows["argument"]}


def read_table(table: Path, columns: Iterable[str] = _COLUMNS) -> list[dict[str, str]]:
    """The rows of a table of files.

    Args:
        table: such as jpeg.tsv.
        columns: that it must have; by default those of JPEG files.

    Raises:
        UsageError: the table is not there, or lacks a column.
    """
    try:
        with table.open(newline="") as lines:
            rows = [*csv.DictReader(lines, delimiter="\t")]
    except OSError as error:
        raise UsageError(f"{table} cannot be read: {error.strerror}") from None
    needed = sorted(columns)
    if not rows or not {*needed} <= rows[0].keys():
        raise UsageError(f"{table} must have rows with the columns {', '.join(needed)}")
    return rows


def read_file_of(folder: Path, row: Mapping[str, str]) -> bytes:
    """The file of a row.

    Args:
        folder: that of the table.
        row: of `read_table`.

    Raises:
        CodecLMError: the file is not there.
    """
    path = folder / row["folder"] / row["file"]
    try:
        return path.read_bytes()
    except OSError as error:
        raise CodecLMError(f"{path} cannot be read: {error.strerror}") from None


def judge(folder: Path, row: Mapping[str, str]) -> Judged:
    """Checks the file of a row.

    Args:
        folder, row: as in `read_file_of`.

    Raises:
        CodecLMError: the file is not there.
    """
    return _judge(row, read_file_of(folder, row))


def _judge(row: Mapping[str, str], data: bytes) -> Judged:
    start = time.perf_counter()
    verdict = check(data)
    seconds = time.perf_counter() - start
    silent = row["djpeg_strict_rc"] == "0" and not row["djpeg_msg"]
    return Judged(
        name=row["file"],
        label=row["label"],
        sof=first_sof(data),
        djpeg_reason="" if silent else reason_of(row["djpeg_msg"]),
        djpeg_message=row["djpeg_msg"],
        verdict=verdict,
        n_bytes=len(data),
        context="" if verdict.valid else bytes_around(data, verdict.offset),
        seconds=seconds,
    )


def first_sof(data: bytes) -> str:
    """The frame header that comes first, "SOF2"; "" where no segment is one."""
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return ""
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker in _SOF_MARKERS:
            return "SOF55" if marker == 0xF7 else f"SOF{marker - 0xC0}"
        elif marker in _NO_LENGTH:
            at += 2
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return ""


def bytes_around(data: bytes, at: int, n: int = 6) -> str:
    """The byte at a place and the n before and behind it, hexadecimal."""
    before = data[max(0, at - n) : at].hex(" ")
    here = data[at : at + 1].hex() or "end"
    after = data[at + 1 : at + 1 + n].hex(" ")
    return " ".join(part for part in (before, f"[{here}]", after) if part)


def choose_rejections(files: Iterable[Judged], n: int, seed: int) -> list[Judged]:
    """n refused files, in turns over the codes; a file's place hangs on its name and the seed."""
    by_code: dict[str, list[Judged]] = defaultdict(list)
    for judged in files:
        if judged.is_refused:
            by_code[judged.verdict.code].append(judged)
    for group in by_code.values():
        group.sort(key=lambda f: hashlib.sha256(f"{seed} {f.name}".encode()).digest())
    chosen: list[Judged] = []
    turn = 0
    while len(chosen) < n and any(turn < len(group) for group in by_code.values()):
        chosen += [group[turn] for _, group in sorted(by_code.items()) if turn < len(group)]
        turn += 1
    return chosen[:n]
