"""How many files of a model survive with the mask and without it, at several temperatures.

The same model, classes and seeds twice. A file survives when our check finds it valid and all
decoders of this machine read it in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..generation import GeneratedFile, Sampling, iter_files
from ..generation.result import veto_share
from ..models.checkpoint import Checkpoint
from .decoders import all_complaints

__all__ = ["Survival", "TriedFile", "measure_survival", "try_files"]

_BATCH = 64


@dataclass(frozen=True)
class TriedFile:
    """A generated file and what decoders say about it.

    Attributes:
        complaint: "" where the check and all decoders are content, else the first message.
    """

    file: GeneratedFile
    complaint: str


@dataclass(frozen=True)
class Survival:
    """What became of the files of one model at one temperature, with the mask or without.

    Attributes:
        steps: of the model's training.
        n, n_valid, n_clean: files; those that our check finds valid; those that it and all
            decoders do.
        n_distinct: files that differ.
        n_by_budget: files that the token budget ended.
        vetoed: share of draws that, with the same random number but no mask, would have been
            illegal; without the mask it is of no meaning.
        allowed_mass: mean probability of all allowed tokens together, until the file breaks.
        mean_tokens: of a file, forced ones and the stop token included.
        mean_log_z: mean over files of the sum of log(allowed mass): what masking adds to a file's
            log-probability. NaN without the mask.
    """

    steps: int
    temperature: float
    mask: bool
    n: int
    n_valid: int
    n_clean: int
    n_distinct: int
    n_by_budget: int
    vetoed: float
    allowed_mass: float
    mean_tokens: float
    mean_log_z: float

    @property
    def share(self) -> float:
        """The share of files that survive."""
        return self.n_clean / self.n


def try_files(
    checkpoint: Checkpoint,
    folder: Path,
    *,
    n: int,
    sampling: Sampling,
    mask: bool,
    seed: int = 0,
    on_file: Callable[[], None] = lambda: None,
) -> list[TriedFile]:
    """Generates files and lets all decoders read them.

    Args:
        checkpoint: the model.
        folder: where the files lie while decoders read them; they are removed again.
        n, sampling, mask, seed: as in `generate`; classes are drawn by the seed.
        on_file: called when a file is whole.
    """
    files = []
    for file in iter_files(checkpoint, n=n, seed=seed, sampling=sampling, mask=mask, batch=_BATCH):
        files.append(file)
        on_file()
    files.sort(key=lambda file: file.index)
    paths = [folder / f"{file.index:06}.jpg" for file in files]
    for path, file in zip(paths, files, strict=True):
        path.write_bytes(file.data)
    tried = []
    for file, (path, complaints) in zip(files, all_complaints(paths), strict=True):
        said = [f"{c.decoder}: {c.message}" for c in complaints if not c.is_excused]
        if not file.valid:
            said.append(f"check: {file.verdict.message}")
        tried.append(TriedFile(file, " ".join(said[0].split()) if said else ""))
        path.unlink()
    return tried


def measure_survival(
    checkpoint: Checkpoint, tried: Sequence[TriedFile], *, temperature: float, mask: bool
) -> Survival:
    """Counts what became of files of one kind."""
    files = [one.file for one in tried]
    return Survival(
        steps=int(checkpoint.training.get("steps", 0)),
        temperature=temperature,
        mask=mask,
        n=len(files),
        n_valid=sum(file.valid for file in files),
        n_clean=sum(not one.complaint for one in tried),
        n_distinct=len({file.data for file in files}),
        n_by_budget=sum(file.ended_by_budget for file in files),
        vetoed=veto_share(files),
        allowed_mass=float(np.mean([file.mean_allowed_mass for file in files])),
        mean_tokens=float(np.mean([file.n_tokens for file in files])),
        mean_log_z=float(np.mean([file.log_z for file in files])) if mask else float("nan"),
    )
