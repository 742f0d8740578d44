"""Adapters of other people's kernels: what goes in and comes out, by stand-ins that compute it.

The stand-ins have the arguments that the packages' own sources have. XGrammar itself is used where
it is installed.
"""

import importlib.machinery
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from pycodec_lm import ops, reference
from pycodec_lm.bench import op_peers


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[..., ModuleType]:
    """Puts a package where imports find it."""
    monkeypatch.setattr(op_peers, "_NEED_GPU", ())

    def put(name: str, **members: object) -> ModuleType:
        module = ModuleType(name)
        module.__spec__ = importlib.machinery.ModuleSpec(name, None)
        module.__dict__.update(members)
        monkeypatch.setitem(sys.modules, name, module)
        return module

    return put


def attend(q: Tensor, k: Tensor, v: Tensor, *, causal: bool) -> Tensor:
    """[B, S, H, D], in a result that is dense so."""
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    mask = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool).tril() if causal else None
    out, _ = reference.attention(q, k, v, is_seen=mask, scale=q.shape[3] ** -0.5)
    return out.transpose(1, 2).contiguous()


def heads(n_rows: int, n_tokens: int) -> list[Tensor]:
    return list(torch.randn(3, n_rows, 2, n_tokens, 8).unbind())


@pytest.mark.parametrize("causal", [False, True])
def test_attention(install: Callable[..., ModuleType], causal: bool) -> None:
    def flash_attn_func(
        q: Tensor,
        k: Tensor,
        v: Tensor,
        dropout_p: float = 0.0,
        softmax_scale: float | None = None,
        causal: bool = False,
    ) -> Tensor:
        return attend(q, k, v, causal=causal)

    def single_prefill_with_kv_cache(
        q: Tensor, k: Tensor, v: Tensor, *, causal: bool = False, kv_layout: str = "NHD"
    ) -> Tensor:
        return attend(q[None], k[None], v[None], causal=causal)[0]

    install("flash_attn", flash_attn_func=flash_attn_func)
    install("flashinfer", single_prefill_with_kv_cache=single_prefill_with_kv_cache)
    for n_rows, names in ((1, {"flash-attn", "flashinfer"}), (3, {"flash-attn"})):
        peers = op_peers.attention_peers(causal=causal, n_rows=n_rows, has_backward=False)
        assert set(peers) == names
        tensors = heads(n_rows, 5)
        expected = ops.attention(*tensors, causal=causal)
        for peer in peers.values():
            torch.testing.assert_close(peer(tensors), expected)
    assert "flashinfer" not in op_peers.attention_peers(causal=True, n_rows=1, has_backward=True)


def test_decoding(install: Callable[..., ModuleType]) -> None:
    n_rows, n_slots, n_shared, width = 3, 32, 2, 8
    caches = torch.randn(2, n_rows, n_slots, n_shared, width)
    k, v = caches.transpose(2, 3)
    q, lengths = torch.randn(n_rows, 4, width), torch.full((n_rows,), n_slots)
    expected = ops.attention_decode(q, k, v, lengths)

    def flash_attn_with_kvcache(
        q: Tensor,
        k_cache: Tensor,
        v_cache: Tensor,
        k: Tensor | None = None,
        v: Tensor | None = None,
        *,
        cache_seqlens: Tensor,
        causal: bool = False,
    ) -> Tensor:
        assert k_cache.is_contiguous() and v_cache.is_contiguous()
        assert cache_seqlens.dtype == torch.int32
        assert cache_seqlens.tolist() == [n_slots] * n_rows
        return attend(q, k_cache, v_cache, causal=False)

    class BatchDecodeWithPagedKVCacheWrapper:
        def __init__(self, float_workspace_buffer: Tensor, kv_layout: str = "NHD") -> None:
            self.tables: tuple[Tensor, ...] = ()

        def plan(
            self,
            indptr: Tensor,
            indices: Tensor,
            last_page_len: Tensor,
            num_qo_heads: int,
            num_kv_heads: int,
            head_dim: int,
            page_size: int,
            *,
            q_data_type: torch.dtype,
            kv_data_type: torch.dtype,
        ) -> None:
            assert (num_qo_heads, num_kv_heads, head_dim) == (4, n_shared, width)
            assert last_page_len.tolist() == [page_size] * n_rows
            self.tables = indptr, indices

        def run(self, q: Tensor, paged_kv_cache: tuple[Tensor, Tensor]) -> Tensor:
            indptr, indices = self.tables
            outputs = []
            for row in range(n_rows):
                pages = indices[indptr[row] : indptr[row + 1]].long()
                own = [cache[pages].flatten(0, 1)[None] for cache in paged_kv_cache]
                outputs.append(attend(q[row][None, None], own[0], own[1], causal=False)[0, 0])
            return torch.stack(outputs)

    install("flash_attn", flash_attn_with_kvcache=flash_attn_with_kvcache)
    wrapper = BatchDecodeWithPagedKVCacheWrapper
    install("flashinfer", BatchDecodeWithPagedKVCacheWrapper=wrapper)
    peers = op_peers.decode_peers()
    assert set(peers) == {"flash-attn", "flashinfer"}
    for peer in peers.values():
        for _ in range(2):  # planned once
            torch.testing.assert_close(peer((q, k, v, lengths)), expected)


def test_sampling(install: Callable[..., ModuleType]) -> None:
    def top_k_top_p_sampling_from_logits(
        logits: Tensor,
        top_k: int,
        top_p: float,
        indices: Tensor | None = None,
        filter_apply_order: str = "joint",
    ) -> Tensor:
        assert (top_k, top_p, filter_apply_order) == (5, 0.9, "top_k_first")
        return logits.argmax(dim=1).int()

    install("flashinfer")
    install(
        "flashinfer.sampling", top_k_top_p_sampling_from_logits=top_k_top_p_sampling_from_logits
    )
    logits = torch.randn(3, 20)
    (peer,) = op_peers.sampling_peers(5, 0.9).values()
    tokens = peer(logits)
    assert tokens.dtype == torch.int64
    assert tokens.tolist() == logits.argmax(dim=1).tolist()


def test_entropy(install: Callable[..., ModuleType]) -> None:
    class LFQ(torch.nn.Module):
        def __init__(
            self,
            *,
            dim: int,
            codebook_size: int,
            entropy_loss_weight: float = 0.1,
            commitment_loss_weight: float = 0.25,
            diversity_gamma: float = 1.0,
        ) -> None:
            super().__init__()
            assert codebook_size == 1 << dim
            self.weights = entropy_loss_weight, commitment_loss_weight, diversity_gamma
            self.dim = dim

        def forward(self, x: Tensor, inv_temperature: float = 100.0) -> tuple[Any, Any, Tensor]:
            assert self.training and self.weights == (1.0, 0.0, 1.0)
            assert x.ndim == 3 and x.shape[2] == self.dim
            sample, codebook = reference.lfq_entropy(x[0], 1 / inv_temperature, (self.dim,))
            return None, None, sample - codebook

    install("vector_quantize_pytorch", LFQ=LFQ)
    (peer,) = op_peers.entropy_peers(4, 0.5).values()
    z = torch.randn(9, 4)
    value, dz = peer(z)
    own = z.clone().requires_grad_()
    expected = ops.lfq_entropy(own, temperature=0.5)
    assert isinstance(expected, Tensor)
    torch.testing.assert_close(value, expected.detach(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(dz, torch.autograd.grad(expected, own)[0], rtol=1e-4, atol=1e-6)


def test_bitmask() -> None:
    pytest.importorskip("xgrammar")
    for peer in op_peers.bitmask_peers().values():
        logits = torch.randn(2, 64)
        if torch.cuda.is_available():
            logits = logits.cuda()
        bitmask = torch.tensor([[5, 0], [0, -1]], dtype=torch.int32, device=logits.device)
        expected = ops.apply_token_bitmask(logits, bitmask)
        assert torch.equal(peer((logits, bitmask)), expected)
