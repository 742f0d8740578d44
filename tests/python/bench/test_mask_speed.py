"""What `bench mask` measures is there, and right where that can be said; never how long it took."""

import io
import json
from pathlib import Path

import avc_pixels
import numpy as np
import pytest
from clip_files import pan
from PIL import Image

import pycodec_lm as pcl
from pycodec_lm import _core
from pycodec_lm.bench import mask_bench, matcher_speed
from pycodec_lm.bench.avc_large_memory import LargeMemory
from pycodec_lm.bench.mask_bench import measure_all, n_steps
from pycodec_lm.bench.mask_figures import mask_report
from pycodec_lm.bench.mask_speed import measure_masks
from pycodec_lm.bench.mask_streams import FORMS, Encoded, FileCounts, encode, streams_of
from pycodec_lm.bench.matcher_memory import allocated_bytes
from pycodec_lm.bench.matcher_speed import measure_batch, measure_forks, time_apply, time_batch
from pycodec_lm.bench.peers import (
    PEERS,
    measure_peer,
    measure_peer_apply,
    measure_peer_batch,
    measure_peer_forks,
    token_kinds,
)
from pycodec_lm.cli.main import main
from pycodec_lm.codecs.avc import AvcSettings
from pycodec_lm.codecs.avc import encode as encode_clip
from pycodec_lm.errors import CodecLMError, UsageError

COUNTS = FileCounts(measured=2, batch=3, warm_up=2)


@pytest.fixture(scope="module")
def files() -> list[bytes]:
    pictures = []
    for seed in range(20):
        pixels = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
        data = io.BytesIO()
        Image.fromarray(pixels).resize((48, 48)).save(data, "JPEG", quality=25, subsampling="4:2:0")
        pictures.append(data.getvalue())
    return pictures


@pytest.fixture(scope="module", params=["jpeg_lm", "dense", "like"])
def encoded(request: pytest.FixtureRequest, files: list[bytes]) -> Encoded:
    (streams,) = streams_of(files, COUNTS, [request.param])
    return encode(streams, 270)


def test_each_file_is_for_one_thing(files: list[bytes]) -> None:
    for streams in streams_of(files, COUNTS, [*FORMS]):
        parts = (streams.measured, streams.batch, streams.warm_up, streams.train)
        assert [len(part) for part in parts] == [2, 3, 2, 13]
        assert len({stream for part in parts for stream in part}) == len(files)
        for stream in streams.measured:
            whole = streams.grammar.header + stream
            assert pcl.check(streams.grammar.to_file(whole)).valid
            assert (b"\xff\xd0" in stream) == (streams.name == ".jpeg_lm()")


def test_what_a_vocabulary_is_and_what_is_used_of_it(encoded: Encoded) -> None:
    facts = encoded.vocabulary
    assert (facts.vocab_size, facts.n_train) == (270, 13)
    lengths = [len(token) for token in encoded.tokenizer.encoded_vocab]
    assert facts.max_bytes == max(lengths)
    assert facts.mean_bytes == sum(lengths) / 267  # three tokens have no bytes
    assert 0 < facts.share_used < 1 < facts.bytes_a_token < facts.max_bytes


@pytest.mark.parametrize("has_budget", [False, True])
def test_masks_are_timed_in_each_step(encoded: Encoded, has_budget: bool) -> None:
    times, compiled = measure_masks(encoded, has_budget=has_budget, floor_ns=0)
    n_steps_measured = sum(len(ids) + 1 for ids in encoded.measured)
    spreads = [times.fill, times.accept, times.inside]
    if times.tensor is not None:
        spreads.append(times.tensor)
    assert [spread.n for spread in spreads] == [n_steps_measured] * len(spreads)
    assert times.cold.n == len(encoded.warm_up[0]) + 1
    assert times.fill.median > 0 < times.inside.median
    assert (times.max_tokens is not None) == has_budget
    assert 0 <= times.hit_rate <= 1
    assert times.stats["cache_entries"] == compiled.stats()["cache_entries"] > 0


def test_time_steps_takes_the_tokens_and_refuses_what_masks_forbid(encoded: Encoded) -> None:
    compiled = pcl.compile_grammar(encoded.streams.grammar, encoded.tokenizer.info())
    matcher = pcl.GrammarMatcher(compiled, prompt=compiled.grammar.header)
    ids = [*encoded.measured[0], encoded.tokenizer.eos_id]
    times = _core.time_steps(matcher, ids)
    assert times.shape == (len(ids), 3)
    assert (times >= 0).all()
    assert matcher.is_terminated()
    matcher.reset()
    with pytest.raises(UsageError, match="is forbidden after 3 tokens"):
        _core.time_steps(matcher, [*ids[:3], encoded.tokenizer.pad_id])
    with pytest.raises(UsageError, match="token id 270"):
        _core.time_steps(matcher, [270])


def test_threads_take_turns() -> None:
    calls: list[tuple[str, int]] = []
    fills = {n: lambda n=n: calls.append(("fill", n)) for n in (1, 2)}
    times = time_batch(fills, lambda step: calls.append(("step", step)), 3)
    assert {n: len(spent) for n, spent in times.items()} == {1: 2, 2: 1}
    assert calls == [
        *(("fill", 1), ("step", 0)),
        *(("fill", 2), ("step", 1)),
        *(("fill", 1), ("step", 2)),
    ]


def test_batches_are_timed_by_threads(encoded: Encoded) -> None:
    compiled = pcl.compile_grammar(encoded.streams.grammar, encoded.tokenizer.info())
    times = measure_batch(compiled, encoded, 0)
    assert (times.n_rows, times.vocab_size) == (3, 270)
    assert [*times.by_threads] == [1, 2]
    assert sum(s.n for s in times.by_threads.values()) == min(map(len, encoded.batch))


def test_forks_are_timed_after_so_many_tokens(encoded: Encoded) -> None:
    times = measure_forks(encoded, 0, (10, 200))
    assert [*times.by_tokens] == [*times.bytes_by_tokens] == [10, 200]
    if allocated_bytes() is not None:
        small, large = times.bytes_by_tokens.values()
        assert small is not None
        assert large is not None
        assert 0 < large < small + 64


def test_logits_are_compared_before_a_time_is_given() -> None:
    times = time_apply("ours", pcl.apply_token_bitmask_inplace, np.asarray, 0, (3, 64))
    assert [*times.by_allowed] == [0.01, 0.5, 0.99]
    with pytest.raises(CodecLMError, match="other logits"):
        time_apply("nobody", lambda *_: None, np.asarray, 0, (3, 64))


def test_wrong_files_are_refused(files: list[bytes]) -> None:
    with pytest.raises(UsageError, match="7 files are not enough"):
        next(streams_of(files[:7], COUNTS, ["jpeg_lm"]))
    other = io.BytesIO()
    Image.new("RGB", (64, 48)).save(other, "JPEG")
    with pytest.raises(UsageError, match=r"do not fit JpegGrammar\.jpeg_lm\(\)"):
        next(streams_of([*files, other.getvalue()], COUNTS, ["jpeg_lm"]))


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """No peers, and few rounds."""
    monkeypatch.setattr(mask_bench, "available_peers", list)
    monkeypatch.setattr(mask_bench, "FORK_TOKENS", (10, 20))
    monkeypatch.setattr(matcher_speed, "_N_APPLY_ROUNDS", 1)
    monkeypatch.setattr(matcher_speed, "_N_FORKS", 10)
    monkeypatch.setattr(mask_bench, "APPLY_SHAPE", (2, 64))
    large = LargeMemory(2, 3000, 40, 5.0, 6.0)
    monkeypatch.setattr(mask_bench, "_measure_large_memory", lambda: large)


@pytest.mark.usefixtures("short")
def test_the_report_has_all_of_it(files: list[bytes]) -> None:
    notes: list[str] = []
    forms = ["jpeg_lm", "dense"]
    streams = [*streams_of(files, COUNTS, forms)]
    results = measure_all(files, streams, [259, 270], notes.append)
    assert len(notes) == n_steps([259, 270], streams)
    report = mask_report(results, "pycodec-lm bench mask")
    page = report.to_markdown()
    for name in (".jpeg_lm()", ".jpeg_lm(restart_interval=0)"):
        assert len([row for row in results.masks if row.grammar == name]) == 4
        assert f"| pycodec_lm, {name}" in page
    tables = {caption.split()[0]: rows for caption, _, rows in report.tables}
    assert [len(tables[name]) for name in ("fill_next_token_bitmask", "Vocabularies,")] == [8, 4]
    assert len(tables["One"]) == 8
    assert len(tables["fork()"]) == 1
    assert all(len(row) == len(columns) for _, columns, rows in report.tables for row in rows)
    written = json.loads(json.dumps(report.to_json()))
    assert written["masks"][0]["fill"]["n"] == results.masks[0].fill.n
    assert written["batches"][0]["by_threads"]["2"]["n"] > 0
    if allocated_bytes() is not None:
        assert [row["grammar"] for row in written["memory"]] == [
            row.grammar for row in results.memory
        ]
        assert written["progressive"]["n_blocks"][1] == 16 * written["progressive"]["n_blocks"][0]


@pytest.mark.usefixtures("short")
def test_clips_are_measured_like_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    settings = AvcSettings(width=64, height=48, frames=3)
    for i in range(9):
        (folder / f"{i}.264").write_bytes(encode_clip(pan(3, 64, 48, seed=i), settings))
    few = ["--vocab-sizes", "259", "264", "--warm-up", "1", "--files", "2", "--rows", "2"]
    command = ["bench", "mask", str(folder), *few, "--json"]
    assert main([*command, "--forms", "like"]) == 0
    results = json.loads(capsys.readouterr().out)
    assert [row["vocab_size"] for row in results["masks"]] == [259, 259, 264, 264]
    assert {row["grammar"] for row in results["masks"]} == {"AvcGrammar.like(clip), baseline"}
    assert results["masks"][0]["fill"]["n"] > 100
    if allocated_bytes() is not None:
        assert results["large"]["matcher_bytes"] == 3000
    assert main([*command, "--forms", "dense"]) == 2
    assert "--forms of such files are like, any" in capsys.readouterr().err
    for path in folder.iterdir():
        path.write_bytes(with_b_slices(0))
    assert main([*command, "--forms", "like"]) == 2
    assert "none has the form like" in capsys.readouterr().err


def with_b_slices(seed: int) -> bytes:
    """A clip in high profile, by CABAC."""
    params = {"x264-params": "keyint=infinite:bframes=2:b-adapt=0"}
    return avc_pixels.x264_stream(pan(3, 64, 48, seed=seed), profile="high", **params)


def test_each_profile_has_forms_of_its_own() -> None:
    settings = AvcSettings(width=64, height=48, frames=3)
    clips = [encode_clip(pan(3, 64, 48, seed=i), settings) for i in range(8)]
    clips += [with_b_slices(i) for i in range(8)]
    found = [*streams_of(clips, COUNTS, ["like", "any"])]
    assert [streams.name for streams in found] == [
        "AvcGrammar.like(clip), baseline",
        "AvcGrammar(width, height, frames), baseline",
        "AvcGrammar(width, height, frames), high",
    ]
    for streams in found:
        for stream in (*streams.measured, *streams.train):
            cursor = _core.AvcCursor(streams.grammar)
            assert cursor.push(streams.grammar.header + stream) and cursor.is_complete()


def test_clips_of_other_parameter_sets_are_refused() -> None:
    small, large = (AvcSettings(width=width, height=48, frames=2) for width in (48, 64))
    clips = [encode_clip(pan(2, 48, 48), small) for _ in range(8)]
    with pytest.raises(UsageError, match="do not all begin with the parameter sets"):
        next(streams_of([*clips, encode_clip(pan(2, 64, 48), large)], COUNTS, ["like"]))


@pytest.mark.usefixtures("short")
def test_the_command_writes_the_report(
    files: list[bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i, data in enumerate(files):
        (folder / f"{i:02}.jpg").write_bytes(data)
    page = tmp_path / "mask-speed.md"
    few = ["--vocab-sizes", "259", "--warm-up", "2", "--files", "2", "--rows", "3"]
    command = ["bench", "mask", str(folder), *few, "--forms", "like"]
    assert main([*command, "--json", "-o", str(page)]) == 0
    assert json.loads(capsys.readouterr().out)["masks"][0]["grammar"] == ".like(file)"
    assert page.read_text().startswith("# Masks: microseconds a Python call\n")
    assert main([*command, "--rows", "0"]) == 2
    assert "must be at least 1" in capsys.readouterr().err


@pytest.mark.parametrize("name", PEERS)
def test_peers_are_timed_on_documents(name: str) -> None:
    pytest.importorskip(name)
    for tokens in token_kinds(300):
        times = measure_peer(name, 300, tokens)
        assert (times.name, times.vocab_size, times.tokens) == (name, 300, tokens)
        assert times.fill.n > 1000
    assert [*measure_peer_forks(name, 0, (10, 20)).by_tokens] == [10, 20]
    if name == "xgrammar":
        batch = measure_peer_batch(300, 4, 0)
        assert [*batch.by_threads] == [1, 2]
        assert measure_peer_apply(0, (2, 64)).by_allowed.keys() == {0.01, 0.5, 0.99}
