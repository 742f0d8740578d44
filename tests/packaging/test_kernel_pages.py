"""The pages of the kernels open with a call that runs as it stands."""

import re
from pathlib import Path

import pytest

PAGES = Path(__file__).parents[2] / "docs" / "kernels"
CALL = re.compile(r"\A# .*\n\n```python\n(.*?)```", re.DOTALL)


@pytest.mark.parametrize("page", ["attention", "lfq", "sampling", "token-mask"])
def test_first_call_runs(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    found = CALL.search((PAGES / f"{page}.md").read_text())
    assert found is not None
    assert found[1].count("\n") <= 12
    exec(compile(found[1], page, "exec"), {})  # noqa: S102
    assert capsys.readouterr().out


def test_every_page_that_is_named_is_there() -> None:
    text = (PAGES.parent / "ops.md").read_text()
    for name in re.findall(r"\]\((kernels/[\w-]+\.md)\)", text):
        assert (PAGES.parent / name).is_file(), name
