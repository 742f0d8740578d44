"""Preparing pictures: what goes in comes out, bad files are named, nothing is left half done."""

import dataclasses
import io
import json
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageDraw

from pycodec_lm import ByteTokenizer, JpegCursor, check
from pycodec_lm.cli.main import main
from pycodec_lm.codecs.jpeg import JpegSettings, abbreviate, decode, encode, fit
from pycodec_lm.data import folder as folder_module
from pycodec_lm.data import prepare_folder as prepare_folder_module
from pycodec_lm.data.huffman import aligned_tables
from pycodec_lm.data.prepare import Picture, count_symbols, prepare_images
from pycodec_lm.data.prepare_folder import prepare_folder
from pycodec_lm.data.shards import TokenDataset
from pycodec_lm.errors import CodecLMError, UsageError
from pycodec_lm.grammar import JpegGrammar

SETTINGS = JpegSettings(32, 24, quality=50, restart_interval=0)


def drawing(seed, width=60, height=50):
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (width, height), tuple(rng.integers(0, 256, 3).tolist()))
    draw = ImageDraw.Draw(image)
    for _ in range(5):
        x, y, size = rng.integers(0, min(width, height) // 2, 3).tolist()
        colour = tuple(rng.integers(0, 256, 3).tolist())
        draw.rectangle((x, y, x + size + 3, y + size + 3), fill=colour)
    return image


@pytest.fixture
def folder(tmp_path):
    """Twelve pictures in several formats, in two sub-folders and beside them."""
    root = tmp_path / "pictures"
    formats = [("png", {}), ("jpg", {}), ("webp", {"lossless": True}), ("gif", {}), ("bmp", {})]
    for i in range(12):
        ending, options = formats[i % len(formats)]
        place = root / ["cats", "dogs/small", "."][i % 3]
        place.mkdir(parents=True, exist_ok=True)
        drawing(i, 40 + i, 60 - i).save(place / f"{i:02}.{ending}", **options)
    return root


def files_of(dataset, split):
    """The samples as whole files."""
    grammar = JpegGrammar.deserialize(dataset.meta.grammar_bytes)
    assert grammar.header == dataset.meta.header
    tokenizer = dataset.tokenizer()
    samples = getattr(dataset, split)
    return [
        grammar.to_file(dataset.meta.header + tokenizer.decode(samples.tokens(i).tolist()))
        for i in range(len(samples))
    ]


@pytest.mark.parametrize("design", ["standard", "aligned"])
def test_pictures_in_memory_come_out_as_they_went_in(tmp_path, design):
    images = [drawing(seed, 32, 24) for seed in range(20)]
    tables = None if design == "standard" else aligned_tables(count_symbols(images, SETTINGS))
    pictures = [
        Picture(image, {"colour": "red"} if i % 2 else {}, "val" if i >= 16 else "train")
        for i, image in enumerate(images)
    ]
    meta = prepare_images(
        iter(pictures),
        tmp_path / "data",
        settings=SETTINGS,
        huffman_tables=tables,
        conditions={"colour": ["red", "blue"]},
        extra={"source": "drawings"},
    )
    assert (dict(meta.n_samples), meta.extra["source"]) == ({"train": 16, "val": 4}, "drawings")
    assert meta.extra["settings"] == dataclasses.asdict(SETTINGS)

    dataset = TokenDataset(tmp_path / "data")
    files = files_of(dataset, "train") + files_of(dataset, "val")
    for image, data in zip(images, files, strict=True):
        np.testing.assert_array_equal(decode(data), decode(encode(image, SETTINGS)))
    assert sum(map(len, files)) == sum(meta.raw_bytes.values())
    assert dataset.train.conditions[:4, 0].tolist() == [2, 0, 2, 0]


def test_pictures_of_another_size_are_refused_and_nothing_is_left(tmp_path):
    pictures = [Picture(drawing(1, 32, 24)), Picture(drawing(1, 24, 32))]
    with pytest.raises(UsageError, match="the picture is 24 x 32, the settings say 32 x 24"):
        prepare_images(pictures, tmp_path / "data", settings=SETTINGS)
    with pytest.raises(UsageError, match="no sample"):
        prepare_images([], tmp_path / "data", settings=SETTINGS)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_becomes_a_dataset(folder, tmp_path):
    seen = []
    summary = prepare_folder(
        folder,
        tmp_path / "data",
        settings=SETTINGS,
        val_share=0.25,
        folders_are_classes=True,
        on_progress=lambda done, in_all: seen.append((done, in_all)),
    )
    assert (summary.n_files, summary.skipped) == (12, [])
    assert seen[-1] == (12, 12)
    dataset = TokenDataset(tmp_path / "data")
    assert dict(dataset.meta.n_samples) == {"train": 9, "val": 3}
    assert dict(dataset.meta.conditions) == {"class": ["cats", "dogs"]}
    classes = np.concatenate([dataset.train.conditions, dataset.val.conditions])[:, 0]
    assert np.bincount(classes).tolist() == [4, 4, 4]  # the last are those without a class

    expected = set()
    for path in folder.rglob("*.*"):
        with Image.open(path) as image:
            expected.add(abbreviate(encode(fit(image, 32, 24), SETTINGS))[0])
    files = files_of(dataset, "train") + files_of(dataset, "val")
    assert {abbreviate(data)[0] for data in files} == expected


@pytest.mark.parametrize("huffman", ["optimal", "aligned"])
def test_tables_are_made_from_training_pictures_only(folder, tmp_path, huffman):
    options = {"settings": SETTINGS, "huffman": huffman, "val_share": 0.25}
    before = prepare_folder(folder, tmp_path / "before", **options)
    dataset = TokenDataset(tmp_path / "before")
    training = set(files_of(dataset, "train"))
    plain = prepare_folder(folder, tmp_path / "plain", settings=SETTINGS, val_share=0.25)
    assert plain.one_byte_share is None
    assert before.one_byte_share is not None

    # Noise in the place of the validation pictures changes neither tables nor training samples.
    files = sorted(path.relative_to(folder) for path in folder.rglob("*.*"))
    for file in folder_module._validation_files(files, 0.25, seed=0):
        noise = np.random.default_rng(1).integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / file)
    prepare_folder(folder, tmp_path / "after", **options)
    after = TokenDataset(tmp_path / "after")
    assert after.meta.grammar == dataset.meta.grammar
    assert set(files_of(after, "train")) == training
    assert set(files_of(after, "val")).isdisjoint(files_of(dataset, "val"))


def test_aligned_tables_give_one_byte_elements(folder, tmp_path):
    summary = prepare_folder(folder, tmp_path / "data", settings=SETTINGS, huffman="aligned")
    assert summary.one_byte_share is not None
    assert summary.one_byte_share > 0.99


def test_crops_are_windows_of_the_same_split(folder, tmp_path):
    prepare_folder(folder, tmp_path / "a", settings=SETTINGS, n_crops=4, val_share=0.25)
    prepare_folder(folder, tmp_path / "b", settings=SETTINGS, n_crops=4, val_share=0.25)
    prepare_folder(folder, tmp_path / "c", settings=SETTINGS, n_crops=4, val_share=0.25, seed=1)
    a, b, c = (TokenDataset(tmp_path / name) for name in "abc")
    assert dict(a.meta.n_samples) == {"train": 36, "val": 12}
    assert files_of(a, "train") == files_of(b, "train")
    assert files_of(a, "train") != files_of(c, "train")
    assert len(set(files_of(a, "train"))) > 30


def test_workers_write_the_same_dataset(folder, tmp_path):
    options = {"settings": SETTINGS, "huffman": "aligned", "n_crops": 2}
    prepare_folder(folder, tmp_path / "one", **options)
    prepare_folder(folder, tmp_path / "two", n_workers=2, **options)
    one, two = (
        {path.relative_to(root): path.read_bytes() for path in sorted(root.rglob("*.*"))}
        for root in (tmp_path / "one", tmp_path / "two")
    )
    assert one == two


def png_chunk(kind, payload):
    return (
        struct.pack(">I", len(payload))
        + kind
        + payload
        + struct.pack(">I", zlib.crc32(kind + payload))
    )


def lying_png(width, height):
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"x")), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)


def add_broken_files(folder):
    """Files that are no pictures, with the reasons that shall be given."""
    whole = io.BytesIO()
    drawing(1, 200, 200).save(whole, "JPEG")
    contents = {
        "empty.png": (b"", "not a picture that Pillow knows"),
        "readme.txt": (b"Pictures of cats.\n", "not a picture that Pillow knows"),
        "random.jpg": (np.random.default_rng(1).bytes(5000), "not a picture that Pillow knows"),
        "program.eps": (
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n",
            "not a picture that Pillow knows",
        ),
        "short.jpg": (whole.getvalue()[:700], "truncated"),
        "huge.png": (lying_png(65535, 65535), "more than 100000000 pixels"),
        "large.png": (lying_png(12000, 12000), "more than 100000000 pixels"),
        "lying.png": (lying_png(300, 300), ""),
    }
    for name, (data, _) in contents.items():
        (folder / name).write_bytes(data)
    (folder / ".hidden").write_bytes(b"not looked at")
    (folder / "dangling.png").symlink_to(folder / "nowhere.png")
    os.mkfifo(folder / "pipe.png")
    return {name: reason for name, (_, reason) in contents.items()}


def test_broken_files_are_named_and_skipped(folder, tmp_path):
    reasons = add_broken_files(folder)
    summary = prepare_folder(folder, tmp_path / "data", settings=SETTINGS)
    assert summary.n_files == 12
    skipped = {one.path.name: one.reason for one in summary.skipped}
    assert sorted(skipped) == sorted(reasons)
    for name, reason in reasons.items():
        assert reason in skipped[name]
        assert "\n" not in skipped[name]
        assert skipped[name]


def test_large_files_are_skipped_unread(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(prepare_folder_module, "_MAX_FILE_BYTES", 1 << 20)
    with open(folder / "large.png", "wb") as file:
        file.truncate(2 << 20)
    summary = prepare_folder(folder, tmp_path / "data", settings=SETTINGS)
    assert [(one.path.name, one.reason) for one in summary.skipped] == [
        ("large.png", "larger than 1 MiB")
    ]


@pytest.mark.parametrize("share", [0.0, 0.05, 0.99])
def test_both_splits_get_something(folder, tmp_path, share):
    summary = prepare_folder(folder, tmp_path / "data", settings=SETTINGS, val_share=share)
    n_val = {0.0: 0, 0.05: 1, 0.99: 11}[share]
    assert dict(summary.meta.n_samples) == {"train": 12 - n_val, "val": n_val}


def test_a_tokenizer_file_is_used_and_kept(folder, tmp_path):
    prepare_folder(folder, tmp_path / "bytes", settings=SETTINGS)
    bodies = TokenDataset(tmp_path / "bytes")
    samples = [bodies.train.tokens(i).astype(np.uint8).tobytes() for i in range(11)]
    tokenizer = ByteTokenizer.train(samples, 280)
    summary = prepare_folder(folder, tmp_path / "bpe", settings=SETTINGS, tokenizer=tokenizer)
    assert summary.meta.vocab_size == tokenizer.vocab_size
    merged = TokenDataset(tmp_path / "bpe")
    assert merged.meta.n_tokens["train"] < bodies.meta.n_tokens["train"]
    assert files_of(merged, "train") == files_of(bodies, "train")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"val_share": 1.0}, r"share for validation is 1.0, must be in \[0, 1\)"),
        ({"val_share": -0.1}, "share for validation"),
        ({"n_crops": 0}, "0 crops of a picture"),
        ({"n_workers": 0}, "0 workers"),
        ({"huffman": "best"}, "Huffman design 'best'"),
    ],
)
def test_misuse_is_named(folder, tmp_path, changes, message):
    with pytest.raises(UsageError, match=message):
        prepare_folder(folder, tmp_path / "data", settings=SETTINGS, **changes)
    assert not (tmp_path / "data").exists()


def test_an_interrupted_run_leaves_nothing(folder, tmp_path):
    def stop(done, _):
        if done:
            raise KeyboardInterrupt

    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(KeyboardInterrupt):
        prepare_folder(folder, out / "data", settings=SETTINGS, on_progress=stop)
    assert list(out.iterdir()) == []


def _die(_):
    os._exit(1)


def test_a_worker_that_dies_is_an_error_of_one_line():
    with pytest.raises(CodecLMError, match=r"worker process died, .* fewer workers"):
        list(folder_module.in_order(_die, [os.curdir] * 20, 2, 8))


def run(capsys, *arguments):
    status = main(["prepare", *map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_command_says_what_came_of_it(folder, tmp_path, capsys):
    reasons = add_broken_files(folder)
    status, out, err = run(
        capsys, folder, "-o", tmp_path / "data", "--size", 32, "--workers", 1,
        "--huffman", "aligned", "--conditions", "folder",
    )  # fmt: skip
    assert status == 0
    assert "12 pictures, 8 files skipped; 11 training and 1 validation samples" in out
    assert "of the syntax elements fill one byte" in out
    assert err.count("\n") == len(reasons)
    assert all(f"skipped {folder / name}: " in err for name in reasons)


def test_command_speaks_json(folder, tmp_path, capsys):
    (folder / "notes.txt").write_text("no picture")
    status, out, err = run(
        capsys, folder, "-o", tmp_path / "data", "--json", "--width", 16, "--height", 24,
        "--workers", 1, "--restart-interval", 0, "--val", 0.5, "--crops", 2,
    )  # fmt: skip
    assert (status, err) == (0, "")
    report = json.loads(out)
    assert report["pictures"] == 12
    assert sum(report["samples"].values()) == 24
    assert [one["reason"] for one in report["skipped"]] == ["not a picture that Pillow knows"]
    settings = TokenDataset(tmp_path / "data").meta.extra["settings"]
    assert (settings["width"], settings["height"]) == (16, 24)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "-o", "data"], "nowhere is not a folder"),
        (["empty", "-o", "data"], "there is no picture in empty"),
        (["texts", "-o", "data"], "there is no picture in texts that can be read, 1 files"),
        (["pictures", "-o", "empty"], "empty exists already"),
        (["pictures", "-o", "data", "--size", "0"], "width = 0"),
        (["pictures", "-o", "data", "--size", "9", "--width", "8"], "not both"),
        (["pictures", "-o", "data", "--width", "8"], "give both --width and --height"),
        (["pictures", "-o", "data", "--quality", "101"], "quality = 101"),
        (["pictures", "-o", "data", "--tokenizer", "nothing.json"], "nothing.json"),
    ],
)
def test_command_refuses_in_one_line(folder, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(folder.parent)
    (folder.parent / "empty").mkdir()
    (folder.parent / "texts").mkdir()
    (folder.parent / "texts" / "a.txt").write_text("no picture")
    status, out, err = run(capsys, *arguments, "--workers", "1")
    assert (status, out) == (2, "")
    assert err.startswith("pycodec-lm prepare: error: ")
    assert err.count("\n") == 1
    assert message in err
    assert sorted(path.name for path in folder.parent.iterdir()) == ["empty", "pictures", "texts"]


@pytest.mark.parametrize("huffman", ["standard", "optimal", "aligned"])
@pytest.mark.parametrize("restart_interval", [0, 1])
def test_every_sample_is_a_file_of_the_grammar(folder, tmp_path, huffman, restart_interval):
    settings = JpegSettings(40, 24, 30, "4:2:0", restart_interval)
    prepare_folder(folder, tmp_path / "data", settings=settings, huffman=huffman)
    dataset = TokenDataset(tmp_path / "data")
    grammar = JpegGrammar.deserialize(dataset.meta.grammar_bytes)
    for i in range(len(dataset.train)):
        cursor = JpegCursor(grammar)
        body = dataset.train.tokens(i).astype(np.uint8).tobytes()
        status = cursor.push(dataset.meta.header + body)
        assert status.ok, status.message
        assert cursor.is_complete()
    assert all(check(data).valid for data in files_of(dataset, "train"))
