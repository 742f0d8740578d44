"""Real files: each token that they go on with is in the mask at its place."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from pycodec_lm._core import (
    CompiledGrammar,
    GrammarMatcher,
    allocate_token_bitmask,
    compile_grammar,
    transcode,
)
from pycodec_lm.grammar import JpegGrammar
from pycodec_lm.tokenizer import ByteTokenizer

pytestmark = pytest.mark.corpora

N_FILES = 50


@pytest.fixture(scope="module")
def files(corpora: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted((corpora / "q25").glob("*.jpg"))]


@pytest.fixture(scope="module")
def tokenizer(files: list[bytes]) -> ByteTokenizer:
    """Learned from other files than it is used on."""
    return ByteTokenizer.train(files[N_FILES : N_FILES + 100], 1024)


def forbidden(
    compiled: CompiledGrammar, prompt: bytes, ids: Sequence[int]
) -> list[tuple[int, int]]:
    """(step, token) of the tokens whose bits are not set, the stop token at the end included."""
    matcher = GrammarMatcher(compiled, prompt=prompt)
    bitmask = allocate_token_bitmask(1, compiled.vocab_size)
    words = bitmask[0]
    found = []
    for step, token in enumerate([*ids, *compiled.tokenizer_info.stop_token_ids]):
        matcher.fill_next_token_bitmask(bitmask)
        if not int(words[token >> 5]) >> (token & 31) & 1:
            found.append((step, token))
        assert matcher.accept_token(token), (step, token, matcher.describe())
    assert matcher.is_terminated()
    return found


@pytest.mark.parametrize("vocabulary", ["bytes", "bytes of a BPE vocabulary", "BPE"])
def test_every_token_of_real_files_is_in_the_mask_at_its_place(
    vocabulary: str, files: list[bytes], tokenizer: ByteTokenizer
) -> None:
    used = ByteTokenizer.bytes_only() if vocabulary == "bytes" else tokenizer
    compiled = compile_grammar(JpegGrammar(portable=False), used.info())
    for data in files[:N_FILES]:
        ids = used.encode(data) if vocabulary == "BPE" else [*data]
        assert forbidden(compiled, b"", ids) == []


def test_every_token_of_real_files_in_jpeg_lm_form_is_in_the_mask(
    files: list[bytes], tokenizer: ByteTokenizer
) -> None:
    grammar = JpegGrammar.jpeg_lm()
    compiled = compile_grammar(grammar, tokenizer.info())
    for data in files[:N_FILES]:
        body = transcode(data, grammar)[len(grammar.header) :]
        assert forbidden(compiled, grammar.header, tokenizer.encode(body)) == []
