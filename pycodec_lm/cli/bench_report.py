"""How every `pycodec-lm bench` command shows what it measured."""

from __future__ import annotations

import argparse
import shlex

from .._files import write_file
from ..bench.measure import Report
from ._common import print_json

__all__ = ["bench_command", "show"]


def show(report: Report, args: argparse.Namespace) -> None:
    """Prints the report, as JSON where asked for, and writes it where the arguments say."""
    if args.output:
        write_file(args.output, report.to_markdown().encode())
    if args.json:
        print_json(report.to_json())
    else:
        print(report.to_markdown(), end="")


def bench_command(*words: object) -> str:
    """The command that repeats a measurement, without the folders of this machine."""
    return shlex.join(["pycodec-lm", "bench", *map(str, words)])
