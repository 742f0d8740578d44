"""Syntax elements of ITU-T H.264 as bits: 7.2 and 9.1."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any


@dataclass
class Piece:
    """The bits of one syntax element."""

    element: str
    bits: str
    spelling: str  # "u", "ue", "se", "te" of one bit, "unary", "bits"
    value: int | None  # None: bits that a table gives a meaning


def ue_code(value: int) -> str:
    """9.1: value + 1 in binary, behind as many zeros as it has bits after its first."""
    code = f"{value + 1:b}"
    return "0" * (len(code) - 1) + code


def code_num_of(value: int) -> int:
    """9.1.1: of a signed value."""
    return 2 * value - 1 if value > 0 else -2 * value


class Elements:
    """The elements of a unit one by one, with the values that are given."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values
        self.pieces: list[Piece] = []
        self.n_read: Counter[str] = Counter()

    def given(self, element: str, default: Any = 0) -> Any:
        """What the YAML says; of a list what comes next."""
        value = self.values.get(element, default)
        at = self.n_read[element]
        self.n_read[element] += 1
        if isinstance(value, list):
            return value[at] if at < len(value) else default
        return value

    def whole(self, element: str) -> Any:
        """What the YAML says, a list as it is; None where it says nothing."""
        self.n_read[element] += 1
        return self.values.get(element)

    def put(self, element: str, spelling: str, value: Any, n_bits: int = 0) -> int:
        """A piece; returns its value, 0 where it is bits."""
        if isinstance(value, str):
            self.pieces.append(Piece(element, value.removeprefix("="), spelling, None))
            return 0
        bits = {
            "u": lambda: f"{value:0{n_bits}b}",
            "ue": lambda: ue_code(value),
            "se": lambda: ue_code(code_num_of(value)),
            "te": lambda: "0" if value else "1",
            "unary": lambda: "0" * value + "1",
        }[spelling]()
        self.pieces.append(Piece(element, bits, spelling, value))
        return int(value)

    def u(self, n_bits: int, element: str, default: int = 0) -> int:
        return self.put(element, "u", self.given(element, default), n_bits)

    def ue(self, element: str, default: int = 0) -> int:
        return self.put(element, "ue", self.given(element, default))

    def se(self, element: str) -> int:
        return self.put(element, "se", self.given(element))

    @property
    def n_bits(self) -> int:
        return sum(len(piece.bits) for piece in self.pieces)

    def unread(self) -> set[str]:
        """Elements that the YAML gives and the syntax does not have."""
        return {name for name in self.values if not self.n_read[name]}
