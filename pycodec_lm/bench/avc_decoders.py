"""Runs H.264 streams through libavcodec and openh264: who complains, how many pictures they see.

libavcodec is asked through ffmpeg and ffprobe, openh264 through a small program of ours. Both are
told not to conceal errors; openh264 is strict about references that are missing, libavcodec about
syntax.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ..errors import CodecLMError
from .decoders import build_peer, run_decoder, version_lines

__all__ = ["AVC_DECODERS", "Answer", "AvcDecoders", "Openh264Peer", "complaint_about"]

AVC_DECODERS = ("libavcodec", "openh264")
_PEER_SOURCE = Path(__file__).with_name("openh264_peer.c")
_TIMEOUT_SECONDS = 120
# DECODING_STATE of openh264 (codec_app_def.h).
_ERROR_BITS = {
    0x01: "frame pending",
    0x02: "reference lost",
    0x04: "bitstream error",
    0x08: "dependent layer lost",
    0x10: "no parameter sets",
    0x20: "error concealed",
    0x40: "reference list with holes",
}


@dataclass(frozen=True)
class Answer:
    """What a decoder says about a stream."""

    decoder: str  # of AVC_DECODERS
    message: str | None  # None where it is clean
    n_pictures: int | None  # None where nobody counted
    pixels: str | None = None  # a hash of what is in the pictures, where the decoder tells


def complaint_about(answer: Answer, n_pictures: int) -> str | None:
    """What is wrong with an answer about a stream of so many pictures; None where nothing is."""
    if answer.message is not None:
        return f"{answer.decoder}: {answer.message}"
    if answer.n_pictures != n_pictures:
        return f"{answer.decoder}: {answer.n_pictures} pictures, not {n_pictures}"
    return None


class Openh264Peer:
    """A small C program of ours around the openh264 of this machine, compiled when it is wanted.

    Args:
        folder: where the program goes.

    Raises:
        CodecLMError: there is no C compiler, or no header of openh264.
    """

    def __init__(self, folder: Path) -> None:
        package = "libopenh264-dev"
        self.program = build_peer(_PEER_SOURCE, folder, "openh264", "-lopenh264", package)

    def version(self) -> str:
        """Of the library."""
        command = [str(self.program), "version"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def read(self, paths: Sequence[Path]) -> Iterator[Answer]:
        """What it says about each file; a file that it crashes on is answered by how it ended."""
        rest = [*paths]
        while rest:
            lines, how = self._run(rest)
            for line in lines[: len(rest)]:
                errors, n_pictures, pixels = line.split()
                yield Answer("openh264", _error_text(int(errors, 16)), int(n_pictures), pixels)
            rest = rest[len(lines) :]
            if rest:
                yield Answer("openh264", how, None)
                rest = rest[1:]

    def _run(self, paths: Sequence[Path]) -> tuple[list[str], str]:
        names = "".join(f"{path}\n" for path in paths).encode()
        timeout = _TIMEOUT_SECONDS + len(paths)
        try:
            run = subprocess.run(
                [str(self.program)], input=names, capture_output=True, timeout=timeout, check=False
            )
        except subprocess.TimeoutExpired as error:
            return (error.stdout or b"").decode().splitlines(), f"not done after {timeout} s"
        return run.stdout.decode().splitlines(), f"exit code {run.returncode}"


def _error_text(errors: int) -> str | None:
    if errors == 0:
        return None
    names = [name for bit, name in _ERROR_BITS.items() if errors & bit]
    return f"error bits 0x{errors:x} ({', '.join(names) or 'unknown'})"


class AvcDecoders:
    """The decoders of H.264 that this machine has.

    Args:
        folder: where programs of ours go.

    Attributes:
        missing: one line on each decoder that cannot be asked.
    """

    def __init__(self, folder: Path) -> None:
        self.missing: list[str] = []
        self._has_ffmpeg = bool(shutil.which("ffmpeg") and shutil.which("ffprobe"))
        if not self._has_ffmpeg:
            self.missing.append(
                "libavcodec cannot be asked: ffmpeg and ffprobe are not on the PATH"
            )
        self._openh264: Openh264Peer | None = None
        try:
            self._openh264 = Openh264Peer(folder)
        except CodecLMError as error:
            self.missing.append(str(error))

    def names(self) -> list[str]:
        """Those of AVC_DECODERS that can be asked."""
        has = {"libavcodec": self._has_ffmpeg, "openh264": self._openh264 is not None}
        return [name for name in AVC_DECODERS if has[name]]

    def versions(self) -> list[str]:
        """A line on each decoder, those that are missing included."""
        lines = [f"{name}: {text}" for name, text in version_lines("ffmpeg").items()]
        if self._openh264 is not None:
            lines.append(f"openh264: {self._openh264.version()}")
        return [*lines, *self.missing]

    def ask(
        self, paths: Sequence[Path], *, counts: bool = True, n_threads: int = 2
    ) -> Iterator[tuple[Path, list[Answer]]]:
        """What each decoder says about each file.

        Args:
            paths: files whose names end in .264.
            counts: whether libavcodec's pictures are counted, which takes a second run.
            n_threads: decoders that run at once.
        """
        columns: list[Sequence[Answer]] = []
        if self._has_ffmpeg:
            with ThreadPoolExecutor(n_threads) as pool:
                columns.append([*pool.map(lambda path: _ask_libavcodec(path, counts), paths)])
        if self._openh264 is not None:
            columns.append([*self._openh264.read(paths)])
        for i, path in enumerate(paths):
            yield path, [column[i] for column in columns]


def _ask_libavcodec(path: Path, counts: bool) -> Answer:
    strict = ["-v", "error", "-err_detect", "explode"]
    # As passthrough, which drops and repeats nothing, but with times that the muxer likes.
    source = ["-i", str(path), "-fps_mode", "drop", "-f", "null", "-"]
    message = run_decoder(["ffmpeg", "-nostdin", *strict, "-xerror", *source])
    return Answer("libavcodec", message, _count_frames(path) if counts else None)


def _count_frames(path: Path) -> int | None:
    """Frames that come out, one by one: no clock drops or repeats any."""
    shown = ["-show_entries", "stream=nb_read_frames", "-of", "csv=p=0"]
    command = ["ffprobe", "-v", "quiet", "-count_frames", "-select_streams", "v:0", *shown]
    try:
        run = subprocess.run(
            [*command, str(path)],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None
    first = run.stdout.strip().partition("\n")[0]
    return int(first) if first.isdigit() else None
