"""What all tests that interpret kernels need: bfloat16, and quiet about lanes that nobody uses."""

import pytest
import triton_bfloat16

triton_bfloat16.install()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "interpreted" in item.path.parts:
            # numpy, which interprets, warns of what a kernel computes in lanes that it drops.
            item.add_marker(pytest.mark.filterwarnings("ignore::RuntimeWarning"))
