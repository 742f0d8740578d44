"""Inputs of the sampler that tests of both implementations share."""

import numpy as np
import torch


def logits_of(n_rows: int, n_tokens: int, seed: int = 0, *, kind: str = "spread") -> torch.Tensor:
    """float32 [n_rows, n_tokens]: spread, flat, peaked, or tied (few different values)."""
    rng = np.random.default_rng([seed, n_rows, n_tokens])
    values = rng.normal(size=(n_rows, n_tokens)) * {"flat": 0.01, "peaked": 15.0}.get(kind, 3.0)
    if kind == "tied":
        values = values.round()
    return torch.from_numpy(values).float()


def bitmask_of(n_rows: int, n_tokens: int, share: float, seed: int = 0) -> torch.Tensor:
    """int32 [n_rows, W]; token seed % n_tokens is allowed in every row."""
    rng = np.random.default_rng([seed, n_tokens])
    n_words = -(-n_tokens // 32)
    bits = rng.random((n_rows, n_words * 32)) < share
    bits[:, seed % n_tokens] = True
    return torch.from_numpy(np.packbits(bits, axis=1, bitorder="little").view(np.int32))


def keys_of(n_rows: int, seed: int = 0) -> dict[str, torch.Tensor]:
    """Seeds and steps, beyond 32 bits and negative ones among them."""
    rng = np.random.default_rng(seed)
    seeds, steps = rng.integers(-(2**63), 2**63, (2, n_rows))
    steps[::2] %= 1000
    return {"seeds": torch.from_numpy(seeds), "steps": torch.from_numpy(steps)}
