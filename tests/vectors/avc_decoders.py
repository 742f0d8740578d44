"""What the decoders of this machine do with an H.264 stream: nothing to say, an error, or another
number of pictures than it has."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pycodec_lm.bench.avc_decoders import AVC_DECODERS, Answer, AvcDecoders

from .avc_vectors import AvcVector
from .decoders import first_line


def ask_avc(vectors: Sequence[AvcVector]) -> list[tuple[str, ...]]:
    """For each vector what each of AVC_DECODERS says: "ok", "error: ..." or "count: ...".

    Pictures are counted in valid streams.
    """
    with tempfile.TemporaryDirectory() as folder:
        decoders = _decoders(folder)
        paths = [Path(folder, f"{i}.264") for i in range(len(vectors))]
        for path, vector in zip(paths, vectors, strict=True):
            path.write_bytes(vector.data)
        answers = decoders.ask(paths)
        return [
            tuple(_text(answer, vector) for answer in row)
            for vector, (_, row) in zip(vectors, answers, strict=True)
        ]


def avc_versions_line() -> str:
    """The decoders of this machine, in a line."""
    with tempfile.TemporaryDirectory() as folder:
        lines = _decoders(folder).versions()
    return "; ".join(line.split(" Copyright")[0] for line in lines)


def _decoders(folder: str) -> AvcDecoders:
    decoders = AvcDecoders(Path(folder))
    if decoders.names() != [*AVC_DECODERS]:
        raise RuntimeError("; ".join(decoders.missing))
    return decoders


def _text(answer: Answer, vector: AvcVector) -> str:
    if answer.message is not None:
        return f"error: {first_line(re.sub(r'^exit code [0-9]+: ', '', answer.message))}"
    if vector.expected is None and answer.n_pictures != vector.n_pictures:
        return f"count: {answer.n_pictures} pictures, not {vector.n_pictures}"
    return "ok"
