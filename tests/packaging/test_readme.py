"""What the README says can be done, can be done."""

import re
from pathlib import Path

import numpy as np
import pytest
from clip_files import clip_file, pan
from PIL import Image

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PYTHON_BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_there_is_python_to_run() -> None:
    assert len(PYTHON_BLOCKS) >= 2


@pytest.mark.parametrize("i", range(len(PYTHON_BLOCKS)))
def test_python_of_the_readme_runs(i: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "photo.jpg")
    (tmp_path / "clip.mp4").write_bytes(clip_file(pan(60, 64, 48), 10))
    monkeypatch.chdir(tmp_path)
    exec(compile(PYTHON_BLOCKS[i], "README.md", "exec"), {})  # noqa: S102


def test_continuous_integration_runs_the_commands_of_the_readme() -> None:
    commands = re.findall(r"^python -m pip install .* && .*$", README, re.MULTILINE)
    assert len(commands) == 2
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    assert [command for command in commands if command not in lines] == []
