"""Verdicts on a folder of H.264 streams, beside what libavcodec and openh264 said about them.

As with JPEG files, a person argues by clause where verdicts differ: corpora_arguments_h264.toml.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .._core import Status, check_h264
from .corpora import Arguments, bytes_around, read_arguments, read_file_of, read_table

__all__ = [
    "AvcCorporaResult",
    "AvcJudged",
    "is_h264_table",
    "judge_avc",
    "read_avc_arguments",
    "read_avc_table",
]

_ARGUMENTS = Path(__file__).with_name("corpora_arguments_h264.toml")
_COLUMNS = (
    "folder",
    "file",
    "label",
    "profile",
    "frames",
    "entropy",
    "slice_types",
    "ffmpeg_rc",
    "openh264_errbits",
    "msg",
)
# Decoded to what the conformance suite has, or by both decoders without a word.
_GOOD_LABELS = ("jvt_conformance_md5_ok", "clean_ffmpeg_and_openh264")
_BAD_LABEL = "ffmpeg_error"


@dataclass(frozen=True)
class AvcJudged:
    """A stream: what the table of the corpora says, and our verdict."""

    name: str
    label: str
    kind: str  # profile, entropy coder and slice types, as the table has them
    libavcodec: str  # "" where it is silent
    openh264: str  # error bits, "0x0" where it is clean
    n_frames: str  # of libavcodec
    status: Status
    n_pictures: int
    n_bytes: int
    context: str  # bytes around the place, hexadecimal
    seconds: float

    @property
    def is_good(self) -> bool:
        """The label says that the stream is valid."""
        return self.label in _GOOD_LABELS

    @property
    def outcome(self) -> str:
        """Accepted, refused, or out of scope."""
        if self.status.ok:
            return "accepted"
        return "out of scope" if self.status.family == "unsupported" else "refused"

    @property
    def differs(self) -> bool:
        """Refused though a decoder is silent; or accepted though the label calls it broken, or with
        another number of pictures."""
        if self.label == _BAD_LABEL:
            return self.outcome == "accepted"
        if self.outcome == "accepted":
            return self.n_frames != str(self.n_pictures)
        return self.outcome == "refused"


@dataclass
class AvcCorporaResult:
    """Verdicts on all streams."""

    files: list[AvcJudged] = field(default_factory=list)
    arguments: Arguments = field(default_factory=dict)

    def not_argued(self) -> list[AvcJudged]:
        """What differs, and is missing in the file of arguments."""
        return [
            f for f in self.files if f.differs and (f.name, f.status.code) not in self.arguments
        ]


def read_avc_arguments() -> dict[tuple[str, str], str]:
    """The sentences, by file and code; those on accepted streams have the code "ok"."""
    return read_arguments(_ARGUMENTS)


def is_h264_table(table: Path) -> bool:
    """Whether a table of files is one of H.264 streams, by its columns.

    Raises:
        UsageError: the table is not there.
    """
    return "openh264_errbits" in read_table(table, ("file",))[0]


def read_avc_table(table: Path) -> list[dict[str, str]]:
    """The rows of a table of H.264 streams (h264.tsv).

    Raises:
        UsageError: the table is not there, or lacks a column.
    """
    return read_table(table, _COLUMNS)


def judge_avc(folder: Path, row: Mapping[str, str]) -> AvcJudged:
    """Checks the stream of a row.

    Args:
        folder: that of the table.
        row: of `read_avc_table`.

    Raises:
        CodecLMError: the file is not there.
    """
    data = read_file_of(folder, row)
    start = time.perf_counter()
    status, n_pictures = check_h264(data)
    seconds = time.perf_counter() - start
    silent = row["ffmpeg_rc"] == "0" and row["label"] != _BAD_LABEL
    return AvcJudged(
        name=row["file"],
        label=row["label"],
        kind=" ".join(row[name] for name in ("profile", "entropy", "slice_types") if row[name]),
        libavcodec="" if silent else row["msg"] or f"exit code {row['ffmpeg_rc']}",
        openh264=row["openh264_errbits"],
        n_frames=row["frames"],
        status=status,
        n_pictures=n_pictures,
        n_bytes=len(data),
        context="" if status.ok else bytes_around(data, status.offset),
        seconds=seconds,
    )
