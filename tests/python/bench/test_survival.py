import io
import json
from pathlib import Path

import pytest
from PIL import Image

from pycodec_lm.bench.survival import Survival, measure_survival, try_files
from pycodec_lm.bench.survival_figures import comparison_sheet, survival_plot
from pycodec_lm.cli.main import main
from pycodec_lm.generation import Sampling
from pycodec_lm.generation.api import open_checkpoint

# Hot enough that nearly every file breaks without the mask.
_HOT = 3.0


def test_the_mask_saves_files_that_break_without_it(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(None)
    rows, tried = {}, {}
    for mask in (False, True):
        tried[mask] = try_files(checkpoint, tmp_path, n=6, sampling=Sampling(_HOT), mask=mask)
        rows[mask] = measure_survival(checkpoint, tried[mask], temperature=_HOT, mask=mask)
    assert [one.file.index for one in tried[True]] == [*range(6)]
    assert (rows[True].n, rows[True].n_valid, rows[True].n_clean) == (6, 6, 6)
    assert rows[False].n_clean < 6
    assert rows[True].vetoed > 0 > rows[True].mean_log_z
    assert [bool(one.complaint) for one in tried[False]].count(False) == rows[False].n_clean
    assert list(tmp_path.iterdir()) == []
    sheet = comparison_sheet(tried[False], tried[True])
    # Red frames are in the upper half only.
    red = [y for y in range(sheet.height) if sheet.getpixel((9, y)) == (208, 16, 16)]
    assert red and max(red) < sheet.height // 2


def test_a_plot_has_a_panel_for_steps_where_there_are_several_models() -> None:
    pytest.importorskip("matplotlib")

    def row(steps: int, mask: bool) -> Survival:
        return Survival(steps, 1.0, mask, 10, 9, 8, 10, 0, 0.0, 1.0, 50.0, 0.0)

    one = [row(100, mask) for mask in (True, False)]
    two = one + [row(200, mask) for mask in (True, False)]
    widths = [Image.open(io.BytesIO(survival_plot(rows))).width for rows in (one, two)]
    assert widths[0] < widths[1]


def test_the_command_says_what_survives(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    page = tmp_path / "survival.md"
    words = ["bench", "survival", "-n", "2", "--temperature", "0.5", "--json", "-o", str(page)]
    assert main(words) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [(row["mask"], row["n"]) for row in rows] == [(False, 2), (True, 2)]
    assert rows[1]["n_clean"] == 2
    assert "mean_log_z" not in rows[0]
    assert page.read_text().startswith("# Files with and without the mask\n")
    assert main(["bench", "survival", "-n", "0"]) == 2
    assert "ask for at least one file" in capsys.readouterr().err
