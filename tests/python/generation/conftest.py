"""A tiny untrained model over a small grammar: all that generation needs."""

import dataclasses
import json
from collections.abc import Iterator

import pytest
import torch

from pycodec_lm.avc_grammar import AvcGrammar
from pycodec_lm.codecs.avc import AvcSettings
from pycodec_lm.grammar import JpegGrammar
from pycodec_lm.models.checkpoint import Checkpoint
from pycodec_lm.models.transformer import Transformer, TransformerConfig
from pycodec_lm.tokenizer import ByteTokenizer

NAMES = ("red apple", "full moon", "star")
GROUPS = ("food-fruit", "sky & weather")
# Pairs that occur in any JPEG-LM stream: restart markers, EOI, stuffing, runs of one bit.
MERGES = [(b"\xff", b"\xd0"), (b"\xff", b"\xd9"), (b"\xff", b"\x00"), (b"\x28", b"\xa2")]


def make_checkpoint(
    *,
    grammar: JpegGrammar | AvcGrammar | None = None,
    merges: list[tuple[bytes, bytes]] | None = None,
    codec_inputs: bool = True,
    max_seq_len: int = 512,
    with_classes: bool = True,
) -> Checkpoint:
    """An untrained model of 2 layers; the same weights on every call."""
    tokenizer = ByteTokenizer(merges or [])
    grammar = grammar or JpegGrammar.jpeg_lm(width=32, height=32)
    conditions = {"name": NAMES, "subgroup": GROUPS} if with_classes else {}
    config = TransformerConfig(
        vocab_size=tokenizer.vocab_size,
        dim=32,
        n_layers=2,
        n_heads=2,
        max_seq_len=max_seq_len,
        conditions=tuple((name, len(labels)) for name, labels in conditions.items()),
        codec_inputs=codec_inputs,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Transformer(config).eval()
        if with_classes:  # or the classes of an untrained model would hardly matter
            model.condition_embedding.weight.data.normal_()
    return Checkpoint(model, json.loads(grammar.serialize()), tokenizer, conditions)


def make_clip_checkpoint(settings: AvcSettings, *, max_seq_len: int = 2048) -> Checkpoint:
    """The same for clips."""
    values = dataclasses.asdict(settings)
    made = make_checkpoint(
        grammar=AvcGrammar.avc_lm(**values), max_seq_len=max_seq_len, with_classes=False
    )
    return dataclasses.replace(made, codec="avc", training={"settings": values})


@pytest.fixture(scope="session")
def checkpoint() -> Checkpoint:
    return make_checkpoint()


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Threads would only get in each other's way: the model is tiny."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)
