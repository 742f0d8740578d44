"""The grammars of all codecs: which class a serialized one is of, and what a codec has without."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from .avc_grammar import AvcGrammar
from .errors import UsageError
from .grammar import JpegGrammar

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["Grammar", "deserialize_grammar", "grammar_of_codec"]

Grammar = JpegGrammar | AvcGrammar

# By what `serialize()` writes as "codec".
_CLASSES: dict[str, type[JpegGrammar] | type[AvcGrammar]] = {
    "jpeg": JpegGrammar,
    "h264": AvcGrammar,
}
# By what data sets and checkpoints call the codec.
_NAMES = {"jpeg": "jpeg", "avc": "h264"}


def deserialize_grammar(data: Buffer) -> Grammar:
    """The grammar that `serialize()` of any codec's grammar wrote.

    Raises:
        UsageError: the data are something else.

    >>> deserialize_grammar(AvcGrammar(frames=4).serialize())
    AvcGrammar(frames=4)
    """
    name = _codec_name(data)
    if not isinstance(name, str) or name not in _CLASSES:
        raise UsageError(f"the grammar's codec is {name!r}, must be one of {', '.join(_CLASSES)}")
    return _CLASSES[name].deserialize(data)


def grammar_of_codec(codec: str, data: Buffer | None) -> Grammar:
    """The grammar of a data set or a checkpoint.

    Args:
        codec: "jpeg" or "avc".
        data: as `serialize()` wrote it; None for every file of the codec.

    Raises:
        UsageError: there is no such codec, or the data are something else or of the other codec.
    """
    if codec not in _NAMES:
        raise UsageError(f"codec '{codec}' is not one of {', '.join(_NAMES)}")
    kind = _CLASSES[_NAMES[codec]]
    return kind() if data is None else kind.deserialize(data)


def _codec_name(data: Buffer) -> Any:
    try:
        return json.loads(bytes(data))["codec"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise UsageError(f"not a serialized grammar: {error}") from error
