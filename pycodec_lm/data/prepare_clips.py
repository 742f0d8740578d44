"""A folder of clips as a dataset: whatever FFmpeg decodes; broken files are named and skipped."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pycodec_lm._core import AvcCursor
from pycodec_lm.avc_grammar import AvcGrammar
from pycodec_lm.codecs.avc import AvcSettings, encode
from pycodec_lm.codecs.clips import Clip
from pycodec_lm.data.folder import EncodedFiles, FolderSummary, SourceFolder, require
from pycodec_lm.data.prepare import Sample, SampleWriter
from pycodec_lm.errors import CodecLMError
from pycodec_lm.tokenizer import ByteTokenizer

__all__ = ["ClipCoder", "prepare_clips"]


class ClipCoder:
    """Writes clips as bodies of one grammar's streams.

    Args:
        settings: how clips become H.264.

    Attributes:
        codec: "avc".
        grammar: the language of the streams, their parameter sets pinned.

    Raises:
        CodecLMError: x264 is missing or fails.
    """

    codec = "avc"

    def __init__(self, settings: AvcSettings) -> None:
        self.settings = settings
        self.grammar = AvcGrammar.avc_lm(**asdict(settings))

    def encode(self, frames: NDArray[np.uint8]) -> Sample:
        """One clip: uint8 [frames, height, width, 3], RGB, as the settings say.

        Raises:
            UsageError: the frames have another shape or type.
            CodecLMError: x264 is missing or fails, or what came out is not in the grammar.
        """
        data = encode(frames, self.settings)
        cursor = AvcCursor(self.grammar)
        status = cursor.push(data)
        if not (status.ok and cursor.is_complete()):
            reason = cursor.describe() if status.ok else status.message
            raise CodecLMError(
                "this version of x264 writes other streams than the grammar of these settings"
                f" has: {reason}"
            )
        return Sample(data[len(self.grammar.header) :], len(data))


@dataclass(frozen=True, slots=True)
class _Job:
    """What a worker has to know besides the names of its files."""

    folder: Path
    settings: AvcSettings
    n_windows: int


def prepare_clips(
    folder: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    settings: AvcSettings,
    tokenizer: ByteTokenizer | None = None,
    val_share: float = 0.05,
    n_windows: int = 1,
    folders_are_classes: bool = False,
    n_workers: int = 1,
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> FolderSummary:
    """Writes the clips of a folder and its sub-folders as a dataset.

    Args:
        folder: where the clips are; hidden files and folders are left alone.
        out: the dataset to write; it must not exist, and appears when it is whole.
        settings: how clips become H.264. Frames are cut to the proportions and resampled, in time
            as well.
        tokenizer: by default a token is a byte.
        val_share: the share of the clips kept for validation, with all their windows.
        n_windows: how many samples are taken of one clip at most, evenly spaced; one is taken in
            the middle.
        folders_are_classes: the name of the sub-folder becomes the condition "class"; clips
            directly in `folder` have none.
        n_workers: processes. More than one are new interpreters, so a script that asks for them
            needs the guard `if __name__ == "__main__"`.
        seed: of the split.
        on_progress: called with (files done, files in all) as the work goes on.

    Raises:
        UsageError: there is no such folder, no clip in it, `out` exists, or a number is out of
            range. Nothing is left behind.
        CodecLMError: this build of PyAV has no x264.
    """
    require(n_windows >= 1, f"{n_windows} windows of a clip, must be at least 1")
    require(n_workers >= 1, f"{n_workers} workers, must be at least 1")
    source = SourceFolder.scan(folder, "clip", val_share=val_share, seed=seed)
    writer = SampleWriter(
        out,
        ClipCoder(settings),
        tokenizer=tokenizer,
        conditions=source.conditions(folders_are_classes),
        extra={"windows": n_windows, "seed": seed},
    )
    job = _Job(source.root, settings, n_windows)
    return source.write(
        writer,
        partial(_encode_files, job),
        n_workers=n_workers,
        files_a_call=1,  # each is much work
        progress=source.progress(0, on_progress),
    )


def _encode_files(job: _Job, files: Sequence[Path]) -> EncodedFiles:
    coder = ClipCoder(job.settings)
    return [(file, _samples(job, coder, job.folder / file)) for file in files]


def _samples(job: _Job, coder: ClipCoder, path: Path) -> list[Sample] | str:
    """A sample of each window of a clip, or why it cannot be read."""
    samples: list[Sample] = []
    windows = _windows(job, path)
    while True:
        try:
            frames = next(windows, None)
        except OSError as error:
            return error.strerror or str(error)
        except CodecLMError as error:
            return str(error)
        if frames is None:
            return samples
        samples.append(coder.encode(frames))  # whose errors are not the clip's


def _windows(job: _Job, path: Path) -> Iterator[NDArray[np.uint8]]:
    clip = Clip(path)
    for start_s in clip.window_starts(job.settings, job.n_windows):
        yield clip.frames(job.settings, start_s)
