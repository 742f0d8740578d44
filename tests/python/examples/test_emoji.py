"""The emoji example: its pictures are what its README says, and its card can be written."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from pycodec_lm.errors import UsageError

FOLDER = Path(__file__).parents[3] / "examples" / "emoji"


@pytest.fixture
def example(monkeypatch):
    """Imports a module of the example."""
    if not FOLDER.is_dir():
        pytest.skip("no examples beside these tests")
    monkeypatch.syspath_prepend(str(FOLDER))
    names = [path.stem for path in FOLDER.glob("*.py")]
    yield importlib.import_module
    for name in names:
        sys.modules.pop(name, None)


@pytest.fixture
def render(example):
    module = example("render")
    if not (module.FONT_FILE.exists() and module.UNICODE_FILE.exists()):
        pytest.skip("needs Debian's fonts-noto-color-emoji and unicode-data")
    return module


@pytest.fixture
def renderer(render):
    return render.Renderer(render.read_emoji())


def test_names_are_single_emoji_of_the_font(render, renderer):
    emoji = render.read_emoji()
    assert 40 <= len(emoji) <= 100
    assert len({one.name for one in emoji}) == len(emoji)
    assert all(len(one.character) == 1 for one in emoji)
    assert [one.name for one in renderer.emoji] == renderer.classes["name"]


def test_unknown_names_are_refused(render, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("red appel\n")
    with pytest.raises(UsageError, match="no emoji named 'red appel'"):
        render.read_emoji(names)
    names.write_text("# a sequence\nred heart\n")
    with pytest.raises(UsageError, match=r"'red heart' is a sequence, U\+2764 FE0F"):
        render.read_emoji(names)


def test_a_seed_gives_the_same_pictures(renderer):
    def values(**options):
        return [np.asarray(image).tobytes() for image, _ in renderer.pictures(60, **options)]

    first = values(seed=1)
    assert first == values(seed=1)
    assert not set(first) & set(values(seed=2))
    assert not set(first) & set(values(seed=1, held_out=True))
    assert len(set(first)) == 60


def test_pictures_lie_whole_on_a_plain_ground(renderer):
    for image, conditions in renderer.pictures(2 * len(renderer.emoji), seed=3):
        assert (image.mode, image.size) == ("RGB", (32, 32))
        values = np.asarray(image).astype(int)
        corners = values[[0, 0, -1, -1], [0, -1, 0, -1]]
        assert np.ptp(corners, axis=0).max() <= 8, conditions
        assert corners.min() > 200, conditions
        assert conditions["subgroup"] in renderer.classes["subgroup"]


def test_training_leaves_out_what_is_held_out(render, renderer, monkeypatch):
    seen = []
    monkeypatch.setattr(render, "_resample", lambda *arguments: seen.append(arguments))
    n = 60 * len(renderer.emoji)
    list(renderer.pictures(n, seed=1))
    training = {(i % len(renderer.emoji), ground) for i, (*_, ground) in enumerate(seen)}
    scales = np.array([scale for _, _, scale, _, _ in seen])
    assert not ((scales > 0.92) & (scales < 0.93)).any()
    assert scales.min() >= 0.85
    assert scales.max() <= 1.0

    seen.clear()
    list(renderer.pictures(n, seed=1, held_out=True))
    scales = np.array([scale for _, _, scale, _, _ in seen])
    assert (scales >= 0.92).all()
    assert (scales <= 0.93).all()
    new = [(i % len(renderer.emoji), ground) not in training for i, (*_, ground) in enumerate(seen)]
    assert 0.06 < np.mean(new) < 0.11  # one in twelve


def test_no_emoji_is_mirrored_that_shows_writing(render, renderer, monkeypatch):
    seen = []
    monkeypatch.setattr(render, "_resample", lambda *arguments: seen.append(arguments))
    list(renderer.pictures(20 * len(renderer.emoji), seed=1))
    for i, one in enumerate(renderer.emoji):
        mirrored = [glyph is renderer._glyphs[i][1] for glyph, *_ in seen[i :: len(renderer.emoji)]]
        assert any(mirrored) == one.may_flip


def test_aligned_tables_give_999_of_1000_elements_one_byte(render, renderer):
    from pycodec_lm.data.huffman import aligned_tables, one_byte_share
    from pycodec_lm.data.prepare import count_symbols

    def counts(**options):
        return count_symbols((image for image, _ in renderer.pictures(540, **options)), SETTINGS)

    SETTINGS = render.SETTINGS  # noqa: N806
    tables = aligned_tables(counts(seed=1))
    assert one_byte_share(tables, counts(seed=2)) > 0.999
    assert one_byte_share(tables, counts(seed=2, held_out=True)) > 0.999


def test_the_card_says_what_was_measured(example):
    card = example("card").card
    score = {"raw": 600.0, "renormalised": 595.0, "all_bits": 600.5}
    sample = {
        "n": 500, "n_valid": 500, "n_distinct": 499, "top_1": 0.875, "top_5": 0.95,
        "vetoed": 0.0012, "by_budget": 0.0, "near_copies": 0.01, "median_rms": 14.2, "seconds": 60,
    }  # fmt: skip
    results = {
        "n_parameters": 1_871_424,
        "n_classes": 54,
        "training": {
            "steps": 6750,
            "tokens": 100_000_000,
            "seconds": 14_400.0,
            "config": {"model": {"codec_inputs": True}, "train": {"max_minutes": 112.0}},
        },
        "dataset": {
            "n_samples": {"train": 432_000, "val": 2000},
            "n_tokens": {"train": 100_000_000, "val": 460_000},
            "settings": {"quality": 25, "subsampling": "4:2:0"},
            "huffman": "aligned",
            "one_byte_share": 0.99982,
        },
        "bits": {
            "model": score,
            "table": {"raw": 800.0, "renormalised": 798.0, "all_bits": 800.0},
            "files": {"file_bits": 6800.0, "body_bits": 1840.0},
        },
        "classifier_accuracy": 0.998,
        "held_out": {"near_copies": 0.05, "median_rms": 12.3},
        "samples": {"1": sample, "3": sample | {"top_1": 0.93}},
    }
    text = card(results, "two cores")
    assert "--n-train 432000 --set train.max_minutes=112\n" in text
    for part in (
        "1,871,424 parameters",
        "codec-aware inputs",
        "6,750 steps, 100,000,000 tokens (1.0 times through the data), 4.0 hours on two cores",
        "99.98% of the syntax elements are one byte",
        "| below the table | 25.0% | 25.4% |",
        "| class named right | 87.5% | 93.0% |",
        "| draws vetoed by the mask | 0.12% | 0.12% |",
        "SIL Open Font License",
    ):
        assert part in text
    assert "{" not in text
