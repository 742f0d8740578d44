"""What matchers and caches take of memory, as the allocator counts it."""

import io
from collections.abc import Callable

import pytest
from PIL import Image

import pycodec_lm as pcl
from pycodec_lm import _core
from pycodec_lm.bench.mask_walk import prompt_of
from pycodec_lm.bench.matcher_memory import (
    allocated_bytes,
    history_bytes_a_token,
    measure_progressive_memory,
    state_bytes,
)

pytestmark = pytest.mark.skipif(
    allocated_bytes() is None, reason="the C library does not count what it has given"
)


def picture(seed: int, **options: object) -> bytes:
    # Smooth, and with something in each block.
    coarse = Image.effect_noise((24, 24), 90 + seed).convert("RGB")
    stream = io.BytesIO()
    coarse.resize((192, 192)).save(stream, "JPEG", quality=40, **options)
    return stream.getvalue()


GRAMMARS: dict[str, Callable[[bytes], pcl.JpegGrammar]] = {
    "standard": lambda _: pcl.JpegGrammar(portable=False),
    "like": pcl.JpegGrammar.like,
}


@pytest.fixture(params=GRAMMARS)
def sequential(
    request: pytest.FixtureRequest, byte_info: pcl.TokenizerInfo
) -> tuple[pcl.CompiledGrammar, bytes]:
    """A grammar, and what follows its header in a file."""
    sample = picture(0)
    compiled = pcl.compile_grammar(GRAMMARS[request.param](sample), byte_info)
    return compiled, sample[len(prompt_of(compiled)) :]


def test_the_state_of_a_sequential_matcher_is_small(
    sequential: tuple[pcl.CompiledGrammar, bytes],
) -> None:
    compiled, stream = sequential
    for cut in (0, len(stream) // 2):
        assert 0 < state_bytes(compiled, prompt_of(compiled) + stream[:cut]) <= 4096


def test_a_token_of_the_history_takes_at_most_48_bytes(
    sequential: tuple[pcl.CompiledGrammar, bytes],
) -> None:
    compiled, stream = sequential
    a_token, _ = history_bytes_a_token(compiled, [*stream])
    assert 0 < a_token <= 48


def test_forks_share_the_history(sequential: tuple[pcl.CompiledGrammar, bytes]) -> None:
    compiled, stream = sequential
    _, matcher = history_bytes_a_token(compiled, [*stream])
    kept: list[object] = [None] * 64
    before = allocated_bytes() or 0
    for i in range(len(kept)):
        kept[i] = matcher.fork()
    assert 0 < (allocated_bytes() or 0) - before <= 64 * 4096
    del matcher
    kept.clear()
    assert (allocated_bytes() or 0) < before  # the history went with the last of them


def test_a_progressive_matcher_grows_with_the_blocks_that_are_not_zero() -> None:
    memory = measure_progressive_memory([picture(i) for i in range(3)])
    assert memory.n_blocks[1] == 16 * memory.n_blocks[0]
    assert memory.n_nonzero_blocks[1] > 10 * memory.n_nonzero_blocks[0] > 0
    # 12 for what scans before said, and as much again and padding while one is read.
    assert 0 < memory.end_bytes_a_block <= memory.peak_bytes_a_block <= 48


def test_the_cache_stays_within_its_bounds(byte_info: pcl.TokenizerInfo) -> None:
    limit = 1 << 16
    sample = picture(0)
    compiled = pcl.compile_grammar(pcl.JpegGrammar.like(sample), byte_info, cache_bytes=limit)
    prompt = prompt_of(compiled)
    before = allocated_bytes() or 0
    bitmask = pcl.allocate_token_bitmask(1, byte_info.vocab_size)
    for seed in range(2):
        matcher = pcl.GrammarMatcher(compiled, prompt=prompt)
        stream = _core.transcode(picture(seed), compiled.grammar)
        for byte in stream[len(prompt) :]:
            matcher.fill_next_token_bitmask(bitmask)
            assert matcher.accept_token(byte)
    del matcher
    stats = compiled.stats()
    assert stats["cache_evictions"] > 0
    assert 0 < stats["cache_bytes"] <= limit
    # What it counts is what the allocator has given, but for the latter's rounding.
    assert (allocated_bytes() or 0) - before <= 1.3 * limit
