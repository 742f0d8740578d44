"""A folder of pictures as a dataset: whatever Pillow opens; broken files are named and skipped."""

import multiprocessing
import os
import random
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from pycodec_lm import symbol_counts
from pycodec_lm.codecs.jpeg import JpegSettings, encode, fit
from pycodec_lm.data.huffman import DESIGNS, design_tables, one_byte_share
from pycodec_lm.data.prepare import PictureCoder, Sample, SampleWriter
from pycodec_lm.data.shards import DatasetMeta
from pycodec_lm.errors import CodecLMError, UsageError
from pycodec_lm.jpeg_tables import HuffmanTables
from pycodec_lm.tokenizer import ByteTokenizer

__all__ = ["FolderSummary", "Skipped", "prepare_folder"]

# Larger pictures and files are skipped: decoded, the first would take gigabytes.
_MAX_PIXELS = 100_000_000
_MAX_FILE_BYTES = 1 << 28
# Enough to know how often each symbol comes; more would only take time.
_MAX_FILES_COUNTED = 5000
_SMALLEST_CROP_SHARE = 0.5
_FILES_A_CALL = 8

T = TypeVar("T")


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
        n_pictures: the files that became samples.
        skipped: the other files.
        one_byte_share: the share of syntax elements that fill one byte, in the pictures from which
            the Huffman tables were made; None for the standard tables.
    """

    meta: DatasetMeta
    n_pictures: int
    skipped: list[Skipped]
    one_byte_share: float | None


@dataclass(frozen=True, slots=True)
class _Job:
    """What a worker has to know besides the names of its files."""

    folder: Path
    settings: JpegSettings
    n_crops: int
    seed: int
    huffman_tables: HuffmanTables | None = None


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


def prepare_folder(
    folder: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    settings: JpegSettings,
    huffman: str = "standard",
    tokenizer: ByteTokenizer | None = None,
    val_share: float = 0.05,
    n_crops: int = 1,
    folders_are_classes: bool = False,
    n_workers: int = 1,
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> FolderSummary:
    """Writes the pictures of a folder and its sub-folders as a dataset.

    Args:
        folder: where the pictures are; hidden files and folders are left alone.
        out: the dataset to write; it must not exist, and appears when it is whole.
        settings: how pictures become JPEG. A picture is cut to the proportions and resampled.
        huffman: "standard", or "optimal" or "aligned" tables made from training pictures.
        tokenizer: by default a token is a byte.
        val_share: the share of the pictures kept for validation, with all their crops.
        n_crops: 1 takes the largest window in the middle of a picture; more take that many windows
            of random size and place.
        folders_are_classes: the name of the sub-folder becomes the condition "class"; pictures
            directly in `folder` have none.
        n_workers: processes. More than one are new interpreters, so a script that asks for them
            needs the guard `if __name__ == "__main__"`.
        seed: of the split and of the crops.
        on_progress: called with (files done, files in all) as the work goes on; for other tables
            than the standard ones some files are read twice.

    Raises:
        UsageError: there is no such folder, no picture in it, `out` exists, or a number is out of
            range. Nothing is left behind.
    """
    root = Path(folder)
    _require(root.is_dir(), f"{root} is not a folder")
    _require(not Path(out).exists(), f"{out} exists already; give another folder or remove it")
    _require(0 <= val_share < 1, f"the share for validation is {val_share}, must be in [0, 1)")
    _require(n_crops >= 1, f"{n_crops} crops of a picture, must be at least 1")
    _require(n_workers >= 1, f"{n_workers} workers, must be at least 1")
    _require(huffman in DESIGNS, f"Huffman design '{huffman}' is not one of {', '.join(DESIGNS)}")
    files = list(_files(root))
    _require(bool(files), f"there is no picture in {root}")

    validation = _validation_files(files, val_share, seed)
    counted = [] if huffman == "standard" else _files_to_count(files, validation, seed)
    progress = _Progress(len(counted) + len(files), on_progress)
    job = _Job(root, settings, n_crops, seed)
    share = None
    if huffman != "standard":
        counts = _count(job, counted, n_workers, progress)
        tables = design_tables(huffman, counts)
        job, share = replace(job, huffman_tables=tables), one_byte_share(tables, counts)

    extra = {"huffman": huffman, "crops": n_crops, "seed": seed}
    coder = PictureCoder(settings, job.huffman_tables)
    classes = sorted({file.parts[0] for file in files if len(file.parts) > 1})
    conditions = {"class": classes} if folders_are_classes else {}
    writer = SampleWriter(out, coder, tokenizer=tokenizer, conditions=conditions, extra=extra)
    with writer:
        skipped = _write(writer, job, files, validation, n_workers, progress)
    return FolderSummary(writer.meta, len(files) - len(skipped), skipped, share)


def _write(
    writer: SampleWriter,
    job: _Job,
    files: Sequence[Path],
    validation: frozenset[Path],
    n_workers: int,
    progress: _Progress,
) -> list[Skipped]:
    """Adds all files to the dataset; returns those that could not be read."""
    skipped: list[Skipped] = []
    for results in _in_order(partial(_encode_files, job), files, n_workers):
        for file, samples in results:
            if isinstance(samples, str):
                skipped.append(Skipped(job.folder / file, samples))
                continue
            has_class = "class" in writer.meta.conditions and len(file.parts) > 1
            labels = {"class": file.parts[0]} if has_class else {}
            for sample in samples:
                writer.add(sample, labels, "val" if file in validation else "train")
        progress.step(len(results))
    if len(skipped) == len(files):
        first = skipped[0]
        raise UsageError(
            f"there is no picture in {job.folder} that can be read, {len(files)} files were tried"
            f" ({first.path.name}: {first.reason})"
        )
    return skipped


def _require(condition: bool, message: str) -> None:
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


def _files_to_count(files: Sequence[Path], validation: frozenset[Path], seed: int) -> list[Path]:
    training = [file for file in files if file not in validation]
    n = min(len(training), _MAX_FILES_COUNTED)
    return sorted(random.Random(f"count {seed}").sample(training, n))


def _count(
    job: _Job, files: Sequence[Path], n_workers: int, progress: _Progress
) -> NDArray[np.int64]:
    total = np.zeros((2, 4, 256), dtype=np.int64)
    for n_files, counts in _in_order(partial(_count_files, job), files, n_workers):
        total += counts
        progress.step(n_files)
    return total


def _in_order(
    function: Callable[[Sequence[Path]], T], files: Sequence[Path], n_workers: int
) -> Iterator[T]:
    """`function` of a few files at a time, in the order of the files whoever finishes first."""
    parts = [files[i : i + _FILES_A_CALL] for i in range(0, len(files), _FILES_A_CALL)]
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


def _count_files(job: _Job, files: Sequence[Path]) -> tuple[int, NDArray[np.int64]]:
    total = np.zeros((2, 4, 256), dtype=np.int64)
    for file in files:
        windows = _windows(job, file)
        for image in windows if isinstance(windows, list) else []:
            total += symbol_counts(encode(image, job.settings))
    return len(files), total


def _encode_files(job: _Job, files: Sequence[Path]) -> list[tuple[Path, list[Sample] | str]]:
    """Each file with its samples, or with the reason why it has none."""
    coder = PictureCoder(job.settings, job.huffman_tables)
    results: list[tuple[Path, list[Sample] | str]] = []
    for file in files:
        windows = _windows(job, file)
        if isinstance(windows, str):
            results.append((file, windows))
        else:
            results.append((file, [coder.encode(image) for image in windows]))
    return results


def _windows(job: _Job, file: Path) -> list[Image.Image] | str:
    """The windows of a picture that become samples, or why it cannot be read."""
    path = job.folder / file
    width, height = job.settings.width, job.settings.height
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            return f"larger than {_MAX_FILE_BYTES >> 20} MiB"
        with warnings.catch_warnings():
            # Pillow warns of oddities in files, and of sizes that are judged here.
            warnings.simplefilter("ignore")
            with Image.open(path, formats=_formats()) as image:
                if image.width * image.height > _MAX_PIXELS:
                    return f"more than {_MAX_PIXELS} pixels, too large"
                if job.n_crops == 1:
                    # Lets libjpeg decode at a half, a quarter or an eighth where that is enough.
                    side = 2 * max(width, height)
                    image.draft(None, (side, side))
                    return [fit(image, width, height)]
                rng = random.Random(f"crops {job.seed} {file.as_posix()}")
                return [_random_window(image, width, height, rng) for _ in range(job.n_crops)]
    except Image.DecompressionBombError:
        return f"more than {_MAX_PIXELS} pixels, too large"
    except UnidentifiedImageError:
        return "not a picture that Pillow knows"
    except Exception as error:  # noqa: BLE001 - what Pillow raises for broken files has no common base
        return " ".join(str(error).split())[:200] or type(error).__name__


@cache
def _formats() -> tuple[str, ...]:
    """What Pillow reads by itself: an EPS file is a program, which it hands to Ghostscript."""
    Image.init()
    return tuple(name for name in Image.ID if name != "EPS")


def _random_window(image: Image.Image, width: int, height: int, rng: random.Random) -> Image.Image:
    share = rng.uniform(_SMALLEST_CROP_SHARE, 1.0)
    return fit(image, width, height, share=share, place=(rng.random(), rng.random()))
