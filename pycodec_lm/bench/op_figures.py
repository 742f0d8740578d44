"""What `pycodec-lm bench attention` and so on show: a table, a plot, and all of it for a folder."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version

import torch

from .measure import Report
from .op_peers import peer_note
from .op_speed import OURS, OpTimes, Rates

__all__ = ["card_name", "op_plot", "op_report"]


def card_name() -> str:
    """The GPU as a part of a file's name, or "cpu"."""
    if not torch.cuda.is_available():
        return "cpu"
    return re.sub(r"[^a-z0-9]+", "-", str(torch.cuda.get_device_name()).lower()).strip("-")


def _device() -> str:
    if torch.cuda.is_available():
        name = f"{torch.cuda.get_device_name()}, driver {_driver()}, CUDA {torch.version.cuda}"
        return f"{name}, torch {torch.__version__}, triton {version('triton')}"
    threads = torch.get_num_threads()
    return (
        "no CUDA device: the operators of the CPU are timed"
        f" (torch {torch.__version__}, {threads} threads)"
    )


def _driver() -> str:
    if shutil.which("nvidia-smi") is None:
        return "unknown"
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", "--id=0"]
    run = subprocess.run(query, capture_output=True, text=True, check=False)
    return run.stdout.strip() if run.returncode == 0 else "unknown"


def op_report(title: str, command: str, results: Sequence[OpTimes], rates: Rates) -> Report:
    """The table of all cases."""
    report = Report(title, command)
    report.notes += [
        _device(),
        peer_note(),
        "microseconds, median of rounds in which all take turns on rotating inputs; every result"
        " was checked against pycodec_lm.reference first",
        f"a copy of 128 MiB reads and writes {rates.copy_bytes_per_us / 1e3:.1f} GB/s; the share is"
        " that of the time in which the least traffic there must be could be copied",
        f"the product of two matrices, {rates.matrices}, takes {rates.flops_per_us / 1e6:.2f}"
        " TFLOP/s; the share is that of the time which the products of a case would take so",
        f"a launch that does next to nothing takes {rates.launch_us:.1f} microseconds",
    ]
    rows = []
    for result in results:
        rows += [_row(result, name) for name in result.times]
        rows += [[f"{result.name}: {name}", why, *[""] * 8] for name, why in result.wrong.items()]
    columns = ["", "median", "p10", "p90", "time / ours", "of copy", "of matrix", "TFLOP/s"]
    columns += ["error", "MB"]
    report.add_table("Times", columns, rows)
    fastest = [[result.name, result.fastest] for result in results]
    report.add_table("Fastest", ["", "implementation"], fastest)
    report.data = {
        "device": _device(),
        "peers": peer_note(),
        "rates": asdict(rates),
        "cases": [
            asdict(result) | {"ratios": result.ratios, "fastest": result.fastest}
            for result in results
        ],
    }
    return report


def _row(result: OpTimes, name: str) -> list[str]:
    spread, peak = result.times[name], result.peak_bytes.get(name)
    return [
        f"{result.name}: {name}",
        f"{spread.median:.1f}",
        f"{spread.p10:.1f}",
        f"{spread.p90:.1f}",
        "" if name == OURS else f"{result.ratios[name]:.2f}x",
        f"{100 * result.copy_shares[name]:.1f} %",
        f"{100 * result.matrix_shares[name]:.1f} %" if result.flops else "",
        f"{result.flops / spread.median / 1e6:.3g}" if result.flops else "",
        f"{result.errors[name]:.1g}",
        "" if peak is None else f"{peak / 1e6:.1f}",
    ]


def op_plot(results: Sequence[OpTimes]) -> bytes:
    """A PNG: bars of the medians, a panel for each case.

    Raises:
        UsageError: matplotlib is not installed.
    """
    from .survival_figures import need_figure

    figure = need_figure()(figsize=(7.0, 1.0 + 1.2 * len(results)), layout="constrained")
    panels = figure.subplots(len(results), 1, squeeze=False)[:, 0]
    for panel, result in zip(panels, results, strict=True):
        names = list(result.times)[::-1]
        medians = [result.times[name].median for name in names]
        low = [median - result.times[n].p10 for n, median in zip(names, medians, strict=True)]
        high = [result.times[n].p90 - median for n, median in zip(names, medians, strict=True)]
        colors = ["tab:blue" if name == OURS else "silver" for name in names]
        panel.barh(names, medians, xerr=[low, high], color=colors)
        panel.set_title(result.name, fontsize="small", loc="left")
        panel.tick_params(labelsize="small")
    panels[-1].set_xlabel("microseconds (median, 10 % and 90 %)")
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=120)
    return data.getvalue()
