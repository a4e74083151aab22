import math

import pytest

from beholder.annotation.mapping import TaskPicture
from beholder.annotation.trust.closeness import (
    Closeness,
    consensus_gaps,
    gold_gaps,
    is_near,
    known_ratings,
    near_share,
    repeat_gaps,
    steps,
)
from beholder.types import Rating

TRUTH = frozenset({"ground_truth"})


def rated(key: str, who: str, value: float, *flags: str, aspect: str = "overall") -> Rating:
    return Rating(
        key=key,
        prompt="a fox",
        image=f"{key}.png",
        values={aspect: value},
        annotator=who,
        flags=frozenset(flags),
    )


def asked(key: str, **more: object) -> dict[str, TaskPicture]:
    return {key: TaskPicture.from_row({"task_key": key, "image": f"{key}.png", **more})}


def test_a_step_is_a_quarter() -> None:
    assert steps(1.0, 0.25) == 3
    assert is_near(steps(0.5, 0.25))
    assert not is_near(steps(0.75, 0.25))
    assert is_near(steps(0.1 + 0.25, 0.1)), "rounding does not part what is one step apart"


def test_the_share_of_near_pairs_by_hand() -> None:
    """1, 2 and 4 stars: only the first two are near."""
    assert near_share([0.0, 0.25, 0.75]) == pytest.approx(1 / 3)


def test_closeness_by_hand() -> None:
    found = Closeness.of([("k", 1.0), ("k", -2.0), ("m", 0.0), ("n", -1.0)])
    assert (found.near.value, found.error, found.offset) == (0.75, 1, -0.5)
    assert (found.answers, found.tasks) == (4, 3)
    assert math.isnan(Closeness.of([]).error)


def test_gold_comes_from_the_mapping_before_the_ground_truth() -> None:
    truths = [rated("k", "admin", 0.5, "ground_truth"), rated("k", "chief", 1.0, "ground_truth")]
    skipped = rated("m", "admin", 1.0, "ground_truth", "skipped")
    assert known_ratings([*truths, skipped, rated("k", "x", 0)], {}) == {("k", "overall"): 0.75}
    assert known_ratings(truths, asked("k", gold_overall="0.25")) == {("k", "overall"): 0.25}


def test_how_far_each_rating_is_from_the_known_one() -> None:
    ratings = [
        rated("k", "x", 1.0, "gold"),
        rated("k", "y", 0.25, "gold", "skipped"),
        rated("k", "z", 0.25, aspect="alignment"),
        rated("m", "x", 0.0),
    ]
    assert gold_gaps(ratings, {("k", "overall"): 0.5}) == {"x": [("k", 2.0)]}


def test_the_consensus_is_the_median_of_two_or_more_others() -> None:
    group = [rated("k", who, value) for who, value in (("x", 0.0), ("y", 0.5), ("z", 1.0))]
    assert consensus_gaps([group]) == {"x": [("k", -3)], "y": [("k", 0)], "z": [("k", 3)]}
    assert consensus_gaps([group[:2]]) == {}


def test_a_repeat_is_compared_with_the_same_persons_first_rating() -> None:
    tasks = asked("k") | asked("k2", kind="repeat", repeats="k")
    ratings = [rated("k", "x", 0.5), rated("k2", "x", 0.75, "repeat"), rated("k2", "y", 0)]
    assert repeat_gaps(ratings, tasks) == {"x": [("k2", 1.0)]}
    assert repeat_gaps(ratings, {}) == {}
    other = [rated("k", "x", 0.5), rated("k2", "x", 0.75, "repeat", aspect="alignment")]
    assert repeat_gaps(other, tasks) == {}
