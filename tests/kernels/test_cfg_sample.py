"""The sampler on the CPU: the definition, its random numbers, and the operator."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sampling_cases import bitmask_of, keys_of, logits_of

from pycodec_lm import ops, reference
from pycodec_lm.errors import UsageError

# Random numbers.


def test_philox_gives_the_published_words() -> None:
    """Of kat_vectors of Random123: philox4x32-10 of a counter and a key of zeros."""
    assert reference.philox_uniform(0, 0) == (0x6627E8D5 >> 8) * 2.0**-24


def test_seeds_and_steps_count_by_64_bits() -> None:
    assert reference.philox_uniform(-1, 5) == reference.philox_uniform(2**64 - 1, 5)
    assert reference.philox_uniform(2**70 + 3, 5) == reference.philox_uniform(3, 5)
    numbers = [reference.philox_uniform(1 << i, 1 << j) for i in range(64) for j in range(64)]
    assert len(set(numbers)) > 4090  # of 2 ** 24 each


def test_random_numbers_are_spread_evenly() -> None:
    numbers = np.array(
        [[reference.philox_uniform(seed, step) for step in range(200)] for seed in range(200)]
    )
    assert numbers.min() >= 0
    assert numbers.max() < 1
    counts = np.histogram(numbers, bins=10, range=(0, 1))[0]
    assert abs(counts - 4000).max() < 5 * math.sqrt(3600)
    for neighbour in (numbers[1:], numbers[:, 1:]):
        here = numbers[: neighbour.shape[0], : neighbour.shape[1]]
        assert abs(np.corrcoef(here.ravel(), neighbour.ravel())[0, 1]) < 0.025


def test_tokens_are_cut_at_the_random_number() -> None:
    """With 2 ** 20 equal logits the token is the number itself."""
    n_tokens, given_keys = 1 << 20, keys_of(6)
    tokens = ops.cfg_sample(torch.zeros(6, n_tokens), **given_keys).tokens
    pairs = zip(given_keys["seeds"].tolist(), given_keys["steps"].tolist(), strict=True)
    expected = [int(reference.philox_uniform(*pair) * n_tokens) for pair in pairs]
    assert tokens.tolist() == expected


# The definition of a row.


def test_reference_guides_in_both_forms() -> None:
    c, u = [1.0, -2.0, -math.inf], [0.5, 3.0, -math.inf]
    assert reference.guide(c, u, 3.0) == [2.0, -12.0, -math.inf]
    assert reference.guide(c, u, 2.0, "extrapolate") == [2.0, -12.0, -math.inf]
    assert reference.guide([-math.inf], [1.0], 0.0) == [-math.inf]


def test_reference_keeps_what_each_rule_says() -> None:
    logits = [math.log(share) for share in (1, 4, 2, 2, 1)]

    def reachable(**settings: float) -> list[int]:
        drawn = {reference.sample(logits, i / 1000, **settings) for i in range(1000)}  # type: ignore[arg-type]
        return sorted(drawn)

    assert reachable() == [0, 1, 2, 3, 4]
    assert reachable(top_k=2) == [1, 2]  # of equal ones the first
    assert reachable(top_k=3) == [1, 2, 3]
    assert reachable(top_p=0.4) == [1]
    assert reachable(top_p=0.41) == [1, 2]
    assert reachable(top_p=0.0) == [1]
    assert reachable(top_k=3, top_p=0.5) == [1]  # of what k leaves 4 / 8 is enough
    assert reachable(min_p=0.5) == [1, 2, 3]
    assert reachable(min_p=0.51) == [1]
    assert reachable(temperature=0) == [1]


def test_reference_log_share() -> None:
    logits = [math.log(share) for share in (6, 3, 1)]
    assert reference.log_share(logits, [1, 2]) == pytest.approx(math.log(0.4))
    assert reference.log_share([0.0, -500.0], [1]) == pytest.approx(-500.0)


# The operator.


@st.composite
def cases(draw: st.DrawFn) -> dict[str, object]:
    n_rows, n_tokens = draw(st.integers(1, 5)), draw(st.integers(1, 70))
    seed = draw(st.integers(0, 2**32))
    kind = draw(st.sampled_from(["spread", "flat", "peaked", "tied"]))
    case: dict[str, object] = {
        "logits": logits_of(n_rows, n_tokens, seed, kind=kind),
        "temperature": draw(st.sampled_from([0.0, 0.5, 1.0, 1.3])),
        "top_k": draw(st.sampled_from([k for k in (0, 1, 3, n_tokens) if k <= n_tokens])),
        "top_p": draw(st.sampled_from([0.0, 1e-9, 0.3, 0.9, 1.0])),
        "min_p": draw(st.sampled_from([0.0, 0.01, 0.3, 1.0])),
        **keys_of(n_rows, seed),
    }
    if draw(st.booleans()):
        case["bitmask"] = bitmask_of(n_rows, n_tokens, draw(st.sampled_from([0.1, 0.6])), seed)
    if draw(st.booleans()):
        case["unconditional"] = logits_of(n_rows, n_tokens, seed + 1, kind=kind)
        case["scale"] = draw(st.sampled_from([0.0, 1.0, 3.0]))
        case["guidance"] = draw(st.sampled_from(["interpolate", "extrapolate"]))
    return case


@settings(max_examples=300, deadline=None)
@given(cases())
def test_every_row_equals_the_loop(case: dict[str, object]) -> None:
    found = ops.cfg_sample(**case)  # type: ignore[arg-type]
    logits = case["logits"]
    assert isinstance(logits, torch.Tensor)
    scale, extra = case.get("scale", 1.0), case.get("guidance") == "extrapolate"
    for row in range(len(logits)):
        guided = logits[row]
        if "unconditional" in case:
            u = case["unconditional"][row]  # type: ignore[index]
            # In float32, and in this order, as the operator: ties hang on it.
            guided = (1 + scale) * guided - scale * u if extra else u + scale * (guided - u)  # type: ignore[operator]
        allowed = torch.ones(len(guided), dtype=torch.bool)
        if "bitmask" in case:
            allowed = reference.is_allowed(case["bitmask"], len(guided))[row]  # type: ignore[arg-type]
        values = guided.double().tolist()
        uniform = reference.philox_uniform(
            int(case["seeds"][row]),  # type: ignore[index]
            int(case["steps"][row]),  # type: ignore[index]
        )
        token = reference.sample(
            values,
            uniform,
            allowed=allowed.tolist(),
            **{name: case[name] for name in ("temperature", "top_k", "top_p", "min_p")},  # type: ignore[arg-type]
        )
        legal = allowed.nonzero()[:, 0].tolist()
        log_z = reference.log_share(values, legal)
        assert found.tokens[row] == token
        assert found.flags[row] == 0
        assert found.log_zs[row].item() == pytest.approx(log_z, rel=1e-5, abs=1e-6)
        log_prob = reference.log_share(values, [token]) - log_z
        assert found.log_probs[row].item() == pytest.approx(log_prob, rel=1e-5, abs=1e-6)


def test_draws_follow_the_shares() -> None:
    """Chi-square of 2 * 10 ** 5 draws; its 99.99 % point at 3 degrees of freedom is 21.1."""
    logits = torch.tensor([[0.0, math.log(3), -math.inf, math.log(4), math.log(2)]])
    n = 200_000
    steps = torch.arange(n)
    tokens = ops.cfg_sample(logits.expand(n, -1), seeds=torch.full((n,), 9), steps=steps).tokens
    expected = np.array([1, 3, 0, 4, 2]) * n / 10
    counts = tokens.bincount(minlength=5).numpy()
    assert counts[2] == 0
    assert (np.delete((counts - expected) ** 2, 2) / np.delete(expected, 2)).sum() < 21.1


def test_a_row_is_drawn_alike_in_any_batch() -> None:
    logits, unconditional = logits_of(7, 259, 1), logits_of(7, 259, 2)
    given_keys, bitmask = keys_of(7), bitmask_of(7, 259, 0.3)
    numbers = {"scale": 2.0, "top_p": 0.95, "top_k": 40, "temperature": 0.8}
    whole = ops.cfg_sample(logits, unconditional, bitmask=bitmask, **given_keys, **numbers)  # type: ignore[arg-type]
    for row in range(7):
        own = slice(row, row + 1)
        alone = ops.cfg_sample(
            logits[own],
            unconditional[own],
            bitmask=bitmask[own],
            **{name: key[own] for name, key in given_keys.items()},
            **numbers,  # type: ignore[arg-type]
        )
        assert [part[row].item() for part in whole] == [part[0].item() for part in alone]


def test_numbers_of_rows_are_those_of_calls() -> None:
    logits, unconditional, given_keys = logits_of(4, 90, 1), logits_of(4, 90, 2), keys_of(4)
    numbers = {
        "scale": [1.0, 2.0, 0.5, 3.0],
        "temperature": [1.0, 0.0, 0.5, 2.0],
        "top_k": [0, 7, 20, 90],
        "top_p": [1.0, 0.5, 0.25, 0.75],
        "min_p": [0.0, 0.5, 0.125, 0.0],
    }
    tensors = {name: torch.tensor(values) for name, values in numbers.items()}
    tensors["temperature"].requires_grad_()  # learned, perhaps: draws have no gradient
    whole = ops.cfg_sample(logits, unconditional, **given_keys, **tensors)
    for row in range(4):
        alone = ops.cfg_sample(
            logits,
            unconditional,
            **given_keys,
            **{name: values[row] for name, values in numbers.items()},  # type: ignore[arg-type]
        )
        assert whole.tokens[row] == alone.tokens[row]
        assert whole.log_probs[row] == alone.log_probs[row]


def test_numbers_of_rows_that_are_out_of_range_are_flagged() -> None:
    logits, given_keys = logits_of(5, 20), keys_of(5)
    for name, values in {
        "scale": [1.0, 0.0, -3.0, math.inf, math.nan],
        "temperature": [1.0, 0.0, 9.0, -0.1, math.nan],
        "top_k": [0.0, 1.0, 20.0, 21.0, -1.0],
        "top_p": [1.0, 0.0, 0.5, 1.01, -0.01],
        "min_p": [1.0, 0.0, 0.5, 1.01, math.nan],
    }.items():
        found = ops.cfg_sample(logits, **given_keys, **{name: torch.tensor(values)})  # type: ignore[arg-type]
        assert found.flags.tolist() == [0, 0, 0, 4, 4], name
        assert found.tokens[3:].tolist() == [-1, -1]


def test_rows_without_a_token_and_with_nan_are_flagged_alone() -> None:
    logits, given_keys = logits_of(6, 40), keys_of(6)
    fine = ops.cfg_sample(logits, **given_keys)
    broken = logits.clone()
    broken[0, 39] = math.nan
    broken[1, 3] = math.inf
    broken[2] = -math.inf
    bitmask = torch.full((6, 2), -1, dtype=torch.int32)
    bitmask[3] = 0
    for numbers in ({}, {"temperature": 0.0}, {"top_k": 5, "top_p": 0.5}):
        found = ops.cfg_sample(broken, bitmask=bitmask, **given_keys, **numbers)  # type: ignore[arg-type]
        assert found.flags.tolist() == [2, 2, 1, 1, 0, 0]
        assert found.tokens[:4].tolist() == [-1] * 4
        assert found.log_probs.isnan().tolist() == [True] * 4 + [False] * 2
        assert found.log_zs.isnan().tolist() == [True] * 4 + [False] * 2
        if not numbers:
            assert found.tokens[4:].tolist() == fine.tokens[4:].tolist()


def test_tokens_behind_the_bitmask_may_not_come() -> None:
    logits = torch.zeros(1, 40)
    logits[:, 35:] = 100
    bitmask = torch.full((1, 1), -1, dtype=torch.int32)
    found = ops.cfg_sample(logits, **keys_of(1), bitmask=bitmask)
    assert found.tokens.item() < 32
    assert found.log_zs.item() == pytest.approx(math.log(32 / 5) - 100, rel=1e-6)


def test_no_rows_are_no_trouble() -> None:
    found = ops.cfg_sample(torch.zeros(0, 5), **keys_of(0))
    assert [len(part) for part in found] == [0] * 4


def test_narrow_types_and_strides() -> None:
    logits, given_keys = logits_of(5, 64), keys_of(5)
    for dtype in (torch.bfloat16, torch.float16, torch.float64):
        narrow = logits.to(dtype)
        expected = ops.cfg_sample(narrow.float(), **given_keys, top_p=0.9)
        found = ops.cfg_sample(narrow, **given_keys, top_p=0.9)
        assert torch.equal(found.tokens, expected.tokens)
    apart = torch.stack((logits, logits), dim=2)[:, :, 0]
    found = ops.cfg_sample(apart, **given_keys)
    assert torch.equal(found.tokens, ops.cfg_sample(logits, **given_keys).tokens)


# As torch sees it.


def arguments() -> tuple[object, ...]:
    rows = torch.tensor([[2.0, 1.0, 5, 0.9, 0.0]] * 3)
    plain = (1.0, 1.0, 0.0, 1.0, 0.0, True)
    tensors = logits_of(3, 50, 1), logits_of(3, 50, 2), bitmask_of(3, 50, 0.5)
    return (*tensors, *keys_of(3).values(), rows, *plain)


def test_operator_is_registered_as_torch_asks() -> None:
    torch.library.opcheck(torch.ops.pycodec_lm.cfg_sample.default, arguments())
    apart = torch.stack([logits_of(3, 50)] * 2, dim=2)[:, :, 1]
    plain = (None, None, *keys_of(3).values(), None, 1.0, 0.5, 5.0, 0.9, 0.0, False)
    torch.library.opcheck(torch.ops.pycodec_lm.cfg_sample.default, (apart, *plain))


def step(
    logits: torch.Tensor, unconditional: torch.Tensor, bitmask: torch.Tensor, seeds: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    found = ops.cfg_sample(
        logits * 2,
        unconditional,
        seeds=seeds,
        steps=torch.arange(len(seeds)),
        scale=torch.full((len(seeds),), 1.5),
        bitmask=bitmask,
        top_p=0.9,
    )
    return found.tokens + 0, found.log_probs


def test_whole_graph_compiles_and_is_exported() -> None:
    class Step(torch.nn.Module):
        def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return step(*inputs)

    inputs = (logits_of(3, 50, 1), logits_of(3, 50, 2), bitmask_of(3, 50, 0.5), torch.arange(3))
    expected = step(*inputs)
    compiled = torch.compile(step, fullgraph=True, backend="aot_eager")
    program = torch.export.export(Step(), inputs)
    for found in (compiled(*inputs), program.module()(*inputs)):
        assert torch.equal(found[0], expected[0])
        assert torch.equal(found[1], expected[1])


ROW = torch.zeros(2, 8)
KEY = torch.zeros(2, dtype=torch.int64)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"logits": [[0.0]]}, "logits must be a tensor"),
        ({"logits": ROW.long()}, "floating point"),
        ({"logits": ROW[0]}, "floating point"),
        ({"logits": torch.zeros(2, 0)}, "vocabulary of 0"),
        ({"unconditional": ROW[:1]}, "unconditional is torch.float32"),
        ({"unconditional": ROW.double()}, "unconditional is torch.float64"),
        ({"bitmask": torch.zeros(2, 1, dtype=torch.int64)}, "a bitmask must be int32"),
        ({"bitmask": torch.zeros(3, 1, dtype=torch.int32)}, "a bitmask must be int32"),
        ({"seeds": KEY.int()}, "seeds must be int64"),
        ({"steps": KEY[:1]}, "steps must be int64"),
        ({"steps": 3}, "steps must be a tensor"),
        ({"steps": KEY.to("meta")}, "steps is on meta"),
        ({"guidance": "both"}, "guidance = 'both'"),
        ({"scale": math.nan}, "scale = nan"),
        ({"scale": torch.zeros(3)}, r"scale must be a number or \[2\]"),
        ({"temperature": -1.0}, "temperature = -1.0"),
        ({"temperature": math.inf}, "temperature = inf"),
        ({"top_k": 9}, "top_k = 9, must be a whole number from 0 to 8"),
        ({"top_k": -1}, "top_k = -1"),
        ({"top_k": 1.5}, "top_k = 1.5"),
        ({"top_p": 1.01}, "top_p = 1.01"),
        ({"top_p": math.nan}, "top_p = nan"),
        ({"min_p": -0.1}, "min_p = -0.1"),
        ({"min_p": torch.zeros(2, device="meta")}, "min_p is on meta"),
    ],
)
def test_misuse_is_named(changes: dict[str, object], complaint: str) -> None:
    call = {"logits": ROW, "seeds": KEY, "steps": KEY} | changes
    with pytest.raises(UsageError, match=complaint):
        ops.cfg_sample(**call)  # type: ignore[arg-type]
