"""Static key/value cache whose rows may stand at different positions.

Shape suffixes: L layers, B rows, T new tokens, S slots, K key/value heads, N head width.
"""
# ruff: noqa: N803, N806, N815  # names carry the shape of their tensor

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from pycodec_lm.errors import UsageError
from pycodec_lm.models.config import TransformerConfig

# What a row's neighbours are must not change its logits, not even in the last bit, or the same seed
# would give another file. Masked slots add exact zeros, but how a matrix product groups its sums
# depends on its shape: measured with MKL and OpenMP on AVX2, products of fewer than 4 rows (a
# thread) take other kernels. So queries come in fours, steps have at least MIN_STEP_ROWS rows, and
# slots are read in whole multiples of 64.
_SLOT_MULTIPLE = 64
_QUERY_MULTIPLE = 4
MIN_STEP_ROWS = 16


class KVCache:
    """Keys and values of the tokens seen so far, a fixed number of slots for each row.

    A token at position p of a row is written into slot p, and a query at position p reads the slots
    0..p of its row. Nothing else is remembered: rows stand at different positions freely, and going
    back is calling `step` again with smaller positions.
    """

    def __init__(
        self,
        config: TransformerConfig,
        batch: int,
        max_len: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.max_len = max_len
        self.n_slots = -(-max_len // _SLOT_MULTIPLE) * _SLOT_MULTIPLE
        # One slot more takes what invalid tokens write, so that no row needs a branch.
        shape = (config.n_layers, batch, self.n_slots + 1, config.kv_heads, config.head_dim)
        self.keys_LBSKN = torch.zeros(shape, device=device, dtype=dtype)
        self.values_LBSKN = torch.zeros(shape, device=device, dtype=dtype)

    @property
    def batch(self) -> int:
        """Number of rows."""
        return self.keys_LBSKN.shape[1]

    def select(self, rows: Tensor) -> None:
        """Keeps the given rows, in the given order (repeats allowed): beams, finished rows."""
        self.keys_LBSKN = self.keys_LBSKN.index_select(1, rows)
        self.values_LBSKN = self.values_LBSKN.index_select(1, rows)


@dataclass(frozen=True, slots=True)
class CacheStep:
    """Where one call writes and what it may read; the same for all layers."""

    cache: KVCache
    rows_B1: Tensor
    slots_BT: Tensor
    n_read: int
    mask_B1TS: Tensor  # T rounded up to whole fours

    def pad_queries(self, q_BTHN: Tensor) -> Tensor:
        """Adds the queries that the mask has beyond those of the call."""
        return F.pad(q_BTHN, (0, 0, 0, 0, 0, self.mask_B1TS.shape[2] - q_BTHN.shape[1]))

    def write_and_read(
        self, layer_idx: int, k_BTKN: Tensor, v_BTKN: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Stores a layer's new keys and values; returns all that may be read, [B, S, K, N]."""
        read = []
        for stored_LBSKN, new_BTKN in (
            (self.cache.keys_LBSKN, k_BTKN),
            (self.cache.values_LBSKN, v_BTKN),
        ):
            stored_BSKN = stored_LBSKN[layer_idx]
            stored_BSKN[self.rows_B1, self.slots_BT] = new_BTKN.to(stored_BSKN.dtype)
            read.append(stored_BSKN[:, : self.n_read].to(new_BTKN.dtype))
        return read[0], read[1]


def plan_step(
    cache: KVCache, positions_BT: Tensor, valid_BT: Tensor | None
) -> tuple[Tensor, CacheStep]:
    """Turns positions into slots and an attention mask.

    Returns:
        The positions, with those of padding set to 0, and the step.

    Raises:
        UsageError: a valid position outside the cache, or another number of rows than the cache.
    """
    if valid_BT is not None:
        positions_BT = torch.where(valid_BT, positions_BT, 0)
    if positions_BT.shape[0] != cache.batch:
        raise UsageError(f"{positions_BT.shape[0]} rows for a cache of {cache.batch}")
    first, last = (int(value) for value in torch.aminmax(positions_BT))
    if first < 0 or last >= cache.max_len:
        worst = first if first < 0 else last
        raise UsageError(f"position {worst} is outside a cache of {cache.max_len} positions")
    n_queries = -(-positions_BT.shape[1] // _QUERY_MULTIPLE) * _QUERY_MULTIPLE
    queries_BT = F.pad(positions_BT, (0, n_queries - positions_BT.shape[1]))
    n_read = (last // _SLOT_MULTIPLE + 1) * _SLOT_MULTIPLE
    slots_S = torch.arange(n_read, device=positions_BT.device)
    step = CacheStep(
        cache=cache,
        rows_B1=torch.arange(cache.batch, device=positions_BT.device)[:, None],
        slots_BT=(
            positions_BT if valid_BT is None else torch.where(valid_BT, positions_BT, cache.n_slots)
        ),
        n_read=n_read,
        mask_B1TS=(slots_S <= queries_BT[:, :, None])[:, None],
    )
    return positions_BT, step
