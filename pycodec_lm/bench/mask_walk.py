"""Walks over the masks, without any model: whatever is chosen, a valid file must come out."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from .._core import CompiledGrammar, GrammarMatcher, allocate_token_bitmask
from ..errors import CodecLMError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "CHOOSERS",
    "BrokenWalkError",
    "Chooser",
    "MaskWalk",
    "WalkResult",
    "least_tokens",
    "legal_tokens",
    "prompt_of",
]

# How many legal tokens are tried to see what they lead to; all, where there are few.
_MAX_OUTCOMES = 32
# Mask and accept_token are compared for so many tokens, in one step of so many.
_COMPARED_TOKENS = 16
_COMPARED_STEPS = 50
_NUMBERS_OF_PLACE = re.compile(r"(scan|MCU|after MCU|of) \d+")


class BrokenWalkError(CodecLMError):
    """A promise of the matcher was broken; the message says which and where."""


@dataclass
class WalkResult:
    """How a walk ended."""

    stream: bytes
    n_tokens: int
    budget: int | None
    # Steps in which the budget forbade what would have been chosen without it; None: nobody looked.
    n_vetoed: int | None = None


class MaskWalk:
    """One walk of a matcher from the start to the stop token.

    Args:
        compiled: grammar and vocabulary.
        budget: `max_tokens` of the matcher, None for none.
        chooser: a name of CHOOSERS, or a function like those.
        seed: of all choices.
        watches_budget: chooses without the budget first, and counts how often that is forbidden.
        prompt: what it goes on from; by default the pinned header.
        stops_late: takes the stop token only where there is no other, for grammars under which a
            stream may end early.
    """

    def __init__(
        self,
        compiled: CompiledGrammar,
        budget: int | None,
        chooser: str | Chooser,
        seed: int,
        watches_budget: bool = False,
        prompt: bytes | None = None,
        stops_late: bool = False,
    ) -> None:
        self.rng = random.Random(seed)
        self.compiled = compiled
        self.budget = budget
        prompt = prompt_of(compiled) if prompt is None else prompt
        self.matcher = GrammarMatcher(compiled, max_tokens=budget, prompt=prompt)
        self.vocab = compiled.tokenizer_info.encoded_vocab
        choose = CHOOSERS[chooser] if isinstance(chooser, str) else chooser
        self._choose = _stopping_late(choose) if stops_late else choose
        self._bitmask = allocate_token_bitmask(1, compiled.vocab_size)
        self.free: GrammarMatcher | None = None  # the same walk, without the budget
        if watches_budget:
            self.free = GrammarMatcher(compiled, prompt=prompt)
        self._free_bitmask = allocate_token_bitmask(1, compiled.vocab_size)
        self._n_vetoed = 0
        self._pieces = [prompt]
        self._n_tokens = 0

    def run(self) -> WalkResult:
        """Walks to the end.

        Raises:
            BrokenWalkError: no token is legal before the end, the budget runs out, or mask and
                accept_token disagree.
        """
        while not self.matcher.is_terminated():
            self._step()
        n_vetoed = None if self.free is None else self._n_vetoed
        return WalkResult(b"".join(self._pieces), self._n_tokens, self.budget, n_vetoed)

    def _step(self) -> None:
        matcher = self.matcher
        if self.budget is not None and self._n_tokens == self.budget:
            raise self._broken("the budget is spent and the file is not complete")
        matcher.fill_next_token_bitmask(self._bitmask)
        legal = legal_tokens(self._bitmask)
        if not len(legal):
            raise self._broken("no token is legal: a dead end")
        if self.rng.randrange(_COMPARED_STEPS) == 0:
            self._compare(legal)
        token = (
            self._choose(self, legal)
            if self.free is None
            else self._choose_freely(self.free, legal)
        )
        if not matcher.accept_token(token):
            raise self._broken(f"token {token} is in the mask but was refused")
        if self.free is not None:
            self.free.accept_token(token)
        self._pieces.append(self.vocab[token])
        self._n_tokens += 1

    def _choose_freely(self, free: GrammarMatcher, legal: NDArray[np.intp]) -> int:
        """What is chosen without the budget, if the budget lets it."""
        free.fill_next_token_bitmask(self._free_bitmask)
        token = self._choose(self, legal_tokens(self._free_bitmask))
        if token in legal:
            return token
        self._n_vetoed += 1
        return self._choose(self, legal)

    def _compare(self, legal: NDArray[np.intp]) -> None:
        members = {*legal.tolist()}
        for token in self.rng.sample(range(self.compiled.vocab_size), _COMPARED_TOKENS):
            if self.matcher.fork().accept_token(token) != (token in members):
                raise self._broken(f"mask and accept_token disagree about token {token}")

    def _broken(self, what: str) -> BrokenWalkError:
        done = b"".join(self._pieces)
        return BrokenWalkError(
            f"{what}, after {self._n_tokens} tokens ({len(done)} bytes,"
            f" ...{done[-8:].hex(' ')}) at {self.matcher.describe()}"
        )


def prompt_of(compiled: CompiledGrammar) -> bytes:
    """The pinned header of a grammar, which no token spells; b"" where there is none."""
    return compiled.grammar.header


def least_tokens(compiled: CompiledGrammar) -> int:
    """Tokens of the shortest file, its pinned header not counted."""
    matcher = GrammarMatcher(compiled, prompt=prompt_of(compiled))
    return matcher.min_tokens_to_complete()


def legal_tokens(bitmask: NDArray[np.int32]) -> NDArray[np.intp]:
    """The ids whose bits are set in a bitmask of one row."""
    return np.flatnonzero(np.unpackbits(bitmask.view(np.uint8), bitorder="little"))


def _stopping_late(choose: Chooser) -> Chooser:
    """Chooses among tokens that are not the stop token, if there are any."""

    def choose_late(walk: MaskWalk, legal: NDArray[np.intp]) -> int:
        others = np.setdiff1d(legal, walk.compiled.tokenizer_info.stop_token_ids)
        return choose(walk, others if len(others) else legal)

    return choose_late


def _any_token(walk: MaskWalk, legal: NDArray[np.intp]) -> int:
    return int(legal[walk.rng.randrange(len(legal))])


def _highest_token(walk: MaskWalk, legal: NDArray[np.intp]) -> int:  # noqa: ARG001
    return int(legal[-1])


def _lowest_byte(walk: MaskWalk, legal: NDArray[np.intp]) -> int:
    return int(min(legal, key=lambda token: walk.vocab[token]))


def _any_outcome(walk: MaskWalk, legal: NDArray[np.intp]) -> int:
    """First what happens, then a token that makes it happen.

    What happens is where the token leads: the next syntax element, and in a scan the block and the
    coefficient; for numbers of the header their size. So an EOI is as likely as a COM, a block's
    end as any other symbol, and a segment of 10 bytes as one of 1000.
    """
    tokens = legal.tolist()
    if len(tokens) > _MAX_OUTCOMES:
        tokens = walk.rng.sample(tokens, _MAX_OUTCOMES)
        # Zero and the rarest byte, FF, lead where others do not.
        tokens += [token for token in (int(legal[0]), int(legal[-1])) if token not in tokens]
    outcomes: dict[tuple[str, int], list[int]] = {}
    for token in tokens:
        fork = walk.matcher.fork()
        if not fork.accept_token(token):
            raise walk._broken(f"token {token} is in the mask but was refused")
        place = fork.describe()
        magnitude = 0
        if "coefficient" not in place:
            magnitude = int.from_bytes(walk.vocab[token][-1:], "big").bit_length()
        outcome = (_NUMBERS_OF_PLACE.sub(r"\1", place), magnitude)
        outcomes.setdefault(outcome, []).append(token)
    return walk.rng.choice(walk.rng.choice([*outcomes.values()]))


Chooser: TypeAlias = "Callable[[MaskWalk, NDArray[np.intp]], int]"

CHOOSERS: dict[str, Chooser] = {
    "token": _any_token,
    "outcome": _any_outcome,
    "highest": _highest_token,
    "lowest": _lowest_byte,
}
