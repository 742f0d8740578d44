"""A folder of pictures as a dataset: whatever Pillow opens; broken files are named and skipped."""

import os
import random
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from pycodec_lm import symbol_counts
from pycodec_lm.codecs.jpeg import JpegSettings, encode, fit
from pycodec_lm.data.folder import (
    EncodedFiles,
    FolderSummary,
    SourceFolder,
    in_order,
    require,
)
from pycodec_lm.data.huffman import DESIGNS, design_tables, one_byte_share
from pycodec_lm.data.prepare import PictureCoder, SampleWriter
from pycodec_lm.jpeg_tables import HuffmanTables
from pycodec_lm.tokenizer import ByteTokenizer

__all__ = ["prepare_folder"]

# Larger pictures and files are skipped: decoded, the first would take gigabytes.
_MAX_PIXELS = 100_000_000
_MAX_FILE_BYTES = 1 << 28
# Enough to know how often each symbol comes; more would only take time.
_MAX_FILES_COUNTED = 5000
_SMALLEST_CROP_SHARE = 0.5
_FILES_A_CALL = 8


@dataclass(frozen=True, slots=True)
class _Job:
    """What a worker has to know besides the names of its files."""

    folder: Path
    settings: JpegSettings
    n_crops: int
    seed: int
    huffman_tables: HuffmanTables | None = None


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
    require(n_crops >= 1, f"{n_crops} crops of a picture, must be at least 1")
    require(n_workers >= 1, f"{n_workers} workers, must be at least 1")
    require(huffman in DESIGNS, f"Huffman design '{huffman}' is not one of {', '.join(DESIGNS)}")
    source = SourceFolder.scan(folder, "picture", val_share=val_share, seed=seed)
    require(not Path(out).exists(), f"{out} exists already; give another folder or remove it")

    counted = [] if huffman == "standard" else _files_to_count(source, seed)
    progress = source.progress(len(counted), on_progress)
    job = _Job(source.root, settings, n_crops, seed)
    share = None
    if huffman != "standard":
        counts = np.zeros((2, 4, 256), dtype=np.int64)
        count = partial(_count_files, job)
        for n_files, some in in_order(count, counted, n_workers, _FILES_A_CALL):
            counts += some
            progress.step(n_files)
        tables = design_tables(huffman, counts)
        job, share = replace(job, huffman_tables=tables), one_byte_share(tables, counts)

    writer = SampleWriter(
        out,
        PictureCoder(settings, job.huffman_tables),
        tokenizer=tokenizer,
        conditions=source.conditions(folders_are_classes),
        extra={"huffman": huffman, "crops": n_crops, "seed": seed},
    )
    summary = source.write(
        writer,
        partial(_encode_files, job),
        n_workers=n_workers,
        files_a_call=_FILES_A_CALL,
        progress=progress,
    )
    return replace(summary, one_byte_share=share)


def _files_to_count(source: SourceFolder, seed: int) -> list[Path]:
    training = [file for file in source.files if file not in source.validation]
    n = min(len(training), _MAX_FILES_COUNTED)
    return sorted(random.Random(f"count {seed}").sample(training, n))


def _count_files(job: _Job, files: Sequence[Path]) -> tuple[int, NDArray[np.int64]]:
    total = np.zeros((2, 4, 256), dtype=np.int64)
    for file in files:
        windows = _windows(job, file)
        for image in windows if isinstance(windows, list) else []:
            total += symbol_counts(encode(image, job.settings))
    return len(files), total


def _encode_files(job: _Job, files: Sequence[Path]) -> EncodedFiles:
    coder = PictureCoder(job.settings, job.huffman_tables)
    results: EncodedFiles = []
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
