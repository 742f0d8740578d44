"""Which H.264 streams may be written: the grammar of AVC-LM and its relatives."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from . import _core
from .errors import UsageError

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["AvcGrammar"]


class AvcGrammar(_core.AvcGrammar):
    """A set of H.264 byte streams (ITU-T H.264 Annex B): I and P slices, CAVLC, no fields.

    `AvcGrammar()` is every stream in scope; `like()` and `avc_lm()` pin the parameter sets, and in
    slice headers all but what counts pictures.

    Args:
        portable: leave out what is legal but makes some decoder complain (docs/design.md).
        frames: the stream has so many; by default any number.
        slices: "picture" for one slice a picture, "macroblock" for one slice a macroblock, "any".

    Raises:
        UsageError: a keyword is out of its range.

    >>> AvcGrammar(frames=4, slices="picture")
    AvcGrammar(frames=4, slices='picture')
    """

    def __init__(
        self,
        *,
        portable: bool = True,
        frames: int | None = None,
        slices: str | None = None,
        _like: Buffer | None = None,
    ) -> None:
        given: dict[str, Any] = {
            "portable": None if portable else False,
            "frames": frames,
            "slices": slices,
            "_like": None if _like is None else bytes(_like),
        }
        self._given = {name: value for name, value in given.items() if value is not None}
        super().__init__(
            portable=portable, frames=frames, slices=slices, like=self._given.get("_like")
        )

    @classmethod
    def like(cls, clip: Buffer, *, frames: int | None = None) -> AvcGrammar:
        """The streams that differ from a clip in their macroblocks only.

        All that stands before the first slice is forced, as are the types, quantizers and filter
        settings in slice headers; start codes are as short as they may be, and P slices may refer
        to all pictures there are, up to the default number.

        Args:
            clip: an Annex B stream of one IDR picture and P pictures.
            frames: another number of frames than the clip has.

        Raises:
            UsageError: the clip is not valid or not of this form; the message says where.
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
    ) -> AvcGrammar:
        """The form of AVC-LM: constrained baseline, one IDR picture, no B, as libx264 writes it.

        Args:
            width, height: in pixels, even.
            frames: of a clip.
            qp: x264's constant quantizer, 1 to 51.
            fps: frames a second.
            slices: "picture" or "macroblock".

        Raises:
            UsageError: a value is out of range.

        Source: arXiv 2408.08459; its authors' options of x264 are not public.
        """
        import numpy as np

        from .codecs.avc import AvcSettings, encode

        # Two frames show all that the headers of any clip say.
        settings = AvcSettings(width, height, fps, min(frames, 2), qp, slices)
        grey = np.full((settings.frames, height, width, 3), 128, np.uint8)
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
