"""Tests that interpret kernels need Triton imported as an interpreter: a process of their own."""

import os
from collections.abc import Callable
from typing import Any

import pytest
import torch

collect_ignore = [] if os.environ.get("TRITON_INTERPRET") == "1" else ["interpreted"]


def _spoilt(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.fill_(torch.nan if tensor.is_floating_point() else -(2**30))


@pytest.fixture
def spoilt_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """New memory holds NaN and absurd numbers: what a kernel forgets to write shows."""

    def spoil(owner: Any, name: str) -> None:
        original: Callable[..., torch.Tensor] = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *args, **kwargs: _spoilt(original(*args, **kwargs)))

    spoil(torch, "empty")
    spoil(torch, "empty_like")
    spoil(torch.Tensor, "new_empty")
