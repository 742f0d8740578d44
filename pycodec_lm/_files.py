"""Reading and writing whole files: with a bound on the way in, by rename on the way out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from .errors import UsageError

__all__ = ["MAX_FILE_BYTES", "read_file", "read_stream", "write_file"]

# No picture or clip that this package is for comes near it, and a machine that checks files should
# not die of one that does.
MAX_FILE_BYTES = 1 << 28


def read_file(path: str | os.PathLike[str]) -> bytes:
    """Reads a file that is expected to be small.

    Raises:
        OSError: it cannot be read.
        UsageError: it is a folder, or larger than `MAX_FILE_BYTES`.
    """
    if Path(path).is_dir():
        raise UsageError(f"{os.fspath(path)} is a folder, not a file")
    with open(path, "rb") as stream:
        return read_stream(stream, os.fspath(path))


def read_stream(stream: BinaryIO, name: str) -> bytes:
    """Reads a stream to its end, but never more than `MAX_FILE_BYTES`."""
    data = stream.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise UsageError(
            f"{name} is larger than {MAX_FILE_BYTES >> 20} MiB, too large to read whole"
        )
    return data


def write_file(path: str | os.PathLike[str], data: bytes) -> None:
    """Writes a file beside its place and renames it: it appears whole or not at all."""
    target = Path(path)
    beside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        beside.write_bytes(data)
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)
