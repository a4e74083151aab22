import math

import pytest

from beholder.annotation.trust._agreement.disputed import disputed_pairs, disputed_pictures, entropy
from beholder.types import Rating
from tests.annotation.samples import comparison


def test_entropy_in_bits() -> None:
    assert entropy([1, 1, 1]) == 0
    assert entropy([1, -1]) == 1
    assert entropy([1, 0, -1]) == pytest.approx(math.log2(3))
    assert entropy([]) == 0


def test_the_most_disputed_pairs_come_first_and_agreed_ones_not_at_all() -> None:
    says = {"agreed": (1, 1, 1), "two to one": (1, 1, 0), "all ways": (1, 0, -1), "even": (1, -1)}
    rows = [comparison(k, f"p{n}", v) for k, values in says.items() for n, v in enumerate(values)]
    found = disputed_pairs(rows, count=9)
    assert [item.pair.key for item in found] == ["all ways", "even", "two to one"]
    assert [item.pair.key for item in disputed_pairs(rows, count=1)] == ["all ways"]
    assert found[2].split("overall") == (0, 1, 2)


def test_of_equal_entropy_answers_further_apart_come_first() -> None:
    rows = [comparison("near", "x", 1), comparison("near", "y", 0)]
    rows += [comparison("far", "x", 1), comparison("far", "y", -1)]
    assert [item.pair.key for item in disputed_pairs(rows, count=2)] == ["far", "near"]


def test_a_dispute_is_the_mean_over_aspects_and_names_everybody() -> None:
    rows = [
        comparison("k", "y", 1, ranks={"overall": (1, 2), "detail": (1, 2)}),
        comparison("k", "x", 1, ranks={"overall": (1, 2), "detail": (2, 1)}),
        comparison("k", "z", 1, flags=frozenset({"skipped"})),
    ]
    (item,) = disputed_pairs(rows, count=1)
    assert item.entropy == 0.5
    assert item.aspects == ["detail", "overall"]
    assert item.answers == [
        ("x", {"overall": -1, "detail": 1}),
        ("y", {"overall": -1, "detail": -1}),
    ]


def rated(key: str, who: str, **values: float) -> Rating:
    return Rating(key=key, prompt="p", image=f"{key}.png", annotator=who, values=values)


def test_pictures_whose_ratings_are_furthest_apart_come_first() -> None:
    rows = [
        rated("agreed", "x", overall=1.0),
        rated("agreed", "y", overall=1.0),
        rated("far", "y", overall=1.0, alignment=0.5),
        rated("far", "x", overall=0.0, alignment=0.5),
        rated("near", "x", overall=0.25),
        rated("near", "y", overall=0.5),
        rated("alone", "x", overall=0.0),
    ]
    found = disputed_pictures(rows, count=9)
    assert [(item.ratings[0].key, item.spread) for item in found] == [("far", 2), ("near", 1)]
    assert [rating.annotator for rating in found[0].ratings] == ["x", "y"]
    assert found[0].aspects == ["alignment", "overall"]
    assert len(disputed_pictures(rows, count=1)) == 1
