"""Attention on a GPU, against torch and the definitions: `python -m pytest -m gpu`."""

import math
from typing import Any

import pytest
import torch
from sampling_cases import keys_of, logits_of
from torch.nn import functional as F

from pycodec_lm import ops, reference
from pycodec_lm.models.transformer import Transformer, TransformerConfig

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]

NARROW = [torch.float32, torch.float16, torch.bfloat16]
DEVICE = "cuda"
N_TOKENS = 300  # no multiple of any block


def share_of_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    found, expected = found.detach().double().cpu(), expected.detach().double().cpu()
    return ((found - expected).abs().max() / expected.abs().max()).item()


def error(found: torch.Tensor, expected: torch.Tensor) -> float:
    found, expected = found.detach().double().cpu(), expected.detach().double().cpu()
    return ((found - expected).norm() / expected.norm()).item()


def segments(n: int) -> torch.Tensor:
    return (torch.arange(n, device=DEVICE) // 37).int()


def mask_of(name: str, n: int, width: int) -> tuple[dict[str, Any], torch.Tensor | None]:
    """Arguments, and what a query sees by their rule; None for all."""
    i, j = torch.arange(n, device=DEVICE)[:, None], torch.arange(n, device=DEVICE)[None]
    bounds = torch.tensor([0, 7, 7, n // 2, n], device=DEVICE)
    document = torch.searchsorted(bounds, i[:, 0], right=True)
    if name == "full":
        return {}, None
    if name == "segments":
        return {"segments": segments(n)}, segments(n)[None] <= segments(n)[:, None]
    if name == "documents":
        return {"cu_seqlens": bounds}, document[:, None] == document[None]
    if name == "causal documents":
        same = document[:, None] == document[None]
        return {"cu_seqlens": bounds, "causal": True}, same & (j <= i)
    if name == "causal":
        return {"causal": True}, j <= i
    pairs = name.removeprefix("rotary, ")
    rope = ops.rotary_table(n, width, pairs=pairs, device=DEVICE)
    return {"causal": True, "rope": rope}, j <= i


MASKS = ["full", "causal", "segments", "documents", "causal documents"]
ROTARY = ["rotary, halves", "rotary, interleaved"]


@pytest.mark.parametrize("dtype", NARROW)
@pytest.mark.parametrize("width", [16, 40, 64, 80, 128, 256])
@pytest.mark.parametrize("mask", [*MASKS, *ROTARY])
def test_attention_errs_at_most_twice_as_much_as_torch(
    dtype: torch.dtype, width: int, mask: str
) -> None:
    torch.manual_seed(0)
    n = N_TOKENS
    q, d_out = torch.randn(2, 1, 4, n, width, device=DEVICE).to(dtype).unbind()
    k, v = torch.randn(2, 1, 2, n, width, device=DEVICE).to(dtype).unbind()
    arguments, is_seen = mask_of(mask, n, width)
    results = []
    for kind in ("exact", "torch", "ours"):
        work = torch.float64 if kind == "exact" else dtype
        tensors = [x.detach().to(work).requires_grad_() for x in (q, k, v)]
        if kind == "ours":
            out: Any = ops.attention(*tensors, **arguments)  # type: ignore[arg-type]
        else:
            turned_q, turned_k, values = tensors
            if "rope" in arguments:
                turned_q, turned_k = (ops.rotate(x, arguments["rope"]) for x in tensors[:2])
            if kind == "exact":
                out, _ = reference.attention(
                    turned_q, turned_k, values, is_seen=is_seen, scale=width**-0.5
                )
            else:
                out = F.scaled_dot_product_attention(
                    turned_q, turned_k, values, attn_mask=is_seen, enable_gqa=True
                )
        results.append([out, *torch.autograd.grad(out, tensors, d_out.to(work))])
    for exact, other, ours in zip(*results, strict=True):
        assert error(ours, exact) <= 2 * error(other, exact) + 1e-6
        # One number out of thousands may be worse by chance, not by far.
        assert share_of_error(ours, exact) <= 4 * share_of_error(other, exact) + 1e-6


@pytest.mark.parametrize("mask", [*MASKS, *ROTARY])
def test_gradients_are_the_same_thirty_times(mask: str) -> None:
    n = 2 * N_TOKENS
    q, d_out = torch.randn(2, 1, 8, n, 64, device=DEVICE).bfloat16().unbind()
    k, v = torch.randn(2, 1, 2, n, 64, device=DEVICE).bfloat16().unbind()
    tensors = [x.detach().requires_grad_() for x in (q, k, v)]
    out = ops.attention(*tensors, **mask_of(mask, n, 64)[0])
    assert isinstance(out, torch.Tensor)
    first = torch.autograd.grad(out, tensors, d_out, retain_graph=True)
    for _ in range(29):
        again = torch.autograd.grad(out, tensors, d_out, retain_graph=True)
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


@pytest.mark.usefixtures("spoilt_memory")
@pytest.mark.parametrize("mask", [*MASKS, *ROTARY])
def test_everything_is_written_and_nothing_behind_the_edges_is_read(mask: str) -> None:
    n = N_TOKENS
    wholes = torch.full((4, 1, 5, n + 20, 100), torch.nan, device=DEVICE, dtype=torch.bfloat16)
    counts = (4, 2, 2, 4)
    parts = [torch.randn(1, h, n, 80, device=DEVICE).bfloat16() for h in counts]
    views = []
    for whole, part in zip(wholes, parts, strict=True):
        view = whole[:, : part.shape[1], :n, :80]
        view.copy_(part)
        views.append(view)
    results = []
    for q, k, v, d_out in (views, parts):
        tensors = [x.detach().requires_grad_() for x in (q, k, v)]
        out, lse = ops.attention(*tensors, **mask_of(mask, n, 80)[0], return_lse=True)
        results.append([out, lse, *torch.autograd.grad(out, tensors, d_out)])
    for found, expected in zip(*results, strict=True):
        assert found.isfinite().all()
        assert torch.equal(found, expected)


def test_query_that_sees_nothing() -> None:
    n = N_TOKENS
    q, k, v, d_out = torch.randn(4, 1, 2, n, 64, device=DEVICE).bfloat16().unbind()
    lo = torch.zeros(n, device=DEVICE, dtype=torch.int32)
    hi = torch.arange(n, device=DEVICE).clamp(max=50).int()  # the first one sees none
    tensors = [x.detach().requires_grad_() for x in (q, k, v)]
    out, lse = ops.attention(*tensors, key_ranges=(lo, hi), return_lse=True)
    assert not out[:, :, 0].any()
    assert lse[:, :, 0].eq(-math.inf).all()
    gradients = torch.autograd.grad(out, tensors, d_out)
    assert all(x.isfinite().all() for x in gradients)
    assert not gradients[0][:, :, 0].any()
    assert not gradients[1][:, :, 50:].any()


def test_bounds_that_do_not_ascend_give_nan_without_a_look_at_them() -> None:
    q, k, v = torch.randn(3, 1, 2, 100, 64, device=DEVICE).bfloat16().unbind()
    bad = torch.tensor([0, 60, 40, 100], device=DEVICE)
    ops.attention(q, k, v, cu_seqlens=bad)  # compiles
    torch.cuda.set_sync_debug_mode("error")
    try:
        out = ops.attention(q, k, v, cu_seqlens=bad)
        fine = ops.attention(q, k, v, segments=segments(100))
        decoded = ops.attention_decode(q[:, :, 0], k, v, bad[:1] + 5)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert isinstance(out, torch.Tensor)
    assert out.isnan().all()
    for one in (fine, decoded):
        assert isinstance(one, torch.Tensor)
        assert one.isfinite().all()


def test_addresses_beyond_32_bits() -> None:
    if torch.cuda.mem_get_info()[0] < 10e9:
        pytest.skip("needs 10 GB of the GPU's memory")
    whole = torch.zeros(1, 2, 130, (1 << 24) + 64, device=DEVICE, dtype=torch.bfloat16)
    part = whole[..., -64:]
    part.copy_(torch.randn(part.shape))
    assert part.stride(2) * 130 > 1 << 31
    expected = ops.attention(part.contiguous(), part.contiguous(), part.contiguous(), causal=True)
    assert torch.equal(ops.attention(part, part, part, causal=True), expected)  # type: ignore[arg-type]
    lengths = torch.tensor([130], device=DEVICE)
    dense = part.contiguous()
    expected = ops.attention_decode(dense[:, :, 0], dense, dense, lengths)
    assert torch.equal(ops.attention_decode(part[:, :, 0], part, part, lengths), expected)  # type: ignore[arg-type]


@pytest.mark.usefixtures("spoilt_memory")
@pytest.mark.parametrize("dtype", NARROW)
@pytest.mark.parametrize("heads", [(8, 8), (8, 2), (12, 1)], ids=str)
@pytest.mark.parametrize("width", [64, 80, 128, 256])
def test_decoding(dtype: torch.dtype, heads: tuple[int, int], width: int) -> None:
    """The cache as the backbone has it, token by token; NaN behind each row's length."""
    n_slots = 2 * N_TOKENS + 1
    lengths = torch.tensor([n_slots, 1, 0, n_slots // 3])
    q = torch.randn(4, heads[0], width).to(dtype)
    k, v = torch.randn(2, 4, n_slots, heads[1], width).to(dtype).transpose(2, 3)
    for row, length in enumerate(lengths.tolist()):
        k[row, :, length:] = torch.nan
        v[row, :, length:] = torch.nan
    exact, exact_lse = ops.attention_decode(
        q.double(), k.double(), v.double(), lengths, return_lse=True
    )
    tensors = [x.to(DEVICE) for x in (q, k, v, lengths)]
    out, lse = ops.attention_decode(*tensors, return_lse=True)
    # torch gives a row without keys NaN, and reads what lies behind a length.
    has_keys, clean = lengths > 0, [x.nan_to_num(0) for x in tensors[1:3]]
    is_key = torch.arange(n_slots, device=DEVICE) < tensors[3][:, None]
    other = F.scaled_dot_product_attention(
        tensors[0][:, :, None], *clean, attn_mask=is_key[:, None, None], enable_gqa=True
    )[:, :, 0]
    ours, theirs = (error(x.cpu()[has_keys], exact[has_keys]) for x in (out, other))
    assert ours <= 2 * theirs + 1e-6
    assert not out.cpu()[~has_keys].any()
    assert share_of_error(out, exact) < {torch.float32: 1e-5, torch.float16: 2e-3}.get(dtype, 2e-2)
    torch.testing.assert_close(lse.cpu(), exact_lse.cpu(), rtol=1e-2, atol=1e-2)


def test_decoding_and_sampling_in_a_cuda_graph() -> None:
    q = torch.randn(3, 8, 64, device=DEVICE).bfloat16()
    k, v = torch.randn(2, 3, 2, 500, 64, device=DEVICE).bfloat16().unbind()
    lengths = torch.tensor([500, 3, 0], device=DEVICE)
    logits, keys = (
        logits_of(3, 2000).to(DEVICE),
        {name: key.to(DEVICE) for name, key in keys_of(3).items()},
    )

    def step() -> tuple[torch.Tensor, torch.Tensor]:
        out = ops.attention_decode(q, k, v, lengths)
        assert isinstance(out, torch.Tensor)
        return out, ops.cfg_sample(logits, **keys, top_k=50, top_p=0.9).tokens

    step()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        recorded = step()
    for new_lengths in ([500, 3, 0], [1, 499, 77]):
        lengths.copy_(torch.tensor(new_lengths))
        keys["steps"].add_(1)
        graph.replay()
        expected = step()
        assert all(torch.equal(a, b) for a, b in zip(recorded, expected, strict=True))
        exact = ops.attention_decode(
            q.cpu().float(), k.cpu().float(), v.cpu().float(), lengths.cpu()
        )
        assert isinstance(exact, torch.Tensor)
        torch.testing.assert_close(recorded[0].cpu().float(), exact, rtol=2e-2, atol=2e-2)


def test_backbone_steps_as_on_the_cpu() -> None:
    torch.manual_seed(0)
    config = TransformerConfig(
        vocab_size=300,
        dim=128,
        n_layers=2,
        n_heads=4,
        n_kv_heads=2,
        max_seq_len=64,
        codec_inputs=False,
    )
    on_cpu = Transformer(config).eval()
    tokens = torch.randint(0, 300, (3, 20))
    full = on_cpu(tokens, None, None)
    model = Transformer(config).eval()
    model.load_state_dict(on_cpu.state_dict())
    model.to(DEVICE)
    tokens = tokens.to(DEVICE)
    torch.testing.assert_close(model(tokens, None, None).cpu(), full, atol=1e-4, rtol=1e-4)
    cache = model.new_cache(3, 20)
    for t in range(20):
        at = torch.full((3, 1), t, device=DEVICE)
        logits = model.step(tokens[:, t : t + 1], None, at, cache)
        torch.testing.assert_close(logits.cpu(), full[:, t], atol=1e-4, rtol=1e-4)


def test_backbone_step_in_a_cuda_graph() -> None:
    torch.manual_seed(0)
    config = TransformerConfig(
        vocab_size=300, dim=128, n_layers=2, n_heads=4, max_seq_len=64, codec_inputs=False
    )
    model = Transformer(config).eval()
    sequence = torch.randint(0, 300, (3, 20))
    full = model(sequence, None, None)
    model.to(DEVICE)
    cache = model.new_cache(3, 20)
    tokens, positions = torch.zeros(2, 3, 1, dtype=torch.int64, device=DEVICE).unbind()
    model.step(tokens, None, positions, cache)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        logits = model.step(tokens, None, positions, cache)
    for t in range(20):
        tokens.copy_(sequence[:, t : t + 1])
        positions.fill_(t)
        graph.replay()
        torch.testing.assert_close(logits.cpu(), full[:, t], atol=1e-4, rtol=1e-4)
    positions.fill_(20)
    graph.replay()
    assert logits.isnan().all()


def test_whole_graph_compiles() -> None:
    rope = ops.rotary_table(64, 32, device=DEVICE)

    def run(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        out = ops.attention(q * 2, k, v, causal=True, rope=rope)
        assert isinstance(out, torch.Tensor)
        keys = torch.arange(2, device=DEVICE)
        logits = out.flatten(1)[:, :1000]
        return out.sum() + ops.cfg_sample(logits, seeds=keys, steps=keys, top_k=9).tokens

    tensors = torch.randn(3, 2, 4, 64, 32, device=DEVICE).unbind()
    compiled = torch.compile(run, fullgraph=True)
    torch.testing.assert_close(compiled(*tensors), run(*tensors), rtol=1e-4, atol=1e-3)
