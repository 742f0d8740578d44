"""The kernels on a GPU, against the definitions on the CPU: `python -m pytest -m gpu`."""

import math
from typing import Any

import pytest
import torch
from sampling_cases import bitmask_of, keys_of, logits_of

from pycodec_lm import ops, reference

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]

NARROW = [torch.float32, torch.float16, torch.bfloat16]
DEVICE = "cuda"


def need_memory(n_bytes: float) -> None:
    free, _ = torch.cuda.mem_get_info()
    if free < n_bytes:
        pytest.skip(f"needs {n_bytes / 1e9:.0f} GB of the GPU's memory")


def on_gpu(arguments: dict[str, Any]) -> dict[str, Any]:
    return {n: x.to(DEVICE) if isinstance(x, torch.Tensor) else x for n, x in arguments.items()}


def share_of_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    found, expected = found.detach().double().cpu(), expected.detach().double().cpu()
    return ((found - expected).abs().max() / expected.abs().max()).item()


@pytest.mark.parametrize("dtype", NARROW)
@pytest.mark.parametrize("groups", [(18,), (6, 12), (9, 9)])
def test_lfq(dtype: torch.dtype, groups: tuple[int, ...]) -> None:
    z = torch.randn(1000, 18).to(dtype)
    exact, narrow = z.double().requires_grad_(), z.to(DEVICE).requires_grad_()
    expected, found = reference.lfq(exact, groups, "little"), ops.lfq(narrow, groups=groups)
    assert torch.equal(found.indices.cpu(), expected[1])
    assert torch.equal(found.quantized.detach().double().cpu(), expected[0].detach())
    assert found.commitment.item() == pytest.approx(expected[2].item(), rel=1e-5)
    (expected[0].sum() + expected[2]).backward()
    (found.quantized.sum() + found.commitment).backward()
    assert narrow.grad is not None
    assert exact.grad is not None
    other = z.to(DEVICE).requires_grad_()
    quantized, _, commitment = reference.lfq(other.cpu(), groups, "little")
    (by_torch,) = torch.autograd.grad(quantized.sum() + commitment, other)
    worst = share_of_error(by_torch, exact.grad)
    assert share_of_error(narrow.grad, exact.grad) <= 2 * worst + 1e-6


def test_gradients_of_lfq_are_the_same_thirty_times() -> None:
    z = torch.randn(5000, 18, device=DEVICE, requires_grad=True)

    def gradient() -> torch.Tensor:
        penalty = ops.lfq_entropy(z, temperature=0.1)
        assert isinstance(penalty, torch.Tensor)
        quantized, _, commitment = ops.lfq(z)
        return torch.autograd.grad(quantized.sum() + commitment + penalty, z)[0]

    first = gradient()
    assert all(torch.equal(gradient(), first) for _ in range(29))


def test_lfq_entropy_of_65536_rows_takes_little_memory() -> None:
    z = torch.randn(65536, 18, device=DEVICE, requires_grad=True)
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    value = ops.lfq_entropy(z, temperature=0.1)
    assert isinstance(value, torch.Tensor)
    value.backward()  # type: ignore[no-untyped-call]
    assert torch.cuda.max_memory_allocated() - before < 100e6
    assert z.grad is not None
    assert z.grad.isfinite().all()


@pytest.mark.parametrize("precise", [False, True])
@pytest.mark.parametrize("temperature", [1.0, 0.1, 0.01])
@pytest.mark.parametrize("d", [5, 12, 18])
def test_lfq_entropy(precise: bool, temperature: float, d: int) -> None:
    z = torch.randn(3000, d)
    exact, narrow = z.double().requires_grad_(), z.to(DEVICE).requires_grad_()
    expected = ops.lfq_entropy(exact, temperature=temperature)
    found = ops.lfq_entropy(narrow, temperature=temperature, precise=precise)
    assert isinstance(expected, torch.Tensor)
    assert isinstance(found, torch.Tensor)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5 if precise else 1e-3)
    expected.backward()  # type: ignore[no-untyped-call]
    found.backward()  # type: ignore[no-untyped-call]
    assert narrow.grad is not None
    assert exact.grad is not None
    assert share_of_error(narrow.grad, exact.grad) < (1e-4 if precise else 1e-2)


@pytest.mark.parametrize("n_tokens", [256, 5000, 16384, 32768, 262144])
@pytest.mark.parametrize("kind", ["spread", "flat", "peaked", "tied"])
def test_cfg_sample(n_tokens: int, kind: str) -> None:
    arguments = {
        "logits": logits_of(16, n_tokens, 1, kind=kind),
        "unconditional": logits_of(16, n_tokens, 2, kind=kind),
        "bitmask": bitmask_of(16, n_tokens, 0.5),
        **keys_of(16),
    }
    for numbers in ({}, {"top_k": 50}, {"top_p": 0.9}, {"temperature": 0.0}, {"min_p": 0.1}):
        expected = ops.cfg_sample(**arguments, scale=2.0, **numbers)  # type: ignore[arg-type]
        found = ops.cfg_sample(**on_gpu(arguments), scale=2.0, **numbers)
        assert not found.flags.any()
        # A draw that falls within rounding of an edge may give the neighbour.
        same = found.tokens.cpu() == expected.tokens
        assert same.sum() >= 15
        for one, other in zip(found[1:3], expected[1:3], strict=True):
            torch.testing.assert_close(one.cpu()[same], other[same], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["flat", "peaked", "tied"])
def test_a_million_draws_follow_the_shares(kind: str) -> None:
    n, n_tokens = 1_000_000, 64
    logits = logits_of(1, n_tokens, 3, kind=kind)
    keys = {"seeds": torch.full((n,), 5), "steps": torch.arange(n)}
    tokens = ops.cfg_sample(logits.expand(n, -1).to(DEVICE), **on_gpu(keys)).tokens.cpu()
    expected = logits[0].double().softmax(dim=0) * n
    counts = tokens.bincount(minlength=n_tokens).double()
    is_seen = expected > 5
    rest = expected[~is_seen].sum()
    assert counts[~is_seen].sum() <= rest + 6 * math.sqrt(rest) + 6
    chi_square = ((counts - expected)[is_seen] ** 2 / expected[is_seen]).sum().item()
    degrees = int(is_seen.sum()) - 1
    # Wilson and Hilferty's approximation of the 99.99 % point.
    limit = (
        max(1, degrees)
        * (1 - 2 / (9 * max(1, degrees)) + 3.72 * math.sqrt(2 / (9 * max(1, degrees)))) ** 3
    )
    assert chi_square < limit


@pytest.mark.parametrize("dtype", NARROW)
def test_token_mask(dtype: torch.dtype) -> None:
    logits, bitmask = logits_of(8, 1000).to(dtype), bitmask_of(8, 960, 0.3)
    expected = reference.apply_token_bitmask(logits, bitmask, None)
    found = logits.to(DEVICE)
    assert torch.equal(ops.apply_token_bitmask(found, bitmask).cpu(), expected)
    ops.apply_token_bitmask_inplace(found, bitmask)
    assert torch.equal(found.cpu(), expected)


def test_more_than_two_to_the_31_numbers() -> None:
    need_memory(40e9)
    n_rows, n_tokens = 66_000, 32768
    logits = torch.randn(n_rows, n_tokens, device=DEVICE, dtype=torch.bfloat16)
    assert logits.numel() > 1 << 31
    keys = on_gpu(keys_of(n_rows))
    last = {name: key[-5:] for name, key in keys.items()}
    found = ops.cfg_sample(logits, **keys, top_k=50, top_p=0.9)
    expected = ops.cfg_sample(logits[-5:], **last, top_k=50, top_p=0.9)
    assert all(torch.equal(a[-5:], b) for a, b in zip(found, expected, strict=True))
    tail = logits[-5:].clone()
    bitmask = bitmask_of(5, n_tokens, 0.5).to(DEVICE)
    whole_mask = bitmask.repeat(n_rows // 5, 1)
    ops.apply_token_bitmask_inplace(logits, whole_mask)
    assert torch.equal(logits[-5:], ops.apply_token_bitmask(tail, whole_mask[-5:]))
    del logits, whole_mask
    z = torch.randn(120_000_000, 18, device=DEVICE, dtype=torch.bfloat16)
    assert z.numel() > 1 << 31
    quantized, indices, _ = ops.lfq(z)
    assert torch.equal(indices[-5:], ops.lfq(z[-5:]).indices)
    assert torch.equal(quantized[-5:], ops.lfq(z[-5:]).quantized)


@pytest.mark.usefixtures("spoilt_memory")
@pytest.mark.parametrize("n_tokens", [1000, 20000])
def test_sampling_and_quantising_write_everything(n_tokens: int) -> None:
    arguments = {"logits": logits_of(4, n_tokens), "bitmask": bitmask_of(4, n_tokens, 0.5)}
    found = ops.cfg_sample(**on_gpu(arguments | keys_of(4)), top_k=50, top_p=0.9)
    expected = ops.cfg_sample(**arguments, **keys_of(4), top_k=50, top_p=0.9)
    assert torch.equal(found.tokens.cpu(), expected.tokens)
    assert found.flags.cpu().tolist() == [0] * 4
    z = torch.randn(77, 18)
    own = z.to(DEVICE).requires_grad_()
    quantized, indices, commitment = ops.lfq(own, groups=(6, 12))
    assert torch.equal(indices.cpu(), ops.lfq(z, groups=(6, 12)).indices)
    penalty = ops.lfq_entropy(own, temperature=0.1, groups=(6, 12))
    assert isinstance(penalty, torch.Tensor)
    (dz,) = torch.autograd.grad(quantized.sum() + commitment + penalty, own)
    assert dz.isfinite().all()
