"""`pycodec-lm inspect`: the syntax tree of a file."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from .._files import read_file, write_file
from ..check import Verdict, may_be_h264
from ._common import fail, print_json, printable, read_input

__all__ = ["add_parser", "run"]

# 24 bytes an MCU or macroblock, and a line each: more would not be read by anybody.
_MAX_MCUS = 1 << 20
_MAX_BINS = 1 << 18


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds this command to the parser."""
    parser = subparsers.add_parser(
        "inspect",
        help="show what stands in a file, element by element",
        description="Shows the syntax tree of a JPEG (segments and their fields, tables, scans) or"
        " of H.264 (NAL units and their fields, slices), and where its bits go. Of a broken file"
        " it shows what could be read, and the error.",
        epilog="Exit code: 0 the file is valid, 1 it is not, 2 misuse.",
    )
    parser.add_argument("file", metavar="FILE", help="a file, or - for standard input")
    parser.add_argument(
        "--tables",
        action="store_true",
        help="list the contents of tables; of H.264 each field of a header with its place",
    )
    parser.add_argument(
        *("--mcus", "--macroblocks"),
        action="store_true",
        help="list where each MCU or macroblock begins",
    )
    parser.add_argument(
        "--contexts",
        action="store_true",
        help="list the bins of H.264 by CABAC with their contexts, below each macroblock",
    )
    parser.add_argument(
        "--html", metavar="OUT.html", help="write a page that shows bytes and pictures side by side"
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
    if args.html and args.contexts:
        fail("--contexts lists bins as text or JSON; leave out --html")
    outside = read_file(args.outside_tables) if args.outside_tables else None
    data, name = read_input(args.file)

    abbreviated = args.abbreviated or outside is not None
    if args.html:
        from ..inspect.html import inspect_to_html

        inspection, page = inspect_to_html(
            data, Path(name).name, abbreviated=abbreviated, tables=outside
        )
        verdict = inspection.verdict
        write_file(args.html, page.encode())
        _report_page(args, verdict, len(page))
    else:
        max_bins = _MAX_BINS if args.contexts else 0
        verdict, to_json, lines = _inspected(data, abbreviated, outside, max_bins)
        if args.json:
            print_json({"file": args.file, **to_json(tables=args.tables, mcus=args.mcus)})
        else:
            for line in lines(printable(name), tables=args.tables, mcus=args.mcus):
                print(line)
    return 0 if verdict.valid else 1


def _inspected(
    data: bytes, abbreviated: bool, tables: bytes | None, max_bins: int
) -> tuple[Verdict, Callable[..., dict[str, Any]], Callable[..., Iterator[str]]]:
    """The verdict on a file, and what shows it as JSON and as lines."""
    if may_be_h264(data):
        from ..inspect import avc_text, inspect_h264

        stream = inspect_h264(data, max_mbs=_MAX_MCUS, max_bins=max_bins)
        return stream.verdict, partial(avc_text.to_json, stream), partial(avc_text.lines, stream)
    from ..inspect import inspect_jpeg, text

    file = inspect_jpeg(data, abbreviated=abbreviated, tables=tables, max_mcus=_MAX_MCUS)
    return file.verdict, partial(text.to_json, file), partial(text.lines, file)


def _report_page(args: argparse.Namespace, verdict: Verdict, n_bytes: int) -> None:
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
