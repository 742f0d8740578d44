"""`GrammarMatcher` over JPEG grammars: masks, acceptance, rollback, forks, misuse."""

import io
import random
import threading
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

import pycodec_lm as pcl

Walk = Callable[..., object]


def accepted_by_forks(matcher: pcl.GrammarMatcher, vocab_size: int) -> list[int]:
    return [i for i in range(vocab_size) if matcher.fork().accept_token(i)]


@pytest.mark.parametrize("max_tokens_factor", [None, 1, 3])
def test_mask_is_what_accept_token_accepts(
    grammar: pcl.JpegGrammar,
    info: pcl.TokenizerInfo,
    walk: Walk,
    max_tokens_factor: int | None,
) -> None:
    compiled = pcl.compile_grammar(grammar, info)
    least = pcl.GrammarMatcher(compiled).min_tokens_to_complete()
    max_tokens = None if max_tokens_factor is None else least * max_tokens_factor
    for seed in range(2):
        way = walk(grammar, pcl.GrammarMatcher(compiled, max_tokens=max_tokens), info, seed)
        for n_steps in range(400):
            if way.matcher.is_terminated():
                break
            if n_steps < 60 or n_steps % 7 == 0:
                allowed = way.allowed()
                assert allowed == accepted_by_forks(way.matcher, info.vocab_size)
            way.step(towards_end=0.7)


def test_cached_masks_are_those_walked_anew(
    grammar: pcl.JpegGrammar, info: pcl.TokenizerInfo, walk: Walk
) -> None:
    warm = pcl.compile_grammar(grammar, info)
    cold = pcl.compile_grammar(grammar, info, cache_bytes=0)
    header = grammar.header
    other = pcl.allocate_token_bitmask(1, info.vocab_size)
    for seed in range(3):
        way = walk(grammar, pcl.GrammarMatcher(warm, prompt=header), info, seed, header)
        twin = pcl.GrammarMatcher(cold, prompt=header)
        for _ in range(150):
            if way.matcher.is_terminated():
                break
            before = bytes(way.output)
            allowed = way.allowed()
            twin.fill_next_token_bitmask(other)
            assert np.array_equal(way.bitmask, other), way.matcher.describe()
            assert allowed
            way.step(towards_end=0.3)
            twin.accept_bytes(bytes(way.output[len(before) :]))
    assert cold.stats()["cache_entries"] == 0
    if header:
        assert warm.stats()["cache_hits"] > 0


def test_tokens_of_files_are_allowed(
    sample: bytes, bpe: pcl.ByteTokenizer, bpe_info: pcl.TokenizerInfo
) -> None:
    grammar = pcl.JpegGrammar.like(sample)
    compiled = pcl.compile_grammar(grammar, bpe_info)
    bitmask = pcl.allocate_token_bitmask(1, bpe_info.vocab_size)
    for prompt in (b"", grammar.header):
        matcher = pcl.GrammarMatcher(compiled, prompt=prompt)
        ids = [*bpe.encode(sample[len(prompt) :]), bpe.eos_id]
        assert matcher.validate_tokens(ids) == len(ids)
        for token in ids:
            assert matcher.fill_next_token_bitmask(bitmask)
            assert bitmask[0, token // 32] >> (token % 32) & 1
            assert matcher.accept_token(token)
        assert matcher.is_terminated()


def test_a_rejected_token_changes_nothing(byte_info: pcl.TokenizerInfo) -> None:
    grammar = pcl.JpegGrammar.jpeg_lm(width=16, height=16)
    matcher = pcl.GrammarMatcher(pcl.compile_grammar(grammar, byte_info), max_tokens=700)
    for value in grammar.header:
        before = (matcher.describe(), matcher.tokens_left, matcher.complete())
        assert not matcher.accept_token(value ^ 1)
        assert not matcher.accept_bytes(bytes([value, value ^ 0x80, 0xFF, 0xFF, 0x00]))
        assert (matcher.describe(), matcher.tokens_left, matcher.complete()) == before
        assert matcher.accept_token(value)


def test_rollback_and_fork_are_replays(
    grammar: pcl.JpegGrammar, info: pcl.TokenizerInfo, walk: Walk
) -> None:
    compiled = pcl.compile_grammar(grammar, info)
    rng = random.Random(1)
    way = walk(grammar, pcl.GrammarMatcher(compiled), info, 1)
    states = [way.matcher.fork()]  # after 0, 1, ... tokens
    while len(states) < 200 and not way.matcher.is_terminated():
        way.step(towards_end=0.5)
        states.append(way.matcher.fork())
    n_tokens = len(states) - 1
    bitmask = pcl.allocate_token_bitmask(1, info.vocab_size)

    def seen(matcher: pcl.GrammarMatcher) -> tuple[object, ...]:
        fork = matcher.fork()
        fork.fill_next_token_bitmask(bitmask)
        return matcher.describe(), matcher.annotation().tolist(), bitmask.tobytes()

    for _ in range(60):
        n_back = rng.randint(0, n_tokens)
        fork = way.matcher.fork()
        fork.rollback(n_back)
        assert seen(fork) == seen(states[n_tokens - n_back])
        n_more = rng.randint(0, n_tokens - n_back)
        fork.rollback(n_more)
        assert seen(fork) == seen(states[n_tokens - n_back - n_more])
    with pytest.raises(pcl.UsageError, match=f"only {n_tokens} were taken"):
        way.matcher.rollback(n_tokens + 1)
    with pytest.raises(pcl.UsageError, match="negative"):
        way.matcher.rollback(-1)
    assert seen(way.matcher) == seen(states[-1])
    way.matcher.reset()
    assert seen(way.matcher) == seen(states[0])


def test_after_the_stop_token(sample: bytes, bpe_info: pcl.TokenizerInfo) -> None:
    stop = bpe_info.stop_token_ids[0]
    compiled = pcl.compile_grammar(pcl.JpegGrammar.like(sample), bpe_info)
    matcher = pcl.GrammarMatcher(compiled, max_tokens=5000, prompt=sample[:-1])
    assert not matcher.accept_token(stop)
    assert matcher.accept_token(sample[-1])
    assert matcher.is_completed()
    assert not matcher.is_terminated()
    assert matcher.min_tokens_to_complete() == 1
    bitmask = pcl.allocate_token_bitmask(1, bpe_info.vocab_size)
    for _ in range(3):
        assert matcher.fill_next_token_bitmask(bitmask)
        assert accepted_by_forks(matcher, bpe_info.vocab_size) == [stop]
        assert int(bitmask.view(np.uint32).sum()) == 1 << (stop % 32)
        assert matcher.accept_token(stop)
        assert matcher.is_terminated()
        assert matcher.tokens_left == 4998
        assert not matcher.accept_token(0)
    matcher.rollback(2)
    assert not matcher.is_completed()


def test_without_stop_tokens_the_file_just_ends(sample: bytes) -> None:
    info = pcl.TokenizerInfo([bytes([value]) for value in range(256)], stop_token_ids=[])
    matcher = pcl.GrammarMatcher(pcl.compile_grammar(pcl.JpegGrammar.like(sample), info))
    for value in sample:
        assert not matcher.is_terminated()
        assert matcher.accept_token(value)
    assert matcher.is_terminated()
    assert matcher.min_tokens_to_complete() == 0
    bitmask = pcl.allocate_token_bitmask(1, 256)
    assert matcher.fill_next_token_bitmask(bitmask)
    assert not bitmask.any()


def test_forced_bytes_and_tokens(
    sample: bytes,
    bpe: pcl.ByteTokenizer,
    bpe_info: pcl.TokenizerInfo,
    byte_info: pcl.TokenizerInfo,
) -> None:
    grammar = pcl.JpegGrammar.like(sample)
    compiled = pcl.compile_grammar(grammar, bpe_info)
    matcher = pcl.GrammarMatcher(compiled)
    assert matcher.find_jump_forward_bytes() == grammar.header
    by_bytes = pcl.GrammarMatcher(pcl.compile_grammar(grammar, byte_info))
    assert bytes(by_bytes.find_jump_forward_tokens()) == grammar.header
    ids = bpe.encode(sample)
    n_forced = 0
    for at, token in enumerate(ids):
        forced = matcher.find_jump_forward_tokens()
        # Whatever the model chooses next, the file's own spelling starts with them.
        assert ids[at : at + len(forced)] == forced
        assert sample[sum(len(bpe.encoded_vocab[i]) for i in ids[:at]) :].startswith(
            matcher.find_jump_forward_bytes()
        )
        n_forced += len(forced)
        assert matcher.accept_token(token)
    assert n_forced > len(ids) // 4


def test_forced_tokens_reach_the_end_of_the_file(
    sample: bytes, bpe: pcl.ByteTokenizer, bpe_info: pcl.TokenizerInfo
) -> None:
    compiled = pcl.compile_grammar(pcl.JpegGrammar.like(sample), bpe_info)
    matcher = pcl.GrammarMatcher(compiled, prompt=sample[:-1])
    assert matcher.find_jump_forward_tokens() == [sample[-1]]
    matcher.accept_token(sample[-1])
    assert matcher.find_jump_forward_tokens() == []


def test_annotations_come_from_the_same_walk(
    grammar: pcl.JpegGrammar, info: pcl.TokenizerInfo, walk: Walk
) -> None:
    compiled = pcl.compile_grammar(grammar, info)
    header = grammar.header
    way = walk(grammar, pcl.GrammarMatcher(compiled, prompt=header), info, 4, header)
    rows = [way.matcher.annotation()]
    ids: list[int] = []
    while len(ids) < 120 and not way.matcher.is_terminated():
        ids.append(way.random.choice(way.allowed()))
        way.accept(ids[-1])
        rows.append(way.matcher.annotation())
    expected = np.stack(rows)
    assert expected.dtype == np.int16
    assert (expected >= 0).all()
    assert (expected < pcl.ANNOTATION_SIZES).all()
    for dtype in (np.int32, np.uint16):
        got = pcl.annotate_ids(compiled, np.array(ids, dtype), prompt=header)
        assert np.array_equal(got, expected)
    pieces = [b"" if i in info.stop_token_ids else info.encoded_vocab[i] for i in ids]
    assert np.array_equal(pcl.annotate(grammar, pieces, prompt=header), expected)


def test_annotate_names_the_token_that_is_wrong(byte_info: pcl.TokenizerInfo) -> None:
    compiled = pcl.compile_grammar(pcl.JpegGrammar(), byte_info)
    with pytest.raises(pcl.UsageError, match="token 2 is not allowed: "):
        pcl.annotate_ids(compiled, np.array([0xFF, 0xD8, 0x00], np.int32))
    with pytest.raises(pcl.UsageError, match="token id 300"):
        pcl.annotate_ids(compiled, np.array([300], np.int32))
    with pytest.raises(pcl.UsageError, match="integers"):
        pcl.annotate_ids(compiled, np.array([1.5]))


@pytest.mark.parametrize("restart_interval", [2, 3, 600, 65279])
def test_masks_where_the_interval_is_longer_than_the_scan(
    restart_interval: int,
    walk: Walk,
    jpeg: Callable[..., bytes],
    info: pcl.TokenizerInfo,
) -> None:
    data = jpeg(16, 8, subsampling=0)  # two MCUs
    dri = bytes.fromhex("ffdd0004") + restart_interval.to_bytes(2, "big")
    grammar = pcl.JpegGrammar.like(data[:2] + dri + data[2:])
    compiled = pcl.compile_grammar(grammar, info)
    way = walk(
        grammar, pcl.GrammarMatcher(compiled, prompt=grammar.header), info, 0, grammar.header
    )
    while not way.matcher.is_terminated():
        allowed = set(way.allowed())
        for token, text in enumerate(info.encoded_vocab):
            if text and token not in info.stop_token_ids:
                assert (token in allowed) == bool(way.cursor.copy().push(text))
        way.step(towards_end=0.8)


@pytest.mark.parametrize("restart_interval", [0, 5, 64])
def test_tokens_of_many_mcus_see_the_end_of_the_interval(
    restart_interval: int, walk: Walk, jpeg: Callable[..., bytes]
) -> None:
    """Masks are shared by states far from the end of an interval: far is what no token reaches."""
    options = {"quality": 3, "restart_marker_blocks": restart_interval}
    files = [jpeg(160, 96, seed, **options) for seed in range(4)]
    grammar = pcl.JpegGrammar.like(files[0])
    chance = random.Random(restart_interval)
    pieces = set()
    for data in files:
        for _ in range(60):
            at = chance.randrange(len(grammar.header), len(data))
            pieces.add(data[at : at + chance.randint(2, 24)])
    vocab = [bytes([i]) for i in range(256)] + sorted(pieces)
    info = pcl.TokenizerInfo([*vocab, b""], stop_token_ids=[len(vocab)])
    compiled = pcl.compile_grammar(grammar, info)
    for seed in range(3):
        matcher = pcl.GrammarMatcher(compiled, prompt=grammar.header)
        way = walk(grammar, matcher, info, seed, grammar.header)
        while not way.matcher.is_terminated():
            allowed = set(way.allowed())
            for token in range(len(vocab)):
                assert (token in allowed) == bool(way.cursor.copy().push(vocab[token]))
            way.step(towards_end=0.7)
    assert compiled.stats()["cache_hits"] > 0


def test_masks_of_small_and_of_large_dc_coefficients() -> None:
    """States with small predictors share masks that leave out what only large ones forbid."""
    blocks = np.random.default_rng(0).choice(np.array([0, 120, 128, 255], np.uint8), (6, 6))
    pixels = np.kron(blocks, np.ones((8, 8), np.uint8))
    output = io.BytesIO()
    # A step of one, so that DC coefficients are 8 times the mean of a block.
    Image.fromarray(pixels).save(output, "JPEG", quality=100, restart_marker_blocks=9)
    data = output.getvalue()
    grammar = pcl.JpegGrammar.like(data)
    stream = data[len(grammar.header) :]
    pieces = {stream[i : i + n] for i in range(len(stream)) for n in (2, 3, 5)}
    vocab = [bytes([i]) for i in range(256)] + sorted(pieces)
    info = pcl.TokenizerInfo([*vocab, b""], stop_token_ids=[len(vocab)])
    compiled = pcl.compile_grammar(grammar, info)
    bitmask = pcl.allocate_token_bitmask(1, info.vocab_size)
    for _ in range(2):
        matcher = pcl.GrammarMatcher(compiled, prompt=grammar.header)
        for byte in stream[:-2]:
            matcher.fill_next_token_bitmask(bitmask)
            bits = np.unpackbits(bitmask.view(np.uint8), bitorder="little")
            expected = accepted_by_forks(matcher, len(vocab))
            assert np.flatnonzero(bits).tolist() == expected
            assert matcher.accept_token(byte)
    assert compiled.stats()["cache_hits"] > 0


@pytest.mark.parametrize("token", [-1, 259, 1 << 40])
def test_ids_outside_the_vocabulary_are_misuse(byte_info: pcl.TokenizerInfo, token: int) -> None:
    matcher = pcl.GrammarMatcher(pcl.compile_grammar(pcl.JpegGrammar(), byte_info))
    with pytest.raises(pcl.UsageError, match=f"token id {token} is not in the vocabulary of 259"):
        matcher.accept_token(token)
    with pytest.raises(pcl.UsageError, match="not in the vocabulary"):
        matcher.validate_tokens([0xFF, token])
    assert matcher.accept_token(np.int64(0xFF))
    assert matcher.accept_token(token_id=0xD8)


def test_wrong_types_are_refused(byte_info: pcl.TokenizerInfo) -> None:
    matcher = pcl.GrammarMatcher(pcl.compile_grammar(pcl.JpegGrammar(), byte_info))
    with pytest.raises(TypeError):
        matcher.accept_token("255")
    with pytest.raises(TypeError):
        matcher.accept_token(255.0)
    with pytest.raises(TypeError):
        matcher.accept_token()
    with pytest.raises(TypeError):
        matcher.accept_token(1, 2)
    with pytest.raises(TypeError, match="token"):
        matcher.accept_token(255, token=3)
    with pytest.raises(OverflowError):
        matcher.accept_token(1 << 70)
    with pytest.raises(pcl.UsageError, match="expected bytes, not str"):
        matcher.accept_bytes("text")
    with pytest.raises(pcl.UsageError, match="expected a grammar"):
        pcl.compile_grammar(object(), byte_info)


def test_a_vocabulary_must_spell_every_byte() -> None:
    vocab = [bytes([value]) for value in range(256) if value != 0xFE]
    with pytest.raises(pcl.UsageError, match="no token for the byte FE"):
        pcl.TokenizerInfo(vocab, stop_token_ids=[])
    with pytest.raises(pcl.UsageError, match="token id 256 is not in the vocabulary"):
        pcl.TokenizerInfo([*vocab, b"\xfe"], stop_token_ids=[256])
    with pytest.raises(pcl.UsageError, match="expected bytes, not str"):
        pcl.TokenizerInfo([*vocab, "\xfe"], stop_token_ids=[])


def test_kinds_of_tokens() -> None:
    vocab = [bytes([value]) for value in range(256)]
    info = pcl.TokenizerInfo(
        [*vocab, b"", b"both", b"pad"], stop_token_ids=[257], special_token_ids=[257, 258]
    )
    assert info.stop_token_ids == [257]
    assert info.special_token_ids == [256, 258]
    assert info.encoded_vocab[257:] == [b"both", b"pad"]
    assert info.vocab_size == 259


def test_a_prompt_must_begin_a_file(byte_info: pcl.TokenizerInfo) -> None:
    compiled = pcl.compile_grammar(pcl.JpegGrammar(), byte_info)
    with pytest.raises(pcl.UsageError, match="the prompt begins no file of this grammar"):
        pcl.GrammarMatcher(compiled, prompt=b"\xff\xd8\x00")


def test_compiled_grammar_keeps_what_it_was_made_from(byte_info: pcl.TokenizerInfo) -> None:
    compiled = pcl.compile_grammar(pcl.JpegGrammar(width=16, height=16), byte_info)
    assert isinstance(compiled.grammar, pcl.JpegGrammar)
    assert compiled.tokenizer_info is byte_info
    assert compiled.vocab_size == 259
    matcher = pcl.GrammarMatcher(compiled)
    del compiled
    assert matcher.accept_token(0xFF)


def test_a_matcher_in_use_by_another_thread_says_so(byte_info: pcl.TokenizerInfo) -> None:
    grammar = pcl.JpegGrammar.jpeg_lm(width=2048, height=2048)
    matcher = pcl.GrammarMatcher(pcl.compile_grammar(grammar, byte_info), prompt=grammar.header)
    batch = pcl.BatchGrammarMatcher([matcher])
    errors: list[Exception] = []
    bitmask = pcl.allocate_token_bitmask(1, byte_info.vocab_size)

    def fill() -> None:
        try:
            for _ in range(20000):
                batch.batch_fill_next_token_bitmask(bitmask)
        except pcl.UsageError as error:
            errors.append(error)

    threads = [threading.Thread(target=fill) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # The threads need not have met; if they did, they were told so.
    assert all("another thread is using this matcher" in str(error) for error in errors)
    assert matcher.fill_next_token_bitmask(bitmask)


def test_threads_share_a_compiled_grammar(info: pcl.TokenizerInfo, walk: Walk) -> None:
    grammar = pcl.JpegGrammar.jpeg_lm(width=32, height=32)
    compiled = pcl.compile_grammar(grammar, info, cache_bytes=1 << 18)
    files: dict[int, bytes] = {}

    def write(seed: int) -> None:
        matcher = pcl.GrammarMatcher(compiled, max_tokens=1000, prompt=grammar.header)
        files[seed] = walk(grammar, matcher, info, seed, grammar.header).run()

    threads = [threading.Thread(target=write, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(files) == list(range(6))
    for seed, body in files.items():
        assert pcl.check(grammar.to_file(grammar.header + body)).valid
        again = pcl.GrammarMatcher(compiled, max_tokens=1000, prompt=grammar.header)
        assert walk(grammar, again, info, seed, grammar.header).run() == body
