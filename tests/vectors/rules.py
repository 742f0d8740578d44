"""Rules of a standard with the files that keep and break them, as tests/vectors has them in YAML.

A file of vectors is a chapter: a title and a list of rules in the order of the standard. A rule
has its clause, what it says, the code of what breaks it, and vectors: `kept` and `broken`. What a
vector is made of each codec says (vectors.py, avc_vectors.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import yaml

Made = TypeVar("Made")


@dataclass(frozen=True)
class Rule:
    """One rule of the standard; `code` names it in a verdict."""

    chapter: str
    clause: str
    says: str
    code: str


@dataclass(frozen=True)
class Expected:
    """The Status of a vector that breaks its rule."""

    code: str
    element: str
    byte: int
    bit: int


class Row(NamedTuple):
    """A vector as it is written."""

    rule: Rule
    source: str  # the file of vectors
    says: dict[str, Any]
    is_broken: bool


class Place(NamedTuple):
    """A part or a unit, and an element of it: "SOF0/Hi 2" is SOF0, 0, Hi, 1, counted from 0."""

    name: str
    n: int
    element: str
    k: int


def place_of(text: str) -> Place:
    """A place as the YAML has it.

    Raises:
        ValueError: it is none.
    """
    match = re.fullmatch(r"(\w+)(?: (\d+))?(?:/(.+?)(?: (\d+))?)?", text)
    if match is None:
        raise ValueError(f"{text!r} is no place")
    name, n, element, k = match.groups()
    return Place(name, int(n or 1) - 1, element or "", int(k or 1) - 1)


def name_of(item: Any) -> str:
    """Of a part or a unit as the YAML has it: its name, or {name: body}."""
    return item if isinstance(item, str) else next(iter(item))


def find_item(items: list[Any], text: str) -> int:
    """Where in a file the part or unit of a place is."""
    place = place_of(text)
    return [i for i, item in enumerate(items) if name_of(item) == place.name][place.n]


def read_rows(folder: Path, keys: Collection[str]) -> dict[str, Row]:
    """The vectors of all chapters in a folder, by name, in the order of the standard.

    Raises:
        ValueError: a vector has none of `keys`, has the name of another, or its rule has no code.
    """
    rows: dict[str, Row] = {}
    for path in sorted(folder.glob("*.yaml")):
        chapter = yaml.safe_load(path.read_text())
        for entry in chapter["rules"]:
            rule = Rule(chapter["title"], entry["clause"], entry["says"], entry.get("code", ""))
            for says, is_broken in _vectors_of(entry):
                name = says["name"]
                if unknown := {*says} - {*keys}:
                    raise ValueError(f"{name}: {unknown} is no part of a vector")
                if name in rows:
                    raise ValueError(f"{name}: two vectors of this name")
                if is_broken and not rule.code:
                    raise ValueError(f"{name}: the rule has no code")
                rows[name] = Row(rule, path.name, says, is_broken)
    return rows


def _vectors_of(entry: dict[str, Any]) -> Iterator[tuple[dict[str, Any], bool]]:
    for kind in ("kept", "broken"):
        for says in entry.get(kind, []):
            yield says, kind == "broken"


def lineage(rows: dict[str, Row], name: str) -> list[dict[str, Any]]:
    """The vector after the one it is made of, and so on back."""
    row = rows[name].says
    if "base" not in row:
        return [row]
    if rows[row["base"]].is_broken:
        raise ValueError(f"the base {row['base']} is broken itself")
    return [*lineage(rows, row["base"]), row]


def make_all(rows: dict[str, Row], make: Callable[[str], Made]) -> Iterator[Made]:
    """Each vector made.

    Raises:
        ValueError: a vector says what cannot be; the message names it.
    """
    for name, row in rows.items():
        try:
            yield make(name)
        except (ValueError, KeyError, IndexError, AssertionError) as error:
            raise ValueError(f"{row.source}, {name}: {error!r}") from error
