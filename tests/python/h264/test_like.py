"""Grammars of samples with B pictures, and of others whose headers differ: each picture keeps its
own header, and all else is free."""

import random
from collections.abc import Iterator

import pytest
from cursor_walks import members, walk_from
from numpy.typing import NDArray

import pycodec_lm as pcl
from pycodec_lm import _core
from pycodec_lm.avc_grammar import AvcGrammar
from pycodec_lm.errors import UsageError
from pycodec_lm.inspect import inspect_h264

SAMPLES = {
    "CAVLC": "cabac=0:bframes=2:b-adapt=0:b-pyramid=none",
    "CABAC": "bframes=2:b-adapt=0:b-pyramid=none",
    "pyramid": "cabac=0:bframes=3:b-adapt=0:b-pyramid=normal:ref=4",
    "pyramid by CABAC": "bframes=3:b-adapt=0:b-pyramid=normal:ref=4",
    "weights": "cabac=0:bframes=0:weightp=2:ref=4",
    "slices": "cabac=0:bframes=1:b-adapt=0:slices=2",
}
N_FRAMES = 6
HEADER_FIELDS_ALONE = {"first_mb_in_slice", "rbsp_trailing_bits", "emulation_prevention_three_byte"}


def fading(n: int) -> NDArray:
    clip_files = pytest.importorskip("clip_files", reason="needs PyAV")
    frames = clip_files.pan(n, 48, 32, seed=3) // 2
    for i, frame in enumerate(frames):
        frame += 15 * i  # so that weights pay
    return frames


def x264(params: str, n: int = N_FRAMES) -> bytes:
    avc_pixels = pytest.importorskip("avc_pixels", reason="needs PyAV")
    options = {"x264-params": f"keyint=infinite:scenecut=0:{params}"}
    data: bytes = avc_pixels.x264_stream(fading(n), **options, qp="30", profile="high")
    return data


@pytest.fixture(scope="module", params=SAMPLES)
def sample(request: pytest.FixtureRequest) -> bytes:
    return x264(SAMPLES[request.param])


def headers(stream: bytes) -> Iterator[tuple[int, dict[str, tuple[int, ...]]]]:
    """(picture, fields of the header) of each slice."""
    inspection = inspect_h264(stream)
    for each in inspection.slices:
        fields = inspection.nal_units[each.nal].fields
        said = {f.element: f.values for f in fields if f.element not in HEADER_FIELDS_ALONE}
        yield each.picture, said


def test_the_sample_is_in_its_grammar(sample: bytes) -> None:
    grammar = AvcGrammar.like(sample)
    assert grammar.frames == N_FRAMES
    cursor = _core.AvcCursor(grammar)
    assert cursor.push(grammar.header)
    rng = random.Random(1)
    # libx264's marks behind CABAC slices are in no grammar.
    unmarked, counts = _core.recode_avc(sample, cabac=_has_cabac(sample))
    assert len(unmarked) == len(sample) and counts["slices"] >= N_FRAMES
    for byte in unmarked[len(grammar.header) :]:
        if rng.random() < 0.2:
            assert byte in members(cursor.allowed()), cursor.describe()
        assert cursor.push(bytes([byte])), cursor.describe()
    assert cursor.is_complete()


def _has_cabac(stream: bytes) -> bool:
    (flag,) = (
        field.value
        for nal in inspect_h264(stream).nal_units
        for field in nal.fields
        if field.element == "entropy_coding_mode_flag"
    )
    return bool(flag)


@pytest.mark.parametrize("times", [1, 3, 12])
def test_walks_keep_the_headers_and_the_contract(sample: bytes, times: int) -> None:
    grammar = AvcGrammar.like(sample)
    start = _core.AvcCursor(grammar)
    assert start.push(grammar.header)
    budget = times * start.bytes_to_complete()
    rng = random.Random(times)
    may_shorten = _has_cabac(sample)
    for cursor, written in walk_from(start, times, budget, n_tries=3):
        stream = grammar.header + written
        if rng.random() > 25 / budget:
            continue
        allowed = members(cursor.allowed())
        assert allowed == [b for b in range(256) if cursor.copy().push(bytes([b]))]
        n_bytes = cursor.bytes_to_complete()
        assert n_bytes <= cursor.ending_bound(0)
        ending = cursor.complete()
        assert len(ending) == n_bytes
        ahead = cursor.copy()
        for i, byte in enumerate(ending):
            left = ahead.bytes_to_complete()
            assert left <= n_bytes - i if may_shorten else left == n_bytes - i
            assert ahead.push(bytes([byte]))
        assert ahead.is_complete()
    assert cursor.is_complete() and len(written) <= budget
    verdict = pcl.check(stream)
    assert verdict.valid, verdict.message
    kept = dict(headers(sample))
    assert all(kept[picture] == said for picture, said in headers(stream))
    assert len(kept) == N_FRAMES


@pytest.mark.parametrize("n", [1, 4])
def test_there_may_be_fewer_pictures(sample: bytes, n: int) -> None:
    grammar = AvcGrammar.like(sample, frames=n)
    stream = _core.AvcCursor(grammar).complete()
    assert pcl.check(stream).notes == (f"{n} pictures",)
    assert AvcGrammar.deserialize(grammar.serialize()).frames == n


def test_there_are_no_headers_for_more_pictures(sample: bytes) -> None:
    with pytest.raises(UsageError, match="it has no headers for so many; ask for fewer"):
        AvcGrammar.like(sample, frames=N_FRAMES + 1)


def test_matchers_keep_to_their_budget(sample: bytes) -> None:
    grammar = AvcGrammar.like(sample)
    info = pcl.TokenizerInfo([bytes([b]) for b in range(256)] + [b""], stop_token_ids=[256])
    compiled = pcl.compile_grammar(grammar, info)
    least = pcl.GrammarMatcher(compiled, prompt=grammar.header).min_tokens_to_complete()
    rng = random.Random(least)
    bitmask = pcl.allocate_token_bitmask(1, info.vocab_size)
    for budget in (least, 2 * least):
        matcher = pcl.GrammarMatcher(compiled, max_tokens=budget, prompt=grammar.header)
        n_tokens = 0
        while not matcher.is_terminated():
            matcher.fill_next_token_bitmask(bitmask)
            legal = [t for t in range(257) if bitmask[0, t // 32] >> t % 32 & 1]
            assert matcher.accept_token(rng.choice(legal))
            n_tokens += 1
        assert n_tokens <= budget


def test_samples_that_are_not_followed_are_named() -> None:
    temporal = x264("bframes=2:b-adapt=0:direct=temporal")
    with pytest.raises(UsageError, match="B slices with temporal direct prediction"):
        AvcGrammar.like(temporal)


@pytest.mark.parametrize("slices", ["picture", "macroblock"])
@pytest.mark.parametrize("b_frames", [0, 1, 3])
def test_avc_lm_has_the_clips_of_its_settings(b_frames: int, slices: str) -> None:
    avc = pytest.importorskip("pycodec_lm.codecs.avc", reason="needs PyAV")
    settings = avc.AvcSettings(
        48, 32, fps=3, frames=N_FRAMES, qp=30, slices=slices, profile="high", b_frames=b_frames
    )
    grammar = AvcGrammar.avc_lm(48, 32, N_FRAMES, 30, 3, slices, "high", b_frames)
    cursor = _core.AvcCursor(grammar)
    assert cursor.push(avc.encode(fading(N_FRAMES), settings)) and cursor.is_complete()
