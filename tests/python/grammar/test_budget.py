"""The token budget: a file is complete by its last token, always."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest

import pycodec_lm as pcl
from pycodec_lm.bench.field_walk import write_random_file

Walk = Callable[..., object]


@pytest.mark.parametrize("factor", [1, 2, 10])
@pytest.mark.parametrize("towards_end", [0.0, 0.9])
def test_walks_end_within_the_budget(
    grammar: pcl.JpegGrammar,
    info: pcl.TokenizerInfo,
    walk: Walk,
    factor: int,
    towards_end: float,
) -> None:
    compiled = pcl.compile_grammar(grammar, info)
    least = pcl.GrammarMatcher(compiled).min_tokens_to_complete()
    # Headers that are free are measured token by token, which takes its time.
    for seed in range(3 if grammar.header else 1):
        matcher = pcl.GrammarMatcher(compiled, max_tokens=least * factor)
        way = walk(grammar, matcher, info, seed)
        stream = way.run(towards_end)
        assert way.n_tokens <= least * factor
        verdict = pcl.check(grammar.to_file(stream))
        assert verdict.valid, verdict.message
        assert way.matcher.tokens_left == least * factor - way.n_tokens
        if factor == 1 and info.vocab_size == 259:
            # Where the process is free, a walk may come upon a progressive file, which needs less.
            assert len(stream) == least - 1 or stream[3] == 0xC2


def remembered_endings_are_counted_anew(
    grammar: pcl.JpegGrammar, info: pcl.TokenizerInfo, walk: Walk
) -> None:
    compiled = pcl.compile_grammar(grammar, info)
    least = pcl.GrammarMatcher(compiled).min_tokens_to_complete()
    way = walk(grammar, pcl.GrammarMatcher(compiled, max_tokens=2 * least), info, seed=1)
    for step in range(300):
        if way.matcher.is_terminated():
            break
        way.step(0.3)
        if step % 10 == 0 and not way.matcher.is_terminated():
            fresh = pcl.compile_grammar(grammar, info)
            anew = pcl.GrammarMatcher(fresh, prompt=bytes(way.output)).min_tokens_to_complete()
            assert way.matcher.min_tokens_to_complete() == anew, way.matcher.describe()


def test_remembered_endings_are_those_counted_anew(
    grammar: pcl.JpegGrammar, info: pcl.TokenizerInfo, walk: Walk
) -> None:
    remembered_endings_are_counted_anew(grammar, info, walk)


def test_a_stuffed_byte_after_the_last_scan_is_counted(byte_info: pcl.TokenizerInfo) -> None:
    files = (write_random_file(seed).data for seed in itertools.count())
    data = next(data for data in files if data.endswith(b"\xff\x00\xff\xd9"))
    compiled = pcl.compile_grammar(pcl.JpegGrammar(), byte_info)
    matcher = pcl.GrammarMatcher(compiled, prompt=data[:-3])
    for _ in range(2):
        assert matcher.min_tokens_to_complete() == 4  # 00, FF, D9 and the stop token
        assert matcher.accept_token(0)
        assert matcher.min_tokens_to_complete() == 3
        matcher.rollback(1)


def like_random_file(process: str | None, seed: int) -> pcl.JpegGrammar:
    """Some refinements of random files can be coded after some first scans only."""
    try:
        return pcl.JpegGrammar.like(write_random_file(seed, process=process).data)
    except pcl.UsageError:
        return like_random_file(process, seed + 1000)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("process", [None, "progressive"])
def test_remembered_endings_under_any_tables_and_scans(
    process: str | None, seed: int, bpe_info: pcl.TokenizerInfo, walk: Walk
) -> None:
    remembered_endings_are_counted_anew(like_random_file(process, seed), bpe_info, walk)


def test_a_budget_too_small_for_any_file_names_the_least(
    grammar: pcl.JpegGrammar, info: pcl.TokenizerInfo
) -> None:
    compiled = pcl.compile_grammar(grammar, info)
    least = pcl.GrammarMatcher(compiled).min_tokens_to_complete()
    for max_tokens in (0, 1, least - 1):
        with pytest.raises(pcl.UsageError, match=f"shortest file takes {least}$"):
            pcl.GrammarMatcher(compiled, max_tokens=max_tokens)
    with pytest.raises(pcl.UsageError, match="negative"):
        pcl.GrammarMatcher(compiled, max_tokens=-1)
    assert pcl.GrammarMatcher(compiled, max_tokens=least).tokens_left == least


def test_prompts_do_not_count(info: pcl.TokenizerInfo, walk: Walk) -> None:
    grammar = pcl.JpegGrammar.jpeg_lm(width=48, height=48)
    compiled = pcl.compile_grammar(grammar, info)
    whole = pcl.GrammarMatcher(compiled)
    body = pcl.GrammarMatcher(compiled, prompt=grammar.header)
    least = body.min_tokens_to_complete()
    assert least < whole.min_tokens_to_complete()
    with pytest.raises(pcl.UsageError, match=f"begins with the prompt takes {least}"):
        pcl.GrammarMatcher(compiled, max_tokens=least - 1, prompt=grammar.header)
    matcher = pcl.GrammarMatcher(compiled, max_tokens=least, prompt=grammar.header)
    way = walk(grammar, matcher, info, 0, grammar.header)
    assert pcl.check(grammar.to_file(grammar.header + way.run())).valid
    assert way.n_tokens <= least
    matcher.reset()
    assert matcher.tokens_left == least
    assert matcher.describe() == body.describe()


def test_bytes_that_the_budget_cannot_end_are_refused(byte_info: pcl.TokenizerInfo) -> None:
    grammar = pcl.JpegGrammar(portable=False)
    compiled = pcl.compile_grammar(grammar, byte_info)
    matcher = pcl.GrammarMatcher(compiled, max_tokens=400)
    huge = pcl.JpegGrammar.jpeg_lm(width=640, height=480).header[:-14]  # what precedes SOS
    with pytest.raises(pcl.UsageError, match="max_tokens leaves 400 tokens"):
        matcher.accept_bytes(huge)
    assert matcher.describe() == pcl.GrammarMatcher(compiled).describe()
    assert matcher.accept_bytes(b"\xff\xd8")
    assert matcher.tokens_left == 400


def test_budget_follows_forks_and_rollbacks(info: pcl.TokenizerInfo, walk: Walk) -> None:
    grammar = pcl.JpegGrammar.jpeg_lm(width=32, height=16)
    compiled = pcl.compile_grammar(grammar, info)
    matcher = pcl.GrammarMatcher(compiled, max_tokens=300, prompt=grammar.header)
    way = walk(grammar, matcher, info, 3, grammar.header)
    for _ in range(20):
        way.step(towards_end=0)
    fork = matcher.fork()
    assert fork.tokens_left == matcher.tokens_left == 280
    matcher.rollback(15)
    assert (fork.tokens_left, matcher.tokens_left) == (280, 295)
    for one, n_left in ((fork, 280), (matcher, 295)):
        n_tokens = 0
        while not one.is_terminated():
            one.fill_next_token_bitmask(way.bitmask)
            bits = np.unpackbits(way.bitmask.view(np.uint8), bitorder="little")
            assert one.accept_token(way.random.choice(np.flatnonzero(bits).tolist()))
            n_tokens += 1
        assert n_tokens <= n_left


def test_forced_tokens_are_within_the_budget(sample: bytes, bpe_info: pcl.TokenizerInfo) -> None:
    compiled = pcl.compile_grammar(pcl.JpegGrammar.like(sample), bpe_info)
    least = pcl.GrammarMatcher(compiled).min_tokens_to_complete()
    for max_tokens in range(least, least + 4):
        matcher = pcl.GrammarMatcher(compiled, max_tokens=max_tokens)
        while not matcher.is_terminated():
            forced = matcher.find_jump_forward_tokens()
            assert matcher.validate_tokens(forced) == len(forced)
            for token in forced:
                assert matcher.accept_token(token)
            ending = matcher.complete()
            if matcher.is_terminated():
                break
            stop = bpe_info.stop_token_ids[0]
            longest = max(
                (i for i, b in enumerate(bpe_info.encoded_vocab) if b and ending.startswith(b)),
                key=lambda i: len(bpe_info.encoded_vocab[i]),
                default=stop,
            )
            assert matcher.accept_token(longest)


def test_a_budget_of_gigabytes_is_no_work(byte_info: pcl.TokenizerInfo) -> None:
    grammar = pcl.JpegGrammar(width=65500, height=65500, quality=50)
    compiled = pcl.compile_grammar(grammar, byte_info)
    matcher = pcl.GrammarMatcher(compiled)
    least = matcher.min_tokens_to_complete()
    assert least > 1 << 23
    with pytest.raises(pcl.UsageError, match=f"takes {least}$"):
        pcl.GrammarMatcher(compiled, max_tokens=least - 1)
    assert pcl.GrammarMatcher(compiled, max_tokens=least).accept_token(0xFF)
