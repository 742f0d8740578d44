"""Hugging Face Transformers: `model.generate(logits_processor=[CodecLogitsProcessor(...)])`."""

from __future__ import annotations

from torch import Tensor
from transformers import LogitsProcessor

from pycodec_lm import _core, ops

__all__ = ["CodecLogitsProcessor"]


class CodecLogitsProcessor(LogitsProcessor):
    """Lets a model choose only tokens that keep its file valid and within the budget.

    Args:
        compiled: the grammar, compiled for the model's vocabulary.
        max_tokens: budget of generated tokens, the stop token included; give the call as many
            `max_new_tokens`.
        start: bytes that stand before the model's first token, such as a header it never writes.
            The bytes of the prompt's tokens follow them; special tokens stand for none.
    """

    supports_continuous_batching = False

    def __init__(
        self, compiled: _core.CompiledGrammar, *, max_tokens: int | None = None, start: bytes = b""
    ) -> None:
        self._compiled, self._max_tokens, self._start = compiled, max_tokens, start
        self._vocab = compiled.tokenizer_info.encoded_vocab
        self._seen: Tensor | None = None  # the ids of the last call
        self._matchers: list[_core.GrammarMatcher] = []  # and where each of its rows stands

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Masks the scores of one step."""
        parents = self._parents(input_ids)
        if parents is None:
            self._matchers = [self._new_matcher(row) for row in input_ids.tolist()]
        else:  # beams with a common parent go on from forks of one matcher
            self._matchers = [self._matchers[parent].fork() for parent in parents]
            for matcher, token in zip(self._matchers, input_ids[:, -1].tolist(), strict=True):
                matcher.accept_token(token)  # refuses, and so ignores, the padding of ended rows
        self._seen = input_ids
        bitmask = _core.allocate_token_bitmask(len(self._matchers), self._compiled.vocab_size)
        _core.BatchGrammarMatcher(self._matchers).batch_fill_next_token_bitmask(bitmask)
        return ops.apply_token_bitmask(scores, bitmask)

    def _parents(self, ids: Tensor) -> list[int] | None:
        """The row of the last call that each row goes on from; None where new texts begin."""
        if self._seen is None or ids.shape[1] != self._seen.shape[1] + 1:
            return None
        is_parent = (ids[:, None, :-1] == self._seen).all(dim=-1)
        return is_parent.int().argmax(dim=1).tolist() if is_parent.any(dim=1).all() else None

    def _new_matcher(self, prompt: list[int]) -> _core.GrammarMatcher:
        data = self._start + b"".join(self._vocab[token] for token in prompt)
        return _core.GrammarMatcher(self._compiled, max_tokens=self._max_tokens, prompt=data)
