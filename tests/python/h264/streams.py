"""The smallest streams, bit by bit: two macroblocks, one IDR picture, P pictures."""

from pycodec_lm import _core
from pycodec_lm.avc_grammar import AvcGrammar

START = b"\0\0\1"
LONG_START = b"\0\0\0\1"


def ue(value: int) -> str:
    """9.1: value + 1 in binary, behind as many zeros as it has bits after its first."""
    code = f"{value + 1:b}"
    return "0" * (len(code) - 1) + code


def se(value: int) -> str:
    return ue(2 * value - 1 if value > 0 else -2 * value)


def nal(header: int, *fields: str) -> bytes:
    """A NAL unit of the bits, filled up with zeros; 7.3.1."""
    bits = "".join(fields) + "1"
    bits += "0" * (-len(bits) % 8)
    rbsp = int(bits, 2).to_bytes(len(bits) // 8, "big") if bits else b""
    out = bytearray([header])
    n_zeros = 0
    for byte in rbsp:
        if n_zeros == 2 and byte < 4:
            out.append(3)
            n_zeros = 0
        out.append(byte)
        n_zeros = n_zeros + 1 if byte == 0 else 0
    return bytes(out)


def sps(order: str = ue(2)) -> bytes:
    """Constrained baseline, level 1, order counts of type 2, one reference picture."""
    head = f"{66:08b}" + "11000000" + f"{10:08b}"
    return nal(0x67, head, ue(0), ue(0), order, ue(1), "0", ue(1), ue(0), "1", "1", "0", "0")


def pps(*, sps_id: int = 0, weighted: str = "0", bipred: str = "00", flags: str = "000") -> bytes:
    """`flags` are those of the deblocking filter, constrained intra prediction and redundant
    pictures."""
    ids_and_modes = (ue(0), ue(sps_id), "0", "0", ue(0), ue(0), ue(0), weighted)
    return nal(0x68, *ids_and_modes, bipred, se(0), se(0), se(0), flags)


GREY = ue(3) + ue(0) + se(0) + "1"  # Intra_16x16, DC prediction, no coefficients


def idr(*mbs: str) -> bytes:
    fields = (ue(0), ue(7), ue(0), "0000", ue(0), "0", "0", se(0))
    return nal(0x65, *fields, *(mbs or (GREY, GREY)))


def p_picture(*mbs: str, frame_num: int = 1, first_mb: int = 0) -> bytes:
    fields = (ue(first_mb), ue(5), ue(0), f"{frame_num:04b}", "0", "0", "0", se(0))
    return nal(0x41, *fields, *(mbs or (ue(2),)))


HEAD = LONG_START + sps() + LONG_START + pps()
STREAM = HEAD + START + idr() + LONG_START + p_picture()


def judged_alike(data: bytes) -> bool:
    """Whether no byte of it is refused; asserts that whole units and bytes are judged alike."""
    status, n_pictures = _core.check_h264(data)
    cursor = _core.AvcCursor(AvcGrammar(portable=False))
    slow = cursor.push(data)
    if slow:
        assert cursor.is_complete() == bool(status)
        assert cursor.n_pictures == n_pictures
    else:
        assert (slow.code, slow.element, slow.offset, slow.bit) == (
            status.code,
            status.element,
            status.offset,
            status.bit,
        )
    return bool(slow)
