"""Other people's kernels for the same results: an adapter each, for where they are installed.

An adapter takes the inputs of a case and gives what ours gives, without a copy that theirs does not
need. What it raises is shown in the table; a peer that is not installed is named there.

Letters: B rows, H query heads, K key/value heads, S queries, T keys, D head width.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from torch import Tensor

__all__ = [
    "PACKAGES",
    "attention_peers",
    "bitmask_peers",
    "decode_peers",
    "entropy_peers",
    "peer_note",
    "sampling_peers",
]

# How the packages are imported, and what they are called where they are installed from.
PACKAGES = {
    "flash_attn": "flash-attn",
    "flashinfer": "flashinfer-python",
    "xgrammar": "xgrammar",
    "vector_quantize_pytorch": "vector-quantize-pytorch",
}
_NEED_GPU = ("flash_attn", "flashinfer")
# Slots of a page; any number that divides the cache will do, since it lies in one piece.
_PAGE = 16
_WORKSPACE_BYTES = 128 << 20

Run = Callable[[Any], Any]


def peer_note() -> str:
    """Which peers are timed, and which are not there."""
    found = {name: importlib.util.find_spec(name) is not None for name in PACKAGES}
    there = [f"{PACKAGES[n]} {_version(PACKAGES[n])}" for n, is_there in found.items() if is_there]
    missing = [PACKAGES[name] for name, is_there in found.items() if not is_there]
    note = f"peers beside torch: {', '.join(there) or 'none'}"
    return note + (f"; not installed: {', '.join(missing)}" if missing else "")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "of unknown version"


def _has(package: str) -> bool:
    if package in _NEED_GPU and not torch.cuda.is_available():
        return False
    return importlib.util.find_spec(package) is not None


def attention_peers(*, causal: bool, n_rows: int, has_backward: bool) -> dict[str, Run]:
    """Of (q, k, v), each [B, H, S, D]: the output."""
    peers: dict[str, Run] = {}
    if _has("flash_attn"):

        def flash(tensors: Any) -> Tensor:
            q, k, v = (x.transpose(1, 2) for x in tensors)
            attend: Any = importlib.import_module("flash_attn").flash_attn_func
            out: Tensor = attend(q, k, v, causal=causal)
            return out.transpose(1, 2)

        peers["flash-attn"] = flash
    # It takes one sequence, and has no gradients.
    if _has("flashinfer") and n_rows == 1 and not has_backward:

        def infer(tensors: Any) -> Tensor:
            q, k, v = (x[0].transpose(0, 1) for x in tensors)
            attend: Any = importlib.import_module("flashinfer").single_prefill_with_kv_cache
            out: Tensor = attend(q, k, v, causal=causal)
            return out.transpose(0, 1)[None]

        peers["flashinfer"] = infer
    return peers


def decode_peers() -> dict[str, Run]:
    """Of (q [B, H, D], k, v, lengths), caches [B, K, T, D] that are dense as [B, T, K, D]."""
    peers: dict[str, Run] = {}
    if _has("flash_attn"):

        def flash(inputs: Any) -> Tensor:
            q, k, v, lengths = inputs
            attend: Any = importlib.import_module("flash_attn").flash_attn_with_kvcache
            caches = (x.transpose(1, 2) for x in (k, v))
            out: Tensor = attend(q[:, None], *caches, cache_seqlens=lengths.int())
            return out[:, 0]

        peers["flash-attn"] = flash
    if _has("flashinfer"):
        peers["flashinfer"] = _PagedDecode()
    return peers


class _PagedDecode:
    """flashinfer's decoding of pages; its plan is made once, as its users do for a step."""

    def __init__(self) -> None:
        self._planned: Any = None

    def __call__(self, inputs: Any) -> Tensor:
        q, k, v, _ = inputs  # all rows are full
        if self._planned is None:
            self._planned = self._plan(q, k)
        n_rows, n_shared, n_slots, width = k.shape
        pages = (n_rows * n_slots // _PAGE, _PAGE, n_shared, width)
        caches = tuple(x.transpose(1, 2).view(pages) for x in (k, v))
        out: Tensor = self._planned.run(q, caches)
        return out

    @staticmethod
    def _plan(q: Tensor, k: Tensor) -> Any:
        n_rows, n_shared, n_slots, width = k.shape
        n_pages, device = n_slots // _PAGE, q.device
        workspace = torch.empty(_WORKSPACE_BYTES, dtype=torch.uint8, device=device)
        flashinfer: Any = importlib.import_module("flashinfer")
        wrapper = flashinfer.BatchDecodeWithPagedKVCacheWrapper(workspace, "NHD")
        wrapper.plan(
            torch.arange(n_rows + 1, dtype=torch.int32, device=device) * n_pages,
            torch.arange(n_rows * n_pages, dtype=torch.int32, device=device),
            torch.full((n_rows,), _PAGE, dtype=torch.int32, device=device),
            q.shape[1],
            n_shared,
            width,
            _PAGE,
            q_data_type=q.dtype,
            kv_data_type=k.dtype,
        )
        return wrapper


def sampling_peers(top_k: int, top_p: float) -> dict[str, Run]:
    """Of logits [B, V]: tokens by top-k and then top-p, nothing else."""
    if not _has("flashinfer"):
        return {}

    def infer(logits: Tensor) -> Tensor:
        sampling: Any = importlib.import_module("flashinfer.sampling")
        tokens: Tensor = sampling.top_k_top_p_sampling_from_logits(
            logits, top_k, top_p, filter_apply_order="top_k_first"
        )
        return tokens.long()

    return {"flashinfer": infer}


def bitmask_peers() -> dict[str, Run]:
    """Of (logits, bitmask): the same logits, masked."""
    if not _has("xgrammar"):
        return {}
    backends = ("cuda", "triton") if torch.cuda.is_available() else ("cpu",)

    def masked(backend: str) -> Run:
        def run(inputs: Any) -> Tensor:
            apply: Any = importlib.import_module("xgrammar").apply_token_bitmask_inplace
            apply(*inputs, backend=backend)
            logits: Tensor = inputs[0]
            return logits

        return run

    return {f"xgrammar, {backend}": masked(backend) for backend in backends}


def entropy_peers(n_channels: int, temperature: float) -> dict[str, Run]:
    """Of z [N, D]: the entropy penalty and its gradient; the logarithms are clamped at 1e-5."""
    if not _has("vector_quantize_pytorch"):
        return {}
    modules: list[Any] = []

    def penalty(z: Tensor) -> tuple[Tensor, Tensor]:
        if not modules:
            module: Any = importlib.import_module("vector_quantize_pytorch").LFQ(
                codebook_size=1 << n_channels,
                dim=n_channels,
                entropy_loss_weight=1.0,
                commitment_loss_weight=0.0,
                diversity_gamma=1.0,
            )
            modules.append(module.to(z.device).train())
        z = z.detach().requires_grad_()
        value = modules[0](z[None], inv_temperature=1 / temperature)[2]
        (dz,) = torch.autograd.grad(value, z)
        return value.detach(), dz

    return {"vector-quantize-pytorch": penalty}
