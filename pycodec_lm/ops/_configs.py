"""Block sizes and warps of the kernels: a table, and an environment variable to try others.

`kernels/configs.toml` is the table. Each entry of a kernel may name conditions; the first entry of
which all hold is taken. Nothing is tuned while a program runs.
"""

from __future__ import annotations

import functools
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["OVERRIDE", "choose", "config_of", "entry_for", "table"]

OVERRIDE = "PYCODEC_LM_KERNEL_CONFIGS"
"""Names a TOML file of the same form. Its entries are looked at before those of the table."""

_CONDITIONS = ("min_arch", "max_head_dim", "dtype", "mode", "max_vocab")

Entry = Mapping[str, object]


def config_of(kernel: str, like: Tensor, **facts: object) -> dict[str, int]:
    """The configuration of a kernel for the device and the type of a tensor.

    Args:
        kernel: its name in the table.
        like: one of its inputs.
        facts: what else conditions ask for: head_dim, vocab, mode.
    """
    import torch

    major, minor = torch.cuda.get_device_capability(like.device)
    dtype = str(like.dtype).removeprefix("torch.")
    return choose(kernel, {"arch": 10 * major + minor, "dtype": dtype, **facts})


def choose(kernel: str, facts: Mapping[str, object]) -> dict[str, int]:
    """The first entry of the table that fits the facts, without its conditions.

    Raises:
        UsageError: none fits, or the file that the environment names is none.
    """
    entry = entry_for(kernel, facts)
    return {k: v for k, v in entry.items() if k not in _CONDITIONS and isinstance(v, int)}


def entry_for(kernel: str, facts: Mapping[str, object]) -> Entry:
    """`choose` with the conditions."""
    for entry in table(os.environ.get(OVERRIDE)).get(kernel, ()):
        if all(_holds(name, entry[name], facts) for name in _CONDITIONS if name in entry):
            return entry
    raise UsageError(f"no configuration of {kernel} for {dict(facts)}")


@functools.cache
def table(override: str | None = None) -> dict[str, list[Entry]]:
    """All entries by kernel, those of the file `override` first."""
    own = tomllib.loads(_own_file().read_text())
    if not override:
        return own
    try:
        first = tomllib.loads(Path(override).read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{OVERRIDE}: {override} cannot be read: {error}") from error
    if unknown := sorted(set(first) - set(own)):
        raise UsageError(f"{OVERRIDE}: {override} names no kernel with '{unknown[0]}'")
    return {kernel: [*first.get(kernel, ()), *entries] for kernel, entries in own.items()}


def _own_file() -> Path:
    from .. import kernels

    for folder in kernels.__path__:
        path = Path(folder) / "configs.toml"
        if path.is_file():
            return path
    raise FileNotFoundError("configs.toml is missing from this installation of pycodec_lm")


def _holds(name: str, wanted: object, facts: Mapping[str, object]) -> bool:
    limit, _, fact = name.partition("_")
    if (fact or name) not in facts:
        raise UsageError(f"a configuration asks for {name}, which this kernel does not know")
    found = facts[fact or name]
    if limit == "min":
        return _number(found) >= _number(wanted)
    if limit == "max":
        return _number(found) <= _number(wanted)
    return found == wanted


def _number(value: object) -> int:
    if not isinstance(value, int):
        raise UsageError(f"a configuration compares {value!r}, which is no number")
    return value
