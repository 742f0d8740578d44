"""`pycodec-lm inspect`: what it prints and writes, and its exit codes."""

import json
import re
from pathlib import Path

import pytest

from pycodec_lm.cli.main import main
from pycodec_lm.codecs.avc import to_mp4

from .avc_samples import CABAC_FILES as CABAC_STREAMS
from .avc_samples import FILES as STREAMS
from .avc_samples import HOSTILE as HOSTILE_STREAMS
from .samples import FILES, HOSTILE, by_hand, jpeg


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(by_hand(restarts=True))
    return path


def run(capsys: pytest.CaptureFixture[str], exit_code: int, *arguments: object) -> str:
    assert main(["inspect", *map(str, arguments)]) == exit_code
    out, err = capsys.readouterr()
    assert err == ""
    return out


def test_text_shows_segments_fields_and_scans(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = run(capsys, 0, file).splitlines()
    assert lines[0] == f"{file}: 153 bytes, 16 x 8 pixels, 1 component, baseline JPEG"
    assert lines[1] == "valid"
    text = "\n".join(line.strip() for line in lines)
    assert "71       13  SOF0  start of frame, baseline" in text
    assert "P 8, Y 8, X 16, Nf 1\nCi 7, Hi 1, Vi 1, Tqi 0" in text
    assert "Pq 0, Tq 0, Qk 1..64" in text
    assert "Tc 1, Th 0, Li 1 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0, Vi,j 2 symbols" in text
    assert "146        5  scan 1: 2 MCUs of 8 x 8 pixels, 2 in a row; a restart every MCU" in text
    assert "component 7: 11 bits (27.5 %), DC 6, AC 5" in text
    assert "padding 13 bits, stuffing 0 bytes, restart markers 2 bytes" in text
    assert "MCU 0" not in text


def test_tables_and_mcus_are_listed_when_asked_for(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = run(capsys, 0, file, "--tables", "--mcus")
    assert "    9    10    11    12    13    14    15    16\n" in text
    assert "10               03\n" in text
    lines = [line.strip() for line in text.splitlines()]
    assert "146.0             MCU 0: 9 bits" in lines
    assert "148        2    restart before MCU 1" in lines
    assert "150.0             MCU 1: 2 bits" in lines


def test_json_is_one_object(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tree = json.loads(run(capsys, 0, file, "--json", "--mcus", "--tables"))
    assert (tree["file"], tree["valid"], tree["width"], tree["height"]) == (str(file), True, 16, 8)
    assert [s["marker"] for s in tree["segments"]] == [
        *("SOI", "DQT", "SOF0", "DHT", "DHT", "DRI", "SOS", "EOI")
    ]
    interval = tree["segments"][5]["fields"][1]
    assert interval == {
        "element": "Ri",
        "clause": "T.81 B.2.4.4",
        "offset": 134,
        "bit": 0,
        "n_bits": 16,
        "value": 1,
    }
    (scan,) = tree["scans"]
    assert scan["mcus"] == [
        {"byte": 146, "bit": 0, "bits": [[5, 4]]},
        {"byte": 150, "bit": 0, "bits": [[1, 1]]},
    ]
    assert scan["restarts"] == [{"byte": 148, "mcu": 1}]
    assert tree["segments"][1]["fields"][-1]["values"] == [*range(1, 65)]


def test_broken_file_shows_what_was_read_and_the_error(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = bytearray(by_hand(restarts=True))
    data[149] = 0xD1
    file.write_bytes(data)
    text = run(capsys, 1, file)
    assert "corrupt: T.81 F.1.1.5.2: RST1 where RST0 is due (marker, byte 149, bit 7)\n" in text
    assert "reading ended at byte 149, after MCU 0, RST0 is due: marker\n" in text
    assert "scan 1: 1 of 2 MCUs" in text
    tree = json.loads(run(capsys, 1, file, "--json"))
    assert (tree["family"], tree["clause"]) == ("corrupt", "T.81 F.1.1.5.2")
    assert (tree["offset"], tree["bit"]) == (149, 7)
    assert tree["scans"][0]["n_mcus_read"] == 1


@pytest.mark.parametrize("name", [*FILES, *HOSTILE])
@pytest.mark.parametrize("option", [(), ("--json",), ("--tables", "--mcus")])
def test_any_file_is_shown(
    name: str, option: tuple[str, ...], file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = (FILES | HOSTILE)[name]
    file.write_bytes(data)
    out = run(capsys, 0 if name in FILES or name in VALID else 1, file, *option)
    if option == ("--json",):
        assert json.loads(out)["n_bytes"] == len(data)
    assert all(line.isprintable() for line in out.splitlines())


VALID = ("10,000 DHT", "fill bytes", "much text")


@pytest.fixture
def stream(tmp_path: Path) -> Path:
    path = tmp_path / "clip.264"
    path.write_bytes(STREAMS["small"])
    return path


def test_text_shows_nal_units_fields_and_slices(
    stream: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = run(capsys, 0, stream).splitlines()
    assert lines[:2] == [
        f"{stream}: 36 bytes, 32 x 16 pixels, 2 pictures, constrained baseline H.264, level 1",
        "valid; note: 2 pictures",
    ]
    assert "        15        4  PPS   picture parameter set" in lines
    text = " ".join(" ".join(lines).split())
    assert "slice_type 5, pic_parameter_set_id 0, frame_num 1, num_ref_idx_active_override" in text
    assert [line.split() for line in lines if line.endswith(("48", "32"))] == [
        ["22", "0", "I", "0", "0", "0", "0", "26", "2", "2", "0", "48"],
        ["32", "1", "P", "0", "1", "2", "26", "2", "0", "2", "32"],
    ]
    assert "headers 48 bits (60.0 %), skip runs 3 bits (3.8 %), types 12 bits (15.0 %)" in text
    assert "macroblock 0" not in text


def test_places_of_fields_and_macroblocks_are_listed_when_asked_for(
    stream: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = run(capsys, 0, stream, "--tables", "--macroblocks")
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "33.1 5 bits slice_type 5" in lines
    assert "picture 0: 2 macroblocks, 2 in a row, 1 slice" in lines
    assert "25.1 macroblock 0: I_16x16_2_0_0, QP 26, 8 bits" in lines
    assert "34.7 macroblock 1: P_Skip" in lines


def test_json_of_a_stream_is_one_object(stream: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tree = json.loads(run(capsys, 0, stream, "--json", "--mcus"))
    assert (tree["valid"], tree["format"], tree["profile"]) == (
        True,
        "h264",
        "constrained baseline",
    )
    nal = tree["nal_units"][3]
    assert (nal["offset"], nal["n_bytes"], nal["nal_unit_type"], nal["nal_ref_idc"]) == (
        32,
        4,
        1,
        2,
    )
    assert nal["fields"][4] == {
        "element": "slice_type",
        "clause": "H.264 7.4.3",
        "offset": 33,
        "bit": 1,
        "n_bits": 5,
        "value": 5,
    }
    assert [each["n_skipped"] for each in tree["slices"]] == [0, 2]
    assert tree["pictures"][0]["macroblocks"][1] == {
        "byte": 26,
        "bit": 1,
        "type": "I_16x16_2_0_0",
        "qp": 26,
        "bits": [6, 1, 1, 0],
        "n_bins": 0,
        "information_bits": 0,
    }
    assert "bins" not in tree


@pytest.fixture
def cabac(tmp_path: Path) -> Path:
    path = tmp_path / "clip.264"
    path.write_bytes(CABAC_STREAMS["high, B"])
    return path


def test_bins_of_cabac_are_listed_with_their_contexts_when_asked_for(
    cabac: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = run(capsys, 0, cabac, "--contexts")
    assert "value@ctxIdx(pStateIdx,valMPS)" in text
    assert re.search(
        r"macroblock 0: I_\S+, QP \d+, \d+ bits, \d+ bins that say \d+\.\d\d bits", text
    )
    assert re.search(r"mb_skip_flag \d\.\d\d bits: [01]@1[123]\(\d+,[01]\)\n", text)
    assert re.search(r"end_of_slice_flag \d\.\d\d bits: 1@276\n", text)
    assert re.search(r"mvd_l0\[0\] \d+\.\d\d bits: [01]@4\d\(", text)
    assert text.count("end_of_slice_flag") == 4 * 12
    plain = run(capsys, 0, cabac, "--macroblocks")
    assert "bins that say" in plain and "@" not in plain
    head = next(line for line in plain.splitlines() if line.split()[:2] == ["byte", "picture"])
    assert head.split()[-2:] == ["bins", "information"]


def test_json_has_bins_when_they_are_asked_for(
    cabac: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = json.loads(run(capsys, 0, cabac, "--json", "--contexts"))
    assert len(tree["bins"]) == sum(each["n_bins"] for each in tree["slices"])
    first = tree["bins"][0]
    assert (first["picture"], first["mb"], first["element"], first["is_first"]) == (
        0,
        0,
        "mb_type",
        True,
    )
    assert 3 <= first["ctx_idx"] <= 5 and first["p_state_idx"] >= 0
    assert tree["n_bins_left_out"] == 0


def test_bins_are_not_for_the_page(cabac: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = cabac.with_suffix(".html")
    assert main(["inspect", str(cabac), "--contexts", "--html", str(page)]) == 2
    assert not page.exists()
    assert "--contexts lists bins as text or JSON" in capsys.readouterr().err


def test_broken_stream_shows_what_was_read_and_the_error(
    stream: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stream.write_bytes(HOSTILE_STREAMS["no such type"])
    text = run(capsys, 1, stream)
    assert "(mb_type, byte 35, bit 4)\nreading ended at byte 35, before mb_type" in text
    assert "slice of a picture that is not IDR, not whole\n" in text
    tree = json.loads(run(capsys, 1, stream, "--json"))
    assert (tree["family"], tree["element"], tree["bit"]) == ("corrupt", "mb_type", 4)
    assert tree["pictures"][1]["n_mbs_read"] == 0


@pytest.mark.parametrize("name", [*STREAMS, *HOSTILE_STREAMS])
def test_any_stream_is_shown(name: str, stream: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = (STREAMS | HOSTILE_STREAMS)[name]
    stream.write_bytes(data)
    exit_code = 0 if name in STREAMS else 1
    assert json.loads(run(capsys, exit_code, stream, "--json"))["n_bytes"] == len(data)
    out = run(capsys, exit_code, stream, "--tables")
    assert all(line.isprintable() for line in out.splitlines())


def test_clip_in_a_container_is_shown(stream: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = stream.with_suffix(".mp4")
    clip.write_bytes(to_mp4(STREAMS["x264"], None, 5))
    page = stream.with_suffix(".html")
    assert " bytes taken out of MP4, 64 x 48 pixels, 3 pictures, " in run(capsys, 0, clip)
    run(capsys, 0, clip, "--html", page)
    assert "data:image/png" in page.read_text()
    clip.write_bytes(b"\0\0\0\x18ftypisom\0\0\2\0isomiso2")
    assert "unsupported: this is MP4, without an H.264 stream" in run(capsys, 1, clip)
    run(capsys, 1, clip, "--html", page)


def test_abbreviated_stream_is_shown_with_its_tables(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = file.with_name("tables.jpg")
    tables.write_bytes(jpeg(streamtype=1))
    file.write_bytes(jpeg(streamtype=2))
    run(capsys, 1, file)
    assert "6 MCUs" in run(capsys, 0, file, "--outside-tables", tables)
    page = file.with_name("page.html")
    run(capsys, 0, file, "--outside-tables", tables, "--html", page)
    assert "data:image/png" in page.read_text()


def test_page_is_written_and_reported(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = file.with_name("page.html")
    out = run(capsys, 0, file, "--html", page)
    assert out == f"{file}: valid\n{page}: {page.stat().st_size:,} bytes\n"
    report = json.loads(run(capsys, 0, file, "--html", page, "--json"))
    assert (report["html"], report["n_bytes"]) == (str(page), page.stat().st_size)
    assert sorted(path.name for path in file.parent.iterdir()) == ["page.html", "photo.jpg"]


def test_misuse_is_one_line_and_exit_code_2(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (
        [str(file.with_name("none.jpg"))],
        [str(file.parent)],
        [str(file), "--html", str(file.parent / "none" / "page.html")],
        [str(file), "--html", str(file.parent)],
        [str(file), "--outside-tables", str(file.with_name("none.jpg"))],
    ):
        assert main(["inspect", *arguments]) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert err.startswith("pycodec-lm inspect: error: ")
