"""What preparing pictures and clips share: files of a folder, the split, workers, the account."""

import multiprocessing
import os
import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, TypeVar

from pycodec_lm.data.prepare import Sample, SampleWriter
from pycodec_lm.data.shards import DatasetMeta
from pycodec_lm.errors import CodecLMError, UsageError

__all__ = ["EncodedFiles", "FolderSummary", "Skipped", "SourceFolder", "in_order", "require"]

T = TypeVar("T")

# Each file with its samples, or with the reason why it has none.
EncodedFiles = list[tuple[Path, list[Sample] | str]]


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file of which no sample was made, and why."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class FolderSummary:
    """What came of a folder.

    Attributes:
        meta: what the dataset says of itself, counts included.
        n_files: the files that became samples.
        skipped: the other files.
        one_byte_share: the share of syntax elements that fill one byte, in the pictures from which
            the Huffman tables were made; None for the standard tables, and for clips.
    """

    meta: DatasetMeta
    n_files: int
    skipped: list[Skipped]
    one_byte_share: float | None = None


@dataclass(slots=True)
class _Progress:
    """Counts files, for those who want to watch."""

    in_all: int
    report: Callable[[int, int], None] | None
    done: int = field(default=0)

    def step(self, n_files: int) -> None:
        self.done += n_files
        if self.report is not None:
            self.report(self.done, self.in_all)


@dataclass(frozen=True, slots=True)
class SourceFolder:
    """The files of a folder, and how they are shared out.

    Attributes:
        root: the folder.
        files: those in it and in its sub-folders, relative to it, in the order of their names.
        validation: the files kept for validation.
        kind: what the files should be, in one word.
    """

    root: Path
    files: list[Path]
    validation: frozenset[Path]
    kind: str

    @classmethod
    def scan(
        cls, folder: str | os.PathLike[str], kind: str, *, val_share: float, seed: int
    ) -> Self:
        """Finds the files; hidden files and folders are left alone.

        Raises:
            UsageError: there is no such folder, nothing in it, or the share is out of range.
        """
        root = Path(folder)
        require(root.is_dir(), f"{root} is not a folder")
        require(0 <= val_share < 1, f"the share for validation is {val_share}, must be in [0, 1)")
        files = list(_files(root))
        require(bool(files), f"there is no {kind} in {root}")
        return cls(root, files, _validation_files(files, val_share, seed), kind)

    def conditions(self, folders_are_classes: bool) -> dict[str, list[str]]:
        """The names of the sub-folders as condition "class", if they are classes."""
        classes = sorted({file.parts[0] for file in self.files if len(file.parts) > 1})
        return {"class": classes} if folders_are_classes else {}

    def progress(self, n_more: int, report: Callable[[int, int], None] | None) -> _Progress:
        """Counts the files of the folder and some that are read before."""
        return _Progress(n_more + len(self.files), report)

    def write(
        self,
        writer: SampleWriter,
        encode: Callable[[Sequence[Path]], EncodedFiles],
        *,
        n_workers: int,
        files_a_call: int,
        progress: _Progress,
    ) -> FolderSummary:
        """Writes what `encode` makes of all files, and closes the dataset.

        Args:
            writer: an open dataset; "class" among its conditions is the name of the sub-folder.
            encode: what a worker does with a few files; it must not raise for a broken one.
            n_workers: processes.
            files_a_call: how many files a worker gets at once.
            progress: counts the files.

        Raises:
            UsageError: no file gave a sample. Nothing is left behind.
        """
        skipped: list[Skipped] = []
        with writer:
            for results in in_order(encode, self.files, n_workers, files_a_call):
                for file, samples in results:
                    if isinstance(samples, str):
                        skipped.append(Skipped(self.root / file, samples))
                        continue
                    has_class = "class" in writer.meta.conditions and len(file.parts) > 1
                    labels = {"class": file.parts[0]} if has_class else {}
                    for sample in samples:
                        writer.add(sample, labels, "val" if file in self.validation else "train")
                progress.step(len(results))
            if len(skipped) == len(self.files):
                first = skipped[0]
                raise UsageError(
                    f"there is no {self.kind} in {self.root} that can be read, {len(self.files)} "
                    f"files were tried ({first.path.name}: {first.reason})"
                )
        return FolderSummary(writer.meta, len(self.files) - len(skipped), skipped)


def require(condition: bool, message: str) -> None:
    """Raises a UsageError with the message unless the condition holds."""
    if not condition:
        raise UsageError(message)


def _files(root: Path) -> Iterator[Path]:
    """Files of the folder and its sub-folders, relative to it, in the order of their names."""
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in sorted(names):
            path = Path(folder) / name
            # Opening a pipe would wait for ever.
            if not name.startswith(".") and path.is_file():
                yield path.relative_to(root)


def _validation_files(files: Sequence[Path], share: float, seed: int) -> frozenset[Path]:
    """A random share of the files; at least one where two or more can be shared out."""
    n = round(len(files) * share)
    if share > 0 and len(files) > 1:
        n = min(max(n, 1), len(files) - 1)
    return frozenset(random.Random(f"split {seed}").sample(files, n))


def in_order(
    function: Callable[[Sequence[Path]], T],
    files: Sequence[Path],
    n_workers: int,
    files_a_call: int,
) -> Iterator[T]:
    """`function` of a few files at a time, in the order of the files whoever finishes first.

    Raises:
        CodecLMError: a worker process died.
    """
    parts = [files[i : i + files_a_call] for i in range(0, len(files), files_a_call)]
    if n_workers == 1 or len(parts) < 2:
        yield from map(function, parts)
        return
    # Not forked: the threads of the grammar engine would not be there in a fork.
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(min(n_workers, len(parts)), mp_context=context)
    pending: deque[Future[T]] = deque()
    try:
        for part in parts:
            # Only so many ahead, so that results do not pile up in memory.
            if len(pending) >= 4 * n_workers:
                yield pending.popleft().result()
            pending.append(executor.submit(function, part))
        while pending:
            yield pending.popleft().result()
    except BrokenProcessPool as error:
        raise CodecLMError(
            "a worker process died, perhaps for want of memory; try fewer workers"
        ) from error
    finally:
        executor.shutdown(cancel_futures=True)
