"""Scores of finished files against what generation said while it wrote them."""

import math

import pytest

from pycodec_lm.errors import UsageError
from pycodec_lm.generation import generate, score
from pycodec_lm.generation.api import compiled_grammar
from pycodec_lm.models.checkpoint import Checkpoint

from .conftest import make_checkpoint


@pytest.mark.parametrize("codec_inputs", [True, False])
def test_scoring_agrees_with_generation(codec_inputs: bool) -> None:
    checkpoint = make_checkpoint(codec_inputs=codec_inputs)
    file = generate(checkpoint, classes=["star"], max_tokens=500, temperature=1, top_p=1)[0]
    header = compiled_grammar(checkpoint).grammar.header
    result = score(checkpoint, header + checkpoint.tokenizer.decode(file.tokens), label="star")
    assert result.tokens == file.tokens
    for t, (log_prob, log_z) in enumerate(zip(file.log_probs, file.log_zs, strict=True)):
        if log_prob == 0:  # forced: nothing else is allowed
            assert result.log_probs[t] == pytest.approx(0, abs=1e-12)
        else:
            # float32, with the terms of attention in another order
            assert result.log_probs[t] == pytest.approx(log_prob, abs=1e-4)
            assert result.log_zs[t] == pytest.approx(log_z, abs=1e-4)
    assert all(value <= 0 for value in result.log_zs)
    assert math.fsum(result.log_probs) == pytest.approx(file.log_probability, abs=1e-2)


def test_streams_of_another_grammar_are_refused(checkpoint: Checkpoint) -> None:
    header = compiled_grammar(checkpoint).grammar.header
    with pytest.raises(UsageError, match="does not start with the header"):
        score(checkpoint, b"\xff\xd8")
    with pytest.raises(UsageError, match="not one of the model's grammar"):
        score(checkpoint, header + b"\xff\xd9")
