"""Files, grammars and vocabularies for the tests of the engine."""

import io
import random
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

import pycodec_lm as pcl
from pycodec_lm.bench.mask_walk import legal_tokens


def make_jpeg(
    width: int, height: int, seed: int = 0, mode: str = "RGB", **options: object
) -> bytes:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (3, 3, 3), np.uint8)
    image = Image.fromarray(coarse).convert(mode)
    image = image.resize((width, height), Image.Resampling.BICUBIC)
    out = io.BytesIO()
    image.save(out, "JPEG", **{"quality": 40, **options})
    return out.getvalue()


@pytest.fixture(scope="session")
def sample() -> bytes:
    return make_jpeg(48, 32)


@pytest.fixture(scope="session")
def bpe(sample: bytes) -> pcl.ByteTokenizer:
    samples = [sample, make_jpeg(40, 40, 1), make_jpeg(33, 17, 2, restart_marker_blocks=1)]
    return pcl.ByteTokenizer.train(samples, 256 + 3 + 120)


@pytest.fixture(scope="session")
def bpe_info(bpe: pcl.ByteTokenizer) -> pcl.TokenizerInfo:
    return pcl.TokenizerInfo(
        bpe.encoded_vocab,
        stop_token_ids=[bpe.eos_id],
        special_token_ids=[bpe.pad_id, bpe.bos_id],
        merges=bpe.merges,
    )


@pytest.fixture(scope="session")
def byte_info() -> pcl.TokenizerInfo:
    return pcl.ByteTokenizer.bytes_only().info()


@pytest.fixture(scope="session", params=["bytes", "bpe"])
def info(
    request: pytest.FixtureRequest, byte_info: pcl.TokenizerInfo, bpe_info: pcl.TokenizerInfo
) -> pcl.TokenizerInfo:
    return byte_info if request.param == "bytes" else bpe_info


GRAMMARS: dict[str, Callable[[], pcl.JpegGrammar]] = {
    "any": pcl.JpegGrammar,
    "standard": lambda: pcl.JpegGrammar(portable=False),
    "narrow": lambda: pcl.JpegGrammar(width=20, height=20, subsampling="4:2:0", quality=50),
    "jpeg_lm": lambda: pcl.JpegGrammar.jpeg_lm(width=32, height=32),
    "like": lambda: pcl.JpegGrammar.like(make_jpeg(24, 24, 5)),
    "like_restarts": lambda: pcl.JpegGrammar.like(make_jpeg(40, 24, 5, restart_marker_blocks=2)),
    "progressive": lambda: pcl.JpegGrammar(process="progressive"),
    "like_progressive": lambda: pcl.JpegGrammar.like(
        make_jpeg(40, 40, 5, "L", progressive=True, restart_marker_blocks=10)
    ),
}


@pytest.fixture(scope="session", params=GRAMMARS)
def grammar(request: pytest.FixtureRequest) -> pcl.JpegGrammar:
    return GRAMMARS[request.param]()


class Walk:
    """A random walk over masks; `output` is what it has written, after the prompt."""

    def __init__(
        self,
        grammar: pcl.JpegGrammar,
        matcher: pcl.GrammarMatcher,
        info: pcl.TokenizerInfo,
        seed: int,
        prompt: bytes = b"",
    ) -> None:
        self.matcher = matcher
        # Its complete() can be asked for one byte; some endings have gigabytes.
        self.cursor = pcl.JpegCursor(grammar)
        assert self.cursor.push(prompt)
        self.vocab = info.encoded_vocab
        self.stops = set(info.stop_token_ids)
        self.random = random.Random(seed)
        self.bitmask = pcl.allocate_token_bitmask(1, info.vocab_size)
        self.output = bytearray()
        self.n_tokens = 0

    def allowed(self) -> list[int]:
        self.matcher.fill_next_token_bitmask(self.bitmask)
        return legal_tokens(self.bitmask[0]).tolist()

    def step(self, towards_end: float) -> None:
        """Takes a token: with some probability the byte that the shortest ending takes."""
        allowed = self.allowed()
        assert allowed, self.matcher.describe()
        token = self.random.choice(allowed)
        if self.random.random() < towards_end:
            ending = self.cursor.complete(1)
            token = next((i for i in allowed if ending and self.vocab[i] == ending), token)
        self.accept(token)

    def accept(self, token: int) -> None:
        assert self.matcher.accept_token(token)
        self.n_tokens += 1
        if token not in self.stops:
            assert self.cursor.push(self.vocab[token])
            self.output += self.vocab[token]

    def run(self, towards_end: float = 0.0) -> bytes:
        while not self.matcher.is_terminated():
            self.step(towards_end)
        return bytes(self.output)


@pytest.fixture
def walk() -> type[Walk]:
    return Walk


@pytest.fixture
def jpeg() -> Callable[..., bytes]:
    return make_jpeg
