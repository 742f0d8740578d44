"""The generation loop: model step, mask, draw, matcher, until every file is whole.

Files are written in the slots of one key/value cache. When a file is whole its slot takes the next
one, and when none is waiting the batch shrinks. What a slot writes depends on its own request only:
the model's logits do not depend on the neighbours (pycodec_lm/models/kv_cache.py), random numbers
depend on seed and position, and everything else is done row by row.

Shape suffixes: B rows, T tokens of a chunk, F annotation columns (8), C conditions, V vocabulary.
"""
# ruff: noqa: N806  # names carry the shape of their tensor

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pycodec_lm import _core
from pycodec_lm.generation.result import GeneratedFile
from pycodec_lm.generation.row import EMPTY_CHUNK, Plan, Request, Row
from pycodec_lm.generation.sampling import (
    Logits,
    Sampling,
    are_allowed,
    draw,
    draw_beside_mask,
)
from pycodec_lm.models.transformer import KVCache, Transformer

__all__ = ["Engine"]

# A long prompt is read in pieces: attention's scores grow with the square of a piece.
_CHUNK_TOKENS = 512


class Engine:
    """Writes files with one model.

    Args:
        model: in evaluation mode.
        plan: what all files share.
        sampling: how tokens are chosen.
        batch: how many files are written at the same time.
        on_step: called with the number of tokens drawn in a step.
    """

    def __init__(
        self,
        model: Transformer,
        plan: Plan,
        sampling: Sampling,
        *,
        batch: int,
        on_step: Callable[[int], None] | None = None,
    ) -> None:
        self._model = model
        self._plan = plan
        self._sampling = sampling
        self._batch = batch
        self._on_step = on_step
        self._is_guided = sampling.cfg_scale != 1
        self._slots: list[Row | None] = []
        self._cache: KVCache

    def run(self, requests: Sequence[Request]) -> Iterator[GeneratedFile]:
        """Yields each file when it is whole, in the order in which they are finished."""
        waiting = deque(requests)
        if not waiting:
            return
        self._slots = [None] * min(self._batch, len(waiting))
        self._cache = self._new_cache(requests)
        while True:
            yield from self._fill_slots(waiting)
            if not any(self._slots):
                return
            if not waiting:
                self._shrink()
            self._step()
            for slot, row in enumerate(self._slots):
                if row is not None and row.is_finished:
                    self._slots[slot] = None
                    yield row.result()

    def _new_cache(self, requests: Sequence[Request]) -> KVCache:
        n_positions = self._plan.max_positions
        if self._plan.max_tokens is not None:
            # No prompt has more tokens than bytes.
            longest = max(len(request.prompt) for request in requests)
            n_positions = min(n_positions, longest + self._plan.max_tokens)
        n_rows = len(self._slots) * (2 if self._is_guided else 1)
        return self._model.new_cache(n_rows, n_positions)

    def _fill_slots(self, waiting: deque[Request]) -> Iterator[GeneratedFile]:
        for slot in range(len(self._slots)):
            while waiting and self._slots[slot] is None:
                row = Row(waiting.popleft(), self._plan)
                if row.is_finished:  # the grammar and the prompt left no choice at all
                    yield row.result()
                else:
                    self._slots[slot] = row

    def _shrink(self) -> None:
        """Drops empty slots once they are half of all, so that each file is copied rarely."""
        kept = [slot for slot, row in enumerate(self._slots) if row is not None]
        n_slots = len(self._slots)
        if 2 * len(kept) > n_slots:
            return
        rows = kept + [slot + n_slots for slot in kept] if self._is_guided else kept
        device = self._cache.keys_LBSKN.device
        self._cache.select(torch.tensor(rows, dtype=torch.int64, device=device))
        self._slots = [self._slots[slot] for slot in kept]

    @torch.inference_mode()
    def _step(self) -> None:
        """Shows the model what is new, and draws for every row of which it has seen everything."""
        conditional_BV, unconditional_BV = self._feed()
        ready = [(slot, row) for slot, row in enumerate(self._slots) if row and not row.pending]
        if not ready:
            return
        rows = [row for _, row in ready]
        # On a GPU the masks are made while the model is still at work.
        bitmask = self._masks([row.matcher for row in rows])
        slots = torch.tensor([slot for slot, _ in ready], device=conditional_BV.device)
        logits = Logits(
            conditional_BV[slots],
            None if unconditional_BV is None else unconditional_BV[slots],
            seeds=[row.request.seed for row in rows],
            steps=[len(row.tokens) for row in rows],
        )
        if self._plan.mask:
            self._note_budget(rows, bitmask, logits)
        draws = draw_beside_mask(logits, bitmask, self._sampling, mask=self._plan.mask)
        for row, token, vetoed, log_prob, log_z in zip(
            rows, draws.tokens, draws.vetoed, draws.log_probs, draws.log_zs, strict=True
        ):
            row.take(token, vetoed, log_prob, log_z)
        if self._on_step is not None:
            self._on_step(len(rows))

    def _masks(self, matchers: Sequence[_core.GrammarMatcher | None]) -> NDArray[np.int32]:
        """One bitmask a matcher; everything is allowed where a file without mask has broken."""
        bitmask = _core.allocate_token_bitmask(len(matchers), self._plan.compiled.vocab_size)
        living = [matcher for matcher in matchers if matcher is not None]
        if len(living) == len(matchers):
            _core.BatchGrammarMatcher(living).batch_fill_next_token_bitmask(bitmask)
        else:
            bitmask[:] = -1
            for row, matcher in enumerate(matchers):
                if matcher is not None:
                    matcher.fill_next_token_bitmask(bitmask, row)
        return bitmask

    def _note_budget(self, rows: Sequence[Row], bitmask: NDArray[np.int32], logits: Logits) -> None:
        """Tells rows whose draw the budget changes: only near its end do the two masks differ."""
        grammar_bitmask = self._masks([row.without_budget for row in rows])
        if np.array_equal(bitmask, grammar_bitmask):
            return
        wanted = draw(logits, self._sampling, grammar_bitmask).tokens.tolist()
        for row, is_allowed in zip(rows, are_allowed(bitmask, wanted), strict=True):
            if not is_allowed:
                row.ended_by_budget = True

    def _feed(self) -> tuple[Tensor, Tensor | None]:
        """One call of the model.

        Returns:
            logits_BV of all slots, with their conditions and, where they are guided, without;
            meaningless where nothing was fed.
        """
        config = self._model.config
        chunks = [row.pop_pending(_CHUNK_TOKENS) if row else EMPTY_CHUNK for row in self._slots]
        shape = (len(chunks), max(len(chunk.tokens) for chunk in chunks))
        tokens_BT = np.zeros(shape, np.int64)
        positions_BT = np.zeros(shape, np.int64)
        valid_BT = np.zeros(shape, np.bool_)
        annotations_BTF = np.zeros((*shape, 8), np.int64)
        conditions_BC = np.tile(np.array(config.null_conditions, np.int64), (shape[0], 1))
        for slot, chunk in enumerate(chunks):
            n_tokens = len(chunk.tokens)
            if n_tokens == 0:
                continue
            tokens_BT[slot, :n_tokens] = chunk.tokens
            positions_BT[slot, :n_tokens] = np.arange(n_tokens) + chunk.first_position
            valid_BT[slot, :n_tokens] = True
            annotations_BTF[slot, :n_tokens] = chunk.annotations
            conditions_BC[slot] = chunk.conditions
        inputs = [tokens_BT, annotations_BTF, positions_BT, valid_BT]
        if self._is_guided:
            inputs = [np.concatenate((x_BT, x_BT)) for x_BT in inputs]
            null_BC = np.tile(np.array(config.null_conditions, np.int64), (shape[0], 1))
            conditions_BC = np.concatenate((conditions_BC, null_BC))
        device = self._cache.keys_LBSKN.device
        tokens, annotations, positions, valid, conditions = (
            torch.from_numpy(x).to(device) for x in (*inputs, conditions_BC)
        )
        logits = self._model.step(tokens, annotations, positions, self._cache, valid, conditions)
        if not self._is_guided:
            return logits, None
        conditional_BV, unconditional_BV = logits.chunk(2)
        return conditional_BV, unconditional_BV
