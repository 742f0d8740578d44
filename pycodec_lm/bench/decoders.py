"""Runs files through the decoders of the world: who complains, and what coefficients libjpeg reads.

A decoder is clean about a file when it exits with 0 and says nothing on standard error. Decoders
are silent when they lose step, so the coefficients are compared as well.
"""

from __future__ import annotations

import io
import os
import shutil
import struct
import subprocess
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from ..errors import CodecLMError
from .structure import read_structure

if TYPE_CHECKING:
    from numpy.typing import NDArray

# [high, wide, 64] of each component, zig-zag order.
Planes: TypeAlias = "list[NDArray[np.int16]]"

__all__ = [
    "DECODERS",
    "Complaint",
    "LibjpegPeer",
    "Planes",
    "all_complaints",
    "available_decoders",
    "build_peer",
    "complaints",
    "decoder_versions",
    "ffmpeg_reads_sampling",
    "planes_differ",
    "run_decoder",
    "version_lines",
]

DECODERS = ("djpeg", "Pillow", "ffmpeg")
# HV of each component, where all factors of an axis that are 2 count as 1. Measured with ffmpeg
# 5.1 on every portable combination of three components and a sample of those of four; to all
# others it answers "Not yet implemented in FFmpeg, patches welcome".
_FFMPEG_LAYOUTS = frozenset(
    [
        "11 11 11",
        "11 22 22",
        "12 11 11",
        "12 12 11",
        "14 11 11",
        "14 12 12",
        "21 11 11",
        "21 11 21",
        "21 21 11",
        "22 11 11",
        "22 11 12",
        "22 11 21",
        "22 11 22",
        "22 12 11",
        "22 12 21",
        "22 21 11",
        "22 21 12",
        "22 22 11",
        "23 11 11",
        "24 11 11",
        "31 11 11",
        "41 11 11",
        "42 11 11",
        "11 11 11 11",
        "22 11 11 11",
        "22 11 11 22",
    ]
)
_TIMEOUT_SECONDS = 120
_PEER_SOURCE = Path(__file__).with_name("libjpeg_peer.c")


@dataclass(frozen=True)
class Complaint:
    """What a decoder says about a file."""

    decoder: str
    message: str
    # ffmpeg has no pixel format for some sampling factors: that is not held against a file.
    is_excused: bool = False


def available_decoders() -> list[str]:
    """Those of DECODERS that this machine has."""
    return [name for name in DECODERS if name == "Pillow" or shutil.which(name)]


def decoder_versions() -> dict[str, str]:
    """A line on each decoder of this machine."""
    import PIL
    from PIL import features

    turbo = features.version_feature("libjpeg_turbo")
    pillow = {"Pillow": f"{PIL.__version__} (libjpeg-turbo {turbo})"}
    return pillow | version_lines("djpeg", "ffmpeg")


def version_lines(*programs: str) -> dict[str, str]:
    """The first line of what each program says with -version; those that are missing left out."""
    versions = {}
    for name in filter(shutil.which, programs):
        run = subprocess.run([name, "-version"], capture_output=True, text=True, check=False)
        versions[name] = (run.stdout or run.stderr).splitlines()[0]
    return versions


def ffmpeg_reads_sampling(sampling: Sequence[tuple[int, int]]) -> bool:
    """Whether ffmpeg's mjpeg decoder has a pixel format for these factors (H, V)."""
    if len(sampling) == 1:
        return True
    axes = [[1] * len(axis) if {*axis} == {2} else axis for axis in zip(*sampling, strict=True)]
    return " ".join(f"{h}{v}" for h, v in zip(*axes, strict=True)) in _FFMPEG_LAYOUTS


def complaints(path: Path) -> list[Complaint]:
    """What the decoders of this machine say about one file; empty where all are clean.

    Args:
        path: a file whose name ends in .jpg.
    """
    said = [(name, _RUN[name](path)) for name in available_decoders()]
    return [
        Complaint(name, message, name == "ffmpeg" and _is_excused(path, message))
        for name, message in said
        if message is not None
    ]


def all_complaints(
    paths: Sequence[Path], n_threads: int = 2
) -> Iterator[tuple[Path, list[Complaint]]]:
    """`complaints` of many files, in their order."""
    with ThreadPoolExecutor(n_threads) as pool:
        yield from zip(paths, pool.map(complaints, paths), strict=True)


def _is_excused(path: Path, message: str) -> bool:
    """Not by the message alone: it is for the factors to say."""
    if "Not yet implemented" not in message:
        return False
    try:
        sampling = read_structure(path.read_bytes()).sampling
    except (ValueError, IndexError):
        return False
    return bool(sampling) and not ffmpeg_reads_sampling(sampling)


def _run_djpeg(path: Path) -> str | None:
    return run_decoder(["djpeg", "-strict", "-outfile", "/dev/null", str(path)])


def _run_ffmpeg(path: Path) -> str | None:
    options = ["-nostdin", "-v", "error", "-err_detect", "explode"]
    return run_decoder(["ffmpeg", *options, "-i", str(path), "-f", "null", "-"])


def _run_pillow(path: Path) -> str | None:
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            with Image.open(io.BytesIO(path.read_bytes())) as image:
                image.load()
        except (OSError, Warning, ValueError, SyntaxError) as error:
            return f"{type(error).__name__}: {error}"
    return None


def run_decoder(command: list[str]) -> str | None:
    """What a program says about a file; None where it exits with 0 and says nothing."""
    try:
        run = subprocess.run(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"not done after {_TIMEOUT_SECONDS} s"
    said = run.stderr.decode(errors="replace").strip()
    if run.returncode == 0 and not said:
        return None
    return f"exit code {run.returncode}: {said}"


_RUN = {"djpeg": _run_djpeg, "Pillow": _run_pillow, "ffmpeg": _run_ffmpeg}


def build_peer(source: Path, folder: Path, library: str, link: str, package: str) -> Path:
    """Compiles a C program around a library of this machine.

    Args:
        source: one file in C.
        folder: where the program goes.
        library: its name in messages.
        link: the option that links it.
        package: of Debian, that has its headers.

    Raises:
        CodecLMError: there is no C compiler, or no such library with headers.
    """
    program = folder / source.stem
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise CodecLMError(f"{library} cannot be asked: there is no C compiler (cc)")
    command = [compiler, "-O2", str(source), "-o", str(program), link]
    build = subprocess.run(command, capture_output=True, text=True, check=False)
    if build.returncode != 0:
        raise CodecLMError(
            f"{library} cannot be asked: its header or library is missing (Debian: {package}): "
            + build.stderr.strip().partition("\n")[0]
        )
    return program


class LibjpegPeer:
    """A small C program of ours around the libjpeg of this machine, compiled when it is wanted.

    Args:
        folder: where the program goes.
        library: a shared libjpeg to use instead, of the same ABI (6.2).

    Raises:
        CodecLMError: there is no C compiler, or no header of libjpeg.
    """

    def __init__(self, folder: Path, library: Path | None = None) -> None:
        self._environment = {**os.environ, **({"LD_PRELOAD": str(library)} if library else {})}
        self.program = build_peer(_PEER_SOURCE, folder, "libjpeg", "-ljpeg", "libjpeg-dev")

    def coefficients(self, paths: Sequence[Path]) -> Iterator[Planes | Complaint]:
        """What jpeg_read_coefficients gives for each file: a plane [high, wide, 64] a component.

        Blocks that only fill MCUs are included; of components that are coded alone they are 0.
        """
        # A file for the answers: a pipe read too late would block the program.
        with tempfile.TemporaryFile() as answers:
            run = subprocess.run(
                [str(self.program), "coefficients"],
                input="".join(f"{path}\n" for path in paths).encode(),
                stdout=answers,
                stderr=subprocess.PIPE,
                env=self._environment,
                check=False,
            )
            if run.returncode != 0:
                raise CodecLMError(f"{self.program.name} failed: {run.stderr.decode().strip()}")
            answers.seek(0)
            for _ in paths:
                n_warnings, n_planes = struct.unpack("ii", answers.read(8))
                if n_warnings or n_planes < 0:
                    yield Complaint("libjpeg", run.stderr.decode(errors="replace").strip())
                planes = []
                for _ in range(max(n_planes, 0)):
                    high, wide = struct.unpack("ii", answers.read(8))
                    values = np.frombuffer(answers.read(high * wide * 128), np.int16)
                    planes.append(values.reshape(high, wide, 64))
                if not n_warnings and n_planes >= 0:
                    yield planes

    def time_entropy_decoding(self, paths: Sequence[Path], repeats: int) -> list[float]:
        """CPU microseconds per file, of each repeat."""
        command = [str(self.program), "time", str(repeats), *map(str, paths)]
        run = subprocess.run(
            command, capture_output=True, text=True, env=self._environment, check=False
        )
        if run.returncode != 0:
            raise CodecLMError(f"libjpeg does not read the files: {run.stderr.strip()}")
        return [float(line) for line in run.stdout.split()]


def planes_differ(ours: Planes, theirs: Planes) -> str | None:
    """Where the coefficients differ, in words; None where they are equal.

    Args:
        ours: as the scans coded them.
        theirs: of libjpeg, which may hold more blocks to fill MCUs, with nothing but DC.
    """
    if len(ours) != len(theirs):
        return f"{len(ours)} components, but libjpeg reads {len(theirs)}"
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        high, wide, _ = a.shape
        if high > b.shape[0] or wide > b.shape[1]:
            return (
                f"component {i} has {wide} x {high} blocks, in libjpeg {b.shape[1]} x {b.shape[0]}"
            )
        if not np.array_equal(a, b[:high, :wide]):
            y, x, k = (int(at[0]) for at in np.nonzero(a != b[:high, :wide]))
            return (
                f"component {i}, block ({x}, {y}), coefficient {k} is {a[y, x, k]}, in libjpeg"
                f" {b[y, x, k]}"
            )
        # DC refinements can have more blocks than the first scan had: they fill MCUs.
        if np.any(b[high:, :, 1:]) or np.any(b[:, wide:, 1:]):
            return f"component {i} has more AC coefficients that are not 0 in libjpeg"
    return None
