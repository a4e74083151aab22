import random
from typing import get_args

import pytest

from beholder.annotation.joining.aggregate import (
    Method,
    aggregate,
    by_dawid_skene,
    by_reliability,
    by_votes,
)
from beholder.annotation.reading.label_studio import parse_export
from tests.annotation.samples import comparison, real_tasks


def test_votes_are_the_mean_of_wins_and_half_ties() -> None:
    """Two for the first, a tie, one for the second: (1 + 1 + 0.5 + 0) / 4."""
    rows = [comparison("k", f"p{n}", value) for n, value in enumerate((-1, -1, 0, 1))]
    (found,) = by_votes(rows)
    assert (found.first, found.second) == ("k-a", "k-b")
    assert found.p_first == {"overall": 0.625}
    assert found.votes == {"overall": 4}


def test_the_real_export_by_hand() -> None:
    """pair-0000, without the ground truth: left tie right / 3 ties / right tie right / 3 ties."""
    found = by_votes(parse_export(real_tasks())[0])
    assert len(found) == 10
    assert found[0].p_first == pytest.approx(
        {"aesthetics": 0.5, "detail": 0.5, "alignment": 1 / 6, "overall": 0.5}
    )
    assert set(found[0].votes.values()) == {3}


def test_a_pair_that_nobody_answered_gives_no_preference() -> None:
    skipped = comparison("k", "x", 1, ranks={}, flags=frozenset({"skipped"}))
    assert by_votes([skipped]) == []
    assert by_reliability([skipped]).preferences == []


def test_which_flags_are_left_out_is_a_choice() -> None:
    rows = [comparison("k", "x", -1), comparison("k", "y", 1, flags=frozenset({"unknown_user"}))]
    assert by_votes(rows)[0].p_first == {"overall": 1.0}
    assert by_votes(rows, exclude=())[0].p_first == {"overall": 0.5}


def test_an_annotator_who_reverses_everything_is_turned_round() -> None:
    generator = random.Random(0)
    truth = {f"k{n}": generator.choice((-1, 1)) for n in range(60)}
    rows = [
        comparison(key, who, value * sign)
        for key, value in truth.items()
        for who, sign in (("good", 1), ("fair", 1), ("liar", -1))
    ]
    weighted = by_reliability(rows)
    assert weighted.reliability["overall"]["liar"] < 0.1
    assert weighted.reliability["overall"]["good"] > 0.9
    for preference in weighted.preferences:
        p = preference.p_first["overall"]
        assert p > 0.9 if truth[preference.key] == -1 else p < 0.1
        assert preference.votes == {"overall": 3}


def test_the_same_pictures_asked_twice_share_their_answers() -> None:
    once = comparison("k", "x", -1, images=("a", "b"))
    mirrored = comparison("k-again", "y", 1, images=("b", "a"))
    one, other = by_reliability([once, mirrored]).preferences
    assert (one.first, other.first) == ("a", "b")
    assert one.p_first["overall"] == pytest.approx(1 - other.p_first["overall"])
    assert one.p_first["overall"] > by_reliability([once]).preferences[0].p_first["overall"]


def test_a_picture_against_itself_is_even() -> None:
    same = comparison("k", "x", 1, images=("a", "a"))
    assert by_reliability([same]).preferences[0].p_first == {"overall": 0.5}


def test_an_annotator_who_reverses_everything_is_turned_round_by_dawid_and_skene_too() -> None:
    generator = random.Random(1)
    truth = {f"k{n}": generator.choice((-1, 0, 1)) for n in range(90)}
    rows = [
        comparison(key, who, value * sign)
        for key, value in truth.items()
        for who, sign in (("good", 1), ("fair", 1), ("liar", -1))
    ]
    weighted = by_dawid_skene(rows)
    assert weighted.reliability["overall"]["good"] > 0.9
    assert weighted.confusion["overall"]["liar"][0][2] > 0.9, "says second of what is first"
    for preference in weighted.preferences:
        expected = (1 - truth[preference.key]) / 2
        assert preference.p_first["overall"] == pytest.approx(expected, abs=0.05)
        assert preference.votes == {"overall": 3}


def test_who_says_tie_to_everything_moves_nobody() -> None:
    generator = random.Random(2)
    truth = {f"k{n}": generator.choice((-1, 1)) for n in range(60)}
    rows = [comparison(k, who, v) for k, v in truth.items() for who in ("good", "fair")]
    rows += [comparison(key, "shy", 0) for key in truth]
    assert max(p.p_first["overall"] for p in by_votes(rows)) < 0.84
    for preference in by_dawid_skene(rows).preferences:
        p = preference.p_first["overall"]
        assert p > 0.95 if truth[preference.key] == -1 else p < 0.05


def test_turning_a_question_turns_its_preference() -> None:
    rows = [comparison("k", "x", -1, images=("a", "b")), comparison("m", "x", 1)]
    turned = [comparison("k", "x", 1, images=("b", "a")), rows[1]]
    for method in get_args(Method):
        one, other = (aggregate(r, method).preferences[0] for r in (rows, turned))
        assert (one.first, other.first) == ("a", "b")
        assert one.p_first["overall"] > 0.5
        assert one.p_first["overall"] == pytest.approx(1 - other.p_first["overall"])


@pytest.mark.parametrize("method", get_args(Method))
def test_every_method_gives_a_preference_a_pair_and_votes(method: Method) -> None:
    found = aggregate(parse_export(real_tasks())[0], method)
    assert len(found.preferences) == 10
    assert sum(p.votes["overall"] for p in found.preferences) == 19
    assert bool(found.reliability) == (method != "votes")
    assert bool(found.confusion) == (method == "dawid-skene")


def test_each_method_is_its_own_function() -> None:
    rows, _ = parse_export(real_tasks())
    assert aggregate(rows).preferences == by_votes(rows)
    assert aggregate(rows, "bradley-terry") == by_reliability(rows)
    assert aggregate(rows, "dawid-skene") == by_dawid_skene(rows)


def test_repeats_share_their_answers_by_dawid_and_skene_too() -> None:
    once = comparison("k", "x", -1, images=("a", "b"))
    mirrored = comparison("k-again", "y", 1, images=("b", "a"))
    one, other = by_dawid_skene([once, mirrored]).preferences
    assert one.p_first["overall"] == pytest.approx(1 - other.p_first["overall"])
    same = comparison("k", "x", 1, images=("a", "a"))
    assert by_dawid_skene([same]).preferences[0].p_first == {"overall": 0.5}
