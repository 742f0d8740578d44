"""Static key/value cache whose rows may stand at different positions.

Shape suffixes: L layers, B rows, T new tokens, S slots, K key/value heads, N head width.
"""
# ruff: noqa: N803, N806, N815  # names carry the shape of their tensor

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from pycodec_lm import ops
from pycodec_lm.errors import UsageError
from pycodec_lm.models.config import TransformerConfig

# What a row's neighbours are must not change its logits, not even in the last bit, or the same seed
# would give another file. Masked slots add exact zeros, but how a matrix product groups its sums
# depends on its shape: measured with MKL and OpenMP on AVX2, products of fewer than 4 rows (a
# thread) take other kernels. So queries come in fours, steps have at least MIN_STEP_ROWS rows, and
# slots are read in whole multiples of 512, the block in which torch's attention goes through them.
_SLOT_MULTIPLE = 64
_READ_MULTIPLE = 512
_QUERY_MULTIPLE = 4
MIN_STEP_ROWS = 16


class KVCache:
    """Keys and values of the tokens seen so far, a fixed number of slots for each row.

    On a GPU a step looks at no position on the host: so it stalls nothing and can be held in a CUDA
    graph. Whether positions lie inside the cache shows in its logits only.

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
        # Whether the host looks at positions: for errors, and to read no slots behind the last.
        self.is_looked_at = device.type == "cpu"

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
    key_ranges: tuple[Tensor, Tensor]  # [B, T] each, T rounded up to whole fours
    lengths_B: Tensor | None  # slots that the first token of each row reads, if it is the only one
    is_outside_BT: Tensor | None  # tokens at no position of the cache, where the host did not look

    def attend(self, layer_idx: int, q_BHTN: Tensor, k_BKTN: Tensor, v_BKTN: Tensor) -> Tensor:
        """Stores a layer's new keys and values, and attends to all that may be read: [B, H, T, N].

        Where each row has one token, all others get zeros.
        """
        k_BKSN, v_BKSN = self._write_and_read(layer_idx, k_BKTN, v_BKTN)
        n_tokens = q_BHTN.shape[2]
        if self.lengths_B is not None:
            y_BHN = ops.attention_decode(q_BHTN[:, :, 0], k_BKSN, v_BKSN, self.lengths_B)
            assert isinstance(y_BHN, Tensor)
            return F.pad(y_BHN[:, :, None], (0, 0, 0, n_tokens - 1))
        # Queries that the ranges have beyond those of the call.
        q_BHTN = F.pad(q_BHTN, (0, 0, 0, self.key_ranges[0].shape[1] - n_tokens))
        y_BHTN = ops.attention(q_BHTN, k_BKSN, v_BKSN, key_ranges=self.key_ranges)
        assert isinstance(y_BHTN, Tensor)
        return y_BHTN[:, :, :n_tokens]

    def _write_and_read(
        self, layer_idx: int, k_BKTN: Tensor, v_BKTN: Tensor
    ) -> tuple[Tensor, Tensor]:
        read = []
        for stored_LBSKN, new_BKTN in (
            (self.cache.keys_LBSKN, k_BKTN),
            (self.cache.values_LBSKN, v_BKTN),
        ):
            stored_BSKN = stored_LBSKN[layer_idx]
            stored_BSKN[self.rows_B1, self.slots_BT] = new_BKTN.transpose(1, 2).to(
                stored_BSKN.dtype
            )
            read.append(stored_BSKN[:, : self.n_read].transpose(1, 2).to(new_BKTN.dtype))
        return read[0], read[1]


def plan_step(
    cache: KVCache, positions_BT: Tensor, valid_BT: Tensor | None, *, is_decoding: bool = False
) -> tuple[Tensor, CacheStep]:
    """Turns positions into slots and the slots that each may read.

    Args:
        cache, positions_BT, valid_BT: as in `Transformer.forward`.
        is_decoding: no row has a valid token behind the first.

    Returns:
        The positions, with those of padding and those outside the cache set to 0, and the step.

    Raises:
        UsageError: another number of rows than the cache, or, where the host looks at positions, a
            valid one outside the cache.
    """
    if valid_BT is not None:
        positions_BT = torch.where(valid_BT, positions_BT, 0)
    if positions_BT.shape[0] != cache.batch:
        raise UsageError(f"{positions_BT.shape[0]} rows for a cache of {cache.batch}")
    is_outside_BT = None
    if cache.is_looked_at:
        n_read = _checked_slots(cache, positions_BT)
    else:
        n_read = cache.n_slots
        is_outside_BT = (positions_BT < 0) | (positions_BT >= cache.max_len)
        positions_BT = torch.where(is_outside_BT, 0, positions_BT)
        valid_BT = ~is_outside_BT if valid_BT is None else valid_BT & ~is_outside_BT
    n_queries = -(-positions_BT.shape[1] // _QUERY_MULTIPLE) * _QUERY_MULTIPLE
    queries_BT = F.pad(positions_BT, (0, n_queries - positions_BT.shape[1]))
    step = CacheStep(
        cache=cache,
        rows_B1=torch.arange(cache.batch, device=positions_BT.device)[:, None],
        slots_BT=(
            positions_BT if valid_BT is None else torch.where(valid_BT, positions_BT, cache.n_slots)
        ),
        n_read=n_read,
        key_ranges=(torch.zeros_like(queries_BT), queries_BT + 1),
        lengths_B=positions_BT[:, 0] + 1 if is_decoding else None,
        is_outside_BT=is_outside_BT,
    )
    return positions_BT, step


def _checked_slots(cache: KVCache, positions_BT: Tensor) -> int:
    """How many slots to read, by a look at the positions.

    Raises:
        UsageError: one is outside the cache.
    """
    first, last = (int(value) for value in torch.aminmax(positions_BT))
    if first < 0 or last >= cache.max_len:
        worst = first if first < 0 else last
        raise UsageError(f"position {worst} is outside a cache of {cache.max_len} positions")
    return min((last // _READ_MULTIPLE + 1) * _READ_MULTIPLE, cache.n_slots)
