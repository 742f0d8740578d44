"""Streams for these tests: the smallest, some of x264's, and hostile ones."""

from clip_files import pan
from vectors.avc_assemble import AvcSpeller, assemble

from pycodec_lm.codecs.avc import AvcSettings, encode

from ..h264.streams import (
    GREY,
    HEAD,
    LONG_START,
    START,
    STREAM,
    idr,
    nal,
    p_picture,
    pps,
    se,
    sps,
    ue,
)


def clip(**settings: object) -> bytes:
    form = AvcSettings(**({"width": 64, "height": 48, "frames": 3, "qp": 20} | settings))
    return encode(pan(form.frames, form.width, form.height), form)


def pcm_stream() -> bytes:
    """A PCM macroblock, and a grey one whose quantizer is 3 more than that of the slice."""
    header_bits = 1 + 7 + 1 + 4 + 1 + 2 + 1
    alignment = "0" * (-(header_bits + len(ue(25))) % 8)
    # Beside 16 coefficients a block, none is 000011 (Table 9-5).
    grey = ue(3) + ue(0) + se(3) + "000011"
    return HEAD + START + idr(ue(25) + alignment + "00000001" * 384, grey)


def large_stream(n_pictures: int) -> bytes:
    """As many macroblocks as level 6.2 allows: grey, then skipped in a few bytes."""
    width, height = 1055, 132
    head = f"{66:08b}" + "11000000" + f"{62:08b}" + ue(0) + ue(0) + ue(2) + ue(1) + "0"
    large_sps = nal(0x67, head, ue(width - 1), ue(height - 1), "1", "1", "0", "0")
    skipped = (
        LONG_START + p_picture(ue(width * height), frame_num=i % 16) for i in range(1, n_pictures)
    )
    first = LONG_START + large_sps + LONG_START + pps() + START
    return first + idr(GREY * (width * height)) + b"".join(skipped)


def high_stream() -> bytes:
    """Weights, and macroblocks of both slices with the 8x8 transform."""
    modes = "transform_size_8x8_flag:1 4*prev_intra8x8_pred_mode_flag:1"
    intra = f"mb_type:0 {modes} intra_chroma_pred_mode:0 coded_block_pattern:3"
    motion = "mb_type:0 mvd_l0[0]:1 mvd_l0[1]:-1 coded_block_pattern:2"
    inter = f"{motion} transform_size_8x8_flag:1 mb_qp_delta:0 4*coeff_token=1"
    weights = {"luma_weight_l0_flag": 1, "luma_weight_l0": 3, "luma_offset_l0": -1}
    items = [
        {"SPS": {"profile_idc": 100, "constraint_set_flags": 0}},
        {"PPS": {"weighted_pred_flag": 1, "transform_8x8_mode_flag": 1}},
        {"IDR": {"data": [intra, "GREY"]}},
        {"P": weights | {"data": [inter, "mb_skip_run:1"]}},
    ]
    return assemble(AvcSpeller().spell(items)).data


FILES = {
    "small": STREAM,
    "high": high_stream(),
    "pcm": pcm_stream(),
    "slices": b"".join(
        [
            *(HEAD, START, idr(), LONG_START, p_picture(ue(1))),
            *(START, p_picture(ue(1), first_mb=1)),
        ]
    ),
    "x264": clip(),
    "x264, cropped": clip(width=50, height=38),
    "x264, a slice a macroblock": clip(width=32, height=32, slices="macroblock"),
    "x264, fine": clip(width=32, height=32, frames=2, qp=1),
    "zeros": bytes(20) + STREAM + bytes(1000),
    "ignored": HEAD + START + idr() + START + b"\x18</script>\0<b>" + LONG_START + p_picture(),
    "large": large_stream(5),
    "10,000 parameter sets": HEAD + (LONG_START + pps()) * 10_000 + STREAM[len(HEAD) :],
    "10,000 pictures": STREAM
    + b"".join(LONG_START + p_picture(frame_num=n % 16) for n in range(2, 10_000)),
    "zeros that do not end": STREAM + bytes(300_000),
}

CABAC_FILES = {
    "high, B": clip(profile="high", b_frames=1, frames=4),
    "main, a slice a macroblock": clip(width=32, height=32, profile="main", slices="macroblock"),
}

HOSTILE = {
    "start code": LONG_START,
    "half a header": STREAM[:12],
    "no slice": HEAD,
    "no such type": HEAD + START + idr() + LONG_START + p_picture(ue(0) + ue(40)),
    "half a slice": HEAD + START + idr(GREY),
    "half a large picture": large_stream(1)[:100_000],
    "emulation prevention": HEAD + START + b"\x06\4\xff" + b"\0\0\3" * 100_000,
    "zeros and then an error": STREAM + bytes(300_000) + b"\7",
    "text in a message": HEAD + LONG_START + b"\x06\4\xff\xff\xff\xff\x10" + b"<i>" * 300,
    "a picture is missing": HEAD + LONG_START + p_picture() + sps(),
}
