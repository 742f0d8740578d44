"""Motion vectors as this library works them out, beside those that libavcodec exports."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from .._core import read_motion
from ..inspect import inspect_h264
from ..inspect.avc_model import Slice

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["INTER_KINDS", "inter_kinds", "motion_differences"]

_SHAPES = ("16x16", "16x8", "8x16", "8x8")
_SUB_SHAPES = ("8x8", "8x4", "4x8", "4x4")
_LISTS = ("direct", "L0", "L1", "Bi")
# Columns of read_motion().
_FIRST_SUB_TYPE = 4
_FIRST_REF_IDX, _FIRST_VECTOR = (8, 44), (12, 48)
_IS_B, _IS_DIRECT, _FIRST_LISTS = 80, 81, 82
INTER_KINDS = (
    "P_Skip",
    *(f"P {shape}" for shape in _SHAPES[:3]),
    *(f"P 8x8, {shape}" for shape in _SUB_SHAPES),
    "B_Skip",
    "B direct",
    *(f"B 16x16 {lists}" for lists in _LISTS[1:]),
    *(
        f"B {shape} {first} {second}"
        for shape in _SHAPES[1:3]
        for first in _LISTS[1:]
        for second in _LISTS[1:]
    ),
    "B 8x8, direct",
    *(f"B 8x8, {shape} {lists}" for shape in _SUB_SHAPES for lists in _LISTS[1:]),
)


def inter_kinds(data: bytes) -> Counter[str]:
    """How many macroblocks, or quarters of them, of each of INTER_KINDS a stream has."""
    kinds: Counter[str] = Counter()
    for row in read_motion(data).tolist():
        kinds.update(_kinds_of(row))
    return kinds


def _kinds_of(row: list[int]) -> Iterator[str]:
    slice_type = "B" if row[_IS_B] else "P"
    if row[2]:
        yield f"{slice_type}_Skip"
        return
    if row[_IS_DIRECT]:
        yield "B direct"
        return
    lists = [_LISTS[i] for i in row[_FIRST_LISTS : _FIRST_LISTS + 4]]
    shape = _SHAPES[row[3]]
    sub_shapes = [_SUB_SHAPES[i] for i in row[_FIRST_SUB_TYPE : _FIRST_SUB_TYPE + 4]]
    if slice_type == "P" and shape == "8x8":
        yield from (f"P 8x8, {sub}" for sub in sub_shapes)
    elif slice_type == "P":
        yield f"P {shape}"
    elif shape == "8x8":
        for sub, of in zip(sub_shapes, lists, strict=True):
            yield "B 8x8, direct" if of == "direct" else f"B 8x8, {sub} {of}"
    else:
        yield " ".join(("B", shape, *lists[: 1 if shape == "16x16" else 2]))


class _Vectors:
    """Of a picture: of each quarter of a macroblock the vector of its first 4x4 block, by list."""

    def __init__(self, width_mbs: int, height_mbs: int) -> None:
        self.is_there = np.zeros((2, 2 * height_mbs, 2 * width_mbs), bool)
        self.mv = np.zeros((2, 2 * height_mbs, 2 * width_mbs, 2), np.int32)


def motion_differences(data: bytes, width_mbs: int) -> tuple[int, list[str]]:
    """Compares every picture of a stream.

    Returns:
        how many vectors are the same, and a line on each picture that differs.
    """
    inspection = inspect_h264(data)
    if not inspection.pictures:
        return 0, []
    height_mbs = inspection.pictures[0].height_mbs
    rows = read_motion(data)
    n_same = 0
    lines = []
    exported = [*_exported(data, width_mbs, height_mbs)]
    order = _output_order([picture.slices[0] for picture in inspection.pictures])
    if len(exported) != len(order):
        lines.append(f"libavcodec has {len(exported)} pictures, we have {len(order)}")
    for place, picture in enumerate(order[: len(exported)]):
        ours = _ours(rows[rows[:, 0] == picture], width_mbs, height_mbs)
        theirs = exported[place]
        is_same = (ours.mv == theirs.mv).all(axis=-1)
        # Of a quarter that only its neighbours have in a list libavcodec gives a zero.
        is_right = np.where(ours.is_there, theirs.is_there & is_same, is_same)
        n_same += int((ours.is_there & is_right).sum())
        if not is_right.all():
            list_, y, x = (int(i) for i in np.argwhere(~is_right)[0])
            lines.append(
                f"picture {picture}: {int((~is_right).sum())} quarters of macroblocks, the first in"
                f" list {list_} at {8 * x}, {8 * y}: {ours.mv[list_, y, x].tolist()} of ours,"
                f" {theirs.mv[list_, y, x].tolist()} of libavcodec's"
            )
    return n_same, lines


def _output_order(first_slices: list[Slice]) -> list[int]:
    """Pictures in the order of their counts, which begin anew at IDR pictures."""
    n_idr = 0
    keys = []
    for picture, first in enumerate(first_slices):
        n_idr += first.idr_pic_id is not None
        keys.append((n_idr, first.pic_order_cnt, picture))
    return [picture for _, _, picture in sorted(keys)]


def _ours(rows: NDArray[np.int32], width_mbs: int, height_mbs: int) -> _Vectors:
    vectors = _Vectors(width_mbs, height_mbs)
    y, x = np.divmod(rows[:, 1], width_mbs)
    for list_ in range(2):
        for quarter in range(4):
            down, across = divmod(quarter, 2)
            at = list_, 2 * y + down, 2 * x + across
            vectors.is_there[at] = rows[:, _FIRST_REF_IDX[list_] + quarter] >= 0
            first = _FIRST_VECTOR[list_] + 2 * (8 * down + 2 * across)
            vectors.mv[at] = rows[:, first : first + 2]
    return vectors


def _exported(data: bytes, width_mbs: int, height_mbs: int) -> Iterator[_Vectors]:
    import av

    with av.open(io.BytesIO(data), "r", format="h264") as container:
        stream = container.streams.video[0]
        stream.codec_context.options = {"flags2": "+export_mvs"}
        for frame in container.decode(stream):
            vectors = _Vectors(width_mbs, height_mbs)
            exported = frame.side_data.get("MOTION_VECTORS")
            if exported is not None:
                _put(exported.to_ndarray(), vectors)
            yield vectors


def _put(exported: NDArray[np.void], vectors: _Vectors) -> None:
    names = ("source", "w", "h", "dst_x", "dst_y", "motion_x", "motion_y")
    for source, w, h, x, y, mv_x, mv_y in zip(
        *(exported[name].tolist() for name in names), strict=True
    ):
        left, top = (x - w // 2) // 8, (y - h // 2) // 8
        at = int(source > 0), slice(top, top + h // 8), slice(left, left + w // 8)
        vectors.is_there[at] = True
        vectors.mv[at] = mv_x, mv_y
