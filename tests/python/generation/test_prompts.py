"""Where picture prompts are cut, and that files go on from them."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pycodec_lm as pcl
from pycodec_lm import _core
from pycodec_lm.codecs.jpeg import JpegSettings, abbreviate, encode, fit
from pycodec_lm.errors import UsageError
from pycodec_lm.generation import generate
from pycodec_lm.generation.prompts import cut, encode_like, picture_prompt
from pycodec_lm.grammar import JpegGrammar
from pycodec_lm.models.checkpoint import Checkpoint

from .conftest import make_checkpoint


def picture(width: int, height: int) -> Image.Image:
    """Something with detail everywhere."""
    rng = np.random.default_rng(width * 1000 + height)
    noise = rng.integers(0, 256, (height // 4 + 1, width // 4 + 1, 3), np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


def test_a_picture_is_encoded_as_jpeg_lm_encodes_it() -> None:
    image = picture(256, 256)
    stream = encode_like(JpegGrammar.jpeg_lm(), image)
    expected, _ = abbreviate(encode(image, JpegSettings()))
    assert stream == expected


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0", "gray"])
@pytest.mark.parametrize("restart_interval", [0, 3])
def test_any_pinned_grammar_gets_streams_of_its_own(
    subsampling: str, restart_interval: int
) -> None:
    grammar = JpegGrammar.jpeg_lm(
        width=40, height=24, quality=60, subsampling=subsampling, restart_interval=restart_interval
    )
    # Twice as wide as it should be: cropped to the middle.
    stream = encode_like(grammar, picture(160, 48))
    matcher = _core.GrammarMatcher(
        _core.compile_grammar(grammar, pcl.ByteTokenizer.bytes_only().info()), prompt=stream
    )
    assert matcher.is_completed()
    with Image.open(io.BytesIO(grammar.to_file(stream))) as decoded:
        shown = np.asarray(decoded.convert("L"), float)
    expected = np.asarray(fit(picture(160, 48), 40, 24).convert("L"), float)
    assert np.abs(shown - expected).mean() < 10  # of 255, at quality 60


def test_the_tables_of_a_like_grammar_are_kept() -> None:
    sample = encode(picture(32, 32), JpegSettings(32, 32, quality=80, restart_interval=0))
    grammar = JpegGrammar.like(sample)
    assert encode_like(grammar, picture(32, 32)) == sample


@pytest.mark.parametrize("keep", [0.0, 0.02, 0.1, 0.5, 0.77, 0.999, 1.0])
def test_jpeg_lm_streams_are_cut_behind_rst7(keep: float) -> None:
    grammar = JpegGrammar.jpeg_lm()
    stream = encode_like(grammar, picture(256, 256))
    prompt = cut(grammar, stream, keep)
    assert stream.startswith(prompt)
    n_rounds = int(32 * keep)
    if n_rounds == 0:
        assert prompt == grammar.header
    elif n_rounds == 32:  # the last marker is EOI
        assert prompt == stream[:-2]
    else:
        assert prompt.endswith(b"\xff\xd7")
        assert prompt.count(b"\xff\xd7") == n_rounds
        assert len(re.findall(rb"\xff[\xd0-\xd7]", prompt)) == 8 * n_rounds


def test_small_streams_are_cut_behind_any_restart_marker() -> None:
    grammar = JpegGrammar.jpeg_lm(width=32, height=32)
    stream = encode_like(grammar, picture(32, 32))
    for keep, marker in ((0.25, b"\xff\xd0"), (0.5, b"\xff\xd1"), (0.8, b"\xff\xd2")):
        assert cut(grammar, stream, keep).endswith(marker)


def test_streams_without_markers_are_cut_at_the_last_byte_of_whole_mcus() -> None:
    grammar = JpegGrammar.jpeg_lm(width=48, height=48, restart_interval=0)
    image = picture(48, 48)
    stream = encode_like(grammar, image)
    for keep in (0.0, 0.34, 0.5, 0.9):
        n_mcus = int(9 * keep)
        prompt = cut(grammar, stream, keep)
        # Change the MCUs to leave out: the cut must lie where nothing of them is written yet, and
        # the byte behind it must be theirs.
        changed = np.asarray(image).copy()
        for mcu in range(n_mcus, 9):
            y, x = 16 * (mcu // 3), 16 * (mcu % 3)
            changed[y : y + 16, x : x + 16] = 255 - changed[y : y + 16, x : x + 16]
        other = encode_like(grammar, Image.fromarray(changed))
        assert stream.startswith(prompt)
        assert other.startswith(prompt)
        cursor = _core.JpegCursor(grammar)
        assert cursor.push(prompt).ok
        assert cursor.push(stream[len(prompt) : len(prompt) + 1]).ok
        place = re.search(
            r"MCU (\d+) of 9, component 0, block 0, coefficient 0: DC code$", cursor.describe()
        )
        is_inside = place is None or int(place[1]) > n_mcus
        assert is_inside
    assert cut(grammar, stream, 1.0) in (stream[:-2], stream[:-3])


def test_files_go_on_from_the_prompt(checkpoint: Checkpoint) -> None:
    grammar = JpegGrammar.jpeg_lm(width=32, height=32)
    image = picture(64, 64)
    prompt = picture_prompt(grammar, image, 0.5)
    files = generate(checkpoint, n=3, prompt=image, keep=0.5, max_tokens=60, temperature=1.3)
    assert len({file.data for file in files}) == 3
    for file in files:
        assert file.valid
        assert file.data.startswith(grammar.to_file(prompt))
        assert len(file.tokens) <= 60  # the prompt does not count
        body = checkpoint.tokenizer.decode(file.tokens)
        assert file.data == grammar.to_file(prompt + body)
    upper, lower = np.split(
        np.stack([np.asarray(Image.open(io.BytesIO(file.data))) for file in files]), 2, axis=1
    )
    assert (upper[0, :14] == upper[1, :14]).all()  # all but the rows that chroma is smoothed over
    assert (lower[0] != lower[1]).any()


def test_a_free_grammar_takes_jpeg_files_as_they_are(tmp_path: Path) -> None:
    grammar = JpegGrammar(width=16, height=32)
    path = tmp_path / "photo.jpg"
    data = encode(picture(16, 32), JpegSettings(16, 32, restart_interval=1))
    path.write_bytes(data)
    prompt = picture_prompt(grammar, path, 0.5)
    assert data.startswith(prompt)
    assert prompt.endswith(b"\xff\xd0")
    with pytest.raises(UsageError, match="give a file"):
        picture_prompt(grammar, picture(16, 32), 0.5)


@pytest.mark.parametrize("kind", ["path", "bytes", "image"])
def test_prompts_come_in_any_shape(kind: str, tmp_path: Path) -> None:
    grammar = JpegGrammar.jpeg_lm(width=32, height=32)
    image = picture(50, 40).convert("RGBA")
    path = tmp_path / "picture.png"
    image.save(path)
    given = {"path": path, "bytes": path.read_bytes(), "image": image}[kind]
    assert picture_prompt(grammar, given, 0.5) == picture_prompt(grammar, str(path), 0.5)


def test_misuse_is_named(tmp_path: Path) -> None:
    grammar = JpegGrammar.jpeg_lm(width=32, height=32)
    with pytest.raises(UsageError, match=r"keep = 1.5, must be in \[0, 1\]"):
        picture_prompt(grammar, picture(8, 8), 1.5)
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\nnonsense")
    with pytest.raises(UsageError, match=r"broken\.png is not a picture"):
        picture_prompt(grammar, broken, 0.5)
    with pytest.raises(UsageError, match="the prompt is not a picture"):
        picture_prompt(grammar, b"", 0.5)
    with pytest.raises(UsageError, match="is a folder"):
        picture_prompt(grammar, tmp_path, 0.5)
    with pytest.raises(OSError, match="No such file"):
        picture_prompt(grammar, tmp_path / "missing.png", 0.5)
    with pytest.raises(UsageError, match="positions for 512 tokens: none after a prompt of"):
        generate(make_checkpoint(grammar=JpegGrammar.jpeg_lm()), prompt=picture(256, 256), keep=0.9)
