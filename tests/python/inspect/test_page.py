"""The page: nothing from outside, nothing of the file unescaped, bounded, and true to the file."""

import json
import re
from base64 import b64decode
from html import escape
from html.parser import HTMLParser
from itertools import accumulate
from typing import Any

import pytest

from pycodec_lm.inspect.html import inspect_to_html

from .avc_samples import CABAC_FILES as CABAC_STREAMS
from .avc_samples import FILES as STREAMS
from .avc_samples import HOSTILE as HOSTILE_STREAMS
from .avc_samples import clip
from .samples import FILES, HOSTILE, damaged, jpeg, picture

LARGE = jpeg(picture(1200, 900, noise=True), quality=92)
LARGE_STREAM = clip(width=640, height=480, frames=12, qp=1)
PAGES = (
    FILES
    | HOSTILE
    | {"large": LARGE, "large, broken": LARGE[:500_000] + b"\xff\xd0"}
    | {f"H.264, {name}": data for name, data in (STREAMS | HOSTILE_STREAMS).items()}
    | {"H.264, large clip": LARGE_STREAM, "H.264, broken clip": LARGE_STREAM[:60_000] + bytes(9)}
)
VOID = frozenset({"meta", "link", "input", "img"})


class Outline(HTMLParser):
    """Elements with their attributes; complains of tags that do not match."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag


def data_of(page: str) -> dict[str, Any]:
    match = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert match
    data: dict[str, Any] = json.loads(match[1])
    return data


@pytest.fixture(scope="module", params=PAGES)
def case(request: pytest.FixtureRequest) -> tuple[bytes, str]:
    data = PAGES[request.param]
    return data, inspect_to_html(data, "a<b>&.jpg")[1]


def test_page_names_nothing_outside(case: tuple[bytes, str]) -> None:
    elements = Outline(case[1]).elements
    addresses = [
        value
        for _, attributes in elements
        for name, value in attributes.items()
        if name in ("src", "href", "srcset", "action", "data", "poster")
    ]
    assert [address for address in addresses if not (address or "").startswith("data:")] == []
    assert not re.search(r"@import|url\(|https?://", case[1])
    policy = [a["content"] for _, a in elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy and str(policy[0]).startswith("default-src 'none'; img-src data:;")


def test_page_escapes_what_comes_from_the_file(case: tuple[bytes, str]) -> None:
    page = case[1]
    assert "<h1>a&lt;b&gt;&amp;.jpg</h1>" in page
    assert page.count("<script") == page.count("</script>") == 2
    assert "{{" not in re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)


def test_page_is_below_4_mb(case: tuple[bytes, str]) -> None:
    assert len(case[1].encode()) < 4_000_000


def test_parts_are_the_file_and_what_is_left_out_is_between_them(case: tuple[bytes, str]) -> None:
    data, page = case
    parts = data_of(page)["parts"]
    if len(parts) < 256:  # more segments are not shown
        ends = [0, *(part["offset"] + part["n"] for part in parts)]
        assert [part["offset"] for part in parts] == ends[:-1]
        assert ends[-1] == len(data)
    n_shown = 0
    for part in parts:
        at = part["offset"]
        for offset, text in part["chunks"]:
            shown = b64decode(text)
            assert offset >= at
            assert data[offset : offset + len(shown)] == shown
            at = offset + len(shown)
            n_shown += len(shown)
        assert at <= part["offset"] + part["n"]
    assert n_shown <= 40_000


def test_what_follows_the_last_segment_shown_is_named() -> None:
    def last(data: bytes) -> tuple[str, str]:
        part = data_of(inspect_to_html(data, "x")[1])["parts"][-1]
        return part["name"], part["title"]

    assert last(FILES["gradient"]) == ("EOI", "end of image")
    assert last(FILES["trailing"]) == ("After the end", "not part of the file")
    assert last(HOSTILE["10,000 DHT"]) == ("Rest", "read, but too much to list")
    assert last(FILES["gradient"][:640] + b"\xff\xd0 ...") == ("Rest", "not read")


@pytest.mark.parametrize(
    "name", ["large, broken", "H.264, broken clip", "H.264, zeros and then an error"]
)
def test_error_is_among_the_bytes_shown(name: str) -> None:
    found, page = inspect_to_html(PAGES[name], "x")
    shown = data_of(page)
    assert shown["error"]["offset"] == found.verdict.offset > 50_000
    chunks = [chunk for part in shown["parts"] for chunk in part["chunks"]]
    lengths = [(offset, len(b64decode(text))) for offset, text in chunks]
    assert any(offset <= shown["error"]["offset"] < offset + n for offset, n in lengths)


@pytest.mark.parametrize("name", FILES)
def test_fields_and_symbols_cover_the_bytes_shown(name: str) -> None:
    found, page = inspect_to_html(FILES[name], name)
    data = data_of(page)
    n_bits = sum(n for _, n, _, _ in data["fields"]) + sum(sum(w["n"]) for w in data["symbols"])
    assert n_bits == 8 * found.verdict.offset
    (scan,), (expected,) = data["maps"], found.scans
    assert sum(scan["deltas"]) == expected.mcu_starts[-1]
    assert scan["bits"] == expected.mcu_bits.sum((1, 2)).tolist()
    assert scan["costs"] == expected.mcu_bits.ravel().tolist()


@pytest.mark.parametrize("name", STREAMS)
def test_fields_and_symbols_cover_the_stream_shown(name: str) -> None:
    found, page = inspect_to_html(STREAMS[name], name)
    data = data_of(page)
    if len(STREAMS[name]) < 12_000:
        # Zeros that no start code needs are no field.
        n_zeros = {"zeros": 20 + 1000}.get(name, 0)
        n_bits = sum(f[1] for f in data["fields"]) + sum(sum(w["n"]) for w in data["symbols"])
        assert n_bits == 8 * (len(STREAMS[name]) - n_zeros)
    for shown, expected in zip(data["maps"], found.pictures, strict=False):
        assert list(accumulate(shown["deltas"])) == expected.mb_starts.tolist()
        assert shown["bits"] == expected.mb_bits.sum(1).tolist()
        assert [*b64decode(shown["types"])] == expected.mb_types.tolist()
        assert [*b64decode(shown["qps"])] == expected.mb_qps.tolist()


def test_stream_shows_its_slices_and_headers() -> None:
    page = inspect_to_html(STREAMS["small"], "x")[1]
    assert (
        "<td>22</td><td>0</td><td>I</td><td>0</td><td>0</td><td>0</td><td>0</td><td>26</td>" in page
    )
    assert (
        '<th scope="row" title="H.264 7.4.3">frame_num</th><td>1</td><td>4</td><td>33.7</td>'
        in page
    )
    assert "nal_ref_idc 2, byte 32, 4 bytes" in page


def test_page_of_cabac_has_what_bins_say() -> None:
    page = inspect_to_html(CABAC_STREAMS["high, B"], "x")[1]
    assert re.search(r"[\d,]+ bins by CABAC say [\d,]+\.\d bits, 0\.\d\d each\.</caption>", page)
    assert '<th scope="col">B slices</th>' in page
    assert '<th scope="col">bins</th><th scope="col">information</th>' in page
    assert re.search(r'"bins": ?\[\d+, ?\d+', page)
    assert "bins by CABAC" not in inspect_to_html(STREAMS["small"], "x")[1]


def test_every_frame_of_a_short_clip_is_in_the_page() -> None:
    for name, n in (("x264", 3), ("x264, cropped", 3), ("pcm", 1)):
        images = [
            each["image"] for each in data_of(inspect_to_html(STREAMS[name], name)[1])["maps"]
        ]
        assert [image[:22] for image in images] == ["data:image/png;base64,"] * n
        assert len(set(images)) == n


@pytest.mark.parametrize("data", [FILES["restarts"], STREAMS["x264"]], ids=["JPEG", "H.264"])
def test_damaged_file_makes_a_page(data: bytes) -> None:
    for copy in damaged(data, 40):
        found, page = inspect_to_html(copy, "damaged.jpg")
        Outline(page)
        error = data_of(page)["error"]
        assert (error is None) == found.verdict.valid
        if error is not None:
            assert error["message"] == found.verdict.message
            assert f"{escape(found.verdict.message)}" in page.partition("<main>")[0]


def test_picture_is_shown_as_far_as_it_goes() -> None:
    whole = FILES["noise"]
    assert 'src="data:image/png;base64,' in inspect_to_html(whole, "x")[1]
    assert 'src="data:image/png;base64,' in inspect_to_html(whole[: len(whole) // 2], "x")[1]
    huge = inspect_to_html(HOSTILE["65,535 x 65,535 pixels"], "x")[1]
    assert "<img" not in huge and "Not decoded: more than 50 million pixels." in huge
    assert "<img" not in inspect_to_html(whole[:300], "x")[1]
