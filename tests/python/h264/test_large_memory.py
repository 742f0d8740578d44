"""What a matcher of large pictures takes, in the middle of a B picture by CABAC."""

import pytest

from pycodec_lm import _core
from pycodec_lm.bench.matcher_memory import allocated_bytes
from pycodec_lm.inspect import inspect_h264

pytest.importorskip("av", reason="needs PyAV")
pytestmark = pytest.mark.skipif(
    allocated_bytes() is None, reason="the C library does not count what it has given"
)
MAX_STATE_BYTES = 256 << 10
MAX_MOTION_BYTES_A_MB = 24  # of one list, which is what a picture is remembered by


def test_a_matcher_of_1920x1088_has_a_small_state_in_b_pictures() -> None:
    from pycodec_lm.bench.avc_large_memory import large_clip, measure_large_memory

    clip = large_clip()
    assert _core.check_h264(clip)[0].code == "ok"
    kinds = [picture.slices[0].type for picture in inspect_h264(clip).pictures]
    assert kinds == [*"IPBB"]
    rows = _core.read_motion(clip)
    assert len({*map(tuple, rows[:, 48:].tolist())}) > 20  # it moves in many ways
    found = measure_large_memory()
    assert found.n_mbs == 8160
    assert 0 < found.motion_bytes <= MAX_MOTION_BYTES_A_MB * found.n_mbs
    assert 0 < found.state_bytes <= MAX_STATE_BYTES
    assert found.fork_bytes <= 4096
    # Its rings of neighbours, which copies share until one of them writes.
    assert found.written_bytes <= MAX_STATE_BYTES
