"""What `bench walks --of avc` walks over: grammars of a few small pictures, by entropy coder.

Three forms pin the parameter sets of a clip of libx264, with one IDR picture and P pictures. Walks
with B slices start from the portable grammar, so that their headers are drawn too: behind a prompt
that is written field by field, up to the first byte of a B slice's header that says so.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from .._core import AvcWriter, CompiledGrammar, compile_grammar
from ..avc_grammar import AvcGrammar
from ..codecs.avc import AvcSettings, encode
from .mask_walk import BrokenWalkError, least_tokens
from .vocabularies import byte_vocabulary, pair_vocabulary

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..tokenizer_info import TokenizerInfo

__all__ = ["FRAMES", "HEIGHT", "WALK_FORMS", "WIDTH", "WalkForm", "compiled_of", "vocabulary_of"]

WIDTH, HEIGHT, FRAMES = 64, 48, 4
_N_PIECES = 300
_SLICE, _IDR, _SPS, _PPS = 1, 5, 7, 8  # nal_unit_type
_P, _B, _I = 0, 1, 2  # slice_type
_HIGHEST = (1 << 32) - 1  # of any field


@dataclass(frozen=True)
class WalkForm:
    """One form of stream, by its name in a report.

    Args:
        name: of WALK_FORMS.
        has_cabac: of all slices.
        has_b: the first picture that is walked has a B slice; a stream may then end behind any
            picture, and has as many as the budget leaves.
        budgets: times the tokens of the shortest stream, in turns.
    """

    name: str
    has_cabac: bool
    has_b: bool
    budgets: tuple[int, ...]

    @property
    def slices(self) -> str:
        """Of AvcSettings."""
        return "macroblock" if self.name == "macroblock" else "picture"

    @property
    def profile(self) -> str:
        """Of AvcSettings."""
        return "high" if self.has_cabac else "baseline"

    def grammar(self) -> AvcGrammar:
        """The streams of this form."""
        return _grammar(self)

    def prompt(self, seed: int) -> bytes:
        """What a walk goes on from: the pinned header, or one of a seed where none is pinned."""
        return _b_prompt(self.grammar(), seed) if self.has_b else self.grammar().header

    def least_tokens(self, vocabulary: str) -> int:
        """Tokens of the shortest stream of FRAMES pictures behind the prompt; of B slices, where no
        number of pictures is given, those of the form without."""
        return least_tokens(compiled_of("CABAC" if self.has_b else self.name, vocabulary))


# A step under a budget is slow, and slices of a macroblock each make ten times as many: few of
# these have the largest budget.
WALK_FORMS = {
    form.name: form
    for form in (
        WalkForm("picture", False, False, (1, 2, 10)),
        WalkForm("macroblock", False, False, (1, 1, 1, 2, 1, 1, 2, 1, 1, 10, 10, 1)),
        WalkForm("CABAC", True, False, (1, 2, 10)),
        WalkForm("CABAC with B", True, True, (1, 2, 10)),
    )
}


@cache
def _grammar(form: WalkForm) -> AvcGrammar:
    if form.has_b:
        return AvcGrammar(width=WIDTH, height=HEIGHT, profile="high")
    return AvcGrammar.avc_lm(WIDTH, HEIGHT, FRAMES, slices=form.slices, profile=form.profile)


@cache
def vocabulary_of(form: str, name: str) -> TokenizerInfo:
    """ "bytes", or "pieces": those and what stands in clips of the form."""
    if name == "bytes":
        return byte_vocabulary()
    return pair_vocabulary([_clip(WALK_FORMS[form], seed) for seed in range(4)], _N_PIECES)


@cache
def compiled_of(form: str, vocabulary: str) -> CompiledGrammar:
    """The grammar of a form with a vocabulary of `vocabulary_of`."""
    return compile_grammar(WALK_FORMS[form].grammar(), vocabulary_of(form, vocabulary))


def _clip(form: WalkForm, seed: int) -> bytes:
    settings = AvcSettings(
        WIDTH,
        HEIGHT,
        frames=FRAMES,
        slices=form.slices,
        profile=form.profile,
        b_frames=2 * form.has_b,
    )
    return encode(_patches(seed), settings)


def _patches(seed: int) -> NDArray[np.uint8]:
    """uint8 [FRAMES, HEIGHT, WIDTH, 3]: patches of colour, seen from further and further right."""
    rng = np.random.default_rng(seed)
    patches = rng.integers(0, 256, (HEIGHT // 8, WIDTH // 8 + FRAMES, 3), np.uint8)
    ground = patches.repeat(8, axis=0).repeat(8, axis=1)
    return np.stack([ground[:, 3 * i : 3 * i + WIDTH] for i in range(FRAMES)])


def _b_prompt(grammar: AvcGrammar, seed: int) -> bytes:
    """Parameter sets, three grey pictures, and the header of a B slice as far as its type.

    What B slices hang on in the parameter sets is drawn by the seed.
    """
    rng = random.Random(seed)
    common = {
        "nal_ref_idc": 1,
        "level_idc": 30,
        "pic_order_cnt_type": 0,
        "log2_max_pic_order_cnt_lsb_minus4": 4,
        "max_num_ref_frames": rng.randint(1, 4),
        "frame_mbs_only_flag": 1,
        "direct_8x8_inference_flag": 1,
        "entropy_coding_mode_flag": 1,
        "num_ref_idx_l0_default_active_minus1": rng.randrange(3),
        "num_ref_idx_l1_default_active_minus1": rng.randrange(3),
        "weighted_pred_flag": rng.randrange(2),
        "weighted_bipred_idc": rng.randrange(3),
        "pic_init_qp_minus26": rng.randint(-26, 25),
        "transform_8x8_mode_flag": rng.randrange(2),
        "constrained_intra_pred_flag": rng.randrange(2),
        "mb_type": 3,  # in an I slice Intra_16x16, DC prediction, no coefficients
        "mb_skip_flag": 1,
    }
    writer = AvcWriter(grammar)
    units = [(_SPS, 0), (_PPS, 0), (_IDR, _I), (_SLICE, _P), (_SLICE, _P), (_SLICE, _B)]
    for unit, slice_type in units:
        n = writer.n_pictures
        wanted = common | {"nal_unit_type": unit, "slice_type": slice_type}
        wanted |= {"frame_num": n, "pic_order_cnt_lsb": 2 * n}
        if not writer.write_start_code(3):
            writer.write_start_code(2)
        while not (writer.is_between_units() or _is_behind_type(writer, slice_type)):
            _write_next(writer, wanted)
    return writer.to_bytes()


def _is_behind_type(writer: AvcWriter, slice_type: int) -> bool:
    """A B slice's type is in a byte that is whole."""
    return slice_type == _B and writer.field()[0] == "pic_order_cnt_lsb"


def _write_next(writer: AvcWriter, wanted: Mapping[str, int]) -> None:
    """The value that is wanted, else the next legal one above it; of others the first from 0 on."""
    element = writer.field()[0]
    # Of all that may end a NAL unit or not, only the extension that High has is wanted.
    if writer.may_end_unit() and element != "transform_8x8_mode_flag":
        writer.end_unit()
        return
    value = writer.lowest_legal(wanted.get(element, 0), _HIGHEST)
    if value is None or not writer.write(value):
        raise BrokenWalkError(f"no value of {element} is legal: {writer.describe()}")
