"""Checks whether a file is valid, and says where it is not."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ._files import read_file
from .errors import CodecLMError, UsageError

if TYPE_CHECKING:
    from typing_extensions import Buffer  # collections.abc has it from Python 3.12 on

__all__ = ["CONTAINERS", "Verdict", "check", "format_name", "h264_stream", "may_be_h264"]

# Beginnings by which a file that is not a JPEG can be called by its name.
# (format, offset, bytes there)
_SIGNATURES = (
    ("PNG", 0, b"\x89PNG\r\n\x1a\n"),
    ("GIF", 0, b"GIF8"),
    ("WebP", 8, b"WEBP"),
    ("BMP", 0, b"BM"),
    ("TIFF", 0, b"II*\x00"),
    ("TIFF", 0, b"MM\x00*"),
    ("JPEG 2000", 4, b"jP  \r\n\x87\n"),
    ("JPEG 2000", 0, b"\xff\x4f\xff\x51"),
    ("JPEG XL", 4, b"JXL \r\n\x87\n"),
    ("JPEG XL", 0, b"\xff\x0a"),
    ("MP4", 4, b"ftyp"),
    ("Matroska", 0, b"\x1a\x45\xdf\xa3"),
    ("PDF", 0, b"%PDF"),
)

# Whose H.264 stream is checked.
CONTAINERS = ("MP4", "Matroska")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check found; true in a condition iff the file is valid.

    Attributes:
        valid: whether the file is valid.
        format: "jpeg", "h264", "png" and so on; "unknown" where the beginning says nothing.
        family: "valid", "truncated" (a valid beginning that stops too early), "corrupt" (the
            standard forbids it) or "unsupported" (the standard allows it, this version does not).
        code: a name for the rule, from a closed list, such as "ac_run".
        clause: where the rule stands, such as "T.81 F.1.2.2"; empty where no standard is involved.
        element: the syntax element at which it broke; empty likewise.
        offset: the byte at which it broke, counted from 0; for a valid file the byte after its end.
        bit: the bit of that byte, 0 (most significant) to 7.
        message: one line for people, with all of this in it.
        notes: what is legal but worth knowing, such as bytes after the end; with `strict=False`,
            which rules the file breaks where decoders say nothing.
    """

    valid: bool
    format: str
    family: str
    code: str
    clause: str
    element: str
    offset: int
    bit: int
    message: str
    notes: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.valid


def check(
    source: str | os.PathLike[str] | Buffer,
    *,
    strict: bool = True,
    abbreviated: bool = False,
    tables: str | os.PathLike[str] | Buffer | None = None,
) -> Verdict:
    """Checks one file against its standard, bit by bit.

    Args:
        source: a path, or the bytes themselves (`bytes`, `memoryview`, a numpy array of uint8): a
            JPEG file, an H.264 byte stream (Annex B), or an MP4 or Matroska file with H.264 in it.
        strict: False goes on where decoders do so without a word (docs/rules-jpeg.md): the verdict
            is valid, and what was passed over stands in its notes.
        abbreviated: True accepts a JPEG stream without its tables (T.81 B.4, B.5).
        tables: for such a stream, the path or bytes of the tables (a stream of tables only).

    Returns:
        The verdict; a file that is not valid is not an exception.

    Raises:
        OSError: the file cannot be read.
        UsageError: `source` is a folder or larger than 256 MiB, or `tables` makes no sense.

    >>> check(b"\\xff\\xd8\\xff").family
    'truncated'
    """
    if tables is not None and not abbreviated:
        raise UsageError("tables are for abbreviated streams: give abbreviated=True too")
    data = _data_of(source)
    name = format_name(data)
    if name in CONTAINERS:
        return _check_container(name, data)
    if name == "H.264":
        return _check_h264(data)
    if name != "JPEG":
        return _not_a_jpeg(name, bytes(data[:8]))

    from . import _core

    outside = None if tables is None else _data_of(tables)
    notes = []
    if strict:
        status, end, n_trailing_bytes = _core.check_jpeg(
            data, abbreviated=abbreviated, tables=outside
        )
    else:
        status, end, n_trailing_bytes, passed_over = _core.check_jpeg_leniently(
            data, abbreviated=abbreviated, tables=outside
        )
        for note, n_times in passed_over:
            again = f", {n_times} times in a row" if n_times > 1 else ""
            notes.append(f"{note.message}{again}")
    if n_trailing_bytes:
        notes.append(f"{n_trailing_bytes} bytes after the end")
    return Verdict(
        valid=status.ok,
        format="jpeg",
        family=status.family,
        code=status.code,
        clause=status.clause,
        element=status.element,
        offset=end if status.ok else status.offset,
        bit=0 if status.ok else status.bit,
        message=status.message,
        notes=tuple(notes),
    )


def may_be_h264(data: Buffer) -> bool:
    """It begins as an H.264 byte stream does, or is a container that may hold one."""
    return format_name(data) in ("H.264", *CONTAINERS)


def h264_stream(data: Buffer) -> bytes:
    """The H.264 byte stream that `check` reads: the data, or what a container's packets make.

    Raises:
        CodecLMError: it is a container without such a stream.
    """
    if format_name(data) not in CONTAINERS:
        return bytes(data)
    from .codecs.avc import annex_b

    return annex_b(bytes(data))


def _check_container(name: str, data: memoryview) -> Verdict:
    try:
        stream = h264_stream(data)
    except CodecLMError as error:
        message = f"this is {name}, without an H.264 stream that can be taken out: {error} (byte 0)"
        return Verdict(False, _key(name), "unsupported", "format", "", "", 0, 0, message)
    note = "offsets count in the byte stream taken out of the container"
    return _check_h264(memoryview(stream), notes=(note,))


def _check_h264(data: memoryview, notes: tuple[str, ...] = ()) -> Verdict:
    from . import _core

    status, n_pictures = _core.check_h264(data)
    if n_pictures:
        notes = (*notes, f"{n_pictures} pictures")
    return Verdict(
        valid=status.ok,
        format="h264",
        family=status.family,
        code=status.code,
        clause=status.clause,
        element=status.element,
        offset=len(data) if status.ok else status.offset,
        bit=0 if status.ok else status.bit,
        message=status.message,
        notes=notes,
    )


def _data_of(source: str | os.PathLike[str] | Buffer) -> memoryview:
    if isinstance(source, str | os.PathLike):
        return memoryview(read_file(source))
    try:
        view = memoryview(source)
    except TypeError:
        raise UsageError(
            f"expected a path or bytes, not {type(source).__name__}: pass what read() gives"
        ) from None
    if not view.c_contiguous or view.itemsize != 1:
        raise UsageError("expected bytes that lie one after the other (uint8, C-contiguous)")
    # An empty view of several dimensions cannot be cast.
    return view.cast("B") if view.nbytes else memoryview(b"")


def format_name(data: Buffer) -> str:
    """Names the format by its first bytes; '' where they say nothing."""
    head = bytes(memoryview(data)[:32])
    for name, offset, signature in _SIGNATURES:
        if head[offset : offset + len(signature)] == signature:
            return name
    # T.81 B.1.1.2: a marker may be preceded by any number of FF.
    after_fill = head.lstrip(b"\xff")
    if len(after_fill) < len(head) and after_fill[:1] in (b"", b"\xd8"):
        return "JPEG"
    # H.264 Annex B: a start code, then a NAL unit whose forbidden_zero_bit is 0.
    zeros, start, nal_unit = head.partition(b"\x00\x00\x01")
    if start and not zeros.strip(b"\x00") and nal_unit[:1] < b"\x80":
        return "H.264"
    return ""


def _not_a_jpeg(name: str, head: bytes) -> Verdict:
    if not head:
        family, code, message = "truncated", "empty", "the file is empty"
    elif name:
        family, code = "unsupported", "format"
        message = f"this is {name}; only JPEG and H.264 can be checked"
    else:
        family, code = "unsupported", "format"
        message = (
            f"this is neither JPEG nor H.264: it starts with {head.hex(' ').upper()}, a JPEG with "
            "FF D8, an H.264 byte stream with 00 00 01"
        )
    return Verdict(False, _key(name), family, code, "", "", 0, 0, f"{message} (byte 0)")


def _key(name: str) -> str:
    """`Verdict.format` of a format's name."""
    return name.lower().replace(" ", "").replace(".", "").replace("-", "") or "unknown"
