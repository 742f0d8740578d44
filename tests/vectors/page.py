"""A page of rules: each rule of a standard, the vectors that keep and break it, and what decoders
do with them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from .rules import Expected, Rule

COMMAND = "python -m tests.vectors.rules_page"


class AnyVector(Protocol):
    """What a page needs to know of a vector."""

    name: str
    rule: Rule
    data: bytes
    expected: Expected | None


V = TypeVar("V", bound=AnyVector)


@dataclass(frozen=True)
class Page(Generic[V]):
    """How a page is made.

    Attributes:
        head: what stands above the chapters, with {command}, {versions} and {counts}.
        decoders: columns of what they say.
        words: what an answer begins with that is not "ok", and how many of them are called.
        ask: a row for each vector, with what each decoder says.
        versions: the decoders of this machine, in a line.
        is_unsupported: whether a vector is legal and `check` does not read it.
        extra: names of more columns of broken files, and what stands there.
    """

    path: Path
    head: str
    decoders: tuple[str, ...]
    words: Mapping[str, str]
    vectors: Callable[[], Sequence[V]]
    ask: Callable[[Sequence[V]], Sequence[Sequence[str]]]
    versions: Callable[[], str]
    is_unsupported: Callable[[V], bool]
    extra: Mapping[str, Callable[[V], str]]

    def render(self, answers: Sequence[Sequence[str]], versions: str) -> str:
        """The page. `answers` has a row for each vector, with what each decoder said."""
        vectors = self.vectors()
        said = dict(zip((vector.name for vector in vectors), answers, strict=True))
        counts = "\n".join(self._counts(vectors, said))
        lines = self.head.format(command=COMMAND, versions=versions, counts=counts).splitlines()
        for chapter, group in itertools.groupby(vectors, key=lambda vector: vector.rule.chapter):
            lines += ["", f"## {chapter}"]
            rows = list(group)
            broken = [vector for vector in rows if vector.expected is not None]
            kept = [vector for vector in rows if vector.expected is None]
            names = ["the file that breaks it", "code", "where", *self.extra]
            lines += [*self._table(names, broken, said), *self._table(["a valid file"], kept, said)]
        return "\n".join(lines) + "\n"

    def columns(self, vector: V, before: V | None) -> list[str]:
        """The cells of a vector's row, without what decoders said; `before` has the row above."""
        is_first = before is None or before.rule != vector.rule
        cells = [vector.rule.clause, vector.rule.says] if is_first else ["", ""]
        cells.append(vector.name)
        if (e := vector.expected) is not None:
            cells += [f"`{e.code}`", f"{e.element}, byte {e.byte}, bit {e.bit}"]
            cells += [text(vector) for text in self.extra.values()]
        return [cell.replace("|", "\\|") for cell in cells]

    def _table(
        self, names: Sequence[str], vectors: Sequence[V], said: dict[str, Sequence[str]]
    ) -> Iterator[str]:
        if not vectors:
            return
        titles = ["clause", "rule", *names, *self.decoders]
        yield ""
        yield f"| {' | '.join(titles)} |"
        yield "|" + "---|" * len(titles)
        above: V | None = None
        for vector in vectors:
            answers = [text.replace("|", "\\|") for text in said[vector.name]]
            yield f"| {' | '.join([*self.columns(vector, above), *answers])} |"
            above = vector

    def _counts(self, vectors: Sequence[V], said: dict[str, Sequence[str]]) -> Iterator[str]:
        groups: dict[str, list[Sequence[str]]] = {}
        for vector in vectors:
            group = "valid files"
            if vector.expected is not None:
                is_legal = self.is_unsupported(vector)
                group = "legal files that `check` does not read" if is_legal else "broken files"
            groups.setdefault(group, []).append(said[vector.name])
        yield f"| | {' | '.join(self.decoders)} |"
        yield "|---|" + "---|" * len(self.decoders)
        for group, rows in sorted(groups.items()):
            cells = []
            for i in range(len(self.decoders)):
                words = [row[i].partition(":")[0] for row in rows]
                cells.append(
                    ", ".join(f"{words.count(w)} {name}" for w, name in self.words.items())
                )
            yield f"| {len(rows)} {group} | {' | '.join(cells)} |"

    def renew(self) -> None:
        """Asks the decoders and writes the page."""
        text = self.render(self.ask(self.vectors()), self.versions())
        new = self.path.with_suffix(".new")
        new.write_text(text)
        new.replace(self.path)


AnyPage = Page[Any]
