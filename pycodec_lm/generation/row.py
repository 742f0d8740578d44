"""One file in the making: where its grammar stands, and what the model has yet to see."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pycodec_lm import _core
from pycodec_lm.check import check
from pycodec_lm.errors import UsageError
from pycodec_lm.generation.result import GeneratedFile
from pycodec_lm.tokenizer import ByteTokenizer

__all__ = ["EMPTY_CHUNK", "Chunk", "OnBytes", "Plan", "Request", "Row"]

OnBytes = Callable[[int, bytes], None]


@dataclass(frozen=True, slots=True)
class Request:
    """What one file shall be.

    Args:
        index: its place in the order of the call.
        seed: of its random numbers.
        conditions: class numbers, one for each condition of the model.
        label: how these are called.
        prompt: the bytes that it starts with, after the pinned header.
    """

    index: int
    seed: int
    conditions: tuple[int, ...] = ()
    label: str = ""
    prompt: bytes = b""


@dataclass(frozen=True, slots=True)
class Plan:
    """What all files of a call share.

    Args:
        compiled: grammar and vocabulary.
        tokenizer: the vocabulary again; it spells prompts and names the specials.
        max_tokens: the budget of each file, prompt not included; None for all that the model has
            positions for.
        max_positions: how many positions the model has.
        mask: False to let the model write what it likes.
        on_bytes: hears (index, bytes) of the file as they become certain.
    """

    compiled: _core.CompiledGrammar
    tokenizer: ByteTokenizer
    max_tokens: int | None
    max_positions: int
    mask: bool
    on_bytes: OnBytes | None


# The annotation of positions behind the break of a file without mask.
_NOWHERE = np.zeros(8, np.int16)


class Chunk(NamedTuple):
    """Tokens to show to the model, at consecutive positions."""

    tokens: list[int]
    annotations: list[NDArray[np.int16]]
    first_position: int
    conditions: tuple[int, ...]


EMPTY_CHUNK = Chunk([], [], 0, ())


class Row:
    """A file in the making.

    Attributes:
        request: what was asked for.
        matcher: where the grammar stands, the budget included; None once a file without mask broke.
        without_budget: the same without the budget; without a mask it is the same.
        tokens: what was written so far.
        pending: tokens that the model has not seen.
        is_finished: nothing will be added any more.
        ended_by_budget: as in `GeneratedFile`.

    Raises:
        UsageError: the prompt begins no file, or the budget is too small or too large.
    """

    def __init__(self, request: Request, plan: Plan) -> None:
        self.request = request
        self._plan = plan
        prompt_ids = plan.tokenizer.encode(request.prompt)
        self._max_tokens = _budget(plan, len(prompt_ids))
        header = plan.compiled.grammar.header
        start = header + request.prompt
        self.without_budget = _core.GrammarMatcher(plan.compiled, prompt=start)
        self.matcher: _core.GrammarMatcher | None = self.without_budget
        if plan.mask:
            self.matcher = _core.GrammarMatcher(
                plan.compiled, max_tokens=self._max_tokens, prompt=start
            )
        self._stream = bytearray(start)
        self._n_told = 0
        self.tokens: list[int] = []
        self._log_probs: list[float] = []
        self._log_zs: list[float] = []
        self._n_forced = 0
        self._n_vetoed = 0
        self.ended_by_budget = False
        self.is_finished = False
        self.pending = [plan.tokenizer.bos_id, *prompt_ids]
        self._annotations = [
            *_core.annotate_ids(plan.compiled, np.array(prompt_ids, np.int32), prompt=header)
        ]
        self._n_fed = 0
        self._take_forced()
        self._tell()

    def pop_pending(self, limit: int) -> Chunk:
        """Takes the next tokens to show to the model out of `pending`, at most `limit`."""
        chunk = Chunk(
            self.pending[:limit], self._annotations[:limit], self._n_fed, self.request.conditions
        )
        del self.pending[:limit], self._annotations[:limit]
        self._n_fed += len(chunk.tokens)
        return chunk

    def take(self, token: int, vetoed: bool, log_prob: float, log_z: float) -> None:
        """Adds the token that was drawn, and those that follow from it.

        Args:
            token: the token.
            vetoed: whether the same random number gives an illegal one without the mask.
            log_prob, log_z: as in `GeneratedFile`.
        """
        self._n_vetoed += vetoed and self.matcher is not None
        if self._plan.mask:
            self._accept(token)
        elif self.matcher is None:
            log_z = math.nan
        elif not self.matcher.accept_token(token):
            self.matcher = None
        self._add(token, log_prob, log_z)
        if self._plan.mask:
            self._take_forced()
        elif not self.is_finished and len(self.tokens) == self._max_tokens:
            self.is_finished = self.ended_by_budget = True
        self._tell()

    def _accept(self, token: int) -> None:
        for matcher in (self.matcher, self.without_budget):
            if matcher is None or not matcher.accept_token(token):
                raise RuntimeError(f"token {token} was in the mask, but the matcher refuses it")

    def _add(self, token: int, log_prob: float, log_z: float) -> None:
        self.tokens.append(token)
        self._log_probs.append(log_prob)
        self._log_zs.append(log_z)
        self._stream += self._plan.tokenizer.encoded_vocab[token]
        self.is_finished = token == self._plan.tokenizer.eos_id
        self.pending.append(token)
        self._annotations.append(_NOWHERE if self.matcher is None else self.matcher.annotation())

    def _take_forced(self) -> None:
        """Takes what the grammar leaves no choice in, without asking the model."""
        matcher = self.matcher
        if not self._plan.mask or self.is_finished or matcher is None:
            return
        for token in matcher.find_jump_forward_tokens():
            self._force(token)
        if matcher.is_completed() and self._is_only_choice(self._plan.tokenizer.eos_id):
            self._force(self._plan.tokenizer.eos_id)

    def _force(self, token: int) -> None:
        self._accept(token)
        self._add(token, 0.0, 0.0)
        self._n_forced += 1

    def _is_only_choice(self, token: int) -> bool:
        """Whether the grammar, whatever the budget says, allows this token and no other."""
        bitmask = _core.allocate_token_bitmask(1, self._plan.compiled.vocab_size)
        self.without_budget.fill_next_token_bitmask(bitmask)
        words = bitmask[0].view(np.uint32)
        return bool(words[token // 32] == 1 << token % 32 and np.count_nonzero(words) == 1)

    def _tell(self) -> None:
        """Hands out the bytes of the file that are new."""
        on_bytes = self._plan.on_bytes
        if on_bytes is not None:
            data = self._file()
            if len(data) > self._n_told:
                on_bytes(self.request.index, data[self._n_told :])
                self._n_told = len(data)

    def _file(self) -> bytes:
        try:
            return self._plan.compiled.grammar.to_file(self._stream)
        except UsageError:  # too short, or without mask too broken, to take outside tables
            return bytes(self._stream)

    def result(self) -> GeneratedFile:
        """The finished file."""
        data = self._file()
        return GeneratedFile(
            data=data,
            index=self.request.index,
            seed=self.request.seed,
            label=self.request.label,
            tokens=self.tokens,
            log_probs=self._log_probs,
            log_zs=self._log_zs,
            n_forced=self._n_forced,
            n_vetoed=self._n_vetoed,
            ended_by_budget=self.ended_by_budget,
            verdict=check(data),
        )


def _budget(plan: Plan, n_prompt_tokens: int) -> int:
    """How many tokens the file may have."""
    # A position for <bos> and one for each token but the last, which the model is never shown.
    most = plan.max_positions - n_prompt_tokens
    if plan.max_tokens is not None and plan.max_tokens <= most:
        return plan.max_tokens
    after = f" after a prompt of {n_prompt_tokens} tokens" if n_prompt_tokens else ""
    if most < 1:
        raise UsageError(f"the model has positions for {plan.max_positions} tokens: none{after}")
    if plan.max_tokens is not None:
        raise UsageError(
            f"max_tokens = {plan.max_tokens}, but the model has positions for {most} tokens{after}"
        )
    return most
