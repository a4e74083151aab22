from itertools import product

import pytest

from beholder.annotation.mapping import TaskPicture
from beholder.annotation.trust.raters import RatingEvidence
from beholder.annotation.trust.rating_agreement import counted_ratings
from beholder.types import RATED, Rating


def rated(key: str, who: str, stars: int, seconds: float, *flags: str) -> Rating:
    return Rating(
        key=key,
        prompt="a fox",
        image="i.png",
        values=dict.fromkeys(RATED, (stars - 1) / 4) | {"overall": min(stars, 4) / 4},
        annotator=who,
        seconds=seconds,
        flags=frozenset(flags),
    )


def judged(ratings: list[Rating], tasks: dict[str, TaskPicture]) -> RatingEvidence:
    return RatingEvidence.of(ratings, counted_ratings(ratings), tasks)


def test_who_rates_everything_with_one_star_at_once_is_doubted() -> None:
    honest = [
        rated(f"k{n}", who, 4 + n % 2, 20.0 + n) for n, who in product(range(40), ("x", "y", "z"))
    ]
    flat = dict.fromkeys(RATED, 0.0)
    lazy = [
        Rating(key=f"k{n}", prompt="p", image="i", values=flat, annotator="lazy", seconds=0.5)
        for n in range(40)
    ]
    found = judged([*honest, *lazy], {}).annotators()
    assert [doubt.partition(" in ")[0] for doubt in found["lazy"].doubts] == [
        "within a step of the others",
        "too fast",
        "same rating",
    ]
    assert found["x"].doubts == ()
    assert found["lazy"].consensus.offset < -2
    assert found["x"].consensus.near.value == 1


def test_gold_and_repeats_are_no_tasks_of_their_own() -> None:
    tasks = {
        "k": TaskPicture(task_key="k", image="i.png"),
        "k2": TaskPicture(task_key="k2", image="i.png", kind="repeat", repeats="k"),
        "g": TaskPicture(task_key="g", image="i.png", kind="gold", gold={"plausibility": "0.25"}),
    }
    ratings = [
        rated("k", "x", 3, 9.0),
        rated("k2", "x", 4, 9.0, "repeat"),
        rated("g", "x", 4, 9.0, "gold"),
        rated("k", "unknown", 3, 9.0),
    ]
    (found,) = judged(ratings, tasks).annotators().values()
    assert (found.tasks, found.shared) == (1, 1)
    assert (found.gold.error, found.gold.near.value) == (2, 0)
    assert found.retest.near.value == 1
    assert found.retest.offset == pytest.approx(1)
    assert found.speed.answers == 3
