"""How fast files are checked, beside decoders that read the same files in the same run."""

from __future__ import annotations

import io
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .._core import check_jpeg
from ..errors import CodecLMError
from .decoders import LibjpegPeer, planes_differ
from .measure import Spread

__all__ = ["CheckTimes", "cpu_per_file", "measure_check"]

# What jpegtran is asked for; it keeps every coefficient.
_RECODINGS = {"each with its own Huffman tables": "-optimize", "progressive": "-progressive"}


@dataclass(frozen=True)
class CheckTimes:
    """CPU microseconds per file for files that are coded alike: ours, libjpeg's entropy decoding,
    Pillow's whole decoding."""

    coding: str
    n_files: int
    n_bytes: int
    readers: dict[str, Spread]


@dataclass
class _Files:
    coding: str
    paths: list[Path]
    contents: list[bytes]
    times: dict[str, list[float]] = field(default_factory=dict)

    def add(self, reader: str, spent: Sequence[float]) -> None:
        self.times.setdefault(reader, []).extend(spent)


def measure_check(
    paths: Sequence[Path], repeats: int, on_round: Callable[[], object] = lambda: None
) -> list[CheckTimes]:
    """Times the files as they are and, where this machine has jpegtran, with the same coefficients
    coded in other ways that the check knows.

    All take turns, so that whatever slows the machine down slows them all. A reader that this
    machine lacks is left out.

    Args:
        paths: valid JPEG files; they are read into memory first.
        repeats: rounds over all files.
        on_round: called after each round.

    Raises:
        CodecLMError: a file is not valid, or a reader complains about it.
    """
    with tempfile.TemporaryDirectory() as folder:
        peer = _libjpeg(Path(folder))
        sets = [_read("as they are", paths)]
        for path, data in zip(paths, sets[0].contents, strict=True):
            status, _, _ = check_jpeg(data)
            if not status:
                raise CodecLMError(f"{path}: {status.message}; only valid files can be measured")
        if shutil.which("jpegtran"):
            for coding, option in _RECODINGS.items():
                recoded = _read(coding, _recode(paths, option, Path(folder)))
                if all(check_jpeg(data)[0] for data in recoded.contents):
                    sets.append(recoded)
        if peer is not None:
            for recoded in sets[1:]:
                _compare(peer, paths, recoded.paths)
        for _ in range(repeats):
            for files in sets:
                files.add("check", [cpu_per_file(_check, files.contents)])
                if peer is not None:
                    spent = peer.time_entropy_decoding(files.paths, 1)
                    files.add("libjpeg-turbo, entropy decoding", spent)
                files.add("Pillow, decoding to RGB", [cpu_per_file(_decode, files.contents)])
            on_round()
    return [
        CheckTimes(
            files.coding,
            len(files.contents),
            sum(map(len, files.contents)),
            {name: Spread.of(values) for name, values in files.times.items()},
        )
        for files in sets
    ]


def _read(coding: str, paths: Sequence[Path]) -> _Files:
    return _Files(coding, [*paths], [path.read_bytes() for path in paths])


def _recode(paths: Sequence[Path], option: str, folder: Path) -> list[Path]:
    recoded = []
    for i, path in enumerate(paths):
        target = folder / f"{option[1:]}_{i:06}.jpg"
        command = ["jpegtran", option, "-outfile", str(target), str(path)]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode != 0:
            raise CodecLMError(f"{path}: jpegtran {option}: {run.stderr.strip()}")
        recoded.append(target)
    return recoded


def _compare(peer: LibjpegPeer, paths: Sequence[Path], recoded: Sequence[Path]) -> None:
    pairs = zip(paths, peer.coefficients(paths), peer.coefficients(recoded), strict=True)
    for path, before, after in pairs:
        if not (isinstance(before, list) and isinstance(after, list)):
            raise CodecLMError(
                f"{path}: libjpeg does not read it, or not what jpegtran makes of it"
            )
        if difference := planes_differ(before, after):
            raise CodecLMError(f"{path}: recoded, {difference}")


def _libjpeg(folder: Path) -> LibjpegPeer | None:
    try:
        return LibjpegPeer(folder)
    except CodecLMError:
        return None


def cpu_per_file(work: Callable[[bytes], object], files: Sequence[bytes]) -> float:
    """CPU microseconds a file."""
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
