"""What generation asks of the sampler; tests/kernels holds the sampler itself to its definition."""

import math

import numpy as np
import pytest
import torch

from pycodec_lm.errors import CodecLMError, UsageError
from pycodec_lm.generation.sampling import Logits, Sampling, draw, draw_beside_mask
from pycodec_lm.reference import philox_uniform


def seed_of(low: float, high: float) -> int:
    """A seed whose number of step 0 lies between two others."""
    return next(seed for seed in range(10_000) if low < philox_uniform(seed, 0) < high)


def test_draw_beside_mask_measures_what_the_mask_takes() -> None:
    values = torch.tensor([[math.log(6), math.log(3), math.log(1)]] * 2)
    logits = Logits(values, None, [seed_of(0.25, 0.35), seed_of(0.92, 0.98)], [0, 0])
    bitmask = np.array([[0b110], [0b110]], np.int32)
    sampling = Sampling(temperature=1, top_p=1)
    draws = draw_beside_mask(logits, bitmask, sampling)
    assert draws.tokens == [1, 2]
    assert draws.vetoed == [True, False]  # without the mask: 0, and 2
    assert draws.log_zs == pytest.approx([math.log(0.4)] * 2)
    assert draws.log_probs == pytest.approx([math.log(0.75), math.log(0.25)])

    free = draw_beside_mask(logits, bitmask, sampling, mask=False)
    assert free.tokens == [0, 2]
    assert free.vetoed == [True, False]
    assert free.log_zs == pytest.approx(draws.log_zs)
    assert free.log_probs == pytest.approx([math.log(0.6), math.log(0.1)])


def test_guidance_counts_in_what_is_measured() -> None:
    conditional, unconditional = torch.tensor([[0.0, 1.0]]), torch.tensor([[0.0, 0.5]])
    logits = Logits(conditional, unconditional, [1], [0])
    sampled = draw(logits, Sampling(temperature=0, cfg_scale=3.0))
    assert sampled.tokens.tolist() == [1]
    assert sampled.log_probs.item() == pytest.approx(-math.log1p(math.exp(-2)))


def test_seeds_of_any_size_and_the_step_decide() -> None:
    values = torch.zeros(4, 1000)
    logits = Logits(values, None, [-1, 2**64 - 1, 2**70 + 7, 7], [3, 3, 2, 2])
    tokens = draw(logits, Sampling(temperature=1, top_p=1)).tokens.tolist()
    assert tokens[0] == tokens[1] == int(philox_uniform(-1, 3) * 1000)
    assert tokens[2] == tokens[3] == int(philox_uniform(7, 2) * 1000)


def test_top_k_may_exceed_the_vocabulary() -> None:
    logits = Logits(torch.zeros(1, 5), None, [0], [0])
    draw(logits, Sampling(top_k=1000))


def test_broken_logits_are_an_error() -> None:
    logits = Logits(torch.tensor([[0.0, math.nan]]), None, [0], [0])
    with pytest.raises(CodecLMError, match="not finite"):
        draw(logits, Sampling())


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
