"""Slices in the other entropy coder: the same syntax elements, so nothing is lost either way."""

import re
from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray

import pycodec_lm as pcl
from pycodec_lm import _core
from pycodec_lm.bench.avc_field_walk import WrittenStream, write_random_stream
from pycodec_lm.errors import UsageError

from .streams import HEAD, START, STREAM, idr, nal, pps, sps

N_WALKS = 40
X264 = (
    "keyint=12:bframes=3:b-adapt=0:weightp=2:ref=4:partitions=all:8x8dct={t}:direct={direct}"
    ":slices={slices}:me=umh:subme=9:trellis=0:cabac={cabac}"
)
# 8x8 transform, direct prediction, slices, CABAC, quantizer
KINDS = [
    (1, "spatial", 1, 0, 24),
    (1, "temporal", 2, 0, 32),
    (0, "auto", 1, 0, 18),
    (1, "spatial", 3, 1, 30),
    (1, "temporal", 1, 1, 20),
    (0, "spatial", 1, 1, 40),
]


def busy_frames(n: int, seed: int) -> NDArray[np.uint8]:
    """A panning picture with noise, and squares that move their own way."""
    clip_files = pytest.importorskip("clip_files", reason="needs PyAV")
    rng = np.random.default_rng(seed)
    width, height = 96, 80
    frames = clip_files.pan(n, width, height, seed).astype(int)
    frames += rng.integers(-12, 13, frames.shape)
    for _ in range(4):
        colour = rng.integers(0, 256, 3)
        x, y = int(rng.integers(width)), int(rng.integers(height))
        dx, dy = rng.integers(-5, 6, 2).tolist()
        for i in range(n):
            left, top = (x + dx * i) % (width - 8), (y + dy * i) % (height - 8)
            frames[i, top : top + 11, left : left + 13] = colour
    return frames.clip(0, 255).astype(np.uint8)


def has_cabac(stream: WrittenStream) -> bool:
    return bool(stream.values("end_of_slice_flag"))


def test_walks_over_fields_come_back_from_cabac() -> None:
    types: Counter[str] = Counter()
    for seed in range(N_WALKS):
        stream = write_random_stream(seed)
        if has_cabac(stream) or 1 in stream.values("redundant_pic_cnt_present_flag"):
            continue  # the latter is of Baseline only, which has no CABAC
        cabac, counts = _core.recode_avc(stream.data, cabac=True, cabac_init_idc=seed % 3)
        # Noise may be dearer by CABAC.
        verdict = pcl.check(cabac)
        assert verdict or verdict.code == "macroblock_bits", verdict.message
        cavlc, _ = _core.recode_avc(cabac, cabac=False)
        again, counts_again = _core.recode_avc(cavlc, cabac=True, cabac_init_idc=seed % 3)
        assert again == cabac
        assert counts_again == counts
        verdict = pcl.check(cavlc)
        # P_8x8ref0, which CABAC does not have, comes back as P_8x8, which is longer.
        assert verdict or verdict.code == "macroblock_bits", verdict.message
        types.update({name: n for name, n in counts.items() if "type" in name})
    assert {name for name in types if re.match("I mb", name)} == {
        f"I mb_type {i}" for i in range(26)
    }
    assert {f"P mb_type {i}" for i in (0, 1, 2, 3, 5, 30)} <= {*types}
    assert {f"P sub_mb_type {i}" for i in range(4)} <= {*types}


def test_cavlc_is_written_as_it_was_read() -> None:
    for seed in range(10):
        stream = write_random_stream(seed)
        assert _core.recode_avc(stream.data, cabac=has_cabac(stream))[0] == stream.data


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_of_libx264_stay_the_same(kind: tuple[int, str, int, int, int]) -> None:
    avc_pixels = pytest.importorskip("avc_pixels", reason="needs PyAV")
    t, direct, slices, cabac, qp = kind
    params = X264.format(t=t, direct=direct, slices=slices, cabac=cabac)
    frames = busy_frames(9, seed=qp)
    stream = avc_pixels.x264_stream(frames, **{"x264-params": params}, qp=str(qp), preset="slow")
    pictures = avc_pixels.frame_hashes(stream)
    assert len(pictures) == len(frames)
    for cabac_init_idc in range(3):
        to_cabac, counts = _core.recode_avc(stream, cabac=True, cabac_init_idc=cabac_init_idc)
        to_cavlc, _ = _core.recode_avc(to_cabac, cabac=False)
        assert avc_pixels.frame_hashes(to_cabac) == pictures
        assert avc_pixels.frame_hashes(to_cavlc) == pictures
        assert counts["B mb_type 22"] > 0
        assert (counts["8x8 transforms"] > 0) == bool(t)
        # Half of its pictures libx264 marks in bits that nothing decodes.
        assert cabac or counts["marked slices"] == 0


def test_what_is_not_in_scope_is_named() -> None:
    groups = nal(0x68, "1", "1", "0", "0", "010", "1" * 40)
    for data, message in (
        (b"no stream", "has no start code"),
        (b"\0\0\1" + sps() + b"\0\0\1" + groups, "slice groups"),
        (b"\0\0\1" + idr(), "a picture parameter set is missing"),
        (b"\0\0\1" + pps() + b"\0\0\1" + idr(), "a sequence parameter set is missing"),
        (HEAD + b"\0\0\1" + b"\x42\x88", "data partitioning"),
        (HEAD + b"\0\0\1" + idr()[:-1], "ends too early"),
        (b"\0\0\1" + sps() + b"\0\0\0\3", "00 00 00"),
    ):
        with pytest.raises(UsageError, match=message):
            _core.recode_avc(data, cabac=True)
    with pytest.raises(UsageError, match="cabac_init_idc must be 0, 1 or 2"):
        _core.recode_avc(STREAM, cabac=True, cabac_init_idc=3)


def test_a_unit_that_ends_with_zeros_stays_one() -> None:
    stream = HEAD + b"\0\0\3" + START + idr()
    once, _ = _core.recode_avc(stream, cabac=False)
    assert once == stream


def test_the_profile_becomes_one_that_has_cabac() -> None:
    cabac, counts = _core.recode_avc(STREAM, cabac=True)
    assert cabac[5:7] == bytes([77, 0x40])
    assert counts["slices"] == 2
    assert pcl.check(cabac)
