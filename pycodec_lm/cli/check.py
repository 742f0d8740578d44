"""`pycodec-lm check`: one line a file."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from .._files import read_file, read_stream
from ..check import Verdict, check
from ..errors import UsageError
from ._common import print_json, printable

__all__ = ["add_parser", "run"]

_NAMES = {"jpeg": "JPEG", "h264": "H.264"}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds this command to the parser."""
    parser = subparsers.add_parser(
        "check",
        help="say whether files are valid, and where they break",
        description="Says for each file whether it is valid, and if not, where and why.",
        epilog="Exit code: 0 all valid, 1 some are not, 2 some could not be read.",
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="a file, or - for standard input")
    parser.add_argument("-r", "--recursive", action="store_true", help="look into folders")
    parser.add_argument("-q", "--quiet", action="store_true", help="print only what is not valid")
    parser.add_argument("--json", action="store_true", help="print one JSON object a file")
    parser.add_argument(
        "--lenient",
        action="store_true",
        help="go on where decoders do without a word, and note what is wrong there",
    )
    parser.add_argument(
        "--abbreviated", action="store_true", help="accept JPEG streams without their tables"
    )
    parser.add_argument(
        "--tables", metavar="FILE", help="the tables of abbreviated streams (implies that option)"
    )
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Checks the files named."""
    tables = read_file(args.tables) if args.tables else None
    n_invalid = n_unreadable = 0
    for path in _files(args.files, args.recursive):
        try:
            verdict = check(
                read_stream(sys.stdin.buffer, "standard input") if path == "-" else path,
                strict=not args.lenient,
                abbreviated=args.abbreviated or tables is not None,
                tables=tables,
            )
        except (OSError, UsageError) as error:
            n_unreadable += 1
            reason = _reason(path, error)
            print(f"pycodec-lm check: error: {reason}", file=sys.stderr)
            if args.json:
                print_json({"file": path, "error": reason})
            continue
        n_invalid += not verdict.valid
        if args.json:
            print_json({"file": path, **dataclasses.asdict(verdict)})
        elif not (args.quiet and verdict.valid):
            print(_line(printable(path), verdict))
    if n_unreadable:
        return 2
    return 1 if n_invalid else 0


def _files(names: list[str], recursive: bool) -> Iterator[str]:
    """The files to check, folders in the order of their names."""
    for name in names:
        if recursive and name != "-" and Path(name).is_dir():
            for folder, subfolders, files in os.walk(name):
                subfolders.sort()
                yield from (str(Path(folder) / file) for file in sorted(files))
        else:
            yield name


def _reason(path: str, error: OSError | UsageError) -> str:
    if path != "-" and Path(path).is_dir():
        return f"{printable(path)} is a folder; `pycodec-lm check -r` looks into folders"
    if isinstance(error, OSError):
        return f"{printable(path)}: {error.strerror or error}"
    text = str(error)
    return text if path in text else f"{printable(path)}: {text}"


def _line(path: str, verdict: Verdict) -> str:
    if not verdict.valid:
        return f"{path}: {verdict.family}: {verdict.message}"
    notes = "".join(f"; note: {note}" for note in verdict.notes)
    return f"{path}: valid ({_NAMES[verdict.format]}){notes}"
