"""Which H.264 streams may be written: the grammar of AVC-LM and its relatives."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from . import _core
from .errors import UsageError

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["AvcGrammar"]

# level_idc by name, Table A-1; that of 1b is the one it has in High.
_LEVELS = {
    "1": 10, "1b": 9, "1.1": 11, "1.2": 12, "1.3": 13, "2": 20, "2.1": 21, "2.2": 22, "3": 30,
    "3.1": 31, "3.2": 32, "4": 40, "4.1": 41, "4.2": 42, "5": 50, "5.1": 51, "5.2": 52, "6": 60,
    "6.1": 61, "6.2": 62,
}  # fmt: skip


class AvcGrammar(_core.AvcGrammar):
    """A set of H.264 byte streams (ITU-T H.264 Annex B): I, P and B slices, no fields.

    `AvcGrammar()` is every stream in scope; each keyword narrows it. `like()` and `avc_lm()` pin
    the parameter sets, and in slice headers all but what counts pictures.

    Args:
        portable: leave out what is legal but makes some decoder complain (docs/design.md).
        width, height: of the pictures as they are shown, in pixels, even; coded in as few
            macroblocks as have so many, the rest cropped.
        frames: the stream has so many; by default any number. Unless `portable` is False, they are
            shown in the order in which they are coded.
        profile: "baseline" (the constrained one), "main" or "high".
        slices: "picture" for one slice a picture, "macroblock" for one slice a macroblock, "any".
        qp: the luma quantizer of every slice and macroblock, 0 to 51.
        level: "1", "1b", "1.1" to "6.2", or level_idc, which is ten times that (9 for 1b).

    Raises:
        UsageError: a keyword is out of its range or contradicts another.

    >>> AvcGrammar(width=64, height=48, frames=4, qp=30)
    AvcGrammar(width=64, height=48, frames=4, qp=30)
    """

    def __init__(
        self,
        *,
        portable: bool = True,
        width: int | None = None,
        height: int | None = None,
        frames: int | None = None,
        profile: str | None = None,
        slices: str | None = None,
        qp: int | None = None,
        level: str | float | None = None,
        _like: Buffer | None = None,
    ) -> None:
        given: dict[str, Any] = {
            "portable": None if portable else False,
            "width": width,
            "height": height,
            "frames": frames,
            "profile": profile,
            "slices": slices,
            "qp": qp,
            "level": level,
            "_like": None if _like is None else bytes(_like),
        }
        self._given = {name: value for name, value in given.items() if value is not None}
        super().__init__(
            portable=portable,
            width=width,
            height=height,
            frames=frames,
            profile=profile,
            slices=slices,
            qp=qp,
            level_idc=None if level is None else _level_idc(level),
            like=self._given.get("_like"),
        )

    @classmethod
    def like(cls, clip: Buffer, *, frames: int | None = None) -> AvcGrammar:
        """The streams that differ from a clip in their macroblocks only.

        All that stands before the first slice is forced, as are the types, quantizers and filter
        settings in slice headers; start codes are as short as they may be, and P slices may refer
        to all pictures there are, up to the default number. Where the clip has B pictures, or the
        headers of P pictures differ in more than counters, each picture has the header that it has
        in the clip.

        Args:
            clip: an Annex B stream of one IDR picture and others; B slices have spatial direct
                prediction.
            frames: another number of frames than the clip has; fewer, where each has its header.

        Raises:
            UsageError: the clip is not valid or not of this form, and the message says where; or
                no stream with such parameter sets and slices has so many frames.
        """
        return cls(_like=clip, frames=frames)

    @classmethod
    def avc_lm(
        cls,
        width: int = 256,
        height: int = 144,
        frames: int = 15,
        qp: int = 37,
        fps: int = 3,
        slices: str = "picture",
        profile: str = "baseline",
        b_frames: int = 0,
    ) -> AvcGrammar:
        """The form of AVC-LM: constrained baseline, one IDR picture, no B, as libx264 writes it.

        Other profiles, and B pictures, are for the same with CABAC.

        Args:
            width, height: in pixels, even.
            frames: of a clip.
            qp: x264's constant quantizer, 1 to 51.
            fps: frames a second.
            slices: "picture" or "macroblock".
            profile: "baseline", "main" or "high".
            b_frames: B pictures in a row, 0 to 16; none in baseline.

        Raises:
            UsageError: a value is out of range.

        Source: arXiv 2408.08459; its authors' options of x264 are not public.
        """
        import numpy as np

        from .codecs.avc import AvcSettings, encode

        # Two frames show all that the headers of any clip say; but B pictures have each their own.
        n = frames if b_frames else min(frames, 2)
        settings = AvcSettings(width, height, fps, n, qp, slices, profile, b_frames)
        grey = np.broadcast_to(np.uint8(128), (n, height, width, 3))
        return cls(_like=encode(grey, settings), frames=frames, slices=slices)

    @property
    def header(self) -> bytes:
        """The bytes forced at the start, before the first slice; b"" if none are."""
        return self.pinned

    def to_file(self, stream: Buffer) -> bytes:
        """The stream as a file that players open: itself."""
        return bytes(stream)

    def serialize(self) -> bytes:
        """The grammar as JSON, to store beside a model or a data set."""
        spec: dict[str, Any] = dict(self._given)
        if "_like" in spec:
            spec["_like"] = spec["_like"].hex()
        return json.dumps({"codec": "h264", **spec}, sort_keys=True).encode()

    @classmethod
    def deserialize(cls, data: Buffer) -> AvcGrammar:
        """The grammar that `serialize()` wrote.

        Raises:
            UsageError: the data are something else.
        """
        try:
            spec = json.loads(bytes(data))
            if spec.pop("codec") != "h264":
                raise UsageError("the grammar is not one of H.264 streams")
            if "_like" in spec:
                spec["_like"] = bytes.fromhex(spec["_like"])
            return cls(**spec)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            if isinstance(error, UsageError):
                raise
            raise UsageError(f"not a serialized grammar: {error}") from error

    def __repr__(self) -> str:
        shown = [
            f"{name.lstrip('_')}={'...' if name == '_like' else repr(value)}"
            for name, value in self._given.items()
        ]
        return f"AvcGrammar({', '.join(shown)})"

    def __reduce__(self) -> tuple[Any, tuple[bytes]]:
        return AvcGrammar.deserialize, (self.serialize(),)


def _level_idc(level: str | float) -> int:
    if level in _LEVELS.values():
        return int(level)
    try:
        return _LEVELS[str(level).removesuffix(".0")]
    except KeyError:
        raise UsageError(f"level {level!r} is not one of {', '.join(_LEVELS)}") from None
