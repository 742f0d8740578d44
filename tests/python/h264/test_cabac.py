"""CABAC in the cursor: what is accepted, masked, ended and refused, bit by bit and whole."""

import itertools
import random
from collections.abc import Callable

import pytest

import pycodec_lm as pcl
from pycodec_lm import _core
from pycodec_lm.avc_grammar import AvcGrammar
from pycodec_lm.bench.avc_field_walk import write_random_stream

STANDARD = AvcGrammar(portable=False)
LOWEST, HIGHEST = -(1 << 31), (1 << 32) - 1
# One macroblock of the main profile by CABAC.
FIELDS = {
    "profile_idc": 77,
    "constraint_set_flags": 0,
    "level_idc": 10,
    "max_num_ref_frames": 1,
    "pic_order_cnt_type": 2,
    "pic_width_in_mbs_minus1": 0,
    "pic_height_in_map_units_minus1": 0,
    "frame_mbs_only_flag": 1,
    "direct_8x8_inference_flag": 1,
    "entropy_coding_mode_flag": 1,
    "slice_type": 2,
    "nal_ref_idc": 1,
}


def write(**wanted: int) -> bytes:
    """A stream of one I picture: of each field the value wanted, else the one nearest to 0."""
    values = FIELDS | wanted
    writer = _core.AvcWriter(STANDARD)
    units = [7, 8, 5]
    while units or not writer.is_between_units():
        if writer.is_between_units():
            unit = units.pop(0)
            assert writer.write_start_code(3) or writer.write_start_code(2)
            continue
        if writer.may_end_unit():
            writer.end_unit()
            continue
        element = writer.field()[0]
        value = unit if element == "nal_unit_type" else values.get(element, 0)
        nearest = writer.lowest_legal(value, HIGHEST)
        if nearest is None:
            nearest = writer.highest_legal(LOWEST, value)
        assert nearest is not None, writer.describe()
        status = writer.write(nearest)
        assert status, status.message
    return writer.to_bytes()


def is_allowed(cursor: _core.AvcCursor, byte: int) -> bool:
    return bool(cursor.allowed()[byte >> 3] >> (byte & 7) & 1)


def walks(n: int) -> list[bytes]:
    """Streams of field walks that came out with CABAC."""
    streams = (write_random_stream(seed) for seed in itertools.count())
    cabac = (stream.data for stream in streams if stream.values("end_of_slice_flag"))
    return list(itertools.islice(cabac, n))


def recoded(n: int) -> list[bytes]:
    """The others with the other entropy coder."""
    streams = (write_random_stream(seed) for seed in itertools.count(100))
    cavlc = (
        stream.data
        for stream in streams
        if not stream.values("end_of_slice_flag")
        and 1 not in stream.values("redundant_pic_cnt_present_flag")
    )
    cabac = (
        _core.recode_avc(data, cabac=True, cabac_init_idc=i % 3)[0] for i, data in enumerate(cavlc)
    )
    # Noise may be dearer by CABAC than a macroblock may be.
    return list(itertools.islice((x for x in cabac if pcl.check(x).code != "macroblock_bits"), n))


@pytest.mark.parametrize("make", [walks, recoded])
def test_streams_are_accepted_whole_and_in_pieces(make: Callable[[int], list[bytes]]) -> None:
    rng = random.Random(3)
    for data in make(12):
        assert pcl.check(data), pcl.check(data).message
        cursor = _core.AvcCursor(STANDARD)
        for at, byte in enumerate(data):
            if rng.random() < 0.05:
                assert is_allowed(cursor, byte), (at, cursor.describe())
            assert cursor.push(bytes([byte]))
        assert cursor.is_complete()


def test_endings_are_valid_and_no_byte_of_them_makes_them_longer() -> None:
    rng = random.Random(4)
    n_states = 0
    for data in walks(8):
        for end in sorted(rng.sample(range(60, len(data)), 6)):
            cursor = _core.AvcCursor(STANDARD)
            assert cursor.push(data[:end])
            n_bytes = cursor.bytes_to_complete()
            ending = cursor.complete()
            assert len(ending) == n_bytes
            for i, byte in enumerate(ending[:60]):
                assert cursor.bytes_to_complete() <= n_bytes - i
                assert cursor.push(bytes([byte]))
            assert cursor.push(ending[60:])
            assert cursor.is_complete()
            n_states += 1
    assert n_states > 20


def test_a_code_does_not_begin_with_510_or_511() -> None:
    data = write()
    cursor = _core.AvcCursor(STANDARD)
    n = 0
    while not cursor.describe().startswith("before mb_type"):
        assert cursor.push(data[n : n + 1])
        n += 1
    assert is_allowed(cursor, 0b11111110)  # up to 509
    assert not is_allowed(cursor, 0b11111111)
    verdict = pcl.check(data[:n] + b"\xff")
    assert verdict.code == "cabac_start"
    assert verdict.clause == "H.264 9.3.1.2"


def test_the_bit_that_libx264_sets_behind_the_stop_bit_is_let_pass() -> None:
    data = next(stream for qp in range(26) if not (stream := write(slice_qp_delta=qp))[-1] & 1)
    marked = data[:-1] + bytes([data[-1] | 1])
    assert pcl.check(data)
    assert pcl.check(marked)
    cursor = _core.AvcCursor(AvcGrammar())
    assert not cursor.push(marked)
    # No other bit may be set there.
    stop = data[-1] & -data[-1]
    if stop > 4:
        assert pcl.check(data[:-1] + bytes([data[-1] | stop >> 1])).code in {
            "rbsp_trailing_bits",
            "truncated",
        }


def dense(coeff_abs_level_minus1: int = 0) -> bytes:
    """All coefficients coded, which takes more bins than the bytes allow."""
    return write(
        mb_type=0,
        coded_block_pattern=47,
        coded_block_flag=1,
        significant_coeff_flag=1,
        last_significant_coeff_flag=0,
        coeff_abs_level_minus1=coeff_abs_level_minus1,
        prev_intra4x4_pred_mode_flag=1,
    )


def test_pictures_of_many_bins_end_with_zero_words() -> None:
    data = dense()
    words = 0
    while data.endswith(b"\0\0\3" * (words + 1)):
        words += 1
    assert words > 0
    assert pcl.check(data)
    assert pcl.check(data + b"\0\0\3")
    missing = data[:-3]
    cursor = _core.AvcCursor(STANDARD)
    assert cursor.push(missing)
    assert not cursor.is_complete()
    assert cursor.complete() == b"\0\0\3"
    assert not cursor.push(b"\0\0\1")
    verdict = pcl.check(missing + b"\0\0\1")
    assert verdict.code == "bin_count"
    assert verdict.clause == "H.264 7.4.2.10"


def test_pcm_macroblocks_begin_another_code() -> None:
    data = write(mb_type=25, pcm_sample_luma=77, pcm_sample_chroma=200)
    assert pcl.check(data)
    assert bytes([77] * 256 + [200] * 128) in data
    cursor = _core.AvcCursor(STANDARD)
    for byte in data:
        assert is_allowed(cursor, byte)
        assert cursor.push(bytes([byte]))
    assert cursor.is_complete()


def test_macroblocks_have_no_more_than_3200_bits() -> None:
    # Levels as large as they may be, until the macroblock has no room for more.
    data = dense(coeff_abs_level_minus1=(1 << 16) - 1)
    assert pcl.check(data)
    assert len(data) < 3200 // 8 + 60
    cursor = _core.AvcCursor(STANDARD)
    for byte in data:
        assert is_allowed(cursor, byte)
        assert cursor.push(bytes([byte]))


def test_wrong_bytes_are_refused_where_the_mask_says() -> None:
    rng = random.Random(5)
    codes = set()
    for data in walks(6):
        places = sorted(rng.sample(range(40, len(data)), 12))
        cursor = _core.AvcCursor(STANDARD)
        at = 0
        for place in places:
            assert cursor.push(data[at:place])
            at = place
            for byte in range(256):
                copy = cursor.copy()
                status = copy.push(bytes([byte]))
                assert bool(status) == is_allowed(cursor, byte), (place, byte, cursor.describe())
                if not status:
                    codes.add(status.code)
    assert codes - {"rbsp_trailing_bits"}


def test_no_macroblock_of_a_short_stream_is_said_to_be_too_long() -> None:
    """What leads nowhere is wrong for the reason that stands behind it."""
    rng = random.Random(8)
    codes = set()
    for data in (data for data in walks(8) if len(data) < 3200 // 8):
        for _ in range(60):
            mutant = bytearray(data)
            mutant[rng.randrange(30, len(data))] ^= 1 << rng.randrange(8)
            codes.add(pcl.check(bytes(mutant)).code)
    assert {"intra_pred_mode", "end_of_slice"} <= codes
    assert "macroblock_bits" not in codes


def test_a_slice_does_not_go_on_behind_the_last_macroblock() -> None:
    data = write()
    codes = {
        pcl.check(data[:-n] + bytes([byte, 0x55, 0xAA, 0x55])).code
        for n in (1, 2, 3)
        for byte in range(256)
    }
    assert "end_of_slice" in codes
