"""Rotary positions: tables of them, and what attention makes of a table.

Shape suffixes: B rows, S tokens, D head width, R rows of a table (1 where all rows have the same).
"""
# ruff: noqa: N803  # names carry the shape of their tensor

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .. import reference
from ..errors import UsageError
from ._checks import check_tensors

__all__ = ["RotaryTable", "checked_table", "rotary_table", "rotate", "turned"]


class RotaryTable(NamedTuple):
    """Cosines and sines of rotary positions, [S, D / 2] or [B, S, D / 2]; how pairs are made."""

    cos: Tensor
    sin: Tensor
    interleaved: bool = False


def rotary_table(
    size: int | tuple[int, int],
    head_dim: int,
    *,
    theta: float = 10000.0,
    order: str = "rows",
    pairs: str = "halves",
    n_prefix: int = 0,
    prefix: str = "identity",
    device: torch.device | str | None = None,
) -> RotaryTable:
    """Rotary positions of a sequence, or of a grid (axial) read row by row.

    Args:
        size: tokens, or (height, width) of a grid.
        head_dim: even; for a grid a multiple of 4.
        theta: base of the frequencies.
        order: of a grid, whether the first half of the pairs turns by the "rows" or "columns".
        pairs: "halves" turns (i, i + D/2) as Llama of Hugging Face, "interleaved" (2i, 2i + 1).
        n_prefix: tokens in front that are not rotated.
        prefix: what is done to these: "identity" leaves them, "zero" multiplies them by 0, as
            LlamaGen and Open-MAGVIT2 do.
        device: of the table.

    Raises:
        UsageError: an argument does not fit.

    Source: arXiv 2104.09864; axial: LlamaGen, arXiv 2406.06525.
    """
    is_grid = not isinstance(size, int)
    if head_dim < 2 or head_dim % (4 if is_grid else 2):
        raise UsageError(f"head_dim = {head_dim}, must be a multiple of {4 if is_grid else 2}")
    for name, value, known in (
        ("order", order, ("rows", "columns")),
        ("pairs", pairs, ("halves", "interleaved")),
        ("prefix", prefix, ("identity", "zero")),
    ):
        if value not in known:
            raise UsageError(f"{name} = {value!r}, must be {known[0]!r} or {known[1]!r}")
    if n_prefix < 0 or min(size if isinstance(size, tuple) else (size,)) < 0:
        raise UsageError("sizes must not be negative")
    if isinstance(size, tuple):
        height, width = size
        axes = [torch.arange(height).repeat_interleave(width), torch.arange(width).repeat(height)]
        if order == "columns":
            axes.reverse()
    else:
        axes = [torch.arange(size)]
    axis_dim = head_dim // len(axes)
    frequencies = theta ** (-torch.arange(0, axis_dim, 2, dtype=torch.float64) / axis_dim)
    angles = torch.cat([torch.outer(axis.double(), frequencies) for axis in axes], dim=1)
    factor = 1.0 if prefix == "identity" else 0.0
    cos = torch.cat((torch.full((n_prefix, head_dim // 2), factor), angles.cos().float()))
    sin = torch.cat((torch.zeros(n_prefix, head_dim // 2), angles.sin().float()))
    return RotaryTable(cos.to(device), sin.to(device), pairs == "interleaved")


def rotate(x: Tensor, table: RotaryTable) -> Tensor:
    """Turns queries or keys: those that go into a cache, or to `attention_decode`.

    Args:
        x: floating point [B, H, S, D].
        table: [S, D / 2], or [B, S, D / 2] where rows stand at different positions.

    Raises:
        UsageError: a shape, a type or a device does not fit, or the table wants gradients.

    >>> import torch
    >>> rotate(torch.ones(1, 1, 2, 2), rotary_table(2, 2))[0, 0].tolist()[0]
    [1.0, 1.0]
    """
    check_tensors(x=x)
    if x.ndim != 4 or not x.is_floating_point():
        raise UsageError(f"x must be floating point [B, H, S, D], not {x.dtype} {list(x.shape)}")
    cos, sin = checked_table(table, x, x)
    return turned(x, cos, sin, interleaved=table.interleaved)


def checked_table(rope: RotaryTable, q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines, float32 [R, S, D / 2], dense.

    Raises:
        UsageError: a shape, a type or a device does not fit, or the table wants gradients.
    """
    check_tensors(cos=rope[0], sin=rope[1])
    n_tokens, width = q.shape[2:]
    if k.shape[2] != n_tokens:
        raise UsageError("rope needs as many keys as queries")
    for table in rope[:2]:
        fits = table.shape[-2:] == (n_tokens, width // 2) and width % 2 == 0
        if not fits or table.shape[:-2] not in ((), (1,), (q.shape[0],)):
            raise UsageError(
                f"a rotary table of {list(table.shape)} for {n_tokens} tokens of width {width}"
                f" in {q.shape[0]} rows"
            )
        if not table.is_floating_point() or table.device != q.device:
            raise UsageError(
                f"a rotary table of {table.dtype} on {table.device}: must be floating point on"
                f" {q.device}"
            )
        if table.requires_grad and torch.is_grad_enabled():
            raise UsageError("a rotary table has no gradient: give it as cos.detach()")
    if rope.cos.shape != rope.sin.shape:
        raise UsageError(f"cos of {list(rope.cos.shape)}, sin of {list(rope.sin.shape)}")
    cos, sin = (table.view(-1, n_tokens, width // 2).float().contiguous() for table in rope[:2])
    return cos, sin


def turned(x_BHSD: Tensor, cos: Tensor, sin: Tensor, *, interleaved: bool) -> Tensor:
    """Pairs turned in float32 (float64 stays so), and rounded once; cos and sin [R, S, D / 2]."""
    work = torch.float64 if x_BHSD.dtype == torch.float64 else torch.float32
    wide = reference.rotate(x_BHSD.to(work), cos[:, None], sin[:, None], interleaved=interleaved)
    return wide.type_as(x_BHSD)
