"""Times with what taking them costs subtracted, and the table they are shown in."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["Report", "Spread", "machine", "timer_floor_ns"]


@dataclass(frozen=True)
class Spread:
    """What many measurements say: never one number alone."""

    n: int
    median: float
    p10: float
    p90: float
    p99: float
    mean: float

    @classmethod
    def of(cls, values: Sequence[float], *, floor: float = 0.0, scale: float = 1.0) -> Spread:
        """The spread of `values`, less `floor` each, times `scale`."""
        ordered = sorted(values)

        def at(share: float) -> float:
            return (
                max(0.0, ordered[min(len(ordered) - 1, int(share * len(ordered)))] - floor) * scale
            )

        mean = max(0.0, statistics.fmean(ordered) - floor) * scale
        return cls(len(ordered), at(0.5), at(0.1), at(0.9), at(0.99), mean)


def timer_floor_ns(n: int = 20001) -> float:
    """What two neighbouring readings of the clock lie apart, at the median."""
    readings = []
    for _ in range(n):
        start = time.perf_counter_ns()
        readings.append(time.perf_counter_ns() - start)
    return statistics.median(readings)


@dataclass
class Report:
    """Tables for people and the same numbers for programs."""

    title: str
    command: str
    notes: list[str] = field(default_factory=list)
    tables: list[tuple[str, list[str], list[list[str]]]] = field(default_factory=list)
    data: dict[str, object] = field(default_factory=dict)

    def add_table(self, caption: str, columns: list[str], rows: list[list[str]]) -> None:
        """Adds a table; cells are texts as they shall stand there."""
        self.tables.append((caption, columns, rows))

    def to_markdown(self) -> str:
        """The report as a page."""
        lines = [f"# {self.title}", "", f"`{self.command}`", ""]
        lines += [f"- {name}: {value}" for name, value in machine().items()]
        lines += [f"- {note}" for note in self.notes]
        for caption, columns, rows in self.tables:
            lines += ["", f"## {caption}", "", *_table(columns, rows)]
        return "\n".join(lines) + "\n"

    def to_json(self) -> dict[str, object]:
        """The numbers, with machine and versions."""
        return {"command": self.command, "machine": machine(), **self.data}


def machine() -> dict[str, str]:
    """Where this runs: processor, versions, commit."""
    import numpy as np

    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "versions": f"pycodec_lm {_version('pycodec_lm')}, numpy {np.__version__}",
        "commit": _commit(),
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    folder = Path(__file__).parent
    try:
        run = subprocess.run(
            ["git", "-C", str(folder), "describe", "--always", "--dirty", "--exclude=*"],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return "unknown"
    return run.stdout.strip() if run.returncode == 0 else "unknown"


def _table(columns: list[str], rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in [columns, *rows]) for i in range(len(columns))]

    def line(cells: list[str]) -> str:
        # Texts to the left, numbers to the right.
        padded = [
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return "| " + " | ".join(padded) + " |"

    rule = [("-" * width if i == 0 else "-" * (width - 1) + ":") for i, width in enumerate(widths)]
    return [line(columns), "| " + " | ".join(rule) + " |", *(line(row) for row in rows)]
