"""Everything a run reads: the dataset on its device, what is legal in it, and the count table."""
# ruff: noqa: N806  # names carry the shape of their tensor

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pycodec_lm.data.dataset import Annotate, Batch, Samples, grammar_annotator
from pycodec_lm.data.shards import Split, TokenDataset
from pycodec_lm.errors import UsageError
from pycodec_lm.training.counts import LEVELS, CountTable
from pycodec_lm.training.evaluate import LegalTokens, Score, score_counts

__all__ = ["Feed", "Floor", "Track", "untracked"]

# The count table sees at most so many training tokens; its figure has long settled by then.
_MAX_COUNTED_TOKENS = 1 << 25
_HELD_OUT_SHARE = 0.1

# Wraps a loop of some length in a progress bar with the given title.
Track = Callable[[Iterable[int], str], Iterable[int]]


def untracked(items: Iterable[int], title: str) -> Iterable[int]:  # noqa: ARG001
    """A `Track` that shows nothing."""
    return items


@dataclass(frozen=True, slots=True)
class Floor:
    """What models are measured against, in bits per sample of the validation split.

    file_bits: whole files; body_bits: their bodies, which are what a model is charged for.
    """

    table: Score | None
    file_bits: float
    body_bits: float


class Feed:
    """The samples of a dataset, ready for training and validation.

    Args:
        dataset: opened.
        codec_inputs: whether the model wants annotations; None = where there is a grammar.
        device: where batches appear.
        max_val_samples: validation uses at most so many, evenly spaced; 0 = no validation.
        memory_mb: a training split that takes more stays on disk.
        pad_multiple: batches are padded to whole multiples of it.
        track: shows the progress of the preparation.

    Raises:
        UsageError: no training sample; a grammar is needed and missing.
    """

    def __init__(
        self,
        dataset: TokenDataset,
        *,
        codec_inputs: bool | None,
        device: torch.device,
        max_val_samples: int,
        memory_mb: int,
        pad_multiple: int = 1,
        track: Track = untracked,
    ) -> None:
        self.meta, self.tokenizer = dataset.meta, dataset.tokenizer()
        if len(dataset.train) == 0:
            raise UsageError(f"{dataset.folder}: the dataset has no training sample")
        has_grammar = self.meta.grammar is not None
        if codec_inputs and not has_grammar:
            raise UsageError(
                f"{dataset.folder}: codec_inputs need a dataset with a grammar; "
                "set model.codec_inputs=false"
            )
        self.codec_inputs = has_grammar if codec_inputs is None else codec_inputs
        # Without codec inputs the count table still wants to know where the grammar stands.
        self._annotate: Annotate | None = None
        if has_grammar:
            self._annotate = grammar_annotator(self.meta, self.tokenizer)
        self._train, self._device, self._pad_multiple = dataset.train, device, pad_multiple
        self._track = track
        self._packed: Samples | None = None
        if Samples.n_bytes(dataset.train, self.codec_inputs) <= memory_mb << 20:
            self._packed = self._pack(dataset.train, None, "reading train")
        self.val: Samples | None = None
        self.legal: LegalTokens | None = None
        n_val = min(max_val_samples, len(dataset.val))
        if n_val:
            rows = np.linspace(0, len(dataset.val) - 1, n_val).round().astype(np.int64)
            self.val = self._pack(dataset.val, rows, "reading val")
            if has_grammar:
                self.legal = LegalTokens.of(self.val, self.meta, self.tokenizer)
        self._val_bytes = self.meta.raw_bytes.get("val", 0) / max(1, len(dataset.val))

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Body tokens of each training sample."""
        return self._train.lengths

    def _pack(self, split: Split, rows: NDArray[np.int64] | None, title: str) -> Samples:
        return Samples(
            split,
            rows,
            self.meta,
            self._annotate,
            device=self._device,
            progress=lambda items: self._track(items, title),
        )

    def batch(self, rows: NDArray[np.int64]) -> Batch:
        """The given training samples."""
        if self._packed is not None:
            return self._packed.batch(rows, self._pad_multiple)
        annotate = self._annotate if self.codec_inputs else None
        samples = Samples(self._train, rows, self.meta, annotate, device=self._device)
        return samples.batch(np.arange(len(rows)), self._pad_multiple)

    def floor(self, seed: int) -> Floor | None:
        """The count table and the sizes of the files, on the validation samples; None without."""
        if self.val is None:
            return None
        sizes = np.array([len(token) for token in self.tokenizer.encoded_vocab])
        body_bytes = sizes[self.val.labels.cpu().numpy()].sum() / len(self.val)
        table = None
        if self._annotate is not None:
            table = score_counts(self._count(seed), self.val, self.legal)
        return Floor(table, file_bits=8 * self._val_bytes, body_bits=float(8 * body_bytes))

    def _count(self, seed: int) -> CountTable:
        random = np.random.default_rng([seed, 2])
        order = random.permutation(len(self._train))
        n_tokens = np.cumsum(self._train.lengths[order] + 1)
        n_counted = max(1, int(np.searchsorted(n_tokens, _MAX_COUNTED_TOKENS, side="right")))
        counted = np.sort(order[:n_counted])
        samples = self._packed
        if samples is None:
            samples = self._pack(self._train, counted, "counting")
            counted = np.arange(len(samples))
        if samples.annotations is None:
            raise UsageError("a count table needs samples with annotations")
        lengths = np.diff(samples.starts)
        is_counted_P = np.repeat(np.isin(np.arange(len(samples)), counted), lengths)
        held_out = random.random(len(samples)) < _HELD_OUT_SHARE
        held_out[counted] &= not held_out[counted].all()
        return CountTable(
            samples.annotations.cpu().numpy()[is_counted_P],
            samples.labels.cpu().numpy()[is_counted_P],
            np.repeat(held_out, lengths)[is_counted_P],
            self.meta.vocab_size,
            LEVELS[self.meta.codec],
        )
