"""The pictures of survival: a plot of shares, and the same files with and without the mask."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from PIL import Image

from ..errors import UsageError
from ..generation.sheet import Cell, contact_sheet
from .survival import Survival, TriedFile

__all__ = ["comparison_sheet", "need_figure", "survival_plot"]

_COLORS = ("#c0392b", "#d68910", "#7d3c98", "#2471a3", "#566573")
_MASKED = "#1e8449"


def comparison_sheet(without: Sequence[TriedFile], masked: Sequence[TriedFile]) -> Image.Image:
    """Two sheets, one above the other: without the mask and with it."""
    parts = []
    for title, tried in (("without the mask", without), ("with the mask", masked)):
        n_clean = sum(not one.complaint for one in tried)
        cells = [Cell(one.file.data, one.file.label, one.complaint) for one in tried]
        heading = f"{title}: {n_clean} of {len(tried)} files read by every decoder"
        columns = max(1, -(-len(cells) // 2))
        parts.append(contact_sheet(cells, columns=columns, title=heading, size_px=96))
    width = max(part.width for part in parts)
    sheet = Image.new("RGB", (width, sum(part.height for part in parts)), (255, 255, 255))
    top = 0
    for part in parts:
        sheet.paste(part, (0, top))
        top += part.height
    return sheet


def need_figure() -> Any:
    """matplotlib's Figure.

    Raises:
        UsageError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UsageError(
            "a plot needs matplotlib: python -m pip install 'pycodec_lm[bench]'"
        ) from error
    return Figure


def survival_plot(rows: Sequence[Survival]) -> bytes:
    """A PNG: survival against temperature and, for several models, against training steps.

    Raises:
        UsageError: matplotlib is not installed.
    """
    steps = sorted({row.steps for row in rows})
    temperatures = sorted({row.temperature for row in rows if row.steps == steps[0]})
    figure = need_figure()(figsize=(9.0 if len(steps) > 1 else 5.0, 3.4), layout="constrained")
    panels = figure.subplots(1, 2 if len(steps) > 1 else 1, sharey=True, squeeze=False)[0]
    last = [row for row in rows if row.steps == steps[-1]]
    masked = sorted((row.temperature, row.share) for row in last if row.mask)
    without = sorted((row.temperature, row.share) for row in last if not row.mask)
    left = panels[0]
    left.plot(*_xy(masked), color=_MASKED, marker="o", label="with the mask")
    left.plot(*_xy(without), color=_COLORS[0], marker="s", label="without")
    left.set_xlabel(f"temperature, after {steps[-1]:,} training steps")
    left.set_ylabel("files that every decoder reads, %")
    if len(steps) > 1:
        right = panels[1]
        all_masked = sorted((row.steps, row.share) for row in rows if row.mask)
        right.plot(*_xy(all_masked), color=_MASKED, marker="o", label="with the mask")
        for color, temperature in zip(_COLORS, temperatures, strict=False):
            points = sorted(
                (row.steps, row.share)
                for row in rows
                if not row.mask and row.temperature == temperature
            )
            right.plot(*_xy(points), color=color, marker="s", label=f"without, at {temperature:g}")
        right.set_xscale("log")
        right.set_xlabel("training steps")
    for panel in panels:
        panel.set_ylim(-3, 103)
        panel.grid(alpha=0.3)
        panel.legend(fontsize=8, loc="lower right" if panel is not left else "lower left")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _xy(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [100 * share for _, share in points]
