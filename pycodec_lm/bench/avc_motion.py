"""Motion vectors as this library works them out, beside those that libavcodec exports."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .._core import read_motion

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["INTER_KINDS", "inter_kinds", "motion_differences"]

# (w, h, x and y of the partition's centre, x and y of its vector in quarter samples)
Vector = tuple[int, int, int, int, int, int]

_SHAPES = ("16x16", "16x8", "8x16", "8x8")
_SUB_SHAPES = ("8x8", "8x4", "4x8", "4x4")
_FIRST_SUB_TYPE, _FIRST_VECTOR = 4, 12  # columns of read_motion()
# Partitions: width, height, and the column and row of the first 4x4 block of each.
_PARTS = {
    "16x16": (16, 16, ((0, 0),)),
    "16x8": (16, 8, ((0, 0), (0, 2))),
    "8x16": (8, 16, ((0, 0), (2, 0))),
    # Of smaller ones libavcodec exports the first of each quarter.
    "8x8": (8, 8, ((0, 0), (2, 0), (0, 2), (2, 2))),
}
INTER_KINDS = (
    "P_Skip",
    *(f"P {shape}" for shape in _SHAPES[:3]),
    *(f"P 8x8, {shape}" for shape in _SUB_SHAPES),
)


def inter_kinds(data: bytes) -> Counter[str]:
    """How many macroblocks, or quarters of them, of each of INTER_KINDS a stream has."""
    kinds: Counter[str] = Counter()
    for row in read_motion(data).tolist():
        if row[2]:
            kinds["P_Skip"] += 1
        elif row[3] < 3:
            kinds[f"P {_SHAPES[row[3]]}"] += 1
        else:
            kinds.update(
                f"P 8x8, {_SUB_SHAPES[t]}" for t in row[_FIRST_SUB_TYPE : _FIRST_SUB_TYPE + 4]
            )
    return kinds


def motion_differences(data: bytes, width_mbs: int) -> tuple[int, list[str]]:
    """Compares every picture of a stream whose pictures come out in the order they are coded in.

    Returns:
        how many vectors are the same, and a line on each picture that differs.
    """
    ours: dict[int, Counter[Vector]] = {}
    for row in read_motion(data):
        ours.setdefault(int(row[0]), Counter()).update(_vectors(row, width_mbs))
    n_same = 0
    lines = []
    n_pictures = 0
    for picture, theirs in enumerate(_exported(data)):
        n_pictures += 1
        mine = ours.pop(picture, Counter())
        n_same += (mine & theirs).total()
        if mine != theirs:
            ours_only, theirs_only = sorted(mine - theirs), sorted(theirs - mine)
            lines.append(
                f"picture {picture}: {len(ours_only)} vectors of ours only, {ours_only[:2]};"
                f" {len(theirs_only)} of libavcodec's only, {theirs_only[:2]}"
            )
    if ours:
        lines.append(f"libavcodec has {n_pictures} pictures, we have vectors of {max(ours)}")
    return n_same, lines


def _vectors(row: NDArray[np.int32], width_mbs: int) -> Iterator[Vector]:
    _, mb, _, shape, *_ = row.tolist()
    width, height, places = _PARTS[_SHAPES[shape]]
    for column, line in places:
        x = mb % width_mbs * 16 + 4 * column + width // 2
        y = mb // width_mbs * 16 + 4 * line + height // 2
        at = _FIRST_VECTOR + 2 * (4 * line + column)
        yield width, height, x, y, int(row[at]), int(row[at + 1])


def _exported(data: bytes) -> Iterator[Counter[Vector]]:
    import av

    with av.open(io.BytesIO(data), "r", format="h264") as container:
        stream = container.streams.video[0]
        stream.codec_context.options = {"flags2": "+export_mvs"}
        for frame in container.decode(stream):
            vectors = frame.side_data.get("MOTION_VECTORS")
            if vectors is None:
                yield Counter()
                continue
            names = ("w", "h", "dst_x", "dst_y", "motion_x", "motion_y")
            array = vectors.to_ndarray()
            yield Counter(zip(*(array[name].tolist() for name in names), strict=True))
