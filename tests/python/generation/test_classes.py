"""Classes by name."""

import dataclasses

import pytest

from pycodec_lm.errors import UsageError
from pycodec_lm.generation.classes import class_numbers, random_class
from pycodec_lm.models.checkpoint import Checkpoint

from .conftest import NAMES, make_checkpoint


@pytest.mark.parametrize(
    ("label", "numbers"),
    [
        ("", (3, 2)),
        ("red apple", (0, 2)),
        ("star", (2, 2)),
        ("sky & weather", (3, 1)),
        ("subgroup=food-fruit", (3, 0)),
        ("name=star,subgroup=sky & weather", (2, 1)),
        ("star, food-fruit", (2, 0)),
    ],
)
def test_labels_name_classes_of_any_condition(
    checkpoint: Checkpoint, label: str, numbers: tuple[int, ...]
) -> None:
    assert class_numbers(checkpoint, label) == numbers


def test_implied_classes_are_added_unless_said_otherwise(checkpoint: Checkpoint) -> None:
    implied = {"name": {"star": {"subgroup": "sky & weather"}}}
    noted = dataclasses.replace(checkpoint, training={"implied_classes": implied})
    assert class_numbers(noted, "star") == (2, 1)
    assert class_numbers(noted, "star,food-fruit") == (2, 0)
    assert class_numbers(noted, "red apple") == (0, 2)


@pytest.mark.parametrize(
    ("label", "hint"),
    [("apple", "red apple"), ("Moon", "full moon"), ("stra", "star"), ("food", "food-fruit")],
)
def test_unknown_classes_suggest_near_ones(checkpoint: Checkpoint, label: str, hint: str) -> None:
    with pytest.raises(UsageError, match=f"no class '{label}'; did you mean {hint}"):
        class_numbers(checkpoint, label)


def test_a_class_like_none_gets_no_suggestion(checkpoint: Checkpoint) -> None:
    with pytest.raises(UsageError, match=r"no class 'xyzzy' \(`pycodec-lm generate --list-classes"):
        class_numbers(checkpoint, "xyzzy")
    with pytest.raises(UsageError, match="trained without classes"):
        class_numbers(make_checkpoint(with_classes=False), "star")


def test_random_classes_are_spread_and_repeatable(checkpoint: Checkpoint) -> None:
    drawn = [random_class(checkpoint, seed) for seed in range(60)]
    assert drawn == [random_class(checkpoint, seed) for seed in range(60)]
    assert all(drawn.count(name) >= 10 for name in NAMES)
    assert random_class(make_checkpoint(with_classes=False), 0) == ""
