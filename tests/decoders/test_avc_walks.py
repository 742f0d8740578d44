"""What walks over masks and fields of H.264 end with, read by libavcodec and openh264.

`pycodec-lm bench walks` does the same with more, `--of avc` and `--of avc-fields`.
"""

from pathlib import Path

import pytest

from pycodec_lm._core import compile_grammar
from pycodec_lm.avc_grammar import AvcGrammar
from pycodec_lm.bench.avc_decoders import AVC_DECODERS, AvcDecoders, complaint_about
from pycodec_lm.bench.avc_field_walks import check_avc_field_walks, plan_avc_field_walks
from pycodec_lm.bench.avc_motion import INTER_KINDS
from pycodec_lm.bench.avc_walks import check_avc_walks, plan_avc_walks
from pycodec_lm.bench.mask_walk import MaskWalk, least_tokens
from pycodec_lm.bench.vocabularies import byte_vocabulary

pytestmark = pytest.mark.decoders

# (form, largest budget): walks. Steps under a budget are slow.
N_WALKS = {("picture", 2): 40, ("macroblock", 1): 20, ("CABAC", 2): 40, ("CABAC with B", 2): 40}


N_FIELD_WALKS = 90


# Clips whose pictures have headers of their own.
SAMPLES = (
    "cabac=0:bframes=2:b-adapt=0:b-pyramid=none",
    "bframes=3:b-adapt=0:b-pyramid=normal:ref=4",
    "cabac=0:bframes=0:weightp=2:ref=4",
)
N_WALKS_LIKE = 36
N_FRAMES_LIKE = 6


@pytest.fixture
def decoders(tmp_path: Path) -> AvcDecoders:
    decoders = AvcDecoders(tmp_path)
    if decoders.names() != [*AVC_DECODERS]:
        pytest.skip("; ".join(decoders.missing))
    return decoders


@pytest.mark.parametrize(("form", "budget"), N_WALKS)
def test_walks_are_clean_in_all_decoders(
    form: str, budget: int, decoders: AvcDecoders, tmp_path: Path
) -> None:
    plan = plan_avc_walks(600, seed=7)
    cases = [case for case in plan if case.form == form and case.budget <= budget]
    cases = cases[: N_WALKS[form, budget]]
    *_, report = check_avc_walks(cases, tmp_path, decoders)
    assert [(str(case), what) for case, what in report.problems] == []
    assert len(report.n_done) == len(cases)


@pytest.mark.parametrize("params", SAMPLES)
def test_walks_like_clips_of_libx264_are_clean_in_all_decoders(
    params: str, decoders: AvcDecoders, tmp_path: Path
) -> None:
    pytest.importorskip("av")
    from avc_pixels import x264_stream
    from clip_files import pan

    options = {"x264-params": f"keyint=infinite:scenecut=0:{params}", "qp": "30"}
    sample = x264_stream(pan(N_FRAMES_LIKE, 64, 48), **options, profile="high")
    compiled = compile_grammar(AvcGrammar.like(sample), byte_vocabulary())
    least = least_tokens(compiled)
    paths = []
    for seed in range(N_WALKS_LIKE):
        chooser = ("token", "token", "highest", "lowest")[seed % 4]
        walk = MaskWalk(compiled, least * (1, 2, 6)[seed % 3], chooser, seed).run()
        paths.append(tmp_path / f"{seed}.264")
        paths[-1].write_bytes(walk.stream)
    said = {
        path.name: complaint_about(answer, N_FRAMES_LIKE)
        for path, answers in decoders.ask(paths)
        for answer in answers
    }
    assert {name: text for name, text in said.items() if text is not None} == {}


def test_streams_of_legal_fields_are_clean_and_their_vectors_are_libavcodecs(
    decoders: AvcDecoders, tmp_path: Path
) -> None:
    pytest.importorskip("av")
    cases = plan_avc_field_walks(N_FIELD_WALKS, seed=40_000)
    *_, report = check_avc_field_walks(cases, tmp_path, decoders)
    assert [(str(case), what) for case, what in report.problems] == []
    assert report.n_done.total() == N_FIELD_WALKS
    assert report.n_vectors > 500
    missing = report.coverage.missing()
    # Each kind of inter macroblock and each code of the tables of 9.2; other values are many.
    # Intra types of P and B slices are those of I slices, behind others.
    wanted = ("motion", "coeff_token rows", "total_zeros rows", "run_before rows", "mb_type")
    rare = {("mb_type", str(value)) for value in range(5, 49)}
    assert [pair for pair in missing if pair[0] in wanted and pair not in rare] == []
    assert report.coverage.n_reached("motion") == len(INTER_KINDS)
