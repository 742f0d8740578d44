"""Where masks once led to nothing: what was allowed there must not be, or must go on."""

import pytest
from cursor_walks import members

from pycodec_lm import _core
from pycodec_lm.avc_grammar import AvcGrammar

from .streams import GREY, LONG_START, START, nal, pps, se, sps, ue


def _refusal(stream: bytes, grammar: AvcGrammar) -> tuple[str, str]:
    status = _core.AvcCursor(grammar).push(stream)
    return status.code, status.element


@pytest.mark.parametrize(
    ("picture_set", "element"),
    [
        (pps(sps_id=1), "seq_parameter_set_id"),
        (pps(weighted="1"), "weighted_pred_flag"),
        (pps(bipred="10"), "weighted_bipred_idc"),
        (pps(flags="001"), "redundant_pic_cnt_present_flag"),
    ],
)
def test_the_only_picture_parameter_set_can_be_used(picture_set: bytes, element: str) -> None:
    stream = LONG_START + sps() + LONG_START + picture_set
    assert _refusal(stream, AvcGrammar()) == ("not_in_grammar", element)
    cursor = _core.AvcCursor(AvcGrammar(portable=False))
    assert cursor.push(stream + LONG_START)  # another may come


def _type_0_sample() -> bytes:
    """Order counts of 4 bits, an IDR picture, and one that is no reference."""
    idr = nal(0x65, ue(0), ue(7), ue(0), "0000", ue(0), "0000", "0", "0", se(0), GREY, GREY)
    p = nal(0x01, ue(0), ue(5), ue(0), "0001", "0010", "00", se(0), ue(2))
    parameter_sets = LONG_START + sps(order=ue(0) + ue(0)) + LONG_START + pps()
    return parameter_sets + START + idr + LONG_START + p


@pytest.mark.parametrize("end", [0, -1])
def test_pictures_leave_order_counts_for_those_behind(end: int) -> None:
    # Behind the IDR picture, 8 counts are within half a range.
    cursor = _core.AvcCursor(AvcGrammar.like(_type_0_sample(), frames=9))
    assert cursor.push(cursor.complete()[: len(AvcGrammar.like(_type_0_sample()).header)])
    for _ in range(4000):
        if cursor.is_complete():
            break
        allowed = members(cursor.allowed())
        assert allowed, cursor.describe()
        # Slice headers by the end of what is allowed, macroblocks by the ending.
        in_header = int(cursor.annotation()[0]) <= 3
        byte = allowed[end] if in_header else cursor.complete(1)[0]
        assert cursor.push(bytes([byte]))
    assert cursor.is_complete() and cursor.n_pictures == 9
