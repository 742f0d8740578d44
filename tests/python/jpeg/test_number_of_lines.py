"""Heights that come behind the first scan, in a DNL segment: T.81 B.2.5."""

import io
import random

import numpy as np
import pytest
from cursor_walks import members
from PIL import Image

import pycodec_lm as pcl
from pycodec_lm import _core

_CASES = [
    (20, 24, {}),
    (33, 17, {"subsampling": "4:4:4"}),
    (40, 40, {"restart_marker_blocks": 2}),  # an interval ends inside a row
    (40, 40, {"restart_marker_blocks": 3, "progressive": True}),  # and with one
    (40, 10, {"quality": 5}),
    (100, 8, {"progressive": True}),
    (9, 70, {"mode": "L"}),
]


def _encode(height: int, width: int, mode: str = "RGB", **options: object) -> bytes:
    noise = np.random.default_rng(height * width).integers(0, 255, (height, width, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).convert(mode).save(out, "JPEG", **options)
    return out.getvalue()


def _with_late_height(data: bytes) -> tuple[bytes, int]:
    """The file with its height in a DNL segment, and where that starts."""
    frame = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2"))
    height = data[frame + 5 : frame + 7]
    at = data.index(b"\xff\xda") + 2
    while (at := data.index(b"\xff", at)) and (data[at + 1] == 0 or 0xD0 <= data[at + 1] <= 0xD7):
        at += 2
    head = data[: frame + 5] + b"\0\0" + data[frame + 7 : at]
    return head + b"\xff\xdc\0\x04" + height + data[at:], at


@pytest.fixture(params=_CASES, ids=str)
def late(request: pytest.FixtureRequest) -> tuple[bytes, bytes, int]:
    """(file, the same with a DNL segment, where that starts)."""
    height, width, options = request.param
    data = _encode(height, width, **options)
    return data, *_with_late_height(data)


def test_the_height_may_come_late(late: tuple[bytes, bytes, int]) -> None:
    plain, data, _ = late
    for by_push in (False, True):
        assert _core.check_jpeg(data, by_push=by_push)[:2] == (
            _core.check_jpeg(plain)[0],
            len(data),
        )
    planes = zip(_core.read_coefficients(plain), _core.read_coefficients(data), strict=True)
    assert all((ours == theirs).all() for ours, theirs in planes)


def test_a_cursor_keeps_its_contract_while_the_height_is_open(
    late: tuple[bytes, bytes, int],
) -> None:
    _, data, dnl = late
    rng = random.Random(dnl)
    places = {*rng.sample(range(len(data)), 40), *range(dnl - 6, dnl + 8)}
    cursor = _core.JpegCursor(pcl.JpegGrammar(portable=False))
    for at, byte in enumerate(data):
        if at in places:
            allowed = members(cursor.allowed())
            assert allowed == [b for b in range(256) if cursor.copy().push(bytes([b]))]
            assert byte in allowed
            ending = cursor.complete()
            assert len(ending) == cursor.bytes_to_complete()
            status, end, _ = _core.check_jpeg(data[:at] + ending)
            assert status and end == at + len(ending)
            ahead = cursor.copy()
            for i, next_byte in enumerate(ending[:100]):
                assert ahead.complete() == ending[i:]
                assert ahead.push(bytes([next_byte]))
        assert cursor.push(bytes([byte]))


def test_wrong_heights_are_refused(late: tuple[bytes, bytes, int]) -> None:
    _, data, dnl = late
    height = int.from_bytes(data[dnl + 4 : dnl + 6], "big")
    for wrong in (0, height + 64, 65535):
        changed = data[: dnl + 4] + wrong.to_bytes(2, "big") + data[dnl + 6 :]
        status = _core.check_jpeg(changed)[0]
        assert (status.code, status.element) == ("number_of_lines", "NL")


def test_a_late_height_may_repeat_the_early_one() -> None:
    data = _encode(20, 24)
    late, dnl = _with_late_height(data)
    segment = late[dnl : dnl + 6]
    both = data[:dnl] + segment + data[dnl:]
    assert _core.check_jpeg(both)[0]
    status = _core.check_jpeg(data[:dnl] + segment + segment + data[dnl:])[0]
    assert (status.code, status.element) == ("unexpected_marker", "marker")
    status = _core.check_jpeg(both.replace(segment, b"\xff\xdc\0\x04\0\x15"))[0]
    assert (status.code, status.value, status.limit) == ("number_of_lines", 21, 20)


def test_like_keeps_the_late_height() -> None:
    data, _ = _with_late_height(_encode(40, 40, restart_marker_blocks=2))
    grammar = pcl.JpegGrammar.like(data)
    cursor = _core.JpegCursor(grammar)
    ending = cursor.complete()
    assert len(ending) == cursor.bytes_to_complete()
    assert _core.check_jpeg(ending)[0]
    assert cursor.push(data) and cursor.is_complete()


def test_bits_of_a_whole_scan_add_up_wherever_the_file_stops(
    late: tuple[bytes, bytes, int],
) -> None:
    _, data, at = late
    n_whole = 0
    for n in range(at - 3, at + 8):
        for end in (b"", b"\0", b"\xff", b"\xdc"):
            for scan in _core.trace_jpeg(data[:n] + end)["scans"]:
                n_bits = sum(sum(component[5]) for component in scan["components"])
                n_bits += scan["n_padding_bits"]
                n_bits += 8 * (scan["n_stuffed_bytes"] + scan["n_marker_bytes"])
                n_whole += scan["is_whole"]
                if scan["is_whole"]:
                    assert n_bits == 8 * (scan["end_byte"] - scan["first_byte"])
    assert n_whole > 0
