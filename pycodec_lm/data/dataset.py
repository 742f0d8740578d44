"""From packed shards to training batches: seeded order, annotations, padding.

Shape suffixes: B samples of a batch, T positions, F annotation columns, C conditions.
"""
# ruff: noqa: N806, N815  # names carry the shape of their tensor

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pycodec_lm.data.shards import DatasetMeta, Split
from pycodec_lm.errors import UsageError
from pycodec_lm.models.config import ANNOTATION_SIZES
from pycodec_lm.tokenizer import ByteTokenizer

__all__ = ["IGNORED", "Annotate", "Batch", "BatchSampler", "Samples", "grammar_annotator"]

# Label of padding, as torch's cross entropy spells it.
IGNORED = -100

# Batches that are sorted by length together: enough to make padding small, few enough that the
# lengths met in a stretch of training are mixed.
_BUCKET_BATCHES = 32

# ids of one body [n] -> where the grammar stands before each of them and at the end [n + 1, F].
Annotate = Callable[[NDArray[Any]], NDArray[np.uint8]]


def grammar_annotator(meta: DatasetMeta, tokenizer: ByteTokenizer) -> Annotate:
    """The annotations of a dataset's own grammar, the pinned header already read.

    Raises:
        UsageError: the dataset has no grammar.
    """
    from pycodec_lm import annotate_ids, compile_grammar
    from pycodec_lm.grammars import grammar_of_codec

    if meta.grammar_bytes is None:
        raise UsageError("codec_inputs need a dataset with a grammar; set model.codec_inputs=false")
    grammar = grammar_of_codec(meta.codec, meta.grammar_bytes)
    compiled = compile_grammar(grammar, tokenizer.info())

    def annotator(ids: NDArray[Any]) -> NDArray[np.uint8]:
        return annotate_ids(compiled, ids, prompt=meta.header).astype(np.uint8)

    return annotator


@dataclass(frozen=True, slots=True)
class Batch:
    """Inputs and labels of one step.

    tokens_BT: int64, <bos> and the body, then padding; labels_BT: the body and <eos>, then IGNORED;
    annotations_BTF: uint8 or None; conditions_BC: int64; flat_BT: int64, the place of each label
    in the arrays of `Samples`; n_labels: labels that are not padding.
    """

    tokens_BT: Tensor
    labels_BT: Tensor
    annotations_BTF: Tensor | None
    conditions_BC: Tensor
    flat_BT: Tensor
    n_labels: int


class Samples:
    """Samples packed into flat tensors on one device, from which batches are gathered.

    Args:
        split: where they come from.
        rows: which of them, in this order; None = all.
        meta: ids of the specials.
        annotate: None for a model without codec inputs.
        device: where the tensors live; batches appear there too.
        progress: wraps the loop over the rows (a progress bar).

    Attributes:
        labels: int32 [n_labels], body and <eos> of each sample, one after the other.
        annotations: uint8 [n_labels, F] or None: where the grammar stands before each label.
        starts: int64 [n + 1] (numpy), the first label of each sample.
    """

    def __init__(
        self,
        split: Split,
        rows: Sequence[int] | NDArray[np.int64] | None,
        meta: DatasetMeta,
        annotate: Annotate | None,
        *,
        device: torch.device | str = "cpu",
        progress: Callable[[Iterable[int]], Iterable[int]] = iter,
    ) -> None:
        wanted = np.arange(len(split)) if rows is None else np.asarray(rows, dtype=np.int64)
        self._meta = meta
        self.device = torch.device(device)
        self.starts = np.concatenate(([0], np.cumsum(split.lengths[wanted] + 1))).astype(np.int64)
        labels = np.full(self.starts[-1], meta.eos_id, dtype=np.int32)
        annotations = None
        if annotate is not None:
            annotations = np.zeros((len(labels), len(ANNOTATION_SIZES)), dtype=np.uint8)
        for place, row in enumerate(progress(wanted.tolist())):
            start, end = self.starts[place : place + 2]
            ids = split.tokens(row)
            labels[start : end - 1] = ids
            if annotations is not None and annotate is not None:
                annotations[start:end] = annotate(ids)
        self.labels = torch.from_numpy(labels).to(self.device)
        self.annotations = None
        if annotations is not None:
            self.annotations = torch.from_numpy(annotations).to(self.device)
        self._starts = torch.from_numpy(self.starts).to(self.device)
        self._conditions = torch.from_numpy(split.conditions[wanted].astype(np.int64)).to(
            self.device
        )

    def __len__(self) -> int:
        return len(self.starts) - 1

    @staticmethod
    def n_bytes(split: Split, with_annotations: bool) -> int:
        """Memory that all samples of a split take."""
        n_labels = int(split.lengths.sum()) + len(split)
        return n_labels * (4 + (len(ANNOTATION_SIZES) if with_annotations else 0))

    def batch(self, rows: NDArray[np.int64], pad_multiple: int = 1) -> Batch:
        """Gathers samples, padded on the right to the longest, rounded up to a multiple."""
        # The shape is computed on the host, so that no device has to be waited for.
        lengths = self.starts[rows + 1] - self.starts[rows]
        n_columns = -(-int(lengths.max()) // pad_multiple) * pad_multiple
        rows_B = torch.from_numpy(rows).to(self.device)
        starts_B1 = self._starts[rows_B][:, None]
        lengths_B1 = self._starts[rows_B + 1][:, None] - starts_B1
        columns_T = torch.arange(n_columns, device=self.device)
        valid_BT = columns_T < lengths_B1
        flat_BT = starts_B1 + torch.minimum(columns_T, lengths_B1 - 1)
        labels_BT = self.labels[flat_BT].long()
        tokens_BT = torch.full_like(labels_BT, self._meta.bos_id)
        tokens_BT[:, 1:] = torch.where(valid_BT[:, 1:], labels_BT[:, :-1], self._meta.pad_id)
        return Batch(
            tokens_BT=tokens_BT,
            labels_BT=torch.where(valid_BT, labels_BT, IGNORED),
            annotations_BTF=None if self.annotations is None else self.annotations[flat_BT],
            conditions_BC=self._conditions[rows_B],
            flat_BT=flat_BT,
            n_labels=int(lengths.sum()),
        )


class BatchSampler:
    """Endless batches of sample numbers; each epoch is a seeded shuffle, bucketed by length.

    The order of an epoch is a function of (seed, epoch), so `state()` is two numbers and a resumed
    run draws exactly the samples that an undisturbed one draws.

    Args:
        lengths: tokens of each sample.
        batch_size: samples of a batch; the last one of an epoch may be smaller.
        seed: of the order.
    """

    def __init__(self, lengths: NDArray[np.int64], batch_size: int, seed: int) -> None:
        if batch_size < 1:
            raise UsageError(f"batch_size = {batch_size}, must be at least 1")
        if len(lengths) == 0:
            raise UsageError("there is no sample to draw from")
        self._lengths, self._batch_size, self._seed = lengths, batch_size, seed
        self._epoch, self._position = 0, 0
        self._batches = self._shuffle()

    @property
    def epoch(self) -> int:
        """Number of the current epoch, from 0."""
        return self._epoch

    def _shuffle(self) -> list[NDArray[np.int64]]:
        random = np.random.default_rng([self._seed, self._epoch])
        order = random.permutation(len(self._lengths))
        batches = []
        bucket_size = self._batch_size * _BUCKET_BATCHES
        for first in range(0, len(order), bucket_size):
            bucket = order[first : first + bucket_size]
            bucket = bucket[np.argsort(self._lengths[bucket], kind="stable")]
            batches += [
                bucket[start : start + self._batch_size]
                for start in range(0, len(bucket), self._batch_size)
            ]
        return [batches[place] for place in random.permutation(len(batches))]

    def next(self) -> NDArray[np.int64]:
        """Sample numbers of the next batch."""
        if self._position == len(self._batches):
            self._epoch, self._position = self._epoch + 1, 0
            self._batches = self._shuffle()
        self._position += 1
        return self._batches[self._position - 1]

    def state(self) -> dict[str, int]:
        """Where the sampler stands; `load_state` of an equal sampler goes on from there."""
        return {
            "epoch": self._epoch,
            "position": self._position,
            "seed": self._seed,
            "batch_size": self._batch_size,
            "n_samples": len(self._lengths),
        }

    def load_state(self, state: dict[str, int]) -> None:
        """Raises UsageError when the state is that of other data or another batch size."""
        mine = self.state()
        for name in ("seed", "batch_size", "n_samples"):
            if state[name] != mine[name]:
                raise UsageError(
                    f"the run to resume had {name} = {state[name]}, this one has {mine[name]}"
                )
        self._epoch, self._position = state["epoch"], state["position"]
        self._batches = self._shuffle()
