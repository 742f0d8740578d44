"""The table of configurations: which entry is taken, and how another file goes first."""

from pathlib import Path

import pytest

from pycodec_lm.errors import UsageError
from pycodec_lm.ops._configs import OVERRIDE, choose, table


def test_first_entry_that_fits_is_taken() -> None:
    sizes = [
        choose("cfg_sample", {"arch": 90, "dtype": "float32", "vocab": vocab})["block"]
        for vocab in (256, 2048, 2049, 8192, 262144)
    ]
    assert sizes == sorted(sizes)
    assert sizes[0] >= 256
    assert sizes[1] >= 2048


def test_condition_that_a_kernel_does_not_know_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own.toml"
    own.write_text("[[token_mask]]\nmax_vocab = 5\nblock = 32\nnum_warps = 1\n")
    monkeypatch.setenv(OVERRIDE, str(own))
    with pytest.raises(UsageError, match="asks for max_vocab"):
        choose("token_mask", {"arch": 90, "dtype": "float32"})


def test_conditions_are_no_part_of_the_result() -> None:
    for kernel, entries in table().items():
        for entry in entries:
            facts = {"arch": 90, "dtype": "float32", "vocab": 1, "mode": "fast", "head_dim": 64}
            for name in entry:
                if name in ("mode", "dtype"):
                    facts[name] = entry[name]
            assert all(isinstance(value, int) for value in choose(kernel, facts).values())


def test_a_file_of_ones_own_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "own.toml"
    own.write_text("[[token_mask]]\nmin_arch = 90\nblock = 64\nnum_warps = 1\n")
    monkeypatch.setenv(OVERRIDE, str(own))
    assert choose("token_mask", {"arch": 90, "dtype": "float32"}) == {"block": 64, "num_warps": 1}
    assert choose("token_mask", {"arch": 80, "dtype": "float32"})["block"] > 64


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[[token_mask]\n", "cannot be read"),
        ("[[nonsense]]\nblock = 1\n", "names no kernel with 'nonsense'"),
        (None, "cannot be read"),
    ],
)
def test_a_broken_file_is_named(
    text: str | None, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own.toml"
    if text is not None:
        own.write_text(text)
    monkeypatch.setenv(OVERRIDE, str(own))
    with pytest.raises(UsageError, match=complaint) as caught:
        choose("token_mask", {"arch": 90, "dtype": "float32"})
    assert "own.toml" in str(caught.value)


def test_nothing_that_fits_is_an_error() -> None:
    with pytest.raises(UsageError, match="no configuration of nothing"):
        choose("nothing", {"arch": 90})
