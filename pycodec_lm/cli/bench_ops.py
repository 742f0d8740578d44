"""`pycodec-lm bench attention`, `decode`, `lfq`, `sampling`, `bitmask`: operators beside peers."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from .._files import write_file
from ..errors import UsageError
from ._common import let_threads_sleep, print_json, progress
from .bench_report import bench_command, show

if TYPE_CHECKING:
    from ..bench.measure import Report
    from ..bench.op_speed import OpTimes

__all__ = ["OPERATORS", "add_all_operators", "add_operator", "bench_operator"]

OPERATORS = {
    "attention": "attention, forward and backward",
    "decode": "attention of one query to a cache",
    "lfq": "sign quantisation and its entropy penalty",
    "sampling": "logits to tokens",
    "bitmask": "bitmasks put to logits",
}


def add_operator(
    kinds: argparse._SubParsersAction[argparse.ArgumentParser], name: str
) -> argparse.ArgumentParser:
    """Adds `bench <name>`."""
    parser = kinds.add_parser(
        name,
        help=f"{OPERATORS[name]}, beside torch",
        description=f"Times {OPERATORS[name]} on the GPU, or on the CPU where there is none, beside"
        " chains of torch and what else is installed. Every result is checked first.",
    )
    parser.add_argument("--rounds", type=int, default=30, help="of all implementations (30)")
    parser.add_argument("--seed", type=int, default=0, help="of the inputs (0)")
    parser.add_argument(
        "--json",
        nargs="?",
        const=True,
        metavar="FILE",
        help="print one JSON object, or write it to a file",
    )
    parser.add_argument(
        "--plot",
        metavar="PATH",
        help=f"draw the medians: FILE.png, or a folder for operators-CARD-{name}.png",
    )
    parser.set_defaults(func=bench_operator, operator=name)
    return parser


def add_all_operators(
    kinds: argparse._SubParsersAction[argparse.ArgumentParser],
) -> argparse.ArgumentParser:
    """Adds `bench operators`."""
    parser = kinds.add_parser(
        "operators",
        help="all operators, with tables and plots written to a folder",
        description=f"Runs {', '.join(OPERATORS)}, and writes of each operators-CARD-NAME.md, .json"
        " and .png to a folder: docs/figures of a checkout has those of other cards.",
    )
    parser.add_argument("folder", help="where the files go")
    parser.add_argument("--rounds", type=int, default=30, help="of all implementations (30)")
    parser.add_argument("--seed", type=int, default=0, help="of the inputs (0)")
    parser.set_defaults(func=_bench_all)
    return parser


def bench_operator(args: argparse.Namespace) -> int:
    """Runs it.

    Raises:
        CodecLMError: a result of ours is wrong; no time is shown then.
    """
    let_threads_sleep()
    from ..bench.op_figures import op_plot

    report, results = _measured(args, args.operator)
    if args.plot:
        plot = Path(args.plot)
        if plot.suffix.lower() != ".png":
            plot = _base(args.plot, args.operator).with_suffix(".png")
        write_file(str(plot), op_plot(results))
    if isinstance(args.json, str):
        write_file(args.json, _json_of(report))
        args.json = False
    show(report, args)
    return 0


def _base(folder: str, operator: str) -> Path:
    """Where the files of an operator go, but for their suffixes."""
    from ..bench.op_figures import card_name

    return Path(folder) / f"operators-{card_name()}-{operator}"


def _json_of(report: Report) -> bytes:
    return (json.dumps(report.to_json(), indent=1, allow_nan=False) + "\n").encode()


def _bench_all(args: argparse.Namespace) -> int:
    let_threads_sleep()
    from ..bench.op_figures import op_plot

    written = []
    for operator in OPERATORS:
        report, results = _measured(args, operator)
        base = _base(args.folder, operator)
        for suffix, content in (
            (".md", report.to_markdown().encode()),
            (".json", _json_of(report)),
            (".png", op_plot(results)),
        ):
            path = base.with_suffix(suffix)
            write_file(str(path), content)
            written.append(str(path))
    if args.json:
        print_json({"written": written})
    else:
        print("\n".join(written))
    return 0


def _measured(args: argparse.Namespace, operator: str) -> tuple[Report, list[OpTimes]]:
    import torch

    from ..bench.op_cases import BUILDERS
    from ..bench.op_figures import op_report
    from ..bench.op_speed import device_rates, measure_case

    if args.rounds < 1:
        raise UsageError("--rounds must be at least 1")
    torch.manual_seed(args.seed)
    rates = device_rates()
    cases = progress(
        BUILDERS[operator](), f"timing {operator}", quiet=args.quiet or args.json is True
    )
    results = [measure_case(case, args.rounds, rates) for case in cases]
    command = bench_command(operator, "--rounds", args.rounds, "--seed", args.seed)
    title = f"{OPERATORS[operator].capitalize()}: microseconds a call"
    return op_report(title, command, results, rates), results
