"""What a run leaves on disk to go on from: the training state and the log of its figures."""

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pycodec_lm.errors import UsageError

__all__ = ["METRICS_FILE", "STATE_FILE", "MetricsLog", "lr_factor", "read_state", "write_state"]

FORMAT = "pycodec_lm.training_state"
STATE_FILE = "training_state.pt"
METRICS_FILE = "metrics.jsonl"


def write_state(folder: Path, state: Mapping[str, Any]) -> None:
    """Writes the state beside its place, flushes it to the disk and renames it.

    A run that is killed at any moment leaves the state of its last checkpoint, whole.
    """
    beside = folder / f".{STATE_FILE}.part"
    try:
        with beside.open("wb") as stream:
            torch.save({"format": FORMAT, **state}, stream)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(folder / STATE_FILE)
    finally:
        beside.unlink(missing_ok=True)


def read_state(folder: Path) -> dict[str, Any]:
    """Raises UsageError when the folder has no state, or a broken one."""
    path = folder / STATE_FILE
    if not path.is_file():
        raise UsageError(f"{folder}: nothing to resume (no {STATE_FILE})")
    try:
        # weights_only: a state from elsewhere must not run code.
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises whatever the bytes provoke
        raise UsageError(f"{path}: unreadable training state ({_first_line(error)})") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise UsageError(f"{path}: not a training state of pycodec_lm")
    return state


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


@dataclass(frozen=True, slots=True)
class MetricsLog:
    """One JSON object a line, in the order of the steps."""

    path: Path

    def write(self, entry: Mapping[str, Any]) -> None:
        """Appends an entry, which must have a step."""
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(entry) + "\n")

    def read(self) -> list[dict[str, Any]]:
        """All whole lines; a killed run may leave half of one at the end."""
        if not self.path.exists():
            return []
        text = self.path.read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def forget_after(self, step: int) -> None:
        """Drops what a run wrote between its last checkpoint and its end."""
        kept = [entry for entry in self.read() if entry["step"] <= step]
        beside = self.path.with_name(f".{self.path.name}.part")
        beside.write_text("".join(json.dumps(entry) + "\n" for entry in kept), encoding="utf-8")
        beside.replace(self.path)


def lr_factor(
    step: int,
    progress: float,
    *,
    schedule: str,
    warmup_steps: int,
    final_ratio: float,
    decay_share: float,
) -> float:
    """Learning rate of a step as a share of the highest.

    Args:
        step: from 0.
        progress: share of the run that is done, 0 to 1.
        schedule: "cosine" or "wsd".
        warmup_steps: the rate rises linearly over them.
        final_ratio: where it ends.
        decay_share: of "wsd", the share of the run over which it falls.
    """
    warmup = min(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0
    if schedule == "cosine":
        left = 0.5 * (1.0 + math.cos(math.pi * progress))
    else:
        left = min(1.0, (1.0 - progress) / decay_share) if decay_share else 1.0
    return warmup * (final_ratio + (1.0 - final_ratio) * left)
