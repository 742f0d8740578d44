"""How fast files are checked, beside decoders that read the same files in the same run."""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from .._core import check_jpeg
from ..errors import CodecLMError
from .decoders import LibjpegPeer
from .measure import Spread

__all__ = ["measure_check"]


def measure_check(
    paths: Sequence[Path], repeats: int, on_round: Callable[[], object] = lambda: None
) -> dict[str, Spread]:
    """CPU microseconds per file: ours, libjpeg's entropy decoding, Pillow's whole decoding.

    The peers take turns, so that whatever slows the machine down slows them all. A peer that this
    machine lacks is left out.

    Args:
        paths: valid JPEG files; they are read into memory first.
        repeats: rounds over all files.
        on_round: called after each round.

    Raises:
        CodecLMError: a file is not valid, or a peer complains about it.
    """
    files = [path.read_bytes() for path in paths]
    for path, data in zip(paths, files, strict=True):
        status, _, _ = check_jpeg(data)
        if not status:
            raise CodecLMError(f"{path}: {status.message}; only valid files can be measured")
    times: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        peer = _libjpeg(Path(folder))
        for _ in range(repeats):
            times.setdefault("check", []).append(_cpu_per_file(_check, files))
            if peer is not None:
                spent = peer.time_entropy_decoding(paths, 1)
                times.setdefault("libjpeg-turbo, entropy decoding", []).extend(spent)
            times.setdefault("Pillow, decoding to RGB", []).append(_cpu_per_file(_decode, files))
            on_round()
    return {name: Spread.of(values) for name, values in times.items()}


def _libjpeg(folder: Path) -> LibjpegPeer | None:
    try:
        return LibjpegPeer(folder)
    except CodecLMError:
        return None


def _cpu_per_file(work: Callable[[bytes], object], files: Sequence[bytes]) -> float:
    start = time.process_time_ns()
    for data in files:
        work(data)
    return (time.process_time_ns() - start) / 1000 / len(files)


def _check(data: bytes) -> None:
    status, _, _ = check_jpeg(data)
    if not status:
        raise CodecLMError(status.message)


def _decode(data: bytes) -> None:
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        image.load()
