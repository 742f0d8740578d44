"""What the decoders of this machine do with a JPEG file: nothing to say, a warning, or an error."""

from __future__ import annotations

import io
import re
import subprocess
import tempfile
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

DECODERS = ("djpeg", "ffmpeg", "Pillow")
_FFMPEG = ["ffmpeg", "-nostdin", "-v", "error", "-threads", "1"]
_FFMPEG += ["-err_detect", "explode", "-xerror", "-i"]
_TIMEOUT_SECONDS = 60
_LONGEST = 60


def ask_all(files: Sequence[bytes]) -> list[tuple[str, ...]]:
    """For each file what each of DECODERS says: "ok", "warning: ..." or "error: ..."."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        paths = [Path(folder, f"{i}.jpg") for i in range(len(files))]
        for path, data in zip(paths, files, strict=True):
            path.write_bytes(data)
        return list(pool.map(_ask, paths))


def _ask(path: Path) -> tuple[str, ...]:
    return _djpeg(path), _ffmpeg(path), _pillow(path)


def _djpeg(path: Path) -> str:
    """-strict ends at the first warning; what it reads without that option had no error."""
    code, said = _run(["djpeg", "-strict", "-outfile", "/dev/null", str(path)])
    if code == 0:
        return "ok"
    lenient, _ = _run(["djpeg", "-outfile", "/dev/null", str(path)])
    # djpeg exits with 2 where there were warnings only.
    return f"{'warning' if lenient in (0, 2) else 'error'}: {first_line(said)}"


def _ffmpeg(path: Path) -> str:
    code, said = _run([*_FFMPEG, str(path), "-f", "null", "-"])
    if code == 0 and not said.strip():
        return "ok"
    return f"{'error' if code else 'warning'}: {first_line(said)}"


def _pillow(path: Path) -> str:
    from PIL import Image

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            with Image.open(io.BytesIO(path.read_bytes())) as image:
                image.load()
        except (OSError, ValueError, SyntaxError) as error:
            text = re.sub(r" <_io\.BytesIO object at 0x\w+>", "", str(error))
            return f"error: {_shortened(text)}"
    return f"warning: {_shortened(str(caught[0].message))}" if caught else "ok"


def _run(command: list[str]) -> tuple[int, str]:
    run = subprocess.run(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        timeout=_TIMEOUT_SECONDS,
        check=False,
    )
    return run.returncode, run.stderr.decode(errors="replace")


def first_line(said: str) -> str:
    """Shortened, without the name of the file and what changes from run to run."""
    lines = [re.sub(r"\[[^\]]* @ 0x\w+\] ", "", line).strip() for line in said.splitlines()]
    text = next((line for line in lines if line), "no message")
    return _shortened(re.sub(r"\S*/\d+\.(jpg|264): ?", "", text))


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3].rstrip() + "..."
