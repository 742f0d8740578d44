"""Other masking engines on the task that they are made for: a JSON schema.

They cannot write JPEG files (docs/design.md), so what is compared is the price of a call, not the
result; the bit of the true token is looked at in every step as well.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import random
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from ..errors import CodecLMError
from ..tokenizer import ByteTokenizer
from .matcher_speed import (
    THREADS,
    ApplyTimes,
    BatchTimes,
    ForkTimes,
    time_apply,
    time_batch,
    time_forks,
)
from .measure import Spread, timer_floor_ns
from .vocabularies import train_tokenizer

__all__ = [
    "PEERS",
    "PeerTimes",
    "available_peers",
    "measure_peer",
    "measure_peer_apply",
    "measure_peer_batch",
    "measure_peer_forks",
    "token_kinds",
]

_N_WARM_UP = 20
_N_MEASURED = 40
# Documents are short: a batch goes through some of them, one after the other.
_N_BATCHES = 10
# Vocabularies are learned from so many others; large ones from as many as they need.
_N_TRAIN = 340
_N_TRAIN_LARGE = 20_000
_LARGE = 2048
_FORK_VOCAB_SIZE = 1024
# Tokens of language models keep to a word or to punctuation; those of pictures know no such bounds.
# Tokens that span values cost XGrammar many times as much, so both kinds are shown.
_TOKENS = ("words", "any bytes")
_PIECES = re.compile(rb" ?[A-Za-z_]+|[0-9]+|[^A-Za-z_0-9 ]+")
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
    tokens: str  # of what kind
    fill: Spread
    # Steps in which the mask forbids the token that the document goes on with, though the engine
    # accepts it: XGrammar 0.2.8 does so for tokens that span several JSON values.
    n_wrong: int


def token_kinds(vocab_size: int) -> tuple[str, ...]:
    """The kinds of tokens to measure with: only one where learning the other takes a minute."""
    return _TOKENS if vocab_size <= _LARGE else _TOKENS[:1]


def measure_peer(name: str, vocab_size: int, tokens: str) -> PeerTimes:
    """Times a peer, with tokens of a kind.

    Raises:
        CodecLMError: it refuses the token that a valid document goes on with.
    """
    tokenizer = _tokenizer(vocab_size, tokens)
    peer = PEERS[name](tokenizer)
    floor = timer_floor_ns()
    encoded = tokenizer.encode_batch(_documents(_N_WARM_UP + _N_MEASURED))
    times: list[int] = []
    n_wrong = 0
    for i, ids in enumerate(encoded):
        spent, n = _walk(name, peer.walker(), ids)
        if i >= _N_WARM_UP:
            times += spent
            n_wrong += n
    spread = Spread.of(times, floor=floor, scale=1e-3)
    return PeerTimes(name, version(name), vocab_size, tokens, spread, n_wrong)


def measure_peer_batch(vocab_size: int, n_rows: int, floor_ns: float) -> BatchTimes:
    """Times XGrammar's batch of documents; what it finds forbidden goes uncounted here."""
    import xgrammar

    tokenizer = _tokenizer(vocab_size)
    peer = _Xgrammar(tokenizer)
    documents = tokenizer.encode_batch(_documents(n_rows * _N_BATCHES, seed=1))
    batches = {n: xgrammar.BatchGrammarMatcher(max_threads=n) for n in THREADS}
    bitmask = xgrammar.allocate_token_bitmask(n_rows, tokenizer.vocab_size)
    times: dict[int, list[int]] = {n: [] for n in THREADS}
    for first in range(0, len(documents), n_rows):
        rows = documents[first : first + n_rows]
        matchers = [peer.new_matcher() for _ in rows]

        def fill(n: int, matchers: list[Any] = matchers) -> None:
            batches[n].batch_fill_next_token_bitmask(matchers, bitmask)

        def step_on(
            step: int, matchers: list[Any] = matchers, rows: list[list[int]] = rows
        ) -> None:
            for matcher, ids in zip(matchers, rows, strict=True):
                if not matcher.accept_token(ids[step]):
                    raise CodecLMError(f"xgrammar refuses token {ids[step]} of a valid document")

        fills = {n: functools.partial(fill, n) for n in THREADS}
        for n, spent in time_batch(fills, step_on, min(map(len, rows))).items():
            if first:  # the first batch warms up
                times[n] += spent
    spreads = {n: Spread.of(spent, floor=floor_ns, scale=1e-3) for n, spent in times.items()}
    name = f"xgrammar {version('xgrammar')}, JSON"
    return BatchTimes(name, tokenizer.vocab_size, n_rows, spreads)


def measure_peer_forks(name: str, floor_ns: float, n_tokens: Sequence[int]) -> ForkTimes:
    """Times a peer's forks along one document with as many tags as it takes."""
    tokenizer = _tokenizer(_FORK_VOCAB_SIZE)
    peer = PEERS[name](tokenizer)
    document = json.loads(_documents(1)[0])
    # A tag of five letters takes two tokens at least.
    rng = random.Random(0)
    document["tags"] = [
        "".join(rng.choice("etaoinshrdlu") for _ in range(5)) for _ in range(n_tokens[-1])
    ]
    ids = tokenizer.encode(json.dumps(document, separators=(",", ":")).encode())
    matcher = peer.new_matcher()
    accept = peer.accept_of(matcher)
    n_taken = 0

    def walk_to(n: int) -> None:
        nonlocal n_taken
        for token in ids[n_taken:n]:
            if not accept(token):
                raise CodecLMError(f"{name} refuses token {token} of a valid document")
        n_taken = n

    return time_forks(
        f"{name} {version(name)}, JSON", peer.fork_of(matcher), walk_to, n_tokens, floor_ns
    )


def measure_peer_apply(floor_ns: float, shape: tuple[int, int]) -> ApplyTimes:
    """Times XGrammar's function on CPU tensors."""
    import torch
    import xgrammar

    apply = xgrammar.apply_token_bitmask_inplace
    name = f"xgrammar {version('xgrammar')}, torch"
    return time_apply(name, apply, torch.from_numpy, floor_ns, shape)


# fill(), accept(token) and the words of the mask.
_Accept = Callable[[int], object]
_Walker = tuple[Callable[[], object], _Accept, Any]


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


class _Xgrammar:
    def __init__(self, tokenizer: ByteTokenizer) -> None:
        import xgrammar

        info = xgrammar.TokenizerInfo(
            tokenizer.encoded_vocab,
            vocab_type=xgrammar.VocabType.RAW,
            vocab_size=tokenizer.vocab_size,
            stop_token_ids=[tokenizer.eos_id],
        )
        self._vocab_size = tokenizer.vocab_size
        self._compiled = xgrammar.GrammarCompiler(info).compile_json_schema(
            json.dumps(_SCHEMA), any_whitespace=False, separators=(",", ":")
        )

    def new_matcher(self) -> Any:
        import xgrammar

        return xgrammar.GrammarMatcher(self._compiled)

    def accept_of(self, matcher: Any) -> _Accept:
        accept: _Accept = matcher.accept_token
        return accept

    def fork_of(self, matcher: Any) -> Callable[[], object]:
        fork: Callable[[], object] = matcher.fork
        return fork

    def walker(self) -> _Walker:
        import xgrammar

        matcher = self.new_matcher()
        bitmask = xgrammar.allocate_token_bitmask(1, self._vocab_size)
        words = bitmask[0].numpy()
        return lambda: matcher.fill_next_token_bitmask(bitmask), matcher.accept_token, words


class _Llguidance:
    def __init__(self, tokenizer: ByteTokenizer) -> None:
        import llguidance

        specials = {
            tokenizer.pad_id: b"<pad>",
            tokenizer.bos_id: b"<bos>",
            tokenizer.eos_id: b"<eos>",
        }
        wrapped = _TokenizerForLlguidance(tokenizer, specials)
        self._vocab_size = tokenizer.vocab_size
        self._tokenizer = llguidance.LLTokenizer(llguidance.TokenizerWrapper(wrapped))
        schema = {**_SCHEMA, "x-guidance": {"whitespace_flexible": False}}
        self._grammar = llguidance.LLMatcher.grammar_from_json_schema(json.dumps(schema))

    def new_matcher(self) -> Any:
        import llguidance

        return llguidance.LLMatcher(self._tokenizer, self._grammar)

    def accept_of(self, matcher: Any) -> _Accept:
        accept: _Accept = matcher.consume_token
        return accept

    def fork_of(self, matcher: Any) -> Callable[[], object]:
        fork: Callable[[], object] = matcher.deep_copy
        return fork

    def walker(self) -> _Walker:
        import llguidance.numpy

        matcher = self.new_matcher()
        bitmask = llguidance.numpy.allocate_token_bitmask(1, self._vocab_size)

        def fill() -> None:
            llguidance.numpy.fill_next_token_bitmask(matcher, bitmask, 0)

        return fill, matcher.consume_token, bitmask[0]


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


PEERS: dict[str, Callable[[ByteTokenizer], _Xgrammar | _Llguidance]] = {
    "xgrammar": _Xgrammar,
    "llguidance": _Llguidance,
}


@functools.cache
def _tokenizer(vocab_size: int, tokens: str = "words") -> ByteTokenizer:
    """Learned from other documents than are measured."""
    n_train = _N_TRAIN_LARGE if vocab_size > _LARGE else _N_TRAIN
    documents = _documents(n_train, seed=2)
    if tokens == "words":
        documents = [piece for document in documents for piece in _PIECES.findall(document)]
    return train_tokenizer(documents, vocab_size)


def _documents(n: int, seed: int = 0) -> list[bytes]:
    rng = random.Random(seed)

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
        for _ in range(n)
    ]
    return [json.dumps(document, separators=(",", ":")).encode() for document in documents]
