"""B slices with CAVLC: streams of libx264, each byte in its mask, and the same verdict however they
are read."""

import random

import pytest
from cursor_walks import members

import pycodec_lm as pcl
from pycodec_lm import _core
from pycodec_lm.avc_grammar import AvcGrammar
from pycodec_lm.bench.avc_field_walk import write_random_stream
from pycodec_lm.bench.avc_motion import inter_kinds, motion_differences
from pycodec_lm.inspect import inspect_h264
from pycodec_lm.inspect.avc_model import MB_TYPES

from .streams import LONG_START, START, judged_alike, nal, se, ue
from .test_recode import busy_frames

PARAMS = (
    "cabac=0:bframes=4:b-adapt=0:direct={}:b-pyramid=normal:{}:partitions=all:me=umh:subme=9"
    ":keyint=20"
)
KINDS = [
    ("spatial", "slices=1"),
    ("spatial", "slices=3:ref=4"),
    ("temporal", "weightb=0:8x8dct=0"),
    ("temporal", "ref=4:slices=2"),
    ("auto", "level=22"),
]
GRAMMAR = AvcGrammar(portable=False)
N_FRAMES = 14
N_B_WALKS = 60


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: "-".join(kind))
def stream(request: pytest.FixtureRequest) -> bytes:
    avc_pixels = pytest.importorskip("avc_pixels", reason="needs PyAV")
    direct, other = request.param
    data: bytes = avc_pixels.x264_stream(
        busy_frames(N_FRAMES, seed=5),
        **{"x264-params": PARAMS.format(direct, other)},
        qp="28",
        preset="slow",
        profile="high",
    )
    return data


def test_streams_of_libx264_are_valid_and_their_vectors_are_libavcodecs(stream: bytes) -> None:
    verdict = pcl.check(stream)
    assert verdict.valid, verdict.message
    assert verdict.notes == (f"{N_FRAMES} pictures",)
    kinds = inter_kinds(stream)
    assert kinds["B_Skip"] > 0 and kinds["B 8x8, direct"] > 0
    width_mbs = inspect_h264(stream).pictures[0].width_mbs
    n_same, differences = motion_differences(stream, width_mbs)
    assert n_same > 1000 and differences == []


def test_each_byte_is_in_the_mask_of_its_place(stream: bytes) -> None:
    cursor = _core.AvcCursor(GRAMMAR)
    rng = random.Random(len(stream))
    for byte in stream:
        if rng.random() < 0.2:
            assert byte in members(cursor.allowed()), cursor.describe()
        assert cursor.push(bytes([byte]))
    assert cursor.is_complete()


def test_whole_units_and_bytes_are_judged_alike(stream: bytes) -> None:
    rng = random.Random(11)
    n_valid = 0
    for _ in range(100):
        mutant = bytearray(stream)
        mutant[rng.randrange(len(mutant))] ^= 1 << rng.randrange(8)
        n_valid += judged_alike(bytes(mutant))
    assert n_valid < 80


def test_masks_are_the_bytes_that_are_accepted(stream: bytes) -> None:
    rng = random.Random(3)
    cursor = _core.AvcCursor(GRAMMAR)
    for at in sorted(rng.randrange(len(stream)) for _ in range(25)):
        cursor.push(stream[cursor.offset : at])
        allowed = {*members(cursor.allowed())}
        accepted = {byte for byte in range(256) if cursor.copy().push(bytes([byte]))}
        assert allowed == accepted, cursor.describe()


def test_endings_inside_b_slices_are_exact(stream: bytes) -> None:
    rng = random.Random(4)
    for at in (rng.randrange(len(stream)) for _ in range(25)):
        cursor = _core.AvcCursor(GRAMMAR)
        assert cursor.push(stream[:at])
        n_bytes = cursor.bytes_to_complete()
        ending = cursor.complete()
        assert len(ending) == n_bytes
        assert cursor.push(ending) and cursor.is_complete()


def test_the_inspector_names_macroblocks_of_b_slices(stream: bytes) -> None:
    names = {
        MB_TYPES[kind]
        for picture in inspect_h264(stream).pictures
        for kind in picture.mb_types.tolist()
    }
    assert {"B_Skip", "B_8x8"} <= names
    assert MB_TYPES.index("B_Bi_Bi_8x16") == 32 + 21 and MB_TYPES.index("B_Skip") == 55


def test_random_b_slices_reach_every_kind_of_macroblock() -> None:
    kinds: set[str] = set()
    for seed in range(N_B_WALKS):
        kinds |= {*inter_kinds(write_random_stream(seed, portable=False).data)}
    assert {kind for kind in kinds if kind.startswith("B")} >= {
        "B_Skip",
        "B direct",
        "B 16x16 Bi",
        "B 16x8 Bi Bi",
        "B 8x16 L1 L0",
        "B 8x8, direct",
        "B 8x8, 4x4 Bi",
    }


def _stream(profile_idc: int, order: str, inference: int, b_order: str) -> bytes:
    """Two macroblocks: an IDR picture, and a B picture that is all skipped."""
    head = f"{profile_idc:08b}" + "00000000" + f"{10:08b}"
    chroma = (ue(1), ue(0), ue(0), "0", "0") if profile_idc == 100 else ()
    size = (ue(1), "0", ue(1), ue(0), "1", str(inference), "0", "0")
    sps = nal(0x67, head, ue(0), *chroma, ue(0), order, *size)
    pps = nal(0x68, ue(0), ue(0), "0", "0", ue(0), ue(0), ue(0), "0", "00", *[se(0)] * 3, "000")
    grey = ue(3) + ue(0) + se(0) + "1"
    idr_order = "0" * len(b_order)
    idr = nal(0x65, ue(0), ue(7), ue(0), "0000", ue(0), idr_order, "0", "0", se(0), grey, grey)
    lists = ("1", "0", "0", "0")  # spatial direct prediction, no override, no modifications
    b = nal(0x41, ue(0), ue(6), ue(0), "0001", b_order, *lists, "0", se(0), ue(2))
    return LONG_START + sps + LONG_START + pps + START + idr + LONG_START + b


@pytest.mark.parametrize(
    ("profile_idc", "order", "inference", "b_order", "element"),
    [
        (77, ue(0) + ue(0), 1, "0010", None),
        (77, ue(0) + ue(0), 0, "0010", None),
        (77, ue(2), 1, "", "slice_type"),  # openh264 has no order counts then
        (100, ue(0) + ue(0), 1, "0010", None),
        (100, ue(0) + ue(0), 0, "0010", "direct_8x8_inference_flag"),
    ],
)
def test_portable_b_slices_are_those_that_openh264_reads(
    profile_idc: int, order: str, inference: int, b_order: str, element: str | None
) -> None:
    stream = _stream(profile_idc, order, inference, b_order)
    assert pcl.check(stream), pcl.check(stream).message
    status = _core.AvcCursor(AvcGrammar()).push(stream)
    if element is None:
        assert status, status.message
    else:
        assert (status.code, status.element) == ("not_in_grammar", element)
