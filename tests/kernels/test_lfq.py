"""LFQ on the CPU: definitions against formulas written again, operators against definitions."""

import math
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch

from pycodec_lm import ops, reference
from pycodec_lm.errors import UsageError


def rows(n: int, d: int, scale: float = 1.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(n * 100 + d)
    return torch.randn(n, d, generator=generator, dtype=torch.float64) * scale


# The definitions.


@pytest.mark.parametrize("bit_order", ["little", "big"])
def test_reference_index_is_the_sum_of_its_bits(bit_order: str) -> None:
    z = rows(50, 9)
    _, indices, commitment = reference.lfq(z, (4, 5), bit_order)
    for row, values in enumerate(z.tolist()):
        text = "".join("1" if value > 0 else "0" for value in values)
        parts = text[:4], text[4:]
        if bit_order == "little":
            parts = parts[0][::-1], parts[1][::-1]
        assert indices[row].tolist() == [int(part, 2) for part in parts]
    expected = np.mean([(v - (1 if v > 0 else -1)) ** 2 for v in z.flatten().tolist()])
    assert commitment.item() == pytest.approx(expected, rel=1e-12)


def test_reference_entropy_by_loops_over_codes() -> None:
    z, temperature = rows(6, 4, 0.5), 0.7
    q = np.zeros((6, 16))
    for n in range(6):
        for c in range(16):
            signs = [1 if c >> i & 1 else -1 for i in range(4)]
            q[n, c] = math.exp(sum(2 * float(z[n, i]) * signs[i] for i in range(4)) / temperature)
    q /= q.sum(axis=1, keepdims=True)
    mean = q.mean(axis=0)
    sample, codebook = reference.lfq_entropy(z, temperature, (4,))
    assert sample.item() == pytest.approx(-(q * np.log(q)).sum() / 6, rel=1e-12)
    assert codebook.item() == pytest.approx(-(mean * np.log(mean)).sum(), rel=1e-12)
    for eps, form in ((0.01, "add"), (0.05, "clamp")):
        log = np.log(mean + eps) if form == "add" else np.log(np.maximum(mean, eps))
        result = reference.lfq_entropy(z, temperature, (4,), eps, form)
        assert result[1].item() == pytest.approx(-(mean * log).sum(), rel=1e-12)


# lfq


@pytest.mark.parametrize("groups", [None, (6, 12), (9, 9), (1,) * 18])
@pytest.mark.parametrize("bit_order", ["little", "big"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_lfq_equals_its_definition(
    groups: tuple[int, ...] | None, bit_order: str, dtype: torch.dtype
) -> None:
    z = rows(30, 18).to(dtype).view(2, 3, 5, 18)
    z[0, 0, 0, 0] = 0
    result = ops.lfq(z, groups=groups, bit_order=bit_order)
    expected = reference.lfq(z.double().view(30, 18), groups or (18,), bit_order)
    assert result.quantized.shape == z.shape
    assert result.quantized.dtype == dtype
    assert torch.equal(result.quantized.double().view(30, 18), expected[0])
    assert result.indices.shape == (2, 3, 5, len(groups or (18,)))
    assert torch.equal(result.indices.view(30, -1), expected[1])
    assert result.commitment.item() == pytest.approx(expected[2].item(), rel=1e-6)


def test_lfq_takes_channels_that_lie_apart() -> None:
    picture = rows(8, 30).view(2, 4, 30).movedim(1, -1)
    result = ops.lfq(picture, groups=(4,))
    expected = ops.lfq(picture.contiguous(), groups=(4,))
    assert all(torch.equal(a, b) for a, b in zip(result, expected, strict=True))


def test_lfq_gradient_is_straight_through_and_commits() -> None:
    z = rows(5, 6).requires_grad_()
    result = ops.lfq(z)
    weights = rows(6, 6)[:5]
    ((result.quantized * weights).sum() + 3 * result.commitment).backward()
    expected = weights + 3 * 2 * (z - result.quantized).detach() / 30
    torch.testing.assert_close(z.grad, expected, rtol=1e-12, atol=0)


def test_lfq_without_rows_gives_none() -> None:
    result = ops.lfq(torch.zeros(2, 0, 5))
    assert result.indices.shape == (2, 0, 1)
    assert result.commitment.isnan()


def test_lfq_leaves_nan_where_it_was() -> None:
    z = rows(3, 4)
    z[1, 2] = math.nan
    result = ops.lfq(z)
    assert result.quantized.isnan().nonzero().tolist() == [[1, 2]]
    assert result.commitment.isnan()


# lfq_entropy

CASES = [((10,), 1.0), ((4, 6), 0.3), ((5,), 0.01), ((1,), 0.5), ((2, 1, 3), 2.0)]


@pytest.mark.parametrize(("groups", "temperature"), CASES)
@pytest.mark.parametrize(("eps", "eps_form"), [(0.0, "add"), (1e-3, "add"), (1e-3, "clamp")])
def test_entropy_equals_its_definition(
    groups: tuple[int, ...], temperature: float, eps: float, eps_form: str
) -> None:
    z = rows(70, sum(groups), 0.3).requires_grad_()
    settings = {"temperature": temperature, "groups": groups, "eps": eps, "eps_form": eps_form}
    parts = ops.lfq_entropy(z, return_parts=True, **settings)  # type: ignore[arg-type]
    sample, codebook = reference.lfq_entropy(z, temperature, groups, eps, eps_form)
    assert isinstance(parts, ops.LFQEntropy)
    assert parts.sample.item() == pytest.approx(sample.item(), rel=1e-11, abs=1e-13)
    assert parts.codebook.item() == pytest.approx(codebook.item(), rel=1e-11)
    whole = ops.lfq_entropy(z, **settings)  # type: ignore[arg-type]
    assert isinstance(whole, torch.Tensor)
    (gradient,) = torch.autograd.grad(whole, z)
    (expected,) = torch.autograd.grad(sample - codebook, z)
    torch.testing.assert_close(gradient, expected, rtol=1e-8, atol=1e-12)


def test_entropy_gradient_by_differences() -> None:
    z = rows(9, 6, 0.4).requires_grad_()
    for settings in ({}, {"groups": (2, 4)}, {"eps": 1e-2}):
        assert torch.autograd.gradcheck(
            lambda z, settings=settings: ops.lfq_entropy(z, temperature=0.6, **settings), (z,)
        )


def test_both_parts_have_gradients_of_their_own() -> None:
    z = rows(20, 6, 0.4).requires_grad_()
    parts = ops.lfq_entropy(z, temperature=0.5, return_parts=True)
    twins = reference.lfq_entropy(z, 0.5, (6,))
    assert isinstance(parts, ops.LFQEntropy)
    for part, twin in zip(parts, twins, strict=False):
        (gradient,) = torch.autograd.grad(part, z, retain_graph=True)
        (expected,) = torch.autograd.grad(twin, z, retain_graph=True)
        torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("temperature", [1.0, 0.01])
def test_entropy_of_narrow_types(dtype: torch.dtype, temperature: float) -> None:
    """At 0.01 most codes get no share at all, and logits reach a thousand."""
    z = rows(300, 12).to(dtype).requires_grad_()
    exact = z.detach().double().requires_grad_()
    result = ops.lfq_entropy(z, temperature=temperature)
    sample, codebook = reference.lfq_entropy(exact, temperature, (12,))
    assert isinstance(result, torch.Tensor)
    assert result.dtype == torch.float32
    assert result.item() == pytest.approx((sample - codebook).item(), rel=3e-6)
    (gradient,) = torch.autograd.grad(result, z)
    (expected,) = torch.autograd.grad(sample - codebook, exact)
    assert gradient.isfinite().all()
    tolerance = 2e-5 if dtype == torch.float32 else 5e-3  # a bfloat16 has 8 bits
    error = (gradient.double() - expected).norm() / expected.norm()
    assert error < tolerance


def test_uniform_codebook_of_18_bits_is_seen_whole() -> None:
    """Where log(p + 1e-5) saturates at 11.2 and log(max(p, 1e-5)) at 11.5 nats."""
    z = torch.zeros(3, 18)
    found = {}
    for eps, form in ((0.0, "add"), (1e-5, "add"), (1e-5, "clamp")):
        parts = ops.lfq_entropy(z, temperature=1.0, eps=eps, eps_form=form, return_parts=True)
        assert isinstance(parts, ops.LFQEntropy)
        found[eps, form] = parts.codebook.item()
        assert parts.usage.item() == pytest.approx(1.0, rel=1e-5)
    assert found[0.0, "add"] == pytest.approx(18 * math.log(2), rel=1e-6)
    assert found[1e-5, "add"] == pytest.approx(-math.log(2**-18 + 1e-5), rel=1e-6)
    assert found[1e-5, "clamp"] == pytest.approx(-math.log(1e-5), rel=1e-6)


def test_usage_counts_codes_that_are_equally_used() -> None:
    signs = torch.tensor([[1.0, 1, 1, 1], [1, 1, -1, 1], [1, 1, 1, -1], [1, 1, -1, -1]])
    parts = ops.lfq_entropy(signs, temperature=0.01, groups=(2, 2), return_parts=True)
    assert isinstance(parts, ops.LFQEntropy)
    assert parts.usage.tolist() == pytest.approx([0.25, 1.0], rel=1e-6)


def test_rows_in_pieces_give_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    z = rows(100, 7).requires_grad_()
    whole = torch.autograd.grad(ops.lfq_entropy(z, temperature=0.5), z)[0]
    monkeypatch.setattr(sys.modules["pycodec_lm.ops._lfq_operators"], "_CHUNK_ROWS", 9)
    pieces = torch.autograd.grad(ops.lfq_entropy(z, temperature=0.5), z)[0]
    torch.testing.assert_close(pieces, whole, rtol=1e-11, atol=1e-14)


def test_nan_is_not_lost() -> None:
    z = rows(4, 3)
    z[1, 1] = math.nan
    result = ops.lfq_entropy(z, temperature=1.0)
    assert isinstance(result, torch.Tensor)
    assert result.isnan()


def test_no_tensor_of_rows_by_codes_is_made() -> None:
    """Rows x 2**18 numbers would be 69 GB; what the process holds grows by less than 1 GB."""
    out = subprocess.run(
        [
            sys.executable,
            "-c",
            textwrap.dedent(
                """
                import resource, torch
                from pycodec_lm import ops
                z = torch.randn(65536, 18).requires_grad_()
                ops.lfq_entropy(z[:64], temperature=0.1).backward()
                before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
                ops.lfq_entropy(z, temperature=0.1).backward()
                print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
                """
            ),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert int(out.stdout) < 1_000_000  # kilobytes


RANKS = """
import sys
import torch
import torch.distributed as dist
from pycodec_lm import ops, reference

rank, store = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
z = torch.randn(40, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 0.4
own = z.view(2, 20, 6)[rank].clone().requires_grad_()
ops.lfq_entropy(own, temperature=0.5, process_group=dist.group.WORLD).backward()
whole = z.requires_grad_()
sample, codebook = reference.lfq_entropy(whole, 0.5, (6,))
(sample - codebook).backward()
# Averaging over two ranks halves the gradient of each.
torch.testing.assert_close(own.grad / 2, whole.grad.view(2, 20, 6)[rank], rtol=1e-9, atol=1e-13)
dist.destroy_process_group()
"""


def test_ranks_share_the_mean(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", RANKS, str(rank), str(tmp_path / "store")],
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors


# Both, as torch sees them.


@pytest.mark.parametrize("transposed", [False, True])
def test_operators_are_registered_as_torch_asks(transposed: bool) -> None:
    z = rows(6, 5).T.contiguous().T if transposed else rows(6, 5)
    operators = torch.ops.pycodec_lm
    torch.library.opcheck(operators.lfq.default, (z.clone().requires_grad_(), [2, 3], True))
    torch.library.opcheck(operators.lfq_backward.default, (z, z.clone(), torch.tensor(1.0)))
    arguments = (z.clone().requires_grad_(), 0.5, [2, 3], False)
    torch.library.opcheck(operators.lfq_mean_assignment.default, arguments)
    _, mean = operators.lfq_mean_assignment(*arguments)
    arguments = (z, torch.tensor(1.0), mean.detach(), 0.5, [2, 3], False)
    torch.library.opcheck(operators.lfq_mean_assignment_backward.default, arguments)


def loss(z: torch.Tensor) -> torch.Tensor:
    result = ops.lfq(z, groups=(2, 3))
    entropy = ops.lfq_entropy(z, temperature=0.5, groups=(2, 3))
    assert isinstance(entropy, torch.Tensor)
    return result.commitment + entropy + (result.quantized * z).sum() + result.indices.sum()


def test_whole_graph_compiles() -> None:
    z = rows(6, 5).requires_grad_()
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(z), loss(z))
    torch.testing.assert_close(
        torch.autograd.grad(compiled(z), z)[0], torch.autograd.grad(loss(z), z)[0]
    )


def test_whole_graph_is_exported() -> None:
    class Loss(torch.nn.Module):
        def forward(self, z: torch.Tensor) -> torch.Tensor:
            return loss(z)

    rows_dim = torch.export.Dim("rows", min=2)
    program = torch.export.export(Loss(), (rows(6, 5),), dynamic_shapes=({0: rows_dim},))
    torch.testing.assert_close(program.module()(rows(9, 5)), loss(rows(9, 5)))


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda: ops.lfq([1.0]), "not list"),  # type: ignore[arg-type]
        (lambda: ops.lfq(torch.zeros(3, dtype=torch.int64)), "floating point"),
        (lambda: ops.lfq(torch.zeros(())), "floating point"),
        (lambda: ops.lfq(torch.zeros(3, 0)), "floating point"),
        (lambda: ops.lfq(torch.zeros(3, 6), groups=(2, 3)), "do not split 6 channels"),
        (lambda: ops.lfq(torch.zeros(3, 6), groups=(7, -1)), "do not split 6 channels"),
        (lambda: ops.lfq(torch.zeros(3, 63)), "the most is 62"),
        (lambda: ops.lfq(torch.zeros(3, 6), bit_order="middle"), "bit_order = 'middle'"),
        (lambda: ops.lfq_entropy(torch.zeros(3, 21), temperature=1), "the most is 20"),
        (lambda: ops.lfq_entropy(torch.zeros(0, 6), temperature=1), "no rows"),
        (lambda: ops.lfq_entropy(torch.zeros(3, 6), temperature=0), "temperature = 0"),
        (lambda: ops.lfq_entropy(torch.zeros(3, 6), temperature=math.nan), "temperature = nan"),
        (lambda: ops.lfq_entropy(torch.zeros(3, 6), temperature=1, eps=-1), "eps = -1"),
        (lambda: ops.lfq_entropy(torch.zeros(3, 6), temperature=1, eps_form="x"), "eps_form"),
    ],
)
def test_misuse_is_named(call: object, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        call()  # type: ignore[operator]
