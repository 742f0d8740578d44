"""Each page of docs/kernels opens with a call that runs as it stands, and with its errors."""

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "docs" / "kernels"
PAGES = sorted(set(FOLDER.glob("*.md")) - {FOLDER / "configs.md"})
PRINTED = {
    "attention": "torch.Size([2, 8, 91, 64]) torch.Size([2, 8, 91, 64]) torch.Size([2, 8, 64])",
    "lfq": "torch.Size([4, 16, 16, 2])",
    "sampling": "tensor([",
    "token-mask": "tensor([3, 3])",
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_first_call_of_a_page_runs(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = page.read_text()
    (code,) = re.findall(r"\A# .*\n\n```python\n(.*?)```", text, re.DOTALL)
    assert sum(line.strip() != "" for line in code.splitlines()) <= 10
    exec(compile(code, str(page), "exec"), {})  # noqa: S102  # the page's own code
    assert capsys.readouterr().out.startswith(PRINTED[page.stem])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_errors_come_first_and_the_fastest_is_named(page: Path) -> None:
    text = page.read_text()
    first, *_ = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert first == "Errors"
    assert "fastest" in text.partition("\n## Figures\n")[2].lower()
