"""Complaints that several operators share."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import UsageError

__all__ = ["INTEGERS", "check_tensors"]

INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


def check_tensors(**named: object) -> None:
    """Looks that arguments are tensors.

    Raises:
        UsageError: the first that is none.
    """
    for name, value in named.items():
        if not isinstance(value, Tensor):
            raise UsageError(f"{name} must be a tensor, not {type(value).__name__}")
