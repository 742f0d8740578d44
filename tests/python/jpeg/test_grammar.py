"""JpegGrammar: what the keywords force, pinned samples, the JPEG-LM form, serialization."""

import io
import pickle

import numpy as np
import pytest
from cursor_walks import walk
from PIL import Image

from pycodec_lm import UsageError, _core
from pycodec_lm.grammar import JpegGrammar, recode_jpeg
from pycodec_lm.jpeg_tables import (
    SUBSAMPLINGS,
    quality_tables,
    standard_huffman_tables,
    table_stream,
    zigzag_order,
)


def _picture(size: tuple[int, int] = (64, 48)) -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)


def _encode(picture: Image.Image, **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", **options)
    return out.getvalue()


def test_zigzag_is_figure_a6() -> None:
    assert zigzag_order()[:10] == [0, 1, 8, 16, 9, 2, 3, 10, 17, 24]
    assert sorted(zigzag_order()) == list(range(64))


@pytest.mark.parametrize("quality", [1, 25, 50, 75, 99, 100])
def test_tables_are_those_of_libjpeg(quality: int) -> None:
    stream = _encode(_picture(), quality=quality, streamtype=1)
    assert table_stream(quality_tables(quality), standard_huffman_tables()) == stream


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("restart_interval", [0, 1, 5])
def test_jpeg_lm_is_what_pillow_writes(subsampling: str, restart_interval: int) -> None:
    grammar = JpegGrammar.jpeg_lm(
        64, 48, quality=40, subsampling=subsampling, restart_interval=restart_interval
    )
    options = {"quality": 40, "subsampling": subsampling, "restart_marker_blocks": restart_interval}
    stream = _encode(_picture(), streamtype=2, **options)
    assert stream.startswith(grammar.header)
    cursor = _core.JpegCursor(grammar)
    assert cursor.push(stream) and cursor.is_complete()
    file = grammar.to_file(stream)
    assert _core.check_jpeg(file)[0].message == "valid"
    whole = Image.open(io.BytesIO(_encode(_picture(), **options)))
    assert Image.open(io.BytesIO(file)).tobytes() == whole.tobytes()


def test_an_abbreviated_stream_needs_its_tables() -> None:
    grammar = JpegGrammar.jpeg_lm(64, 48)
    stream = _encode(_picture(), quality=25, streamtype=2, restart_marker_blocks=1)
    assert _core.check_jpeg(stream)[0].code == "scan_not_ready"
    assert _core.check_jpeg(stream, abbreviated=True, tables=grammar.tables)[0]
    tables = grammar.tables
    assert tables is not None
    assert _core.check_jpeg(tables, abbreviated=True)[0]
    assert _core.check_jpeg(tables)[0].code == "frame_missing"


def test_like_forces_everything_but_the_scan() -> None:
    sample = _encode(_picture(), quality=80, optimize=True)
    grammar = JpegGrammar.like(sample)
    cursor = _core.JpegCursor(grammar)
    for byte in grammar.header:
        allowed = cursor.allowed()
        assert int.from_bytes(allowed, "little") == 1 << byte
        assert cursor.push(bytes([byte]))
    assert sample.startswith(grammar.header)
    assert cursor.push(sample[len(grammar.header) :]) and cursor.is_complete()
    changed = bytearray(sample)
    changed[13] ^= 1  # the density unit of JFIF: legal, but not the sample's
    status = _core.JpegCursor(grammar).push(changed)
    assert (status.code, status.offset) == ("not_in_grammar", 13)


def _three_scans() -> bytes:
    """A non-interleaved file: the writer spells its fields."""
    writer = _core.JpegWriter(JpegGrammar(width=20, height=12, subsampling="4:2:0", quality=50))
    choices = {"Ls": 8, "Td": 0, "Ta": 0, "Lh": 20, "Li": 0, "AC code": 0, "DC code": 0}
    markers = iter([0xC0, 0xDB, 0xDB, 0xC4, 0xC4, 0xDA, 0xDA, 0xFE, 0xDA, 0xD9])
    n_tables = 0
    while not writer.is_complete():
        element, _, _ = writer.field()
        legal = writer.legal_values()
        value = choices.get(element, legal[0])
        if element == "marker":
            value = next(markers)
        elif element == "Tq":
            value, n_tables = n_tables, n_tables + 1
        elif element == "Tc":
            value = int(n_tables > 2)
            n_tables += 1
        elif element == "Li":
            value = 1 if 1 in legal else 0
        assert writer.write(value), (element, value, writer.describe())
    return writer.to_bytes()


def test_like_leaves_fill_bytes_out() -> None:
    plain = _three_scans()
    filled = plain.replace(b"\xff\xfe", b"\xff\xff\xff\xfe").replace(b"\xff\xdb", b"\xff\xff\xdb")
    filled = b"\xff\xff" + filled
    assert filled[2:] != plain and _core.check_jpeg(filled)[0]
    assert JpegGrammar.like(filled).header == JpegGrammar.like(plain).header
    *_, (_, written) = walk(JpegGrammar.like(filled), 0, budget_bytes=4 * len(plain))
    assert _core.check_jpeg(written)[0]


def test_like_pins_what_stands_between_scans() -> None:
    sample = _three_scans()
    assert _core.check_jpeg(sample)[0].message == "valid"
    grammar = JpegGrammar.like(sample)
    for seed in range(3):
        *_, (cursor, written) = walk(grammar, seed, budget_bytes=4 * len(sample))
        assert cursor.is_complete()
        assert _core.check_jpeg(written)[0].message == "valid"
        assert written.count(b"\xff\xda") == sample.count(b"\xff\xda") == 3
        assert b"\xff\xfe\x00\x02" in written


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
def test_keywords_force_their_fields(subsampling: str) -> None:
    grammar = JpegGrammar(
        width=30, height=20, subsampling=subsampling, quality=10, restart_interval=2
    )
    *_, (_, written) = walk(grammar, 1, 2 * _core.JpegCursor(grammar).bytes_to_complete())
    picture = Image.open(io.BytesIO(written))
    assert picture.size == (30, 20)
    assert picture.mode == ("L" if subsampling == "gray" else "RGB")
    picture.load()
    expected = quality_tables(10)
    order = zigzag_order()
    for slot, table in picture.quantization.items():
        assert [table[i] for i in order] == expected[slot] or list(table) == expected[slot]
    sampling = [tuple(layer[1:3]) for layer in picture.layer]
    assert sampling == list(SUBSAMPLINGS[subsampling])


@pytest.mark.parametrize(
    "grammar",
    [
        JpegGrammar(),
        JpegGrammar(portable=False, width=7, quality=3),
        JpegGrammar(huffman_tables=standard_huffman_tables(), quant_tables=quality_tables(9)),
        JpegGrammar.jpeg_lm(16, 16),
    ],
)
def test_serialization_is_the_same_grammar(grammar: JpegGrammar) -> None:
    again = JpegGrammar.deserialize(grammar.serialize())
    assert again.serialize() == grammar.serialize()
    assert repr(again) == repr(grammar)
    assert pickle.loads(pickle.dumps(grammar)).serialize() == grammar.serialize()
    assert _core.JpegCursor(again).complete() == _core.JpegCursor(grammar).complete()


@pytest.mark.parametrize(
    "keywords",
    [
        {"width": 0},
        {"height": 70000},
        {"subsampling": "4:3:2"},
        {"quality": 101},
        {"quality": 50, "quant_tables": quality_tables(50)},
        {"quant_tables": [[0] * 64]},
        {"quant_tables": [[1] * 63]},
        {"restart_interval": -1},
        {"process": "lossless"},
        {"tables": b"\xff\xd8\xff\xd9"},
        {"abbreviated": True, "tables": b"nonsense"},
        {"huffman_tables": {("dc", 0): ([0] * 16, b"")}},
        {
            "huffman_tables": {
                ("dc", 0): ([2] + [0] * 15, b"\x00\x01"),
                ("ac", 0): ([1] + [0] * 15, b"\x00"),
            }
        },
    ],
)
def test_bad_keywords_are_refused(keywords: dict) -> None:
    with pytest.raises(UsageError, match=r"\w"):
        JpegGrammar(**keywords)


@pytest.mark.parametrize(
    "data", [b"", b"{}", b'{"codec": "h264"}', b'{"codec": "jpeg", "x": 1}', b"\xff"]
)
def test_bad_serializations_are_refused(data: bytes) -> None:
    with pytest.raises(UsageError):
        JpegGrammar.deserialize(data)


def test_a_broken_sample_is_refused() -> None:
    with pytest.raises(UsageError, match="the sample is not a valid file"):
        JpegGrammar.like(_encode(_picture())[:-1])


@pytest.mark.parametrize("options", [{"optimize": True}, {"subsampling": "4:4:4"}, {"quality": 95}])
def test_recoding_keeps_coefficients_and_pixels(options: dict) -> None:
    data = _encode(_picture(), **options)
    recoded = recode_jpeg(data, standard_huffman_tables())
    for before, after in zip(
        _core.read_coefficients(data), _core.read_coefficients(recoded), strict=True
    ):
        assert (before == after).all()
    assert Image.open(io.BytesIO(recoded)).tobytes() == Image.open(io.BytesIO(data)).tobytes()
    # What the standard tables gave already comes back to the byte.
    plain = _encode(_picture(), quality=30)
    assert recode_jpeg(
        recode_jpeg(plain, standard_huffman_tables()), standard_huffman_tables()
    ) == (recode_jpeg(plain, standard_huffman_tables()))


def test_recoding_refuses_tables_that_miss_a_symbol() -> None:
    tables = standard_huffman_tables()
    tables[("ac", 0)] = ((1,) + (0,) * 15, b"\x00")
    with pytest.raises(UsageError):
        recode_jpeg(_encode(_picture()), tables)


def test_transcoding_changes_restart_intervals() -> None:
    data = _encode(_picture(), quality=25, subsampling="4:2:0")
    target = JpegGrammar.jpeg_lm(64, 48, restart_interval=1)
    stream = _core.transcode(data, target)
    assert stream == _encode(
        _picture(), quality=25, subsampling="4:2:0", streamtype=2, restart_marker_blocks=1
    )


def test_symbol_counts_count_every_block() -> None:
    data = _encode(_picture((64, 64)), subsampling="4:2:0")
    counts = _core.symbol_counts(data)
    assert counts.shape == (2, 4, 256)
    assert counts[0].sum() == 6 * 16
    assert counts[0, 0].sum() == 64 and counts[0, 1].sum() == 32


def test_coefficients_beyond_the_limit_are_refused() -> None:
    with pytest.raises(UsageError, match="larger than the caller's limit"):
        _core.read_coefficients(_encode(_picture()), max_bytes=1000)


def test_the_writer_refuses_what_the_cursor_would() -> None:
    writer = _core.JpegWriter(JpegGrammar())
    assert writer.field()[0] == "marker"
    assert 0xC0 in writer.legal_values() and not writer.is_legal(0xC4 + 1)
    status = writer.write(0xDA)
    assert status.code == "frame_missing"
    assert writer.write(0xC0)
    assert writer.field() == ("Lf", "u(n)", 16)
    assert writer.legal_values() == [11, 17, 20]


def _until(element: str, portable: bool) -> _core.JpegWriter:
    """A writer that stands before the element, in a header that takes the lowest values."""
    writer = _core.JpegWriter(JpegGrammar(portable=portable))
    markers = iter([0xDD if element == "Ri" else 0xC4])
    code_counts = iter([1] + 15 * [0])
    choices = {"Lh": 20, "Tc": 1, "Th": 0}
    while writer.field()[0] != element:
        name = writer.field()[0]
        legal = writer.legal_values()
        if name == "marker":
            value = next(markers)
        elif name == "Li":
            value = next(code_counts)
        else:
            value = choices.get(name, legal[0])
        assert writer.write(value), (name, value, writer.describe())
    return writer


@pytest.mark.parametrize(
    ("element", "highest", "highest_portable"), [("Ri", 65535, 65279), ("Vi,j", 255, 254)]
)
def test_portable_headers_have_no_ff_where_ffmpeg_looks_for_markers(
    element: str, highest: int, highest_portable: int
) -> None:
    assert max(_until(element, portable=False).legal_values()) == highest
    writer = _until(element, portable=True)
    assert max(writer.legal_values()) == highest_portable
    assert writer.write(highest_portable + 1).code == "not_in_grammar"
    assert writer.write(highest_portable)


# Up to the end of the first of three scans: one gray pixel with codes of one bit.
_FIRST_SCAN = bytes.fromhex(
    "ffd8 ffdb004300" + 64 * "01" + "ffc0001108 0001 0001 03 011100 021100 031100"
    "ffc40026 00" + "01" + 15 * "00" + "00 10" + "01" + 15 * "00" + "00"
    "ffda0008 01 0100 003f00 3f"
)


@pytest.mark.parametrize(
    ("after_scan", "highest", "highest_portable"),
    [
        ("ff", 0xFF, 0xFE),  # fill bytes
        ("fffe", 0xFF, 0xFE),  # lengths
        ("ffe3", 0xFF, 0xFE),
        ("ffc4", 0xFF, 0xFE),
        ("fffe 0009", 0xFF, 0xBF),  # contents that may follow an FF
        ("ffe3 0009", 0xFF, 0xBF),
        ("ffdb 0083 10", 0xFF, 0xBF),
        ("fffe 0009 00", 0xFF, 0xFE),
        ("ffe3 0009 00", 0xFF, 0xFE),
        ("ffdb 0043 00", 0xFF, 0xFE),
    ],
)
def test_portable_files_have_nothing_like_a_marker_behind_a_scan_that_others_follow(
    after_scan: str, highest: int, highest_portable: int
) -> None:
    """ffmpeg reads over the marker behind such a scan, and then looks for the next one anywhere."""
    for portable, expected in ((False, highest), (True, highest_portable)):
        cursor = _core.JpegCursor(JpegGrammar(portable=portable))
        status = cursor.push(_FIRST_SCAN + bytes.fromhex(after_scan))
        assert status, status.message
        assert int.from_bytes(cursor.allowed(), "little").bit_length() - 1 == expected
        if portable:
            assert cursor.push(bytes([expected + 1])).code == "not_in_grammar"
