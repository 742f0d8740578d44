"""`bench corpora`, `walks --of avc` and `mutants` of H.264 streams, most of it without decoders."""

from collections import Counter
from pathlib import Path

import avc_pixels
import pytest
from clip_files import pan

import pycodec_lm as pcl
from pycodec_lm import _core
from pycodec_lm.bench.avc_corpora import (
    AvcCorporaResult,
    AvcJudged,
    is_h264_table,
    judge_avc,
    read_avc_arguments,
    read_avc_table,
)
from pycodec_lm.bench.avc_decoders import Answer, AvcDecoders, Openh264Peer
from pycodec_lm.bench.avc_figures import avc_corpora_report, avc_mutant_report, avc_walk_report
from pycodec_lm.bench.avc_mutants import (
    AVC_ALWAYS_WRONG,
    AVC_KINDS,
    AVC_MUTANT_ROWS,
    choose_clips,
    make_avc_mutant,
    try_avc_mutants,
)
from pycodec_lm.bench.avc_walk_forms import FRAMES, WALK_FORMS
from pycodec_lm.bench.avc_walks import AVC_WALK_KINDS, FIELD_KINDS, check_avc_walks, plan_avc_walks
from pycodec_lm.codecs.avc import AvcSettings, encode
from pycodec_lm.errors import CodecLMError, UsageError
from pycodec_lm.inspect import inspect_h264

COLUMNS = "folder file label profile frames entropy slice_types ffmpeg_rc openh264_errbits msg"


@pytest.fixture(scope="module")
def clip() -> bytes:
    settings = AvcSettings(64, 48, frames=4)
    return encode(pan(4, 64, 48), settings)


@pytest.fixture(scope="module")
def high_clip() -> bytes:
    """By CABAC, with B slices."""
    params = {"x264-params": "keyint=infinite:bframes=2:b-adapt=0"}
    return avc_pixels.x264_stream(pan(4, 64, 48), profile="high", **params)


class SilentDecoders(AvcDecoders):
    """Finds every stream clean, but for those whose names are given."""

    def __init__(self, complaints: dict[str, str] | None = None, n_pictures: int = FRAMES) -> None:
        self.missing = []
        self.complaints = complaints or {}
        self.n_pictures = n_pictures

    def names(self) -> list[str]:
        return ["libavcodec"]

    def versions(self) -> list[str]:
        return ["libavcodec: none"]

    def ask(self, paths, *, counts=True, n_threads=2):
        for path in paths:
            message = self.complaints.get(path.name)
            yield path, [Answer("libavcodec", message, self.n_pictures)]


class NoDecoders(SilentDecoders):
    """Nobody to ask."""

    def ask(self, paths, *, counts=True, n_threads=2):
        return ((path, []) for path in paths)


def table_of(tmp_path: Path, rows: dict[str, tuple[bytes, str]]) -> list[AvcJudged]:
    """Streams judged: name -> (contents, label)."""
    (tmp_path / "h264").mkdir()
    lines = ["\t".join(COLUMNS.split())]
    for name, (data, label) in rows.items():
        (tmp_path / "h264" / name).write_bytes(data)
        is_bad = label == "ffmpeg_error"
        said = ("1", "0x4", "broken") if is_bad else ("0", "0x0", "")
        lines.append("\t".join(("h264", name, label, "Main", "4", "CAVLC", "IP", *said)))
    table = tmp_path / "h264.tsv"
    table.write_text("\n".join(lines) + "\n")
    assert is_h264_table(table)
    return [judge_avc(tmp_path, row) for row in read_avc_table(table)]


def test_what_differs_must_be_argued_under_its_code(tmp_path: Path, clip: bytes) -> None:
    files = table_of(
        tmp_path,
        {
            "good.264": (clip, "jvt_conformance_md5_ok"),
            "cut.264": (clip[:-3], "clean_ffmpeg_and_openh264"),
            "odd.264": (clip, "ffmpeg_error"),
            "bad.264": (clip[:-3], "ffmpeg_error"),
            "other.264": (clip.replace(b"\x67\x42", b"\x67\x58"), "jvt_conformance_md5_ok"),
            "none.264": (b"x", "ffmpeg_error"),
        },
    )
    outcomes = [f.outcome for f in files]
    assert outcomes == ["accepted", "refused", "accepted", "refused", "out of scope", "refused"]
    result = AvcCorporaResult(files)
    assert [f.name for f in result.not_argued()] == ["cut.264", "odd.264"]
    result.arguments = {("cut.264", "truncated"): "it ends early", ("odd.264", "range"): ""}
    assert [f.name for f in result.not_argued()] == ["odd.264"]
    page = avc_corpora_report(result, "command").to_markdown()
    assert "it ends early" in page and "nobody has argued" in page
    assert "start_code_expected (H.264 B.1.1)" in page


def test_arguments_are_sentences() -> None:
    for text in read_avc_arguments().values():
        assert text.strip().endswith((".", ".)"))
        assert "\n" not in text and "  " not in text


def test_a_table_of_jpeg_files_is_another(tmp_path: Path) -> None:
    table = tmp_path / "jpeg.tsv"
    table.write_text("file\tlabel\nx\taccept\n")
    assert not is_h264_table(table)
    with pytest.raises(UsageError, match="columns"):
        read_avc_table(table)


@pytest.mark.parametrize("kind", AVC_KINDS)
def test_a_mutant_has_one_fault_and_is_made_again_by_its_seed(kind: str, clip: bytes) -> None:
    first = clip.index(b"\0\0\1\x65") + 3
    for seed in range(12):
        mutant = make_avc_mutant(clip, "a.264", kind, seed)
        assert make_avc_mutant(clip, "a.264", kind, seed) == mutant
        assert mutant.data != clip and mutant.data[:first] == clip[:first]
        if kind in AVC_ALWAYS_WRONG:
            assert not pcl.check(mutant.data).valid


def test_who_flags_what_is_counted_by_profile(
    tmp_path: Path, clip: bytes, high_clip: bytes
) -> None:
    path = tmp_path / "a.264"
    path.write_bytes(clip)
    (tmp_path / "b.264").write_bytes(clip.replace(b"\x67\x42", b"\x67\x58"))
    (tmp_path / "c.264").write_bytes(high_clip)
    chosen, n_left_out = choose_clips(sorted(tmp_path.iterdir()))
    assert (chosen, n_left_out) == ([path, tmp_path / "c.264"], 1)
    decoders = SilentDecoders({"1.264": "broken"})
    *_, report = try_avc_mutants(chosen, tmp_path, 3, decoders)
    rows = [row for row in AVC_MUTANT_ROWS if not row.startswith("main")]
    assert report.n == Counter(dict.fromkeys(rows, 1))
    assert report.problems == []
    mutants = [make_avc_mutant(clip, "a.264", kind, 3) for kind in AVC_KINDS]
    expected = [m for m in mutants[1:2] if pcl.check(m.data).valid]
    assert [mutant for mutant, _ in report.only_others] == expected
    assert [report.flagged[row, "libavcodec"] for row in rows] == [0, 1, 0, 0, 0, 0]
    page = avc_mutant_report(report, 2, 1, decoders, "command").to_markdown()
    assert "| baseline: cut inside the last slice" in page
    assert "| high: cut inside the last slice" in page
    path.write_bytes(clip[:-2])
    with pytest.raises(UsageError, match="no valid stream to begin with"):
        choose_clips([path])


def test_walks_are_made_again_by_their_cases_and_problems_are_told(tmp_path: Path) -> None:
    cases = [case for case in plan_avc_walks(40) if case.budget == 1][:4]
    streams = []
    for n_pictures in (FRAMES, FRAMES - 1):
        decoders = SilentDecoders(n_pictures=n_pictures)
        *_, report = check_avc_walks(cases, tmp_path, decoders)
        assert len(report.n_done) == len(cases)
        assert len(report.problems) == (0 if n_pictures == FRAMES else len(cases))
        streams.append(sorted(path.read_bytes() for path in tmp_path.glob("*.264")))
    assert streams[0] == [] and len(streams[1]) == len(cases)
    page = avc_walk_report(report, decoders, "command").to_markdown()
    assert "3 pictures, not 4" in page and "| picture, 1x " in page


def test_a_plan_has_all_kinds_and_more_walks_begin_with_the_same() -> None:
    plan = plan_avc_walks(1200)
    assert plan[:50] == plan_avc_walks(50)
    met = {(case.kind, case.form, case.vocabulary, case.budget) for case in plan}
    assert len(met) == 4 * 4 * 2 * 3


@pytest.mark.parametrize("form", ["CABAC", "CABAC with B"])
def test_walks_by_cabac_reach_the_fields_of_macroblocks(form: str, tmp_path: Path) -> None:
    cases = [case for case in plan_avc_walks(400) if case.form == form and case.budget == 1][:18]
    assert {case.kind for case in cases} == {*AVC_WALK_KINDS}
    *_, report = check_avc_walks(cases, tmp_path, NoDecoders())
    assert report.problems == []
    reached = {FIELD_KINDS[kind] for name, kind in report.reached if name == form}
    assert {"mvd", "mb_qp_delta", "levels", "intra prediction modes"} <= reached
    has_b = WALK_FORMS[form].has_b
    assert (report.n_slices[form, "B"] >= len(cases)) == has_b
    if has_b:  # they end where the budget leaves nothing else
        assert sum(report.n_vetoed.values()) == len(cases)


def test_prompts_with_b_slices_differ_by_their_seeds() -> None:
    form = WALK_FORMS["CABAC with B"]
    prompts = [form.prompt(seed) for seed in range(40)]
    assert form.prompt(3) == prompts[3] and len({*prompts}) > 30
    for prompt in prompts:
        cursor = _core.AvcCursor(form.grammar())
        assert cursor.push(prompt) and not cursor.is_complete()
        shortest = inspect_h264(prompt + cursor.complete())
        assert [picture.slices[0].type for picture in shortest.pictures] == [*"IPPB"]


def test_openh264_reads_a_clip_and_flags_a_cut_one(tmp_path: Path, clip: bytes) -> None:
    try:
        peer = Openh264Peer(tmp_path)
    except CodecLMError as error:
        pytest.skip(str(error))
    paths = [tmp_path / "good.264", tmp_path / "cut.264", tmp_path / "again.264"]
    for path, data in zip(paths, (clip, clip[:-6], clip), strict=True):
        path.write_bytes(data)
    good, cut, again = peer.read(paths)
    assert good == again == Answer("openh264", None, 4, good.pixels)
    assert good.pixels is not None and len(good.pixels) == 16 and cut.pixels != good.pixels
    assert cut.message is not None and cut.message.startswith("error bits 0x")
    missing, after = peer.read([tmp_path / "none.264", paths[0]])
    assert missing.message == "exit code 1" and after == good
    assert peer.version().count(".") == 2


def test_decoders_that_are_missing_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    decoders = AvcDecoders(tmp_path)
    assert decoders.names() == []
    assert [line.split()[0] for line in decoders.missing] == ["libavcodec", "openh264"]
