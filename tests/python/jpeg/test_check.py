"""check_jpeg: exact verdicts, and the fast path against its slow twin."""

import io
import random
import re
from collections.abc import Iterable, Iterator

import numpy as np
import pytest
from PIL import Image

from pycodec_lm import _core
from pycodec_lm.bench.field_walk import write_random_file
from pycodec_lm.grammar import JpegGrammar
from pycodec_lm.jpeg_tables import dht_segment, dqt_segment, quality_tables, standard_huffman_tables


def _picture(seed: int, size: tuple[int, int], mode: str) -> Image.Image:
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (5, 5, len(mode)), dtype=np.uint8)
    pixels = Image.fromarray(small.squeeze(), mode if mode != "CMYK" else "CMYK")
    return pixels.resize(size, Image.Resampling.BICUBIC)


def _encode(
    seed: int, size: tuple[int, int] = (50, 41), mode: str = "RGB", **options: object
) -> bytes:
    out = io.BytesIO()
    _picture(seed, size, {"L": "L", "RGB": "RGB", "CMYK": "CMYK"}[mode]).save(
        out, "JPEG", **options
    )
    return out.getvalue()


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("RGB", {"quality": 25}),
        ("RGB", {"quality": 95, "subsampling": "4:4:4", "optimize": True}),
        ("RGB", {"quality": 60, "subsampling": "4:2:2", "restart_marker_blocks": 1}),
        ("RGB", {"quality": 40, "subsampling": "4:1:1", "restart_marker_rows": 1}),
        ("L", {"quality": 80}),
        ("CMYK", {"quality": 50}),
        ("RGB", {"quality": 90, "progressive": True}),
        ("RGB", {"quality": 50, "progressive": True, "restart_marker_blocks": 5}),
        ("L", {"quality": 80, "progressive": True}),
        ("CMYK", {"quality": 70, "progressive": True, "optimize": True}),
    ],
)
def test_what_encoders_write_is_valid(mode: str, options: dict) -> None:
    data = _encode(1, mode=mode, **options)
    assert _core.check_jpeg(data)[0].message == "valid"
    assert _core.check_jpeg(data + b"more") == (_core.check_jpeg(data)[0], len(data), 4)


def test_lossless_is_unsupported() -> None:
    lossless = _encode(1).replace(b"\xff\xc0", b"\xff\xc3")
    status = _core.check_jpeg(lossless)[0]
    assert (status.family, status.code) == ("unsupported", "process_unsupported")


def _segment(marker: int, payload: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(payload) + 2).to_bytes(2, "big") + payload


SOI, EOI = b"\xff\xd8", b"\xff\xd9"
SOF = _segment(0xC0, bytes.fromhex("08 0008 0008 01 01 11 00"))
SOS = _segment(0xDA, bytes.fromhex("01 01 00 00 3f 00"))
DQT = dqt_segment(quality_tables(50)[:1])
DHT = dht_segment({k: t for k, t in standard_huffman_tables().items() if k[1] == 0})
HEAD = SOI + DQT + SOF + DHT
# One flat block: DC category 0 is 00, EOB is 1010, two padding bits.
BLOCK = b"\x2b"
VALID = HEAD + SOS + BLOCK + EOI


def test_the_smallest_file_is_valid() -> None:
    assert _core.check_jpeg(VALID) == (_core.check_jpeg(VALID)[0], len(VALID), 0)
    assert _core.check_jpeg(VALID)[0]


def _sof(**changes: int) -> bytes:
    fields = {"p": 8, "y": 8, "x": 8, "hv": 0x11, "tq": 0, **changes}
    payload = (
        bytes((fields["p"],)) + fields["y"].to_bytes(2, "big") + fields["x"].to_bytes(2, "big")
    )
    return _segment(0xC0, payload + bytes((1, 1, fields["hv"], fields["tq"])))


def _sos(component: int = 1, tables: int = 0, rest: str = "00 3f 00") -> bytes:
    return _segment(0xDA, bytes((1, component, tables)) + bytes.fromhex(rest))


def _dht(counts: list[int], values: bytes, kind: int = 0) -> bytes:
    return _segment(0xC4, bytes((kind, *counts, *[0] * (16 - len(counts)))) + values)


ZRL = "11111111001"


def _scan(bits: str) -> bytes:
    """Entropy-coded bytes of these bits, padded and stuffed."""
    bits = bits.replace(" ", "")
    bits += "1" * (-len(bits) % 8)
    data = int(bits, 2).to_bytes(len(bits) // 8, "big")
    return data.replace(b"\xff", b"\xff\x00")


# name: part of a file, code, element, offset in the part, bit; the bit is the first that no legal
# value has.
BROKEN = {
    "empty": (b"", "truncated", "SOI", 0, 0),
    "no JPEG": (b"GIF89a", "missing_soi", "SOI", 0, 0),
    "SOI cut": (b"\xff", "truncated", "SOI", 1, 0),
    "no marker": (SOI + b"\x00", "marker_expected", "marker prefix", 2, 0),
    "second SOI": (SOI + SOI, "unexpected_marker", "marker", 3, 6),
    "reserved marker": (SOI + b"\xff\x02", "reserved_marker", "marker", 3, 0),
    "JPEG extension": (SOI + b"\xff\xf0", "jpeg_extension", "marker", 3, 4),
    "arithmetic": (SOI + b"\xff\xc9", "arithmetic_coding", "marker", 3, 4),
    "hierarchical": (SOI + b"\xff\xde", "hierarchical", "marker", 3, 6),
    "COM length 1": (SOI + b"\xff\xfe\x00\x01", "segment_length", "Lc", 5, 6),
    "DQT length": (SOI + b"\xff\xdb\x00\x44", "segment_length", "Lq", 5, 5),
    "DQT zero": (SOI + _segment(0xDB, bytes(65)), "zero_quantizer", "Qk", 7, 7),
    "DQT slot 4": (SOI + _segment(0xDB, b"\x04" + bytes(64)), "reserved_value", "Tq", 6, 5),
    "DHT longer than its segment": (
        SOI + _dht([1, 3], b""), "huffman_code_count", "Li", 7, 7,
    ),
    "DHT three codes of 1 bit": (
        SOI + _dht([3], bytes(3)), "huffman_code_overfull", "Li", 7, 6,
    ),
    "DHT all ones": (SOI + _dht([2], bytes(2)), "huffman_all_ones_code", "Li", 7, 6),
    "DHT DC symbol": (SOI + _dht([1], b"\x10"), "huffman_dc_symbol", "Vi,j", 23, 3),
    "precision": (SOI + _sof(p=12), "reserved_value", "P", 6, 5),
    "no width": (SOI + _sof(x=0), "zero_dimension", "X", 10, 7),
    "no height": (SOI + _sof(y=0), "truncated", "marker prefix", 15, 0),
    "sampling 5": (SOI + _sof(hv=0x51), "sampling_factor", "Hi", 13, 3),
    "sampling 0": (SOI + _sof(hv=0x10), "sampling_factor", "Vi", 13, 7),
    "five components": (SOI + b"\xff\xc0\x00\x17", "component_count_unsupported", "Lf", 5, 6),
    "second frame": (SOI + SOF + SOF, "second_frame", "marker", 16, 5),
    "scan before frame": (SOI + SOS, "frame_missing", "marker", 3, 7),
    "no scan": (SOI + SOF + EOI, "scan_missing", "marker", 16, 6),
    "no tables": (SOI + SOF + SOS, "scan_not_ready", "marker", 16, 7),
}  # fmt: skip

AFTER_HEAD = {
    "unknown component": (_sos(component=2), "component_unknown", "Csj", 5, 6),
    "table undefined": (_sos(tables=0x10), "huffman_table_undefined", "Tdj", 6, 3),
    "table slot": (_sos(tables=0x02), "reserved_value", "Taj", 6, 6),
    "Ss": (_sos(rest="01 3f 00"), "spectral_selection", "Ss", 7, 7),
    "Se": (_sos(rest="00 3e 00"), "spectral_selection", "Se", 8, 7),
    "Ah": (_sos(rest="00 3f 10"), "successive_approximation", "Ah", 9, 3),
}

AFTER_SOS = {
    "cut": (b"", "truncated", "DC code", 0, 0),
    "no EOI": (BLOCK, "truncated", "marker prefix", 1, 0),
    "padding": (b"\x2a" + EOI, "padding_bit", "padding", 0, 7),
    "spare byte": (BLOCK + b"\x00" + EOI, "entropy_data_after_interval", "marker prefix", 1, 0),
    "spare FF": (BLOCK + b"\xff\x00" + EOI, "unexpected_marker", "marker", 2, 0),
    "RST after the end": (BLOCK + b"\xff\xd0" + EOI, "restart_unexpected", "marker", 2, 4),
    "no code": (b"\xff\x00\x80", "huffman_code_invalid", "DC code", 2, 0),
    # Category 11, +1024: one more than the range of 8-bit samples has.
    "DC range": (_scan("111111110 1"), "dc_range", "DC bits", 2, 1),
    # From coefficient 49 on a run of 15 and one of 16 reach too far.
    "AC run": (
        _scan("00" + 3 * ZRL + "1111111111110101 1"), "ac_run_past_end", "AC code", 7, 2,
    ),
    "ZRL at the end": (_scan("00" + 4 * ZRL), "ac_zrl_past_end", "AC code", 6, 5),
    "no AC code": (_scan("00" + 16 * "1"), "huffman_code_invalid", "AC code", 3, 1),
}  # fmt: skip


def _cases() -> Iterator[object]:
    for start, cases in ((b"", BROKEN), (HEAD, AFTER_HEAD), (HEAD + SOS, AFTER_SOS)):
        for name, (part, code, element, offset, bit) in cases.items():
            yield pytest.param(start + part, code, element, len(start) + offset, bit, id=name)


@pytest.mark.parametrize(("data", "code", "element", "offset", "bit"), list(_cases()))
def test_what_is_wrong_and_where(
    data: bytes, code: str, element: str, offset: int, bit: int
) -> None:
    status, _, _ = _core.check_jpeg(data)
    assert (status.code, status.element, status.offset, status.bit) == (code, element, offset, bit)


def test_the_message_says_what_happened_and_where() -> None:
    status, _, _ = _core.check_jpeg(HEAD + SOS + b"\x2a" + EOI)
    assert status.message == (
        "T.81 F.1.2.3: a padding bit is 0, padding is made of 1-bits "
        f"(padding, byte {len(HEAD + SOS)}, bit 7)"
    )


def _mutants(data: bytes, n: int, seed: int, first: int = 0) -> Iterator[bytes]:
    rng = random.Random(seed)
    for _ in range(n):
        mutant = bytearray(data)
        at = rng.randrange(first, len(mutant))
        match rng.randrange(5):
            case 0:
                mutant[at] ^= 1 << rng.randrange(8)
            case 1:
                mutant[at] = rng.choice([0, 255, 0xD0, 0xD9, rng.randrange(256)])
            case 2:
                del mutant[at]
            case 3:
                mutant[at:] = EOI
            case 4:
                mutant.insert(at, rng.choice([0, 255, rng.randrange(256)]))
        yield bytes(mutant)


@pytest.mark.parametrize("restarts", [0, 1, 3])
def test_fast_path_and_slow_twin_agree(restarts: int) -> None:
    files = [
        _encode(
            seed,
            mode=mode,
            quality=quality,
            restart_marker_blocks=restarts,
            optimize=bool(seed % 2),
        )
        for seed, (mode, quality) in enumerate([("RGB", 25), ("RGB", 90), ("L", 70), ("CMYK", 40)])
    ]
    codes = set()
    for data in files:
        for mutant in _mutants(data, 150, seed=restarts):
            fast = _core.check_jpeg(mutant)
            assert fast == _core.check_jpeg(mutant, by_push=True)
            codes.add(fast[0].code)
    assert len(codes) > 8


def test_fast_path_and_slow_twin_agree_where_tables_are_odd() -> None:
    """Codes without EOB, with gaps, of 16 bits; several scans with tables between; 12 bits."""
    codes = set()
    for seed in range(40):
        data = write_random_file(seed, portable=seed % 2 == 0).data
        for mutant in [data, *_mutants(data, 25, seed)]:
            fast = _core.check_jpeg(mutant)
            assert fast == _core.check_jpeg(mutant, by_push=True)
            codes.add(fast[0].code)
    assert len(codes) > 20


def test_fast_path_and_slow_twin_agree_about_progressive_files() -> None:
    codes = set()
    for seed in range(60):
        data = write_random_file(seed, portable=seed % 2 == 0, process="progressive").data
        if len(data) > 4000:
            continue
        for mutant in [data, *_mutants(data, 20, seed)]:
            fast = _core.check_jpeg(mutant)
            assert fast == _core.check_jpeg(mutant, by_push=True)
            codes.add(fast[0].code)
    assert len(codes) > 20


def _agreed_codes(mutants: Iterable[bytes]) -> set[str]:
    codes = set()
    for mutant in mutants:
        fast = _core.check_jpeg(mutant)
        assert fast == _core.check_jpeg(mutant, by_push=True)
        codes.add(fast[0].code)
    return codes


@pytest.mark.parametrize("restarts", [0, 1, 3])
def test_fast_path_and_slow_twin_agree_about_progressive_encodings(restarts: int) -> None:
    codes = set()
    for seed, (mode, quality) in enumerate([("RGB", 25), ("RGB", 95), ("L", 70), ("CMYK", 40)]):
        data = _encode(
            seed, mode=mode, quality=quality, progressive=True, restart_marker_blocks=restarts
        )
        codes |= _agreed_codes([data, *_mutants(data, 150, seed=restarts)])
    assert len(codes) > 8


def _scans(data: bytes) -> list[int]:
    """Where the scan headers of a file that Pillow wrote begin."""
    return [found.start() for found in re.finditer(b"\xff\xda", data)]


def test_fast_path_and_slow_twin_agree_about_every_scan_header() -> None:
    data = _encode(5, size=(16, 9), quality=60, progressive=True)
    codes = set()
    for scan in _scans(data):
        for at in range(scan + 2, scan + 4 + data[scan + 3]):
            values = {*range(16), *(data[at] ^ 1 << bit for bit in range(8)), 64, 255}
            codes |= _agreed_codes(data[:at] + bytes((v,)) + data[at + 1 :] for v in values)
    assert len(codes) > 10


def test_fast_path_and_slow_twin_agree_wherever_a_progressive_file_is_cut() -> None:
    data = _encode(6, size=(40, 30), quality=80, progressive=True, restart_marker_blocks=4)
    assert _agreed_codes(data[:n] for n in range(len(data))) == {"truncated"}
    ended_early = _agreed_codes(data[:n] + EOI for n in range(len(data)))
    assert len(ended_early) > 5


def test_refinements_build_on_scans_that_both_twins_read() -> None:
    """A fill byte before RSTm is the cursor's: it goes on where the fast path has stopped."""
    noise = np.random.default_rng(7).normal(128, 60, (60, 90)).clip(0, 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, "JPEG", quality=85, progressive=True, restart_marker_blocks=3)
    data = out.getvalue()
    scans = _scans(data)
    assert len(scans) == 6
    filled = bytearray(data)
    for scan in reversed(scans[1:]):
        at = filled.index(b"\xff\xd4", scan)
        filled[at:at] = b"\xff"
    for whole in (data, bytes(filled)):
        last = _scans(whole)[-1]
        codes = _agreed_codes([whole, *_mutants(whole, 300, seed=1, first=last)])
        assert {"ok", "refinement_run", "padding_bit"} <= codes


def test_end_of_band_runs_reach_the_end_of_a_large_picture() -> None:
    flat = io.BytesIO()
    Image.new("RGB", (3000, 2000), (200, 90, 20)).save(flat, "JPEG", quality=50, progressive=True)
    data = flat.getvalue()
    assert "ok" in _agreed_codes([data, *_mutants(data, 60, seed=2)])


@pytest.mark.parametrize(
    "data",
    [
        _encode(3, quality=50, restart_marker_blocks=2),
        write_random_file(22, process="progressive").data,
        write_random_file(98, process="progressive").data,
    ],
    ids=["sequential", "progressive", "progressive with restarts"],
)
def test_verdict_does_not_depend_on_how_bytes_arrive(data: bytes) -> None:
    for mutant in [data, *_mutants(data, 40, seed=8)]:
        whole = _core.check_jpeg(mutant)
        for cut in (1, len(mutant) // 2, len(mutant) - 1):
            cursor = _core.JpegCursor(JpegGrammar(portable=False))
            status = cursor.push(mutant[:cut])
            if status:
                status = cursor.push(
                    mutant[cut : whole[1] + 1] if not whole[0] else mutant[cut : whole[1]]
                )
            if whole[0].family == "truncated":
                assert status and not cursor.is_complete()
            else:
                assert status == whole[0]


@pytest.mark.parametrize("size", [65535, 40000])
def test_a_huge_picture_costs_nothing(size: int) -> None:
    head = (
        SOI + DQT + _segment(0xC0, b"\x08" + size.to_bytes(2, "big") * 2 + bytes((1, 1, 0x11, 0)))
    )
    data = head + DHT + SOS + BLOCK * 100
    assert _core.check_jpeg(data)[0].family in ("truncated", "corrupt")
    cursor = _core.JpegCursor(JpegGrammar(portable=False))
    assert cursor.push(head + DHT + SOS)
    blocks = ((size + 7) // 8) ** 2
    assert cursor.bytes_to_complete() == -(-blocks * 6 // 8) + 2


def test_ten_thousand_tables() -> None:
    data = SOI + DHT * 10_000 + DQT + SOF + SOS + BLOCK + EOI
    assert _core.check_jpeg(data)[0].message == "valid"
