from pathlib import Path

import pytest

import pycodec_lm as pcl
from pycodec_lm.bench.corpora import (
    CorporaResult,
    Judged,
    choose_rejections,
    first_sof,
    judge,
    read_arguments,
    read_table,
)
from pycodec_lm.bench.evidence_figures import corpora_report
from pycodec_lm.bench.field_walk import write_random_file
from pycodec_lm.bench.libjpeg_reasons import T81, reason_of
from pycodec_lm.errors import CodecLMError, UsageError
from pycodec_lm.grammar import JpegGrammar

COLUMNS = "folder\tfile\tlabel\tdjpeg_strict_rc\tdjpeg_msg\n"
CORPORA = Path(__file__).parents[4] / "shared" / "corpora"


def table_of(tmp_path: Path, rows: dict[str, tuple[bytes, str, str]]) -> list[Judged]:
    """Files judged: name -> (contents, label, what djpeg said)."""
    (tmp_path / "jpeg").mkdir()
    lines = [COLUMNS]
    for name, (data, label, message) in rows.items():
        (tmp_path / "jpeg" / name).write_bytes(data)
        lines.append(f"jpeg\t{name}\t{label}\t{int(bool(message))}\t{message}\n")
    (tmp_path / "jpeg.tsv").write_text("".join(lines))
    return [judge(tmp_path, row) for row in read_table(tmp_path / "jpeg.tsv")]


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("Corrupt JPEG data: 3 extraneous bytes before marker 0xd9", T81),
        ("Premature end of JPEG file", T81),
        ("Warning: unknown JFIF revision number 2.01", "contents of APPn"),
        ("Empty JPEG image (DNL not supported)", "DNL"),
        ("Unsupported marker type 0xf7", "unsupported marker"),
    ],
)
def test_reasons_of_libjpeg(message: str, reason: str) -> None:
    assert reason_of(message) == reason


def test_the_frame_header_that_comes_first() -> None:
    data = write_random_file(1).data
    assert first_sof(data) in ("SOF0", "SOF1")
    at = next(i for i in range(len(data)) if data[i] == 0xFF and data[i + 1] in (0xC0, 0xC1))
    assert first_sof(data[: at + 1] + b"\xc2" + data[at + 2 :]) == "SOF2"
    assert first_sof(b"\xff\xd8\xff\xd9") == ""
    assert first_sof(b"GIF89a") == ""


def test_what_differs_must_be_argued_under_its_code(tmp_path: Path) -> None:
    good = write_random_file(1).data
    cut = good[:-2]
    files = table_of(
        tmp_path,
        {
            "good.jpg": (good, "accept(all)", ""),
            "cut.jpg": (cut, "accept(all)", ""),
            "bad.jpg": (cut, "reject(all)", "Premature end of JPEG file"),
            "odd.jpg": (good, "warning_only", "Corrupt JPEG data: bad Huffman code"),
        },
    )
    result = CorporaResult(files)
    assert [f.name for f in result.differing()] == ["cut.jpg", "odd.jpg"]
    assert [f.name for f in result.not_argued()] == ["cut.jpg", "odd.jpg"]
    result.arguments = {("cut.jpg", "truncated"): "it ends early", ("odd.jpg", "truncated"): ""}
    assert [f.name for f in result.not_argued()] == ["odd.jpg"]
    result.rejections = choose_rejections(files, 5, 0)
    assert {f.name for f in result.rejections} == {"cut.jpg", "bad.jpg"}
    assert [f.name for f in result.not_argued()] == ["odd.jpg", "bad.jpg"]
    page = corpora_report(result, "command").to_markdown()
    assert "it ends early" in page and "nobody has argued" in page


def test_rejections_take_turns_over_the_codes(tmp_path: Path) -> None:
    good = write_random_file(1).data
    rows = {f"cut{i}.jpg": (good[: -3 - i], "reject", "x") for i in range(9)}
    rows["soi.jpg"] = (b"\xff\xd8\xff\xd8", "reject", "x")
    files = table_of(tmp_path, rows)
    chosen = choose_rejections(files, 3, 7)
    assert sorted(f.verdict.code for f in chosen) == ["truncated", "truncated", "unexpected_marker"]
    assert chosen == choose_rejections(files[::-1], 3, 7)
    assert len(choose_rejections(files, 30, 7)) == 10


def test_a_table_that_is_none_and_a_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_table(tmp_path / "none.tsv")
    table = tmp_path / "jpeg.tsv"
    table.write_text("file\nx\n")
    with pytest.raises(UsageError, match="columns"):
        read_table(table)
    table.write_text(COLUMNS + "jpeg\tx.jpg\taccept\t0\t\n")
    with pytest.raises(CodecLMError, match=r"x\.jpg"):
        judge(tmp_path, read_table(table)[0])


def test_arguments_are_sentences() -> None:
    arguments = read_arguments()
    assert len(arguments) > 30
    for text in arguments.values():
        assert text.endswith(".")
        assert "\n" not in text


@pytest.mark.corpora
@pytest.mark.skipif(not CORPORA.is_dir(), reason="there are no corpora beside the checkout")
def test_any_reader_answers_a_broken_file_with_a_value_or_an_error_of_ours() -> None:
    n_files = 0
    for row in read_table(CORPORA / "jpeg.tsv"):
        if row["label"].startswith(("accept", "valid")):
            continue
        n_files += 1
        data = (CORPORA / row["folder"] / row["file"]).read_bytes()
        assert pcl.check(data).family in ("valid", "truncated", "corrupt", "unsupported")
        for read in (pcl.read_coefficients, JpegGrammar.like):
            try:
                read(data)
            except CodecLMError:
                continue
    assert n_files > 600
