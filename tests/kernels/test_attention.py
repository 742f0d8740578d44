"""Attention on the CPU: the definition, what torch computes, and the operators."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from pycodec_lm import ops, reference
from pycodec_lm.errors import UsageError


def heads(
    n_heads: int, n_tokens: int, width: int = 8, batch: int = 2, seed: int = 0
) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed * 1000 + n_tokens)
    return torch.randn(batch, n_heads, n_tokens, width, generator=generator, dtype=torch.float64)


def qkv(n_queries: int = 12, n_keys: int = 12, batch: int = 2) -> list[torch.Tensor]:
    return [
        heads(4, n_queries, batch=batch, seed=1),
        heads(2, n_keys, batch=batch, seed=2),
        heads(2, n_keys, batch=batch, seed=3),
    ]


def test_reference_by_loops() -> None:
    q, k, v = qkv(5, 7)
    is_seen = torch.rand(2, 1, 5, 7, generator=torch.Generator().manual_seed(0)) < 0.6
    is_seen[0, 0, 2] = False
    out, lse = reference.attention(q, k, v, is_seen=is_seen, scale=0.7)
    for b, h, i in np.ndindex(2, 4, 5):
        seen = [j for j in range(7) if is_seen[b, 0, i, j]]
        weights = [math.exp(0.7 * float(q[b, h, i] @ k[b, h // 2, j])) for j in seen]
        expected = sum(
            (w * v[b, h // 2, j] for w, j in zip(weights, seen, strict=True)), v[0, 0, 0] * 0
        )
        total = sum(weights)
        if not seen:
            assert lse[b, h, i] == -math.inf
            total = 1.0
        else:
            assert lse[b, h, i].item() == pytest.approx(math.log(total), rel=1e-12)
        torch.testing.assert_close(out[b, h, i], expected / total, rtol=1e-12, atol=1e-12)


PADDED = torch.tensor([[0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 3, 3], [0] * 8 + [-1] * 4])
BOUNDS = torch.tensor([0, 3, 3, 9, 12])


def mask_of(name: str) -> tuple[dict[str, Any], torch.Tensor]:
    """Arguments, and which keys a query sees by their rule, bool [B, 12, 12]."""
    i, j = torch.arange(12)[:, None], torch.arange(12)[None]
    document = torch.searchsorted(BOUNDS, torch.arange(12), right=True)
    if name == "full":
        return {}, (i >= 0) & (j >= 0)
    if name == "causal":
        return {"causal": True}, j <= i
    if name.startswith("documents"):
        causal = name.endswith("causal")
        is_seen = document[:, None] == document[None]
        return {"cu_seqlens": BOUNDS.int(), "causal": causal}, is_seen & (
            j <= i
        ) if causal else is_seen
    if name == "segments":
        seen = (PADDED[:, None] <= PADDED[:, :, None]) & (PADDED[:, None] >= 0)
        return {"segments": PADDED}, seen & (PADDED[:, :, None] >= 0)
    if name == "ranges":
        lo, hi = (torch.arange(12) - 3).clamp(min=0), torch.arange(12) + 1
        return {"key_ranges": (lo, hi)}, (j <= i) & (j >= i - 3)
    lo, hi = torch.tensor([5, 0, 2, 1, 9, 7, 7, 3, 0, 0, 8, 4]), torch.arange(12, 0, -1)
    return {"key_ranges": (lo, hi)}, (j >= lo[:, None]) & (j < hi[:, None])


MASKS = [
    "full",
    "causal",
    "documents",
    "documents causal",
    "segments",
    "ranges",
    "ranges that fall",
]


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("return_lse", [False, True])
def test_every_mask_and_its_gradients(name: str, return_lse: bool) -> None:
    arguments, is_seen = mask_of(name)
    batch = 1 if name.startswith("documents") else 2
    tensors = [x.requires_grad_() for x in qkv(batch=batch)]
    is_seen = is_seen[:, None] if is_seen.ndim == 3 else is_seen
    expected, expected_lse = reference.attention(*tensors, is_seen=is_seen, scale=0.4)
    found = ops.attention(*tensors, scale=0.4, return_lse=return_lse, **arguments)
    if return_lse:
        out, lse = found
        assert not lse.requires_grad
        torch.testing.assert_close(lse, expected_lse.float(), rtol=1e-6, atol=1e-6)
    else:
        assert isinstance(found, torch.Tensor)
        out = found
    torch.testing.assert_close(out, expected, rtol=1e-10, atol=1e-12)
    d_out = heads(4, 12, batch=batch, seed=4)
    gradients = torch.autograd.grad(out, tensors, d_out)
    # A row that sees nothing has NaN in the gradient of the definition as it is written.
    finite = torch.autograd.grad(
        reference.attention(*tensors, is_seen=is_seen | ~is_seen.any(-1, keepdim=True), scale=0.4)[
            0
        ],
        tensors,
        d_out * is_seen.any(-1)[..., None],
    )
    for one, other in zip(gradients, finite, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(("n_queries", "n_keys"), [(3, 9), (9, 3), (1, 5), (5, 1)])
def test_causal_ends_at_the_last_key(n_queries: int, n_keys: int) -> None:
    q, k, v = qkv(n_queries, n_keys)
    is_seen = torch.ones(n_queries, n_keys, dtype=torch.bool).tril(n_keys - n_queries)
    expected, lse = reference.attention(q, k, v, is_seen=is_seen, scale=8**-0.5)
    torch.testing.assert_close(ops.attention(q, k, v, causal=True), expected)
    found = ops.attention(q, k, v, causal=True, return_lse=True)
    torch.testing.assert_close(found[0], expected)
    torch.testing.assert_close(found[1], lse.float())


@pytest.mark.parametrize("bounds", [[0, 5, 4, 12], [1, 12], [0, 11], [0, 13], [-1, 12]])
@pytest.mark.parametrize("return_lse", [False, True])
def test_bounds_that_do_not_ascend_give_nan(bounds: list[int], return_lse: bool) -> None:
    found = ops.attention(*qkv(batch=1), cu_seqlens=torch.tensor(bounds), return_lse=return_lse)
    out = found[0] if return_lse else found
    assert isinstance(out, torch.Tensor)
    assert out.isnan().all()


@pytest.mark.parametrize("return_lse", [False, True])
def test_ranges_end_at_the_last_key(return_lse: bool) -> None:
    q, k, v = qkv(12, 9)
    lo, hi = torch.zeros(12).int(), torch.full((12,), 50).int()
    found = ops.attention(q, k, v, key_ranges=(lo, hi), return_lse=return_lse)
    out = found[0] if return_lse else found
    assert isinstance(out, torch.Tensor)
    torch.testing.assert_close(out, ops.attention(q, k, v))


def test_ids_and_ranges_beyond_32_bits_are_what_they_are() -> None:
    tensors, far = qkv(), 1 << 40
    ids = PADDED.clamp(min=0)
    expected = ops.attention(*tensors, segments=ids)
    found = ops.attention(*tensors, segments=ids * far)
    assert torch.equal(found, expected)  # type: ignore[arg-type]
    lo, hi = torch.zeros(12).long(), torch.arange(12)
    expected = ops.attention(*tensors, key_ranges=(lo, hi))
    wide = (lo, torch.where(hi == 0, -far + 5, hi))
    assert torch.equal(ops.attention(*tensors, key_ranges=wide), expected)  # type: ignore[arg-type]
    out = ops.attention(*tensors, key_ranges=(lo - far, hi))
    assert isinstance(out, torch.Tensor)
    assert out.isnan().all()


def test_segments_that_fall_give_nan_in_their_row_alone() -> None:
    segments = torch.tensor([[0, 1, 0, *[2] * 9], [0] * 12])
    out = ops.attention(*qkv(), segments=segments)
    assert isinstance(out, torch.Tensor)
    assert out[0].isnan().all()
    assert out[1].isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_narrow_types_keep_theirs(dtype: torch.dtype) -> None:
    tensors = [x.to(dtype) for x in qkv()]
    expected, _ = reference.attention(
        *(x.double() for x in tensors), is_seen=mask_of("causal")[1], scale=8**-0.5
    )
    tolerance = {torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 2e-2}[dtype]
    for return_lse in (False, True):
        found = ops.attention(*tensors, causal=True, return_lse=return_lse)
        out = found[0] if return_lse else found
        assert isinstance(out, torch.Tensor)
        assert out.dtype == dtype
        torch.testing.assert_close(out.double(), expected, rtol=tolerance, atol=tolerance)


# Rotary positions.


def test_rotation_is_a_product_of_complex_numbers() -> None:
    x = heads(2, 50, width=16).float()
    turned = ops.rotate(x, ops.rotary_table(50, 16))
    angles = torch.arange(50.0)[:, None] * 10000.0 ** (-torch.arange(0, 16, 2) / 16)
    pairs = torch.complex(x[..., :8], x[..., 8:]) * torch.polar(torch.ones(50, 8), angles)
    expected = torch.cat((pairs.real, pairs.imag), dim=-1)
    torch.testing.assert_close(turned, expected, atol=2e-5, rtol=0)
    definition = reference.rotate(x, *ops.rotary_table(50, 16)[:2], interleaved=False)
    assert torch.equal(turned, definition)


def test_scores_hang_on_distances_alone() -> None:
    q, k = heads(1, 1).expand(-1, -1, 20, -1), heads(1, 1, seed=5).expand(-1, -1, 20, -1)
    for pairs in ("halves", "interleaved"):
        cos, sin, interleaved = ops.rotary_table(20, 8, pairs=pairs)
        turned_q, turned_k = (
            reference.rotate(x, cos, sin, interleaved=interleaved) for x in (q, k)
        )
        scores = turned_q @ turned_k.transpose(2, 3)
        for distance in (0, 3, 7):
            diagonal = scores.diagonal(distance, dim1=2, dim2=3)
            # Cosines in float32.
            torch.testing.assert_close(
                diagonal, diagonal[..., :1].expand_as(diagonal), atol=1e-5, rtol=0
            )


@pytest.mark.parametrize("order", ["rows", "columns"])
def test_grid_turns_half_by_row_and_half_by_column(order: str) -> None:
    table = ops.rotary_table((3, 4), 16, order=order, theta=100.0, n_prefix=2)
    assert table.cos.shape == (14, 8)
    assert table.cos[:2].eq(1).all()
    assert table.sin[:2].eq(0).all()
    for row in range(3):
        for column in range(4):
            first, second = (row, column) if order == "rows" else (column, row)
            angles = [p * 100.0 ** (-2 * i / 8) for p in (first, second) for i in range(4)]
            found = table.sin[2 + row * 4 + column].tolist()
            assert found == pytest.approx([math.sin(a) for a in angles], abs=1e-6)


def test_prefix_of_zeros_has_no_say() -> None:
    table = ops.rotary_table((2, 2), 8, n_prefix=1, prefix="zero", pairs="interleaved")
    turned = reference.rotate(heads(1, 5), table.cos, table.sin, interleaved=True)
    assert not turned[:, :, 0].any()
    assert turned[:, :, 1].any()


def tables() -> dict[str, ops.RotaryTable]:
    """Of 12 tokens of width 8: every form there is."""
    plain = ops.rotary_table(12, 8)
    moved = ops.rotary_table(17, 8)
    return {
        "halves": plain,
        "interleaved": ops.rotary_table(12, 8, pairs="interleaved"),
        "grid": ops.rotary_table((3, 4), 8),
        "grid by columns, prefix": ops.rotary_table(
            (2, 5), 8, order="columns", pairs="interleaved", n_prefix=2
        ),
        "grid, prefix of zeros": ops.rotary_table((2, 5), 8, n_prefix=2, prefix="zero"),
        "of rows": ops.RotaryTable(
            *(torch.stack((a, b[5:])) for a, b in zip(plain[:2], moved[:2], strict=True))
        ),
    }


@pytest.mark.parametrize("form", tables())
@pytest.mark.parametrize("return_lse", [False, True])
def test_attention_turns_queries_and_keys_and_their_gradients(form: str, return_lse: bool) -> None:
    tensors, table = [x.requires_grad_() for x in qkv()], tables()[form]
    cos, sin = (t[:, None] if t.ndim == 3 else t for t in table[:2])
    q, k = (reference.rotate(x, cos, sin, interleaved=table.interleaved) for x in tensors[:2])
    expected, expected_lse = reference.attention(
        q, k, tensors[2], is_seen=mask_of("causal")[1], scale=0.4
    )
    found = ops.attention(*tensors, causal=True, rope=table, scale=0.4, return_lse=return_lse)
    out = found[0] if return_lse else found
    assert isinstance(out, torch.Tensor)
    torch.testing.assert_close(out, expected, rtol=1e-10, atol=1e-12)
    if return_lse:
        torch.testing.assert_close(found[1], expected_lse.float())
    d_out = heads(4, 12, seed=4)
    for one, other in zip(
        torch.autograd.grad(out, tensors, d_out),
        torch.autograd.grad(expected, tensors, d_out),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-10)


# Decoding.


def test_decoding_is_attention_of_one_query() -> None:
    _, k, v = qkv()
    q = heads(4, 1)[:, :, 0]
    lengths = torch.tensor([12, 5])
    for cache in (k, v):
        cache[1, :, 5:] = math.nan
    out, lse = ops.attention_decode(q, k, v, lengths, return_lse=True)
    torch.testing.assert_close(ops.attention_decode(q, k, v, lengths), out)
    for row, length in enumerate((12, 5)):
        expected, expected_lse = reference.attention(
            q[row : row + 1, :, None],
            k[row : row + 1, :, :length],
            v[row : row + 1, :, :length],
            is_seen=None,
            scale=8**-0.5,
        )
        torch.testing.assert_close(out[row], expected[0, :, 0])
        torch.testing.assert_close(lse[row], expected_lse[0, :, 0].float())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_row_is_decoded_alike_in_any_batch(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(6, 4, 64, generator=generator).to(dtype)
    k, v = torch.randn(2, 6, 2, 320, 64, generator=generator).to(dtype)
    lengths = torch.tensor([1, 60, 64, 65, 200, 320])
    whole = ops.attention_decode(q, k, v, lengths)
    assert isinstance(whole, torch.Tensor)
    for row in range(6):
        own = slice(row, row + 1)
        alone = ops.attention_decode(q[own], k[own], v[own], lengths[own])
        assert isinstance(alone, torch.Tensor)
        assert torch.equal(whole[row], alone[0])


def test_lengths_out_of_range_are_cut() -> None:
    _, k, v = qkv()
    q = heads(4, 1)[:, :, 0]
    out, lse = ops.attention_decode(q, k, v, torch.tensor([99, -4]), return_lse=True)
    for lengths in ([99, -4], [12, 0]):
        expected = ops.attention_decode(q, k, v, torch.tensor(lengths))
        torch.testing.assert_close(out, expected)
    nothing = ops.attention_decode(q, k, v, torch.tensor([0, 0]))
    assert isinstance(nothing, torch.Tensor)
    assert not nothing.any()
    assert not out[1].any()
    assert lse[1].eq(-math.inf).all()


# As torch sees them.


@pytest.mark.parametrize("name", ["causal", "segments", "rope"])
def test_operators_are_registered_as_torch_asks(name: str) -> None:
    operators = torch.ops.pycodec_lm
    tensors = [x.float() for x in qkv()]
    tensors[0] = tensors[0].transpose(1, 2).contiguous().transpose(1, 2)
    lo = hi = cos = sin = None
    if name == "segments":
        lo, hi = torch.zeros(1, 12).int(), torch.full((1, 12), 12).int()
    if name == "rope":
        cos, sin = (table[None] for table in ops.rotary_table(12, 8)[:2])
    arguments = (lo, hi, cos, sin, name == "rope", name == "causal", 0.3)
    torch.library.opcheck(operators.attention.default, (*tensors, *arguments))
    inputs = [x.clone().requires_grad_() for x in tensors]
    torch.library.opcheck(
        operators.attention.default,
        (*inputs, *arguments),
        test_utils=("test_schema", "test_autograd_registration", "test_faketensor"),
    )
    out, lse = operators.attention(*tensors, *arguments)
    torch.library.opcheck(
        operators.attention_backward.default, (*tensors, out, lse, out.clone(), *arguments)
    )
    decoded = (tensors[0][:, :, 0], *tensors[1:], torch.tensor([3, 12]), 0.3)
    torch.library.opcheck(operators.attention_decode.default, decoded)


@pytest.mark.parametrize("return_lse", [False, True])
def test_whole_graph_compiles_and_is_exported(return_lse: bool) -> None:
    table = ops.rotary_table(12, 8)

    def run(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        first = ops.attention(q, k, v, causal=True, rope=table, return_lse=return_lse)
        second = ops.attention(q, k, v, segments=ids)
        assert isinstance(second, torch.Tensor)
        decoded = ops.attention_decode(q[:, :, 0], k, v, ids[:, -1] + 3)
        assert isinstance(decoded, torch.Tensor)
        return (first[0] if return_lse else first) + second + decoded[:, :, None]  # type: ignore[operator, return-value]

    class Run(torch.nn.Module):
        def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
            return run(*inputs)

    inputs = (*qkv(), PADDED)
    expected = run(*inputs)
    compiled = torch.compile(run, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(*inputs), expected)
    torch.testing.assert_close(torch.export.export(Run(), inputs).module()(*inputs), expected)


Q, K = torch.zeros(2, 4, 6, 8), torch.zeros(2, 2, 6, 8)
ONE_ROW = {"q": Q[:1], "k": K[:1], "v": K[:1]}


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"q": [1]}, "q must be a tensor, not list"),
        ({"q": Q.half()}, "k is torch.float32"),
        ({"q": Q.long(), "k": K.long(), "v": K.long()}, "must be float32"),
        ({"q": Q[0]}, r"q must be \[B, H, S, D\]"),
        ({"v": K[:, :, :5]}, r"q must be \[B, H, S, D\]"),
        ({"k": K[:1], "v": K[:1]}, "does not go with"),
        ({"k": Q[:, :3], "v": Q[:, :3]}, "3 key/value heads do not divide 4"),
        ({"k": K[:, :0], "v": K[:, :0]}, "0 key/value heads"),
        ({x: torch.zeros(1, 1, 3, 257) for x in "qkv"}, "head width of 257"),
        ({"causal": True, "segments": torch.zeros(6).int()}, "give one of"),
        ({"cu_seqlens": torch.tensor([0, 6])}, "cu_seqlens needs one row"),
        ({"segments": torch.zeros(5).int()}, "segments must be integers"),
        ({"segments": torch.zeros(6)}, "segments must be integers"),
        ({"segments": torch.zeros(6).bool()}, "segments must be integers"),
        ({"segments": [0] * 6}, "segments must be a tensor, not list"),
        ({"key_ranges": ([0] * 6, [6] * 6)}, "lo must be a tensor, not list"),
        ({"cu_seqlens": [0, 6]}, "cu_seqlens must be a tensor, not list"),
        ({"rope": ops.RotaryTable([1.0], [0.0])}, "cos must be a tensor, not list"),
        ({"key_ranges": (torch.zeros(6).int(), torch.zeros(7).int())}, "hi must be integers"),
        ({"rope": ops.rotary_table(5, 8)}, "rotary table of"),
        ({"rope": ops.rotary_table(6, 4)}, "rotary table of"),
        ({"rope": ops.RotaryTable(*torch.zeros(2, 3, 6, 4))}, "in 2 rows"),
        ({"rope": ops.RotaryTable(*torch.zeros(2, 6, 4).long())}, "must be floating point"),
        ({"rope": ops.rotary_table(6, 8, device="meta")}, "on meta"),
        (
            {"rope": ops.RotaryTable(torch.zeros(6, 4), torch.zeros(1, 6, 4))},
            "cos of",
        ),
        (
            {"rope": ops.RotaryTable(torch.zeros(6, 4, requires_grad=True), torch.zeros(6, 4))},
            "has no gradient",
        ),
        (
            {"rope": ops.rotary_table(6, 8), "k": K[:, :, :5], "v": K[:, :, :5]},
            "rope needs as many keys as queries",
        ),
        ({"q": Q.to("meta")}, "k is torch.float32 on cpu, q is torch.float32 on meta"),
        ({"cu_seqlens": torch.tensor([[0, 6]]), **ONE_ROW}, "cu_seqlens must be int32"),
        ({"cu_seqlens": torch.tensor([0.0, 6.0]), **ONE_ROW}, "cu_seqlens must be int32"),
        ({"cu_seqlens": torch.tensor([6]), **ONE_ROW}, "two numbers or more"),
        ({"cu_seqlens": torch.tensor([0, 6], device="meta"), **ONE_ROW}, "on cpu"),
    ],
)
def test_misuse_is_named(changes: dict[str, Any], complaint: str) -> None:
    call = {"q": Q, "k": K, "v": K} | changes
    with pytest.raises(UsageError, match=complaint):
        ops.attention(call.pop("q"), call.pop("k"), call.pop("v"), **call)


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda: ops.attention_decode(Q, K, K, torch.zeros(2).long()), r"q must be \[B, H, D\]"),
        (lambda: ops.attention_decode(Q[:, :, 0], K, K, torch.zeros(2)), "lengths must be int32"),
        (lambda: ops.attention_decode(Q[:, :, 0], K, K, torch.zeros(3).long()), "lengths must be"),
        (
            lambda: ops.attention_decode(Q[:, :, 0], K, K, torch.zeros(2, 1).long()),
            "lengths must be",
        ),
        (
            lambda: ops.attention_decode(
                Q[:, :, 0], K, K, torch.zeros(2, dtype=torch.int64, device="meta")
            ),
            "lengths are on meta",
        ),
        (
            lambda: ops.attention_decode(Q[:, :, 0].half(), K, K, torch.zeros(2).long()),
            "k is torch.float32",
        ),
        (lambda: ops.attention_decode(Q[:, :, 0], K, K, [6, 6]), "lengths must be a tensor"),
        (lambda: ops.rotary_table(5, 7), "head_dim = 7"),
        (lambda: ops.rotate([1.0], ops.rotary_table(5, 8)), "x must be a tensor"),
        (
            lambda: ops.rotate(Q[0], ops.rotary_table(6, 8)),
            r"x must be floating point \[B, H, S, D\]",
        ),
        (lambda: ops.rotate(Q, ops.rotary_table(5, 8)), "rotary table of"),
        (lambda: ops.rotary_table((2, 2), 6), "multiple of 4"),
        (lambda: ops.rotary_table(5, 8, pairs="both"), "pairs = 'both'"),
        (lambda: ops.rotary_table(5, 8, n_prefix=-1), "must not be negative"),
    ],
)
def test_misuse_of_the_others_is_named(call: Any, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        call()
