"""The field-uniform walk of H.264: a legal value for every syntax element, spelled by the writer.

A walk over bytes seldom leaves a slice that it has entered. Here each field takes a value drawn
from sensible buckets, so the deep states are reached: many P pictures, modified lists, marking
operations, all types of macroblocks, level escapes, macroblocks as large as they may be.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .._core import AvcCursor, AvcWriter
from ..avc_grammar import AvcGrammar
from ..errors import CodecLMError
from .avc_tables import COEFF_TOKENS

__all__ = ["AvcFieldWalk", "FieldKey", "WalkStyle", "WrittenStream", "write_random_stream"]

# What every field may hold: codes, u(32), ue(v), se(v).
_LOWEST, _HIGHEST = -(1 << 31), (1 << 32) - 1
_SLICE, _IDR, _SEI, _SPS, _PPS = 1, 5, 6, 7, 8
_DELIMITER, _END_OF_SEQUENCE, _END_OF_STREAM, _FILLER = 9, 10, 11, 12
_MAX_FIELDS = 60_000
_LEVEL_BITS = 11  # of levels by CABAC; larger ones leave the range of the transform

FieldKey = tuple[str, int, int]  # element, code table, value
_Draw = Callable[["AvcFieldWalk"], int]


class RefusedFieldError(CodecLMError):
    """The grammar refused what its own legal() allows, or offered nothing."""


@dataclass(frozen=True)
class WalkStyle:
    """What kind of stream a walk makes."""

    n_pictures: int
    width_mbs: int
    height_mbs: int
    slice_ends: float  # how likely a slice ends where it may
    skips: float
    intra: float
    coefficients: str  # "few", "any", "many"
    levels: str  # "small", "any", "escapes"
    vectors: str  # "small", "any"
    order: str  # "output", "any": of picture order counts
    extremes: float  # how likely a number is an end of its range
    level_idc: int | None


@dataclass
class WrittenStream:
    """A stream of a field-uniform walk, and what was put in it."""

    data: bytes
    n_pictures: int
    fields: Counter[FieldKey]  # each value of each element, but for those of more than 16 bits
    ends: set[tuple[str, str]]  # (element, "lowest" or "highest") where there was a choice
    style: WalkStyle

    def values(self, element: str) -> set[int]:
        """Those that an element had."""
        return {value for name, _, value in self.fields if name == element}


def draw_style(rng: random.Random, *, portable: bool) -> WalkStyle:
    """A style, most of them small streams of many pictures."""
    long = rng.random() < 0.1
    return WalkStyle(
        n_pictures=rng.choice((1, 2, 4, 8, 20)) if not long else rng.choice((40, 80)),
        width_mbs=rng.choice((1, 2, 3, 4, 5)) if not long else rng.choice((1, 2)),
        height_mbs=rng.choice((1, 2, 3, 4)) if not long else 1,
        slice_ends=rng.choice((0.0, 0.05, 0.3)),
        skips=rng.choice((0.1, 0.5, 0.8)),
        intra=rng.choice((0.1, 0.3, 0.7)),
        coefficients=rng.choice(("few", "few", "any", "many")),
        levels=rng.choice(("small", "any", "escapes")),
        vectors=rng.choice(("small", "any")),
        order=rng.choice(("output", "output", "any")),
        extremes=rng.choice((0.0, 0.02, 0.1)) if not portable else rng.choice((0.0, 0.02)),
        level_idc=rng.choice((None, None, 30, 31, 40)),
    )


def write_random_stream(
    seed: int, *, portable: bool = True, style: WalkStyle | None = None
) -> WrittenStream:
    """The stream of a seed.

    Args:
        seed: of all that is drawn.
        portable: what every decoder reads; else all of the standard that is in scope.
        style: instead of one that is drawn.

    Raises:
        RefusedFieldError: the grammar refused a value that it calls legal.
    """
    rng = random.Random(seed)
    return AvcFieldWalk(rng, portable, style or draw_style(rng, portable=portable)).run()


class AvcFieldWalk:
    """One walk; see `write_random_stream`."""

    def __init__(self, rng: random.Random, portable: bool, style: WalkStyle) -> None:
        self.rng = rng
        self.style = style
        self.grammar = AvcGrammar(portable=portable)
        self.writer = AvcWriter(self.grammar)
        self.is_portable = portable
        self.fields: Counter[FieldKey] = Counter()
        self.ends: set[tuple[str, str]] = set()
        self.element = ""
        self.table = 0
        self.last: dict[str, int] = {}  # the value that each element had last
        self.sps_ids: list[int] = []
        self.lowest = self.highest = 0
        self._unit_type = 0
        self._n_fields = 0

    def run(self) -> WrittenStream:
        """Writes the whole stream; one that grows too long gets the shortest ending."""
        writer = self.writer
        while not (writer.is_complete() and writer.n_pictures >= self.style.n_pictures):
            if not writer.is_between_units():
                self._put_next()
                if self._n_fields > _MAX_FIELDS:
                    return self._ended()
            elif not self._start_unit():
                return self._ended()
        return self._stream(writer.to_bytes())

    def _ended(self) -> WrittenStream:
        data = self.writer.to_bytes()
        cursor = AvcCursor(self.grammar)
        if not cursor.push(data):
            raise RefusedFieldError(f"what was written is refused at {cursor.describe()}")
        return self._stream(data + cursor.complete())

    def _stream(self, data: bytes) -> WrittenStream:
        cursor = AvcCursor(self.grammar)
        if not cursor.push(data):
            raise RefusedFieldError(f"what was written is refused at {cursor.describe()}")
        return WrittenStream(data, cursor.n_pictures, self.fields, self.ends, self.style)

    def _start_unit(self) -> bool:
        """False behind an end of stream, which nothing follows."""
        zeros = [2, 3] if self.rng.random() < 0.6 else [3, 2]
        if not self.is_portable and self.rng.random() < 0.05:
            zeros.insert(0, 3 + self.rng.randrange(4))
        return any(self.writer.write_start_code(n) for n in zeros)

    def _put_next(self) -> None:
        writer = self.writer
        self.element, _, self.table = writer.field()
        lowest = writer.lowest_legal(_LOWEST, _HIGHEST)
        highest = writer.highest_legal(_LOWEST, _HIGHEST)
        if writer.may_end_unit() and (lowest is None or self.rng.random() < self._end_likelihood()):
            writer.end_unit()
            return
        if lowest is None or highest is None:
            raise RefusedFieldError(f"no value of {self.element} is legal: {writer.describe()}")
        self.lowest, self.highest = lowest, highest
        value = self._draw()
        status = writer.write(value)
        if not status:
            raise RefusedFieldError(f"{self.element} = {value} is refused: {status.message}")
        self._note(value)

    def _note(self, value: int) -> None:
        self._n_fields += 1
        self.last[self.element] = value
        if self.element == "nal_unit_type":
            self._unit_type = value
        if self.element == "seq_parameter_set_id" and self._unit_type == _SPS:
            self.sps_ids.append(value)
        if self.lowest < self.highest:
            if value == self.lowest:
                self.ends.add((self.element, "lowest"))
            if value == self.highest:
                self.ends.add((self.element, "highest"))
        if -(1 << 16) <= value <= 1 << 16:
            self.fields[self.element, self.table, value] += 1

    def _end_likelihood(self) -> float:
        if self._unit_type in (_SLICE, _IDR):
            return self.style.slice_ends
        return {_PPS: 0.4, _SEI: 0.5, _FILLER: 0.5}.get(self._unit_type, 0.1)

    def _draw(self) -> int:
        if self.lowest == self.highest:
            return self.lowest
        if self.element in _ENDS_FIRST and self.rng.random() < self.style.extremes:
            return self.rng.choice((self.lowest, self.highest))
        draw = _DRAWS.get(self.element)
        value = self.any_value() if draw is None else draw(self)
        return self.nearest(value)

    # How values are drawn.

    def nearest(self, value: int) -> int:
        """The legal value at `value` or next above it; where there is none, next below."""
        writer = self.writer
        found = writer.lowest_legal(value, _HIGHEST)
        if found is None:
            found = writer.highest_legal(_LOWEST, value)
        if found is None:
            raise RefusedFieldError(f"no value of {self.element} is legal: {writer.describe()}")
        return found

    def legal_values(self) -> list[int]:
        """All of them, where they are few."""
        values = [self.lowest]
        while values[-1] < self.highest:
            above = self.writer.lowest_legal(values[-1] + 1, self.highest)
            if above is None:
                break
            values.append(above)
        return values

    def any_value(self) -> int:
        """Uniform where the range is small; else each size of number is as likely."""
        if self.highest - self.lowest <= 255:
            return self.rng.randint(self.lowest, self.highest)
        if self.rng.random() < 0.1 and self.element not in _ENDS_FIRST:
            return self.rng.choice((self.lowest, self.highest))
        return self.near(0, max(abs(self.lowest), abs(self.highest)).bit_length())

    def near(self, centre: int, n_bits: int) -> int:
        """Off by a number of up to n_bits bits, each size as likely."""
        distance = self.rng.getrandbits(self.rng.randint(0, n_bits))
        return centre + self.rng.choice((-1, 1)) * distance

    def one_of(self, weights: dict[int, float], others: float = 0.0) -> int:
        """A legal value by its weight."""
        values = self.legal_values()
        likely = [weights.get(value, others) for value in values]
        if not any(likely):
            return self.rng.choice(values)
        return self.rng.choices(values, likely)[0]


def _mostly(common: Sequence[int], share: float) -> _Draw:
    """One of a few values so often, else any."""
    return lambda walk: walk.rng.choice(common) if walk.rng.random() < share else walk.any_value()


def _flag(likely: float) -> _Draw:
    return lambda walk: int(walk.rng.random() < likely)


def _small(n_bits: int) -> _Draw:
    return lambda walk: walk.near(0, n_bits)


def _any_legal(walk: AvcFieldWalk) -> int:
    return walk.rng.choice(walk.legal_values())


def _draw_nal_ref_idc(walk: AvcFieldWalk) -> int:
    if walk.writer.n_pictures == 0:
        return walk.rng.choice((1, 1, 2, 3, 3, 0))
    return walk.rng.choice((0, 1, 1, 2, 3))


def _draw_nal_unit_type(walk: AvcFieldWalk) -> int:
    has_slices = walk.writer.any_legal(_SLICE, _SLICE) or walk.writer.any_legal(_IDR, _IDR)
    rare = 0.02 if has_slices else 0.05
    weights = {
        _SLICE: 20.0,
        _IDR: 1.0 if walk.writer.n_pictures else 20.0,
        _SPS: 0.05 if has_slices else 2.0,
        _PPS: 0.3 if has_slices else 4.0,
        _SEI: 0.5,
        _DELIMITER: 0.5,
        _END_OF_SEQUENCE: 0.1,
        # Nothing comes behind it.
        _END_OF_STREAM: 0.5 if walk.writer.n_pictures >= walk.style.n_pictures else 0.002,
        _FILLER: 0.3,
    }
    return walk.one_of(weights, rare)


def _draw_seq_parameter_set_id(walk: AvcFieldWalk) -> int:
    if walk._unit_type == _PPS and walk.sps_ids:
        return walk.rng.choice(walk.sps_ids)
    return walk.rng.choice((0, 0, 0, 1, 31, walk.rng.randrange(32)))


def _draw_level(walk: AvcFieldWalk) -> int:
    return walk.style.level_idc or walk.rng.choice(walk.legal_values())


def _draw_order_count_lsb(walk: AvcFieldWalk) -> int:
    size = 16 << walk.last.get("log2_max_pic_order_cnt_lsb_minus4", 0)
    before = walk.last.get("pic_order_cnt_lsb", 0)
    if walk.style.order == "output":
        return (before + walk.rng.choice((1, 2, 2, 2, 3))) % size
    return walk.near(before, 6) % size


def _draw_delta_pic_order_cnt(walk: AvcFieldWalk) -> int:
    return 0 if walk.style.order == "output" else walk.near(0, 6)


def _draw_frame_num(walk: AvcFieldWalk) -> int:
    if walk.rng.random() < 0.7:
        size = 16 << walk.last.get("log2_max_frame_num_minus4", 0)
        return (walk.last.get("frame_num", 0) + 1) % size
    return walk.rng.randint(walk.lowest, walk.highest)


def _draw_modification(walk: AvcFieldWalk) -> int:
    return walk.one_of({0: 1.0, 1: 1.0, 2: 2.0, 3: 1.5})


def _draw_marking(walk: AvcFieldWalk) -> int:
    return walk.one_of({0: 5.0, 1: 2.0, 2: 1.0, 3: 3.0, 4: 2.0, 5: 0.5, 6: 2.0})


def _draw_skip_run(walk: AvcFieldWalk) -> int:
    if walk.rng.random() > walk.style.skips:
        return 0
    return walk.rng.choice((1, 1, 2, 3, walk.rng.randint(0, walk.highest), walk.highest))


def _draw_skip_flag(walk: AvcFieldWalk) -> int:
    return int(walk.rng.random() < walk.style.skips)


def _draw_end_of_slice(walk: AvcFieldWalk) -> int:
    return int(walk.rng.random() < walk.style.slice_ends)


def _draw_coded_block_flag(walk: AvcFieldWalk) -> int:
    likely = {"few": 0.3, "any": 0.6, "many": 0.9}[walk.style.coefficients]
    return int(walk.rng.random() < likely)


def _draw_last_coeff_flag(walk: AvcFieldWalk) -> int:
    likely = {"few": 0.4, "any": 0.15, "many": 0.02}[walk.style.coefficients]
    return int(walk.rng.random() < likely)


def _draw_abs_level(walk: AvcFieldWalk) -> int:
    if walk.style.levels == "small":
        return int(walk.rng.expovariate(0.7))
    if walk.style.levels == "escapes" and walk.rng.random() < 0.3:
        return walk.rng.getrandbits(walk.rng.randint(3, _LEVEL_BITS))
    return int(walk.rng.expovariate(0.1))


def _draw_mb_type(walk: AvcFieldWalk) -> int:
    values = walk.legal_values()
    n_inter = max(values) - 25  # I_PCM is always legal, and the last
    inter = [value for value in values if value < n_inter]
    if inter and walk.rng.random() > walk.style.intra:
        # B_8x8 has many types of its own.
        return walk.rng.choice([*inter, *[value for value in inter if value == 22] * 6])
    # Intra_4x4, the types of Intra_16x16 by turns, I_PCM seldom: it is large.
    weights = {n_inter: 12.0, n_inter + 25: 0.5}
    return walk.one_of(dict.fromkeys(range(n_inter), 0.0) | weights, 1.0)


def _draw_mvd(walk: AvcFieldWalk) -> int:
    if walk.style.vectors == "small":
        return walk.near(0, 5)
    return walk.near(0, 16)


def _draw_pattern(walk: AvcFieldWalk) -> int:
    none = 0.5 if walk.style.coefficients == "few" else 0.1
    return walk.rng.choice((0, 3)) if walk.rng.random() < none else walk.rng.randrange(48)


def _draw_coeff_token(walk: AvcFieldWalk) -> int:
    rows = walk.legal_values()
    if walk.style.coefficients == "few":
        few = [row for row in rows if COEFF_TOKENS[row][1] <= 3]
        return walk.rng.choice(few or rows)
    if walk.style.coefficients == "many" and walk.rng.random() < 0.7:
        return walk.rng.choice(rows[len(rows) // 2 :])
    return walk.rng.choice(rows)


def _draw_level_prefix(walk: AvcFieldWalk) -> int:
    if walk.style.levels == "small":
        return min(int(walk.rng.expovariate(0.7)), walk.highest)
    if walk.style.levels == "escapes" and walk.rng.random() < 0.5:
        return walk.rng.randint(min(14, walk.highest), walk.highest)
    return walk.rng.randint(walk.lowest, walk.highest)


def _draw_level_suffix(walk: AvcFieldWalk) -> int:
    return walk.rng.choice((walk.lowest, walk.highest, walk.rng.randint(walk.lowest, walk.highest)))


def _draw_byte(walk: AvcFieldWalk) -> int:
    return walk.rng.choice((0, 0, 1, 3, 255, walk.rng.randrange(256)))


def _draw_bit_rate(walk: AvcFieldWalk) -> int:
    return walk.lowest + walk.rng.getrandbits(walk.rng.randint(0, 20))


# Large ranges whose ends other elements then have to live with.
_ENDS_FIRST = {
    "pic_order_cnt_lsb",
    "delta_pic_order_cnt_bottom",
    "delta_pic_order_cnt[0]",
    "delta_pic_order_cnt[1]",
    "offset_for_non_ref_pic",
    "offset_for_top_to_bottom_field",
    "offset_for_ref_frame",
    "frame_crop_left_offset",
    "frame_crop_right_offset",
    "frame_crop_top_offset",
    "frame_crop_bottom_offset",
    "num_ref_frames_in_pic_order_cnt_cycle",
    "bit_rate_value_minus1",
    "cpb_size_value_minus1",
    "mvd_l0[0]",
    "mvd_l0[1]",
    "mvd_l1[0]",
    "mvd_l1[1]",
    "pic_parameter_set_id",
    "mb_qp_delta",
    "frame_num",
    "cpb_cnt_minus1",
    "luma_weight_l0",
    "luma_offset_l0",
    "chroma_weight_l0",
    "chroma_offset_l0",
    "luma_weight_l1",
    "luma_offset_l1",
    "chroma_weight_l1",
    "chroma_offset_l1",
}

_DRAWS: dict[str, _Draw] = {
    "nal_ref_idc": _draw_nal_ref_idc,
    "nal_unit_type": _draw_nal_unit_type,
    "profile_idc": _any_legal,
    "constraint_set_flags": _any_legal,
    "level_idc": _draw_level,
    "seq_parameter_set_id": _draw_seq_parameter_set_id,
    "delta_scale": _small(8),
    "log2_max_frame_num_minus4": _mostly((0,), 0.6),
    "log2_max_pic_order_cnt_lsb_minus4": _mostly((0, 2), 0.6),
    "offset_for_non_ref_pic": _small(4),
    "offset_for_top_to_bottom_field": _small(4),
    "num_ref_frames_in_pic_order_cnt_cycle": _mostly((0, 1, 2, 3), 0.95),
    "offset_for_ref_frame": _small(4),
    "max_num_ref_frames": _mostly((1, 2, 3, 4), 0.5),
    "pic_width_in_mbs_minus1": lambda walk: walk.style.width_mbs - 1,
    "pic_height_in_map_units_minus1": lambda walk: walk.style.height_mbs - 1,
    "frame_crop_left_offset": _mostly((0, 1, 2, 3), 0.9),
    "frame_crop_right_offset": _mostly((0, 1, 2, 3), 0.9),
    "frame_crop_top_offset": _mostly((0, 1, 2, 3), 0.9),
    "frame_crop_bottom_offset": _mostly((0, 1, 2, 3), 0.9),
    "aspect_ratio_idc": _any_legal,
    "colour_primaries": _any_legal,
    "transfer_characteristics": _any_legal,
    "matrix_coefficients": _any_legal,
    "cpb_cnt_minus1": _mostly((0, 1, 2), 0.9),
    "bit_rate_value_minus1": _draw_bit_rate,
    "pic_parameter_set_id": _mostly((0, 0, 1, 2), 0.9),
    "num_ref_idx_l0_default_active_minus1": _mostly((0, 1, 2, 3), 0.7),
    "num_ref_idx_l1_default_active_minus1": _mostly((0, 1, 2, 3), 0.7),
    "weighted_pred_flag": _flag(0.4),
    "weighted_bipred_idc": _mostly((0,), 0.5),
    "redundant_pic_cnt_present_flag": _flag(0.1),
    "payload_type": _mostly((0, 1, 5, 6, 128, 255), 0.5),
    "payload_size": _mostly((0, 1, 5, 16, 255), 0.8),
    "sei_payload": _draw_byte,
    "NAL unit payload": _draw_byte,
    "primary_pic_type": lambda walk: walk.one_of({7: 4.0}, 1.0),
    "slice_type": lambda walk: walk.one_of({0: 6.0, 5: 3.0, 1: 6.0, 6: 3.0}, 1.0),
    "frame_num": _draw_frame_num,
    "pic_order_cnt_lsb": _draw_order_count_lsb,
    "delta_pic_order_cnt_bottom": _draw_delta_pic_order_cnt,
    "delta_pic_order_cnt[0]": _draw_delta_pic_order_cnt,
    "delta_pic_order_cnt[1]": _draw_delta_pic_order_cnt,
    "modification_of_pic_nums_idc": _draw_modification,
    "abs_diff_pic_num_minus1": _any_legal,
    "long_term_pic_num": _any_legal,
    "luma_log2_weight_denom": _mostly((0, 5, 6), 0.5),
    "chroma_log2_weight_denom": _mostly((0, 5, 6), 0.5),
    **{
        f"{component}_{what}_l{i}": _small(5)
        for component in ("luma", "chroma")
        for what in ("weight", "offset")
        for i in range(2)
    },
    "memory_management_control_operation": _draw_marking,
    "difference_of_pic_nums_minus1": _any_legal,
    "long_term_frame_idx": _any_legal,
    "max_long_term_frame_idx_plus1": _mostly((1, 2, 3), 0.7),
    "slice_qp_delta": _mostly((0,), 0.3),
    "entropy_coding_mode_flag": _flag(0.5),
    "mb_skip_run": _draw_skip_run,
    "mb_skip_flag": _draw_skip_flag,
    "end_of_slice_flag": _draw_end_of_slice,
    "coded_block_flag": _draw_coded_block_flag,
    "last_significant_coeff_flag": _draw_last_coeff_flag,
    "coeff_abs_level_minus1": _draw_abs_level,
    "mb_type": _draw_mb_type,
    "sub_mb_type": _any_legal,
    "ref_idx_l0": _any_legal,
    "ref_idx_l1": _any_legal,
    "mvd_l0[0]": _draw_mvd,
    "mvd_l0[1]": _draw_mvd,
    "mvd_l1[0]": _draw_mvd,
    "mvd_l1[1]": _draw_mvd,
    "coded_block_pattern": _draw_pattern,
    "mb_qp_delta": _mostly((0, 1, -1), 0.7),
    "pcm_sample_luma": _draw_byte,
    "pcm_sample_chroma": _draw_byte,
    "coeff_token": _draw_coeff_token,
    "level_prefix": _draw_level_prefix,
    "level_suffix": _draw_level_suffix,
    "total_zeros": _any_legal,
    "run_before": _any_legal,
}
