"""The sampler's kernels, interpreted, against what the CPU draws."""

import math

import pytest
import torch
import triton
import triton.language as tl
from sampling_cases import bitmask_of, keys_of, logits_of

from pycodec_lm import ops, reference
from pycodec_lm.kernels import cfg_sampling as kernels
from pycodec_lm.kernels import cfg_sampling_rows

SETTINGS = [
    {},
    {"top_k": 1},
    {"top_k": 5},
    {"top_p": 0.5},
    {"top_p": 0.0},
    {"top_k": 7, "top_p": 0.9},
    {"min_p": 0.1},
    {"top_k": 9, "top_p": 0.8, "min_p": 0.2, "temperature": 1.7},
    {"temperature": 0.0},
    {"temperature": 0.2},
    {"temperature": 1e-38},
]
NAMES = ("scale", "temperature", "top_k", "top_p", "min_p")


def run(
    logits: torch.Tensor,
    unconditional: torch.Tensor | None = None,
    *,
    seeds: torch.Tensor,
    steps: torch.Tensor,
    bitmask: torch.Tensor | None = None,
    rows: torch.Tensor | None = None,
    guidance: str = "interpolate",
    block: int = 4096,
    **numbers: float,
) -> ops.Sampled:
    given = {"scale": 1.0, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0} | numbers
    results = kernels.cfg_sample(
        logits,
        unconditional,
        bitmask,
        seeds,
        steps,
        rows,
        *(given[name] for name in NAMES),
        guidance == "interpolate",
        block=block,
        num_warps=4,
    )
    return ops.Sampled(*results)


def assert_same(found: ops.Sampled, expected: ops.Sampled) -> None:
    assert found.flags.tolist() == expected.flags.tolist()
    assert found.tokens.tolist() == expected.tokens.tolist()
    for one, other in zip(found[1:3], expected[1:3], strict=True):
        # Sums of 1000 exponentials in float32.
        torch.testing.assert_close(one, other, rtol=1e-5, atol=3e-6, equal_nan=True)


@triton.jit
def uniforms_kernel(seeds_ptr, steps_ptr, out_ptr):
    row = tl.program_id(0)
    value = cfg_sampling_rows.philox_uniform(tl.load(seeds_ptr + row), tl.load(steps_ptr + row))
    tl.store(out_ptr + row, value)


def test_random_numbers_are_those_of_the_definition() -> None:
    keys = keys_of(50)
    out = torch.empty(50)
    uniforms_kernel[(50,)](keys["seeds"], keys["steps"], out)
    pairs = zip(keys["seeds"].tolist(), keys["steps"].tolist(), strict=True)
    assert out.tolist() == [reference.philox_uniform(*pair) for pair in pairs]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize(
    ("kind", "block"),
    [("spread", 256), ("flat", 256), ("peaked", 256), ("tied", 256), ("spread", 64), ("tied", 64)],
    ids=str,
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_tokens_are_those_of_the_cpu(
    settings: dict[str, float], kind: str, block: int, dtype: torch.dtype
) -> None:
    logits, keys = logits_of(3, 140, kind=kind).to(dtype), keys_of(3)
    bitmask = bitmask_of(3, 120, 0.5)  # 4 words: tokens from 128 on are behind it
    assert_same(
        run(logits, **keys, bitmask=bitmask, block=block, **settings),
        ops.cfg_sample(logits, **keys, bitmask=bitmask, **settings),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("n_tokens", [1, 2, 31, 33, 128, 1000])
@pytest.mark.parametrize("block", [1024, 256], ids=["one launch", "two"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_odd_sizes(n_tokens: int, block: int, dtype: torch.dtype) -> None:
    logits, keys = logits_of(2, n_tokens).to(dtype), keys_of(2)
    settings = {"top_p": 0.95, "top_k": min(50, n_tokens)}
    assert_same(
        run(logits, **keys, block=block, **settings),
        ops.cfg_sample(logits, **keys, **settings),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("guidance", ["interpolate", "extrapolate"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("block", [128, 64], ids=["one launch", "two"])
def test_guidance(guidance: str, dtype: torch.dtype, block: int) -> None:
    conditional, unconditional = logits_of(4, 100, 1).to(dtype), logits_of(4, 100, 2).to(dtype)
    conditional[:, 5] = unconditional[:, 5] = -math.inf
    keys, settings = keys_of(4), {"scale": 2.5, "top_k": 20}
    found = run(conditional, unconditional, **keys, guidance=guidance, block=block, **settings)
    expected = ops.cfg_sample(
        conditional,
        unconditional,
        **keys,
        guidance=guidance,
        **settings,  # type: ignore[arg-type]
    )
    assert_same(found, expected)


@pytest.mark.parametrize("block", [128, 64], ids=["one launch", "two"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_numbers_of_each_row(block: int, dtype: torch.dtype) -> None:
    logits, keys = logits_of(9, 70).to(dtype), keys_of(9)
    unconditional = logits_of(9, 70, 3).to(dtype)
    rows = torch.tensor(
        [
            [1.0, 1.0, 0, 1.0, 0.0],
            [3.0, 0.5, 5, 1.0, 0.0],
            [0.0, 0.0, 0, 0.3, 0.0],
            [1.5, 2.0, 0, 0.3, 0.5],
            [1.0, -1.0, 0, 1.0, 0.0],
            [1.0, 1.0, 71, 1.0, 0.0],
            [1.0, 1.0, 0, 1.1, 0.0],
            [math.nan, 1.0, 0, 1.0, 0.0],
            [1.0, 1.0, math.nan, 1.0, -0.5],
        ]
    )
    expected = ops.cfg_sample(
        logits, unconditional, **keys, **dict(zip(NAMES, rows.unbind(1), strict=True))
    )
    found = run(logits, unconditional, **keys, rows=rows, block=block)
    assert (found.flags & 4).tolist() == [0, 0, 0, 0, 4, 4, 4, 4, 4]
    # A scale that is no number makes logits that are none; the CPU says both too.
    assert_same(found, expected)


@pytest.mark.parametrize("block", [128, 32], ids=["one launch", "two"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_flags(block: int, dtype: torch.dtype) -> None:
    logits, keys = logits_of(6, 100).to(dtype), keys_of(6)
    bitmask = torch.full((6, 4), -1, dtype=torch.int32)
    logits[0, 99] = math.nan
    logits[1, 3] = math.inf
    bitmask[2] = 0
    logits[3] = -math.inf
    logits[4, 1:] = -math.inf
    for settings in ({}, {"top_p": 0.9, "top_k": 3}, {"temperature": 0.0}):
        found = run(logits, **keys, bitmask=bitmask, block=block, **settings)
        assert found.flags.tolist() == [2, 2, 1, 1, 0, 0]
        assert found.tokens[:5].tolist() == [-1, -1, -1, -1, 0]
        assert found.log_probs.isnan().tolist() == [True] * 4 + [False] * 2
        expected = ops.cfg_sample(logits, **keys, bitmask=bitmask, **settings)  # type: ignore[arg-type]
        assert_same(found, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_columns_that_lie_apart(dtype: torch.dtype) -> None:
    logits, keys = logits_of(60, 5).to(dtype).T, keys_of(5)
    assert_same(run(logits, **keys), ops.cfg_sample(logits, **keys))
