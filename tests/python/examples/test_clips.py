"""The clips example: its clips pan, the splits share no picture, and its report can be written."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pycodec_lm import check
from pycodec_lm.codecs.avc import AvcSettings
from pycodec_lm.errors import UsageError

FOLDER = Path(__file__).parents[3] / "examples" / "clips"


@pytest.fixture
def example(monkeypatch):
    """Imports a module of the example."""
    if not FOLDER.is_dir():
        pytest.skip("no examples beside these tests")
    monkeypatch.syspath_prepend(str(FOLDER))
    names = [path.stem for path in FOLDER.glob("*.py")]
    for name in names:
        sys.modules.pop(name, None)
    yield importlib.import_module
    for name in names:
        sys.modules.pop(name, None)


@pytest.fixture
def pictures(tmp_path):
    """Four smooth pictures, one of them upright and one in a sub-folder, and what is none."""
    folder = tmp_path / "pictures"
    (folder / "more").mkdir(parents=True)
    for i, size in enumerate([(200, 150), (150, 200), (400, 100), (160, 160)]):
        rng = np.random.default_rng(i)
        patches = rng.integers(0, 256, (4, 4, 3), np.uint8)
        place = folder / "more" if i == 3 else folder
        Image.fromarray(patches).resize(size, Image.Resampling.BICUBIC).save(place / f"{i}.png")
    (folder / "notes.txt").write_text("no picture")
    return folder


def test_clips_move_in_a_straight_line_and_repeat_with_their_seed(example, pictures):
    settings = AvcSettings(64, 48, frames=5)
    panner = example("pan").Panner(pictures, settings)
    assert (panner.n_pictures("train"), panner.n_pictures("val")) == (3, 1)
    clips = list(panner.clips(7, "train", seed=1))
    assert {clip.shape for clip in clips} == {(5, 48, 64, 3)}
    assert all((clip[0] != clip[-1]).any() for clip in clips)
    again = list(panner.clips(7, "train", seed=1))
    assert all((a == b).all() for a, b in zip(clips, again, strict=True))
    other = next(panner.clips(1, "train", seed=2))
    assert (clips[0] != other).any()


def test_one_picture_is_not_enough(example, tmp_path):
    Image.new("RGB", (64, 64)).save(tmp_path / "one.png")
    with pytest.raises(UsageError, match="two pictures are needed at least"):
        example("pan").Panner(tmp_path, AvcSettings())


def test_psnr_is_that_of_its_definition(example):
    truth = np.zeros((2, 4, 4, 3), np.uint8)
    frames = truth.copy()
    frames[1] += 10
    same, off_by_ten = example("evaluate").psnr(frames, truth)
    assert same > 75
    assert off_by_ten == pytest.approx(28.13, abs=0.01)


@pytest.mark.parametrize("profile", ["baseline", "high"])
def test_the_recipe_runs_from_pictures_to_its_report(
    example, pictures, tmp_path, monkeypatch, profile
):
    run = tmp_path / "run"
    arguments = {
        "pictures": pictures, "work": run, "n-train": 4, "n-val": 2, "n-judged": 1,
        "keep-frames": 6, "profile": profile,
    }  # fmt: skip
    sets = ["model.dim=16", "model.n_layers=1", "model.n_heads=2", "train.steps=2"]
    words = [word for name, value in arguments.items() for word in (f"--{name}", str(value))]
    words += [word for one in sets for word in ("--set", one)]
    monkeypatch.setattr(sys, "argv", ["recipe.py", "all", *words])
    recipe = example("recipe")
    recipe.main()
    text = (run / "results.md").read_text()
    assert "1 of 1 files are valid" in text
    assert f"profile {profile}, 0 B" in text
    assert "| table of counts over syntax elements, no network |" in text
    assert "{" not in text
    assert (run / "sizes.md").read_text().count("\n| high |") == 3
    with Image.open(run / "sheet.png") as sheet:
        assert sheet.width > 8 * 64 and sheet.height > 3 * 48
    assert len(list((run / "held-out").glob("*.mp4"))) == 4
    assert all(check(path).valid for path in (run / "held-out").glob("*.mp4"))
