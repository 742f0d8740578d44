"""The sampler against its slow twin, and what its random numbers promise."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pycodec_lm import reference
from pycodec_lm.errors import UsageError
from pycodec_lm.generation.sampling import (
    Sampling,
    draw,
    draw_beside_mask,
    guide,
    uniform,
)


@st.composite
def rows(draw_value: st.DrawFn) -> tuple[torch.Tensor, torch.Tensor, list[float], Sampling]:
    n_rows, n_tokens = draw_value(st.integers(1, 5)), draw_value(st.integers(1, 40))
    rng = np.random.default_rng(draw_value(st.integers(0, 2**32)))
    scale = draw_value(st.sampled_from([0.1, 1.0, 6.0, 60.0]))
    logits = rng.normal(size=(n_rows, n_tokens)) * scale
    if draw_value(st.booleans()):
        logits = logits.round()  # so that some are equal
    allowed = rng.random((n_rows, n_tokens)) < draw_value(st.sampled_from([0.2, 0.7, 1.0]))
    allowed[np.arange(n_rows), rng.integers(n_tokens, size=n_rows)] = True
    sampling = Sampling(
        temperature=draw_value(st.sampled_from([0.0, 0.5, 1.0, 1.3])),
        top_k=draw_value(st.sampled_from([0, 1, 3, 1000])),
        top_p=draw_value(st.sampled_from([1e-9, 0.3, 0.9, 1.0])),
    )
    uniforms = rng.random(n_rows).tolist()
    return torch.from_numpy(logits).float(), torch.from_numpy(allowed), uniforms, sampling


@settings(max_examples=300, deadline=None)
@given(rows())
def test_draw_equals_the_loop_over_one_row(
    case: tuple[torch.Tensor, torch.Tensor, list[float], Sampling],
) -> None:
    logits, allowed, uniforms, sampling = case
    tokens = draw(logits.masked_fill(~allowed, -math.inf), uniforms, sampling).tolist()
    assert tokens == [
        reference.sample(
            logits[i].double().tolist(),
            uniforms[i],
            allowed=allowed[i].tolist(),
            temperature=sampling.temperature,
            top_k=sampling.top_k,
            top_p=sampling.top_p,
        )
        for i in range(len(uniforms))
    ]


def test_draw_follows_the_shares() -> None:
    logits = torch.tensor([[0.0, math.log(3), -math.inf, math.log(4)]])
    n = 8000
    uniforms = [(i + 0.5) / n for i in range(n)]
    tokens = draw(logits.expand(n, -1), uniforms, Sampling(temperature=1, top_p=1))
    assert tokens.bincount().tolist() == [n // 8, 3 * n // 8, 0, n // 2]


@pytest.mark.parametrize("u", [0.0, 1 - 2**-53])
def test_draw_at_both_ends_takes_no_token_of_share_zero(u: float) -> None:
    logits = torch.tensor([[-math.inf, 0.1, 0.7, -1e4, -math.inf]])
    token = draw(logits, [u], Sampling(temperature=1, top_p=1)).item()
    assert token == (1 if u == 0 else 2)


def test_a_row_is_drawn_alike_in_any_batch() -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(7, 259, generator=generator)
    uniforms = [uniform(1, i) for i in range(7)]
    whole = draw(logits, uniforms, Sampling())
    alone = [draw(logits[i : i + 1], uniforms[i : i + 1], Sampling()).item() for i in range(7)]
    assert whole.tolist() == alone


def test_draw_beside_mask_measures_what_the_mask_takes() -> None:
    logits = torch.tensor([[math.log(6), math.log(3), math.log(1)]] * 2)
    masked = logits.clone()
    masked[:, 0] = -math.inf
    sampling = Sampling(temperature=1, top_p=1)
    draws = draw_beside_mask(logits, masked, [0.3, 0.95], sampling)
    assert draws.tokens == [1, 2]
    assert draws.vetoed == [True, False]  # without the mask: 0, and 2
    assert draws.log_zs == pytest.approx([math.log(0.4)] * 2)
    assert draws.log_probs == pytest.approx([math.log(0.75), math.log(0.25)])

    free = draw_beside_mask(logits, masked, [0.3, 0.95], sampling, mask=False)
    assert free.tokens == [0, 2]
    assert free.vetoed == [True, False]
    assert free.log_zs == pytest.approx(draws.log_zs)
    assert free.log_probs == pytest.approx([math.log(0.6), math.log(0.1)])


def test_guide_equals_its_twin() -> None:
    generator = torch.Generator().manual_seed(2)
    conditional, unconditional = torch.randn(2, 3, 20, generator=generator, dtype=torch.float64)
    for scale in (0.0, 1.0, 3.0):
        guided = guide(conditional, unconditional, scale)
        for i in range(3):
            expected = reference.guide(conditional[i].tolist(), unconditional[i].tolist(), scale)
            assert guided[i].tolist() == pytest.approx(expected, abs=1e-12)  # rounding order only


def test_uniform_depends_on_seed_and_step_alone_and_is_spread_evenly() -> None:
    numbers = np.array([[uniform(seed, step) for step in range(200)] for seed in range(200)])
    assert numbers.min() >= 0
    assert numbers.max() < 1
    assert len(np.unique(numbers)) == numbers.size
    counts = np.histogram(numbers, bins=10, range=(0, 1))[0]
    assert abs(counts - 4000).max() < 5 * math.sqrt(3600)
    for neighbour in (numbers[1:], numbers[:, 1:]):
        here = numbers[: neighbour.shape[0], : neighbour.shape[1]]
        assert abs(np.corrcoef(here.ravel(), neighbour.ravel())[0, 1]) < 0.025
    assert uniform(-1, 0) != uniform(1, 0)
    assert uniform(2**70, 5) == uniform(2**70, 5)


@pytest.mark.parametrize(
    ("given_values", "complaint"),
    [
        ({"temperature": -0.1}, "temperature = -0.1"),
        ({"temperature": math.nan}, "temperature = nan"),
        ({"top_k": -1}, "top_k = -1"),
        ({"top_p": 0.0}, "top_p = 0.0"),
        ({"top_p": 1.5}, "top_p = 1.5"),
        ({"cfg_scale": math.inf}, "cfg_scale = inf"),
    ],
)
def test_sampling_refuses_what_makes_no_sense(
    given_values: dict[str, float], complaint: str
) -> None:
    with pytest.raises(UsageError, match=complaint):
        Sampling(**given_values)  # type: ignore[arg-type]
