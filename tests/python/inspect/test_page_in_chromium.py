"""The page in a browser, where one is installed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import CHROMIUM, Chromium

from pycodec_lm.inspect import inspect_h264
from pycodec_lm.inspect.avc_model import MB_TYPES
from pycodec_lm.inspect.html import inspect_to_html

from .avc_samples import FILES as STREAMS
from .avc_samples import HOSTILE as HOSTILE_STREAMS
from .samples import FILES, HOSTILE

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium on the PATH")

BROKEN = FILES["restarts"][:2000] + b"\xff\xd0" + FILES["restarts"][2000:]
PAGES = {name: FILES[name] for name in ("noise", "restarts", "comment")} | {
    "broken": BROKEN,
    "cut": FILES["noise"][:1500],
    "huge": HOSTILE["65,535 x 65,535 pixels"],
    "text": HOSTILE["text"],
    "clip": STREAMS["x264"],
    "clip, slices": STREAMS["x264, a slice a macroblock"],
    "clip, ignored": STREAMS["ignored"],
    "clip, broken": HOSTILE_STREAMS["no such type"],
    "clip, no slice": HOSTILE_STREAMS["text in a message"],
}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with Chromium(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def page(browser: Chromium, tmp_path: Path) -> Iterator[Path]:
    browser.complaints.clear()
    yield tmp_path / "page.html"
    assert browser.complaints == []


def write(page: Path, data: bytes) -> None:
    page.write_text(inspect_to_html(data, "a rather long name of a file" * 4)[1], "utf-8")


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("dark", [False, True])
def test_no_complaint_and_no_sideways_scrolling(
    name: str, dark: bool, browser: Chromium, page: Path
) -> None:
    write(page, PAGES[name])
    for width in (400, 1400):
        browser.open(page, width=width, dark=dark)
        browser.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
        wide = (
            "[...document.querySelectorAll('.card')].filter((c) => c.scrollWidth > c.clientWidth)"
        )
        assert browser.evaluate(f"{wide}.length") == 0


def test_pointing_at_a_byte_shows_its_fields_and_its_mcu(browser: Chromium, page: Path) -> None:
    write(page, FILES["restarts"])
    browser.open(page, width=1400)
    cell = "document.querySelector('[data-o=\"{}\"]')"
    point = (
        "(() => {{ const c = {0}; c.scrollIntoView({{block: 'center'}});"
        " const r = c.getBoundingClientRect(); return [r.x + 5, r.y + 5]; }})()"
    )
    offset = FILES["restarts"].index(b"\xff\xc0") + 5
    browser.move(*browser.evaluate(point.format(cell.format(offset))))
    assert (
        browser.evaluate("document.getElementById('panel-title').textContent")
        == f"Byte {offset}: 00"
    )
    assert "Y" in browser.evaluate("document.querySelector('#panel .rows').textContent")
    assert browser.evaluate("document.querySelectorAll('.b.on').length") == 2
    assert browser.evaluate("document.getElementById('box').hidden")
    scan = FILES["restarts"].index(b"\xff\xda") + 14
    browser.move(*browser.evaluate(point.format(cell.format(scan))))
    assert "MCU 0 of" in browser.evaluate("document.querySelector('.where').textContent")
    assert not browser.evaluate("document.getElementById('box').hidden")
    assert browser.evaluate("document.querySelectorAll('.b.in').length") > 5


def test_pointing_at_the_picture_shows_the_bytes_of_the_mcu(browser: Chromium, page: Path) -> None:
    write(page, FILES["restarts"])
    browser.open(page, width=1400)
    x, y, width, height = browser.evaluate(
        "(() => { const r = document.getElementById('stage').getBoundingClientRect();"
        " return [r.x, r.y, r.width, r.height]; })()"
    )
    # 72 x 64 pixels: the second MCU of the second row is number 6.
    browser.move(x + width * 24 / 72, y + height * 24 / 64)
    assert browser.evaluate("document.getElementById('panel-title').textContent") == "MCU 6"
    assert browser.evaluate("document.querySelectorAll('.b.in').length") > 5


def test_keys_move_over_bytes_and_over_mcus(browser: Chromium, page: Path) -> None:
    write(page, FILES["restarts"])
    browser.open(page, width=400)
    title = "document.getElementById('panel-title').textContent"
    browser.evaluate("document.querySelector('[data-o=\"0\"]').focus()")
    browser.key("ArrowRight")
    browser.key("ArrowRight")
    assert browser.evaluate(title) == "Byte 2: FF"
    browser.evaluate("document.getElementById('stage').focus()")
    browser.key("ArrowDown")
    assert browser.evaluate(title) == "MCU 5"
    browser.key("Enter")
    assert browser.evaluate("document.activeElement.classList.contains('b')")
    assert "MCU 5 of" in browser.evaluate("document.querySelector('.where').textContent")


def test_button_leads_to_the_error(browser: Chromium, page: Path) -> None:
    write(page, BROKEN)
    browser.open(page, width=1400)
    browser.evaluate("document.getElementById('to-error').click()")
    assert browser.evaluate("document.activeElement.classList.contains('wrong')")
    browser.evaluate("new Promise((done) => setTimeout(done, 200))")
    assert browser.evaluate(
        "(() => { const [c, h] = [document.activeElement, document.getElementById('hex')]"
        ".map((node) => node.getBoundingClientRect());"
        " return c.top > h.top && c.bottom < Math.min(h.bottom, innerHeight); })()"
    )
    assert "T.81" in browser.evaluate("document.querySelector('#panel .rows').textContent")
    assert not browser.evaluate("document.getElementById('wrong').hidden")


def test_pointing_at_a_frame_shows_type_and_bits_of_the_macroblock(
    browser: Chromium, page: Path
) -> None:
    write(page, STREAMS["x264"])
    browser.open(page, width=1400)
    browser.evaluate("document.querySelectorAll('.strip i')[2].click()")
    found = inspect_h264(STREAMS["x264"]).pictures[2]
    assert browser.evaluate("document.getElementById('number').value") == "2"
    for mb in range(12):
        x, y, width, height = browser.evaluate(
            "(() => { const r = document.getElementById('stage').getBoundingClientRect();"
            " return [r.x, r.y, r.width, r.height]; })()"
        )
        browser.move(x + width * (mb % 4 + 0.5) / 4, y + height * (mb // 4 + 0.5) / 3)
        text = browser.evaluate("document.getElementById('panel').textContent")
        assert f"Picture 2, macroblock {mb} of 12, row {mb // 4}, column {mb % 4}" in text
        assert MB_TYPES[found.mb_types[mb]] in text
        assert f"{found.mb_bits[mb].sum()} bits" in text


def test_layers_show_types_and_quantizers(browser: Chromium, page: Path) -> None:
    write(page, STREAMS["pcm"])
    browser.open(page, width=1400)
    layers = "document.querySelectorAll('[name=\"layer\"]')"
    browser.evaluate(f"{layers}[1].click()")
    assert browser.evaluate("document.getElementById('classes').textContent").startswith(
        "I_NxN: 0I_16x16: 1I_PCM: 1"
    )
    browser.evaluate(f"{layers}[2].click()")
    assert browser.evaluate("document.getElementById('high').textContent") == "29 QP"
    assert browser.evaluate("document.getElementById('classes').hidden")


def test_pointing_at_a_byte_of_a_slice_shows_its_fields(browser: Chromium, page: Path) -> None:
    write(page, STREAMS["small"])
    browser.open(page, width=1400)
    rows = "document.querySelector('#panel .rows').textContent"
    browser.evaluate("document.querySelector('[data-o=\"33\"]').focus()")
    assert "slice_type00110: 5" in browser.evaluate(rows)
    browser.evaluate("document.querySelector('[data-o=\"26\"]').focus()")
    assert "mb_type00100: 3, I_16x16_2_0_0" in browser.evaluate(rows)
    browser.evaluate("document.querySelector('[data-o=\"34\"]').focus()")
    assert "mb_skip_run011: 2" in browser.evaluate(rows)
    assert "Picture 1, macroblock 0" in browser.evaluate(
        "document.querySelector('.where').textContent"
    )
