"""What walks over the masks of H.264 end with, read by libavcodec and openh264.

`pycodec-lm bench walks --of avc` does the same with larger budgets.
"""

from pathlib import Path

import pytest

from pycodec_lm.bench.avc_decoders import AVC_DECODERS, AvcDecoders
from pycodec_lm.bench.avc_walks import check_avc_walks, plan_avc_walks

pytestmark = pytest.mark.decoders

# (slices, largest budget): walks. Steps under a budget are slow.
N_WALKS = {("picture", 2): 40, ("macroblock", 1): 20}


@pytest.mark.parametrize(("slices", "budget"), N_WALKS)
def test_walks_are_clean_in_all_decoders(slices: str, budget: int, tmp_path: Path) -> None:
    decoders = AvcDecoders(tmp_path)
    if decoders.names() != [*AVC_DECODERS]:
        pytest.skip("; ".join(decoders.missing))
    plan = plan_avc_walks(600, seed=7)
    cases = [case for case in plan if case.slices == slices and case.budget <= budget]
    cases = cases[: N_WALKS[slices, budget]]
    *_, report = check_avc_walks(cases, tmp_path, decoders)
    assert [(str(case), what) for case, what in report.problems] == []
    assert len(report.n_done) == len(cases)
