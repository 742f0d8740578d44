"""Where kernels are launched."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

import torch
from torch import Tensor

__all__ = ["on_its_device"]

Rest = ParamSpec("Rest")
Result = TypeVar("Result")


def on_its_device(
    launch: Callable[Concatenate[Tensor, Rest], Result],
) -> Callable[Concatenate[Tensor, Rest], Result]:
    """The same on the device of its first tensor.

    Triton launches on the current device, and torch does not change that one for operators that are
    written in Python: with tensors of another GPU a kernel would read memory that is not its own.
    """

    @functools.wraps(launch)
    def launch_there(first: Tensor, /, *args: Rest.args, **kwargs: Rest.kwargs) -> Result:
        with torch.cuda.device(first.device):
            return launch(first, *args, **kwargs)

    return launch_there
