"""Where kernels are launched, without a GPU."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from pycodec_lm.ops._gpu import on_its_device


def test_a_kernel_is_launched_on_the_device_of_its_first_tensor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    current = ["cuda:0"]

    class Device:
        def __init__(self, device: str) -> None:
            self.device = device

        def __enter__(self) -> None:
            current.append(self.device)

        def __exit__(self, *error: object) -> None:
            current.pop()

    monkeypatch.setattr(torch.cuda, "device", Device)
    tensor: Any = SimpleNamespace(device="cuda:1")
    launch = on_its_device(lambda first, second, *, third: (first, current[-1], second, third))
    assert launch(tensor, 2, third=3) == (tensor, "cuda:1", 2, 3)
    assert current == ["cuda:0"]
    with pytest.raises(AttributeError):
        on_its_device(lambda first: first.shape)(tensor)
    assert current == ["cuda:0"]
