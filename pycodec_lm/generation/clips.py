"""Clips as prompts: the first frames of a clip, for a model to go on with, and what is shown of it.

A clip is encoded as the model's training data were, then cut after a picture. Beside what a model
makes of it two things are worth seeing: the clip itself, and the shortest ending that the grammar
has, in which all macroblocks are skipped: the last picture, frozen.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pycodec_lm import _core
from pycodec_lm.errors import CodecLMError, UsageError
from pycodec_lm.generation.sheet import ClipRow
from pycodec_lm.grammar import JpegGrammar
from pycodec_lm.grammars import grammar_of_codec

# What needs PyAV is imported where it is used: pictures do without.
if TYPE_CHECKING:
    from pycodec_lm.avc_grammar import AvcGrammar
    from pycodec_lm.codecs.avc import AvcSettings
    from pycodec_lm.generation.result import GeneratedFile
    from pycodec_lm.models.checkpoint import Checkpoint

__all__ = [
    "KEEP_FRAMES",
    "ClipPrompt",
    "ClipSource",
    "clip_grammar",
    "clip_prompt",
    "clip_rows",
    "clip_settings",
    "frozen_ending",
]

ClipSource = str | os.PathLike[str] | bytes | NDArray[np.uint8]

KEEP_FRAMES = 10  # as in AVC-LM (arXiv 2408.08459), of 15


@dataclass(frozen=True, slots=True)
class ClipPrompt:
    """The beginning of a clip, for a model to go on with.

    Attributes:
        frames: uint8 [n, height, width, 3], RGB: the clip, as long as the model's clips are or as
            it is itself.
        n_kept: how many of its frames every file starts with.
        stream: these frames as the grammar has them, parameter sets included.
        frozen: the stream with its shortest ending, in which nothing moves any more.
    """

    frames: NDArray[np.uint8] = field(repr=False)
    n_kept: int
    stream: bytes = field(repr=False)
    frozen: bytes = field(repr=False)


def clip_settings(checkpoint: Checkpoint) -> AvcSettings | None:
    """How the clips were encoded that the model was trained on; None where its notes do not say.

    Raises:
        UsageError: they say something that is no such settings.
    """
    from pycodec_lm.codecs.avc import AvcSettings

    values = checkpoint.training.get("settings")
    if values is None:
        return None
    try:
        return AvcSettings(**values)
    except TypeError as error:
        raise UsageError(f"the checkpoint's settings are none of H.264: {error}") from error


def clip_prompt(
    checkpoint: Checkpoint, clip: ClipSource, keep_frames: int = KEEP_FRAMES
) -> ClipPrompt:
    """The beginning of a stream of the model's grammar that shows a clip's first frames.

    Args:
        checkpoint: of a model of clips.
        clip: a path or the contents of a video file, whose frames are cut to the proportions and
            resampled, in time as well; or frames as the model's are: uint8 [n, height, width, 3].
        keep_frames: how many frames the model is given; with B pictures one more than a multiple
            of the distance of the others.

    Raises:
        UsageError: it is no clip, or shorter than that; `keep_frames` is out of range; or the
            checkpoint does not say how its clips were encoded.
        OSError: the path cannot be read.
    """
    from pycodec_lm.codecs.avc import encode, prefix_of_frames

    grammar, settings = clip_grammar(checkpoint), clip_settings(checkpoint)
    if settings is None:
        raise UsageError(
            "the checkpoint does not say how its clips were encoded: no prompt fits it"
        )
    _require_whole_pictures(keep_frames, settings)
    frames = _frames(clip, settings, keep_frames)
    data = encode(frames, replace(settings, frames=len(frames)))
    stream = prefix_of_frames(data, keep_frames)
    return ClipPrompt(frames, keep_frames, stream, frozen_ending(grammar, stream))


def _require_whole_pictures(keep_frames: int, settings: AvcSettings) -> None:
    """B pictures and the one behind them, which the file has first, are kept together."""
    if not 1 <= keep_frames <= settings.frames:
        raise UsageError(f"keep_frames = {keep_frames}, must be in [1, {settings.frames}]")
    step = settings.b_frames + 1
    if (keep_frames - 1) % step and keep_frames != settings.frames:
        raise UsageError(
            f"keep_frames = {keep_frames}, but this model's clips have {settings.b_frames} B "
            f"pictures in a row: keep 1, {1 + step}, {1 + 2 * step}, and so on"
        )


def clip_grammar(checkpoint: Checkpoint) -> AvcGrammar:
    """The grammar of a model of clips.

    Raises:
        UsageError: it is a model of something else.
    """
    grammar = grammar_of_codec(checkpoint.codec, checkpoint.grammar_bytes)
    if isinstance(grammar, JpegGrammar):
        raise UsageError("this model writes pictures; a clip is no prompt for it")
    return grammar


def frozen_ending(grammar: AvcGrammar, stream: bytes) -> bytes:
    """The stream with its shortest ending: every macroblock is skipped.

    Raises:
        UsageError: the stream does not begin one of the grammar.
    """
    cursor = _core.AvcCursor(grammar)
    status = cursor.push(stream)
    if not status.ok:
        raise UsageError(f"the prompt begins no stream of this model: {status.message}")
    return stream + cursor.complete()


def _frames(clip: ClipSource, settings: AvcSettings, least: int) -> NDArray[np.uint8]:
    """The first frames of a clip, as many as the settings say or as there are."""
    from pycodec_lm.codecs.clips import Clip

    if isinstance(clip, np.ndarray):
        if len(clip) < least:
            raise UsageError(f"keep_frames = {least}, but the prompt has {len(clip)} frames")
        return clip[: settings.frames]
    name = "the prompt" if isinstance(clip, bytes) else os.fspath(clip)
    try:
        source = Clip(clip)
        n = min(source.n_frames(settings.fps), settings.frames)
        if n < least:
            raise UsageError(
                f"keep_frames = {least}, but {name} has {n} frames at {settings.fps} a second"
            )
        return source.frames(replace(settings, frames=n))
    except CodecLMError as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"{name}: {error}") from error


def clip_rows(files: Sequence[GeneratedFile], prompt: ClipPrompt | None = None) -> list[ClipRow]:
    """Rows of a sheet: the clip of the prompt, what became of it, and its frozen ending."""
    rows = [
        _row(
            file.data, file.label or f"{file.index:03}", "" if file.valid else file.verdict.message
        )
        for file in files
    ]
    if prompt is None:
        return rows
    n = prompt.n_kept
    return [
        ClipRow(prompt.frames, f"original, {n} frames kept"),
        *rows,
        _row(prompt.frozen, "frozen"),
    ]


def _row(stream: bytes, caption: str, error: str = "") -> ClipRow:
    from pycodec_lm.codecs.avc import decode

    try:
        return ClipRow(decode(stream), caption, error)
    except CodecLMError as problem:
        return ClipRow(np.zeros((0, 0, 0, 3), np.uint8), caption, error or str(problem))
