import math
from itertools import product

import numpy as np
import pytest

from beholder.annotation.mapping import TaskSides
from beholder.annotation.trust.repeats import paired_difference, repeated_answers, retest
from beholder.types import Comparison
from tests.annotation.samples import comparison

PICTURES = ("p", "q")
REPEAT = frozenset({"repeat"})


def asked(
    left_is: str = "a", again: str = "b", pictures: tuple[str, str] = PICTURES
) -> dict[str, TaskSides]:
    a, b = pictures
    common = {"image_a": "p", "image_b": "q"}
    once = TaskSides.from_row({**common, "task_key": "k", "left_is": left_is})
    row = {"task_key": "k2", "image_a": a, "image_b": b, "left_is": again}
    return {"k": once, "k2": TaskSides.from_row({**row, "kind": "repeat", "repeats": "k"})}


def twice(before: int, then: int, who: str = "x", **changes: object) -> list[Comparison]:
    """Canonical answers to a task and its repeat: -1 prefers p."""
    return [
        comparison("k", who, before, images=PICTURES),
        comparison("k2", who, then, **{"images": PICTURES, "flags": REPEAT, **changes}),
    ]


@pytest.mark.parametrize(
    ("before", "then", "sides"),
    [(-1, -1, (-1, 1)), (-1, 1, (-1, -1)), (1, -1, (1, 1)), (0, 0, (0, 0)), (0, 1, (0, -1))],
)
def test_answers_become_the_sides_that_were_chosen(
    before: int, then: int, sides: tuple[int, int]
) -> None:
    """p is left at first and right in the repeat."""
    assert repeated_answers(twice(before, then), asked()) == {"x": [("k2", *sides)]}


def test_the_order_of_the_pictures_in_the_records_does_not_matter() -> None:
    rows = twice(-1, 1, images=("q", "p"))
    sides = asked("a", "a", ("q", "p"))
    assert repeated_answers(rows, sides) == {"x": [("k2", -1, 1)]}, "p both times"


def test_only_the_same_person_and_mirrored_tasks_are_compared() -> None:
    once, again = twice(-1, -1)
    other = comparison("k2", "y", -1, images=PICTURES, flags=REPEAT)
    lost = [comparison(c.key, "unknown", -1, images=PICTURES) for c in (once, again)]
    assert repeated_answers([once, other, *lost], asked()) == {}
    assert repeated_answers([once, again], asked("a", "a")) == {}, "not mirrored"
    assert repeated_answers([once, again], {}) == {}
    doubtful = twice(-1, -1, flags=REPEAT | {"skipped"})
    assert repeated_answers(doubtful, asked()) == {}


def test_outcomes_by_hand() -> None:
    """Same picture, left twice, left twice, right twice, tie both times, tie once."""
    chosen = [(-1, 1), (-1, -1), (-1, -1), (1, 1), (0, 0), (0, 1)]
    found = retest([(f"k{n}", *sides) for n, sides in enumerate(chosen)])
    assert (found.tasks, found.answers) == (6, 6)
    assert (found.left_twice, found.right_twice, found.ties_changed) == (2, 1, 1)
    assert found.same.value == pytest.approx(2 / 6)
    assert found.bias.value == pytest.approx((2 - 1) / 4)
    assert math.isnan(retest([]).bias.value)
    assert math.isnan(retest([]).same.value)


def test_bonett_and_price_by_hand() -> None:
    """No difference in 10 pairs: both shares are 1 / 12, the half width 1.96 sqrt(1 / 72)."""
    found = paired_difference(0, 0, 10, 10)
    assert found.value == 0
    assert found.high == -found.low == pytest.approx(1.959964 * math.sqrt(1 / 72))
    four_aspects = paired_difference(4, 0, 40, 10)
    assert four_aspects.high - four_aspects.low == pytest.approx(
        paired_difference(1, 0, 10, 10).high - paired_difference(1, 0, 10, 10).low
    ), "ten tasks of four aspects are ten observations"


def test_the_interval_covers_the_true_bias() -> None:
    """Left twice with 30 %, right twice with 10 %: the bias is 0.2."""
    generator = np.random.default_rng(2)
    drawn = generator.multinomial(30, [0.3, 0.1, 0.6], size=400)
    found = [paired_difference(int(left), int(right), 30, 30) for left, right, _ in drawn]
    assert 0.92 <= np.mean([x.low <= 0.2 <= x.high for x in found]) <= 0.99


def test_a_person_without_side_bias_errs_to_both_sides_alike() -> None:
    outcomes = [(f"{n}{b}{t}", b, t) for n, b, t in product(range(5), (-1, 1), (-1, 1))]
    assert retest(outcomes).bias.value == 0
