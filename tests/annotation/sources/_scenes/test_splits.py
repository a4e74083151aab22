from collections import Counter

from beholder.annotation.sources._scenes.shapes import SHAPES
from beholder.annotation.sources._scenes.splits import SPLITS, split_of


def test_a_name_stays_in_its_split() -> None:
    assert [split_of(n) for n in ("tiger", "chelsea.png", "coffee.png", "gravel.png")] == [
        "dev",
        "train",
        "test",
        "dev",
    ]


def test_names_are_shared_out_about_72_14_14() -> None:
    counts = Counter(split_of(f"name {k}") for k in range(10_000))
    assert 7000 < counts["train"] < 7400
    assert 1250 < counts["dev"] < 1550
    assert 1250 < counts["test"] < 1550


def test_every_split_has_enough_drawn_shapes_for_two_groups() -> None:
    counts = Counter(map(split_of, SHAPES))
    assert all(counts[split] >= 3 for split in SPLITS)
