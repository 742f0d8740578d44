"""What the commands share: JSON lines, a progress bar, and the way to give up."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from types import TracebackType
from typing import Generic, NoReturn, Self, TypeVar

from .._files import read_file, read_stream
from ..errors import CodecLMError, UsageError

__all__ = [
    "Progress",
    "fail",
    "let_threads_sleep",
    "print_json",
    "printable",
    "progress",
    "read_input",
]

T = TypeVar("T")

# Redrawing costs more than most steps; ten times a second looks smooth.
_REDRAW_SECONDS = 0.1


def let_threads_sleep() -> None:
    """Makes threads that wait for one another sleep, not spin; to be called before torch's import.

    Spinning threads lose their time slices to other processes just when they are waited for: with
    two threads on two busy cores a training step took 3.5 times as long, generation 20 times.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def print_json(value: object) -> None:
    """Prints `value` as one line of JSON on standard output."""
    print(json.dumps(value, allow_nan=False), flush=True)


def printable(name: str) -> str:
    """A file name as it may stand in a line: line breaks and stray bytes become escapes."""
    return name if name.isprintable() else ascii(name)[1:-1]


def read_input(path: str) -> tuple[bytes, str]:
    """A file, or standard input for "-", and what to call it."""
    if path == "-":
        name = "standard input"
        return read_stream(sys.stdin.buffer, name), name
    return read_file(path), path


def fail(message: str, *, exit_code: int = 2) -> NoReturn:
    """Ends the command with one line on standard error.

    Args:
        message: what happened, where, and what to do next; without the name of the command.
        exit_code: 2 for misuse, 1 where the answer is no.
    """
    if exit_code == 2:
        raise UsageError(message)
    raise CodecLMError(message)


class Progress(Generic[T]):
    """A bar on standard error for long work; silent where nobody would see it.

    Iterate over it, or use it as a context manager and call `update`.

    >>> with progress(3, "training", quiet=True) as bar:
    ...     for step in range(3):
    ...         bar.update(note=f"loss {step}")
    """

    def __init__(self, items: Iterable[T], total: int | None, desc: str, quiet: bool) -> None:
        self._items = items
        self._total = total
        self._desc = desc
        self._shown = not quiet and sys.stderr.isatty()
        self._done = 0
        self._note = ""
        self._started = time.monotonic()
        self._last_drawn = 0.0

    def update(self, n: int = 1, note: str | None = None) -> None:
        """Counts `n` more steps as done; `note` stands behind the bar until the next one."""
        self._done += n
        if note is not None:
            self._note = note
        now = time.monotonic()
        if self._shown and now - self._last_drawn >= _REDRAW_SECONDS:
            self._last_drawn = now
            self._draw()

    def close(self) -> None:
        """Draws the last state and ends the line."""
        if self._shown:
            self._draw()
            sys.stderr.write("\n")
            sys.stderr.flush()
            self._shown = False

    def __iter__(self) -> Iterator[T]:
        with self:
            for item in self._items:
                yield item
                self.update()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _draw(self) -> None:
        elapsed = time.monotonic() - self._started
        line = f"{self._desc}: {self._done}"
        if self._total:
            share = min(1.0, self._done / self._total)
            filled = round(20 * share)
            line += f"/{self._total} [{'#' * filled}{'.' * (20 - filled)}] {_clock(elapsed)}"
            if 0 < self._done < self._total:
                line += f", {_clock(elapsed * (1 - share) / share)} left"
        else:
            line += f" {_clock(elapsed)}"
        if self._note:
            line += f", {self._note}"
        n_columns = shutil.get_terminal_size().columns
        sys.stderr.write(f"\r{line[: n_columns - 1]}\x1b[K")
        sys.stderr.flush()


def progress(work: Iterable[T] | int, desc: str, *, quiet: bool = False) -> Progress[T]:
    """A progress bar over some work.

    Args:
        work: what to iterate over, or the number of steps that `update` will count.
        desc: a word or two before the bar, such as "training".
        quiet: True where the user asked for silence or for JSON.

    Returns:
        Something to iterate over, or to use in a `with` statement. Nothing is drawn unless standard
        error is a terminal.
    """
    if isinstance(work, int):
        return Progress[T]((), work, desc, quiet)
    return Progress(work, len(work) if isinstance(work, Sized) else None, desc, quiet)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
