"""`BatchGrammarMatcher`: the same as its rows, one by one."""

from collections.abc import Callable

import numpy as np
import pytest

import pycodec_lm as pcl

Walk = Callable[..., object]


@pytest.fixture
def matchers(grammar: pcl.JpegGrammar, info: pcl.TokenizerInfo) -> list[pcl.GrammarMatcher]:
    compiled = pcl.compile_grammar(grammar, info)
    least = pcl.GrammarMatcher(compiled).min_tokens_to_complete()
    return [pcl.GrammarMatcher(compiled, max_tokens=least * (1 + i)) for i in range(5)]


def test_a_batch_is_its_rows(
    grammar: pcl.JpegGrammar,
    matchers: list[pcl.GrammarMatcher],
    info: pcl.TokenizerInfo,
    walk: Walk,
) -> None:
    batch = pcl.BatchGrammarMatcher([matcher.fork() for matcher in matchers])
    assert len(batch) == len(matchers)
    ways = [walk(grammar, matcher, info, seed) for seed, matcher in enumerate(matchers)]
    bitmask = pcl.allocate_token_bitmask(len(matchers), info.vocab_size)
    for _ in range(40):
        forbids = batch.batch_fill_next_token_bitmask(bitmask)
        for row, way in enumerate(ways):
            assert way.matcher.fill_next_token_bitmask(way.bitmask) == forbids[row]
            assert np.array_equal(bitmask[row], way.bitmask[0])
        tokens = [way.random.choice(way.allowed()) for way in ways]
        assert batch.batch_accept_token(tokens) == [True] * len(ways)
        for way, token in zip(ways, tokens, strict=True):
            way.accept(token)
        forced = [way.matcher.find_jump_forward_tokens() for way in ways]
        assert batch.batch_find_jump_forward_tokens() == forced
        least = [way.matcher.min_tokens_to_complete() for way in ways]
        assert batch.batch_min_tokens_to_complete() == least
        assert batch.batch_is_completed() == [way.matcher.is_completed() for way in ways]
        assert batch.batch_is_terminated() == [way.matcher.is_terminated() for way in ways]
    batch.batch_rollback([row * 3 for row in range(len(ways))])
    for row, way in enumerate(ways):
        way.matcher.rollback(row * 3)
        assert batch.matchers[row].describe() == way.matcher.describe()


def test_rows_of_the_bitmask_can_be_named(byte_info: pcl.TokenizerInfo) -> None:
    compiled = pcl.compile_grammar(pcl.JpegGrammar(), byte_info)
    batch = pcl.BatchGrammarMatcher([pcl.GrammarMatcher(compiled) for _ in range(2)])
    bitmask = np.full((4, 10), 7, np.int32)  # one word more than the vocabulary needs
    assert batch.batch_fill_next_token_bitmask(bitmask, indices=[3, 1]) == [True, True]
    assert (bitmask[[0, 2]] == 7).all()
    only_ff = np.zeros(10, np.int32)
    only_ff[7] = np.iinfo(np.int32).min
    assert (bitmask[[1, 3]] == only_ff).all()
    for indices, message in (
        ([0], "1 rows, but the batch 2"),
        ([0, 0], "named twice"),
        ([0, 4], "no row 4"),
        ([0, -1], "no row -1"),
    ):
        with pytest.raises(pcl.UsageError, match=message):
            batch.batch_fill_next_token_bitmask(bitmask, indices=indices)
    with pytest.raises(pcl.UsageError, match="4 rows, but the batch 2"):
        batch.batch_fill_next_token_bitmask(bitmask)


def test_no_row_moves_when_a_call_is_wrong(byte_info: pcl.TokenizerInfo) -> None:
    compiled = pcl.compile_grammar(pcl.JpegGrammar(), byte_info)
    matchers = [pcl.GrammarMatcher(compiled) for _ in range(3)]
    batch = pcl.BatchGrammarMatcher(matchers)
    with pytest.raises(pcl.UsageError, match="token id 259"):
        batch.batch_accept_token([0xFF, 0xFF, 259])
    with pytest.raises(pcl.UsageError, match="2 tokens for a batch of 3 rows"):
        batch.batch_accept_token([0xFF, 0xFF])
    assert [matcher.complete()[0] for matcher in matchers] == [0xFF] * 3
    assert batch.batch_accept_token([0xFF, 0x00, 0xFF]) == [True, False, True]


def test_rows_are_distinct_and_share_a_vocabulary_size(
    byte_info: pcl.TokenizerInfo, bpe_info: pcl.TokenizerInfo
) -> None:
    one = pcl.GrammarMatcher(pcl.compile_grammar(pcl.JpegGrammar(), byte_info))
    other = pcl.GrammarMatcher(pcl.compile_grammar(pcl.JpegGrammar(), bpe_info))
    with pytest.raises(pcl.UsageError, match="rows 0 and 2 of the batch are the same matcher"):
        pcl.BatchGrammarMatcher([one, one.fork(), one])
    with pytest.raises(pcl.UsageError, match="row 1 of the batch has another vocabulary"):
        pcl.BatchGrammarMatcher([one, other])


@pytest.mark.parametrize("max_threads", [1, 2, None])
def test_threads_change_no_mask(
    matchers: list[pcl.GrammarMatcher], info: pcl.TokenizerInfo, max_threads: int | None
) -> None:
    batch = pcl.BatchGrammarMatcher(matchers, max_threads=max_threads)
    together, alone = (pcl.allocate_token_bitmask(len(batch), info.vocab_size) for _ in range(2))
    batch.batch_fill_next_token_bitmask(together)
    for row, matcher in enumerate(matchers):
        matcher.fill_next_token_bitmask(alone, row)
    assert np.array_equal(together, alone)


@pytest.mark.parametrize("max_threads", [0, -1])
def test_a_batch_needs_a_thread(max_threads: int) -> None:
    with pytest.raises(pcl.UsageError, match="max_threads must be at least 1"):
        pcl.BatchGrammarMatcher([], max_threads=max_threads)


def test_an_empty_batch() -> None:
    batch = pcl.BatchGrammarMatcher([])
    assert batch.batch_fill_next_token_bitmask(np.zeros((0, 9), np.int32)) == []
    assert batch.batch_accept_token([]) == []
