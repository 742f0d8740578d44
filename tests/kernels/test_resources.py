"""Every kernel compiles for every architecture, and takes of it what the table says."""

import json
import re
from typing import Any

import pytest

triton = pytest.importorskip("triton")

from kernel_resources import (  # noqa: E402
    ARCHITECTURES,
    TABLE,
    cases,
    compiled,
    resources,
    with_sizes_of_one,
)

from pycodec_lm.ops import _configs  # noqa: E402

pytestmark = pytest.mark.triton

RECORDED = json.loads(TABLE.read_text())
# Products of float32 that stay float32 have none.
NEEDS_MATRIX_INSTRUCTIONS = re.compile(r"lfq mean|attention .* bfloat16|attention_decode D")


def parameters() -> list[Any]:
    found = [(arch, case) for arch in ARCHITECTURES for case in cases(arch)]
    return [pytest.param(arch, case, id=f"sm_{arch} {case.name}") for arch, case in found]


@pytest.mark.parametrize(("arch", "case"), parameters())
def test_resources_are_those_of_the_table(arch: int, case: Any) -> None:
    found = resources(case, arch)
    assert found["spilled_bytes"] == 0
    assert found["matrix_instructions"] == bool(NEEDS_MATRIX_INSTRUCTIONS.match(case.name))
    # 99 KiB is the most that a program may have on sm_86 and sm_89, which run the code of sm_80.
    assert found["shared_bytes"] <= 99 * 1024
    if triton.__version__ == RECORDED["triton"]:
        assert found == RECORDED["resources"][f"sm_{arch}"][case.name], (
            "run `python tests/kernel_resources.py` and look at what changed"
        )


def first_of_each_kind() -> list[Any]:
    """One of all cases that share a kernel and what it branches by."""
    branches = ("MODE", "ROTARY", "HAS_ROWS")
    kinds: dict[Any, Any] = {}
    for case in cases(90):
        key = case.kernel, *(case.constants.get(name) for name in branches)
        kinds.setdefault(key, pytest.param(case, id=case.name))
    return list(kinds.values())


@pytest.mark.parametrize("case", first_of_each_kind())
def test_sizes_of_one_compile(case: Any) -> None:
    assert compiled(with_sizes_of_one(case), 90).asm["cubin"]


def test_table_names_no_other_kernels() -> None:
    named = {arch: set(kernels) for arch, kernels in RECORDED["resources"].items()}
    assert named == {f"sm_{arch}": {case.name for case in cases(arch)} for arch in ARCHITECTURES}


def test_every_configuration_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    entry_for, taken = _configs.entry_for, []

    def note(kernel: str, facts: Any) -> Any:
        taken.append(entry_for(kernel, facts))
        return taken[-1]

    monkeypatch.delenv(_configs.OVERRIDE, raising=False)
    monkeypatch.setattr(_configs, "entry_for", note)
    assert all(list(cases(arch)) for arch in ARCHITECTURES)
    for kernel, entries in _configs.table(None).items():
        for entry in entries:
            assert any(entry is one for one in taken), (kernel, entry)
