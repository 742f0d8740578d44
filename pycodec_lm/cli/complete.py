"""`pycodec-lm complete`: a truncated file, ended."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from .._files import MAX_FILE_BYTES, read_file, write_file
from ..check import check
from ._common import fail, print_json, printable, read_input

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .._core import AvcCursor, JpegCursor, _Trace

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds this command to the parser."""
    parser = subparsers.add_parser(
        "complete",
        help="end a truncated file so that it is valid",
        description="Writes the bytes of a truncated JPEG or H.264 byte stream and the shortest"
        " known valid ending after them. What is missing of a picture comes out flat, in a clip as"
        " it was in the picture before.",
        epilog="Exit code: 0 written, 1 the file breaks before its end and nothing is written,"
        " 2 misuse.",
    )
    parser.add_argument("prefix", metavar="PREFIX", help="a file, or - for standard input")
    parser.add_argument(
        "-o", "--output", required=True, metavar="FILE", help="where to write the whole file"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument(
        "--abbreviated", action="store_true", help="accept a JPEG stream without its tables"
    )
    parser.add_argument(
        "--tables", metavar="FILE", help="the tables of abbreviated streams (implies that option)"
    )
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Completes the file named."""
    output = Path(args.output)
    if not output.parent.is_dir():
        fail(f"there is no folder {output.parent} to write {output.name} into")
    tables = read_file(args.tables) if args.tables else None
    prefix, name = read_input(args.prefix)
    abbreviated = args.abbreviated or tables is not None

    verdict = check(prefix, abbreviated=abbreviated, tables=tables)
    if not verdict.valid and verdict.family != "truncated":
        hopeless = "; no ending makes it valid" if verdict.family == "corrupt" else ""
        fail(f"{printable(name)}: {verdict.message}{hopeless}", exit_code=1)
    is_clip = verdict.format == "h264"
    ending = b""
    if not verdict.valid:
        cursors = _h264_cursors() if is_clip else _jpeg_cursors(abbreviated, tables)
        ending = _ending(prefix, name, cursors)
    whole = prefix + ending
    counts, said = (
        _count_pictures(whole) if is_clip else _count_mcus(prefix, whole, abbreviated, tables)
    )
    write_file(output, whole)

    if args.json:
        print_json(
            {
                "file": str(output),
                "was_complete": verdict.valid,
                "n_bytes_kept": len(prefix),
                "n_bytes_added": len(ending),
                **counts,
                "notes": list(verdict.notes),
            }
        )
    elif verdict.valid:
        notes = "".join(f"; note: {note}" for note in verdict.notes)
        print(f"{printable(str(output))}: {len(prefix):,} bytes, already complete{notes}")
    else:
        print(
            f"{printable(str(output))}: {len(prefix):,} bytes kept, {len(ending):,} added; {said}"
        )
    return 0


def _jpeg_cursors(abbreviated: bool, tables: bytes | None) -> Iterator[JpegCursor]:
    """With an ending that no decoder complains of, where there is one; then any."""
    from .._core import JpegCursor
    from ..grammar import JpegGrammar

    for portable in (True, False):
        yield JpegCursor(JpegGrammar(portable=portable, abbreviated=abbreviated, tables=tables))


def _h264_cursors() -> Iterator[AvcCursor]:
    from .._core import AvcCursor
    from ..avc_grammar import AvcGrammar

    for portable in (True, False):
        yield AvcCursor(AvcGrammar(portable=portable))


def _ending(prefix: bytes, name: str, cursors: Iterable[JpegCursor | AvcCursor]) -> bytes:
    """The ending of the first of the cursors that takes the prefix."""
    cursor = next((cursor for cursor in cursors if cursor.push(prefix)), None)
    if cursor is None:
        fail(f"{printable(name)} is a container: complete takes the byte stream in it", exit_code=1)
    n_bytes = cursor.bytes_to_complete()
    if len(prefix) + n_bytes > MAX_FILE_BYTES:
        fail(
            f"{printable(name)}: the shortest ending known has {n_bytes:,} bytes, which would make"
            f" a file of more than {MAX_FILE_BYTES >> 20} MiB",
            exit_code=1,
        )
    return cursor.complete(n_bytes)


def _count_pictures(whole: bytes) -> tuple[dict[str, int], str]:
    from .._core import check_h264

    _, n_pictures = check_h264(whole)
    return {"n_pictures": n_pictures}, f"{n_pictures:,} pictures in all"


def _count_mcus(
    prefix: bytes, whole: bytes, abbreviated: bool, tables: bytes | None
) -> tuple[dict[str, int], str]:
    """How many MCUs of the whole file are not whole in the prefix, and how many there are."""
    from .._core import trace_jpeg

    def trace(data: bytes) -> _Trace:
        return trace_jpeg(
            data, abbreviated=abbreviated, tables=tables, max_fields=0, max_mcus=0, max_symbols=0
        )

    begun = trace(prefix)
    scans = begun["scans"]
    n_read = sum(scan["n_mcus_read"] for scan in scans)
    n_coded = sum(len(scan["components"]) for scan in scans)
    # The ending has scans of its own where components are left; else it need not be read.
    if begun["frame"] is None or n_coded < len(begun["frame"]["components"]):
        scans = trace(whole)["scans"]
    n_mcus = sum(scan["n_mcus"] for scan in scans)
    n_filled = n_mcus - n_read
    counts = {"n_mcus": n_mcus, "n_mcus_filled": n_filled}
    return counts, f"{n_filled:,} of {n_mcus:,} MCUs filled in"
