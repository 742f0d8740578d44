"""Other masking engines on the task that they are made for: a JSON schema.

They cannot write JPEG files (docs/design.md), so what is compared is the price of a call, not the
result; the bit of the true token is looked at in every step as well.
"""

from __future__ import annotations

import importlib.util
import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from ..errors import CodecLMError
from ..tokenizer import ByteTokenizer
from .measure import Spread, timer_floor_ns
from .vocabularies import train_tokenizer

__all__ = ["PEERS", "PeerTimes", "available_peers", "measure_peer"]

_N_DOCUMENTS = 400
_N_WARM_UP = 20
_N_MEASURED = 40
_SCHEMA = {
    "type": "object",
    "properties": {
        "id": {"type": "integer"},
        "title": {"type": "string"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "author": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "age": {"type": "integer"},
                "is_member": {"type": "boolean"},
            },
            "required": ["name", "age", "is_member"],
            "additionalProperties": False,
        },
        "size": {
            "type": "object",
            "properties": {"width": {"type": "integer"}, "height": {"type": "integer"}},
            "required": ["width", "height"],
            "additionalProperties": False,
        },
        "score": {"type": "number"},
    },
    "required": ["id", "title", "tags", "author", "size", "score"],
    "additionalProperties": False,
}


def available_peers() -> list[str]:
    """Those of PEERS that are installed."""
    return [name for name in PEERS if importlib.util.find_spec(name) is not None]


@dataclass(frozen=True)
class PeerTimes:
    """Microseconds of a fill along JSON documents."""

    name: str
    version: str
    vocab_size: int
    fill: Spread
    # Steps in which the mask forbids the token that the document goes on with, though the engine
    # accepts it: XGrammar 0.2.8 does so for tokens that span several JSON values.
    n_wrong: int


def measure_peer(name: str, vocab_size: int) -> PeerTimes:
    """Times a peer.

    Raises:
        CodecLMError: it refuses the token that a valid document goes on with.
    """
    documents = _documents()
    tokenizer = train_tokenizer(documents[_N_WARM_UP + _N_MEASURED :], vocab_size)
    make_walk = PEERS[name](tokenizer)
    floor = timer_floor_ns()
    encoded = tokenizer.encode_batch(documents[: _N_WARM_UP + _N_MEASURED])
    times: list[int] = []
    n_wrong = 0
    for i, ids in enumerate(encoded):
        spent, n = _walk(name, make_walk(), ids)
        if i >= _N_WARM_UP:
            times += spent
            n_wrong += n
    spread = Spread.of(times, floor=floor, scale=1e-3)
    return PeerTimes(name, version(name), tokenizer.vocab_size, spread, n_wrong)


# fill(), accept(token) and the words of the mask.
_Walker = tuple[Callable[[], object], Callable[[int], object], Any]


def _walk(name: str, walker: _Walker, ids: Sequence[int]) -> tuple[list[int], int]:
    fill, accept, words = walker
    clock = time.perf_counter_ns
    times = []
    n_wrong = 0
    for token in ids:
        start = clock()
        fill()
        times.append(clock() - start)
        n_wrong += not int(words[token >> 5]) >> (token & 31) & 1
        if not accept(token):
            raise CodecLMError(f"{name} refuses token {token} of a valid document")
    return times, n_wrong


def _xgrammar(tokenizer: ByteTokenizer) -> Callable[[], _Walker]:
    import xgrammar

    info = xgrammar.TokenizerInfo(
        tokenizer.encoded_vocab,
        vocab_type=xgrammar.VocabType.RAW,
        vocab_size=tokenizer.vocab_size,
        stop_token_ids=[tokenizer.eos_id],
    )
    compiled = xgrammar.GrammarCompiler(info).compile_json_schema(
        json.dumps(_SCHEMA), any_whitespace=False, separators=(",", ":")
    )

    def make_walk() -> _Walker:
        matcher = xgrammar.GrammarMatcher(compiled)
        bitmask = xgrammar.allocate_token_bitmask(1, tokenizer.vocab_size)
        words = bitmask[0].numpy()
        return lambda: matcher.fill_next_token_bitmask(bitmask), matcher.accept_token, words

    return make_walk


def _llguidance(tokenizer: ByteTokenizer) -> Callable[[], _Walker]:
    import llguidance
    import llguidance.numpy

    specials = {tokenizer.pad_id: b"<pad>", tokenizer.bos_id: b"<bos>", tokenizer.eos_id: b"<eos>"}
    wrapped = _TokenizerForLlguidance(tokenizer, specials)
    ll_tokenizer = llguidance.LLTokenizer(llguidance.TokenizerWrapper(wrapped))
    schema = {**_SCHEMA, "x-guidance": {"whitespace_flexible": False}}
    grammar = llguidance.LLMatcher.grammar_from_json_schema(json.dumps(schema))

    def make_walk() -> _Walker:
        matcher = llguidance.LLMatcher(ll_tokenizer, grammar)
        bitmask = llguidance.numpy.allocate_token_bitmask(1, tokenizer.vocab_size)

        def fill() -> None:
            llguidance.numpy.fill_next_token_bitmask(matcher, bitmask, 0)

        return fill, matcher.consume_token, bitmask[0]

    return make_walk


class _TokenizerForLlguidance:
    """What llguidance.TokenizerWrapper asks of a tokenizer."""

    def __init__(self, tokenizer: ByteTokenizer, specials: dict[int, bytes]) -> None:
        self.eos_token_id = tokenizer.eos_id
        self.bos_token_id = tokenizer.bos_id
        self.special_token_ids = [*specials]
        self.tokens = [specials.get(i, token) for i, token in enumerate(tokenizer.encoded_vocab)]
        self._encode = tokenizer.encode

    def __call__(self, text: bytes | str) -> list[int]:
        return self._encode(text.encode() if isinstance(text, str) else text)


PEERS: dict[str, Callable[[ByteTokenizer], Callable[[], _Walker]]] = {
    "xgrammar": _xgrammar,
    "llguidance": _llguidance,
}


def _documents() -> list[bytes]:
    rng = random.Random(0)

    def words(n: int) -> str:
        return " ".join(
            "".join(rng.choice("etaoinshrdlu") for _ in range(rng.randint(2, 9))) for _ in range(n)
        )

    documents = [
        {
            "id": rng.randrange(10**6),
            "title": words(rng.randint(2, 8)),
            "tags": [words(1) for _ in range(rng.randint(0, 5))],
            "author": {
                "name": words(2),
                "age": rng.randint(18, 90),
                "is_member": rng.random() < 0.5,
            },
            "size": {"width": rng.randrange(4096), "height": rng.randrange(4096)},
            "score": rng.randrange(1000) / 8,
        }
        for _ in range(_N_DOCUMENTS)
    ]
    return [json.dumps(document, separators=(",", ":")).encode() for document in documents]
