"""A syntax element of a file, as both codecs have it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Field", "fields_of"]


@dataclass(frozen=True, slots=True)
class Field:
    """One syntax element, or several of one kind in a row (tables, text).

    Attributes:
        element: its name in the standard.
        clause: where the standard defines it.
        offset: the byte in which it begins.
        bit: the bit of that byte, 0 (most significant) to 7.
        n_bits: of all of them together.
        values: the numbers.
    """

    element: str
    clause: str
    offset: int
    bit: int
    n_bits: int
    values: Sequence[int]

    @property
    def value(self) -> int:
        """The first of the numbers."""
        return self.values[0]

    def place_json(self) -> dict[str, Any]:
        """All but its numbers, for JSON."""
        return {
            "element": self.element,
            "clause": self.clause,
            "offset": self.offset,
            "bit": self.bit,
            "n_bits": self.n_bits,
        }


def fields_of(data: bytes, rows: NDArray[np.void]) -> Iterator[Field]:
    """Rows of a trace as fields; where one stands for several numbers they are read from `data`.

    Args:
        data: the file that was traced.
        rows: `FieldRow`s of csrc/jpeg/trace.hpp or csrc/h264/trace.hpp.
    """
    # A column at a time: numpy takes long to give numbers one by one.
    names = ("element", "byte", "bit", "n_bits", "n_values", "value")
    for element, offset, bit, n_bits, n_values, value in zip(
        *(rows[name].tolist() for name in names), strict=True
    ):
        name, clause = _core.ELEMENTS[element]
        values: Sequence[int] = (value,)
        if n_values > 1:
            n_bytes = n_bits // 8
            values = data[offset : offset + n_bytes]
            if n_bytes == 2 * n_values:
                values = tuple(np.frombuffer(values, ">u2").tolist())
        yield Field(name, clause, offset, bit, n_bits, values)
