"""Syntax elements to an Annex B byte stream, legal or not: an independent speller of ITU-T H.264.

A stream is a list of NAL units. Nothing here judges; a test holds what is legal to the bytes that
the engine's own writer makes of the same values.

How NAL units are written in YAML:

    SPS  PPS  IDR  P  B  I  AUD  END_OF_SEQUENCE  END_OF_STREAM     with the values of DEFAULTS
    {SPS: {level_idc: 11, offset_for_ref_frame: [2, 4]}}         with others; a list: one by one
    {IDR: {data: [GREY, GREY]}}                                  a line for each macroblock
    {SEI: [{payload_type: 5, payload: "00 01"}]}  {FILLER: 3}
    {NAL: {nal_unit_type: 24, payload: "05 06"}}                 of any type
    {RAW: "00 00 01 65"}                                         bytes as they are

Elements that are not given are 0 or what DEFAULTS has; whether one is there at all follows from
those before it, as in 7.3. A value of "=0101" is bits in the place of a value. Beside elements a
unit takes

    start: 2          zero bytes before the 01 of its start code; otherwise 3
    trailing: "101"   other rbsp_trailing_bits(), filled up with zeros; "" for none at all
    escape: false     no emulation_prevention_three_byte

`modifications` of a slice are [modification_of_pic_nums_idc, number] each, `operations` are
[memory_management_control_operation, numbers ...]; either ends as it is written, [3] or [0].
`modifications_l1` are those of list 1.

A macroblock is a line of element:value, or element=bits where tables or lengths of 9.2 decide;
3*element:value is three of them, as is 3*(ELEMENTS); "2 x LINE" is two such macroblocks. GREY is
Intra_16x16 with DC prediction and no coefficients. In P and B slices mb_skip_run is 0 where a line
does not begin with it; a line may be mb_skip_run alone, which ends the slice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from .avc_elements import Elements, Piece
from .avc_parameter_sets import spell_pps, spell_sps

START_CODE, TRAILING, ALIGNMENT = "start code", "rbsp_trailing_bits", "pcm_alignment_zero_bit"
LIST_FLAGS = ("ref_pic_list_modification_flag_l0", "ref_pic_list_modification_flag_l1")
LIST_IDC = "modification_of_pic_nums_idc"
OPERATION = "memory_management_control_operation"

NAL_UNIT_TYPES = {  # Table 7-1
    "P": 1,
    "B": 1,
    "I": 1,
    "IDR": 5,
    "SEI": 6,
    "SPS": 7,
    "PPS": 8,
    "AUD": 9,
    "END_OF_SEQUENCE": 10,
    "END_OF_STREAM": 11,
    "FILLER": 12,
}
_NEVER_REFERENCES = {"SEI", "AUD", "END_OF_SEQUENCE", "END_OF_STREAM", "FILLER", "NAL"}
_SLICES = {"P": 5, "B": 6, "I": 7, "IDR": 7}  # with slice_type

# Two macroblocks side by side, in the constrained baseline profile at level 1; order counts follow
# frame_num, and the picture before is the only reference.
DEFAULTS: dict[str, dict[str, Any]] = {
    "SPS": {
        "profile_idc": 66,
        "constraint_set_flags": 0b110000,
        "level_idc": 10,
        "chroma_format_idc": 1,
        "pic_order_cnt_type": 2,
        "max_num_ref_frames": 1,
        "pic_width_in_mbs_minus1": 1,
        "frame_mbs_only_flag": 1,
        "direct_8x8_inference_flag": 1,
        "video_format": 5,
        "colour_primaries": 1,
        "transfer_characteristics": 1,
        "matrix_coefficients": 1,
        "num_units_in_tick": 1,
        "time_scale": 50,
        "max_dec_frame_buffering": 1,
    },
    "IDR": {"data": ["2 x GREY"]},
    "I": {"data": ["2 x GREY"], "frame_num": 1},
    "P": {"data": ["mb_skip_run:2"], "frame_num": 1},
    "B": {"data": ["mb_skip_run:2"], "frame_num": 1, "direct_spatial_mv_pred_flag": 1},
}

# How elements of slice data are spelled; all others there are bits.
_UE = {"mb_skip_run", "mb_type", "sub_mb_type", "intra_chroma_pred_mode", "coded_block_pattern"}
_SE = {"mvd_l0[0]", "mvd_l0[1]", "mvd_l1[0]", "mvd_l1[1]", "mb_qp_delta"}
_U = {
    "transform_size_8x8_flag": 1,
    "prev_intra4x4_pred_mode_flag": 1,
    "rem_intra4x4_pred_mode": 3,
    "prev_intra8x8_pred_mode_flag": 1,
    "rem_intra8x8_pred_mode": 3,
    "pcm_sample_luma": 8,
    "pcm_sample_chroma": 8,
}
GREY = "mb_type:{} intra_chroma_pred_mode:0 mb_qp_delta:0 coeff_token=1"


@dataclass
class Unit:
    """A start code and the NAL unit behind it, or bytes."""

    name: str
    pieces: list[Piece]
    is_escaped: bool = True


@dataclass
class Assembled:
    """A stream, and where its pieces are: 8 * byte + bit of each of their bits."""

    data: bytes
    places: dict[int, list[int]]  # by id() of the piece


@dataclass
class AvcSpeller:
    """What the parameter sets so far have said that slices are spelled by."""

    sps: dict[int, dict[str, int]] = field(default_factory=dict)
    pps: dict[int, dict[str, int]] = field(default_factory=dict)

    def spell(self, items: Iterable[Any]) -> list[Unit]:
        """Units of items as YAML gives them."""
        return [self.unit(item) for item in items]

    def unit(self, item: Any) -> Unit:
        name, body = (item, {}) if isinstance(item, str) else next(iter(item.items()))
        if name == "RAW":
            pieces = [Piece("byte", f"{b:08b}", "u", b) for b in bytes.fromhex(body)]
            return Unit(name, pieces, is_escaped=False)
        if not isinstance(body, dict):
            body = {"messages" if name == "SEI" else "n_bytes": body}
        e = Elements(DEFAULTS.get(name, {}) | body)
        n_zeros = e.given("start", 3)
        is_escaped = e.given("escape", True)
        start = [Piece(START_CODE, "0" * (8 * n_zeros + 7) + "1", "bits", n_zeros)]
        e.u(1, "forbidden_zero_bit")
        e.u(2, "nal_ref_idc", name not in _NEVER_REFERENCES)
        nal_unit_type = e.u(5, "nal_unit_type", NAL_UNIT_TYPES.get(name, 0))
        has_trailing = self._payload(e, name, nal_unit_type)
        trailing = e.given("trailing", "1" if has_trailing else "")
        if trailing:
            bits = trailing + "0" * (-(e.n_bits + len(trailing)) % 8)
            e.pieces.append(Piece(TRAILING, bits, "bits", None))
        if unread := e.unread() - {*DEFAULTS.get(name, {})}:
            raise ValueError(f"{name} has no {unread}")
        return Unit(name, start + e.pieces, is_escaped)

    def _payload(self, e: Elements, name: str, nal_unit_type: int) -> bool:
        """Whether rbsp_trailing_bits() follow."""
        match name:
            case "SPS":
                said = spell_sps(e)
                self.sps[said["id"]] = said
            case "PPS":
                said = spell_pps(e)
                self.pps[said["id"]] = said
            case "AUD":
                e.u(3, "primary_pic_type", 7)
            case "SEI":
                for message in e.whole("messages"):
                    self._message(e, message)
            case "FILLER":
                for _ in range(e.given("n_bytes")):
                    e.put("ff_byte", "u", 0xFF, 8)
            case "END_OF_SEQUENCE" | "END_OF_STREAM":
                return False
            case "NAL":
                for byte in bytes.fromhex(e.given("payload", "")):
                    e.put("NAL unit payload", "u", byte, 8)
                return False
            case _:
                self._slice(e, _SLICES[name], nal_unit_type)
        return True

    @staticmethod
    def _message(e: Elements, message: dict[str, Any]) -> None:
        """7.3.2.3.1; `payload_size` says another size than the payload has."""
        payload = bytes.fromhex(message.get("payload", ""))
        sizes = {
            "payload_type": message["payload_type"],
            "payload_size": message.get("payload_size", len(payload)),
        }
        for element, number in sizes.items():
            for _ in range(number // 255):
                e.put(element, "u", 255, 8)
            e.put(element, "u", number % 255, 8)
        for byte in payload:
            e.put("sei_payload", "u", byte, 8)

    def _slice(self, e: Elements, slice_type: int, nal_unit_type: int) -> None:
        """7.3.3, and the data."""
        e.ue("first_mb_in_slice")
        slice_type = e.ue("slice_type", slice_type) % 5
        pps = self.pps.get(e.ue("pic_parameter_set_id"), {})
        sps = self.sps.get(pps.get("sps", 0), {})
        e.u(sps.get("frame_num", 4), "frame_num")
        if nal_unit_type == 5:
            e.ue("idr_pic_id")
        if sps.get("type") == 0:
            e.u(sps["lsb"], "pic_order_cnt_lsb")
            if pps.get("bottom"):
                e.se("delta_pic_order_cnt_bottom")
        elif sps.get("type") == 1 and not sps["always_zero"]:
            e.se("delta_pic_order_cnt[0]")
            if pps.get("bottom"):
                e.se("delta_pic_order_cnt[1]")
        if pps.get("redundant"):
            e.ue("redundant_pic_cnt")
        n_refs = [pps.get("refs", 1), pps.get("refs_l1", 1)]
        n_lists = {0: 1, 1: 2}.get(slice_type, 0)
        if n_lists == 2:
            e.u(1, "direct_spatial_mv_pred_flag")
        if n_lists > 0:
            if e.u(1, "num_ref_idx_active_override_flag"):
                for i in range(n_lists):
                    n_refs[i] = e.ue(f"num_ref_idx_l{i}_active_minus1") + 1
            for i in range(n_lists):
                self._list(e, i)
            if pps.get("weighted") if n_lists == 1 else pps.get("bipred") == 1:
                self._weights(e, n_refs[:n_lists])
        if e.pieces[1].value:  # nal_ref_idc
            self._marking(e, nal_unit_type == 5)
        e.se("slice_qp_delta")
        if pps.get("deblocking") and e.ue("disable_deblocking_filter_idc") != 1:
            e.se("slice_alpha_c0_offset_div2")
            e.se("slice_beta_offset_div2")
        for line in _repeated_lines(e.whole("data")):
            _macroblock(e, line, slice_type, n_refs)

    @staticmethod
    def _list(e: Elements, i: int) -> None:
        """7.3.3.1."""
        modifications = e.whole(("modifications", "modifications_l1")[i])
        if not e.u(1, LIST_FLAGS[i], modifications is not None) or modifications is None:
            return
        for idc, *number in modifications:
            e.put(LIST_IDC, "ue", idc)
            for value in number:
                e.put("long_term_pic_num" if idc == 2 else "abs_diff_pic_num_minus1", "ue", value)

    @staticmethod
    def _weights(e: Elements, n_refs: list[int]) -> None:
        """7.3.3.2."""
        e.ue("luma_log2_weight_denom")
        e.ue("chroma_log2_weight_denom")
        for i in (i for i, n in enumerate(n_refs) for _ in range(n)):
            if e.u(1, f"luma_weight_l{i}_flag"):
                e.se(f"luma_weight_l{i}")
                e.se(f"luma_offset_l{i}")
            if e.u(1, f"chroma_weight_l{i}_flag"):
                for _ in range(2):
                    e.se(f"chroma_weight_l{i}")
                    e.se(f"chroma_offset_l{i}")

    @staticmethod
    def _marking(e: Elements, is_idr: bool) -> None:
        """7.3.3.3."""
        if is_idr:
            e.u(1, "no_output_of_prior_pics_flag")
            e.u(1, "long_term_reference_flag")
            return
        operations = e.whole("operations")
        if not e.u(1, "adaptive_ref_pic_marking_mode_flag", operations is not None):
            return
        names = {
            1: ["difference_of_pic_nums_minus1"],
            2: ["long_term_pic_num"],
            3: ["difference_of_pic_nums_minus1", "long_term_frame_idx"],
            4: ["max_long_term_frame_idx_plus1"],
            6: ["long_term_frame_idx"],
        }
        for operation, *numbers in operations or []:
            e.put(OPERATION, "ue", operation)
            for name, value in zip(names.get(operation, []), numbers, strict=True):
                e.put(name, "ue", value)


def _repeated_lines(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        times, x, rest = line.partition(" x ")
        yield from [rest] * int(times) if x else [line]


def _macroblock(e: Elements, line: str, slice_type: int, n_refs: list[int]) -> None:
    """7.3.5, as the line has it."""
    line = line.replace("GREY", GREY.format({0: 8, 1: 26}.get(slice_type, 3)))
    if slice_type in (0, 1) and not line.startswith("mb_skip_run"):
        line = f"mb_skip_run:0 {line}"
    while group := re.search(r"(\d+)\*\(([^()]*)\)", line):
        line = line.replace(group[0], " ".join([group[2]] * int(group[1])))
    for token in line.split():
        match = re.fullmatch(r"(?:(\d+)\*)?([a-z][^:=]*)(?:([:=])(-?\d+))?", token)
        if match is None:
            raise ValueError(f"{token!r} is no element of a macroblock")
        times, element, sign, text = match.groups()
        for _ in range(int(times or 1)):
            if element == ALIGNMENT and sign is None:
                bits = "0" * (-e.n_bits % 8)
                e.pieces.append(Piece(element, bits, "bits", None))
            elif element == "trailing_ones_sign_flag":
                for bit in text:
                    e.put(element, "u", int(bit), 1)
            elif sign == "=":
                e.pieces.append(Piece(element, text, _spelling(element, n_refs), None))
            elif element == "level_prefix":
                e.put(element, "unary", int(text))
            else:
                e.put(element, _spelling(element, n_refs), int(text), _U.get(element, 0))


def _spelling(element: str, n_refs: list[int]) -> str:
    if element in _UE:
        return "ue"
    if element in _SE:
        return "se"
    if element in _U:
        return "u"
    if element in ("ref_idx_l0", "ref_idx_l1"):
        return "te" if n_refs[int(element[-1])] == 2 else "ue"
    return "unary" if element == "level_prefix" else "bits"


def assemble(units: Sequence[Unit]) -> Assembled:
    """The bytes of all units; emulation_prevention_three_bytes are put in (7.3.1)."""
    made = Assembled(b"", {})
    data = bytearray()
    for unit in units:
        rest = unit.pieces
        if rest and rest[0].element == START_CODE:
            made.places[id(rest[0])] = [8 * len(data) + i for i in range(len(rest[0].bits))]
            data += int(rest[0].bits, 2).to_bytes(len(rest[0].bits) // 8, "big")
            rest = rest[1:]
        bits = "".join(piece.bits for piece in rest)
        if len(bits) % 8:
            raise ValueError(f"{unit.name}: {len(bits)} bits are no whole bytes")
        places: list[int] = []
        n_zeros = 0
        for byte in int(bits or "0", 2).to_bytes(len(bits) // 8, "big"):
            if unit.is_escaped and n_zeros == 2 and byte <= 3:
                data.append(3)
                n_zeros = 0
            places += range(8 * len(data), 8 * len(data) + 8)
            data.append(byte)
            n_zeros = n_zeros + 1 if byte == 0 else 0
        at = 0
        for piece in rest:
            made.places[id(piece)] = places[at : at + len(piece.bits)]
            at += len(piece.bits)
    made.data = bytes(data)
    return made
