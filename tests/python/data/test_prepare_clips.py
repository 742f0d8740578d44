"""Preparing clips: each window is a stream, bad files are named, and the split is by clip."""

import dataclasses
import io
import json
from fractions import Fraction

import numpy as np
import pytest
from clip_files import audio_file, clip_file, numbered, numbers, pan
from PIL import Image

from pycodec_lm import AvcGrammar, ByteTokenizer, GrammarMatcher, compile_grammar
from pycodec_lm.cli.main import main
from pycodec_lm.codecs.avc import AvcSettings, decode, encode
from pycodec_lm.codecs.clips import Clip
from pycodec_lm.data.prepare_clips import prepare_clips
from pycodec_lm.data.shards import DatasetMeta, TokenDataset
from pycodec_lm.errors import CodecLMError, UsageError
from pycodec_lm.grammars import grammar_of_codec

SETTINGS = AvcSettings(80, 32, fps=5, frames=4, qp=24)
SMALL = ["--width", "80", "--height", "32", "--fps", "5", "--frames", "4", "--workers", "1"]


@pytest.fixture(scope="module")
def contents():
    """Six clips of several formats, each as long as three windows."""
    kinds = [("mp4", "libx264"), ("matroska", "libx264"), ("avi", "mpeg4")]
    return [clip_file(pan(60, 96, 48, seed), 25, *kinds[seed % 3]) for seed in range(6)]


@pytest.fixture
def folder(contents, tmp_path):
    root = tmp_path / "clips"
    for i, data in enumerate(contents):
        place = root / ["cats", "dogs/small", "."][i % 3]
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{i}.{['mp4', 'mkv', 'avi'][i % 3]}").write_bytes(data)
    return root


def streams_of(dataset, split):
    """The whole streams, their headers included."""
    samples = getattr(dataset, split)
    tokenizer = dataset.tokenizer()
    bodies = [tokenizer.decode(samples.tokens(i).tolist()) for i in range(len(samples))]
    return [dataset.meta.header + body for body in bodies]


def test_a_folder_becomes_a_dataset(folder, contents, tmp_path):
    seen = []
    summary = prepare_clips(
        folder,
        tmp_path / "data",
        settings=SETTINGS,
        val_share=0.34,
        folders_are_classes=True,
        on_progress=lambda done, in_all: seen.append((done, in_all)),
    )
    assert (summary.n_files, summary.skipped, summary.one_byte_share) == (6, [], None)
    assert seen == [(i, 6) for i in range(1, 7)]
    dataset = TokenDataset(tmp_path / "data")
    meta = dataset.meta
    grammar = AvcGrammar.avc_lm(80, 32, 4, 24, 5)
    assert (meta.codec, meta.header) == ("avc", grammar.header)
    assert meta.header.startswith(b"\0\0\0\1\x67")
    assert grammar_of_codec("avc", meta.grammar_bytes).serialize() == grammar.serialize()
    assert meta.extra == {"settings": dataclasses.asdict(SETTINGS), "windows": 1, "seed": 0}
    assert dict(meta.n_samples) == {"train": 4, "val": 2}
    assert dict(meta.conditions) == {"class": ["cats", "dogs"]}
    classes = np.concatenate([dataset.train.conditions, dataset.val.conditions])[:, 0]
    assert sorted(classes.tolist()) == [0, 0, 1, 1, 2, 2]

    streams = streams_of(dataset, "train") + streams_of(dataset, "val")
    middle = Fraction(4, 5)  # of 12 frames at this rate, 4 before and 4 behind
    assert set(streams) == {
        encode(Clip(data).frames(SETTINGS, middle), SETTINGS) for data in contents
    }
    assert sum(map(len, streams)) == sum(meta.raw_bytes.values())
    for stream in streams:
        matcher = GrammarMatcher(compile_grammar(grammar, dataset.tokenizer().info()))
        assert matcher.accept_bytes(stream)
        assert matcher.is_completed()


def test_streams_of_another_encoder_are_named(folder, tmp_path, monkeypatch):
    def encode_otherwise(frames, settings):
        return encode(frames, dataclasses.replace(settings, qp=settings.qp + 1))

    monkeypatch.setattr("pycodec_lm.data.prepare_clips.encode", encode_otherwise)
    with pytest.raises(CodecLMError, match="x264 writes other streams than the grammar of"):
        prepare_clips(folder, tmp_path / "data", settings=SETTINGS)
    assert not (tmp_path / "data").exists()


def test_windows_are_of_the_same_split(folder, tmp_path):
    prepare_clips(folder, tmp_path / "data", settings=SETTINGS, n_windows=2, val_share=0.34)
    dataset = TokenDataset(tmp_path / "data")
    assert dict(dataset.meta.n_samples) == {"train": 8, "val": 4}


def test_windows_are_those_of_their_times(tmp_path):
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.mp4").write_bytes(clip_file(numbered(60)))
    summary = prepare_clips(
        tmp_path / "clips", tmp_path / "data", settings=SETTINGS, n_windows=9, val_share=0
    )
    assert dict(summary.meta.n_samples) == {"train": 3, "val": 0}
    windows = [
        numbers(decode(stream)) for stream in streams_of(TokenDataset(tmp_path / "data"), "train")
    ]
    assert windows == [[0, 5, 10, 15], [20, 25, 30, 35], [40, 45, 50, 55]]


def test_workers_write_the_same_dataset(folder, tmp_path):
    options = {"settings": SETTINGS, "n_windows": 2}
    prepare_clips(folder, tmp_path / "one", **options)
    prepare_clips(folder, tmp_path / "two", n_workers=2, **options)
    one, two = (
        {path.relative_to(root): path.read_bytes() for path in sorted(root.rglob("*.*"))}
        for root in (tmp_path / "one", tmp_path / "two")
    )
    assert one == two


def add_broken_files(folder):
    """Files that are no clips, with the reasons that shall be given."""
    picture = io.BytesIO()
    Image.new("RGB", (64, 48), "red").save(picture, "JPEG")
    whole = clip_file(pan(60, 96, 48))
    unread = "not a clip that PyAV can read"
    contents = {
        "empty.mp4": (b"", unread),
        "notes.txt": (b"Clips of cats.\n" * 1000, unread),
        "picture.jpg": (picture.getvalue(), unread),
        "truncated.mp4": (whole[: len(whole) // 2], unread),
        "sound.m4a": (audio_file(), "there is no video in it"),
        "short.mp4": (clip_file(pan(15, 96, 48)), "shorter than one window: it lasts 0.60 s"),
    }
    for name, (data, _) in contents.items():
        (folder / name).write_bytes(data)
    (folder / ".hidden").write_bytes(b"not looked at")
    return {name: reason for name, (_, reason) in contents.items()}


def test_broken_and_short_files_are_named_and_skipped(folder, tmp_path):
    reasons = add_broken_files(folder)
    summary = prepare_clips(folder, tmp_path / "data", settings=SETTINGS)
    assert summary.n_files == 6
    skipped = {one.path.name: one.reason for one in summary.skipped}
    assert sorted(skipped) == sorted(reasons)
    assert [name for name in reasons if not skipped[name].startswith(reasons[name])] == []


def test_a_tokenizer_file_is_used_and_kept(folder, tmp_path):
    prepare_clips(folder, tmp_path / "bytes", settings=SETTINGS)
    streams = streams_of(TokenDataset(tmp_path / "bytes"), "train")
    tokenizer = ByteTokenizer.train(streams, 300)
    prepare_clips(folder, tmp_path / "bpe", settings=SETTINGS, tokenizer=tokenizer)
    merged = TokenDataset(tmp_path / "bpe")
    header = len(merged.meta.header)
    assert merged.meta.n_tokens["train"] < sum(len(stream) - header for stream in streams)
    assert streams_of(merged, "train") == streams


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"val_share": 1.0}, r"share for validation is 1.0, must be in \[0, 1\)"),
        ({"n_windows": 0}, "0 windows of a clip"),
        ({"n_workers": 0}, "0 workers"),
    ],
)
def test_misuse_is_named(folder, tmp_path, changes, message):
    with pytest.raises(UsageError, match=message):
        prepare_clips(folder, tmp_path / "data", settings=SETTINGS, **changes)
    assert not (tmp_path / "data").exists()


def test_an_encoder_that_fails_is_no_fault_of_the_clips(folder, tmp_path, monkeypatch):
    def fail(frames, settings):
        raise CodecLMError("no x264")

    monkeypatch.setattr("pycodec_lm.data.prepare_clips.encode", fail)
    with pytest.raises(CodecLMError, match="no x264"):
        prepare_clips(folder, tmp_path / "data", settings=SETTINGS)
    assert not (tmp_path / "data").exists()


def test_datasets_say_which_codec_they_are_of():
    jpeg, avc = DatasetMeta(259, 256, 257, 258), DatasetMeta(259, 256, 257, 258, codec="avc")
    assert "codec" not in json.loads(jpeg.to_json())  # as datasets were before there was another
    assert DatasetMeta.from_json(jpeg.to_json()).codec == "jpeg"
    assert DatasetMeta.from_json(avc.to_json()) == avc
    with pytest.raises(UsageError, match="codec 'hevc' is not one of jpeg, avc"):
        DatasetMeta(259, 256, 257, 258, codec="hevc")


def run(capsys, *arguments):
    status = main(["prepare", "--codec", "avc", *map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_command_says_what_came_of_it(folder, tmp_path, capsys):
    reasons = add_broken_files(folder)
    status, out, err = run(capsys, folder, "-o", tmp_path / "data", *SMALL, "--windows", 3)
    assert status == 0
    # The split is drawn before anybody knows which files are clips.
    assert "6 clips, 6 files skipped; 18 training and 0 validation samples" in out
    assert err.count("\n") == len(reasons)
    assert all(f"skipped {folder / name}: {reason}" in err for name, reason in reasons.items())


def test_command_speaks_json(folder, tmp_path, capsys):
    add_broken_files(folder)
    status, out, err = run(
        capsys, folder, "-o", tmp_path / "data", "--json", *SMALL,
        "--qp", 30, "--slices", "macroblock", "--conditions", "folder", "--val", 0.5,
        "--profile", "high",
    )  # fmt: skip
    assert (status, err) == (0, "")
    report = json.loads(out)
    assert (report["clips"], sum(report["samples"].values())) == (6, 6)
    assert len(report["skipped"]) == 6
    assert not {"pictures", "one_byte_share"} & set(report)
    dataset = TokenDataset(tmp_path / "data")
    expected = AvcSettings(80, 32, fps=5, frames=4, qp=30, slices="macroblock", profile="high")
    assert dataset.meta.extra["settings"] == dataclasses.asdict(expected)
    assert decode(streams_of(dataset, "train")[0]).shape == (4, 32, 80, 3)


def test_command_writes_the_form_of_avc_lm_by_default(tmp_path, capsys):
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.mp4").write_bytes(clip_file(pan(16, 256, 144), 3))
    status, out, err = run(capsys, tmp_path / "clips", "-o", tmp_path / "data", "--workers", 1)
    assert (status, err) == (0, "")
    assert out.startswith(f"{tmp_path / 'data'}: 1 clips, 0 files skipped; 1 training and 0 ")
    settings = TokenDataset(tmp_path / "data").meta.extra["settings"]
    assert settings == dataclasses.asdict(AvcSettings())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "-o", "data"], "nowhere is not a folder"),
        (["empty", "-o", "data"], "there is no clip in empty"),
        (["texts", "-o", "data"], "there is no clip in texts that can be read, 1 files were tried"),
        (["clips", "-o", "empty"], "empty exists already"),
        (["clips", "-o", "data", "--size", "0"], "width = 0"),
        (["clips", "-o", "data", "--width", "8"], "give both --width and --height"),
        (["clips", "-o", "data", "--qp", "52"], "qp = 52, must be in [1, 51]"),
        (["clips", "-o", "data", "--windows", "0"], "0 windows of a clip"),
        (["clips", "-o", "data", "--b-frames", "2"], "the baseline profile has no B pictures"),
        (
            ["clips", "-o", "data", "--quality", "25"],
            "--quality is for pictures, and --codec avc is for clips; leave it out, or give "
            "--codec jpeg",
        ),
        (["clips", "-o", "data", "--restart-interval", "0"], "--restart-interval is for pictures"),
        (["clips", "-o", "data", "--crops", "1"], "--crops is for pictures"),
        (["clips", "-o", "data", "--huffman", "aligned"], "--huffman is for pictures"),
        (["clips", "-o", "data", "--subsampling", "4:2:0"], "--subsampling is for pictures"),
        (
            ["clips", "-o", "data", "--codec", "jpeg", "--fps", "3"],
            "--fps is for clips, and --codec jpeg is for pictures",
        ),
        (["clips", "-o", "data", "--codec", "jpeg", "--windows", "3"], "--windows is for clips"),
        (["clips", "-o", "data", "--codec", "jpeg", "--frames", "3"], "--frames is for clips"),
        (["clips", "-o", "data", "--codec", "jpeg", "--qp", "37"], "--qp is for clips"),
        (
            ["clips", "-o", "data", "--codec", "jpeg", "--slices", "picture"],
            "--slices is for clips",
        ),
    ],
)
def test_command_refuses_in_one_line(folder, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(folder.parent)
    (folder.parent / "empty").mkdir()
    (folder.parent / "texts").mkdir()
    (folder.parent / "texts" / "a.txt").write_text("no clip")
    status, out, err = run(capsys, *arguments, "--workers", "1")
    assert (status, out) == (2, "")
    assert err.startswith("pycodec-lm prepare: error: ")
    assert err.count("\n") == 1
    assert message in err
    assert sorted(path.name for path in folder.parent.iterdir()) == ["clips", "empty", "texts"]
