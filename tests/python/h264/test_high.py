"""Weighted prediction and the 8x8 transform with CAVLC, as libx264 writes them."""

import random
from collections import Counter

import pytest
from cursor_walks import members

import pycodec_lm as pcl
from pycodec_lm import _core
from pycodec_lm.avc_grammar import AvcGrammar
from pycodec_lm.inspect import inspect_h264

from .streams import judged_alike
from .test_recode import busy_frames

PARAMS = "bframes=0:cabac=0:8x8dct=1:weightp=1:ref=1:partitions=all:keyint=9:me=umh:subme=9"


@pytest.fixture(scope="module", params=[18, 30])
def stream(request: pytest.FixtureRequest) -> bytes:
    avc_pixels = pytest.importorskip("avc_pixels", reason="needs PyAV")
    frames = busy_frames(9, seed=request.param) // 2
    for i, frame in enumerate(frames):
        frame += 12 * i  # so that weights pay
    data: bytes = avc_pixels.x264_stream(
        frames, **{"x264-params": PARAMS}, qp=str(request.param), preset="slow"
    )
    return data


def _elements(stream: bytes) -> Counter[str]:
    return Counter(field.element for nal in inspect_h264(stream).nal_units for field in nal.fields)


def test_streams_of_libx264_are_valid(stream: bytes) -> None:
    verdict = pcl.check(stream)
    assert verdict.valid, verdict.message
    _, counts = _core.recode_avc(stream, cabac=False)
    assert counts["8x8 transforms"] > 0
    assert _elements(stream)["luma_weight_l0"] > 0


def test_each_byte_is_in_the_mask_of_its_place(stream: bytes) -> None:
    grammar = AvcGrammar.like(stream)
    cursor = _core.AvcCursor(grammar)
    assert cursor.push(grammar.header)
    rng = random.Random(len(stream))
    for byte in stream[len(grammar.header) :]:
        if rng.random() < 0.2:
            assert byte in members(cursor.allowed())
        assert cursor.push(bytes([byte]))
    assert cursor.is_complete()


def test_whole_units_and_bytes_are_judged_alike(stream: bytes) -> None:
    rng = random.Random(7)
    n_valid = 0
    for _ in range(400):
        mutant = bytearray(stream)
        mutant[rng.randrange(len(mutant))] ^= 1 << rng.randrange(8)
        n_valid += judged_alike(bytes(mutant))
    assert n_valid < 200
