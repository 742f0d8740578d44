"""Canonical JPEG bytes: they are Pillow's, and the JPEG-LM form is Pillow's too."""

import io

import numpy as np
import pytest
from PIL import Image

from pycodec_lm.codecs.jpeg import (
    JpegSettings,
    abbreviate,
    decode,
    encode,
    fit,
    scan_start,
    to_rgb,
)
from pycodec_lm.errors import CodecLMError, UsageError
from pycodec_lm.grammar import JpegGrammar

FORMS = [
    JpegSettings(64, 48),
    JpegSettings(64, 48, restart_interval=0),
    JpegSettings(33, 47, quality=90, subsampling="4:4:4", restart_interval=3),
    JpegSettings(16, 16, quality=1, subsampling="4:2:2"),
    JpegSettings(8, 8, quality=100),
]


def noise(form):
    rng = np.random.default_rng(form.width)
    return Image.fromarray(rng.integers(0, 256, (form.height, form.width, 3), dtype=np.uint8))


def pillow(image, form, **options):
    buffer = io.BytesIO()
    image.save(
        buffer,
        format="JPEG",
        quality=form.quality,
        subsampling=form.subsampling,
        restart_marker_blocks=form.restart_interval,
        **options,
    )
    return buffer.getvalue()


@pytest.mark.parametrize("form", FORMS)
def test_files_are_those_of_pillow(form):
    image = noise(form)
    assert encode(image, form) == pillow(image, form)


@pytest.mark.parametrize("form", FORMS)
def test_abbreviated_form_is_the_released_one(form):
    image = noise(form)
    stream, tables = abbreviate(encode(image, form))
    assert stream == pillow(image, form, streamtype=2)
    assert tables == pillow(image, form, streamtype=1)


@pytest.mark.parametrize("form", FORMS)
def test_grammar_pins_the_header_and_gives_the_file_back(form):
    image = noise(form)
    data = encode(image, form)
    stream, _ = abbreviate(data)
    grammar = JpegGrammar.jpeg_lm(
        form.width, form.height, form.quality, form.restart_interval, form.subsampling
    )
    assert stream[: len(grammar.header)] == grammar.header
    assert data[scan_start(data) :] == stream[len(grammar.header) :]
    np.testing.assert_array_equal(decode(grammar.to_file(stream)), decode(data))


def test_metadata_of_the_source_is_left_behind():
    form = JpegSettings(16, 16)
    plain = noise(form)
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "a description"
    plain.save(buffer, "PNG", exif=exif, icc_profile=b"profile", dpi=(300, 300))
    assert encode(Image.open(buffer), form) == encode(plain, form)
    plain.save(buffer := io.BytesIO(), "JPEG", comment=b"a comment", dpi=(72, 72))
    source = Image.open(buffer)
    assert encode(source, form) == encode(Image.fromarray(np.asarray(source)), form)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 0}, r"width = 0, must be in \[1, 65500\]"),
        ({"height": 65501}, "height = 65501"),
        ({"quality": 0}, r"quality = 0, must be in \[1, 100\]"),
        ({"quality": 101}, "quality = 101"),
        ({"restart_interval": -1}, "restart_interval = -1"),
        ({"subsampling": "4:1:0"}, "subsampling '4:1:0' is not one of 4:4:4, 4:2:2, 4:2:0"),
    ],
)
def test_settings_out_of_range_are_refused(changes, message):
    with pytest.raises(UsageError, match=message):
        JpegSettings(**changes)


def test_pictures_of_another_size_are_refused():
    with pytest.raises(UsageError, match="the picture is 8 x 8, the settings say 256 x 256"):
        encode(Image.new("RGB", (8, 8)), JpegSettings())


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"GIF89a", bytes(100)])
def test_decoding_says_what_is_no_jpeg(data):
    with pytest.raises(CodecLMError, match="Pillow cannot decode the file"):
        decode(data)


def test_decoding_says_what_is_cut_short():
    data = encode(noise(FORMS[0]), FORMS[0])
    with pytest.raises(CodecLMError, match="truncated"):
        decode(data[: len(data) // 2])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "do not start like a JPEG"),
        (b"\xff\xd8", "no JPEG segment at byte 2"),
        (b"\xff\xd8\xff\xdb\x00\x43\x00", "at byte 2 reaches past the end"),
        (b"\xff\xd8\xff\xdb\x00\x02\x00\x00\x00\x00", "no JPEG segment at byte 6"),
    ],
)
def test_headers_that_lie_are_named(data, message):
    with pytest.raises(UsageError, match=message):
        scan_start(data)
    with pytest.raises(UsageError, match=message):
        abbreviate(data)


def test_fit_takes_the_middle():
    wide = Image.new("RGB", (90, 30), "white")
    wide.paste("red", (30, 0, 60, 30))
    middle = np.asarray(fit(wide, 16, 16))
    assert middle.shape == (16, 16, 3)
    assert (middle[:, 3:-3] == (255, 0, 0)).all()  # the filter sees 3 pixels beyond the edges
    tall = np.asarray(fit(wide.transpose(Image.Transpose.ROTATE_90), 16, 16))
    assert (tall[3:-3] == (255, 0, 0)).all()


def test_fit_takes_the_window_asked_for():
    image = Image.new("RGB", (64, 64), "white")
    image.paste("red", (32, 32, 64, 64))
    corner = np.asarray(fit(image, 8, 8, share=0.5, place=(1.0, 1.0)))
    assert (corner[3:, 3:] == (255, 0, 0)).all()
    other = np.asarray(fit(image, 8, 8, share=0.5, place=(0.0, 0.0)))
    assert (other[:-3, :-3] == 255).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (7, 3), (500, 2)])
@pytest.mark.parametrize("target", [(16, 16), (5, 40)])
def test_fit_gives_the_size_asked_for(size, target):
    assert fit(Image.new("L", size, 9), *target).size == target
    assert fit(Image.new("L", size, 9), *target, share=0.5, place=(1.0, 1.0)).size == target


def test_fit_turns_pictures_upright():
    image = Image.new("RGB", (40, 20), "white")
    image.paste("red", (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # the top of the scene is on the right: turn by 90 degrees clockwise
    image.save(buffer := io.BytesIO(), "PNG", exif=exif)
    upright = np.asarray(fit(Image.open(buffer), 20, 40))
    assert (upright[:17] == (255, 0, 0)).all()
    assert (upright[23:] == 255).all()


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("L", 100, (100, 100, 100)),
        ("1", 1, (255, 255, 255)),
        ("LA", (100, 255), (100, 100, 100)),
        ("RGBA", (10, 20, 30, 255), (10, 20, 30)),
        ("RGBA", (10, 20, 30, 0), (255, 255, 255)),
        ("I;16", 0x6400, (100, 100, 100)),
        ("CMYK", (0, 0, 0, 255), (0, 0, 0)),
        ("CMYK", (0, 0, 0, 0), (255, 255, 255)),
    ],
)
def test_every_mode_becomes_rgb(mode, colour, expected):
    assert to_rgb(Image.new(mode, (4, 4), colour)).getpixel((1, 1)) == expected


def test_palettes_with_a_transparent_entry_become_rgb():
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 9, 8, 7])
    assert to_rgb(image).getpixel((0, 0)) == (9, 8, 7)
    image.info["transparency"] = 1
    assert to_rgb(image).getpixel((0, 0)) == (255, 255, 255)
