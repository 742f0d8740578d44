"""What walks over the masks of H.264 end with, read by libavcodec and openh264.

`pycodec-lm bench walks --of avc` does the same with hundreds of walks.
"""

from pathlib import Path

import pytest

from pycodec_lm.bench.avc_decoders import AVC_DECODERS, AvcDecoders
from pycodec_lm.bench.avc_walks import check_avc_walks, plan_avc_walks

pytestmark = pytest.mark.decoders

N_WALKS = 60


def test_walks_are_clean_in_all_decoders(tmp_path: Path) -> None:
    decoders = AvcDecoders(tmp_path)
    if decoders.names() != [*AVC_DECODERS]:
        pytest.skip("; ".join(decoders.missing))
    cases = plan_avc_walks(N_WALKS, seed=7)
    *_, report = check_avc_walks(cases, tmp_path, decoders)
    assert [(str(case), what) for case, what in report.problems] == []
    assert len(report.n_done) == N_WALKS
