"""Which releases of torch and triton work with each other and with this package."""

from __future__ import annotations

import functools
import warnings
from importlib import metadata

__all__ = ["check_versions", "version_problem"]

# torch compiles with the Triton release it was built for, and the wheels for GPUs ask for exactly
# that one; CPU wheels ask for none, so that any may stand beside them.
_TRITON_OF_TORCH = {(2, 11): "3.6.0", (2, 12): "3.7.0", (2, 13): "3.7.1"}


def version_problem(torch: str, triton: str | None) -> str | None:
    """What is wrong with the installed versions of torch and triton, and what to install.

    Args:
        torch, triton: versions as `importlib.metadata` gives them; None where there is none.

    Returns:
        One line, or None where they fit.
    """
    release = _release(torch)
    if release not in _TRITON_OF_TORCH:
        first, last = min(_TRITON_OF_TORCH), max(_TRITON_OF_TORCH)
        return (
            f"torch {torch} is not one of the versions that this package works with: run `python"
            f" -m pip install 'torch>={first[0]}.{first[1]},<{last[0]}.{last[1] + 1}'`"
        )
    wanted = _TRITON_OF_TORCH[release]
    if triton is not None and _release(triton) != _release(wanted):
        return (
            f"triton {triton} does not fit torch {torch}: run"
            f" `python -m pip install triton=={wanted}`"
        )
    return None


@functools.cache
def check_versions() -> None:
    """Warns, once, where the installed versions do not fit."""
    import torch

    problem = version_problem(_version("torch") or torch.__version__, _version("triton"))
    if problem is not None:
        warnings.warn(problem, RuntimeWarning, stacklevel=3)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _release(version: str) -> tuple[int, ...]:
    """The first two numbers of a version."""
    return tuple(int(part) for part in version.split(".")[:2])
