"""The classes that a model can be asked for, by name."""

from __future__ import annotations

import difflib

from pycodec_lm.errors import UsageError
from pycodec_lm.models.checkpoint import Checkpoint
from pycodec_lm.reference import philox_uniform

__all__ = ["class_numbers", "random_class"]

# A place in a file's sequence of random numbers that no token reaches.
_CLASS_STEP = 1 << 62


def class_numbers(checkpoint: Checkpoint, label: str) -> tuple[int, ...]:
    """What the model is told for a class.

    Args:
        checkpoint: its conditions name the classes. Where the notes of its training have an entry
            "implied_classes" = {condition: {class: {other condition: class}}}, that holds too.
        label: the name of a class of any condition; or "condition=class", several of them with
            commas between; or "" to say nothing.

    Returns:
        One number a condition, its null class where nothing is said.

    Raises:
        UsageError: there is no such class; the message names some that are near.
    """
    chosen: dict[str, str] = {}
    if label:
        whole = _find(checkpoint, label)
        for part in [label] if whole else label.split(","):
            found = whole or _find(checkpoint, part.strip())
            if found is None:
                raise UsageError(_unknown(checkpoint, part.strip()))
            chosen |= dict([found])
        implied = checkpoint.training.get("implied_classes", {})
        for condition, name in list(chosen.items()):
            chosen = implied.get(condition, {}).get(name, {}) | chosen
    return tuple(
        list(names).index(chosen[condition]) if condition in chosen else len(names)
        for condition, names in checkpoint.conditions.items()
    )


def random_class(checkpoint: Checkpoint, seed: int) -> str:
    """A class of the first condition, the same for the same seed; "" where there is none."""
    for names in checkpoint.conditions.values():
        if names:
            return names[int(philox_uniform(seed, _CLASS_STEP) * len(names))]
    return ""


def _find(checkpoint: Checkpoint, label: str) -> tuple[str, str] | None:
    """(condition, class) of a label."""
    for condition, names in checkpoint.conditions.items():
        if label in names:
            return condition, label
    condition, _, name = label.partition("=")
    return (condition, name) if name in checkpoint.conditions.get(condition, ()) else None


def _unknown(checkpoint: Checkpoint, label: str) -> str:
    if not checkpoint.conditions:
        return f"there is no class '{label}': this model was trained without classes"
    known = [name for names in checkpoint.conditions.values() for name in names]
    near = [name for name in known if label.lower() in name.lower()][:3]
    near = near or difflib.get_close_matches(label, known, n=3, cutoff=0.5)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    return f"there is no class '{label}'{hint} (`pycodec-lm generate --list-classes` shows all)"
