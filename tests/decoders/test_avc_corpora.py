"""Real H.264 streams: accepted, byte for byte in the masks, and however they are cut."""

import random
from pathlib import Path

import pytest
from cursor_walks import members

import pycodec_lm as pcl
from pycodec_lm import _core
from pycodec_lm.bench.avc_corpora import (
    AvcCorporaResult,
    judge_avc,
    read_avc_arguments,
    read_avc_table,
)

pytestmark = pytest.mark.corpora

N_CLIPS = 10
STEP = 1  # every byte is looked for in allowed()


@pytest.fixture(scope="module", params=["baseline", "high"])
def clips(corpora: Path, request: pytest.FixtureRequest) -> dict[str, bytes]:
    paths = sorted((corpora / "avc").glob(f"*_{request.param}.264"))
    return {path.name: path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def result(corpora: Path) -> AvcCorporaResult:
    rows = read_avc_table(corpora / "h264.tsv")
    return AvcCorporaResult([judge_avc(corpora, row) for row in rows], read_avc_arguments())


def test_streams_in_scope_that_decoders_read_are_valid_or_break_an_argued_rule(
    result: AvcCorporaResult,
) -> None:
    good = [f for f in result.files if f.is_good and f.outcome != "out of scope"]
    assert len(good) > 35
    refused = [f for f in good if f.outcome == "refused"]
    assert len(refused) <= len(good) // 10
    assert [(f.name, f.status.message) for f in result.not_argued()] == []


def test_no_argument_is_without_its_stream(result: AvcCorporaResult) -> None:
    differing = {(f.name, f.status.code) for f in result.files if f.differs}
    assert {*result.arguments} <= differing


def test_every_clip_that_x264_wrote_is_valid(clips: dict[str, bytes]) -> None:
    verdicts = {name: pcl.check(data) for name, data in clips.items()}
    assert len(verdicts) == 100
    assert {name: v.message for name, v in verdicts.items() if not v} == {}
    assert {v.notes for v in verdicts.values()} == {("15 pictures",)}


def test_bytes_of_clips_are_allowed_at_their_places(clips: dict[str, bytes]) -> None:
    grammar = pcl.AvcGrammar(portable=False)
    for name, data in [*clips.items()][:N_CLIPS]:
        cursor = _core.AvcCursor(grammar)
        for at in range(0, len(data), STEP):
            assert data[at] in members(cursor.allowed()), (name, cursor.describe())
            status = cursor.push(data[at : at + STEP])
            assert status, (name, status.message)
        assert cursor.is_complete(), name


def test_clips_cut_anywhere_get_the_same_verdict(clips: dict[str, bytes]) -> None:
    rng = random.Random(0)
    grammar = pcl.AvcGrammar(portable=False)
    for name, data in [*clips.items()][:N_CLIPS]:
        at_once = _core.AvcCursor(grammar)
        assert at_once.push(data) and at_once.n_pictures == 15, name
        cuts = sorted(rng.randrange(len(data) + 1) for _ in range(20))
        cursor = _core.AvcCursor(grammar)
        for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
            assert cursor.push(data[begin:end]), name
        assert cursor.describe() == at_once.describe()
        status, n_pictures = _core.check_h264(data)
        assert (status.ok, n_pictures) == (True, 15)
