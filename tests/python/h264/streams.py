"""The smallest streams, bit by bit: two macroblocks, one IDR picture, P pictures."""

START = b"\0\0\1"
LONG_START = b"\0\0\0\1"


def ue(value: int) -> str:
    """9.1: value + 1 in binary, behind as many zeros as it has bits after its first."""
    code = f"{value + 1:b}"
    return "0" * (len(code) - 1) + code


def se(value: int) -> str:
    return ue(2 * value - 1 if value > 0 else -2 * value)


def nal(header: int, *fields: str, trailing: str = "1") -> bytes:
    """A NAL unit of the bits, filled up with zeros; 7.3.1."""
    bits = "".join(fields) + trailing
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


def sps(width_in_mbs: int = 2, trailing: str = "1") -> bytes:
    """Constrained baseline, level 1, order counts of type 2, one reference picture."""
    head = f"{66:08b}" + "11000000" + f"{10:08b}"
    sizes = ue(width_in_mbs - 1) + ue(0)
    return nal(
        0x67, head, ue(0), ue(0), ue(2), ue(1), "0", sizes, "1", "1", "0", "0", trailing=trailing
    )


def pps(entropy_coding_mode: str = "0") -> bytes:
    return nal(
        0x68, ue(0), ue(0), entropy_coding_mode, "0", ue(0), ue(0), ue(0), "0", "00", se(0), se(0),
        se(0), "0", "0", "0",
    )  # fmt: skip


GREY = ue(3) + ue(0) + se(0) + "1"  # Intra_16x16, DC prediction, no coefficients


def idr(
    *mbs: str, header: int = 0x65, slice_type: int = 7, pps_id: int = 0, trailing: str = "1"
) -> bytes:
    fields = (ue(0), ue(slice_type), ue(pps_id), "0000", ue(0), "0", "0", se(0))
    return nal(header, *fields, *(mbs or (GREY, GREY)), trailing=trailing)


def p_picture(
    *mbs: str, frame_num: int = 1, first_mb: int = 0, header: int = 0x41, trailing: str = "1"
) -> bytes:
    fields = (ue(first_mb), ue(5), ue(0), f"{frame_num:04b}", "0", "0", "0", se(0))
    return nal(header, *fields, *(mbs or (ue(2),)), trailing=trailing)


HEAD = LONG_START + sps() + LONG_START + pps()
STREAM = HEAD + START + idr() + LONG_START + p_picture()
