"""Files that a model writes under the mask: valid, within budget, the same in any company."""

import dataclasses
import io
import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from PIL import Image

import pycodec_lm as pcl
from pycodec_lm import _core
from pycodec_lm.errors import CodecLMError, UsageError
from pycodec_lm.generation import GeneratedFile, generate
from pycodec_lm.generation.api import compiled_grammar
from pycodec_lm.grammar import JpegGrammar
from pycodec_lm.jpeg_tables import standard_huffman_tables
from pycodec_lm.models.checkpoint import Checkpoint
from pycodec_lm.models.transformer import Transformer
from pycodec_lm.reference import philox_uniform

from .conftest import MERGES, make_checkpoint

HOT = {"temperature": 1.3, "top_p": 1.0}  # an untrained model, and nothing that tames it


def assert_decodes(file: GeneratedFile, size: tuple[int, int] = (32, 32)) -> None:
    assert file.valid, file.verdict.message
    assert pcl.check(file.data).valid
    with Image.open(io.BytesIO(file.data), formats=("JPEG",)) as image:
        image.load()
        assert image.size == size


def assert_same(file: GeneratedFile, other: GeneratedFile) -> None:
    assert (file.seed, file.label) == (other.seed, other.label)
    assert file.data == other.data
    assert file.tokens == other.tokens
    assert (file.n_forced, file.n_vetoed) == (other.n_forced, other.n_vetoed)
    # Attention may add up its terms in another order: float32, some 10 steps deep.
    assert file.log_probs == pytest.approx(other.log_probs, abs=1e-4)
    assert file.log_zs == pytest.approx(other.log_zs, abs=1e-4)


GRAMMARS = {
    "jpeg_lm": (JpegGrammar.jpeg_lm(width=32, height=32), (32, 32)),
    "no restarts": (JpegGrammar.jpeg_lm(width=24, height=16, restart_interval=0), (24, 16)),
    "gray": (JpegGrammar.jpeg_lm(width=16, height=16, subsampling="gray", quality=60), (16, 16)),
    "free header": (
        JpegGrammar(
            width=8,
            height=8,
            subsampling="gray",
            quality=25,
            huffman_tables={
                key: table for key, table in standard_huffman_tables().items() if key[1] == 0
            },
        ),
        (8, 8),
    ),
}


@pytest.mark.parametrize("name", GRAMMARS)
@pytest.mark.parametrize("merges", [[], MERGES], ids=["bytes", "merges"])
def test_every_file_is_valid_and_within_budget(
    name: str, merges: list[tuple[bytes, bytes]]
) -> None:
    grammar, size = GRAMMARS[name]
    checkpoint = make_checkpoint(grammar=grammar, merges=merges, max_seq_len=900)
    compiled = compiled_grammar(checkpoint)
    least = _core.GrammarMatcher(compiled, prompt=grammar.header).min_tokens_to_complete()
    for max_tokens in (least, least + 7, 400):
        files = generate(checkpoint, n=2, max_tokens=max_tokens, **HOT)
        for file in files:
            assert_decodes(file, size)
            assert len(file.tokens) <= max_tokens
            assert file.tokens[-1] == checkpoint.tokenizer.eos_id
            stream = grammar.header + checkpoint.tokenizer.decode(file.tokens)
            assert grammar.to_file(stream) == file.data


@pytest.mark.parametrize(("codec_inputs", "cfg_scale"), [(True, 1.0), (False, 2.5)])
def test_a_file_does_not_depend_on_its_neighbours(codec_inputs: bool, cfg_scale: float) -> None:
    checkpoint = make_checkpoint(codec_inputs=codec_inputs)
    settings = {"max_tokens": 300, "cfg_scale": cfg_scale, **HOT}
    together = generate(checkpoint, n=5, seed=10, **settings)
    assert len({file.data for file in together}) == 5
    pairs = generate(checkpoint, n=5, seed=10, batch=2, **settings)
    for file, other in zip(together, pairs, strict=True):
        assert_same(file, other)
    alone = generate(checkpoint, n=1, seed=13, **settings)[0]
    assert (alone.seed, together[3].seed) == (13, 13)
    assert_same(alone, together[3])


def test_seeds_and_classes_make_a_difference(checkpoint: Checkpoint) -> None:
    files = generate(checkpoint, n=2, classes=["star"], max_tokens=300, **HOT)
    assert files[0].data != files[1].data
    other = generate(checkpoint, n=1, classes=["full moon"], max_tokens=300, **HOT)[0]
    assert other.data != files[0].data
    nothing = generate(checkpoint, n=1, classes=[], max_tokens=300, **HOT)[0]
    assert nothing.label == ""
    assert nothing.data not in (other.data, files[0].data)


def test_without_classes_named_each_file_gets_one_by_its_seed(checkpoint: Checkpoint) -> None:
    labels = [file.label for file in generate(checkpoint, n=12, max_tokens=40)]
    assert set(labels) == {"red apple", "full moon", "star"}
    assert generate(checkpoint, n=1, seed=7, max_tokens=40)[0].label == labels[7]


def test_guidance_of_scale_one_is_plain_sampling_and_zero_forgets_the_class() -> None:
    checkpoint = make_checkpoint()
    common = {"n": 2, "max_tokens": 200, **HOT}
    plain = generate(checkpoint, classes=["star"], **common)
    # Scale 1 takes a shorter way; one that is nearly 1 takes the long way to the same.
    near = generate(checkpoint, classes=["star"], cfg_scale=1 + 1e-6, **common)
    assert [file.data for file in near] == [file.data for file in plain]
    nothing = generate(checkpoint, classes=[], **common)
    forgotten = generate(checkpoint, classes=["star"], cfg_scale=0.0, **common)
    assert [file.data for file in forgotten] == [file.data for file in nothing]
    strong = generate(checkpoint, classes=["star"], cfg_scale=4.0, **common)
    assert strong[0].data not in (plain[0].data, nothing[0].data)


def test_forced_tokens_are_those_with_no_choice() -> None:
    checkpoint = make_checkpoint(merges=MERGES)
    compiled = compiled_grammar(checkpoint)
    file = generate(checkpoint, n=1, max_tokens=300, **HOT)[0]
    matcher = _core.GrammarMatcher(compiled, prompt=compiled.grammar.header)
    n_forced = 0
    forced: list[int] = []
    for token, log_prob, log_z in zip(file.tokens, file.log_probs, file.log_zs, strict=True):
        forced = forced or matcher.find_jump_forward_tokens()
        if not forced and matcher.is_completed():
            forced = [checkpoint.tokenizer.eos_id]
        if forced:
            assert token == forced.pop(0)
            assert (log_prob, log_z) == (0.0, 0.0)
            n_forced += 1
        else:
            assert log_prob < 0
        assert matcher.accept_token(token)
    # Three restart markers, EOI and the stop token at least.
    assert file.n_forced == n_forced >= 5
    assert file.n_draws == len(file.tokens) - n_forced


class ModelOfOneMind:
    """Wants the same few tokens everywhere."""

    def __init__(self, like: Transformer, wanted: Sequence[int]) -> None:
        self._like = like
        self.config = like.config
        self.token_embedding = like.token_embedding
        self._logits = torch.full((like.config.vocab_size,), -20.0)
        self._logits[list(wanted)] = 0.0
        self.n_positions = 0

    def to(self, _device: torch.device) -> "ModelOfOneMind":
        return self

    def eval(self) -> "ModelOfOneMind":
        return self

    def new_cache(self, batch: int, max_len: int) -> object:
        return self._like.new_cache(batch, max_len)

    def step(
        self,
        tokens: torch.Tensor,
        annotations: torch.Tensor,
        positions: torch.Tensor,
        cache: object,
        valid: torch.Tensor,
        conditions: torch.Tensor,
    ) -> torch.Tensor:
        del annotations, positions, cache, conditions
        self.n_positions += int(valid.sum())
        return self._logits.expand(len(tokens), -1).clone()


def with_model(checkpoint: Checkpoint, wanted: Sequence[int]) -> Checkpoint:
    model = ModelOfOneMind(checkpoint.model, wanted)
    return Checkpoint(
        model,  # type: ignore[arg-type]
        checkpoint.grammar,
        checkpoint.tokenizer,
        checkpoint.conditions,
    )


def test_the_report_counts_vetoes_and_mass(checkpoint: Checkpoint) -> None:
    # It wants FF everywhere, which is hardly ever legal before a stuffed 00.
    file = generate(with_model(checkpoint, [0xFF]), n=1, max_tokens=300)[0]
    assert_decodes(file)
    matcher = _core.GrammarMatcher(
        compiled_grammar(checkpoint),
        max_tokens=300,
        prompt=JpegGrammar.jpeg_lm(width=32, height=32).header,
    )
    n_vetoed, mass = 0, []
    for token, log_z in zip(file.tokens, file.log_zs, strict=True):
        if log_z != 0:
            is_legal = matcher.validate_tokens([0xFF]) == 1
            n_vetoed += not is_legal
            mass.append(math.exp(log_z))
            assert (math.exp(log_z) > 0.5) == is_legal
        assert matcher.accept_token(token)
    assert file.n_vetoed == n_vetoed > 0
    assert file.mean_allowed_mass == pytest.approx(np.mean(mass))
    assert file.veto_share == n_vetoed / file.n_draws
    assert file.log_probability == pytest.approx(sum(file.log_probs))
    report = file.report()
    assert report["vetoed_draws"] == n_vetoed
    assert report["valid"]


def test_the_model_sees_every_token_once_but_the_last(checkpoint: Checkpoint) -> None:
    forgetful = with_model(checkpoint, range(256))
    file = generate(forgetful, n=1, max_tokens=300, temperature=1, top_p=1)[0]
    n_at_the_end = 0  # forced tokens after the last draw are not shown either
    while file.log_probs[-1 - n_at_the_end] == 0:
        n_at_the_end += 1
    assert forgetful.model.n_positions == 1 + len(file.tokens) - n_at_the_end - 1  # type: ignore[attr-defined]


def test_the_budget_is_blamed_only_where_it_forbids(checkpoint: Checkpoint) -> None:
    # Long amplitudes without end: only a budget stops it. (Byte 0x7F keeps most codes open.)
    endless = with_model(checkpoint, [0x7F, 0xF7, 0xEF])
    short = generate(endless, n=4, max_tokens=40, temperature=1, top_p=1)
    assert all(file.ended_by_budget for file in short)
    for file in short:
        assert_decodes(file)
        assert len(file.tokens) <= 40
    # It wants what the shortest ending is made of, and needs no budget to end.
    matcher = _core.GrammarMatcher(
        compiled_grammar(checkpoint), prompt=JpegGrammar.jpeg_lm(width=32, height=32).header
    )
    least = matcher.min_tokens_to_complete()
    frugal = with_model(checkpoint, [*set(matcher.complete())])
    for file in generate(frugal, n=4, max_tokens=500, temperature=1, top_p=1):
        assert_decodes(file)
        assert not file.ended_by_budget
    exact = generate(frugal, n=1, max_tokens=least, temperature=1, top_p=1)[0]
    assert len(exact.tokens) <= least


def test_without_mask_the_model_writes_what_it_likes(checkpoint: Checkpoint) -> None:
    files = generate(checkpoint, n=6, max_tokens=120, mask=False, temperature=1, top_p=1)
    assert not any(file.valid for file in files)
    for file in files:
        assert file.n_forced == 0
        assert file.n_vetoed == 1  # the draw that broke it
        assert file.ended_by_budget == (file.tokens[-1] != checkpoint.tokenizer.eos_id)
        assert len(file.tokens) == 120 or not file.ended_by_budget
        # What follows the draw that broke it, if anything does, has no mask to speak of.
        unknown = [math.isnan(log_z) for log_z in file.log_zs]
        broken_at = unknown.index(True) if any(unknown) else len(unknown)
        assert all(math.isnan(log_z) for log_z in file.log_zs[broken_at:])
        assert 0 < file.mean_allowed_mass <= 1


def test_without_mask_a_model_that_knows_the_end_stops(checkpoint: Checkpoint) -> None:
    stopping = with_model(checkpoint, [checkpoint.tokenizer.eos_id])
    file = generate(stopping, n=1, max_tokens=50, mask=False)[0]
    assert file.tokens == [checkpoint.tokenizer.eos_id]
    assert not file.ended_by_budget
    assert file.verdict.family == "truncated"


def test_bytes_are_told_as_they_become_certain(checkpoint: Checkpoint) -> None:
    told: dict[int, bytes] = {}
    calls: list[int] = []

    def hear(index: int, data: bytes) -> None:
        told[index] = told.get(index, b"") + data
        calls.append(index)

    steps: list[int] = []
    files = generate(checkpoint, n=3, max_tokens=100, on_bytes=hear, on_step=steps.append, **HOT)
    assert told == {file.index: file.data for file in files}
    assert len(calls) > 100
    assert sum(steps) == sum(file.n_draws for file in files)


def test_greedy_files_are_all_the_same(checkpoint: Checkpoint) -> None:
    files = generate(checkpoint, n=2, classes=["star"], temperature=0, max_tokens=200)
    assert files[0].data == files[1].data
    assert_decodes(files[0])


def test_a_long_prompt_is_fed_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = make_checkpoint()
    picture = Image.radial_gradient("L").convert("RGB")
    settings = {"n": 2, "prompt": picture, "keep": 0.9, "max_tokens": 250, **HOT}
    whole = generate(checkpoint, **settings)
    monkeypatch.setattr("pycodec_lm.generation.engine._CHUNK_TOKENS", 3)
    pieces = generate(checkpoint, **settings)
    for file, other in zip(pieces, whole, strict=True):
        assert_same(file, other)


def test_uniforms_follow_the_position_in_the_file(checkpoint: Checkpoint) -> None:
    """With all bytes alike and no mask, the token is the random number itself."""
    n_tokens = checkpoint.tokenizer.vocab_size
    even = with_model(checkpoint, range(n_tokens))
    file = generate(even, n=1, seed=5, max_tokens=30, mask=False, temperature=1, top_p=1)[0]
    expected = [int(philox_uniform(5, t) * n_tokens) for t in range(len(file.tokens))]
    assert file.tokens == expected


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"n": 0}, "n = 0"),
        ({"batch": 0}, "batch = 0"),
        ({"max_tokens": 0}, "max_tokens = 0"),
        ({"max_tokens": 10}, "takes 25"),
        ({"max_tokens": 5000}, "max_tokens = 5000, but the model has positions for 512 tokens"),
        ({"classes": ["apple"]}, "no class 'apple'; did you mean red apple?"),
        ({"device": "nonsense"}, "device 'nonsense' cannot be used"),
        ({"checkpoint": "/nonexistent"}, "no checkpoint here"),
    ],
)
def test_misuse_is_named(
    checkpoint: Checkpoint, arguments: dict[str, object], complaint: str
) -> None:
    with pytest.raises(UsageError, match=complaint.replace("?", r"\?")):
        generate(**({"checkpoint": checkpoint} | arguments))  # type: ignore[arg-type]


def test_guidance_needs_a_model_with_classes() -> None:
    with pytest.raises(UsageError, match="trained without"):
        generate(make_checkpoint(with_classes=False), cfg_scale=2.0)


def test_a_grammar_of_another_codec_is_refused(checkpoint: Checkpoint) -> None:
    clips = dataclasses.replace(checkpoint, codec="avc")
    with pytest.raises(UsageError, match="the grammar is not one of H"):
        generate(clips, n=1)


def test_broken_weights_are_named() -> None:
    checkpoint = make_checkpoint()
    checkpoint.model.head.weight.data.fill_(math.nan)
    with pytest.raises(CodecLMError, match="weights are broken"):
        generate(checkpoint)
