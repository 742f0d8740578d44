"""The floor under every model: a table of counts, with no network at all.

The next token is counted in a context that the grammar's annotations give: in pictures component,
coefficient index, block in MCU, and MCU; in clips the syntax element and the bits of it that are
read, component, place in the macroblock, and macroblock. Contexts back off to coarser ones: at each
level, from none of these to all,

    p(token | context) = (n(context, token) + a * p_coarser(token)) / (n(context) + a),

with the weight a of the level chosen on a tenth of the training samples that the counts leave out;
then all are counted. A model has learned something when it is well below this.

Shape suffixes: P positions, V vocabulary, W words of a bitmask.
"""
# ruff: noqa: N803, N806  # names carry the shape of their tensor

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pycodec_lm.models.config import ANNOTATION_SIZES

__all__ = ["LEVELS", "CountTable", "Levels"]

Levels = tuple[tuple[int, ...], ...]

# Annotation columns of the levels, coarse to fine. By codec: component, coefficient index, block in
# MCU, MCU; and kind of element, bits read of it, component, index and block, macroblock.
LEVELS: dict[str, Levels] = {
    "jpeg": ((), (1, 5), (1, 5, 2), (1, 5, 2, 3, 4)),
    "avc": ((), (0,), (0, 6, 7), (0, 6, 7, 1, 5), (0, 6, 7, 1, 5, 2), (0, 6, 7, 1, 5, 2, 3, 4)),
}
_WEIGHTS = tuple(2.0**power for power in range(-4, 15))
# Finer levels whose dense table would be larger are left out (256 MiB of counts).
_MAX_CELLS = 1 << 26
# More possible contexts than this are sorted, not counted in a dense array.
_MAX_DENSE = 1 << 24
_CHUNK = 8192


@dataclass(frozen=True, slots=True)
class _Level:
    """Counts of one level; the last row is that of contexts never seen."""

    columns: tuple[int, ...]
    contexts: NDArray[np.int64]
    counts: NDArray[np.float32]
    totals: NDArray[np.float32]
    weight: float

    def rows(self, annotations_PF: NDArray[np.uint8]) -> NDArray[np.int64]:
        contexts = _context(annotations_PF, self.columns)
        places = np.searchsorted(self.contexts, contexts)
        places = np.minimum(places, len(self.contexts) - 1)
        return np.where(self.contexts[places] == contexts, places, len(self.contexts))


class CountTable:
    """Smoothed counts of the next token in its grammar context.

    Args:
        annotations_PF: uint8, where the grammar stands before each token of the training split.
        tokens_P: those tokens.
        held_out_P: bool, the positions on which smoothing is chosen.
        vocab_size: V.
        levels: annotation columns of the contexts, coarse to fine.
    """

    def __init__(
        self,
        annotations_PF: NDArray[np.uint8],
        tokens_P: NDArray[np.int32],
        held_out_P: NDArray[np.bool_],
        vocab_size: int,
        levels: Levels = LEVELS["jpeg"],
    ) -> None:
        self.vocab_size = vocab_size
        counted = (annotations_PF[~held_out_P], tokens_P[~held_out_P])
        asked = (annotations_PF[held_out_P], tokens_P[held_out_P])
        weights: list[float] = []
        coarser_P = np.full(len(asked[1]), 1.0 / vocab_size)
        for columns in levels:
            level = _count(*counted, columns, vocab_size, weight=0.0)
            if level is None:
                break
            rows_P = level.rows(asked[0])
            n_P, total_P = level.counts[rows_P, asked[1]], level.totals[rows_P]
            candidates = [(n_P + a * coarser_P) / (total_P + a) for a in _WEIGHTS]
            losses = [-np.log(p_P).sum() for p_P in candidates]
            best = int(np.argmin(losses))
            weights.append(_WEIGHTS[best])
            coarser_P = candidates[best]
        self._levels = [
            level
            for columns, weight in zip(levels, weights, strict=False)
            if (level := _count(annotations_PF, tokens_P, columns, vocab_size, weight)) is not None
        ]

    @property
    def n_contexts(self) -> int:
        """Contexts of the finest level that were seen."""
        return len(self._levels[-1].contexts)

    def probabilities(self, annotations_PF: NDArray[np.uint8]) -> NDArray[np.float64]:
        """p_PV of the next token; every row sums to one."""
        p_PV = np.full((len(annotations_PF), self.vocab_size), 1.0 / self.vocab_size)
        for level in self._levels:
            rows_P = level.rows(annotations_PF)
            totals_P1 = level.totals[rows_P][:, None] + level.weight
            p_PV = (level.counts[rows_P] + level.weight * p_PV) / totals_P1
        return p_PV

    def bits(
        self,
        annotations_PF: NDArray[np.uint8],
        tokens_P: NDArray[np.int32],
        legal_PW: NDArray[np.int32] | None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Cost of each token in bits: raw, and renormalised over the legal tokens.

        Args:
            annotations_PF, tokens_P: positions to judge.
            legal_PW: token bitmask of each position, as the matcher fills it; None = all legal.
        """
        raw_P, renormalised_P = np.zeros(len(tokens_P)), np.zeros(len(tokens_P))
        for first in range(0, len(tokens_P), _CHUNK):
            part = slice(first, first + _CHUNK)
            p_PV = self.probabilities(annotations_PF[part])
            p_P = p_PV[np.arange(len(p_PV)), tokens_P[part]]
            raw_P[part] = -np.log2(p_P)
            if legal_PW is None:
                renormalised_P[part] = raw_P[part]
            else:
                mass_P = np.where(unpack_bitmask(legal_PW[part], self.vocab_size), p_PV, 0).sum(1)
                renormalised_P[part] = -np.log2(p_P / mass_P)
        return raw_P, renormalised_P


def unpack_bitmask(legal_PW: NDArray[np.int32], vocab_size: int) -> NDArray[np.bool_]:
    """Bitmask words (least significant bit first) as booleans [P, V]."""
    bits = np.unpackbits(
        legal_PW.astype("<i4").view(np.uint8), axis=1, count=vocab_size, bitorder="little"
    )
    return bits.astype(np.bool_)


def _context(annotations_PF: NDArray[np.uint8], columns: tuple[int, ...]) -> NDArray[np.int64]:
    context_P = np.zeros(len(annotations_PF), dtype=np.int64)
    for column in columns:
        context_P = context_P * ANNOTATION_SIZES[column] + annotations_PF[:, column]
    return context_P


def _count(
    annotations_PF: NDArray[np.uint8],
    tokens_P: NDArray[np.int32],
    columns: tuple[int, ...],
    vocab_size: int,
    weight: float,
) -> _Level | None:
    context_P = _context(annotations_PF, columns)
    if math.prod(ANNOTATION_SIZES[column] for column in columns) > _MAX_DENSE:
        contexts, rows_P = np.unique(context_P, return_inverse=True)
    else:
        # Few enough for a dense array, which is faster than sorting them.
        is_seen = np.bincount(context_P, minlength=1) > 0
        contexts, rows_P = np.flatnonzero(is_seen), (np.cumsum(is_seen) - 1)[context_P]
    n_cells = (len(contexts) + 1) * vocab_size
    if n_cells > _MAX_CELLS:
        return None
    cells_P = rows_P * vocab_size + tokens_P
    counts = np.bincount(cells_P, minlength=n_cells).reshape(-1, vocab_size).astype(np.float32)
    return _Level(columns, contexts, counts, counts.sum(axis=1), weight)
