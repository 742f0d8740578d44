"""The trace of a stream: against values checked by hand, the cursor, the check, decoded frames."""

from bisect import bisect_right

import numpy as np
import pytest

import pycodec_lm as pcl
from pycodec_lm import _core
from pycodec_lm.avc_grammar import AvcGrammar
from pycodec_lm.codecs.avc import decode, to_mp4
from pycodec_lm.inspect import AvcInspection, inspect_h264
from pycodec_lm.inspect.avc_frames import frame_uris
from pycodec_lm.inspect.avc_model import MB_TYPES

from .avc_samples import CABAC_FILES, FILES, HOSTILE
from .samples import damaged

NAMES = [name for name, _ in _core.ELEMENTS]
STREAM = FILES["small"]


def symbols_of(found: AvcInspection) -> list[tuple[str, int, int, int, int]]:
    return [
        (
            NAMES[row["element"]],
            int(8 * row["byte"] + row["bit"]),
            row["n_bits"],
            row["value"],
            row["mb"],
        )
        for row in found.symbols
    ]


def test_nal_units_of_a_stream_written_by_hand() -> None:
    found = inspect_h264(STREAM)
    assert [
        (nal.name, nal.start, nal.offset, nal.n_bytes, nal.nal_ref_idc) for nal in found.nal_units
    ] == [
        ("SPS", 0, 4, 7, 3),
        ("PPS", 11, 15, 4, 3),
        ("IDR", 19, 22, 6, 3),
        ("slice", 28, 32, 4, 2),
    ]
    header = found.nal_units[3].fields
    assert [(f.element, f.offset, f.bit, f.n_bits, f.value) for f in header] == [
        ("forbidden_zero_bit", 32, 0, 1, 0),
        ("nal_ref_idc", 32, 1, 2, 2),
        ("nal_unit_type", 32, 3, 5, 1),
        ("first_mb_in_slice", 33, 0, 1, 0),
        ("slice_type", 33, 1, 5, 5),
        ("pic_parameter_set_id", 33, 6, 1, 0),
        ("frame_num", 33, 7, 4, 1),
        ("num_ref_idx_active_override_flag", 34, 3, 1, 0),
        ("ref_pic_list_modification_flag_l0", 34, 4, 1, 0),
        ("adaptive_ref_pic_marking_mode_flag", 34, 5, 1, 0),
        ("slice_qp_delta", 34, 6, 1, 0),
        ("rbsp_trailing_bits", 35, 2, 6, 32),
    ]
    assert header[6].clause == "H.264 7.4.3"
    assert (found.profile, found.level, found.width, found.height) == (
        "constrained baseline",
        "1",
        32,
        16,
    )


def test_slices_and_macroblocks_of_a_stream_written_by_hand() -> None:
    found = inspect_h264(STREAM, symbols=(0, len(STREAM)))
    idr, p = found.slices
    assert (idr.type, idr.frame_num, idr.idr_pic_id, idr.pic_order_cnt, idr.qp) == (
        "I",
        0,
        0,
        0,
        26,
    )
    assert (idr.n_mbs, idr.n_intra, idr.n_skipped, idr.header_bits) == (2, 2, 0, 8 + 17)
    assert (idr.mb_bits, idr.skip_bits, idr.trailing_bits) == ((12, 2, 2, 0), 0, 7)
    assert (p.type, p.frame_num, p.idr_pic_id, p.pic_order_cnt) == ("P", 1, None, 2)
    assert (p.n_mbs, p.n_intra, p.n_skipped, p.skip_bits, sum(p.mb_bits)) == (2, 0, 2, 3, 0)
    first, second = found.pictures
    assert first.mb_starts.tolist() == [8 * 25 + 1, 8 * 26 + 1]
    assert first.mb_bits.tolist() == [[6, 1, 1, 0]] * 2
    assert [MB_TYPES[i] for i in first.mb_types] == ["I_16x16_2_0_0"] * 2
    assert second.mb_starts.tolist() == [8 * 34 + 7] * 2
    assert second.mb_bits.tolist() == [[0] * 4] * 2
    assert [MB_TYPES[i] for i in second.mb_types] == ["P_Skip"] * 2
    assert symbols_of(found)[4:] == [
        ("mb_type", 8 * 26 + 1, 5, 3, 1),
        ("intra_chroma_pred_mode", 8 * 26 + 6, 1, 0, 1),
        ("mb_qp_delta", 8 * 26 + 7, 1, 0, 1),
        ("coeff_token", 8 * 27, 1, 0, 1),
        ("mb_skip_run", 8 * 34 + 7, 3, 2, 0),
    ]


def test_samples_and_quantizers() -> None:
    (picture,) = inspect_h264(FILES["pcm"]).pictures
    assert [MB_TYPES[i] for i in picture.mb_types] == ["I_PCM", "I_16x16_2_0_0"]
    alignment = 8 - (17 + 9) % 8
    assert picture.mb_bits[0].tolist() == [9 + alignment, 0, 8 * 256, 8 * 128]
    assert picture.mb_qps.tolist() == [26, 29]


@pytest.mark.parametrize("name", FILES)
def test_bits_of_slices_and_fields_of_others_fill_their_nal_units(name: str) -> None:
    found = inspect_h264(FILES[name])
    assert found.verdict.valid
    slices = {each.nal: each for each in found.slices}
    for i, nal in enumerate(found.nal_units):
        assert nal.is_whole
        n_bits = slices[i].n_bits if i in slices else sum(f.n_bits for f in nal.fields)
        if not found.n_fields_left_out:
            assert n_bits == 8 * nal.n_bytes
    for picture in found.pictures:
        assert picture.is_whole
        assert picture.mb_bits.sum() == sum(sum(each.mb_bits) for each in picture.slices)
        n_skipped = sum(each.n_skipped for each in picture.slices)
        skipped = [MB_TYPES.index("P_Skip"), MB_TYPES.index("B_Skip")]
        assert np.count_nonzero(np.isin(picture.mb_types, skipped)) == n_skipped


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("x264")])
def test_macroblocks_are_where_the_cursor_says(name: str) -> None:
    data = FILES[name]
    found = inspect_h264(data, symbols=(0, len(data)))
    starts = (8 * found.symbols["byte"] + found.symbols["bit"]).tolist()
    assert starts == sorted(starts)
    slices = {each.nal for each in found.slices}
    inside = {
        o
        for i, nal in enumerate(found.nal_units)
        for o in range(nal.offset + 8, nal.end - 1)
        if i in slices
    }
    cursor = _core.AvcCursor(AvcGrammar(portable=False))
    n_seen = 0
    for offset in range(len(data)):
        if offset in inside:
            row = found.symbols[bisect_right(starts, 8 * offset) - 1]
            _, _, _, column, line, *_ = cursor.annotation()
            assert found.pictures[0].width_mbs * line + column == row["mb"]
            n_seen += 1
        assert cursor.push(data[offset : offset + 1])
    assert n_seen > 10


@pytest.mark.parametrize("name", CABAC_FILES)
def test_what_bins_say_adds_up_to_the_bits_of_the_code(name: str) -> None:
    data = CABAC_FILES[name]
    found = inspect_h264(data)
    for each in found.slices:
        nal = found.nal_units[each.nal]
        last = data[nal.end - 1]
        behind_stop_bit = (last & -last).bit_length() - 1
        n_rbsp_bits = 8 * (nal.n_bytes - nal.n_emulation_bytes)
        n_code_bits = n_rbsp_bits - behind_stop_bit - -(-each.header_bits // 8) * 8
        assert each.information_bits == pytest.approx(n_code_bits - (9 - np.log2(255)))
        n_data_bits = n_rbsp_bits - each.header_bits
        assert 0 < n_data_bits - each.information_bits < 1.1 + 7 + 7  # with both alignments
    for picture in found.pictures:
        n_bins = sum(each.n_bins for each in picture.slices)
        says = sum(each.information_bits for each in picture.slices)
        assert picture.mb_bins.sum() == n_bins > 0
        assert picture.mb_information.sum() == pytest.approx(says)
        # A macroblock has as many bits as the engine reads for it: at most one apart, and its
        # mb_skip_flag and end_of_slice_flag.
        assert (np.abs(picture.mb_information - picture.mb_bits.sum(1)) < 16).all()


def test_samples_say_their_bits() -> None:
    recoded, _ = _core.recode_avc(FILES["pcm"], cabac=True)
    found = inspect_h264(recoded)
    (picture,) = found.pictures
    assert [MB_TYPES[i] for i in picture.mb_types] == ["I_PCM", "I_16x16_2_0_0"]
    assert 8 * 384 < picture.mb_information[0] < 8 * 384 + 24
    assert picture.mb_information[1] < 40


def test_bins_have_the_contexts_of_the_standard() -> None:
    data = CABAC_FILES["high, B"]
    found = inspect_h264(data, max_bins=1 << 20)
    assert len(found.bins) == sum(each.n_bins for each in found.slices)
    assert found.n_bins_left_out == 0
    # Table 9-34: ctxIdx of what has few.
    wanted = {
        "mb_qp_delta": {*range(60, 64)},
        "intra_chroma_pred_mode": {*range(64, 68)},
        "prev_intra4x4_pred_mode_flag": {68},
        "rem_intra4x4_pred_mode": {69},
        "end_of_slice_flag": {276},
        "mb_skip_flag": {*range(11, 14), *range(24, 27)},
        "transform_size_8x8_flag": {*range(399, 402)},
    }
    states: dict[int, tuple[int, int]] = {}
    picture = 0
    for each in found.bins:
        if each.picture != picture:  # one slice each
            picture, states = each.picture, {}
        if each.element in wanted:
            assert each.ctx_idx in wanted[each.element]
        if each.ctx_idx is None:
            assert (each.information_bits, each.p_state_idx) == (1, None)
            continue
        if each.p_state_idx is None or each.val_mps is None:
            assert each.ctx_idx == 276
            continue
        # 9.3.3.2.1.1: a state goes on from the one that the bin before left.
        state = (each.p_state_idx, each.val_mps)
        assert states.setdefault(each.ctx_idx, state) == state
        is_mps = each.value == each.val_mps
        assert (each.information_bits <= 1.2) or not is_mps
        if is_mps:
            states[each.ctx_idx] = (min(each.p_state_idx + 1, 62), each.val_mps)
        else:
            del states[each.ctx_idx]
    few = inspect_h264(data, max_bins=10)
    assert few.bins == found.bins[:10]
    assert few.n_bins_left_out == len(found.bins) - 10
    assert inspect_h264(data).bins == ()


def test_emulation_prevention_counts_in_places_and_in_no_field() -> None:
    found = inspect_h264(STREAM + b"\0\0\0\1\x06\4\5\0\0\3\0\0\3\1\x80")
    message = found.nal_units[-1]
    assert message.n_emulation_bytes == 2
    fields = [(f.element, f.offset - message.offset, f.n_bits, [*f.values]) for f in message.fields]
    assert fields[3:] == [
        ("payload_type", 1, 8, [4]),
        ("payload_size", 2, 8, [5]),
        ("sei_payload", 3, 16, [0, 0]),
        ("emulation_prevention_three_byte", 5, 8, [3]),
        ("sei_payload", 6, 16, [0, 0]),
        ("emulation_prevention_three_byte", 8, 8, [3]),
        ("sei_payload", 9, 8, [1]),
        ("rbsp_trailing_bits", 10, 8, [128]),
    ]


@pytest.mark.parametrize("name", [name for name in FILES if len(FILES[name]) < 10_000])
def test_trace_of_a_damaged_stream_ends_as_its_check(name: str) -> None:
    for data in damaged(FILES[name], 80):
        trace = _core.trace_h264(data)
        assert (trace["status"], trace["n_pictures"]) == _core.check_h264(data)
        found = inspect_h264(data)
        for each in found.slices:
            nal = found.nal_units[each.nal]
            # Up to 15 bits of a byte that is cut, or of the one that is wrong, belong to no field.
            assert 0 <= 8 * nal.n_bytes - each.n_bits < (1 if nal.is_whole else 16)
        for picture in found.pictures:
            assert picture.n_mbs_read <= len(picture.mb_starts) <= picture.n_mbs_read + 1


def test_broken_stream_is_read_up_to_the_bit() -> None:
    data = HOSTILE["no such type"]
    found = inspect_h264(data, symbols=(0, len(data)))
    assert (found.verdict.family, found.verdict.element) == ("corrupt", "mb_type")
    assert (found.verdict.offset, found.verdict.bit) == (35, 4)
    assert found.pictures[1].mb_starts.tolist() == [8 * 35]
    last = found.nal_units[-1]
    assert not last.is_whole
    assert last.fields[-1].element == "slice_qp_delta"
    assert [name for name, *_ in symbols_of(found)][-1] == "mb_skip_run"


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_stream_is_read_within_bounds(name: str) -> None:
    found = inspect_h264(HOSTILE[name])
    assert found.verdict == pcl.check(HOSTILE[name])
    assert not found.verdict.valid
    assert sum(len(nal.fields) for nal in found.nal_units) <= 1 << 17
    assert len(found.nal_units) <= 1 << 14


def test_limits_are_kept_and_what_they_leave_out_is_counted() -> None:
    data = FILES["x264"]
    everything = (0, len(data))
    whole = _core.trace_h264(data, symbols=everything)
    little = _core.trace_h264(data, symbols=everything, max_fields=7, max_mbs=15, max_symbols=100)
    assert (little["fields"] == whole["fields"][:7]).all()
    assert len(little["fields"]) + little["n_fields_left_out"] == len(whole["fields"])
    for name in ("mb_starts", "mb_bits", "mb_types", "mb_qps"):
        assert (little[name] == whole[name][:15]).all() and len(little[name]) == 15
    assert (little["slices"] == whole["slices"]).all()
    assert little["pictures"]["n_mb_rows"].tolist() == [12, 3, 0]
    assert little["pictures"]["n_mbs"].tolist() == [12, 12, 12]
    assert len(little["symbols"]) + little["n_symbols_left_out"] == len(whole["symbols"])
    few = _core.trace_h264(data, max_nals=3)
    assert (len(few["nals"]), few["n_nals_left_out"]) == (3, len(whole["nals"]) - 3)
    assert (len(few["slices"]), len(few["pictures"]), few["n_pictures"]) == (1, 1, 3)


def test_stream_in_a_container_is_taken_out() -> None:
    data = FILES["x264"]
    found = inspect_h264(to_mp4(data, None, 5))
    assert (found.container, found.verdict.valid) == ("MP4", True)
    assert [s.n_bits for s in found.slices] == [s.n_bits for s in inspect_h264(data).slices]
    nothing = inspect_h264(b"\0\0\0\x18ftypisom\0\0\2\0isomiso2")
    assert (nothing.verdict.family, nothing.n_bytes, nothing.pictures) == ("unsupported", 0, ())


def test_every_picture_has_its_frame() -> None:
    data = FILES["x264, cropped"]
    found = inspect_h264(data)
    assert [(p.width, p.height) for p in found.pictures] == [(50, 38)] * len(decode(data))
    uris, note = frame_uris(found)
    assert note == "Decoded by FFmpeg." and len(set(uris)) == 3
    assert all(uri.startswith("data:image/png;base64,") for uri in uris)
