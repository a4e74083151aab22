from itertools import pairwise

import numpy as np
import pytest

from beholder.annotation.sources._scenes.cutouts import CutOut
from benchmarks._scene_wishes import (
    Wanted,
    Wish,
    agreement,
    describe,
    group,
    shown_for,
    wishes,
)

THINGS = tuple(CutOut(noun, kind=noun) for noun in ("star", "circle", "square", "heart", "cross"))
STAR, CIRCLE, SQUARE, *_ = THINGS


def wanted(
    what: CutOut = STAR, count: int = 1, colour: str | None = "red", place: str = "top"
) -> Wanted:
    return Wanted(what, count, colour, place)


def test_a_prompt_says_number_colour_noun_and_side() -> None:
    wish = (wanted(count=2), wanted(CIRCLE, colour=None, place="bottom"))
    assert describe(wish) == "a photo of two red stars up high and a circle down low"


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        ((wanted(),), 1.0),
        ((wanted(CIRCLE),), 3 / 5),  # a noun counts 2 of 2 + 1 + 1 + 1
        ((wanted(count=3),), 4 / 5),
        ((wanted(colour="blue"),), 4 / 5),
        ((wanted(colour=None),), 4 / 5),
        ((wanted(place="bottom"),), 4 / 5),
        ((wanted(CIRCLE, 2, "blue", "bottom"),), 0.0),
        ((wanted(), wanted(CIRCLE, place="bottom")), 1.0),  # more than was asked for is no miss
        ((wanted(CIRCLE, place="bottom"), wanted()), 1.0),
    ],
)
def test_alignment_is_what_is_left_of_the_facts(shown: Wish, expected: float) -> None:
    assert agreement((wanted(),), shown) == pytest.approx(expected)


def test_a_group_that_is_absent_misses_all_that_is_said_of_it() -> None:
    wish = (wanted(), wanted(CIRCLE, colour=None, place="bottom"))
    # noun, number and colour of the first and the side, of 2 + 1 + 1, 2 + 1 and the side
    assert agreement(wish, (wanted(),)) == pytest.approx(5 / 8)


def test_it_does_not_matter_which_group_is_named_first() -> None:
    first, second = wanted(), wanted(CIRCLE, place="bottom")
    assert agreement((first, second), (second, first)) == 1.0
    exchanged = (wanted(place="bottom"), wanted(CIRCLE, place="top"))
    assert agreement((first, second), exchanged) == pytest.approx(8 / 9)


def test_a_picture_misses_up_to_three_facts_and_never_by_a_thing_that_was_asked_for() -> None:
    rng = np.random.default_rng(0)
    wish = (wanted(), wanted(CIRCLE, place="bottom"))
    found = [shown_for(wish, THINGS, rng) for _ in range(300)]
    assert {len(shown) for shown in found} == {2}
    for shown in found:
        assert 1 - agreement(wish, shown) <= 5 / 9  # two nouns and one more, of nine
        assert all(one.what in {STAR, CIRCLE, *THINGS[2:]} for one in shown)
        assert shown[0].what != CIRCLE
        assert shown[1].what != STAR
    assert np.mean([shown == wish for shown in found]) == pytest.approx(0.3, abs=0.08)


def test_prompts_differ_and_two_groups_stand_on_opposite_sides() -> None:
    found = wishes(THINGS, 60, np.random.default_rng(0))
    assert len({describe(wish) for wish in found}) == 60
    pairs = [wish for wish in found if len(wish) == 2]
    assert 0 < len(pairs) < 60
    assert all({one.place for one in wish} == {"top", "bottom"} for wish in pairs)
    assert all(len({one.what.kind for one in wish}) == 2 for wish in pairs)


@pytest.mark.parametrize("place", ["top", "bottom"])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_things_stand_in_a_row_in_their_half_of_the_picture(place: str, count: int) -> None:
    made = group(wanted(count=count, place=place), np.random.default_rng(0))
    assert len(made.things) == count
    for thing in made.things:
        assert (thing.y < 0.5) == (place == "top")
        assert thing.y - thing.extent / 2 >= 0.0
        assert thing.y + thing.extent / 2 <= 1.0
    middles = sorted(thing.x for thing in made.things)
    assert all(b - a >= made.things[0].extent - 1e-9 for a, b in pairwise(middles))
