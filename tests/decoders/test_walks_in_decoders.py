"""What walks end with, read by djpeg -strict, Pillow, ffmpeg and libjpeg's jpeg_read_coefficients.

`pycodec-lm bench walks` does the same with thousands of walks.
"""

from pathlib import Path

import pytest

from pycodec_lm.bench.decoders import LibjpegPeer
from pycodec_lm.bench.walks import KINDS, PROCESSES, check_walks, plan_walks

pytestmark = pytest.mark.decoders

N_WALKS = {"field": 60, "token": 18, "outcome": 18, "highest": 18}  # of each process


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize("kind", KINDS)
def test_walks_are_clean_in_all_decoders_and_their_coefficients_are_libjpegs(
    kind: str, process: str, decoders: list[str], libjpeg: LibjpegPeer, tmp_path: Path
) -> None:
    cases = [case for case in plan_walks(1000, 7, process) if case.kind == kind]
    cases = cases[: N_WALKS[kind]]
    *_, report = check_walks(cases, tmp_path, libjpeg, process=process)
    assert [(str(case), what) for case, what in report.problems] == []
    assert sum(report.n_done.values()) == len(cases)
    # Files that ffmpeg cannot read are no test of it: they must be the smaller part.
    assert report.n_excused < len(cases) / 2
    assert report.coverage.unexpected() == []
