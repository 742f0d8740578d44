"""`pycodec-lm inspect`: the syntax tree of a file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from .._files import read_file, write_file
from ._common import fail, print_json, printable, read_input

if TYPE_CHECKING:
    from ..inspect import Inspection

__all__ = ["add_parser", "run"]

# 24 bytes an MCU, and a line each: more would not be read by anybody.
_MAX_MCUS = 1 << 20


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds this command to the parser."""
    parser = subparsers.add_parser(
        "inspect",
        help="show what stands in a file, element by element",
        description="Shows the syntax tree of a JPEG: segments and their fields, tables, scans, and"
        " where its bits go. Of a broken file it shows what could be read, and the error.",
        epilog="Exit code: 0 the file is valid, 1 it is not, 2 misuse.",
    )
    parser.add_argument("file", metavar="FILE", help="a file, or - for standard input")
    parser.add_argument("--tables", action="store_true", help="list the contents of tables")
    parser.add_argument("--mcus", action="store_true", help="list where each MCU begins")
    parser.add_argument(
        "--html", metavar="OUT.html", help="write a page that shows bytes and picture side by side"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--abbreviated", action="store_true", help="accept a JPEG stream without its tables"
    )
    parser.add_argument(
        "--outside-tables",
        metavar="FILE",
        help="the tables of an abbreviated stream (implies that option)",
    )
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Inspects the file named."""
    if args.html and not Path(args.html).parent.is_dir():
        fail(f"there is no folder {printable(str(Path(args.html).parent))} to write the page into")
    outside = read_file(args.outside_tables) if args.outside_tables else None
    data, name = read_input(args.file)

    abbreviated = args.abbreviated or outside is not None
    if args.html:
        from ..inspect.html import inspect_to_html

        inspection, page = inspect_to_html(
            data, Path(name).name, abbreviated=abbreviated, tables=outside
        )
        write_file(args.html, page.encode())
        _report_page(args, inspection, len(page))
    else:
        from ..inspect import inspect_jpeg, text

        inspection = inspect_jpeg(data, abbreviated=abbreviated, tables=outside, max_mcus=_MAX_MCUS)
        if args.json:
            tree = text.to_json(inspection, tables=args.tables, mcus=args.mcus)
            print_json({"file": args.file, **tree})
        else:
            for line in text.lines(inspection, printable(name), tables=args.tables, mcus=args.mcus):
                print(line)
    return 0 if inspection.verdict.valid else 1


def _report_page(args: argparse.Namespace, inspection: Inspection, n_bytes: int) -> None:
    verdict = inspection.verdict
    if args.json:
        print_json(
            {
                "file": args.file,
                "html": args.html,
                "n_bytes": n_bytes,
                "valid": verdict.valid,
                "message": verdict.message,
            }
        )
    else:
        state = "valid" if verdict.valid else f"{verdict.family}: {verdict.message}"
        print(f"{printable(args.file)}: {state}")
        print(f"{printable(args.html)}: {n_bytes:,} bytes")
