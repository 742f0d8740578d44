"""Keywords of `AvcGrammar`: walks over their masks, from the first byte on, read by libavcodec."""

import io
import random
import struct
from typing import Any

import av
import pytest
from cursor_walks import members, walk_from
from vectors.avc_assemble import AvcSpeller, assemble

import pycodec_lm as pcl
from pycodec_lm import AvcGrammar, UsageError, _core
from pycodec_lm.avc_profiles import PROFILES

from .streams import GREY, HEAD, LONG_START, START, idr, nal, pps, se, sps, ue

ALL = {
    "width": 36,
    "height": 20,
    "frames": 2,
    "profile": "baseline",
    "slices": "picture",
    "qp": 30,
    "level": "1.1",
}
COMBINATIONS: list[dict[str, Any]] = [
    {},
    ALL,
    {**ALL, "slices": "macroblock", "profile": "main", "qp": 0},
    {**ALL, "slices": "any", "profile": "high", "qp": 51, "level": 9},
    {**ALL, "portable": False},
    *({name: value} for name, value in ALL.items()),
    {"portable": False, "width": 20, "qp": 22},
    {"width": 178, "height": 144, "level": "1.1"},  # too large for levels 1 and 1b
    {"height": 34, "frames": 3, "level": "1b"},
    {"profile": "baseline", "level": "1b", "qp": 40},
    {"profile": "main", "level": 5.2, "slices": "macroblock"},
    {"profile": "high", "level": 40, "width": 48, "frames": 1},
]
_LEVELS: dict[str | int | float, int] = {"1.1": 11, "1b": 9, 9: 9, 5.2: 52, 40: 40}
_BYTES = pcl.TokenizerInfo([bytes([b]) for b in range(256)] + [b""], stop_token_ids=[256])


@pytest.fixture(params=COMBINATIONS, ids=str)
def keywords(request: pytest.FixtureRequest) -> dict[str, Any]:
    return {**request.param}


@pytest.mark.parametrize("seed", range(2))
def test_walks_have_what_was_asked_for(keywords: dict[str, Any], seed: int) -> None:
    stream = _walk(AvcGrammar(**keywords), seed)
    verdict = pcl.check(stream)
    assert verdict.valid, verdict.message
    if "frames" in keywords:
        assert verdict.notes == (f"{keywords['frames']} pictures",)
    if not keywords.get("portable", True):
        return  # libavcodec drops pictures, and shows other sizes
    _check_head(stream, keywords)
    frames = _decoded(stream)
    assert len(frames) == keywords.get("frames", len(frames))
    for frame in frames:
        assert frame.width == keywords.get("width", frame.width)
        assert frame.height == keywords.get("height", frame.height)
        if "qp" in keywords:
            # 0 where libavcodec has the QP of an I_PCM macroblock.
            assert {*_quantizers(frame)} <= {0, keywords["qp"]}


def _walk(grammar: AvcGrammar, seed: int) -> bytes:
    """A random stream, of bytes that the mask allows, within twice the bytes of the shortest."""
    rng = random.Random(seed)
    compiled = pcl.compile_grammar(grammar, _BYTES)
    n_least = pcl.GrammarMatcher(compiled).min_tokens_to_complete()
    matcher = pcl.GrammarMatcher(compiled, max_tokens=2 * n_least + 10 * seed)
    bitmask = pcl.allocate_token_bitmask(1, _BYTES.vocab_size)
    stream = bytearray()
    while not matcher.is_terminated():
        matcher.fill_next_token_bitmask(bitmask)
        allowed = [t for t in range(257) if bitmask[0, t // 32] >> t % 32 & 1]
        token = rng.choice(allowed)
        assert matcher.accept_token(token)
        if token < 256:
            stream.append(token)
    return bytes(stream)


def _decoded(stream: bytes) -> list[av.VideoFrame]:
    with av.open(io.BytesIO(stream), format="h264") as container:
        container.streams.video[0].codec_context.options = {
            "err_detect": "explode",
            "export_side_data": "venc_params",
        }
        return list(container.decode(video=0))


def _quantizers(frame: av.VideoFrame) -> list[int]:
    """QP_Y of each macroblock, from AVVideoEncParams (libavutil/video_enc_params.h)."""
    (params,) = (bytes(data) for data in frame.side_data if data.type.name == "VIDEO_ENC_PARAMS")
    n_blocks, offset, size, _, qp = struct.unpack_from("@INNii", params)
    return [qp + struct.unpack_from("@5i", params, offset + i * size)[4] for i in range(n_blocks)]


def _check_head(stream: bytes, keywords: dict[str, Any]) -> None:
    assert stream.startswith(LONG_START)
    profile_idc, flags, level_idc = stream[5:8]
    if "profile" in keywords:
        assert PROFILES[profile_idc] == keywords["profile"]
        assert profile_idc != 66 or flags & 0x40
    if "level" in keywords:
        read_as = 9 if profile_idc != 100 and flags & 0x10 else level_idc
        assert read_as == _LEVELS[keywords["level"]]


@pytest.mark.parametrize("seed", range(2))
def test_headers_have_no_dead_end(keywords: dict[str, Any], seed: int) -> None:
    rng = random.Random(seed)
    cursor = _core.AvcCursor(AvcGrammar(**keywords))
    for _ in range(100):
        allowed = members(cursor.allowed())
        assert allowed == [b for b in range(256) if cursor.copy().push(bytes([b]))]
        if cursor.is_complete() or cursor.n_pictures:
            break
        assert allowed, cursor.describe()
        assert cursor.push(bytes([rng.choice(allowed)]))


def test_without_references_portable_pictures_are_references() -> None:
    items: list[Any] = [{"SPS": {"max_num_ref_frames": 0}}, "PPS", {"IDR": {"start": 2}}]
    start = assemble(AvcSpeller().spell(items)).data + LONG_START
    for portable in (False, True):
        cursor = _core.AvcCursor(AvcGrammar(portable=portable))
        assert cursor.push(start)
        assert (0x01 in members(cursor.allowed())) == (not portable)
        assert 0x21 in members(cursor.allowed())


def test_a_stream_does_not_end_before_it_has_its_frames() -> None:
    start = HEAD + START + idr() + LONG_START + b"\x0b"  # the end of the stream
    assert _core.AvcCursor(AvcGrammar(portable=False)).push(start)
    assert not _core.AvcCursor(AvcGrammar(portable=False, frames=2)).push(start)


@pytest.mark.parametrize(
    ("sps_id", "weighted_bipred_idc", "redundant_pic_cnt_present", "extension"),
    [(1, 0, 0, ""), (0, 1, 0, ""), (0, 0, 1, ""), (0, 0, 0, "00" + se(0))],
)
def test_the_only_pps_is_one_that_slices_can_use(
    sps_id: int, weighted_bipred_idc: int, redundant_pic_cnt_present: int, extension: str
) -> None:
    picture_set = nal(
        0x68, ue(0), ue(sps_id), "00", ue(0), ue(0), ue(0), "0", f"{weighted_bipred_idc:02b}",
        se(0), se(0), se(0), "00", str(redundant_pic_cnt_present), extension,
    )  # fmt: skip
    head = LONG_START + sps() + LONG_START + picture_set + START
    status = _core.AvcCursor(AvcGrammar()).push(head)
    assert status.code == "not_in_grammar"
    assert _core.AvcCursor(AvcGrammar(portable=False)).push(head)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"width": 35}, "width must be even, 2 to 16880, not 35"),
        ({"height": 0}, "height must be even, 2 to 16880, not 0"),
        ({"width": 16882}, "width must be even, 2 to 16880, not 16882"),
        ({"width": 16880, "height": 16880}, "no level has pictures of this width and height"),
        (
            {"width": 1920, "height": 1080, "level": "3.1"},
            "the level has no pictures of this width and height",
        ),
        ({"frames": 0}, "frames must be at least 1"),
        ({"profile": "extended"}, "profile 'extended' is not one of baseline, main, high"),
        ({"slices": "row"}, "slices 'row' is not one of any, picture, macroblock"),
        ({"qp": 52}, "qp must be 0 to 51, not 52"),
        ({"qp": -1}, "qp must be 0 to 51, not -1"),
        ({"level": "1.4"}, "level '1.4' is not one of 1, 1b, 1.1"),
        ({"level": 29}, "level 29 is not one of 1, 1b, 1.1"),
    ],
)
def test_wrong_keywords_are_refused(keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"^{message}"):
        AvcGrammar(**keywords)


def test_a_grammar_of_keywords_can_be_stored(keywords: dict[str, Any]) -> None:
    grammar = AvcGrammar(**keywords)
    again = AvcGrammar.deserialize(grammar.serialize())
    assert repr(again) == repr(grammar)
    assert _core.AvcCursor(again).complete() == _core.AvcCursor(grammar).complete()


def test_a_sample_whose_order_counts_do_not_reach_so_far_is_named() -> None:
    # Order counts of 4 bits, and P pictures that are no references: within 8 of the IDR picture.
    p = nal(0x01, ue(0), ue(5), ue(0), "0001", "0010", "00", se(0), ue(2))
    idr_picture = nal(0x65, ue(0), ue(7), ue(0), "0000", ue(0), "0000", "0", "0", se(0), GREY, GREY)
    head = LONG_START + sps(order=ue(0) + ue(0)) + LONG_START + pps()
    clip = head + START + idr_picture + LONG_START + p
    most = AvcGrammar.like(clip, frames=9)
    cursor = _core.AvcCursor(most)
    assert cursor.push(cursor.complete()) and cursor.n_pictures == 9
    for frames in (10, 11, 1000):
        with pytest.raises(pcl.UsageError, match=f"has {frames} frames: their picture order count"):
            AvcGrammar.like(clip, frames=frames)


@pytest.mark.parametrize("slices", ["any", "picture", "macroblock"])
@pytest.mark.parametrize("seed", range(4))
def test_no_ending_is_longer_than_its_bound(slices: str, seed: int) -> None:
    grammar = AvcGrammar(width=48, height=32, frames=3, slices=slices)
    start = _core.AvcCursor(grammar)
    budget = 6 * start.bytes_to_complete()
    for cursor, _ in walk_from(start, seed, budget, n_tries=2):
        n_bytes = cursor.bytes_to_complete()
        assert n_bytes <= cursor.ending_bound(0) <= cursor.ending_bound(1) < 8192
